"""Plans that cost what the test says, and ledgers on disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedanalytics.ledger import Ledger, Plan
from fedanalytics.privacy.events import Gaussian
from fedanalytics.privacy.relations import Relation


@pytest.fixture(scope="session")
def pay() -> Callable[..., Plan]:
    """`pay(key, units)`: a Gaussian plan that costs so many units."""

    def made(
        key: str,
        units: int = 10**9,
        *,
        column: str = "temp",
        trust: str = "central",
        relation: Relation = Relation.ADD_OR_REMOVE_ONE,
    ) -> Plan:
        event = Gaussian(math.sqrt(10**12 / (2 * units)) * (1 + 1e-12), relation)
        return Plan(key, {"is": "Mean", "column": column, "bounds": [0.0, 110.0]}, event, units, trust)

    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "budget.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger(path, actor="ada", timeout=5) as opened:
        yield opened
