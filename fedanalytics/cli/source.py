"""Where the data is, and whose: from the ``[data]`` of a study or the options of a command, to a fleet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fedanalytics import _validate
from fedanalytics.cli import reading
from fedanalytics.cli.reading import Table
from fedanalytics.errors import BadArgument

if TYPE_CHECKING:
    from fedanalytics.fleet import Fleet

DATASETS = ("aircraft",)
PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz", ".tsv", ".tsv.gz")


@dataclass(frozen=True)
class Source:
    """Files with a client column.

    Attributes:
        path: a file or a glob, relative to the current directory; None for a data set that comes along.
        dataset: the name of such a data set.
        client: the column that names a client, the unit of privacy.
        population: the declared, public number of clients, or None.
        name: the declared identity of the data, to which a budget is bound; by default `dataset`, or `path` as written.
        only: (column, value) of the group of clients that is asked; None for all.
        missing: for CSV files, the cells that mean "no value"; None for empty ones only.
        table: for messages.
    """

    path: str | None
    dataset: str | None
    client: str
    population: int | None
    name: str
    only: tuple[str, str | float] | None
    missing: tuple[str, ...] | None
    table: Table

    def fleet(self) -> Fleet:
        """Opens the files and checks them.

        Raises:
            BadArgument: no such file, an unknown column, null keys, text among numbers.
        """
        from fedanalytics.fleet import Fleet  # noqa: PLC0415  # a study is checked before anything heavy is loaded

        declared: dict[str, Any] = {"client": self.client, "dataset": self.name, "population": self.population}
        with self.table.blamed("missing", "client"):
            path = self._path()
            if path.lower().endswith(PARQUET):
                fleet = Fleet.from_parquet(path, **declared)
            else:
                fleet = Fleet.from_csv(path, missing=("",) if self.missing is None else self.missing, **declared)
        if self.only is None:
            return fleet
        with self.table.blamed("only"):
            return fleet.only(*self.only, population=self.population)

    def _path(self) -> str:
        if self.path is not None:
            return self.path
        from fedanalytics.datasets import aircraft  # noqa: PLC0415  # likewise

        return str(aircraft())


def source(table: Table) -> Source:
    """The source that a table names.

    Raises:
        BadArgument: a key is unknown or missing, or its value cannot be meant.
    """
    table.only(("path", "dataset", "client", "population", "name", "only", "missing"))
    if ("path" in table.values) == ("dataset" in table.values):
        raise BadArgument(
            f"give {table.at('path')} (files) or {table.at('dataset')} (one that comes along), one of them"
        )
    path, dataset = table.find("path", _files), table.find("dataset", _dataset)
    missing = table.find("missing", _cells)
    if missing is not None and (path is None or path.lower().endswith(PARQUET)):
        raise BadArgument(f"{table.at('missing')} is for CSV files; in others, no value is NULL")
    return Source(
        path=path,
        dataset=dataset,
        client=table.get("client", reading.text),
        population=table.find("population", _population),
        name=table.find("name", reading.text) or path or str(dataset),
        only=table.find("only", reading.member),
        missing=missing,
        table=table,
    )


def _files(value: Any) -> str:
    if not reading.text(value).lower().endswith(PARQUET + CSV):
        raise BadArgument(f"must name files that end in {', '.join(PARQUET + CSV)}, got {value!r}")
    return str(value)


def _cells(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(cell, str) for cell in value):
        raise BadArgument(f'must be a list of texts, such as ["", "NA"], got {value!r}')
    return tuple(value)


def _dataset(value: Any) -> str:
    if value not in DATASETS:
        near = _validate.did_you_mean(value, DATASETS)
        raise BadArgument(f"must be one of {', '.join(DATASETS)}, got {value!r}{near}; for your own files give a path")
    return str(value)


def _population(value: Any) -> int:
    if reading.whole(value) < 1:
        raise BadArgument(f"must be at least 1, got {value!r}")
    return int(value)
