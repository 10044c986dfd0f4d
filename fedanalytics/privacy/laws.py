"""The laws of the noise: each as a float quantile, which is fast, and as bounds on its tail, which are proven.

A law is that of ``sign * m``, where m = |Z| is found by inversion: for q uniform on (0, 1), m is the largest integer
j >= 0 with ``q < S(j)``, S(j) = P(|Z| >= j). Another law enters as one more class. scipy is imported in the one
function that needs it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.privacy import bessel, tails

Floats: TypeAlias = npt.NDArray[np.float64]

_TABLE_SPREAD = 128.0  # up to here a table was measured to be faster than floats, once it is there
_BITS = 80  # in which the tail of an interval is bounded
_SKELLAM_FLOATS = 2.0**18  # from this variance on what the expansion leaves out is below 2**-53 standard deviations

_EXPANSION = (  # rows: of w, w**3, w**5, w**7; columns: P1, P2, P3. Solved for term by term; P4 / v**4 is left out
    (-1 / 6, -13 / 180, -593 / 7560),
    (1 / 24, 13 / 240, 1933 / 18144),
    (0.0, -37 / 5760, -22159 / 725760),
    (0.0, 0.0, 673 / 322560),
)


class Law(ABC):
    """A symmetric law on the integers; a frozen dataclass of its parameter, meant at the exact value of the float."""

    @property
    @abstractmethod
    def spread(self) -> float:
        """Its standard deviation or scale in grid steps, to a few units in the last place."""

    @abstractmethod
    def quantile(self, q: Floats) -> Floats:
        """A falling function f, in a fresh array, with ``f(S(j)) = j`` for whole j >= 1, up to small errors.

        What f is meant to be must move by at most ``1.26 spread |ln(q'/q)|`` between q and q'.
        """

    @abstractmethod
    def survival(self, j: int, bits: int) -> tails.Bounds:
        """Integers low <= 2**bits S(j) <= high, without exception, not more than 2**8 apart."""

    @abstractmethod
    def column(self, bits: int) -> Iterable[tails.Bounds]:
        """`survival` for j = 1, 2, ... in order, at least while it is above 2**-bits; cheaper if it can be."""

    @property
    @abstractmethod
    def table_pays_after(self) -> float:
        """How many draws must be wanted of this law, in all, before a table of thresholds is worth the time it takes.

        Measured; it decides on the time alone. No law has a table of 2**15 thresholds or more.
        """

    @classmethod
    @abstractmethod
    def probes(cls) -> tuple[Law, ...]:
        """The laws at which the self-check looks at the floats.

        At least one is wide, so that whole j lie all over the range of q, and a j has too many bits for worse floats.
        """


@dataclass(frozen=True)
class RoundedGaussian(Law):
    """round(N(0, sigma**2)): S(j) = P(|N| >= (j - 1/2) / sigma)."""

    sigma: float

    @property
    def spread(self) -> float:
        return self.sigma

    def quantile(self, q: Floats) -> Floats:
        """1/2 - sigma Phi^-1(q/2); its slope is bounded by Phi(-g) <= sqrt(pi/2) phi(g), g >= 0 (Mills' ratio)."""
        y = _lower_normal(q)
        y *= -self.sigma
        y += 0.5
        return y

    def survival(self, j: int, bits: int) -> tails.Bounds:
        """By the series of the normal integral, whose argument is a rational number."""
        return tails.beyond((j - Fraction(1, 2)) / Fraction(self.sigma), bits)

    def column(self, bits: int) -> Iterable[tails.Bounds]:
        return (self.survival(j, bits) for j in count(1))

    @property
    def table_pays_after(self) -> float:
        return 2e5 + 5e4 * self.sigma if self.sigma <= _TABLE_SPREAD else math.inf

    @classmethod
    def probes(cls) -> tuple[Law, ...]:
        return cls(1.0), cls(2.0**36)


@dataclass(frozen=True)
class TwoSidedGeometric(Law):
    """P(z) ~ e**(-|z|/scale), the discrete Laplace law: S(j) = 2 e**(-j/scale) / (1 + e**(-1/scale)) for j >= 1."""

    scale: float

    @property
    def spread(self) -> float:
        return self.scale

    def quantile(self, q: Floats) -> Floats:
        """``scale (ln(2 / (1 + e**(-1/scale))) - ln q)``; the first term is written so that nothing cancels."""
        y = np.log(q)
        y *= -self.scale
        y -= self.scale * math.log1p(math.expm1(-1 / self.scale) / 2)
        return y

    def survival(self, j: int, bits: int) -> tails.Bounds:
        """By the series of the exponential function; S(0) = 1."""
        if j <= 0:
            return 1 << bits, 1 << bits
        return tails.geometric(Fraction(j), Fraction(self.scale), bits)

    def column(self, bits: int) -> Iterable[tails.Bounds]:
        return tails.geometric_column(Fraction(self.scale), bits)

    @property
    def table_pays_after(self) -> float:
        return 5e5 + 1.5e4 * self.scale if self.scale <= _TABLE_SPREAD else math.inf

    @classmethod
    def probes(cls) -> tuple[Law, ...]:
        return cls(1.0), cls(2.0**36)


@dataclass(frozen=True)
class Skellam(Law):
    """Poisson(variance/2) - Poisson(variance/2): S(j) = 2 e**-variance (I_j(variance) + I_(j+1)(variance) + ...)."""

    variance: float

    @property
    def spread(self) -> float:
        return math.sqrt(self.variance)

    def quantile(self, q: Floats) -> Floats:
        """``1/2 + sqrt(v) (w + P1(w)/v + P2(w)/v**2 + P3(w)/v**3)``, w = -Phi^-1(q/2): Cornish and Fisher's expansion.

        Of the law with cumulants ``v, v, v, ...`` at even orders, made continuous by ``(D/2) / sinh(D/2)`` so that its
        integral over [j - 1/2, j + 1/2] is P(Z = j). Its slope is the Gaussian one times at most ``1 + w**2 / 8v``.
        """
        w = _lower_normal(q)  # of the other sign, which the odd polynomials do not mind
        square = w * w
        y = np.full_like(w, self._factor(3))
        for power in (2, 1, 0):
            y *= square
            y += self._factor(power)
        y *= w
        y += w
        y *= -self.spread
        y += 0.5
        return y

    def _factor(self, power: int) -> float:
        """Of w**(2 power) in (P1(w)/v + P2(w)/v**2 + P3(w)/v**3) / w."""
        return sum(c / self.variance**n for n, c in enumerate(_EXPANSION[power], 1))

    def survival(self, j: int, bits: int) -> tails.Bounds:
        """By Fourier inversion."""
        return bessel.survival(j, Fraction(self.variance), bits)

    def column(self, bits: int) -> Iterable[tails.Bounds]:
        """By Miller's recurrence."""
        return bessel.column(Fraction(self.variance), bits)

    def half_width(self, alpha: float) -> int:
        """The least h with P(|Z| > h) <= alpha: that of the normal law, moved until the proven bounds say so."""
        allowed = math.ceil(alpha * 2**_BITS)
        h = int(-NormalDist().inv_cdf(alpha / 2) * self.spread)
        while self.survival(h + 1, _BITS)[1] > allowed:
            h += 1
        while h > 0 and self.survival(h, _BITS)[1] <= allowed:
            h -= 1
        return h

    @property
    def table_pays_after(self) -> float:
        """At once, where the expansion is no good."""
        return 0 if self.variance < _SKELLAM_FLOATS else math.inf

    @classmethod
    def probes(cls) -> tuple[Law, ...]:
        return cls(_SKELLAM_FLOATS), cls(2.0**72)


def _lower_normal(q: Floats) -> Floats:
    """Phi^-1(q/2)."""
    from scipy.special import ndtri  # noqa: PLC0415  # see the top of the file

    half = q * 0.5
    return ndtri(half, out=half)
