"""The data of a training: a format, how to read it, how many clients there are, and what is kept to evaluate on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fedanalytics.cli import ranges, reading
from fedanalytics.cli.held_out import Held, held_out
from fedanalytics.cli.placed import placed
from fedanalytics.cli.reading import Table
from fedanalytics.errors import BadArgument

if TYPE_CHECKING:
    from fedanalytics.datasets import ClientDatasets
    from fedanalytics.fleet.data_sets import DatasetFleet

COMMON = ("format", "client", "population", "name", "test")


@dataclass(frozen=True)
class Format:
    """How one kind of data is read.

    Attributes:
        reader: the function of `fedanalytics.datasets`.
        needed, optional: the keys that it takes, with their readers.
        unit: what a client is called, unless `client` says so; "" if it must.
        clients: the key or the number that says how many there are, where that is public.
    """

    reader: str
    needed: Mapping[str, reading.Reader[Any]]
    optional: Mapping[str, reading.Reader[Any]]
    unit: str = "client"
    clients: str | int | None = None


def _columns(value: Any) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise BadArgument(f'must be a list of columns, such as ["age", "dose"], got {value!r}')
    return value


def _shape(value: Any) -> list[int]:
    if not isinstance(value, list) or not value or not all(type(side) is int and side > 0 for side in value):
        raise BadArgument(f"must be a list of whole numbers, such as [28, 28], got {value!r}")
    return value


_FILE: Mapping[str, reading.Reader[Any]] = {"path": reading.text}
_NAMES: Mapping[str, reading.Reader[Any]] = {"features": reading.text, "label": reading.text}
_MADE: Mapping[str, reading.Reader[Any]] = {
    "clients": ranges.positive,
    "examples": ranges.amount,
    "test_clients": ranges.positive,
    "side": reading.whole,
    "seed": ranges.natural,
}
WRITERS = "synthetic writers"
FORMATS: Mapping[str, Format] = {
    "table": Format("from_table", {**_FILE, "features": _columns, "label": reading.text}, {}, unit=""),
    "leaf": Format("from_leaf", _FILE, {}),
    "tff-sqlite": Format("from_tff_sqlite", _FILE, {**_NAMES, "split": reading.text, "shape": _shape}),
    "tff-hdf5": Format("from_tff_hdf5", _FILE, _NAMES),
    "digits": Format("digits", {}, {}, unit="writer block", clients=14),
    WRITERS: Format("synthetic_writers", {}, _MADE, unit="writer", clients="clients"),
}
_DEFAULTS = {"clients": 3_400, "test_clients": 340}  # of `synthetic_writers`


@dataclass(frozen=True)
class ClientData:
    """Clients with examples.

    Attributes:
        format: one of `FORMATS`.
        options: of its reader.
        unit: what a client is called: the unit of privacy.
        population: the declared, public number of clients to train on.
        name: the declared identity of the data, to which a budget is bound.
        held: what is kept from training, or None.
        table: for messages.
    """

    format: str
    options: Mapping[str, Any]
    unit: str
    population: int
    name: str
    held: Held | None
    table: Table

    def fleets(self) -> tuple[DatasetFleet, DatasetFleet]:
        """Who trains, and who evaluates: the same, unless something was kept from training.

        Raises:
            BadArgument: files that are not there, or cannot be read as this format.
            FedAnalyticsError: a library that reads it is not installed.
        """
        from fedanalytics.fleet import Fleet  # noqa: PLC0415  # a recipe is checked before anything heavy is loaded

        train, test = self._datasets()
        named = {"client": self.unit, "dataset": self.name}
        training = Fleet.from_datasets(train, **named, population=self.population)
        if test is None or self.held is None:
            return training, training
        return training, Fleet.from_datasets(test, **named, population=self.held.population)

    def _datasets(self) -> tuple[ClientDatasets, ClientDatasets | None]:
        if self.format == WRITERS:
            with placed(**{name: self.table.at(name) for name in _MADE}):
                train, test = _reader(self.format)(**self.options)
                return train, test
        source = self._read(self.options, self.table.at)
        if self.held is None:
            return source, None
        at = f"{self.table.at('test')}.{{}}".format
        if self.held.by is not None:
            with placed(by=at("by"), test=at("fraction"), seed=at("seed")):
                return source.split(by=self.held.by, test=self.held.fraction, seed=self.held.seed)
        return source, self._read({**self.options, **(self.held.elsewhere or {})}, at)

    def _read(self, options: Mapping[str, Any], at: Callable[[str], str]) -> ClientDatasets:
        renamed = dict(options)
        if self.format in {"table", "leaf"}:
            renamed["table" if self.format == "table" else "paths"] = renamed.pop("path")
        path = at("path" if "path" in options else "format")
        with placed(path=path, paths=path, table=path, **{name: at(name) for name in ("client", *_NAMES, "split")}):
            source: ClientDatasets = _reader(self.format)(**renamed)
            return source


def client_data(table: Table) -> ClientData:
    """The data that a table names.

    Raises:
        BadArgument: a key is unknown or missing, or its value cannot be meant.
    """
    name = table.get("format", ranges.one_of(FORMATS))
    form = FORMATS[name]
    if name == WRITERS and "test" in table.values:
        raise BadArgument(f"{table.at('test')}: {name} come with others to evaluate on, {table.at('test_clients')}")
    table.only((*COMMON, *form.needed, *form.optional))
    options = {key: table.get(key, read) for key, read in form.needed.items()}
    options |= {key: table.get(key, read) for key, read in form.optional.items() if key in table.values}
    unit = table.find("client", reading.text) or form.unit
    if not unit:
        raise BadArgument(f"{table.at('client')} is missing: the column that names a client")
    if name == "table":
        options["client"] = unit
    declared = table.find("population", ranges.positive) or _known(form, options)
    if declared is None:
        raise BadArgument(
            f"{table.at('population')} is missing: about how many clients there are, a public figure; updates are "
            "divided by the cohort that follows from it, never by a count of who came"
        )
    held = None
    if name == WRITERS:
        held = Held(population=options.get("test_clients", _DEFAULTS["test_clients"]))
    elif "test" in table.values:
        held = held_out(table.table("test"), {**form.needed, **form.optional}, declared)
    called = table.find("name", reading.text) or options.get("path") or name
    trained = declared if held is None else declared - held.trainers
    return ClientData(name, options, unit, trained, str(called), held, table)


def _reader(form: str) -> Callable[..., Any]:
    from fedanalytics import datasets  # noqa: PLC0415  # likewise

    reader: Callable[..., Any] = getattr(datasets, FORMATS[form].reader)
    return reader


def _known(form: Format, options: Mapping[str, Any]) -> int | None:
    if isinstance(form.clients, str):
        return int(options.get(form.clients, _DEFAULTS[form.clients]))
    return form.clients
