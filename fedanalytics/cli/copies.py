"""A ledger to look at, or to rehearse on: a copy in a file of one moment, so that nothing happens to the ledger."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from fedanalytics import _validate
from fedanalytics.errors import BadArgument, LedgerCorrupt
from fedanalytics.ledger import Budget, Ledger
from fedanalytics.ledger.connections import database
from fedanalytics.ledger.database import Connection
from fedanalytics.ledger.store import extends, last_head, outdated

_WAIT = 5.0  # seconds
_COLUMNS = {
    "entry": "seq, prev, hash, body",
    "result": "reservation, position, seq, digest, hash, body",
    "budget": "name, terms, spent",
    "reservation": "budget, key, id, digest, units, seq",
}


@contextlib.contextmanager
def copied(path: str) -> Iterator[Ledger]:
    """A copy that may be written to and is deleted afterwards. It holds no answers that lie beside a file.

    Raises:
        BadArgument: there is no such file or database, or it is no ledger.
        LedgerCorrupt: it is damaged, or older than the head beside it.
    """
    original = database(path, _WAIT)
    kept = original.kept.read() if original.kept else None  # first: it may lag behind the ledger, never lead
    with tempfile.TemporaryDirectory(prefix="fedanalytics-", ignore_cleanup_errors=True) as folder:
        copy = str(Path(folder) / "ledger.db")
        with original.translated(), original.snapshot() as source:
            last = last_head(source)
            if not extends(source, last, kept):
                raise LedgerCorrupt(outdated(original.path, last, kept or last))
            Ledger(copy).close()
            _fill(copy, source)
        with Ledger(copy) as ledger:
            yield ledger


def existing(path: str, name: str) -> Budget:
    """A budget of a ledger, to be written to; neither is made.

    Raises:
        BadArgument: there is no such file or database, it is no ledger, or it has no such budget.
        LedgerCorrupt: it is damaged, or older than the head beside it.
    """
    with copied(path) as copy:
        check_known("BUDGET", name, copy.budgets())
    return Ledger(path).budget(name)


def check_known(argument: str, name: str, budgets: Iterable[str]) -> None:
    """Refuses a name that none of a ledger's budgets has.

    Raises:
        BadArgument: none has it.
    """
    known = tuple(budgets)
    if name not in known:
        near = _validate.did_you_mean(name, known)
        raise BadArgument(f"{argument} {name!r}: this ledger has no such budget{near}")


def place(path: str) -> str:
    """Where a ledger lies, as it may be shown: an address without its password.

    Raises:
        BadArgument: no ledger can lie there.
    """
    return database(path, _WAIT).path


def _fill(copy: str, source: Connection) -> None:
    """Every row, in the order in which the tables take them."""
    with contextlib.closing(sqlite3.connect(copy)) as target, target:
        for table, columns in _COLUMNS.items():
            order = "ORDER BY seq" if table == "entry" else ""
            values = ", ".join("?" * len(columns.split(", ")))
            rows = source.every(f"SELECT {columns} FROM {table} {order}")  # noqa: S608
            target.executemany(f"INSERT INTO {table} VALUES ({values})", rows)  # noqa: S608
