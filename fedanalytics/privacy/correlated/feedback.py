"""Noise C^-1 z on integers: each round's fresh noise, less what the strategy feeds back from the rounds before.

Per coordinate, with x_t the integer sums, N_t independent standard normal and whole numbers H_t that depend on
u_0, ..., u_(t-1) alone:

    z_t = round(2^p sigma N_t),    u_t = floor((z_t - H_t) / 2^p + 1/2),    released: v_t = x_t + u_t.

**Claim 1.** Given v_0, ..., v_(t-1), what is released is a function of a Gaussian variable of deviation 2^p sigma and
mean 2^p x_t - H_t(v - x). *Proof.* v_t = floor((z_t + 2^p x_t - H_t) / 2^p + 1/2), as x_t is whole. And z_t + 2^p x_t -
H_t = round(2^p sigma N_t + 2^p x_t - H_t), as all but the first are whole. ∎

**Claim 2.** Let h_t(u) = c_1 u_(t-1) + c_2 u_(t-2) + ... and |H_t / 2^p - h_t| <= eta / 2 always. Then the run is
mu-GDP, with mu = (S D + eta sqrt(T d)) / sigma, where S is the sensitivity of C for contributions of norm 1, D the norm
of one contribution, T the rounds and d the size. *Proof.* Let x, x' be neighbours, and fix what was released. The means
over 2^p differ by (x - x')_t + h_t(x - x') = (C (x - x'))_t, as h is linear, and by at most eta. Over all t and
coordinates that is a vector of norm at most S D + eta sqrt(T d), wherever the adaptive choice of x leads: a Gaussian
mechanism, composed adaptively under a bound on the sum of the squared shifts (Denisov et al. 2022, arXiv 2202.08312,
Theorem 2.1; Smith and Thakurta 2022, arXiv 2210.17520). Claim 1 is post-processing. ∎

`Taps`: c_i are multiples of 2^-p, H_t = 2^p h_t, eta = 0: no float takes part. In fact all v_t are one function of the
integer vector 2^p C x + z, which is the rounded Gaussian mechanism on a finer grid (and a test computes it so).

`Buffers`: h_t = sum_j omega_j s_j with s_j <- theta_j s_j + u_t, in fixed point with f bits after the point; eta > 0 is
small and is paid for: sigma is raised until S D / sigma + eta sqrt(T d) / sigma is what the event says.

Both hold numbers in 64 bits, which suffices while no normal variable exceeds 64 deviations: they would have to be off
by that much with probability below 2^-2950 each. Beyond, nothing is claimed; delta grows by less than 2^-2900.

The floor puts the mean of a round 2^-(p+1) off, and rounding adds a variance of 1/12: a matter of grid steps.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.correlated.series import Floats, quotient
from fedanalytics.privacy.correlated.stream import Integers, Noise, Stream, frozen

FAR = 64  # deviations
_SAFE = 1 + 2.0**-20  # of bounds that were computed in floats
_SMALL, _WIDE = 2.0**31, 2.0**62
_HELD = 51  # bits of a buffer, so that its product with a float is off by less than a quarter


@dataclass(frozen=True)
class Feedback(Stream):
    """See the top of the file.

    Attributes:
        bits: p; fresh noise is drawn on the grid of 2^-p steps of the sums.
    """

    bits: int

    def draws(self, round_: int) -> int:  # noqa: ARG002  # every round is alike
        return 1

    def step(self, rows: tuple[Integers, ...], fresh: Noise, round_: int) -> tuple[tuple[Integers, ...], Noise]:  # noqa: ARG002
        noise = fresh[0] - self.fed_back(rows)
        noise += (1 << self.bits) >> 1
        noise >>= self.bits
        return self.remembered(rows, noise), noise

    @abstractmethod
    def fed_back(self, rows: tuple[Integers, ...]) -> Noise:
        """H_t, shape (size,)."""

    @abstractmethod
    def remembered(self, rows: tuple[Integers, ...], noise: Noise) -> tuple[Integers, ...]:
        """The rows for the next round."""


@dataclass(frozen=True)
class Taps(Feedback):
    """A strategy with few bands: the rows are the noise of the last rounds, the latest first.

    Attributes:
        weights: 2^p c_i for i = 1, 2, ..., whole numbers.

    Raises:
        BadArgument: the noise is so large that 64 bits do not hold what is computed.
    """

    weights: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not sum(map(abs, self.weights)) * self._reach + FAR * self.deviation < _WIDE:
            raise BadArgument("the noise is too large for 64 bits: choose a coarser grid for the sums")

    def kept(self, round_: int) -> int:
        return min(round_, len(self.weights))

    def fed_back(self, rows: tuple[Integers, ...]) -> Noise:
        total = np.zeros(self.size, np.int64)
        for weight, row in zip(self.weights, rows, strict=False):  # fewer rows at first
            total += np.multiply(row, weight, dtype=np.int64)
        return total

    def remembered(self, rows: tuple[Integers, ...], noise: Noise) -> tuple[Integers, ...]:
        latest: Integers = noise.astype(np.int32) if self._reach < _SMALL else noise
        return (frozen(latest), *rows)[: len(self.weights)]

    @cached_property
    def _reach(self) -> float:
        """What no |u_t| exceeds, by C u = z + roundings."""
        column = np.array([1.0, *self.weights]) * np.array([1.0, *[2.0**-self.bits] * len(self.weights)])
        return reach(_unit(self.rounds), column, self.deviation * 2.0**-self.bits)


@dataclass(frozen=True)
class Buffers(Feedback):
    """A buffered linear Toeplitz strategy: the rows are the s_j.

    Attributes:
        scales: omega_j.
        decays: theta_j.
        point: f; a row holds 2^f s_j.
    """

    scales: tuple[float, ...]
    decays: tuple[float, ...]
    point: int

    def kept(self, round_: int) -> int:
        return len(self.scales) if round_ else 0

    def fed_back(self, rows: tuple[Integers, ...]) -> Noise:
        total = np.zeros(self.size)
        for scale, row in zip(self.scales, rows, strict=False):  # none before round 0
            total += row * math.ldexp(scale, self.bits - self.point)
        return np.rint(total, out=total).astype(np.int64)

    def remembered(self, rows: tuple[Integers, ...], noise: Noise) -> tuple[Integers, ...]:
        latest = noise << self.point
        if not rows:
            return (frozen(latest),) * len(self.scales)
        return tuple(
            frozen(np.rint(row * decay).astype(np.int64) + latest) for decay, row in zip(self.decays, rows, strict=True)
        )


def slack(scales: tuple[float, ...], decays: tuple[float, ...], rounds: int, bits: int, point: int) -> float:
    """Half of eta for `Buffers`: a bound on |H_t / 2^p - h_t|, in grid steps.

    While a buffer stays below 2^51 of its steps 2^-f, a product with theta is off by a quarter of one and its rounding
    by a half: after all rounds by at most min(T, 1/(1 - theta)). The products with omega and their sum are off by at
    most (m + 1) 2^-53 2^51 of m such steps each, and the rounding of H by half of 2^-p.
    """
    steps = sum(w * (min(rounds, 1 / (1 - t)) + len(scales) + 2) for w, t in zip(scales, decays, strict=True))
    return (math.ldexp(steps, -point) + math.ldexp(0.5, -bits)) * _SAFE


def point_for(decays: tuple[float, ...], column: Floats, rounds: int, sigma: float) -> int:
    """The most bits f with which no buffer reaches 2^51 of its steps; negative if whole steps are too many."""
    powers = np.arange(rounds)
    most = max(reach(np.asarray(decay) ** powers, column, sigma) for decay in decays)
    return min(_HELD - math.ceil(math.log2(most)), 30) if math.isfinite(most) else -1


def reach(series: Floats, column: Floats, sigma: float) -> float:
    """What nothing that is computed from u by a series exceeds, for normal variables within 64 deviations.

    u = C^-1 (sigma N + r), where each r_t (two roundings, and half of eta <= 2) is at most 2 in magnitude. The sum over
    N is itself a normal variable.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # not finite where C^-1 grows without bound
        response = quotient(series, column)
        return float(FAR * sigma * np.sqrt(np.sum(response**2)) + 2 * np.abs(response).sum()) * _SAFE


def _unit(rounds: int) -> Floats:
    unit = np.zeros(rounds)
    unit[0] = 1
    return unit
