"""A DuckDB that can read one table and nothing else: the second wall, behind the grammar.

Its own connection in memory, external access off but for the data files themselves (not their folders: a folder may be
written into), no look at Python's variables, no extension loaded, and the configuration locked. Expressions read the
view ``t``, where each column is of one of the kinds of `schema`; an empty table ``nothing`` of the same types is there
to bind against without data.

What does not fit into memory spills into a folder of its own, readable by this user only, removed with the fleet.
"""

from __future__ import annotations

import contextlib
import copy
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from fedanalytics.errors import BadArgument, DataChanged
from fedanalytics.fleet.schema import Column, Schema, quote, text
from fedanalytics.fleet.select import Value, select


def connect() -> duckdb.DuckDBPyConnection:
    """A connection in memory whose spill folder is private; not sealed yet."""
    folder = tempfile.mkdtemp(prefix="fedanalytics-")
    connection = duckdb.connect(config={"temp_directory": folder})
    weakref.finalize(connection, shutil.rmtree, folder, ignore_errors=True)
    # Before the seal: a timestamp with a zone means the same on every machine; objects are typed by all their values.
    for setting in ("TimeZone = 'UTC'", "pandas_analyze_sample = 9223372036854775807"):
        connection.execute(f"SET {setting}")
    # A bar would tell how many rows there are. In a notebook that cannot draw one it is off, and may not even be named.
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()[0][0]:
        connection.execute("SET enable_progress_bar = false")
    return connection


def fetch(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    """All rows of a statement, as arrays; the connection is free again, whatever happens."""
    try:
        return dict(connection.execute(sql).fetchnumpy())
    except BaseException:
        with contextlib.suppress(duckdb.Error, AttributeError):
            connection.abort()  # since DuckDB 2.0 an unfinished result blocks its connection
        raise


def described(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """The columns of a relation: name -> stored type, in order."""
    sql = f"DESCRIBE SELECT * FROM {relation}"  # noqa: S608 - ours: names and paths in it are quoted
    return {row[0]: row[1] for row in connection.execute(sql).fetchall()}


class Engine:
    """One sealed table.

    Args:
        connection: as made by `connect`, with the data in it or within its reach.
        schema: its columns, as expressions see them.
        key: the client column, in its own type.
        relation: what to select from, as SQL.
        files: all that may be read from now on.

    Attributes:
        table: the view that expressions read.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        schema: Schema,
        *,
        key: Column,
        relation: str,
        files: Sequence[str] = (),
    ) -> None:
        self._connection, self._schema, self.table = connection, schema, "t"
        self._stamps = {file: _stamp(file) for file in files}
        usable = [c for c in schema.columns if c.kind is not None]
        raw = [c for c in usable if c.raw is not None]
        seen = [f"{c.clean} AS {quote(c.name)}" for c in (key, *usable)]
        seen += [f"CAST({quote(c.name)} AS DOUBLE) AS {quote(str(c.raw))}" for c in raw]
        view = f"CREATE TEMP VIEW t AS SELECT {', '.join(seen)} FROM {relation}"  # noqa: S608 - ours, quoted
        connection.execute(view)
        types = [f"{quote(c.name)} {c.type}" for c in (key, *usable)] + [f"{quote(str(c.raw))} DOUBLE" for c in raw]
        connection.execute(f"CREATE TEMP TABLE nothing ({', '.join(types)})")
        for setting in (
            f"allowed_paths = [{', '.join(text(file) for file in files)}]",
            "enable_external_access = false",
            "python_enable_replacements = false",
            "autoload_known_extensions = false",
            "autoinstall_known_extensions = false",
            "lock_configuration = true",
        ):
            connection.execute(f"SET {setting}")

    def only(self, column: Column, literal: str) -> Engine:
        """The same table, narrowed to the clients all of whose rows have a value in a column.

        Who they are depends, for each client, on its own rows alone.
        """
        narrowed = copy.copy(self)
        narrowed.table = f"group_{secrets.token_hex(8)}"
        key = quote(self._schema.client)
        belongs = f"HAVING bool_and({quote(column.name)} IS NOT DISTINCT FROM {literal})"
        members = f"SELECT {key} FROM {self.table} GROUP BY {key} {belongs}"  # noqa: S608 - ours, quoted
        rows = f"SELECT * FROM {self.table} WHERE {key} IN ({members})"  # noqa: S608 - ours, quoted
        self._connection.execute(f"CREATE TEMP VIEW {narrowed.table} AS {rows}")
        return narrowed

    def check_files(self) -> None:
        """Refuse to read what is not what it was: an answer over half a fleet would be paid like a whole one.

        Raises:
            DataChanged: a file is gone or was written to. That is the operator's doing, and tells of no client.
        """
        for file, stamp in self._stamps.items():
            if _stamp(file) != stamp:
                raise DataChanged(f"{file} is gone or was changed since the fleet was made; make the fleet again")

    def bind(self, value: Value) -> None:
        """Compute one value over the empty table: what the engine cannot do, it cannot do without data.

        Raises:
            BadArgument: it cannot; without its words, which are about our SQL and not the caller's.
        """
        try:
            for columns in ((value,), (value, ALWAYS)):
                fetch(self._connection, select(self._schema, columns, "nothing"))
        except duckdb.Error:
            raise BadArgument("this expression cannot be computed over these columns; simplify it") from None

    def evaluate(self, values: Sequence[Value]) -> list[npt.NDArray[Any]]:
        """One array per value, all in the same order of clients, in one pass over the data."""
        found: Mapping[str, Any] = fetch(self._connection, select(self._schema, values, self.table))
        return [_texts(found[f"v{i}"]) if v.is_text else _numbers(found[f"v{i}"]) for i, v in enumerate(values)]


def _stamp(file: str) -> tuple[int, int] | None:
    """Size and time of the last change, None if there is no such file."""
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


ALWAYS = Value("TRUE", "TRUE", "TRUE", "TRUE", (), (), is_text=False)


def _numbers(column: Any) -> npt.NDArray[np.float64]:
    """For encoders, NULL, infinities and NaN are one thing: NaN, a client that does not contribute."""
    values = np.ma.filled(column.astype(np.float64, copy=False), np.nan)
    strange = ~np.isfinite(values)
    if strange.any():
        values = np.where(strange, np.nan, values)
    values.flags.writeable = False
    return values


def _texts(column: Any) -> npt.NDArray[np.object_]:
    values: npt.NDArray[np.object_] = np.ma.getdata(column).astype(object)
    values[np.ma.getmaskarray(column)] = None  # `filled` takes None for "the default", which is '?'
    values.flags.writeable = False
    return values
