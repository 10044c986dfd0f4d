"""How many clients (or records) fall into each bin, privately."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from fedanalytics.errors import BadArgument
from fedanalytics.round.blocks import Encoder
from fedanalytics.round.one_hot import OneHot, OneOf
from fedanalytics.round.records import RecordCounts
from fedanalytics.round.work import identifier, literal
from fedanalytics.statistics.statistic import Statistic, column_of, keep, literal_number, one_meaning


@dataclass(frozen=True)
class Histogram(Statistic):
    """Counts per bin, either of numbers between `edges` or of `categories`; both are public and given.

    Bins follow numpy: half-open, the last one closed. A value outside all bins, or not among the categories, does not
    count (use infinite outer edges to catch it). A client counts once, in the bin of its `per_client` value, by default
    ``avg(column)``; categories have no default: say ``per_client="min(carrier)"``, or weight="record". With
    weight="record" every record counts, at most `max_records` of a client (more are scaled down).

    Formal guarantee: one bin of one client moves by at most 1: L1 and L2 sensitivity 1 under add-or-remove-one, L2
    sqrt(2) under replace-one; with records max_records and sqrt(2) max_records. Counts are unbiased, may be negative,
    and are not forced to add up; each interval covers its bin's noise exactly.

    Attributes:
        column: the column.
        edges: at least two increasing numbers.
        categories: names or numbers.
        per_client: an SQL aggregate that mentions the column.

    Example:
        >>> Histogram("temp", edges=(0, 50, 100)).labels
        ('[0, 50)', '[50, 100]')
    """

    column: str
    edges: Sequence[float] | None = None
    categories: Sequence[str | float] | None = None
    per_client: str | None = None

    def __post_init__(self) -> None:
        if (self.edges is None) == (self.categories is None):
            raise BadArgument("a histogram needs either edges= (numbers) or categories= (names), one of them")
        for name in ("edges", "categories"):
            if (values := getattr(self, name)) is not None:
                keep(self, **{name: _listed(name, values)})
        if self.edges is not None:
            keep(self, edges=OneHot(tuple(self.edges)).edges)
        super().__post_init__()

    @property
    def encoder(self) -> Encoder:
        bins = OneHot(tuple(self.edges)) if self.edges is not None else OneOf(tuple(self.categories or ()))
        return bins if self.max_records is None else RecordCounts(bins.size, self.max_records)

    @property
    def parts(self) -> tuple[str, ...]:
        one_meaning(self, self.per_client)
        if self.max_records is not None:
            return tuple(f"count(*) FILTER (WHERE {condition})" for condition in self._conditions())
        if self.categories is not None and self.per_client is None:
            raise BadArgument(
                f"a client may hold several values of {self.column!r}: say which counts,"
                f' per_client="min({self.column})", or count records, weight="record", max_records=...'
            )
        return (column_of(self.column, self.per_client, "avg"),)

    @property
    def labels(self) -> tuple[str | float, ...] | None:
        if self.edges is None:
            return tuple(self.categories or ())
        ends = [f"[{a:g}, {b:g})" for a, b in itertools.pairwise(self.edges)]
        return (*ends[:-1], ends[-1][:-1] + "]")

    @property
    def magnitude(self) -> float | None:
        finite = [abs(e) for e in self.edges or () if math.isfinite(e)]
        return (max(finite) or None) if finite and self.max_records is None else None

    def _conditions(self) -> tuple[str, ...]:
        name = identifier(self.column)
        if self.edges is None:
            return tuple(f"{name} = {literal(category)}" for category in self.categories or ())
        last = len(self.edges) - 2
        return tuple(
            " AND ".join(
                [f"{name} >= {low!r}"] * math.isfinite(low)
                + [f"{name} {'<=' if i == last else '<'} {high!r}"] * math.isfinite(high)
                or [f"{name} IS NOT NULL"]
            )
            for i, (low, high) in enumerate(itertools.pairwise(self.edges))
        )


def _listed(name: str, values: Sequence[str | float]) -> tuple[str | float, ...]:
    if isinstance(values, str):
        raise BadArgument(f"{name}= must be a list, got the text {values!r}")
    try:
        return tuple(v if isinstance(v, str) else literal_number(v) for v in values)
    except TypeError:
        raise BadArgument(f"{name}= must be a list, got {values!r}") from None


histogram = Histogram
