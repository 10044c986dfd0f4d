"""Randomised response: the client itself answers at random, sometimes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.events.event import Pure, round_up
from fedanalytics.privacy.relations import Relation


@dataclass(frozen=True)
class RandomizedResponse(Pure):
    """k-ary randomised response: with probability `noise_parameter` a uniform bucket, else the true one.

    Under replace-one, e^epsilon = 1 + k (1 - p)/p: the likeliest bucket over the others (Warner 1965; Kairouz,
    Bonawitz, Ramage 2016, Section 3). Under zero-out, where null answers uniformly at random, e^epsilon is the greater
    of p + k (1 - p) and 1/p, whose product is the first figure: as both are at least 1, neither exceeds it.

    Attributes:
        noise_parameter: p, in (0, 1].
        num_buckets: k >= 2.
        relation: replace-one or zero-out. It does not hide that a client answered.

    Raises:
        BadArgument: a field is not as above.
    """

    kind: ClassVar[str] = "randomized-response"
    noise_parameter: float
    num_buckets: int
    relation: Relation = Relation.REPLACE_ONE

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise_parameter", _validate.rate(noise_parameter=self.noise_parameter))
        object.__setattr__(self, "num_buckets", int(_validate.whole(2, num_buckets=self.num_buckets)))
        object.__setattr__(self, "relation", Relation(self.relation))
        if self.relation is Relation.ADD_OR_REMOVE_ONE:
            raise BadArgument(
                "randomised response hides what a client answered, not that it did: it holds under replace-one or "
                "zero-out, not add-or-remove-one"
            )

    @property
    def epsilon(self) -> Fraction:
        p, k = Fraction(self.noise_parameter), self.num_buckets
        first = p + k * (1 - p)
        odds = first / p if self.relation is Relation.REPLACE_ONE else max(first, 1 / p)
        if odds < 1e300:
            return Fraction(round_up(math.log1p(odds - 1)))
        return Fraction((math.log(odds.numerator) - math.log(odds.denominator)) * (1 + 2.0**-40))  # beyond a float

    def part(self, share: Fraction) -> RandomizedResponse:
        """With share * epsilon: the odds of the formulas above, solved for p."""
        k, odds = self.num_buckets, math.exp(float(self.epsilon) * float(share))
        alone = max((k - odds) / (k - 1), 1 / odds)
        p = k / (k + odds - 1) if self.relation is Relation.REPLACE_ONE else alone
        return replace(self, noise_parameter=min(round_up(p), 1.0))
