"""What mean and variance share: bounded values whose first (and second) moment is summed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fedanalytics import _validate
from fedanalytics.round.blocks import Encoder
from fedanalytics.round.moments import Moments
from fedanalytics.round.records import RecordMoments
from fedanalytics.round.work import identifier
from fedanalytics.statistics.statistic import Statistic, clamped, column_of, keep, one_meaning


@dataclass(frozen=True)
class Moment(Statistic):
    """A query about the mean of z, and of z^2 if `order` is 2; see `Mean` and `Variance` for the fields."""

    order: ClassVar[int]
    column: str
    bounds: tuple[float, float]
    per_client: str | None = None
    count_weight: float = 0.2

    def __post_init__(self) -> None:
        keep(self, bounds=_validate.interval(bounds=self.bounds))
        super().__post_init__()

    @property
    def encoder(self) -> Encoder:
        one = Moments(*self.bounds, self.order, self.count_weight)
        return one if self.max_records is None else RecordMoments(one, self.max_records)

    @property
    def parts(self) -> tuple[str, ...]:
        """The value; over records k, the sum of z and (order 2) the sum of z^2."""
        one_meaning(self, self.per_client)
        value = column_of(self.column, self.per_client, "avg")
        if self.max_records is None:
            return (value,)
        lower, upper = self.bounds
        z = clamped(self.column, lower, upper, (lower + upper) / 2, (upper - lower) / 2)
        return (f"count({identifier(self.column)})", f"sum({z})", f"sum(({z}) * ({z}))")[: self.order + 1]

    @property
    def magnitude(self) -> float | None:
        return max(map(abs, self.bounds)) if self.max_records is None else None
