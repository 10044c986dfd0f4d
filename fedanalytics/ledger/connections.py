"""Connections to a ledger's SQLite file, and SQLite's and the file system's refusals in words."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from fedanalytics import _validate
from fedanalytics.errors import BadArgument, LedgerCorrupt, LedgerError, LedgerLocked, LedgerUnwritable
from fedanalytics.ledger import tables

MEMORY = ":memory:"
_PAUSE = 0.01  # seconds between two attempts that SQLite does not repeat by itself

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_BROKEN = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,  # our statements are constant: only a table that is not as we made it refuses one
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_SCHEMA,
}


@contextlib.contextmanager
def translated(path: str, timeout: float) -> Iterator[None]:
    """Every error of SQLite as one of ours, saying what to do.

    Raises:
        BadArgument: a text is no valid Unicode.
        LedgerLocked: another process held the file longer than `timeout` seconds.
        LedgerCorrupt: the file is not a ledger as we write it.
        LedgerUnwritable: the storage refused (full, read-only, gone).
    """
    try:
        yield
    except UnicodeEncodeError as error:
        raise BadArgument(f"{error.object!r} is no text that can be stored: it holds half a character") from error
    except UnicodeDecodeError as error:
        raise LedgerCorrupt(f"{path} is damaged ({error}): restore the newest copy") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _BUSY:
            raise LedgerLocked(
                f"the ledger {path} is held by another process; waited {timeout:g} s and changed nothing: try again "
                "when that process is done, or wait longer with Ledger(path, timeout=)"
            ) from error
        if code in _BROKEN:
            raise LedgerCorrupt(f"{path} is no ledger, or a damaged one ({error}): restore the newest copy") from error
        raise LedgerUnwritable(
            f"the ledger {path} could not be written ({error}); nothing was reserved or committed: is the disk full, "
            "the file or its folder read-only?"
        ) from error


def checked_place(path: str) -> str:
    """The path, if a ledger can lie there.

    Raises:
        BadArgument: it is empty, an address, a folder, or in a folder that does not exist.
    """
    _validate.text(path=path)
    if path == MEMORY:
        return path
    if "://" in path:
        raise BadArgument(f"path={path!r} is an address; a ledger is a file so far: Ledger('budget.db')")
    place = Path(path)
    if place.is_dir():
        raise BadArgument(f"path={path!r} is a folder; name a file in it: {str(place / 'budget.db')!r}")
    if not place.parent.is_dir():
        raise BadArgument(f"path={path!r} lies in a folder that does not exist; create {str(place.parent)!r} first")
    return path


def opened(path: str, timeout: float) -> sqlite3.Connection:
    """A connection that writes; the tables are made where there are none.

    Raises:
        BadArgument: the file is another program's database.
        LedgerError: a later version wrote it.
        LedgerCorrupt: a table or trigger is missing.
        sqlite3.Error: for `translated`.
    """
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        if tables.objects(connection):
            recognise(connection, path)
        _in_wal(connection, timeout)
        connection.execute("PRAGMA synchronous = FULL")
        if not tables.objects(connection):
            _create(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def recognise(connection: sqlite3.Connection, path: str) -> None:
    """Refuse what is no ledger of this version."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != tables.APPLICATION:
        raise BadArgument(f"path={path!r} is another program's database; give the ledger a file of its own")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != tables.SCHEMA_VERSION:
        raise LedgerError(f"{path} has ledger format {version}, this version knows {tables.SCHEMA_VERSION}: upgrade")
    found = tables.objects(connection)
    changed = sorted(name for name, sql in tables.SCHEMA.items() if found.get(name) != sql)
    if changed:
        raise LedgerCorrupt(f"{path}: {', '.join(changed)} is missing or not as we made it: restore the newest copy")


@contextlib.contextmanager
def snapshot(path: str) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, in one read transaction; works on read-only media too.

    Raises:
        BadArgument: there is no such file.
        sqlite3.Error: for `translated`.
    """
    if not Path(checked_place(path)).is_file():
        raise BadArgument(f"path={path!r} does not exist; name a ledger's file")
    connection = _reader(path)
    try:
        yield connection
    finally:
        connection.close()


def _reader(path: str) -> sqlite3.Connection:
    address, log = Path(path).resolve().as_uri(), Path(f"{path}-wal")
    try:
        return _begun(f"{address}?mode=ro")
    except sqlite3.OperationalError as error:
        # A read-only medium has no room for the log that SQLite wants to make. Where there is no log, the file is all.
        unable = error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
        if not unable or (log.exists() and log.stat().st_size > 0):
            raise
        return _begun(f"{address}?immutable=1")


def _begun(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("BEGIN")
        tables.objects(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _in_wal(connection: sqlite3.Connection, timeout: float) -> None:
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


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not tables.objects(connection):  # another process may have been first
            tables.create(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
