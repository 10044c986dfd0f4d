"""The sum of a bounded per-client value (or of bounded records), privately."""

from __future__ import annotations

from dataclasses import dataclass

from fedanalytics import _validate
from fedanalytics.round.blocks import Encoder
from fedanalytics.round.moments import Interval
from fedanalytics.round.records import RecordSum
from fedanalytics.round.work import identifier
from fedanalytics.statistics.statistic import Statistic, clamped, column_of, keep, one_meaning


@dataclass(frozen=True)
class Sum(Statistic):
    """The sum over clients of the per-client value, clipped to `bounds`.

    The per-client value is `per_client`, by default the client's own total ``sum(column)``. With weight="record" it is
    each record that is clipped to `bounds`, and at most `max_records` of a client count (more are scaled down).

    Formal guarantee: under add-or-remove-one, the L1 and L2 sensitivity is max(|lower|, |upper|) (times max_records);
    under replace-one the width of the bounds with 0 in them. Clipping bias is not in the interval, which covers the
    noise exactly.

    Attributes:
        column: the column.
        bounds: (lower, upper) of the per-client value (of one record), finite.
        per_client: an SQL aggregate that mentions the column.

    Example:
        >>> Sum("energy", bounds=(0, 50)).block.work.per_client
        'sum("energy")'
    """

    column: str
    bounds: tuple[float, float]
    per_client: str | None = None

    def __post_init__(self) -> None:
        keep(self, bounds=_validate.interval(bounds=self.bounds))
        super().__post_init__()

    @property
    def _one(self) -> Interval:
        return Interval(*self.bounds)

    @property
    def encoder(self) -> Encoder:
        return self._one if self.max_records is None else RecordSum(self._one, self.max_records)

    @property
    def parts(self) -> tuple[str, ...]:
        one_meaning(self, self.per_client)
        value = column_of(self.column, self.per_client, "sum")
        if self.max_records is None:
            return (value,)
        record = clamped(self.column, self._one.lower, self._one.upper, 0.0, self._one.magnitude)
        return (f"count({identifier(self.column)})", f"sum({record})")

    @property
    def magnitude(self) -> float | None:
        return self._one.magnitude if self.max_records is None else None


sum = Sum  # noqa: A001  # fa.sum is the name people look for
