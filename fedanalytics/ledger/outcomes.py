"""The second accountant's view of one release: what may come out of it, and how likely under two neighbours.

Each atom of an event becomes a table of outcomes with their logarithmic masses under P (the client's record is there)
and Q (it is not). Whatever is asked of a release is then a sum over outcomes: no grid of losses, no closed form, and
nothing that `fedanalytics.privacy` computes losses with. Continuous laws are tabulated for the trapezoidal rule, which
converges geometrically for analytic integrands, or for Gauss and Legendre's where a density has kinks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, singledispatch
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.events import Event, Gaussian, Laplace, PoissonSampled, Pure, RandomizedResponse, Skellam
from fedanalytics.privacy.relations import Relation

Floats: TypeAlias = NDArray[np.float64]
Complexes: TypeAlias = NDArray[np.complex128]
Logs: TypeAlias = tuple[Floats, Floats]

_WIDE = 14.0  # standard deviations around a mode: what lies beyond weighs e^-98 of it
_FINE = 32  # nodes in a standard deviation
_LEGENDRE = 64
_FEW = 2**19  # complex numbers held at once
_NOTHING = 1e-30  # of a sum: below its rounding


@dataclass(frozen=True, eq=False)
class Outcomes:
    """One release in one direction.

    Attributes:
        logs: of the masses under P, with the weights of the quadrature.
        losses: ln(p / q) of each outcome.
    """

    logs: Floats
    losses: Floats

    def tilted(self, tilt: float) -> tuple[Floats, float]:
        """The masses p e^(tilt loss), over the greatest of them, and that one's logarithm."""
        grown = self.logs + tilt * self.losses
        top = float(grown.max())
        return np.exp(grown - top), top

    def cumulants(self, tilt: float, turns: Floats) -> Complexes:
        """Ln E_P[e^(z loss)] for z = tilt + i turn, up to whole turns of its imaginary part."""
        weights, top = self.tilted(tilt)
        heavy = weights > _NOTHING * weights.sum()
        weights, losses = weights[heavy], self.losses[heavy]
        found = np.empty(len(turns), np.complex128)
        most = max(1, _FEW // len(losses))
        for at in range(0, len(turns), most):
            found[at : at + most] = np.exp(1j * np.multiply.outer(turns[at : at + most], losses)) @ weights
        np.log(found, out=found)
        found += top
        return found

    def moments(self, tilt: float) -> tuple[float, float]:
        """Ln E_P[e^(tilt loss)], and the variance of the loss under the tilted law."""
        weights, top = self.tilted(tilt)
        total = float(weights.sum())
        mean = float(weights @ self.losses) / total
        return math.log(total) + top, float(weights @ (self.losses - mean) ** 2) / total

    def beyond(self, epsilon: float) -> float:
        """The delta at an epsilon: E_P[(1 - e^(epsilon - loss))+]."""
        above = self.losses > epsilon
        return float(np.exp(self.logs[above]) @ -np.expm1(epsilon - self.losses[above]))


def known(atom: Event) -> bool:
    """Whether an atom has a table: all but Skellam noise on vectors, of which only a bound is known."""
    inner = atom.of if isinstance(atom, PoissonSampled) else atom
    return isinstance(inner, Gaussian | Pure) or (isinstance(inner, Skellam) and inner.scalar)


def bounded(atom: Event) -> bool:
    """Whether its losses are: the table then holds the greatest."""
    return isinstance(atom.of if isinstance(atom, PoissonSampled) else atom, Pure)


def symmetric(atom: Event) -> bool:
    """Whether swapping P and Q changes nothing."""
    return not isinstance(atom, PoissonSampled | RandomizedResponse)


@lru_cache(maxsize=64)
def outcomes(atom: Event, tilt: float | None = None, *, back: bool = False) -> Outcomes:
    """The table of an atom that is `known`.

    Args:
        atom: the release.
        tilt: where moments are to be taken: their masses lie farther out, the greater it is. Without one, the nodes
            are fine enough for sums over what lies above a loss.
        back: swap P and Q.

    Raises:
        BadArgument: it is not known.

    Example:
        >>> round(math.exp(outcomes(Gaussian(2.0), tilt=7.0).moments(7.0)[0] / 7), 6)  # e^(8/(2 * 2^2))
        2.718282
    """
    inner, rate = (atom.of, atom.rate) if isinstance(atom, PoissonSampled) else (atom, 1.0)
    back = back and not symmetric(atom)
    lean = None if tilt is None else -_turn(inner, rate, tilt) if back else 1 + tilt
    p, q = _logs(inner, lean)
    if rate < 1:
        p = np.logaddexp(math.log1p(-rate) + q, math.log(rate) + p)
    return Outcomes(q, q - p) if back else Outcomes(p, p - q)


@singledispatch
def _logs(atom: Event, lean: float | None) -> Logs:  # noqa: ARG001  # where masses are tilted to, in shifts
    raise BadArgument(f"no law of outcomes is known for {atom!r}")


@_logs.register
def _(atom: Gaussian, lean: float | None) -> Logs:
    """N(1, s^2) against N(0, s^2).

    Sampled, what is integrated is singular at a distance of pi s^2 from the real line, hence the step.
    """
    deviation = atom.noise_multiplier
    step = min(deviation / _FINE, deviation**2 / 4) / (8 if lean is None else 1)
    x = _nodes(1.0 if lean is None else lean, _WIDE * deviation, step)
    weight = math.log(step / deviation / math.sqrt(2 * math.pi))
    return weight - ((x - 1) / deviation) ** 2 / 2, weight - (x / deviation) ** 2 / 2


@_logs.register
def _(atom: Laplace, lean: float | None) -> Logs:  # noqa: ARG001
    """Shifts of e^-|x|/2 by 1/b: all outcomes on either side are one, and those between are integrated over."""
    epsilon = float(atom.epsilon)
    nodes, weights = np.polynomial.legendre.leggauss(_LEGENDRE)
    near, far = -math.log(2), -math.log(2) - epsilon
    between, weight = epsilon * (1 - nodes) / 2, np.log(epsilon * weights / 4)
    p = np.concatenate(([far], weight - between, [near]))
    return p, np.concatenate(([near], weight - between[::-1], [far]))


@_logs.register
def _(atom: Pure, lean: float | None) -> Logs:  # noqa: ARG001
    """The worst that a pure epsilon allows: a coin (Kairouz, Oh, Viswanath 2015, Theorem 2)."""
    epsilon = float(atom.epsilon)
    likely = -math.log1p(math.exp(-epsilon))
    return np.array([likely, likely - epsilon]), np.array([likely - epsilon, likely])


@_logs.register
def _(atom: RandomizedResponse, lean: float | None) -> Logs:  # noqa: ARG001
    """The true bucket, the neighbour's and all others; or against a null that answers uniformly."""
    buckets, other = atom.num_buckets, atom.noise_parameter / atom.num_buckets
    own = 1 - atom.noise_parameter + other
    if atom.relation is Relation.REPLACE_ONE:
        rest = [(buckets - 2) * other] * (buckets > 2)
        return np.log([own, other, *rest]), np.log([other, own, *rest])
    return np.log([own, (buckets - 1) * other]), np.log([1 / buckets, 1 - 1 / buckets])


@_logs.register
def _(atom: Skellam, lean: float | None) -> Logs:
    """e^-v I_x(v) against its shift by l1 steps; where the law is wide, on every so many whole numbers."""
    from scipy.special import ive  # noqa: PLC0415  # slow to import

    if not atom.scalar:
        raise BadArgument(f"no law of outcomes is known for {atom!r}")
    shift, deviation = int(atom.l1), math.sqrt(atom.variance)
    step = max(1, math.floor(deviation / _FINE))
    x = _nodes((1.0 if lean is None else lean) * shift, _WIDE * deviation + 60 + shift, step)
    with np.errstate(divide="ignore"):
        p, q = (np.log(ive(np.abs(at), atom.variance)) + math.log(step) for at in (x - shift, x))
    held = np.isfinite(p) & np.isfinite(q)  # what underflows weighs less than e^-700
    return p[held], q[held]


def _turn(inner: Event, rate: float, tilt: float) -> float:
    """How far against the shift, in shifts, the masses of Q lie when they are tilted against those of a sampled P.

    They follow the tilt to where P's density is that of the clients who were left out, and no farther.
    """
    if rate == 1 or not isinstance(inner, Gaussian | Skellam):
        return 0.0
    variance = inner.noise_multiplier**2 if isinstance(inner, Gaussian) else inner.variance / inner.l1**2
    return min(tilt, max(0.0, variance * (math.log(rate) - math.log1p(-rate))))


def _nodes(lean: float, radius: float, step: float) -> Floats:
    """One grid within `radius` of 0 and of `lean`, and between them where it lies to the left."""
    near = np.arange(math.floor((min(lean, 0.0) - radius) / step), math.ceil(radius / step) + 1)
    far = np.arange(math.floor((lean - radius) / step), math.ceil((lean + radius) / step) + 1)
    held: Floats = np.concatenate((near, far[far > near[-1]])) * step
    return held
