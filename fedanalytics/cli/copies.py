"""A ledger to look at, or to rehearse on: a copy of the file at one moment, so that nothing happens to the file."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fedanalytics.errors import LedgerCorrupt
from fedanalytics.ledger import Ledger
from fedanalytics.ledger.connections import recognise, snapshot, translated
from fedanalytics.ledger.heads import KeptHead
from fedanalytics.ledger.store import extends, last_head, outdated

_WAIT = 5.0  # seconds


@contextlib.contextmanager
def copied(path: str) -> Iterator[Ledger]:
    """A copy that may be written to and is deleted afterwards. It holds no answers that lie beside the file.

    Raises:
        BadArgument: there is no such file, or it is no ledger.
        LedgerCorrupt: it is damaged, or older than the head beside it.
    """
    kept = KeptHead(f"{path}.head").read()  # first: it may lag behind the file, never lead
    with tempfile.TemporaryDirectory(prefix="fedanalytics-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "ledger.db"
        with (
            translated(path, _WAIT),
            snapshot(path) as connection,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            recognise(connection, path)
            last = last_head(connection)
            if not extends(connection, last, kept):
                raise LedgerCorrupt(outdated(path, last, kept or last))
            connection.backup(target)
        with Ledger(str(copy)) as ledger:
            yield ledger
