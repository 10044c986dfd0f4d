"""k-ary randomised response: a report names one bin, mostly the true one."""

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
class KaryResponse(FrequencyMechanism):
    """With probability `noise` a uniform bin, else the true one; null is a bin of its own, the last of d = bins + 1.

    Null answered uniformly over the other bins would leave the counts biased: all reports sum to n whatever the number
    of nulls, so no estimator could tell a null from a d-th of a client in each bin. For one bin this is binary
    randomised response, present or not.

    Privacy: the odds of any two values are those of the true bin over the others, 1 + d (1 - noise) / noise (Warner
    1965; Kairouz, Bonawitz, Ramage 2016, Section 3); against null too, which is a value like the others.

    Attributes:
        noise: in (0, 1).

    Example:
        >>> KaryResponse(bins=1, noise=0.5).epsilon()
        1.0986122886681...
    """

    noise: float

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "noise", _validate.probability(noise=self.noise))

    @property
    def columns(self) -> int:
        return self.bins + 1

    @property
    def true(self) -> Fraction:
        return 1 - Fraction(self.noise) + self.false

    @property
    def false(self) -> Fraction:
        return Fraction(self.noise) / self.columns

    def odds(self, relation: Relation = Relation.REPLACE_ONE) -> Fraction:
        hiding_values(relation)
        return self.true / self.false

    def event(self, relation: Relation = Relation.REPLACE_ONE) -> Event:
        """Randomised response under replace-one; under zero-out null answers otherwise than that event says."""
        if relation is Relation.REPLACE_ONE:
            return RandomizedResponse(self.noise, self.columns)
        return super().event(relation)

    def answers(self, held: Integers, stream: Keystream) -> Integers:
        """The column that each report names: all that a client has to send."""
        random = coins.flips(self.noise, len(held), stream)
        return np.where(random, coins.below(self.columns, len(held), stream), held % self.columns)

    def _reports(self, held: Integers, stream: Keystream) -> npt.NDArray[np.uint8]:
        return one_hot(self.columns, self.answers(held, stream))

    def _sums(self, held: Integers, stream: Keystream) -> Integers:
        return np.bincount(self.answers(held, stream), minlength=self.columns)
