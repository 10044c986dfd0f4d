"""Rigorous bounds, in integers, on the tail of the Skellam law, that of Z = Poisson(v/2) - Poisson(v/2).

P(Z = j) = e**-v I_j(v), with the modified Bessel function.

Two ways that share nothing but the size of the tail, so that each can be tested with the other: `column` has all
thresholds of a narrow law at the price of one recurrence, `survival` one of any law. As in tails.py a bound is a pair
``low <= 2**bits * f <= high`` that holds by construction; the proofs stand here in short, and in docs/exact-noise.md.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from fedanalytics.privacy.tails import Bounds, decay, half_turn

Ball: TypeAlias = tuple[int, int, int]  # a complex number within `radius` of (re + i im), all in units of 2**-work

_SLACK = 40  # further bits inside: the bounds on a result are a few units apart


def reach(variance: Fraction, bits: int) -> int:
    """A t with P(|Z| > t) <= 2**-bits.

    Bernstein: ``P(Z >= t) <= e**-x`` if ``t**2 >= 2x (v + t/3)``, from Chernoff's bound and ``cosh h - 1 <= h**2 /
    (2 (1 - h/3))`` (term by term) at ``h = t / (v + t/3)``. Here x = 0.7 (bits + 1), and 0.7 > ln 2.
    """
    x = Fraction(7 * (bits + 1), 10)
    return math.isqrt(math.ceil(x * x / 9 + 2 * x * variance)) + math.ceil(x / 3) + 1


def column(variance: Fraction, bits: int) -> list[Bounds]:
    """Bounds on P(|Z| >= j) for j = 1, 2, ..., up to where it is below 2**-bits.

    Bessel's recurrence ``p[j-1] = p[j+1] + (2j/v) p[j]`` is run down from p[N] = 1 (Miller). The true p[N+1] lies
    between 0, or 1 - (N+1)/v, and 1: p is log-concave, so r = p[j+1]/p[j] falls, and r >= sqrt(1 + x**2) - x for x =
    (j+1)/v. The share of ``|Z| >= j`` in ``|Z| <= N`` is a quotient of linear functions of p[N+1], hence between its
    values at both ends; and what lies beyond N moves it by at most 2**-bits.
    """
    last = reach(variance, bits)
    work = bits + last.bit_length() + 2
    least = max(Fraction(0), 1 - (last + 1) / variance)
    shares = [_shares(variance, last, int(above * (1 << work)), work, bits) for above in (least, Fraction(1))]
    return [(max(min(pair) - 1, 0), max(pair) + 3) for pair in zip(*shares, strict=True)]


def survival(j: int, variance: Fraction, bits: int) -> Bounds:
    """Bounds on P(|Z| >= j), by Fourier inversion of Z mod n, n odd and beyond twice the reach.

    ``P(|Z mod n| < j) = (2j - 1 + 2 sum of phi(2a) sin((2j-1)a) / sin a) / n`` over a = pi/n, 2pi/n, ..., below pi/2,
    ``phi(2a) = e**(-2v sin(a)**2)``. It is P(|Z| < j) plus at most 2**-bits for the draws that n wraps; the terms left
    out are at most phi n/(2t), falling in t.

    Example:
        >>> survival(1, Fraction(2), 20)  # 2**20 (1 - e**-2 I_0(2)) = 725081.6
        (725080, 725084)
    """
    if j <= 0:
        return 1 << bits, 1 << bits
    if j > reach(variance, bits):
        return 0, 1
    waves = _waves(variance, bits)
    n, work = waves.modulus, waves.work
    turn = power = _power(waves.root, 2 * j - 1, work)
    low = high = 0
    for small, large in waves.weights:
        below, above = power[1] - power[2], power[1] + power[2]
        low += below * (small if below > 0 else large)
        high += above * (large if above > 0 else small)
        power = _times(power, turn, work)
    whole = 2 * j - 1 << 2 * work
    inside_low, inside_high = ((whole + 2 * s << bits) // n >> 2 * work for s in (low, high))
    return (1 << bits) - inside_high - 2, (1 << bits) - inside_low + 2


@dataclass(frozen=True)
class _Waves:
    """What does not depend on j: e**(i pi/n), and bounds on ``phi / sin`` of its powers, in units of 2**-work."""

    modulus: int
    work: int
    root: Ball
    weights: tuple[Bounds, ...]


@functools.lru_cache(maxsize=8)
def _waves(variance: Fraction, bits: int) -> _Waves:
    half = reach(variance, bits)
    n = 2 * half + 1
    work = bits + n.bit_length() + _SLACK
    root = power = _root(n, work)
    weights: list[Bounds] = []
    for _ in range(half):
        below, above = power[1] - power[2], power[1] + power[2]
        most = decay(_angle(variance, below, work, up=False), work)[1]
        if most * half >> work - bits == 0:  # this term and all later ones: together at most 2**-bits
            break
        least = decay(_angle(variance, above, work, up=True), work)[0]
        weights.append(((least << work) // above, -((-most << work) // below)))
        power = _times(power, root, work)
    return _Waves(n, work, root, tuple(weights))


def _angle(variance: Fraction, sine: int, work: int, *, up: bool) -> Fraction:
    """2v sine**2, rounded to a multiple of 2**-work."""
    exact = 2 * variance.numerator * sine * sine
    below = variance.denominator << work
    return Fraction(-(-exact // below) if up else exact // below, 1 << work)


def _shares(variance: Fraction, last: int, above: int, work: int, bits: int) -> list[int]:
    """P(|Z| >= j) / P(|Z| <= last) in units of 2**-bits for j = 1..last, if p[last+1]/p[last] were above / 2**work.

    Within one unit: every term is at least 2**work and loses less than 1, so that none, and no sum of them, is low by
    more than the fraction last / 2**work.
    """
    times, by = 2 * variance.denominator, variance.numerator
    p, total, sums = 1 << work, 0, []
    for j in range(last, 0, -1):
        total += p
        sums.append(total)
        p, above = above + j * times * p // by, p
    whole = p + 2 * total
    return [(2 * part << bits) // whole for part in reversed(sums)]


def _root(n: int, work: int) -> Ball:
    """e**(ix), x = pi/n, n >= 4, by its series: each term is low by less than 2, what follows the last is below 8."""
    low, high = half_turn(n, work)
    parts, term, count = [0, 0, 0, 0], 1 << work, 0
    while term:
        parts[count % 4] += term
        count += 1
        term = term * low // count >> work
    return parts[0] - parts[2], parts[1] - parts[3], 2 * count + 8 + high - low


def _times(u: Ball, w: Ball, work: int) -> Ball:
    """The product of two numbers of modulus <= 1: |uw - UW| <= |u - U| |w| + |U| |w - W|, and 3 for the roundings."""
    (a, b, r), (c, d, s) = u, w
    return a * c - b * d >> work, a * d + b * c >> work, r + s + 3


def _power(root: Ball, exponent: int, work: int) -> Ball:
    result = root
    for bit in bin(exponent)[3:]:
        result = _times(result, result, work)
        if bit == "1":
            result = _times(result, root, work)
    return result
