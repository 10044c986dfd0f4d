"""Hadamard response: a report is one index, whatever the number of bins."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.privacy.events import Event, RandomizedResponse
from fedanalytics.privacy.events.local import hiding_values
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.local import coins
from fedanalytics.privacy.local.coins import Integers
from fedanalytics.privacy.local.frequencies import FrequencyMechanism, one_hot
from fedanalytics.privacy.relations import Relation


@dataclass(frozen=True)
class HadamardResponse(FrequencyMechanism):
    """An index into row bin + 1 of the Hadamard matrix of order K, the least power of two above `bins`.

    Uniform among the K/2 indices where the row is +1, or among the others, as a coin says that is +1 with probability
    p = 1 - noise / 2; null answers uniformly among all K (Acharya, Sun, Zhang 2019, AISTATS, arXiv
    1802.04705; here with one block). Different rows of the matrix are orthogonal and rows from 1 on sum to 0: a
    report is +1 in another client's row, or in any row when it comes from null, with probability 1/2. So nulls leave
    the counts unbiased, with p and q = 1/2.

    Privacy: a report has the probability 2 p / K or 2 (1 - p) / K for a value, 1 / K for null: the losses are those of
    binary randomised response with this noise, under either relation.

    Attributes:
        bins: at least 2; for one, binary randomised response (`KaryResponse`) is as short.
        noise: in (0, 1).

    Example:
        >>> HadamardResponse(bins=100, noise=0.5).columns
        128
    """

    noise: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.whole(2, bins=self.bins)
        object.__setattr__(self, "noise", _validate.probability(noise=self.noise))

    @property
    def columns(self) -> int:
        return 1 << self.bins.bit_length()

    @property
    def true(self) -> Fraction:
        return 1 - Fraction(self.noise) / 2

    @property
    def false(self) -> Fraction:
        return Fraction(1, 2)

    def odds(self, relation: Relation = Relation.REPLACE_ONE) -> Fraction:
        p = self.true
        return p / (1 - p) if hiding_values(relation) is Relation.REPLACE_ONE else max(2 * p, 1 / (2 - 2 * p))

    def event(self, relation: Relation = Relation.REPLACE_ONE) -> Event:
        """Binary randomised response."""
        return RandomizedResponse(self.noise, 2, hiding_values(relation))

    def answers(self, held: Integers, stream: Keystream) -> Integers:
        """The index that each report is: all that a client has to send."""
        index = coins.below(self.columns, len(held), stream)
        minus = coins.flips(self.noise / 2, len(held), stream)
        row = held + 1
        moved = np.bitwise_count(index & row) % 2 != minus
        return np.where(moved, index ^ (row & -row), index)  # one bit of the row, to the other half; none for null

    def _reports(self, held: Integers, stream: Keystream) -> npt.NDArray[np.uint8]:
        return one_hot(self.columns, self.answers(held, stream))

    def _sums(self, held: Integers, stream: Keystream) -> Integers:
        return np.bincount(self.answers(held, stream), minlength=self.columns)

    def _supports(self, sums: Integers, reports: int) -> Integers:
        return (reports + _transformed(sums)[1 : self.bins + 1]) // 2


def _transformed(vector: Integers) -> Integers:
    """The Hadamard matrix (Sylvester's, H[i, j] = (-1)^popcount(i & j)) times the vector, exactly."""
    half = 1
    while half < len(vector):
        pairs = vector.reshape(-1, 2, half)
        vector = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).ravel()
        half *= 2
    return vector
