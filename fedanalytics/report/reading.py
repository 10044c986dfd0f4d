"""A ledger, read once: its entries as accounts, its newest answers, and whether it verifies.

A ledger that does not verify is read all the same, as far as it can be: the officer must see it, with that written on
top. Nothing is changed, and no lock is held while the page is made.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fedanalytics.errors import LedgerCorrupt
from fedanalytics.ledger import Head, Verification, tables, verify
from fedanalytics.ledger.connections import database
from fedanalytics.ledger.database import Connection
from fedanalytics.ledger.entries import Entry
from fedanalytics.ledger.entries import read as entry_of
from fedanalytics.ledger.store import extends, last_head, outdated
from fedanalytics.report.precision import Stored
from fedanalytics.report.spends import Accounts, accounts

NEWEST = 300  # questions whose answers are read
_WAIT = 5.0  # seconds; a reader is kept waiting only while a log is recovered


@dataclass(frozen=True)
class Book:
    """A ledger at one moment.

    Attributes:
        place: its file or address, without a password.
        head: of the last entry that was read; `entries` is how many there are.
        answers: of the newest questions, by the entry that reserved them: the first round.
        verification: None if it was not asked for, or failed.
        problem: why it does not verify; "" if it does, or was not asked.
        now: when it was read.
    """

    place: str
    head: Head
    accounts: Accounts
    now: dt.datetime
    answers: Mapping[int, Stored] = field(default_factory=dict)
    verification: Verification | None = None
    problem: str = ""

    @property
    def entries(self) -> int:
        """How many there are."""
        return self.head.seq


def read(path: str, *, believing: bool = False, now: dt.datetime | None = None) -> Book:
    """Read a ledger.

    Args:
        path: its file or address.
        believing: leave out to verify it: believing takes a third of the time, and looks at the kept head only.
        now: the moment that forecasts start from; the clock's unless given.

    Raises:
        BadArgument: there is no such file or database, or it is another program's.
        LedgerCorrupt: it cannot be read at all; or it is an older copy, where it is believed.
        LedgerError: a later version wrote it, or a server cannot be reached.

    Example:
        >>> import tempfile, os
        >>> from fedanalytics.ledger import Ledger
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "budget.db")
        ...     with Ledger(path) as ledger:
        ...         _ = ledger.budget("aircraft", rho=0.01)
        ...     book = read(path)
        >>> book.entries, book.verification.entries, list(book.accounts.by_name)
        (1, 1, ['aircraft'])
    """
    moment = dt.datetime.now(dt.UTC) if now is None else now
    verification, problem = None, ""
    if not believing:
        try:
            verification = verify(path)
        except LedgerCorrupt as error:
            problem = str(error)
    place = database(path, _WAIT)
    kept = place.kept.read() if place.kept and believing else None  # first: it may lag behind the ledger, never lead
    with place.translated(), place.snapshot() as connection:
        last = verification.head if verification else last_head(connection)
        if not extends(connection, last, kept):
            raise LedgerCorrupt(outdated(place.path, last, kept or last))
        found = accounts(_entries(connection, last.seq))
        answers = {} if believing else dict(_answers(connection, found))
    return Book(place.path, last, found, moment, answers, verification, problem)


def head_of(path: str) -> Head:
    """The head of a ledger, believed: cheap enough to be asked every second."""
    place = database(path, _WAIT)
    with place.translated(), place.snapshot() as connection:
        return last_head(connection)


def _entries(connection: Connection, until: int) -> Iterator[Entry]:
    for seq, prev, hash_, body in tables.chain(connection):
        if seq > until:
            return
        try:
            yield entry_of(seq, prev, hash_, body.decode())
        except (LedgerCorrupt, UnicodeDecodeError, AttributeError):
            yield Entry(seq, "", "", "", {})  # which says nothing, and is counted as unreadable


def _answers(connection: Connection, found: Accounts) -> Iterator[tuple[int, Stored]]:
    for spend in found.spends[-NEWEST:]:
        with contextlib.suppress(LedgerCorrupt):
            row = tables.answer(connection, spend.seq, 0)
            if row is not None and row.body is not None:  # a large answer is a file, and no statistic
                yield spend.seq, Stored(row.digest, row.body)
