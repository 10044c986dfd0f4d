"""Composition of privacy losses: cached spectra, raised to their counts.

The losses of a composition add up, so their spectrum is the product of the spectra. One transform per distinct event
is kept; a figure costs one power, one inverse transform and two sums, whatever the counts are.

Everything is done on tilted masses: p(l) e^(theta l - K(theta)), with K(theta) = ln E[e^(theta loss)], sums to 1 again
(Esscher 1932), tilting commutes with composition, and theta is chosen such that the losses that matter, around epsilon,
are the likely ones. With q(l) the tilted masses of the sum S of all losses, and A, B the sums over l > epsilon,

    delta(epsilon) = e^(K - theta epsilon) (A - B),    A = sum q(l) e^(-theta (l - epsilon)),
                                                       B = sum q(l) e^(-(1 + theta) (l - epsilon)).

What is off in (A - B) is scaled down with it, so that a delta of 1e-15 is as exact as one of 1e-3.

**Upper bound.** The losses on the grid are pessimistic, in composition too. To A - B is added:

1. `tail`: of the mass above the window, which wraps around to lower losses (Chernoff, under the tilted law). What wraps
   around from below had no part in delta if epsilon lies in the window; else it counts as `tail` too.
2. `noise`: the transforms' rounding, in l1 norm. With u = 2^-53, N points and n losses, every value of a forward
   transform of masses that sum to 1 is off by at most 8 log2(N) u (radix-2 butterflies: 5 u a level), hence the n-fold
   product by n times that; ln, n-fold sum and exp add u (12 n + 3 x + 4) of a value e^-x, hence at most u (12 n + 6).
   All N values together have a 2-norm of at most sqrt(N) times that; the inverse transform divides it by sqrt(N) and
   adds 8 log2(N) u of a 2-norm of at most 1 (Higham 2002, Theorem 24.2); an l1 norm is at most sqrt(N) times a 2-norm.
   So: u sqrt(N) ((n + 1) 8 log2(N) + 12 n + 6). Negative masses are then set to 0: the true ones are not negative, so
   that this brings them closer.
3. `slack` times A: the construction of the losses, and the roundings of tilting and summing.

Infinite losses are added to delta as they are.

**Lower bound.** Let S = S' + D, where S' is the true sum, and D what n steps D_i to the grid added: given S', they are
independent, each D_i takes two values h apart, and E[e^-D_i] = 1, hence 0 <= E[D_i] <= h^2/8 (Jensen; Hoeffding's
lemma) and P(|D| >= t) <= T(t) = 2 e^(-2 (t - n h^2/8)^2 / (n h^2)) (Hoeffding 1963, Theorem 2). With K = e^(epsilon -
S') and M = e^-D, so that E[M | S'] = 1, (1 - KM)+ exceeds the line (1 - K) + K (1 - M) where K < 1, or 0 elsewhere, by
at most |M - 1| <= |D| e^|D|, and only if S' and S lie on different sides of epsilon. Then |D| >= |S' - epsilon|, hence
e^(theta (S' - epsilon) + theta |D|) >= 1. So the deltas of S and S' differ by at most

    E[e^(theta (S' - epsilon)) G(|S' - epsilon|)],    G(x) = E[|D| e^((1 + theta) |D|); |D| >= x],

which is a sum over layers of x, by G's falls from one to the next, of E[e^(theta (S' - epsilon)); |S' - epsilon| <= x].
That is at most e^(K(theta) - theta epsilon) times the tilted P(|S - epsilon| <= x + y) + E[e^(theta |D|); |D| >= y],
for any y, as E[e^(theta D) | S'] >= 1. All is of second order in h, where rounding losses down would cost n h. From
delta are subtracted this, the errors above, the infinite mass, and what was moved to the ends of a one-round grid; and
from epsilon what losses were raised by because of roundings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedanalytics.privacy.losses import Floats, Losses

WIDEST = 2**20  # points of one window
_NARROW = 2**15  # points of an ordinary one
_UNIT = 2.0**-53
_EXACT, _QUIET, _SILENT = 1e-7, 1e-5, 1e-9  # shares of delta: of what the ends of a window bring, and its noise
_PER_OCTAVE, _RUNGS = 3, 69
_TILTS = 2.0 ** (-20 + np.arange(_RUNGS) / _PER_OCTAVE)
LADDER: Floats = np.concatenate((-_TILTS[::-1], [0.0], _TILTS))  # of theta times step
_ZERO = _RUNGS


class Spectrum:
    """One event's losses in one direction, ready to be composed.

    Attributes:
        one: the losses.
        cumulants: K for every tilt of the ladder, rounded up.
        variance: of the finite losses, in squared steps.
    """

    def __init__(self, one: Losses) -> None:
        self.one = one
        self.cumulants = _cumulants(one)
        index = np.arange(len(one.masses))
        self.variance = _dot((index - _dot(index, one.masses)) ** 2, one.masses)

    @property
    def ends(self) -> tuple[int, int]:
        return self.one.first, self.one.first + len(self.one.masses) - 1


Spectra: TypeAlias = list[tuple[Spectrum, int]]


def _cumulants(one: Losses) -> Floats:
    """Theta doubles by squaring the weights, which is right to 2^-30; what underflows weighs less than 1e-280."""
    index = np.arange(len(one.masses), dtype=np.float64)
    found = np.empty(len(LADDER))
    found[_ZERO] = math.log(one.masses.sum())
    for sign, below, end in ((1, index - index[-1], one.first + index[-1]), (-1, -index, -one.first)):
        for within in range(_PER_OCTAVE):
            weights = np.exp(_TILTS[within] * below)
            for rung in range(within, _RUNGS, _PER_OCTAVE):
                found[_ZERO + sign * (1 + rung)] = math.log(_dot(one.masses, weights) + 1e-280) + _TILTS[rung] * end
                np.square(weights, out=weights)
                weights[weights < 1e-280] = 0.0
    return found + 2.0**-29


def _dot(a: NDArray[Any], b: Floats) -> float:
    """Their product, summed in this thread: a library's threads would wait for each other on a busy machine."""
    return float(np.einsum("i,i->", a, b))


@lru_cache(maxsize=32)
def _log_transform(spectrum: Spectrum, rung: int, points: int) -> NDArray[np.complex128]:
    """Ln of the transform of the tilted masses, folded onto `points`."""
    from scipy import fft  # noqa: PLC0415  # slow to import

    one, tilt = spectrum.one, LADDER[rung]
    index = one.first + np.arange(len(one.masses))
    folded = np.zeros(-(-len(index) // points) * points)
    folded[: len(index)] = one.masses * np.exp(tilt * index - spectrum.cumulants[rung])
    found = fft.rfft(folded.reshape(-1, points).sum(axis=0))
    found[found == 0] = 1e-300
    logs: NDArray[np.complex128] = np.log(found)
    logs.flags.writeable = False
    return logs


@dataclass(frozen=True, eq=False)
class Window:
    """The tilted masses of a composition around one epsilon, and what bounds their errors; see the top of the file."""

    step: float
    first: int
    masses: Floats
    tilt: float  # theta times step
    cumulant: float
    infinite: float
    tail: float
    noise: float
    slack: float
    count: int

    def bounds(self, epsilon: float) -> tuple[float, float]:
        """Delta at one epsilon: a lower bound for the losses on the grid, and an upper one for all."""
        above = self.step * (self.first + np.arange(len(self.masses))) - epsilon
        held = above > 0
        weights = self.masses[held] * np.exp(-self.tilt / self.step * above[held])
        mass, gain = float(weights.sum()), -_dot(weights, np.expm1(-above[held]))
        scale = self.scale(epsilon)
        error = self.slack * mass + (2 * self.tail + self.noise) * (1 + self.slack)
        return (gain - error) * scale, min((gain + error) * scale + self.infinite, 1.0)

    def within(self, epsilon: float, radii: Floats) -> Floats:
        """Upper bounds on the tilted probabilities of a loss on the grid at most so far from epsilon."""
        sums = np.concatenate(([0.0], np.cumsum(self.masses)))
        start = np.clip(np.ceil((epsilon - radii) / self.step - self.first) - 1, 0, len(self.masses)).astype(np.int64)
        end = np.clip(np.floor((epsilon + radii) / self.step - self.first) + 2, 0, len(self.masses)).astype(np.int64)
        found: Floats = (sums[end] - sums[start]) * (1 + self.slack) + self.noise + 2 * self.tail
        return found

    def epsilon(self, delta: float) -> float:
        """The least epsilon whose upper bound is at most delta; infinite when the window holds none.

        Between two points of the grid, delta is linear in e^epsilon.
        """
        from scipy.signal import lfilter  # noqa: PLC0415  # slow to import

        start = max(0, -self.first)
        masses = self.masses[start:][::-1]
        if not len(masses):  # all losses are negative, but for what the errors are
            return 0.0 if self.bounds(0.0)[1] <= delta else math.inf
        near, far = math.exp(-self.tilt), math.exp(-self.tilt - self.step)
        mass = lfilter([0.0, near], [1.0, -near], masses)[::-1]
        gain = mass - lfilter([0.0, far], [1.0, -far], masses)[::-1]
        points = self.step * (self.first + start + np.arange(len(mass)))
        with np.errstate(over="ignore"):  # far below epsilon: the minimum with 1 stands
            scale = np.exp(self.cumulant - self.tilt / self.step * points)
            error = self.slack * mass + (self.tail + self.noise) * (1 + self.slack)
            above = np.minimum((gain + error) * scale + self.infinite, 1.0)
        fits = above <= delta
        at = int(fits.argmax())
        if at == 0:
            return float(points[0]) if fits[0] else math.inf
        part = (float(above[at - 1]) - delta) / (float(above[at - 1]) - float(above[at]))
        return (float(points[at - 1]) + math.log1p(part * math.expm1(self.step))) * (1 + 2.0**-40)

    def error(self, epsilon: float) -> float:
        """What the window's ends and the transforms' rounding add to delta."""
        return (self.tail + self.noise) * self.scale(epsilon)

    def scale(self, epsilon: float) -> float:
        """What tilted sums are multiplied by: e^(K - theta epsilon)."""
        return math.exp(min(self.cumulant - self.tilt / self.step * epsilon, 700.0))


class Sum:
    """The losses of a composition in one direction.

    Attributes:
        step: of the grid, that of every part.
        first, last: the least and greatest loss, in steps.
        infinite: the mass of an infinite loss: 1 - prod (1 - infinite)^n, rounded up.
        raised: what roundings raised a sum of losses by, at most.
    """

    def __init__(self, parts: Spectra) -> None:
        self.parts = parts
        self.step = parts[0][0].one.step
        self.count = sum(count for _, count in parts)
        self.first = sum(count * one.ends[0] for one, count in parts)
        self.last = sum(count * one.ends[1] for one, count in parts)
        self._cumulants: Floats = np.sum([count * one.cumulants for one, count in parts], axis=0)
        self.raised = sum(count * one.one.raised for one, count in parts)
        s = _TILTS / self.step
        self._gains = self._cumulants.copy()
        self._gains[_ZERO + 1 :] -= np.log1p(s) + s * np.log1p(1 / s)
        logs = sum(n * (math.log1p(-one.one.infinite) if one.one.infinite < 1 else -math.inf) for one, n in parts)
        self.infinite = -math.expm1(logs) * (1 + 2.0**-40)

    def enough(self, delta: float) -> float:
        """The epsilon that moments alone imply, for the best tilt s, or the greatest finite loss.

        delta(epsilon) <= e^(K - s epsilon) max over x of (1 - e^-x) e^(-s x), which is s^s / (1 + s)^(1 + s) (Canonne,
        Kamath, Steinke 2020, arXiv 2004.00010, Proposition 12).
        """
        left, s = delta - self.infinite, _TILTS / self.step
        if left <= 0:
            return math.inf
        found = (self._gains[_ZERO + 1 :] - math.log(left)) / s
        return max(min(float(found.min()), self.last * self.step), 0.0) * (1 + 2.0**-40)

    def at_most(self, epsilon: float) -> float:
        """The ln of a bound on what finite losses add to delta, likewise."""
        return min(float((self._gains - LADDER * (epsilon / self.step))[_ZERO:].min()), 0.0)

    def window(self, epsilon: float, log_delta: float) -> Window | None:
        """The composition around epsilon, for a delta of about that size; None if `WIDEST` points do not hold it.

        Of all tilts that keep the noise small, the one whose window is the narrowest; a twentieth wider for e times
        less noise, while that is heard.
        """
        tilts, own, at = LADDER[_ZERO:], self._cumulants[_ZERO:], epsilon / self.step
        scale = own - tilts * at
        tails = np.minimum(log_delta - scale + math.log(_EXACT), math.log(1e-3))
        firsts, lasts = self._ends(tails + own)
        share = math.log(_noise(_NARROW, self.count)) + scale - log_delta  # of delta, that is noise
        width = (lasts - firsts) * (1 + np.maximum(share - math.log(_SILENT), 0) / 20)
        quiet = np.where(share <= math.log(_QUIET), width, np.inf)
        best = int(quiet.argmin() if np.isfinite(quiet).any() else scale.argmin())
        first, last = math.floor(firsts[best]), math.ceil(lasts[best])
        points = _size(last - first + 1)
        return self._make(_ZERO + best, first, points, math.exp(tails[best])) if points <= WIDEST else None

    def _ends(self, levels: Floats) -> tuple[Floats, Floats]:
        """For every tilt from 0 up: points beyond which the tilted law has at most e^(level - K), by Chernoff."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = (self._cumulants - levels[:, None]) / (LADDER - LADDER[_ZERO:, None])
        above = LADDER[_ZERO:, None] < LADDER
        lasts = np.minimum(np.where(above, ends, np.inf).min(axis=1), self.last)
        firsts = np.where(LADDER[_ZERO:, None] > LADDER, ends, -np.inf).max(axis=1)
        return np.minimum(np.maximum(firsts, self.first), lasts), lasts

    def _make(self, rung: int, first: int, points: int, tail: float) -> Window:
        from scipy import fft  # noqa: PLC0415  # slow to import

        logs = sum(count * _log_transform(one, rung, points) for one, count in self.parts)
        masses = fft.irfft(np.exp(logs), points)
        masses = np.roll(masses, -((first - sum(count * one.one.first for one, count in self.parts)) % points))
        tilt, cumulant = float(LADDER[rung]), float(self._cumulants[rung])
        parts = sum(
            n * (one.one.slack + 2.0**-50 * (4 + abs(one.cumulants[rung]) + tilt * max(map(abs, one.ends))))
            + n * 2.0**-52 * len(one.one.masses) / points
            for one, n in self.parts
        )
        own = 2.0**-50 * (4 + points + abs(cumulant) + tilt * (abs(first) + points))
        return Window(
            step=self.step,
            first=first,
            masses=np.maximum(masses, 0.0),
            tilt=tilt,
            cumulant=cumulant,
            infinite=self.infinite,
            tail=max(tail, 1e-300),
            noise=_noise(points, self.count),
            slack=math.expm1(min(parts + own, 700.0)),
            count=self.count,
        )


def _noise(points: int, count: int) -> float:
    return _UNIT * math.sqrt(points) * ((count + 1) * 8 * math.log2(points) + 12 * count + 6)


def _size(least: int) -> int:
    """The next of 4, 5, 6, 7 times a power of two: quick to transform, and few, so that transforms are used again."""
    octave = 1 << max(least.bit_length() - 3, 0)
    return next((k * octave for k in (4, 5, 6, 7) if k * octave >= least), 8 * octave)
