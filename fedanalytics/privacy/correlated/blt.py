"""Buffered linear Toeplitz strategies: noise that remembers every round, in a few fading buffers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar

import numpy as np

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.correlated.feedback import Buffers, point_for, slack
from fedanalytics.privacy.correlated.fitting import Objective, descend
from fedanalytics.privacy.correlated.schedule import Schedule
from fedanalytics.privacy.correlated.series import Floats
from fedanalytics.privacy.correlated.strategy import METRICS, Metric
from fedanalytics.privacy.correlated.toeplitz import Toeplitz
from fedanalytics.privacy.correlated.workload import PREFIX_SUMS, Workload
from fedanalytics.privacy.events import round_down, round_up

_UP = 1 + 2.0**-45  # more than powers, products and a sum of few terms can be off
_TINY = 2.0**-600  # more than can be lost to underflow
_FINE = 2.0**24  # parameters are rounded to its inverse, so that a descent ends at the same ones elsewhere
_DRAWN = 31  # bits of a fresh draw; wider ones take longer
_MOST_BUFFERS = 16


@dataclass(frozen=True)
class BLT(Toeplitz):
    """C with c_i = sum_j scale_j decay_j^(i-1): a band for every round, at the memory of a few vectors.

    With scales that are positive, coefficients fall, and the sensitivity of any schedule is known (McMahan, Xu, Zhang
    2024, arXiv 2408.08868; Dvijotham, McMahan, Pillutla, Steinke, Thakurta 2024, arXiv 2404.16706).

    Attributes:
        scales: omega_j > 0; their sum c_1 is at most 1 if a client takes part more than once.
        decays: theta_j in [0, 1).

    Raises:
        BadArgument: the numbers are not such.

    Example:
        >>> from fedanalytics.privacy.correlated import Banded
        >>> schedule = Schedule(rounds=2000)
        >>> blt = BLT.optimised(schedule, buffers=3)
        >>> blt.memory, round(blt.loss(), 3), round(Banded.square_root(schedule, 2000).loss(), 3)
        (3, 3.274, 3.324)
    """

    kind: ClassVar[str] = "blt"
    scales: tuple[float, ...] = (0.5,)
    decays: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        pairs = tuple(self.scales), tuple(self.decays)
        known = all(_validate.real(number) for side in pairs for number in side)
        if not (known and 0 < len(pairs[0]) == len(pairs[1]) <= _MOST_BUFFERS):
            raise BadArgument(f"scales= and decays= are as many numbers, 1 to {_MOST_BUFFERS}; got {pairs!r}")
        if not (all(0 < w < math.inf for w in pairs[0]) and all(0 <= t < 1 for t in pairs[1])):
            raise BadArgument(f"scales= must be positive and decays= in [0, 1), got {pairs!r}")
        if self.schedule.participations > 1 and sum(pairs[0]) * _UP > 1:
            raise BadArgument(
                f"scales= add up to {sum(pairs[0]):.6g}: more than 1 would make the second coefficient larger than the "
                "first, and then no sensitivity is known for participations above 1"
            )
        object.__setattr__(self, "scales", tuple(map(float, pairs[0])))
        object.__setattr__(self, "decays", tuple(map(float, pairs[1])))

    @classmethod
    def optimised(
        cls, schedule: Schedule, buffers: int = 4, workload: Workload = PREFIX_SUMS, metric: Metric = "rms"
    ) -> BLT:
        """The parameters of the least loss that a descent finds from a fit to the square root of the workload.

        Raises:
            BadArgument: not 1 to 16 buffers, or an unknown metric.
        """
        _validate.one_of(METRICS, metric=metric)
        if _validate.whole(buffers=buffers) > _MOST_BUFFERS:
            raise BadArgument(f"buffers={buffers} are more than {_MOST_BUFFERS}; four are as good as any number")
        return _optimised(schedule, int(buffers), workload, metric)

    @cached_property
    def column(self) -> tuple[float, ...]:
        """Each coefficient rounded up, and still falling: a sensitivity grows with each."""
        powers = np.array(self.decays)[:, None] ** np.arange(self.schedule.rounds - 1)
        falling = np.minimum.accumulate(np.array(self.scales) @ powers * _UP + _TINY)
        return (1.0, *falling.tolist())

    @property
    def memory(self) -> int:
        return len(self.scales)

    def stream(self, noise_multiplier: float, norm: float, size: int) -> Buffers:
        """In fixed point, whose rounding is paid for by a little more noise: see `feedback`."""
        _validate.whole(size=size)
        least = round_up(_validate.positive(noise_multiplier=noise_multiplier) * _validate.positive(norm=norm))
        rounds, most = self.schedule.rounds, 2 * least
        bits = min(max(_DRAWN - math.ceil(math.log2(most)), 0), 16)
        point = point_for(self.decays, np.array(self.column), rounds, most)
        eta = 2 * slack(self.scales, self.decays, rounds, bits, point)
        own = round_down(math.sqrt(self.sensitivity_squared))
        sigma = least + noise_multiplier * eta * math.sqrt(rounds * size) / own
        if point < 0:
            raise BadArgument("the noise is too large for 64 bits: choose a coarser grid for the sums")
        if sigma > most or eta > 2:
            raise BadArgument(
                f"norm={norm!r} grid steps are too few for {rounds} rounds of {size} numbers, whose roundings cost "
                "as much as they do: choose a finer grid, or Banded, which is exact on any"
            )
        deviation = math.ldexp(round_up(sigma), bits)
        return Buffers(self.to_json(), rounds, size, deviation, bits, self.scales, self.decays, point)


@lru_cache(maxsize=64)
def _optimised(schedule: Schedule, buffers: int, workload: Workload, metric: Metric) -> BLT:
    objective = Objective(schedule, workload, metric)
    start = _start(workload.square_root(schedule.rounds)[1:], buffers)
    bounds = [(-20.0, 10.0)] * buffers + [(-16.0, 0.0)] * buffers
    scales, gaps = _parameters(descend(lambda at: _value(objective, at), start, bounds))
    scales = np.maximum(np.floor(scales * _FINE), 1) / _FINE
    gaps = np.clip(np.rint(gaps * _FINE), 1, _FINE) / _FINE
    return BLT(schedule, tuple(scales.tolist()), tuple((1 - gaps).tolist()))


def _value(objective: Objective, at: Floats) -> tuple[float, Floats]:
    """The objective and its gradient in what `_parameters` takes."""
    scales, gaps = _parameters(at)
    powers = np.arange(objective.schedule.rounds - 1)
    fading = (1 - gaps)[:, None] ** powers
    slopes = np.zeros_like(fading)
    slopes[:, 1:] = powers[1:] * fading[:, :-1]
    found, gradient = objective(np.concatenate([[1.0], scales @ fading]))
    by_scale, by_decay = fading @ gradient[1:], scales * (slopes @ gradient[1:])
    return found, np.concatenate([scales * (by_scale - scales @ by_scale), -gaps * by_decay])


def _parameters(at: Floats) -> tuple[Floats, Floats]:
    """The scales e^(r_j) / (1 + e^(r_1) + ...), which add up to less than 1, and 1 - theta_j = e^(s_j)."""
    grown = np.exp(at)
    weights, gaps = np.split(grown, 2)
    return weights / (1 + weights.sum()), gaps


def _start(root: Floats, buffers: int) -> Floats:
    """Gaps from 1/2 down to one over the rounds, and the scales that fit the square root best."""
    from scipy.optimize import nnls  # noqa: PLC0415  # scipy is slow to import

    rounds = len(root) + 1
    gaps = np.geomspace(max(1 / rounds, 2.0**-20), 0.5, buffers) if buffers > 1 else np.array([max(rounds, 2) ** -0.5])
    scales = nnls(((1 - gaps)[:, None] ** np.arange(rounds - 1)).T, root)[0] if len(root) else np.full(buffers, 0.1)
    scales = np.maximum(scales, 1e-6)
    scales *= min(0.95 / scales.sum(), 1)
    start: Floats = np.log(np.concatenate([scales / (1 - scales.sum()), gaps]))
    return start
