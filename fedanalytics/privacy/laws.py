"""The laws of the noise: each as a float quantile, which is fast, and as bounds on its tail, which are proven.

A law is that of ``sign * m``, where m = |Z| is found by inversion: for q uniform on (0, 1), m is the largest integer
j >= 0 with ``q < S(j)``, S(j) = P(|Z| >= j). Another law (Skellam) enters as one more class. scipy is imported in the
one method that needs it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.privacy import tails

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Law(ABC):
    """A symmetric law on the integers.

    Attributes:
        spread: its standard deviation or scale in grid steps, meant at the exact value of the float.
    """

    spread: float

    @abstractmethod
    def quantile(self, q: Floats) -> Floats:
        """The y with S(y) = q, S continued to real arguments, so that m = floor(y). Rounding errors are allowed.

        It must move by at most ``1.26 spread |ln(q'/q)|`` between q and q'.
        """

    @abstractmethod
    def survival(self, at: Fraction, bits: int) -> tails.Bounds:
        """Integers low <= 2**bits S(at) <= high, without exception; high - low is small against 2**bits."""


class RoundedGaussian(Law):
    """round(N(0, spread**2)): S(j) = P(|N| >= (j - 1/2) / spread)."""

    def quantile(self, q: Floats) -> Floats:
        """1/2 - spread Phi^-1(q/2); its slope is bounded by Phi(-g) <= sqrt(pi/2) phi(g), g >= 0 (Mills' ratio)."""
        from scipy.special import ndtri  # noqa: PLC0415  # see the top of the file

        y: Floats = ndtri(q * 0.5)
        y *= -self.spread
        y += 0.5
        return y

    def survival(self, at: Fraction, bits: int) -> tails.Bounds:
        """By the series of the normal integral, whose argument is a rational number."""
        return tails.beyond((at - Fraction(1, 2)) / Fraction(self.spread), bits)


class TwoSidedGeometric(Law):
    """P(z) ~ e**(-|z|/spread), the discrete Laplace law: S(j) = 2 e**(-j/spread) / (1 + e**(-1/spread)) for j >= 1."""

    def quantile(self, q: Floats) -> Floats:
        """``spread (ln(2 / (1 + e**(-1/spread))) - ln q)``; the first term is written so that nothing cancels."""
        y = np.log(q)
        y *= -self.spread
        y -= self.spread * math.log1p(math.expm1(-1 / self.spread) / 2)
        return y

    def survival(self, at: Fraction, bits: int) -> tails.Bounds:
        """By the series of the exponential function; S(0) = 1."""
        if at <= 0:
            return 1 << bits, 1 << bits
        return tails.geometric(at, Fraction(self.spread), bits)
