"""What a ledger needs of a database: constant statements, one writer at a time, and one moment to read.

SQLite and PostgreSQL have it. Statements are written once, with ``?`` where a value goes; the few words that differ
live with each database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

from fedanalytics.ledger.heads import HeadKeeper
from fedanalytics.ledger.results import ResultFiles


class Rows(Protocol):
    """What a statement found."""

    def fetchone(self) -> Any:
        """The next row, a tuple; None after the last."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection; outside `begin` and `commit` or `rollback` it holds no lock.

    Attributes:
        content: the SQL for an entry's body as bytes, whatever these may be.
    """

    content: str

    @property
    def in_transaction(self) -> bool:
        """Whether there is something to roll back: true of a connection that was lost as well."""

    def execute(self, statement: str, values: tuple[Any, ...] = ..., /) -> Rows:
        """Run one statement."""

    def every(self, statement: str, /) -> Iterable[Any]:
        """The rows of a statement that may find more than memory holds; to be read before the next statement."""

    def begin(self, *, write: bool) -> None:
        """Begin to read one moment; or to write, and then nobody else does until the end."""

    def commit(self) -> None:
        """Durable when it returns."""

    def rollback(self) -> None:
        """Undo; fails if the connection was lost."""

    def close(self) -> None:
        """Let go."""


class Database(Protocol):
    """Where a ledger lies."""

    @property
    def path(self) -> str:
        """As given, but for passwords; for messages."""

    @property
    def files(self) -> ResultFiles | None:
        """Where large answers go; None if the database takes them."""

    @property
    def kept(self) -> HeadKeeper | None:
        """What knows a head of the chain from outside of the database; None if there is no outside: it is memory."""

    @property
    def errors(self) -> type[Exception]:
        """What its connections raise, for `translated`."""

    def exists(self) -> bool:
        """Whether there is a ledger."""

    def opened(self) -> Connection:
        """A connection that writes; a new one makes the tables."""

    def snapshot(self) -> AbstractContextManager[Connection]:
        """A connection that reads one moment and writes nothing."""

    def translated(self) -> AbstractContextManager[None]:
        """Every error of the database as one of ours, saying what to do."""
