"""The variance of a bounded per-client value (or of bounded records), privately."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fedanalytics.statistics.moment import Moment


@dataclass(frozen=True)
class Variance(Moment):
    """The population variance, over the clients that contribute, of the per-client value clipped to `bounds`.

    Formal guarantee: a client contributes (z, 2 z^2 - 1, w) with |z| <= 1 and w^2 = count_weight: L2 sensitivity
    sqrt(2 + w^2) under add-or-remove-one, max(2 sqrt(2), sqrt(2 + w^2)) under replace-one. The rest as for `mean`.

    Attributes:
        column: the column.
        bounds: (lower, upper) of the per-client value (of one record), finite.
        per_client: an SQL aggregate that mentions the column.
        count_weight: w^2.

    Example:
        >>> Variance("temp", bounds=(0, 110)).block.encoder.size
        3
    """

    order: ClassVar[int] = 2
    count_weight: float = 0.5


variance = Variance
