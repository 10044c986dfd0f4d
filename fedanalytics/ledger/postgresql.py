"""A ledger in a PostgreSQL database: its connections, and the server's refusals in words.

A transaction that returned was synced by the server. Writers take turns at an advisory lock that ends with their
transaction: what is read behind it is the newest that was committed, and stays so. (Who would not take it is stopped
by the chain: an entry's number is a primary key, so that of two next entries one is refused.) Readers see one snapshot
and wait for nobody. This module alone knows psycopg.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote, urlencode

from fedanalytics.errors import BadArgument, LedgerCorrupt, LedgerError, LedgerLocked, LedgerUnwritable
from fedanalytics.ledger import postgresql_schema as schema
from fedanalytics.ledger.heads import RememberedHead

if TYPE_CHECKING:
    import psycopg

SCHEMES = ("postgresql://", "postgres://")
_SECRET = ("password", "secret")  # in the name of a parameter
_PAGE = 1000  # rows of a large table in one message

# A client that died without a word keeps its lock no longer than this; a server that did is noticed in a minute.
_SESSION = """
SELECT current_setting('fsync'), set_config('lock_timeout', ?, false),
    set_config('idle_in_transaction_session_timeout', '60s', false),
    set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), false)
"""
_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}

_BEGIN = {
    # READ COMMITTED: what follows the lock sees what was committed before it was granted.
    True: (
        "BEGIN ISOLATION LEVEL READ COMMITTED;"
        f" SELECT pg_advisory_xact_lock({schema.CLASS}, 'entry'::regclass::oid::int4)"
    ),
    False: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
}

_BUSY = {"55P03", "40001", "40P01"}  # lock not available, serialization failure, deadlock
_BROKEN = ("22", "23", "42", "P0", "XX")  # classes: our statements are constant, so only altered tables refuse them
_FORBIDDEN, _TOO_LONG = "42501", "54000"


class ServerConnection:
    """A connection to a server; see `Connection`."""

    content = "convert_to(body, 'UTF8')"

    def __init__(self, raw: psycopg.Connection[tuple[Any, ...]], path: str) -> None:
        self._raw = raw
        self._path = path

    @property
    def in_transaction(self) -> bool:
        """Whether there is something to roll back: true of a connection that was lost as well."""
        return self._raw.info.transaction_status != 0

    def execute(self, statement: str, values: tuple[Any, ...] = (), /) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run one statement."""
        return self._raw.execute(statement.replace("?", "%s").encode(), values or None)

    def every(self, statement: str, /) -> Iterator[tuple[Any, ...]]:
        """The rows of a large table, some at a time."""
        self._raw.execute(f"DECLARE every NO SCROLL CURSOR FOR {statement}".encode(), prepare=False)
        while rows := self._raw.execute(f"FETCH {_PAGE} FROM every".encode(), prepare=False, binary=True).fetchall():
            yield from rows
        self._raw.execute(b"CLOSE every")

    def begin(self, *, write: bool) -> None:
        """See `Connection`."""
        self._raw.execute(_BEGIN[write].encode(), prepare=False)

    def commit(self) -> None:
        """Durable when it returns.

        Raises:
            LedgerError: the connection was lost before the server answered.
            psycopg.Error: for `translated`.
        """
        try:
            done = self._raw.execute(b"COMMIT").statusmessage
        except self._raw.OperationalError as error:
            if not self._raw.closed:
                raise
            raise LedgerError(
                f"the connection to {self._path} was lost while the server was committing ({_line(error)}): whether "
                "it did is unknown, and it did all or nothing; run again with the same key, which finds what happened"
            ) from error
        if done != "COMMIT":  # the server's answer to a transaction that an error has ended
            raise LedgerError(f"the ledger {self._path} did not commit ({done}); nothing was reserved or committed")

    def rollback(self) -> None:
        """Undo; fails if the connection was lost."""
        self._raw.execute(b"ROLLBACK")

    def close(self) -> None:
        """Let go."""
        self._raw.close()


class Server:
    """A ledger's place on a server.

    Raises:
        BadArgument: psycopg is missing, or the address is none.
    """

    files = None

    def __init__(self, address: str, timeout: float) -> None:
        self._driver = _driver()
        self._parameters = _parsed(self._driver, address)
        self.path = _shown(self._parameters)
        self.kept = RememberedHead()
        self._timeout = timeout

    @property
    def errors(self) -> type[Exception]:
        """What connections raise."""
        errors: type[Exception] = self._driver.Error
        return errors

    def exists(self) -> bool:
        """Whether there is a ledger, or something in its place."""
        with self.translated(), contextlib.closing(self._connected()) as connection:
            return schema.found(connection)

    def opened(self) -> ServerConnection:
        """A connection that writes; the tables are made where there are none.

        Raises:
            BadArgument: the schema is another program's.
            LedgerError: a later version made the tables.
            LedgerCorrupt: a table or trigger is missing.
            LedgerUnwritable: the server is out of reach, or does not sync.
            psycopg.Error: for `translated`.
        """
        connection = self._connected()
        try:
            if not schema.found(connection):
                connection.execute("BEGIN")
                schema.create(connection, self.path)
                connection.commit()
            schema.recognise(connection, self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[ServerConnection]:
        """A connection that only reads, in one read transaction.

        Raises:
            BadArgument, LedgerError, LedgerCorrupt, LedgerUnwritable, psycopg.Error: as `opened`.
        """
        with contextlib.closing(self._connected()) as connection:
            connection.begin(write=False)
            schema.recognise(connection, self.path)
            yield connection

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Every error of the server as one of ours, saying what to do.

        Raises:
            BadArgument: a text cannot be stored.
            LedgerLocked: another program held the ledger longer than the timeout.
            LedgerCorrupt: the tables are not a ledger as we write it.
            LedgerUnwritable: the server refused, or the connection was lost.
        """
        try:
            yield
        except UnicodeEncodeError as error:
            raise BadArgument(f"{error.object!r} is no text that can be stored: it holds half a character") from error
        except self._driver.Error as error:
            raise self._refusal(error) from error

    def _refusal(self, error: psycopg.Error) -> Exception:
        code, said = error.sqlstate or "", _line(error)
        if code in _BUSY:
            return LedgerLocked(
                f"the ledger {self.path} is held by another program; waited {self._timeout:g} s and changed nothing: "
                "try again when that program is done, or wait longer with Ledger(path, timeout=)"
            )
        if code == _TOO_LONG or (not code and isinstance(error, self._driver.DataError)):
            return BadArgument(f"a name or key is no text that PostgreSQL can store ({said})")
        if code.startswith(_BROKEN) and code != _FORBIDDEN:
            return LedgerCorrupt(f"{self.path} is no ledger, or a damaged one ({said}): restore the newest copy")
        return LedgerUnwritable(
            f"the ledger {self.path} could not be written ({said}); nothing was reserved or committed: is the server "
            "running, its disk full, the database or your role read-only?"
        )

    def _connected(self) -> ServerConnection:
        limits = {"connect_timeout": max(2, math.ceil(self._timeout)), "tcp_user_timeout": round(1000 * self._timeout)}
        ours = {"client_encoding": "UTF8", "fallback_application_name": "fedanalytics", "autocommit": True}
        try:
            raw = self._driver.connect(**(limits | _ALIVE | self._parameters | ours))
        except self._driver.Error as error:
            self._unreachable(error)
        connection = ServerConnection(raw, self.path)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: ServerConnection) -> None:
        [(fsync, *_)] = connection.execute(_SESSION, (f"{round(1000 * self._timeout) or 1}ms",))
        if fsync != "on":
            raise LedgerUnwritable(
                f"the server of {self.path} runs with fsync = {fsync}: a crash would free what was spent; set it on"
            )

    def _unreachable(self, error: psycopg.Error) -> NoReturn:
        said = _line(error)
        for name, value in self._parameters.items():
            if _secret(name) and value:
                said = said.replace(str(value), "***")
        raise LedgerUnwritable(
            f"the ledger {self.path} cannot be reached ({said}); nothing was reserved or committed: is the server "
            "running, the address right, and the password in PGPASSWORD or ~/.pgpass?"
        ) from None  # the driver's error may show what it was given


def _driver() -> Any:
    try:
        import psycopg  # noqa: PLC0415  # an extra: files need none
    except ImportError as error:
        raise BadArgument(
            'path= is a PostgreSQL address, which needs psycopg: pip install "fedanalytics[postgres]"'
        ) from error
    return psycopg


def _parsed(driver: Any, address: str) -> dict[str, Any]:
    """The parameters of an address.

    Raises:
        BadArgument: it is none; what was given is not shown, because it may hold a password.
    """
    before, at, _ = address.partition("://")[2].rpartition("@")
    split = bool(at) and not set(before).isdisjoint("/?@")  # libpq would take part of a password for the host
    with contextlib.suppress(driver.Error):
        if not split:
            return dict(driver.conninfo.conninfo_to_dict(address))
    raise BadArgument(
        "path= is no PostgreSQL address: postgresql://user@host:port/name?options=..., with '@', '/', '?' and '%' in "
        "its parts written as %40, %2F, %3F and %25"
    )


def _shown(parameters: dict[str, Any]) -> str:
    """The address without its secrets, in a form that can be given again."""
    given = {name: str(value) for name, value in parameters.items() if not _secret(name)}
    user, host, port, name = (given.pop(part, "") for part in ("user", "host", "port", "dbname"))
    if "/" in host or "," in host + port:  # a socket, or several servers
        given = {"host": host} | ({"port": port} if port else {}) | given
        host = port = ""
    place = f"{_quoted(user)}@" * bool(user) + host + f":{port}" * bool(port)
    query = urlencode(given, safe="/:,", quote_via=quote)
    return f"postgresql://{place}/{_quoted(name)}" + f"?{query}" * bool(query)


def _quoted(part: str) -> str:
    return quote(part, safe="")


def _secret(name: str) -> bool:
    return any(part in name for part in _SECRET)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
