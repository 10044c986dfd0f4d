"""What all local mechanisms have in common: exact odds, and what is stated of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.events import Event, round_up
from fedanalytics.privacy.events.local import LocalPure, hiding_values
from fedanalytics.privacy.relations import Relation

LEAST, MOST = 2.0**-20, 64.0  # epsilon: below, nothing is learned from a billion clients; above, nothing is hidden


@dataclass(frozen=True)
class Mechanism(ABC):
    """A randomiser of one client's value, with probabilities that are exactly those of its fields.

    Formal guarantee: for every pair of neighbouring values (see `fedanalytics.privacy.local`) and every set of
    reports, the probabilities differ by a factor of at most ``odds(relation)``, for ideal random bits.
    """

    @abstractmethod
    def odds(self, relation: Relation = Relation.REPLACE_ONE) -> Fraction:
        """The largest ratio of two neighbours' probabilities of one report: e^epsilon, exactly.

        Raises:
            BadArgument: the relation is add-or-remove-one.
        """

    def epsilon(self, relation: Relation = Relation.REPLACE_ONE) -> float:
        """What a client loses: the logarithm of the odds, rounded up.

        Raises:
            BadArgument: the relation is add-or-remove-one.
        """
        return round_up(math.log1p(self.odds(hiding_values(relation)) - 1))

    def event(self, relation: Relation = Relation.REPLACE_ONE) -> Event:
        """What a client's report was, to an accountant.

        Raises:
            BadArgument: the relation is add-or-remove-one.
        """
        return LocalPure(self.epsilon(relation), relation)


M = TypeVar("M", bound=Mechanism)


def least_noise(make: Callable[[float], M], noise: float, epsilon: float, relation: Relation) -> M:
    """``make(noise)``, with the noise raised by as few roundings as bring the stated epsilon down to `epsilon`.

    `noise` comes from a formula in floats; `make` must be the more private the greater it is.
    """
    step = 2.0**-52
    mechanism = make(noise)
    while mechanism.epsilon(relation) > epsilon:
        noise, step = noise * (1 + step), 2 * step
        mechanism = make(noise)
    return mechanism


def in_range(epsilon: float) -> float:
    """The epsilon as a float.

    Raises:
        BadArgument: it is not from 2^-20 to 64.
    """
    if not LEAST <= _validate.positive(epsilon=epsilon) <= MOST:
        raise BadArgument(f"epsilon= of a local report must be from 2**-20 to 64, got {epsilon!r}")
    return float(epsilon)
