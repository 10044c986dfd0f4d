"""A ledger in a SQLite file: its schema, its connections, and SQLite's and the file system's refusals in words.

WAL with ``synchronous=FULL``: a transaction that returned is on the disk. ``BEGIN IMMEDIATE``: processes take turns, so
that what a transaction read still holds when it writes.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from fedanalytics import _validate
from fedanalytics.errors import BadArgument, LedgerCorrupt, LedgerError, LedgerLocked, LedgerUnwritable
from fedanalytics.ledger.heads import KeptHead
from fedanalytics.ledger.results import ResultFiles

MEMORY = ":memory:"
APPLICATION = 0x66_61_4C_31  # "faL1": marks the file as ours in SQLite's header
SCHEMA_VERSION = 1
_PAUSE = 0.01  # seconds between two attempts that SQLite does not repeat by itself

SCHEMA = {
    "entry": "CREATE TABLE entry (seq INTEGER PRIMARY KEY, prev BLOB NOT NULL, hash BLOB NOT NULL, body TEXT NOT NULL)",
    "result": (
        "CREATE TABLE result (reservation INTEGER, position INTEGER, seq INTEGER NOT NULL, digest TEXT NOT NULL,"
        " hash TEXT NOT NULL, body TEXT, PRIMARY KEY (reservation, position)) WITHOUT ROWID"
    ),
    "result_file": "CREATE INDEX result_file ON result (hash) WHERE body IS NULL",
    "budget": "CREATE TABLE budget (name TEXT PRIMARY KEY, terms TEXT NOT NULL, spent TEXT NOT NULL) WITHOUT ROWID",
    "reservation": (
        "CREATE TABLE reservation (budget TEXT, key TEXT, id TEXT NOT NULL, digest TEXT NOT NULL, units TEXT NOT NULL,"
        " seq INTEGER NOT NULL, PRIMARY KEY (budget, key)) WITHOUT ROWID"
    ),
    # INSERT OR REPLACE deletes without firing a delete trigger: hence the two triggers on insert.
    "entry_insert": (
        "CREATE TRIGGER entry_insert BEFORE INSERT ON entry"
        " WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM entry)"
        " BEGIN SELECT RAISE(ABORT, 'entries are appended in order'); END"
    ),
    "result_insert": (
        "CREATE TRIGGER result_insert BEFORE INSERT ON result"
        " WHEN EXISTS (SELECT 1 FROM result WHERE reservation = NEW.reservation AND position = NEW.position)"
        " BEGIN SELECT RAISE(ABORT, 'an answer is stored once'); END"
    ),
    **{
        f"{table}_{verb}": (
            f"CREATE TRIGGER {table}_{verb} BEFORE {verb.upper()} ON {table}"
            f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
        for table in ("entry", "result")
        for verb in ("update", "delete")
    },
}

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_BROKEN = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,  # our statements are constant: only a table that is not as we made it refuses one
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_SCHEMA,
}


class FileConnection(sqlite3.Connection):
    """A connection to a file."""

    content = "CAST(body AS BLOB)"
    every = sqlite3.Connection.execute

    def begin(self, *, write: bool) -> None:
        """See `Connection`."""
        self.execute("BEGIN IMMEDIATE" if write else "BEGIN")


class File:
    """A ledger's file, with what lies beside it; ":memory:" keeps nothing.

    Raises:
        BadArgument: the path cannot be a ledger's.
    """

    errors = sqlite3.Error

    def __init__(self, path: str, timeout: float) -> None:
        self.path = checked_file(path)
        self.files = None if path == MEMORY else ResultFiles(Path(f"{path}.results"))
        self.kept = None if path == MEMORY else KeptHead(f"{path}.head")
        self._timeout = timeout

    def exists(self) -> bool:
        """Whether there is a file."""
        return Path(self.path).exists()

    def opened(self) -> FileConnection:
        """A connection that writes; the tables are made where there are none.

        Raises:
            BadArgument: the file is another program's database.
            LedgerError: a later version wrote it.
            LedgerCorrupt: a table or trigger is missing.
            sqlite3.Error: for `translated`.
        """
        connection = _connected(self.path, self._timeout)
        try:
            if _objects(connection):
                _recognise(connection, self.path)
            _in_wal(connection, self._timeout)
            connection.execute("PRAGMA synchronous = FULL")
            if not _objects(connection):
                _create(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[FileConnection]:
        """A connection that only reads, in one read transaction; works on read-only media too.

        Raises:
            BadArgument: there is no such file, or it is another program's.
            LedgerError: a later version wrote it.
            LedgerCorrupt: a table or trigger is missing.
            sqlite3.Error: for `translated`.
        """
        if not Path(self.path).is_file():
            raise BadArgument(f"path={self.path!r} does not exist; name a ledger's file")
        connection = _reader(self.path, self._timeout)
        try:
            _recognise(connection, self.path)
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Every error of SQLite as one of ours, saying what to do.

        Raises:
            BadArgument: a text is no valid Unicode.
            LedgerLocked: another process held the file longer than the timeout.
            LedgerCorrupt: the file is not a ledger as we write it.
            LedgerUnwritable: the storage refused (full, read-only, gone).
        """
        try:
            yield
        except UnicodeEncodeError as error:
            raise BadArgument(f"{error.object!r} is no text that can be stored: it holds half a character") from error
        except UnicodeDecodeError as error:
            raise LedgerCorrupt(f"{self.path} is damaged ({error}): restore the newest copy") from error
        except sqlite3.Error as error:
            raise self._refusal(error) from error

    def _refusal(self, error: sqlite3.Error) -> LedgerError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _BUSY:
            return LedgerLocked(
                f"the ledger {self.path} is held by another process; waited {self._timeout:g} s and changed nothing: "
                "try again when that process is done, or wait longer with Ledger(path, timeout=)"
            )
        if code in _BROKEN:
            return LedgerCorrupt(f"{self.path} is no ledger, or a damaged one ({error}): restore the newest copy")
        return LedgerUnwritable(
            f"the ledger {self.path} could not be written ({error}); nothing was reserved or committed: is the disk "
            "full, the file or its folder read-only?"
        )


def checked_file(path: str) -> str:
    """The path, if a ledger can lie there.

    Raises:
        BadArgument: it is empty, an address, a folder, or in a folder that does not exist.
    """
    _validate.text(path=path)
    if path == MEMORY:
        return path
    if "://" in path:
        scheme = path.partition("://")[0]
        raise BadArgument(
            f"path={scheme + '://...'!r} is no place for a ledger: a file, as in 'budget.db', or a PostgreSQL "
            "database, as in 'postgresql://user@host/name'"
        )
    place = Path(path)
    if place.is_dir():
        raise BadArgument(f"path={path!r} is a folder; name a file in it: {str(place / 'budget.db')!r}")
    if not place.parent.is_dir():
        raise BadArgument(f"path={path!r} lies in a folder that does not exist; create {str(place.parent)!r} first")
    return path


def _connected(path: str, timeout: float, *, uri: bool = False) -> FileConnection:
    return sqlite3.connect(
        path, timeout=timeout, isolation_level=None, check_same_thread=False, factory=FileConnection, uri=uri
    )


def _recognise(connection: FileConnection, path: str) -> None:
    """Refuse what is no ledger of this version."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION:
        raise BadArgument(f"path={path!r} is another program's database; give the ledger a file of its own")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION:
        raise LedgerError(f"{path} has ledger format {version}, this version knows {SCHEMA_VERSION}: upgrade")
    found = _objects(connection)
    changed = sorted(name for name, sql in SCHEMA.items() if found.get(name) != sql)
    if changed:
        raise LedgerCorrupt(f"{path}: {', '.join(changed)} is missing or not as we made it: restore the newest copy")


def _reader(path: str, timeout: float) -> FileConnection:
    address, log = Path(path).resolve().as_uri(), Path(f"{path}-wal")
    try:
        return _begun(f"{address}?mode=ro", timeout)
    except sqlite3.OperationalError as error:
        # A read-only medium has no room for the log that SQLite wants to make. Where there is no log, the file is all.
        unable = error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
        if not unable or (log.exists() and log.stat().st_size > 0):
            raise
        return _begun(f"{address}?immutable=1", timeout)


def _begun(address: str, timeout: float) -> FileConnection:
    connection = _connected(address, timeout, uri=True)
    try:
        connection.begin(write=False)
        _objects(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _in_wal(connection: FileConnection, timeout: float) -> None:
    """Switch to the write-ahead log; SQLite does not wait here when several processes make the file at once."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _create(connection: FileConnection) -> None:
    connection.begin(write=True)
    try:
        if not _objects(connection):  # another process may have been first
            for statement in SCHEMA.values():
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def _objects(connection: FileConnection) -> dict[str, str]:
    """What the database holds, by name, with the SQL that made it."""
    return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
