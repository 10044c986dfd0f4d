"""Sums and means of bounded numbers, from the sums of local reports: estimate, variance, interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from statistics import NormalDist

from fedanalytics import _validate
from fedanalytics.privacy.local.frequencies import Frequencies

_ENOUGH = 64  # reports, and
_RANDOM = 25.0  # expected random ones, from which the law of a sum is taken for normal

Ends = tuple[float, float]


@dataclass(frozen=True)
class Totals:
    """The sum of z over clients, z in [-1, 1] and 0 for null, from reports y with mean gain * z.

    Attributes:
        sum, squares: of y and y^2 over the reports.
        reports: n, of all clients.
        gain: exact.
        noise: the probability that a report is purely random.
        worst: the greatest variance of y / gain that one client can have.
        reach: the greatest |y|.
    """

    sum: int
    squares: int
    reports: int
    gain: Fraction
    noise: float
    worst: float
    reach: int

    @property
    def value(self) -> float:
        """Unbiased, hence not clamped."""
        return float(self.sum / self.gain)

    @property
    def normal(self) -> bool:
        """Whether there are reports enough for a normal law and an estimated variance."""
        return self.reports >= _ENOUGH and self.reports * self.noise >= _RANDOM

    @property
    def variance(self) -> float:
        """Of the value: the sample's, n (Q - S^2 / n) / (n - 1) / gain^2; the worst case where `normal` is not.

        With v_i and m_i the variance and mean of client i's y, its expectation is sum v_i + n / (n - 1) *
        sum (m_i - m)^2, times 1 / gain^2: never too small, by no more than the spread of the clients' z.
        """
        if not self.normal:
            return self.reports * self.worst
        return covariance(self.squares, self.sum, self.sum, self.reports) / float(self.gain) ** 2

    def interval(self, confidence: float) -> Ends:
        """(lower, upper) for the sum, within [-n, n].

        Normal, widened by half the distance of two sums, where `normal`; otherwise the narrower of Hoeffding's (1963,
        Theorem 2) and Bernstein's (Boucheron, Lugosi, Massart 2013, Section 2.8) bounds, which hold at every n.

        Raises:
            BadArgument: the confidence is not strictly between 0 and 1.
        """
        _validate.probability(confidence=confidence)
        gain, n = float(self.gain), self.reports
        if self.normal:
            half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(self.variance) + 1 / gain
        else:
            surprise = math.log(2 / (1 - confidence))
            third = (self.reach / gain + 1) * surprise / 3
            bernstein = third + math.sqrt(third**2 + 2 * n * self.worst * surprise)
            half = min(bernstein, self.reach / gain * math.sqrt(2 * n * surprise))
        return min(max(self.value - half, -n), n), max(min(self.value + half, n), -n)


@dataclass(frozen=True)
class Means:
    """The mean of z over the clients that hold a value: the ratio of two sums from the same reports.

    Attributes:
        total: the sum of z.
        count: of those that hold a value, one "bin".
    """

    total: Totals
    count: Frequencies

    @property
    def value(self) -> float:
        """Clamped to [-1, 1]; consistent, and biased as ratios are."""
        return min(max(self.total.value / max(self._held, 1.0), -1.0), 1.0)

    @property
    def standard_error(self) -> float:
        """By the delta method, at most 1, the half range."""
        zz, zc, cc = self._covariances
        variance = zz - 2 * self.value * zc + self.value**2 * cc
        return min(math.sqrt(max(variance, 0.0)) / max(self._held, 1.0), 1.0)

    def interval(self, confidence: float) -> Ends:
        """(lower, upper), within [-1, 1]; all of it where the count is not clearly positive.

        All t with |Z - t C| <= quantile * sd(Z - t C) (Fieller 1954), with the sample's covariances, where the law is
        taken for normal; elsewhere from intervals for Z and C that hold together.

        Raises:
            BadArgument: the confidence is not strictly between 0 and 1.
        """
        _validate.probability(confidence=confidence)
        if not self.total.normal:
            return self._from_both((1 + confidence) / 2)
        zz, zc, cc = self._covariances
        squared = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
        a = self._held**2 - squared * cc
        b = self.total.value * self._held - squared * zc
        c = self.total.value**2 - squared * zz
        if self._held <= 0 or a <= 0 or b * b < a * c:
            return -1.0, 1.0
        root = math.sqrt(b * b - a * c)
        return _within((b - root) / a), _within((b + root) / a)

    def _from_both(self, confidence: float) -> Ends:
        low, high = self.total.interval(confidence)
        [least], [most] = self.count.interval(confidence)
        if least <= 0:
            return -1.0, 1.0
        return _within(min(low / least, low / most)), _within(max(high / least, high / most))

    @property
    def _held(self) -> float:
        return float(self.count.value[0])

    @cached_property
    def _covariances(self) -> tuple[float, float, float]:
        """Of Z and C: ZZ, ZC, CC. A report with y != 0 is one of those that count, so y times it is y."""
        t, n, answered = self.total, self.total.reports, int(self.count.supports[0])
        if not t.normal:
            return t.variance, 0.0, float(self.count.variance[0])
        gain, gap = float(t.gain), float(self.count.true - self.count.false)
        zc = covariance(t.sum, t.sum, answered, n) / (gain * gap)
        return t.variance, zc, covariance(answered, answered, answered, n) / gap**2


def covariance(products: int, first: int, second: int, n: int) -> float:
    """Of two sums of n terms, from the sums of their products and of each; exact up to the division."""
    return float(Fraction(products * n - first * second, n - 1))


def _within(slope: float) -> float:
    return min(max(slope, -1.0), 1.0)
