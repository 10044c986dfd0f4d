"""Unary encoding: one bit per bin, each flipped on its own."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.events.local import hiding_values
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.local import coins
from fedanalytics.privacy.local.coins import Integers
from fedanalytics.privacy.local.frequencies import NULL, FrequencyMechanism
from fedanalytics.privacy.relations import Relation


@dataclass(frozen=True)
class UnaryResponse(FrequencyMechanism):
    """Every bit is 1 with probability `other`, but that of the client's own bin is 0 with probability `lost`.

    Null has no bin of its own: all its bits are of the first kind.

    Privacy: a value and null differ in the law of one bit: the odds are the greater of (1 - lost) / other and
    (1 - other) / lost. Two values differ in two bits: the odds are the product of the two figures. With lost = 1/2
    this is optimised unary encoding (Wang, Blocki, Li, Jha 2017, Section 4.3), of least variance under replace-one for
    rare bins. Under zero-out that is the symmetric one, lost = other: to either side of it one of the two figures
    binds, and other (1 - other) / (1 - lost - other)^2 grows.

    Attributes:
        lost, other: in (0, 1), with a sum below 1.

    Example:
        >>> UnaryResponse(bins=4, lost=0.5, other=0.25).epsilon()
        1.0986122886681...
    """

    lost: float
    other: float

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lost", "other"):
            object.__setattr__(self, name, _validate.probability(**{name: getattr(self, name)}))
        if self.true <= self.false:
            raise BadArgument(f"lost={self.lost!r} and other={self.other!r} must have a sum below 1")

    @property
    def columns(self) -> int:
        return self.bins

    @property
    def true(self) -> Fraction:
        return 1 - Fraction(self.lost)

    @property
    def false(self) -> Fraction:
        return Fraction(self.other)

    def odds(self, relation: Relation = Relation.REPLACE_ONE) -> Fraction:
        ones, zeros = self.true / self.false, (1 - self.false) / (1 - self.true)
        both = hiding_values(relation) is Relation.REPLACE_ONE and self.bins > 1
        return ones * zeros if both else max(ones, zeros)

    def _reports(self, held: Integers, stream: Keystream) -> npt.NDArray[np.uint8]:
        rows = coins.flips(self.other, len(held) * self.bins, stream).reshape(len(held), self.bins)
        own = ~coins.flips(self.lost, len(held), stream)
        holders = np.flatnonzero(held != NULL)
        rows[holders, held[holders]] = own[holders]
        return rows.view(np.uint8)
