"""One question: a statistic with its cost, from the keys of a ``[[query]]`` or the options of a command."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from fedanalytics import _validate
from fedanalytics.cli import reading
from fedanalytics.cli.costed import FORMS, Costed, Offer, offered
from fedanalytics.cli.reading import Reader, Table
from fedanalytics.errors import BadArgument
from fedanalytics.statistics import Count, Histogram, Mean, Sum, Variance
from fedanalytics.statistics.statistic import Statistic

STATISTICS: Mapping[str, type[Statistic]] = {
    "count": Count,
    "sum": Sum,
    "mean": Mean,
    "variance": Variance,
    "histogram": Histogram,
}

READERS: Mapping[str, Reader[Any]] = {
    "column": reading.text,
    "bounds": reading.pair,
    "edges": reading.edges,
    "categories": reading.labels,
    "per_client": reading.expression,
    "where": reading.expression,
    "weight": reading.text,
    "max_records": reading.whole,
    "by": reading.expression,
    "groups": reading.labels,
    "max_groups": reading.whole,
    "count_weight": reading.number,
}


@dataclass(frozen=True)
class Question:
    """A query with a name and a cost.

    Attributes:
        table: for messages.
    """

    name: str
    statistic: str
    costed: Costed
    table: Table

    @property
    def place(self) -> str:
        """How messages call it."""
        return self.table.place

    @property
    def query(self) -> Statistic:
        """The query alone."""
        return self.costed.query


def question(table: Table, total: Offer | None) -> Question:
    """The question that a table of a study asks.

    Args:
        table: the keys name, statistic, those of the statistic, and a cost.
        total: what a share is a share of.

    Raises:
        BadArgument: a key is unknown, does not go with the statistic, or has a value that cannot be meant.
    """
    common = ("name", "statistic", "share", *FORMS)
    table.only((*common, *READERS))
    name = table.get("name", reading.name)
    named = dataclasses.replace(table, place=f"{table.place} {name!r}" if table.place else "")
    return Question(name, named.get("statistic", _statistic), Costed(_query(named), _offer(named, total)), named)


def keys_of(statistic: str) -> tuple[str, ...]:
    """The keys that a statistic knows.

    >>> keys_of("count")
    ('where', 'weight', 'max_records', 'by', 'groups', 'max_groups')
    """
    fields = {field.name for field in dataclasses.fields(STATISTICS[statistic])}
    return tuple(key for key in READERS if key in fields)


def _statistic(value: Any) -> str:
    if not isinstance(value, str) or value not in STATISTICS:
        near = _validate.did_you_mean(value, STATISTICS)
        raise BadArgument(f"must be one of {', '.join(STATISTICS)}, got {value!r}{near}")
    return str(value)


def _query(table: Table) -> Statistic:
    statistic = table.get("statistic", _statistic)
    known = keys_of(statistic)
    for key in READERS:
        if key in table.values and key not in known:
            raise BadArgument(f"{table.at(key)} does not go with a {statistic}, which knows {', '.join(known)}")
    make = STATISTICS[statistic]
    for field in dataclasses.fields(make):
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and field.name not in table.values:
            raise BadArgument(f"{table.at(field.name)} is missing: a {statistic} needs it")
    fields = {key: table.get(key, READERS[key]) for key in known if key in table.values}
    with table.blamed(*READERS):
        return make(**fields)


def _offer(table: Table, total: Offer | None) -> Offer:
    forms = {key: table.get(key, reading.number) for key in FORMS if key in table.values}
    if "share" not in table.values:
        if not forms:
            raise BadArgument(
                f"{table.place} has no cost: give {table.at('share')} of the study's [cost], or {_own(table)}"
            )
        with table.blamed():
            return offered(forms)
    if forms:
        raise BadArgument(f"{table.at('share')} and {table.at(next(iter(forms)))} are two costs; keep one")
    if total is None:
        raise BadArgument(
            f"{table.at('share')} is a share of the study's [cost], which is missing; or give {_own(table)}"
        )
    with table.blamed():
        return offered(dict(total.form), table.get("share", _share))


def _own(table: Table) -> str:
    rho, epsilon, delta, multiplier = map(table.at, FORMS)
    return f"{rho}, {epsilon} (with {delta} or alone) or {multiplier}"


def _share(value: Any) -> Fraction:
    """As it is written: 0.1 is a tenth."""
    share = Fraction(str(reading.number(value)))
    if not 0 < share <= 1:
        raise BadArgument(f"must be a number above 0 and at most 1, got {value!r}")
    return share
