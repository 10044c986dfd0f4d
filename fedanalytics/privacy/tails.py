"""Rigorous bounds, in integers, on the two functions that the noise laws are made of.

A bound is a pair of integers ``(low, high)`` with ``low <= 2**bits * f <= high``. Everything is a series of positive
terms with rational ratios: its terms are computed twice, once rounding every division down and once up, so each bound
holds by construction, and needs no error analysis, no float, no library and no shared state (mpmath promises no
bound, and its caches of constants are not safe in threads). ``x <= bits`` keeps every series short.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TypeAlias

Bounds: TypeAlias = tuple[int, int]

_SLACK = 8  # further bits inside, so that the bounds on a result are a few units apart


def exponential(x: Fraction, bits: int) -> Bounds:
    """Bounds on e**x for x >= 0: the sum of x**n / n!.

    Example:
        >>> exponential(Fraction(1), 20)  # 2**20 e = 2850325.09
        (2850322, 2850331)
    """
    return _series(lambda n: (x.numerator, n * x.denominator), bits)


def beyond(t: Fraction, bits: int) -> Bounds:
    """Bounds on P(|N| >= t) for a standard normal N.

    For t > 0 it is ``1 - sqrt(2/pi) t e**-x (1 + t**2/3 + t**4/15 + ...)``, ``x = t**2/2``, the n-th term having the
    ratio ``t**2 / (2n+1)`` to the one before (Abramowitz and Stegun, 26.2.11). It is at most e**-x (Chernoff), hence
    below 2**-bits when x > bits.

    Example:
        >>> beyond(Fraction(1), 20)  # 2**20 erfc(sqrt(1/2)) = 332724.18
        (332724, 332725)
    """
    if t <= 0:
        return 1 << bits, 1 << bits
    x = t * t / 2
    if x > bits:
        return 0, 1
    work = bits + _SLACK
    sums = _series(lambda n: (2 * x.numerator, (2 * n + 1) * x.denominator), work)
    powers, roots = exponential(x, work), _root_of_half_pi(work)
    low = (t.numerator * sums[0] << work + bits) // (t.denominator * powers[1] * roots[1])
    high = -((-t.numerator * sums[1] << work + bits) // (t.denominator * powers[0] * roots[0]))
    return (1 << bits) - high, (1 << bits) - low


def geometric(at: Fraction, scale: Fraction, bits: int) -> Bounds:
    """Bounds on ``2 e**(-at/scale) / (1 + e**(-1/scale))``, which is P(|Z| >= at) if P(z) ~ e**(-|z|/scale).

    (For whole at >= 1; between them it is what the float quantile is compared with.) With E(x) = e**x it is
    ``2 E(1/scale) / (E(at/scale) (E(1/scale) + 1))``. It is at most 2 e**(-at/scale), hence below 2**-bits when
    at/scale > bits >= 3.

    Example:
        >>> geometric(Fraction(1), Fraction(1), 20)  # 2**20 * 2 / (e + 1) = 564011.04
        (564011, 564012)
    """
    if at / scale > bits:
        return 0, 1
    work = bits + _SLACK
    one, (step_low, step_high), power = 1 << work, exponential(1 / scale, work), exponential(at / scale, work)
    low = (step_low << 1 + work + bits) // (power[1] * (step_low + one))  # E / (E + 1) grows with E
    high = -((-step_high << 1 + work + bits) // (power[0] * (step_high + one)))
    return low, high


def geometric_column(scale: Fraction, bits: int) -> Iterator[Bounds]:
    """`geometric` at 1, 2, 3, ...: each from the one before, times e**(-1/scale); without an end."""
    work = bits + 2 * _SLACK
    low, high = geometric(Fraction(1), scale, work)
    least, most = decay(1 / scale, work)
    while True:
        yield low >> 2 * _SLACK, -(-high >> 2 * _SLACK)
        low, high = low * least >> work, -(-high * most >> work)


def decay(x: Fraction, bits: int) -> Bounds:
    """Bounds on e**-x for x >= 0, however large: halved until it is below 1, then squared back.

    Example:
        >>> decay(Fraction(1), 20)  # 2**20 / e = 385749.90
        (385749, 385750)
    """
    halvings = math.floor(x).bit_length()
    work = bits + halvings + _SLACK
    low, high = ((1 << 2 * work) // power for power in reversed(exponential(x / (1 << halvings), work)))
    high += 1
    for _ in range(halvings):
        low, high = low * low >> work, -(-high * high >> work)
    return low >> work - bits, -(-high >> work - bits)


def half_turn(parts: int, bits: int) -> Bounds:
    """Bounds on pi / parts."""
    low, high = _half_pi(bits)
    return 2 * low // parts, -(-2 * high // parts)


@functools.cache
def _root_of_half_pi(bits: int) -> Bounds:
    """Bounds on sqrt(pi/2)."""
    low, high = _half_pi(2 * bits)
    return math.isqrt(low), math.isqrt(high) + 1


def _half_pi(bits: int) -> Bounds:
    """Bounds on pi/2, by Euler's 1 + 1/3 + (1 2)/(3 5) + (1 2 3)/(3 5 7) + ..."""
    return _series(lambda n: (n, 2 * n + 1), bits)


def _series(ratio: Callable[[int], tuple[int, int]], bits: int) -> Bounds:
    """Bounds on 1 + r(1) + r(1) r(2) + ..., where r(n) = numerator / denominator > 0.

    The ratios must stay at or below 1/2 once they got there: what is left after the last term is then at most that
    term. A term rounded up never falls below 1, which is where the sum ends.
    """
    low = high = least = most = 1 << bits
    n = 0
    while True:
        n += 1
        above, below = ratio(n)
        least, most = least * above // below, -(-most * above // below)
        low, high = low + least, high + most
        if most <= 1 and 2 * above <= below:
            return low, high + most
