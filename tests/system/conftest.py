"""The server of the ledger's tests, and the two places where a ledger may lie."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("ledger_fixtures", Path(__file__).parents[1] / "ledger" / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

server, victim = _fixtures.server, _fixtures.victim


@pytest.fixture
def path(tmp_path):
    return tmp_path / "budget.db"


place = _fixtures.place
