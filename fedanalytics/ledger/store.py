"""The store: a database and its transactions, safe against kills, races, threads and forks.

Threads share one connection and take turns. No connection is carried across a fork (a child would believe in its
parent's locks, or end its parent's session): it is closed before, and each side opens its own when it needs one.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

from fedanalytics.errors import LedgerCorrupt, LedgerError
from fedanalytics.ledger import entries, tables
from fedanalytics.ledger.database import Connection, Database
from fedanalytics.ledger.heads import EMPTY, PAUSE, Head
from fedanalytics.ledger.results import LARGE, ResultFiles


class Transaction:
    """An open write transaction: its connection, the head that it extends, the answers that it filed."""

    def __init__(self, connection: Connection, files: ResultFiles | None) -> None:
        self.connection = connection
        self.before = self.head = last_head(connection)
        self._files = files
        self._filed: list[str] = []

    def append(self, body: dict[str, Any]) -> Head:
        """One more entry."""
        seq, prev, text = self.head.seq + 1, bytes.fromhex(self.head.hash), entries.text(body)
        hash_ = entries.chained(prev, seq, text.encode())
        self.connection.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", (seq, prev, hash_, text))
        self.head = Head(seq, hash_.hex())
        return self.head

    def place(self, name: str, text: str) -> str | None:
        """What of an answer goes into the database: its text, or nothing if it went into a file."""
        if self._files is None or len(text.encode()) <= LARGE:
            return text
        self._files.sweep(tables.filed(self.connection))
        self._files.write(name, text)
        self._filed.append(name)
        return None

    def destroy(self) -> None:
        """Delete what was filed."""
        if self._files:
            for name in self._filed:
                self._files.delete(name)


class Store:
    """A ledger's database, with what lies beside it.

    Raises:
        LedgerLocked: another process held it for longer than the timeout.
        LedgerUnwritable: the storage refused.
        LedgerCorrupt: it is no ledger, or an older copy of one.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._gone = ""  # why no connection may be opened any more
        with self._lock, database.translated():
            self._connected()
        _stores[id(self)] = self

    @property
    def path(self) -> str:
        """Where the ledger lies, without a password."""
        return self.database.path

    @property
    def files(self) -> ResultFiles | None:
        """Where large answers go; None if the database takes them."""
        return self.database.files

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """All or nothing; durable when it ends without an error."""
        with self._lock, self.database.translated():
            connection, transaction, kept = self._begun(write=True), None, self.database.kept
            try:
                transaction = Transaction(connection, self.files)
                self._agree(transaction.head, self.kept_head())
                yield transaction
                connection.commit()
            except BaseException:
                self._undo(transaction)
                raise
            if kept and transaction.head != transaction.before:
                kept.write(transaction.head)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """One moment of the ledger."""
        with self._lock, self.database.translated():
            connection = self._begun(write=False)
            try:
                yield connection
            finally:
                self._undo(None)

    def close(self) -> None:
        """Let go of the database; closing twice is harmless."""
        with self._lock:
            self._gone = self._gone or "was closed; open it again with Ledger(path)"
            self._drop()

    def __del__(self) -> None:
        if hasattr(self, "_connection"):
            self._drop()

    def _begun(self, *, write: bool) -> Connection:
        """A connection in a transaction. One that was lost since the last is replaced: nothing was under way."""
        kept = self._connection is not None
        try:
            return self._begin(write=write)
        except self.database.errors:
            if not kept or self._connection is not None:
                raise
        return self._begin(write=write)

    def _begin(self, *, write: bool) -> Connection:
        connection = self._connected()
        try:
            connection.begin(write=write)
        except BaseException:
            self._undo(None)
            raise
        return connection

    def _connected(self) -> Connection:
        if self._gone:
            raise LedgerError(f"the ledger {self.path} {self._gone}")
        if self._connection is None:
            kept = self.kept_head()  # before the database is read: a head may lag behind, never lead
            self._connection = self.database.opened()
            try:
                self._agree(last_head(self._connection), kept)
            except BaseException:
                self._drop()
                raise
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(self.database.errors):
                self._connection.close()
            self._connection = None

    def _undo(self, transaction: Transaction | None) -> None:
        """Roll back, and destroy what was filed.

        If the database has ended the transaction already, one way or the other, the files stay: a later sweep knows
        which of them count.
        """
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.rollback()
                if transaction is not None:
                    transaction.destroy()
        except self.database.errors:  # the storage is gone; a new connection will find what was committed
            self._drop()

    def kept_head(self) -> Head | None:
        """What is known of the chain from outside of the database."""
        return self.database.kept.read() if self.database.kept else None

    def _agree(self, last: Head, kept: Head | None) -> None:
        """Refuse a chain that the kept head is no part of."""
        if self._connection is None or extends(self._connection, last, kept):
            return
        time.sleep(PAUSE)  # the head may have been read while another process wrote it
        again = self.kept_head()
        if again == kept or not extends(self._connection, last, again):
            raise LedgerCorrupt(outdated(self.path, last, kept or EMPTY))

    def before_fork(self) -> None:
        """Wait for other threads to end their transactions, then hold no connection."""
        self._lock.acquire()
        if self.database.kept:
            self._drop()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Start anew: the lock was the parent's, and memory cannot be shared."""
        self._lock = threading.RLock()
        if not self.database.kept:
            self._gone = "lives in the memory of the process that forked this one; give the ledger a path"


def last_head(connection: Connection) -> Head:
    """The head of the chain in a database."""
    seq, hash_ = tables.last_entry(connection)
    return Head(seq, hash_.hex())


def extends(connection: Connection, last: Head, earlier: Head | None) -> bool:
    """Whether the chain that ends at `last` goes through `earlier`."""
    if earlier is None or earlier in {last, EMPTY}:
        return True
    row = tables.entry(connection, earlier.seq)
    return row is not None and row[2] == bytes.fromhex(earlier.hash)


def outdated(path: str, last: Head, known: Head) -> str:
    """What to do about a chain that does not go through a head that is known."""
    return (
        f"{path} ends at entry {last.seq} and does not contain the known head {known.seq}:{known.hash[:12]}...: it is "
        "an older copy, its tail was cut, or its past was rewritten; going on would spend the same budget twice. Put "
        "the newest copy back; if that is lost, count its budgets as spent and start a new ledger file"
    )


# Stores that a fork must find; held strongly from before a fork until after it.
_stores: weakref.WeakValueDictionary[int, Store] = weakref.WeakValueDictionary()
_forking: list[Store] = []


def _before_fork() -> None:
    _forking.extend(store for reference in _stores.valuerefs() if (store := reference()) is not None)
    for store in _forking:
        store.before_fork()


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop().after_fork_in_parent()


def _after_fork_in_child() -> None:
    while _forking:
        _forking.pop().after_fork_in_child()


if hasattr(os, "register_at_fork"):  # where there are forks
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
