"""Subset selection: a report names w bins, mostly the true one among them."""

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
from fedanalytics.privacy.local.frequencies import FrequencyMechanism
from fedanalytics.privacy.relations import Relation

_LAST = np.uint64(2**64 - 1)


@dataclass(frozen=True)
class SubsetResponse(FrequencyMechanism):
    """`size` of d = bins + 1 bins, the true one among them but for a probability `miss`; the others uniformly.

    Null is a bin of its own, the last, as in `KaryResponse`, which this is for size 1. No
    mechanism is better by more than a constant at any epsilon and number of bins (Ye and Barg 2018, arXiv 1702.00610).

    Privacy: a set of w bins has the probability (1 - miss) / C(d-1, w-1) if it holds the true bin, miss / C(d-1, w) if
    not: the odds of any two values are (1 - miss) (d - w) / (miss w).

    Attributes:
        size: w, from 1 to bins.
        miss: in (0, 1), such that a set is likelier with the true bin than without.
    """

    size: int
    miss: float

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "size", _validate.whole(size=self.size))
        object.__setattr__(self, "miss", _validate.probability(miss=self.miss))
        if self.size > self.bins or self.odds() <= 1:
            raise BadArgument(
                f"size={self.size} of {self.columns} bins, null among them, with miss={self.miss!r} tells nothing"
            )

    @property
    def columns(self) -> int:
        return self.bins + 1

    @property
    def true(self) -> Fraction:
        return 1 - Fraction(self.miss)

    @property
    def false(self) -> Fraction:
        return (self.size - self.true) / self.bins

    def odds(self, relation: Relation = Relation.REPLACE_ONE) -> Fraction:
        hiding_values(relation)
        return self.true * (self.columns - self.size) / ((1 - self.true) * self.size)

    def _reports(self, held: Integers, stream: Keystream) -> npt.NDArray[np.uint8]:
        missed = coins.flips(self.miss, len(held), stream)
        rows = self._others(held % self.columns, self.size - 1 + missed, stream)
        rows[np.arange(len(held)), held % self.columns] = ~missed
        return rows.view(np.uint8)

    def _others(self, own: Integers, wanted: Integers, stream: Keystream) -> npt.NDArray[np.bool_]:
        """Uniform sets of `wanted` columns other than one's own, shape (n, columns): those of the smallest words.

        Words that are equal at the boundary leave a set too large: the row is drawn again, which favours no set.
        """
        words = coins.keys(len(own), self.columns, stream)
        words[np.arange(len(own)), own] = _LAST
        kth = np.unique([max(self.size - 2, 0), self.size - 1])
        ordered = np.partition(words, kth, axis=1)
        least = np.take_along_axis(ordered, np.maximum(wanted - 1, 0)[:, None], axis=1)
        rows: npt.NDArray[np.bool_] = (words <= least) & (wanted > 0)[:, None]
        again = np.flatnonzero(rows.sum(axis=1) != wanted)
        if len(again):
            rows[again] = self._others(own[again], wanted[again], stream)
        return rows
