"""A ledger that version 0.1.0 wrote, with every type of entry and every filter: it verifies and goes on for ever."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from fedanalytics.ledger import Head, Ledger, verify
from fedanalytics.privacy.events import Gaussian

ROWS = [json.loads(line) for line in Path(__file__).with_name("ledger-0.1.0.jsonl").read_text("utf-8").splitlines()]
HEAD = Head(31, "7def188e446e386efa7d3032d90b94daa3d194f26691b13368b8e460eb3f9cef")


@pytest.fixture
def old(place, request):
    """In the tables of today, which are those of 0.1.0."""
    Ledger(place).close()
    statements = []
    for table, *row in ROWS:
        values = [bytes.fromhex(v) if table == "entry" and i in {1, 2} else v for i, v in enumerate(row)]
        statements.append((f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", tuple(values)))
    if place.startswith("postgresql"):
        request.getfixturevalue("server").run(*statements, address=place)
    else:
        with contextlib.closing(sqlite3.connect(place)) as connection, connection:
            for statement in statements:
                connection.execute(*statement)
    return place


def test_verifies_as_it_did(old):
    result = verify(old, HEAD)
    assert (result.entries, result.head, result.backdated) == (31, HEAD, ())
    assert {name: (state.spent, len(state.open)) for name, state in result.budgets.items()} == {
        "gdp": (16314154772, 1),
        "zcdp": (6250000005, 1),
        "renyi": (6282712537, 3),
        "pure": (301249479562, 1),
        "pld": (1655562089586, 1),
        "bare": (166116165054, 1),
    }
    assert {state.amended for state in result.budgets.values()} == {0}


def test_the_second_accountant_agrees(old):
    """The figures of the second accountant, held to those of the first, or to what a looser filter leaves below it."""
    budgets = verify(old).budgets
    for name, low in {"gdp": 0.99, "zcdp": 0.85, "renyi": 0.4, "pure": 1 - 1e-9, "pld": 0.6}.items():
        charged, second = budgets[name].charged.amount, budgets[name].epsilon
        assert low * charged <= second <= charged * (1 + 1e-6), name
    assert budgets["bare"].epsilon is None
    assert budgets["bare"].second.counts == "rho"
    assert "Renyi" in budgets["renyi"].method  # Skellam noise on vectors
    assert "integral" in budgets["pld"].method


def test_goes_on(old):
    from fedanalytics.ledger import Answer, Plan

    with Ledger(old) as ledger:
        budget = ledger.budget("gdp", epsilon=1.0, delta=1e-6)
        [again] = budget.reserve([Plan("monday", {"is": "Mean", "column": "temp", "bounds": [0.0, 110.0]}, *GAUSSIAN)])
        assert again.replayed
        assert {i: stored.body for i, stored in again.answers.items()} == {0: [41.25, None]}
        [new] = budget.reserve([Plan("wednesday", {"is": "Count"}, *GAUSSIAN)])
        budget.commit([Answer(new, 0, "d", [1.0])])
        budget.amend(epsilon=1.5, reason="it may")
        ledger.budget("zcdp").record_audit({"verdict": "consistent", "claim": "rho 0.5"})
    assert verify(old, HEAD).entries == 35


GAUSSIAN = (Gaussian(12.5), 3200000000, "central")
