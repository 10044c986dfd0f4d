"""From a noisy sum to a number with a standard error and an interval: post-processing, free of charge.

Intervals cover the noise, not clipping and not missing clients. They are functions of noisy values and public
parameters only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.privacy.laws import Skellam

Floats: TypeAlias = npt.NDArray[np.float64]
Interval: TypeAlias = tuple[Floats, Floats]


@dataclass(frozen=True)
class Noise:
    """The law of the noise in one coordinate of a sum, in real units; public.

    Attributes:
        scale: the standard deviation (before rounding, of a Gaussian), or b of the two-sided geometric distribution.
        law: "gaussian", "laplace" or "skellam".
        unit: the grid step that the noise lives on; 0 for none, and never for Skellam noise.
    """

    scale: float
    law: str = "gaussian"
    unit: float = 0.0

    @property
    def deviation(self) -> float:
        """The standard deviation. Rounding to the grid adds a twelfth of a squared step to the Gaussian."""
        if self.law == "gaussian":
            return math.sqrt(self.scale**2 + self.unit**2 / 12)
        if self.law == "skellam":
            return self.scale
        if self.unit == 0 or self.scale > 1e6 * self.unit:
            return math.sqrt(2) * self.scale
        return self.unit / (math.sqrt(2) * math.sinh(self.unit / (2 * self.scale)))

    def half_width(self, confidence: float) -> float:
        """The least h on the grid with P(|noise| <= h) >= confidence."""
        alpha = 1 - _validate.probability(confidence=confidence)
        if self.law == "gaussian":
            return self._on_grid(NormalDist().inv_cdf(1 - alpha / 2) * self.scale - self.unit / 2)
        if self.law == "skellam":
            return Skellam((self.scale / self.unit) ** 2).half_width(alpha) * self.unit
        if self.unit == 0:
            return -self.scale * math.log(alpha)
        ratio = self.unit / self.scale  # P(|Z| > m) = 2 e^(-(m+1) ratio) / (1 + e^-ratio)
        return self._on_grid(self.scale * math.log(2 / (alpha * (1 + math.exp(-ratio)))) - self.unit)

    def quantile(self, confidence: float) -> float:
        """`half_width` in standard deviations, for linear combinations; conservative for the Laplace law."""
        alpha = 1 - _validate.probability(confidence=confidence)
        return -math.log(alpha) / math.sqrt(2) if self.law == "laplace" else NormalDist().inv_cdf(1 - alpha / 2)

    def scaled(self, factor: float) -> Noise:
        """The noise of `factor` times the sum."""
        return Noise(self.scale * abs(factor), self.law, self.unit * abs(factor))

    def _on_grid(self, width: float) -> float:
        return max(math.ceil(width / self.unit) * self.unit if self.unit else width, 0.0)


class Estimate(Protocol):
    """A number, or an array of them, with its uncertainty."""

    @property
    def value(self) -> Floats:
        """The point estimate."""
        ...

    @property
    def standard_error(self) -> Floats:
        """Of the noise, same shape as the value."""
        ...

    def interval(self, confidence: float) -> Interval:
        """(lower, upper), same shape as the value."""
        ...


@dataclass(frozen=True, eq=False)
class Additive:
    """A noisy sum itself: value plus or minus its noise. Exact coverage."""

    sums: Floats
    noise: Noise

    @property
    def value(self) -> Floats:
        return self.sums

    @property
    def standard_error(self) -> Floats:
        return np.full_like(self.sums, self.noise.deviation)

    def interval(self, confidence: float) -> Interval:
        half = self.noise.half_width(confidence)
        return self.sums - half, self.sums + half


@dataclass(frozen=True, eq=False)
class Ratio:
    """A mean: middle + half * (sum of z) / (sum of ones), both noisy, z in [-1, 1].

    The interval is Fieller's (Fieller 1954): all t with |z - t n| <= q sd(z - t n). It covers at every n; the delta
    method falls to 79 % at n = 10. Where the count is not clearly positive, it is the whole range.

    Attributes:
        z, n: noisy sum of z and noisy count.
        z_noise, n_noise: their noise.
        lower, upper: the bounds of the mean; the value and the interval are clamped to them.
    """

    z: Floats
    n: Floats
    z_noise: Noise
    n_noise: Noise
    lower: float
    upper: float

    @cached_property
    def _slope(self) -> Floats:
        return np.clip(self.z / np.maximum(self.n, 1.0), -1.0, 1.0)

    @property
    def value(self) -> Floats:
        return self._real(self._slope)

    @property
    def standard_error(self) -> Floats:
        """By the delta method, at most the half range."""
        deviation = np.sqrt(self.z_noise.deviation**2 + (self._slope * self.n_noise.deviation) ** 2)
        return (self.upper - self.lower) / 2 * np.asarray(deviation / np.maximum(self.n, 1.0))

    def interval(self, confidence: float) -> Interval:
        q = self.z_noise.quantile(confidence)
        low, high = _where_negative(
            self.n**2 - (q * self.n_noise.deviation) ** 2,
            -2 * self.z * self.n,
            self.z**2 - (q * self.z_noise.deviation) ** 2,
            unless=self.n <= 0,
        )
        return self._real(np.clip(low, -1.0, 1.0)), self._real(np.clip(high, -1.0, 1.0))

    def _real(self, slope: Floats) -> Floats:
        return (self.lower + self.upper) / 2 + slope * ((self.upper - self.lower) / 2)


@dataclass(frozen=True, eq=False)
class Spread:
    """A variance: half^2 * (A/n - (z/n)^2) from the noisy sums of z, of 2 z^2 - 1, and the noisy count.

    With A = (s + n)/2 the sum of z^2, the interval is Fieller's idea for the polynomial
    g(v) = A n - z^2 - v n^2: all v with |g(v)| <= q sd(g(v)), sd to first order in the noise, g freed of its bias.

    Attributes:
        z, s, n: noisy sums; `noises` are theirs, in this order.
        half: half the width of the bounds.
    """

    z: Floats
    s: Floats
    n: Floats
    noises: tuple[Noise, Noise, Noise]
    half: float

    @cached_property
    def _parts(self) -> tuple[Floats, Floats, Floats]:
        """(A, A n - z^2, n^2), the last two freed of the bias of squared noise."""
        vz, _, vn = (noise.deviation**2 for noise in self.noises)
        squares = (self.s + self.n) / 2
        return squares, squares * self.n - vn / 2 - self.z**2 + vz, self.n**2 - vn

    @property
    def value(self) -> Floats:
        _, top, bottom = self._parts
        return self.half**2 * np.clip(top / np.maximum(bottom, 1.0), 0.0, 1.0)

    @property
    def standard_error(self) -> Floats:
        """By the delta method, at most the largest possible variance."""
        squares, top, bottom = self._parts
        v = np.clip(top / np.maximum(bottom, 1.0), 0.0, 1.0)
        vz, vs, vn = (noise.deviation**2 for noise in self.noises)
        variance = 4 * self.z**2 * vz + self.n**2 / 4 * vs + (self.n / 2 + squares - 2 * v * self.n) ** 2 * vn
        return self.half**2 * np.minimum(np.sqrt(variance) / np.maximum(bottom, 1.0), 1.0)

    def interval(self, confidence: float) -> Interval:
        q2 = self.noises[0].quantile(confidence) ** 2
        squares, top, bottom = self._parts
        vz, vs, vn = (noise.deviation**2 for noise in self.noises)
        slope = self.n / 2 + squares
        low, high = _where_negative(
            bottom**2 - 4 * q2 * vn * self.n**2,
            -2 * bottom * top + 4 * q2 * vn * slope * self.n,
            top**2 - q2 * (4 * self.z**2 * vz + self.n**2 / 4 * vs + slope**2 * vn),
            unless=(self.n <= 0) | (bottom <= 0),
        )
        return self.half**2 * np.clip(low, 0.0, 1.0), self.half**2 * np.clip(high, 0.0, 1.0)


def _where_negative(a: Floats, b: Floats, c: Floats, unless: npt.NDArray[np.bool_]) -> Interval:
    """Where a t^2 + b t + c <= 0: its two roots, or the whole line when a <= 0 (or `unless`)."""
    open_ended = (a <= 0) | unless
    safe = np.where(open_ended, 1.0, a)
    root = np.sqrt(np.maximum(b**2 - 4 * safe * c, 0.0))
    low, high = (-b - root) / (2 * safe), (-b + root) / (2 * safe)
    return np.where(open_ended, -np.inf, low), np.where(open_ended, np.inf, high)
