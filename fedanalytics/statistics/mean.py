"""The mean of a bounded per-client value (or of bounded records), privately."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fedanalytics.statistics.moment import Moment


@dataclass(frozen=True)
class Mean(Moment):
    """The mean, over the clients that contribute, of the per-client value clipped to `bounds`.

    The per-client value is `per_client`, by default ``avg(column)``: every client counts once. With weight="record" it
    is the mean over records, each clipped to `bounds`, a client's weight capped at `max_records`.

    Formal guarantee: a client contributes (z, w), z = (x - middle) / half in [-1, 1] and w^2 = count_weight: L2
    sensitivity sqrt(1 + w^2) under add-or-remove-one, max(2, sqrt(1 + w^2)) under replace-one (times max_records;
    with records 2 sqrt(1 + w^2) max_records). The number of clients is private too. Estimated is the ratio of the two
    noisy sums, with Fieller's interval, clamped to the bounds; clipping bias is not in it.

    Attributes:
        column: the column.
        bounds: (lower, upper) of the per-client value (of one record), finite. Tight bounds buy accuracy.
        per_client: an SQL aggregate that mentions the column.
        count_weight: w^2; 1/5 is within 1.2 of the floor when the mean is within a tenth of the range of its middle.

    Example:
        >>> Mean("temp", bounds=(0, 110), where="origin = 'JFK'").block.work
        Sql(per_client='avg("temp")', where="origin = 'JFK'", magnitude=110.0)
    """

    order: ClassVar[int] = 1


mean = Mean
