"""One table with a column that says whose each row is: a data frame, CSV or Parquet files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import numpy.typing as npt

from fedanalytics._validate import did_you_mean, text
from fedanalytics.datasets.clients import ClientDatasets, from_clients
from fedanalytics.errors import BadArgument

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "BOOLEAN")
_FLOATS = ("FLOAT", "DOUBLE")
_FOLDERS = "union_by_name = true, hive_types_autocast = false"  # client=007/ is '007'


def from_table(
    table: pd.DataFrame | str | os.PathLike[str], *, client: str, features: Sequence[str], label: str
) -> ClientDatasets:
    """The rows of a table, by client, in memory; a client's rows keep their order.

    Args:
        table: a pandas data frame; or the path of a file ``.csv``, ``.csv.gz`` or ``.parquet``, or of a folder with
            such files below it, where names like ``client=007/`` are a column.
        client: the column of ids, integers or texts. They become texts; leading zeros stay, also in CSV files.
        features: columns of numbers, in this order the columns of a float32 array of shape (n, len(features)). A
            missing number is NaN.
        label: a column of integers (classes) or floats (targets); none may be missing.

    Raises:
        BadArgument: there is no such file or column, a column has another type, an id or a label is missing, or labels
            are negative.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"ward": ["07", "12", "07"], "age": [40, 51, 62], "ill": [0, 1, 1]})
        >>> from_table(frame, client="ward", features=["age"], label="ill").dataset("07")
        (array([[40.],
               [62.]], dtype=float32), array([0, 1]))
    """
    text(client=client)
    text(label=label)
    if isinstance(features, str) or not features or not all(isinstance(name, str) for name in features):
        raise BadArgument(f"features= must be a list of columns, such as ['age'], got {features!r}")
    wanted = f"CAST({_quoted(client)} AS VARCHAR) AS key, {_quoted(label)} AS label"
    numbers = ", ".join(f"CAST({_quoted(name)} AS DOUBLE) AS x{i}" for i, name in enumerate(features))
    with duckdb.connect() as connection:
        try:
            relation = _relation(connection, table, client, features)
            if not relation.limit(1).fetchall():
                raise BadArgument("table= has no rows")
            _check(dict(zip(relation.columns, map(str, relation.types), strict=True)), client, features, label)
            rows = relation.project(f"{wanted}, {numbers}").fetchnumpy()
        except duckdb.Error as error:
            raise BadArgument(f"table= cannot be read: {str(error).partition(chr(10))[0]}") from None
    return _grouped(rows, client, label, len(features))


def _relation(
    connection: duckdb.DuckDBPyConnection, table: Any, client: str, features: Iterable[str]
) -> duckdb.DuckDBPyRelation:
    if not isinstance(table, str | os.PathLike):
        return connection.from_df(_frame(table))
    files = _files(Path(table))
    if files[0].lower().endswith(".parquet"):
        return connection.sql(f"FROM read_parquet($files, {_FOLDERS})", params={"files": files})
    reading = f"FROM read_csv($files, {_FOLDERS}, header = true, skip = 0"
    texts = connection.sql(f"{reading}, all_varchar = true, hive_partitioning = false)", params={"files": files})
    # The id's type is said, because a guess loses its zeros; the label's is guessed, from all rows.
    said = dict.fromkeys(features, "DOUBLE") | {client: "VARCHAR"}
    types = {name: said[name] for name in texts.columns if name in said}
    if not types:
        return texts
    return connection.sql(f"{reading}, sample_size = -1, types = $types)", params={"files": files, "types": types})


def _frame(table: object) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415  # only who has a data frame needs it

    if not isinstance(table, pd.DataFrame):
        raise BadArgument(f"table= must be a pandas data frame or a path, got {type(table).__name__}")
    return table.copy(deep=False)


def _files(path: Path) -> list[str]:
    """The table's files, all of one kind."""
    if not path.exists():
        raise BadArgument(f"table={str(path)!r} is no file or folder")
    found = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for endings in ((".parquet",), (".csv", ".csv.gz")):
        if files := [str(file) for file in found if file.name.lower().endswith(endings)]:
            if strange := [file for file in files if set(file) & set("*?[")]:
                raise BadArgument(f"{strange[0]!r} would be read as a pattern; rename it without * ? [")
            return files
    where = "the folder has none" if path.is_dir() else "this is another"
    raise BadArgument(f"table={str(path)!r}: a table is a file .csv, .csv.gz or .parquet, and {where}")


def _check(types: dict[str, str], client: str, features: Sequence[str], label: str) -> None:
    for argument, name in (("client", client), ("label", label), *(("features", name) for name in features)):
        if name not in types:
            known = ", ".join(types)
            raise BadArgument(f"{argument}={name!r} is not a column{did_you_mean(name, types)}; columns: {known}")
    if types[client] in _FLOATS or types[client].startswith("DECIMAL"):
        raise BadArgument(
            f"client={client!r} holds fractions ({types[client]}): integers with a missing one among them become so; "
            f"drop the rows without an id and convert it to integers or text"
        )
    for name in features:
        if types[name] not in (*_NUMBERS, *_FLOATS) and not types[name].startswith(("DECIMAL", "HUGEINT")):
            raise BadArgument(f"features: {name!r} has type {types[name]}; features of a table are numbers")
    if types[label] not in (*_NUMBERS, *_FLOATS):
        raise BadArgument(f"label={label!r} has type {types[label]}; number the classes from 0")


def _grouped(rows: dict[str, npt.NDArray[Any]], client: str, label: str, width: int) -> ClientDatasets:
    keys, labels = rows["key"], rows["label"]
    for argument, name, column in (("client", client, keys), ("label", label, labels)):
        if missing := int(_missing(column).sum()):
            raise BadArgument(f"{argument}={name!r} is missing in {missing:,} of the rows; drop or fill them")
    features = np.column_stack([np.ma.filled(rows[f"x{i}"].astype(float), np.nan) for i in range(width)])
    ids, owner, counts = np.unique(np.asarray(keys, dtype=str), return_inverse=True, return_counts=True)
    parts = np.split(np.argsort(owner, kind="stable"), np.cumsum(counts)[:-1])
    values = np.ma.getdata(labels)
    return from_clients(
        {str(client_id): (features[part], values[part]) for client_id, part in zip(ids, parts, strict=True)}
    )


def _missing(column: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    absent = np.ma.getmaskarray(column)
    return absent | np.isnan(np.ma.getdata(column)) if column.dtype.kind == "f" else absent


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
