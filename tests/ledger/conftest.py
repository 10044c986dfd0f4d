"""Plans that cost what the test says, ledgers on disk, and what an attacker does to them."""

from __future__ import annotations

import math
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedanalytics.ledger import Answer, Ledger, Plan
from fedanalytics.ledger.results import LARGE
from fedanalytics.ledger.tables import SCHEMA
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


@pytest.fixture(scope="session")
def template(tmp_path_factory, pay):
    """Eleven entries: two budgets, four reservations, three answers, one of them a file, one release."""
    path = tmp_path_factory.mktemp("template") / "budget.db"
    with Ledger(path, actor="ada") as ledger:
        one = ledger.budget("one", epsilon=1.0, delta=1e-6, unit="u", dataset="d")
        ledger.budget("two", rho=0.5).bind(unit="v", dataset="d")
        held = one.reserve([pay("a"), pay("b"), pay("c")])
        one.commit([Answer(held[0], 0, "d0", [1.25]), Answer(held[1], 0, "d0", [2.25])])
        one.commit([Answer(held[0], 1, "d1", "x" * (LARGE + 1))])
        one.release([held[2]], "no client was asked")
        one.reserve([pay("e")])
        assert ledger.head().seq == 11
    return path.parent


@pytest.fixture
def written(template, tmp_path):
    shutil.copytree(template, tmp_path / "ledger")
    return tmp_path / "ledger" / "budget.db"


@pytest.fixture
def edit(written):
    """Runs SQL as an attacker would: without our triggers, and puts these back."""

    def run(*statements):
        connection = sqlite3.connect(written)
        triggers = [name for name, sql in SCHEMA.items() if sql.startswith("CREATE TRIGGER")]
        for name in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(*((statement,) if isinstance(statement, str) else statement))
        for name in triggers:
            connection.execute(SCHEMA[name])
        connection.commit()
        connection.close()

    return run
