"""The same page of a ledger on a PostgreSQL server, whose address is shown without its password."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import fedanalytics as fa
from fedanalytics.report import csv_of, html_of, read
from fedanalytics.report.reading import head_of

_spec = importlib.util.spec_from_file_location("ledger_fixtures", Path(__file__).parents[1] / "ledger" / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

server = _fixtures.server


@pytest.fixture
def address(server, fleet):
    place = server.schema()
    with fa.Ledger(place, actor="ada") as ledger:
        session = fa.Session(fleet, ledger.budget("sensors", rho=1.0))
        session.run([fa.count(), fa.mean("temp", bounds=(0, 110))], rho=0.5)
    return place


def test_a_ledger_on_a_server(address, parsed):
    book = read(address)
    assert book.problem == ""
    assert book.entries == book.verification.entries == head_of(address).seq == 6
    tree = parsed(html_of(book))
    assert "50 % left" in tree.text
    assert tree.one("table", class_="stack asked").text.count("± ") == 2
    assert csv_of(book.accounts).count("\n") == 3
    assert read(address, believing=True).accounts == book.accounts


def test_no_password_is_shown(address, server):
    secret = address.replace("postgres@", "postgres:hunter2@", 1)
    assert secret != address
    book = read(secret)
    assert "hunter2" not in book.place
    assert "hunter2" not in html_of(book)
