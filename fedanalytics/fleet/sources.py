"""The operator's door: a data frame or files become a sealed table, or a clear error, before anything is asked.

Everything that could go wrong with one client's data later is looked for here, once, in one pass that keeps nothing in
memory: keys that are missing, cells that are no number, bytes that are no text. After this no value raises. What is
found here is the operator's to know and is public from then on: names, types, and that keys are complete.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import numpy.typing as npt

from fedanalytics._validate import did_you_mean
from fedanalytics.errors import BadArgument
from fedanalytics.fleet.engine import Engine, connect, described, fetch
from fedanalytics.fleet.paths import matching
from fedanalytics.fleet.schema import Column, Kind, Schema, can_be_key, exposed, is_float, parsed, quote, text

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Table:
    """A relation in a connection, and how the operator calls it.

    Attributes:
        what: the constructor and its data, for messages.
        relation: what to select from, as SQL.
        types: name -> stored type, or for a CSV file, whose cells are texts, the type they look like.
        files: the files it reads.
        cells: whether every column is stored as text and read as its type (CSV).
    """

    what: str
    relation: str
    types: Mapping[str, str]
    files: tuple[str, ...] = ()
    cells: bool = False


def open_values(values: npt.NDArray[np.float64], schema: Schema) -> Engine:
    """A sealed table of one row per client; the array is not copied."""
    connection = connect()
    connection.register("source", {schema.client: np.arange(len(values)), schema.columns[0].name: values})
    return Engine(connection, schema, key=_key(schema.client, "BIGINT"), relation="source")


def open_pandas(frame: pd.DataFrame, client: str) -> tuple[Engine, Schema]:
    """A sealed table over a data frame, which is read where it lies.

    Raises:
        BadArgument: see `_opened`; or a column has a dtype that cannot be read.
    """
    connection, frame = connect(), frame.copy(deep=False)
    try:
        connection.register("source", frame)
        types = described(connection, "source")
    except duckdb.Error:
        bad = [str(name) for name in frame.columns if not _readable(frame[[name]].iloc[:0])]
        columns = ", ".join(bad) or "a column"
        raise BadArgument(f"from_pandas: {columns} holds what SQL has no type for; drop it or convert it") from None
    return _opened(connection, Table("from_pandas", "source", types), client)


def open_parquet(paths: tuple[str, ...], client: str) -> tuple[Engine, Schema]:
    """A sealed table over Parquet files, one or many, or folders like ``client=007/``.

    Raises:
        BadArgument: no file matches, one cannot be read, or see `_opened`.
    """
    connection, files = connect(), matching(paths)
    what = f"from_parquet({', '.join(paths)})"
    relation = f"read_parquet({_listed(files)}, union_by_name = true, hive_types_autocast = false)"
    try:
        types = described(connection, relation)
    except duckdb.Error:
        raise BadArgument(f"{what}: a file is not Parquet, or the files do not fit together") from None
    return _opened(connection, Table(what, relation, types, files), client)


def open_csv(paths: tuple[str, ...], client: str, missing: Sequence[str]) -> tuple[Engine, Schema]:
    """A sealed table over CSV files with a header.

    Cells are read as texts and then as what they look like: a reader that converts on its own stops at the first
    cell that does not fit, which may be anyone's, at any time.

    Raises:
        BadArgument: no file matches, one cannot be read, or see `_opened`.
    """
    connection, files = connect(), matching(paths)
    what = f"from_csv({', '.join(paths)})"
    if isinstance(missing, str) or not all(isinstance(m, str) for m in missing):
        raise BadArgument(f"missing= must be a sequence of strings, such as ('', 'NA'), got {missing!r}")
    options = f"header = true, skip = 0, union_by_name = true, nullstr = {_listed(missing)}"
    relation = f"read_csv({_listed(files)}, {options}, all_varchar = true)"
    try:
        looks = described(connection, f"read_csv({_listed(files)}, {options})")
        types = {name: looks.get(name, "VARCHAR") for name in described(connection, relation)}
    except duckdb.Error as error:
        raise _not_csv(what, error) from None
    return _opened(connection, Table(what, relation, types, files, cells=True), client)


def _opened(connection: duckdb.DuckDBPyConnection, table: Table, client: str) -> tuple[Engine, Schema]:
    """Look at the data once, and seal it.

    Raises:
        BadArgument: the client column does not exist, has missing keys or is no key; there is no row; a text is not
            UTF-8, or a line has another shape than its header.
    """
    if client not in table.types:
        known = ", ".join(table.types)
        raise BadArgument(f"client={client!r} is not a column{did_you_mean(client, table.types)}; columns: {known}")
    stored = table.types[client]
    if is_float(stored) or stored.startswith("DECIMAL"):
        raise BadArgument(
            f"client={client!r} holds fractions ({stored}): an id that was rounded, or became 1.0 beside a missing "
            f"one, names the wrong client; drop the rows without an id and convert it to integers or text"
        )
    if not can_be_key(stored) and not table.cells:
        raise BadArgument(f"client={client!r} has type {stored}; convert it to integers or text")
    try:
        found = {name: int(counts[0]) for name, counts in fetch(connection, _look(table, client)).items()}
    except duckdb.Error as error:
        raise _not_csv(table.what, error) from None
    if not found["rows"]:
        raise BadArgument(f"{table.what}: the table has no rows")
    if missing := found["rows"] - found["keys"]:
        raise BadArgument(f"{table.what}: {missing:,} rows have no client ({client!r} is NULL); drop or fill them")
    key = _key(client, _key_type(table, client, found))
    schema = Schema(client, tuple(_columns(table, client, found)))
    return Engine(connection, schema, key=key, relation=table.relation, files=table.files), schema


def _look(table: Table, client: str) -> str:
    """One pass: rows, keys, every byte of every text, and for CSV how many cells are what their column looks like."""
    key = quote(client)
    parts = ["count(*) AS rows", f"count({key}) AS keys"]
    for i, (name, stored) in enumerate(table.types.items()):
        column = quote(name)
        if table.cells or stored == "VARCHAR":
            parts.append(f"coalesce(max(strlen({column})), 0) AS longest{i}")
        if table.cells:
            parts.append(f"count(*) FILTER (WHERE {_unlike(column, _guess(name, stored))}) AS unlike{i}")
    if table.cells:
        whole = f"coalesce(CAST(TRY_CAST({key} AS BIGINT) AS VARCHAR), '')"
        parts.append(f"count(*) FILTER (WHERE {key} <> {whole}) AS not_whole")
    return f"SELECT {', '.join(parts)} FROM {table.relation}"  # noqa: S608 - ours: names in it are quoted


def _columns(table: Table, client: str, found: Mapping[str, int]) -> Iterable[Column]:
    for i, (name, stored) in enumerate(table.types.items()):
        if name == client:
            continue
        if not table.cells:
            yield exposed(name, stored, _spare(name, table.types) if is_float(stored) else None)
            continue
        kind = Kind.TEXT if found[f"unlike{i}"] else _guess(name, stored)
        clean = parsed(quote(name), kind)
        if kind is Kind.NUMBER:
            clean = f"CASE WHEN isfinite({clean}) THEN {clean} + 0e0 END"
        yield Column(name, kind.value, kind, clean)


def _guess(name: str, stored: str) -> Kind:
    """What the cells of a CSV column may be: what its first rows look like, or else numbers."""
    kind = exposed(name, stored).kind
    return Kind.NUMBER if kind in {None, Kind.TEXT} else Kind(kind)


def _unlike(column: str, kind: Kind) -> str:
    """The condition that a cell is there and is not of a kind; 007 is a text, whose zeros a number would lose."""
    zeros = f" OR regexp_matches({column}, '^0[0-9]')" if kind is Kind.NUMBER else ""
    return f"{column} IS NOT NULL AND ({parsed(column, kind)} IS NULL{zeros})"


def _key(client: str, stored: str) -> Column:
    """The client column, in its own type: grouping by texts takes twice as long."""
    return Column(client, stored, None, f"CAST({quote(client)} AS {stored})")


def _key_type(table: Table, client: str, found: Mapping[str, int]) -> str:
    if table.cells:  # '7' and '007' are two clients, so only texts that are written as integers are may become them
        return "VARCHAR" if found["not_whole"] else "BIGINT"
    stored = table.types[client]
    return "VARCHAR" if stored.startswith("ENUM") else stored


def _spare(name: str, taken: Iterable[str]) -> str:
    """A name that no column has."""
    spare, used = f"{name} as stored", {t.casefold() for t in taken}
    while spare.casefold() in used:
        spare += "_"
    return spare


def _readable(column: pd.DataFrame) -> bool:
    try:
        connect().register("source", column)
    except duckdb.Error:
        return False
    return True


def _listed(strings: Iterable[str]) -> str:
    return f"[{', '.join(text(s) for s in strings)}]"


def _not_csv(what: str, error: duckdb.Error) -> BadArgument:
    """The line, and none of the engine's words: it prints the line itself."""
    line = re.search(r"Line: (\d+)", str(error))
    where = f"line {line[1]}" if line else "a line or a column"
    return BadArgument(f"{what}: {where} is not UTF-8, or has another number of cells than the header")
