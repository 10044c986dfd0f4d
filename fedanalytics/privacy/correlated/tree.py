"""Binary trees of noisy sums: the classical strategy, with Honaker's estimator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.correlated.schedule import Schedule
from fedanalytics.privacy.correlated.series import Floats
from fedanalytics.privacy.correlated.strategy import METRICS, Metric, Strategy
from fedanalytics.privacy.correlated.stream import Integers, Noise, Stream, frozen
from fedanalytics.privacy.correlated.workload import PREFIX_SUMS, Workload
from fedanalytics.privacy.events import Event, Gaussian, TreeAggregation, round_down, round_up
from fedanalytics.privacy.relations import Relation

_BITS = 16  # of the estimator's weights
_BLOCK = 1 << 22  # numbers that are held at a time


@dataclass(frozen=True)
class Tree(Strategy):
    """A noisy sum of every dyadic interval of rounds; a new tree begins after every `period` rounds.

    The estimate of an interval is its own noisy sum weighted with those of its halves, as they are estimated
    themselves, so that the variance is least: 1 / (2 - 2^-h) at height h (Honaker 2015; Kairouz et al. 2021, arXiv
    2103.00039, Appendix B). Prefix sums add up the estimates of at most log2(period) intervals.

    Attributes:
        period: from 1 to `rounds`.

    Raises:
        BadArgument: `period` is not such.

    Example:
        >>> from fedanalytics.privacy.correlated import Banded
        >>> schedule = Schedule(rounds=200)
        >>> round(Banded.independent(schedule).loss() / Tree.best(schedule).loss(), 2)
        2.37
    """

    kind: ClassVar[str] = "tree"
    period: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "period", _validate.whole(period=self.period))
        if self.period > self.schedule.rounds:
            raise BadArgument(f"period={self.period} exceeds rounds={self.schedule.rounds}")

    @classmethod
    def best(cls, schedule: Schedule, workload: Workload = PREFIX_SUMS, metric: Metric = "rms") -> Tree:
        """One tree, or one per separation, or one less than a power of two (which saves a level): what loses least."""
        _validate.one_of(METRICS, metric=metric)
        full = {2**height - 1 for height in range(1, schedule.rounds.bit_length() + 1)}
        periods = sorted({schedule.rounds, schedule.separation} | {p for p in full if p <= schedule.rounds})
        return min((cls(schedule, period) for period in periods), key=lambda tree: tree.loss(metric, workload))

    @cached_property
    def sensitivity_squared(self) -> Fraction:
        """At each height, k participations are spread over nodes that hold at most ceil(2^h / separation) each.

        Counts n_1, n_2, ... that add up to k and are at most m each have n_1^2 + n_2^2 + ... <= k m; so do the squared
        norms of the sums of that many contributions of norm 1. For one participation it is the number of levels.
        """
        count, apart = self.schedule.participations, self.schedule.separation
        levels = range(self.period.bit_length())
        return Fraction(count * sum(min(count, -(-(1 << height) // apart)) for height in levels))

    @property
    def memory(self) -> int:
        return self.period.bit_length()

    def event(self, noise_multiplier: float, relation: Relation = Relation.ADD_OR_REMOVE_ONE) -> Event:
        """A tree for every participation, if a tree sees a client once; else the Gaussian event that it comes to."""
        count = self.schedule.participations
        if self.sensitivity_squared == count * self.period.bit_length():
            once = TreeAggregation(noise_multiplier, relation, self.period)
            return once if count == 1 else once.repeated(count)
        return Gaussian(round_down(noise_multiplier / math.sqrt(self.sensitivity_squared)), relation)

    def errors(self, workload: Workload = PREFIX_SUMS) -> Floats:
        if workload != PREFIX_SUMS:
            return self._errors_by_draw(workload)
        variances = [_variance(height) for height in range(self.period.bit_length())]
        within = np.array([sum(variances[h] for h in _ones(done)) for done in range(self.period + 1)])
        done = np.arange(1, self.schedule.rounds + 1)
        errors: Floats = np.sqrt(done // self.period * within[-1] + within[done % self.period])
        return errors

    def stream(self, noise_multiplier: float, norm: float, size: int) -> Nodes:
        """Exact, in integers: see `Nodes`."""
        sigma = round_up(_validate.positive(noise_multiplier=noise_multiplier) * _validate.positive(norm=norm))
        return Nodes(self.to_json(), self.schedule.rounds, size, sigma, self.period)

    def _errors_by_draw(self, workload: Workload) -> Floats:
        """What each single draw does to every s_t, squared and added up, some draws at a time."""
        rounds = self.schedule.rounds
        counts = [_draws(t % self.period) for t in range(rounds)]
        starts = np.concatenate([[0], np.cumsum(counts)]).tolist()
        squares, width = np.zeros(rounds), max(_BLOCK // rounds, 1)
        for first in range(0, starts[-1], width):
            noise = np.zeros((rounds, width))
            rows: tuple[Floats, ...] = ()
            for t in range(rounds):
                fresh = (np.arange(starts[t], starts[t + 1])[:, None] == first + np.arange(width)).astype(float)
                before = sum(rows, np.zeros(width))
                rows = _grown(rows, fresh, t % self.period, _mean)
                noise[t] = sum(rows, np.zeros(width)) - before
                rows = rows if (t + 1) % self.period else ()
            squares += (_filtered(workload, noise) ** 2).sum(axis=1)
        return np.sqrt(squares)


@dataclass(frozen=True)
class Nodes(Stream):
    """The noise of a tree: the rows are the estimated noise of the intervals that the rounds so far consist of.

    Formal guarantee: with S_n the integer sum and z_n = round(N(0, sigma^2)) the noise of an interval n, S_n + z_n =
    round(S_n + N(0, sigma^2)), jointly a post-processing of the event's mechanism. The estimate of n from its halves l
    and r, E_n = floor((w y_n + (2^16 - w) (E_l + E_r)) / 2^16 + 1/2) with y_n = z_n, moves by exactly S_n if y_n, E_l
    and E_r are moved by S_n, S_l and S_r, as S_n = S_l + S_r is whole. So the sums plus the estimated noise are what
    the same rule makes of the noisy sums: a function of them alone. A round releases the difference of two of those.

    (64 bits hold all that, while no normal variable exceeds 64 deviations; see `feedback`.)
    """

    period: int

    def draws(self, round_: int) -> int:
        return _draws(round_ % self.period)

    def kept(self, round_: int) -> int:
        return (round_ % self.period).bit_count()

    def step(self, rows: tuple[Integers, ...], fresh: Noise, round_: int) -> tuple[tuple[Integers, ...], Noise]:
        grown = _grown(rows, fresh, round_ % self.period, _rounded_mean)
        noise = sum(grown, np.zeros(self.size, np.int64)) - sum(rows, np.zeros(self.size, np.int64))
        return tuple(map(frozen, grown)) if (round_ + 1) % self.period else (), noise


def _draws(before: int) -> int:
    """The round itself, and every interval that it completes, after `before` rounds of a tree."""
    return 1 + (before ^ (before + 1)).bit_length() - 1


def _grown(rows: Any, fresh: Any, before: int, mean: Callable[[int, Any, Any], Any]) -> Any:
    """The intervals after one more round: halves of equal height are joined, as ones are when a counter counts."""
    node, rows = fresh[0], list(rows)
    for height in range(1, _draws(before)):
        node = mean(height, fresh[height], rows.pop() + node)
    return (*rows, node)


def _mean(height: int, own: Any, halves: Any) -> Any:
    share = _weight(height) / (1 << _BITS)
    return share * own + (1 - share) * halves


def _rounded_mean(height: int, own: Noise, halves: Noise) -> Noise:
    weight = _weight(height)
    return (own * weight + halves * ((1 << _BITS) - weight) + (1 << _BITS - 1)) >> _BITS


def _weight(height: int) -> int:
    """Of the own noisy sum, over 2^16: its variance is 1, that of the halves together 1 / (1 - 2^-h)."""
    return round((1 << _BITS) / (2 - 0.5**height))


def _variance(height: int) -> float:
    """Of an estimate, by the rounded weights."""
    if height == 0:
        return 1.0
    share = _weight(height) / (1 << _BITS)
    return share**2 + 2 * (1 - share) ** 2 * _variance(height - 1)


def _ones(number: int) -> list[int]:
    return [height for height in range(number.bit_length()) if number >> height & 1]


def _filtered(workload: Workload, noise: Floats) -> Floats:
    """The workload of each column."""
    from scipy.signal import lfilter  # noqa: PLC0415  # scipy is slow to import

    denominator = np.convolve([1.0, -workload.momentum], [1.0, -workload.decay])
    found: Floats = lfilter([1.0], denominator, noise, axis=0)
    return found
