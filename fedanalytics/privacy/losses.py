"""One release's privacy loss distribution: how likely each loss is, on a grid, from above.

For neighbours whose outputs have the laws P and Q, the loss ln(P/Q) is drawn under P. Everything that an accountant
asks follows from it: delta(epsilon) = E[(1 - e^(epsilon - loss))+]. A loss between two points of the grid goes to both,
with weights that keep its mass under P *and* under Q: the chord through delta's values at the two points, as a function
of e^epsilon, which lies above that convex function (Doroshenko et al. 2022, arXiv 2207.04380, Algorithm 1). So the
distribution on the grid is pessimistic, also in composition, and off by a second-order term only: given the loss, the
step D to the grid has |D| <= step and E[e^-D] = 1. What lies beyond the grid is an infinite loss.

dp_accounting builds Gaussian and Laplace losses; what is read of it that is not public is read here, and nowhere else.
Everything else is a finite table of outcomes.

Floats: `slack` bounds what the roundings of the construction move, as a share of the mass of greater losses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, singledispatch
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.events import (
    Event,
    Gaussian,
    Laplace,
    PoissonSampled,
    Pure,
    RandomizedResponse,
    Skellam,
)
from fedanalytics.privacy.relations import Relation

Floats: TypeAlias = NDArray[np.float64]

LOST = 2.0**-70  # more than a loss below the grid's first point weighs under P: it is raised to that point
WIDEST = 2**18  # points of one grid
COARSEST = 8.0  # the widest step: e^step must stay far from overflow
_NOTHING = 1e-290  # a mass whose digits may be lost to underflow
_LAPLACE = 500  # the loss up to which the distribution functions are found without underflow
_TABLE = 2.0**28  # the variance up to which Skellam noise is tabulated: 2^14 standard deviations wide


@dataclass(frozen=True, eq=False)
class Losses:
    """Masses under P of the losses step * (first + i), i = 0, 1, ...; from above.

    Attributes:
        infinite: the mass of an infinite loss.
        slack: the share by which the mass above any loss may be off.
        raised: what a loss was raised by, at most, before it went to the grid.
    """

    step: float
    first: int
    masses: Floats
    infinite: float
    slack: float
    raised: float = 0.0

    def coarser(self) -> Losses:
        """The same on every second point: what lies between two of them goes to both, as above."""
        last = self.first + len(self.masses) - 1
        dense = np.zeros(last + last % 2 - (self.first - self.first % 2) + 1)
        dense[self.first % 2 :][: len(self.masses)] = self.masses
        up = 1 / (1 + math.exp(-self.step))  # (1 - e^-step) / (1 - e^(-2 step))
        between, even = dense[1::2], dense[::2].copy()
        even[:-1] += (1 - up) * between
        even[1:] += up * between
        first = (self.first - self.first % 2) // 2
        return _trimmed(2 * self.step, first, even, self.infinite, self.slack + 2.0**-50, raised=self.raised)


Pair: TypeAlias = tuple[Losses, Losses]
"""For the client's record removed (P has it) and added (Q has it); one and the same when they are alike."""


def known(atom: Event) -> bool:
    """Whether this file knows how the losses of an atom are distributed, and they fit on the coarsest grid."""
    inner = atom.of if isinstance(atom, PoissonSampled) else atom
    if isinstance(inner, Skellam) and not (inner.scalar and inner.variance <= _TABLE):
        return False
    if isinstance(inner, RandomizedResponse) and inner.noise_parameter / inner.num_buckets <= _NOTHING:
        return False
    if isinstance(inner, Laplace) and inner.epsilon > _LAPLACE:
        return False
    return isinstance(inner, Gaussian | Pure | Skellam) and _span(atom) <= COARSEST / 2 * WIDEST


def of(atom: Event, step: float) -> Pair:
    """Both directions on a grid of `step`, or of the least power of two times it on which they fit.

    Raises:
        BadArgument: the atom is not `known`.
    """
    if not known(atom):
        raise BadArgument(f"no privacy loss distribution is known for {atom!r}")
    while step * WIDEST < _span(atom):
        step *= 2
    return _pair(atom, step)


@lru_cache(maxsize=64)
def _pair(atom: Event, step: float) -> Pair:
    inner, rate = (atom.of, atom.rate) if isinstance(atom, PoissonSampled) else (atom, 1.0)
    if isinstance(inner, Gaussian | Laplace):
        return _continuous(inner, rate, step)
    return _discrete(_table(inner), rate, step)


def _continuous(atom: Gaussian | Laplace, rate: float, step: float) -> Pair:
    """By dp_accounting, which connects the dots too.

    Its curve is a difference of two distribution functions, each right to a few units in the last place and neither
    greater than the mass of greater losses; its masses are second differences of it over the step, each with a
    rounding of that size. Where nearly all losses are greater, the roundings are all there is. So the masses of
    negative losses are taken from the other direction, where they are positive: swapping P and Q turns a mass p at a
    loss l into p e^-l at -l, before the dots are connected and after.
    """
    from dp_accounting.pld import privacy_loss_distribution as pld  # noqa: PLC0415  # slow to import

    make = pld.from_gaussian_mechanism if isinstance(atom, Gaussian) else pld.from_laplace_mechanism
    built = make(atom.noise_multiplier, value_discretization_interval=step, sampling_prob=rate)
    bounded = isinstance(atom, Laplace)
    removed = _read(built._pmf_remove, step, bounded=bounded)  # noqa: SLF001  # no public way; a test holds the contract
    if built._symmetric:  # noqa: SLF001
        both = _mended(removed, removed)
        return both, both
    added = _read(built._pmf_add, step, bounded=bounded)  # noqa: SLF001
    return _mended(removed, added), _mended(added, removed)


def _read(pmf: Any, step: float, *, bounded: bool) -> Losses:
    """A bounded loss is never infinite, whatever rounding left at the last point."""
    dense = pmf.to_dense_pmf()
    if dense._discretization != step or not dense._pessimistic_estimate:  # noqa: SLF001
        raise BadArgument("this release of dp_accounting builds other distributions than it is asked for")
    masses = np.maximum(np.asarray(dense._probs, dtype=np.float64), 0.0)  # noqa: SLF001
    infinite = 0.0 if bounded else max(float(dense._infinity_mass), 0.0)  # noqa: SLF001
    slack = 2.0**-49 * (8 + len(masses) + 4 / step)
    return Losses(step, int(dense._lower_loss), masses, infinite, slack)  # noqa: SLF001


def _mended(own: Losses, other: Losses) -> Losses:
    """`own`, its negative losses from `other`'s positive ones; what is still lower counts at the first point."""
    zero, positive = max(-own.first, 0), other.masses[max(1 - other.first, 0) :]
    start = max(other.first, 1)
    losses = own.step * np.arange(start, start + len(positive))
    negative = (positive * np.exp(-losses))[::-1]
    kept = own.masses[zero:]
    first = max(own.first, 0)
    gap = np.zeros(first + start - 1)  # between the two, when one of them stays away from 0
    masses = np.concatenate((negative, gap, kept))
    masses[0] += LOST
    return _trimmed(own.step, first - len(gap) - len(negative), masses, own.infinite, own.slack)


def _trimmed(step: float, first: int, masses: Floats, infinite: float, slack: float, *, raised: float = 0.0) -> Losses:
    """Without the zeros at either end."""
    held = np.flatnonzero(masses)
    if not len(held):
        return Losses(step, 0, np.full(1, np.finfo(np.float64).tiny), infinite, slack)
    masses = np.ascontiguousarray(masses[held[0] : held[-1] + 1])
    masses.flags.writeable = False
    return Losses(step, first + int(held[0]), masses, infinite, slack, raised)


# ---------------------------------------------------------------- finite tables of outcomes


@dataclass(frozen=True, eq=False)
class _Outcomes:
    """The laws P and Q of the outcomes that Q has, and ln(p/q), which may be -inf.

    Attributes:
        beyond: bounds the mass of all other outcomes, under P and under Q.
        error: of the masses, relative; of the losses, as a share of 1 + |loss|.
        symmetric: swapping P and Q gives the same losses.
    """

    p: Floats
    q: Floats
    losses: Floats
    beyond: float = 0.0
    error: float = 2.0**-48
    symmetric: bool = True


def _discrete(outcomes: _Outcomes, rate: float, step: float) -> Pair:
    """For (1 - rate) Q + rate P against Q, and the other way round."""
    losses, p, q = outcomes.losses, outcomes.p, outcomes.q
    if rate < 1:
        small = losses < 600  # above, what 1 - rate adds to rate e^loss is less than a rounding
        losses = np.where(small, np.log1p(rate * np.expm1(np.where(small, losses, 0.0))), losses + math.log(rate))
        p = (1 - rate) * q + rate * p
    removed = _on_grid(losses, p, outcomes, step)
    return removed, (removed if outcomes.symmetric and rate == 1 else _on_grid(-losses, q, outcomes, step))


def _on_grid(losses: Floats, masses: Floats, outcomes: _Outcomes, step: float) -> Losses:
    """Every loss is first raised by more than its rounding."""
    finite = np.isfinite(losses)
    if not finite.any():
        return _trimmed(step, 0, np.zeros(1), 1.0, 0.0)
    infinite = outcomes.beyond + float(masses[losses == np.inf].sum())
    losses, masses = losses[finite], masses[finite]
    raised = outcomes.error * (1 + np.abs(losses))
    losses = losses + raised
    points = np.floor(losses / step)
    up = np.clip(np.expm1(points * step - losses) / math.expm1(-step), 0.0, 1.0)
    at = points.astype(np.int64)
    first = int(at.min())
    size = int(at.max()) - first + 2
    grid: Floats = np.zeros(size)
    grid += np.bincount(at - first, (1 - up) * masses, size)
    grid += np.bincount(at - first + 1, up * masses, size)
    return _trimmed(step, first, grid, infinite, 2 * outcomes.error, raised=2 * float(raised.max()))


@singledispatch
def _table(atom: Event) -> _Outcomes:
    raise BadArgument(f"no privacy loss distribution is known for {atom!r}")


@_table.register
def _(atom: Pure) -> _Outcomes:
    """The worst that a pure epsilon allows: binary randomised response (Kairouz, Oh, Viswanath 2015, Theorem 2)."""
    epsilon = float(atom.epsilon)
    p = np.array([1 / (1 + math.exp(-epsilon)), math.exp(-epsilon) / (1 + math.exp(-epsilon))])
    return _Outcomes(p, p[::-1], np.array([epsilon, -epsilon]))


@_table.register
def _(atom: RandomizedResponse) -> _Outcomes:
    noise, buckets = atom.noise_parameter, atom.num_buckets
    other = noise / buckets
    own = (1 - noise) + other
    if atom.relation is Relation.REPLACE_ONE:  # the true bucket, the neighbour's, and all others
        loss = math.log1p((1 - noise) / other)
        p = np.array([own, other, (buckets - 2) * other])
        return _Outcomes(p, p[[1, 0, 2]], np.array([loss, -loss, 0.0]))
    # the true bucket, and all others, against null, which answers uniformly
    p, q = np.array([own, (buckets - 1) * other]), np.array([1 / buckets, (buckets - 1) / buckets])
    losses = np.array([math.log1p((1 - noise) * (buckets - 1)), math.log(noise)])
    return _Outcomes(p, q, losses, symmetric=False)


@_table.register
def _(atom: Skellam) -> _Outcomes:
    """Noise with P(X = x) = e^-v I_x(v) (Skellam 1946), moved by the greatest shift, l1.

    The law is log-concave (so are its two Poisson factors), hence a shift has a monotone likelihood ratio and the best
    tests are thresholds. The power of a threshold test grows with the shift, sampled or not: every smaller shift is
    dominated by the greatest.

    Outcomes farther out than `far` are an infinite loss. The Bessel functions are taken to be right to 2^-38, which is
    a thousand times what they were seen to be off.
    """
    from scipy.special import ive  # noqa: PLC0415  # slow to import

    variance, shift = atom.variance, int(atom.l1)
    far = _far(variance)
    noise = np.asarray(ive(np.abs(np.arange(-far - shift, far + shift + 1)), variance), dtype=np.float64)
    p, q = noise[: 2 * far + shift + 1], noise[shift:]  # of the outcomes -far ... far + shift
    lost = float(p[q < _NOTHING].sum()) + _NOTHING * len(p)
    p, q = np.where(p >= _NOTHING, p, 0.0)[q >= _NOTHING].astype(np.float64), q[q >= _NOTHING]
    losses = np.full(len(p), -np.inf)
    np.log(p / q, out=losses, where=p > 0)
    return _Outcomes(p, q, losses, 2 * _beyond(variance, far) + lost, 2.0**-38)


def _far(variance: float) -> int:
    """A distance that the noise exceeds, to either side, with a probability of at most e^-70."""
    far = 1
    while _beyond(variance, far) > math.exp(-70):
        far *= 2
    low = far // 2
    while far - low > max(1, low // 64):
        middle = (low + far) // 2
        low, far = (low, middle) if _beyond(variance, middle) <= math.exp(-70) else (middle, far)
    return far


def _beyond(variance: float, x: float) -> float:
    """Chernoff's bound on P(X >= x): ln E e^(sX) = v (cosh s - 1), at s = asinh(x/v), with 2^-10 for roundings."""
    return math.exp(x * x / (math.hypot(x, variance) + variance) - x * math.asinh(x / variance)) * (1 + 2.0**-10)


def _span(atom: Event) -> float:
    """How far apart the losses are that the grid must hold, to size it by; not a figure that others rest on."""
    if isinstance(atom, PoissonSampled) and atom.rate < 1:
        return _span(atom.of) / 2 + math.log(1 / (1 - atom.rate))
    if isinstance(atom, Gaussian):
        mu = 1 / atom.noise_multiplier
        return mu * mu + 21 * mu
    if isinstance(atom, Pure):
        return 2 * float(atom.epsilon)
    if isinstance(atom, Skellam):  # I_x / I_(x+1) <= 2 (x + 1) / v + 1
        return 2 * atom.l1 * math.log1p(2 * (_far(atom.variance) + atom.l1 + 1) / atom.variance)
    return math.inf
