"""Banded Toeplitz strategies: noise that remembers the last few rounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import ClassVar

import numpy as np

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.correlated.feedback import Taps
from fedanalytics.privacy.correlated.fitting import Objective, descend
from fedanalytics.privacy.correlated.schedule import Schedule
from fedanalytics.privacy.correlated.series import Floats
from fedanalytics.privacy.correlated.strategy import METRICS, Metric
from fedanalytics.privacy.correlated.toeplitz import Toeplitz
from fedanalytics.privacy.correlated.workload import PREFIX_SUMS, Workload
from fedanalytics.privacy.events import round_up

BITS = 8  # of the coefficients; the error at 8 is within 1e-3 of that at 53, and each bit more widens the fresh draws
_FINEST = 16


@dataclass(frozen=True)
class Banded(Toeplitz):
    """C with `bands` diagonals, the noise of a round made from its own draw and the noise of `bands` - 1 before.

    With no more bands than the separation, the columns of one client do not overlap, and k participations cost sqrt(k)
    times one (Choquette-Choo et al. 2023, arXiv 2306.08153). One band is independent noise.

    Attributes:
        coefficients: of C, from the diagonal down; multiples of 2^-16 (so that the noise is exact), the first 1.

    Raises:
        BadArgument: the coefficients are no such numbers, more than the rounds, or of an unknown sensitivity.

    Example:
        >>> schedule = Schedule(rounds=200, participations=5, separation=40)
        >>> independent, banded = Banded.independent(schedule), Banded.optimised(schedule, bands=32)
        >>> round(independent.loss() / banded.loss(), 2)
        3.48
    """

    kind: ClassVar[str] = "banded"
    coefficients: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", tuple(self.coefficients))
        event = self.event(1.0)  # checks the numbers
        fine = all((c * 2**_FINEST).is_integer() for c in event.coefficients)
        if not (fine and event.coefficients[0] == 1):
            raise BadArgument("coefficients= are multiples of 2^-16, the first of which is 1; round them")
        object.__setattr__(self, "coefficients", event.coefficients)

    @classmethod
    def independent(cls, schedule: Schedule) -> Banded:
        """Fresh noise each round, as in DP-FedAvg without sampling."""
        return cls(schedule)

    @classmethod
    def square_root(cls, schedule: Schedule, bands: int, workload: Workload = PREFIX_SUMS) -> Banded:
        """The leading coefficients of the square root of the workload (see `Workload.square_root`), rounded.

        Raises:
            BadArgument: not 1 <= bands <= rounds.
        """
        return cls(schedule, _rounded(workload.square_root(_bands(schedule, bands)), schedule))

    @classmethod
    def optimised(
        cls, schedule: Schedule, bands: int, workload: Workload = PREFIX_SUMS, metric: Metric = "rms"
    ) -> Banded:
        """The coefficients of the least loss that a descent from the square root finds; never worse than that.

        Raises:
            BadArgument: not 1 <= bands <= rounds, or an unknown metric.
        """
        _validate.one_of(METRICS, metric=metric)
        return _optimised(schedule, _bands(schedule, bands), workload, metric)

    @property
    def column(self) -> tuple[float, ...]:
        return self.coefficients

    @property
    def memory(self) -> int:
        return len(self.coefficients) - 1

    def stream(self, noise_multiplier: float, norm: float, size: int) -> Taps:
        """Exact, in integers: see `feedback`."""
        sigma = round_up(_validate.positive(noise_multiplier=noise_multiplier) * _validate.positive(norm=norm))
        bits = max(Fraction(c).denominator for c in self.coefficients).bit_length() - 1
        weights = tuple(round(math.ldexp(c, bits)) for c in self.coefficients[1:])
        return Taps(self.to_json(), self.schedule.rounds, size, math.ldexp(sigma, bits), bits, weights)


def _bands(schedule: Schedule, bands: int) -> int:
    if _validate.whole(bands=bands) > schedule.rounds:
        raise BadArgument(f"bands={bands} exceed rounds={schedule.rounds}: no round looks back that far")
    return int(bands)


@lru_cache(maxsize=64)
def _optimised(schedule: Schedule, bands: int, workload: Workload, metric: Metric) -> Banded:
    objective = Objective(schedule, workload, metric)

    def tail(rest: Floats) -> tuple[float, Floats]:
        value, gradient = objective(np.concatenate([[1.0], rest]))
        return value, gradient[1:]

    start = Banded.square_root(schedule, bands, workload)
    found = np.concatenate([[1.0], descend(tail, np.array(start.coefficients[1:]))])
    return min(start, Banded(schedule, _rounded(found, schedule)), key=lambda each: each.loss(metric, workload))


def _rounded(column: Floats, schedule: Schedule) -> tuple[float, ...]:
    """On the grid of 2^-8; also falling, where the columns of one client overlap and that has to be so."""
    rounded = np.rint(np.ldexp(column, BITS))
    if schedule.participations > 1 and len(column) > schedule.separation:
        rounded = np.minimum.accumulate(np.maximum(rounded, 0))
    return tuple(np.ldexp(rounded, -BITS).tolist())
