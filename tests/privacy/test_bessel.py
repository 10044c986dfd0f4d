"""The bounds on Skellam tails: against the Bessel functions of mpmath, and the two ways to them against each other."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedanalytics.privacy import bessel

MP = mpmath.mp.clone()
MP.prec = 500


def tail(j, variance):
    """P(|Z| >= j) as a sum of e**-v I_i(v)."""
    v = MP.mpf(variance.numerator) / variance.denominator
    total, i = MP.mpf(0), j
    while (term := MP.besseli(i, v)) > total * MP.mpf(2) ** -450:
        total, i = total + term, i + 1
    return 2 * total * MP.exp(-v)


def holds(bounds, truth, bits):
    low, high = bounds
    return low <= MP.ldexp(truth, bits) <= high and high - low <= 8


VARIANCES = st.fractions(Fraction(1, 2**20), Fraction(300), max_denominator=2**70)
BITS = st.integers(8, 300)


@settings(deadline=None, max_examples=60)
@given(VARIANCES, st.integers(1, 120), BITS)
def test_survival(variance, j, bits):
    assert holds(bessel.survival(j, variance, bits), tail(j, variance), bits)


@settings(deadline=None, max_examples=25)
@given(VARIANCES, BITS, st.data())
def test_column(variance, bits, data):
    column = bessel.column(variance, bits)
    j = data.draw(st.integers(1, len(column)))
    assert holds(column[j - 1], tail(j, variance), bits)
    assert MP.ldexp(tail(len(column) + 1, variance), bits) <= 1


@settings(deadline=None, max_examples=60)
@given(st.floats(2.0**-20, 2.0**16), st.integers(8, 160))
def test_the_recurrence_and_the_integral_agree(variance, bits):
    """They share nothing but `reach`."""
    v = Fraction(variance)
    column = bessel.column(v, bits)
    for j in sorted({1, 2, math.isqrt(int(v)) + 1, len(column) // 2 + 1, len(column)}):
        (low, high), (least, most) = column[j - 1], bessel.survival(j, v, bits)
        assert max(low, least) <= min(high, most)
        assert max(high - low, most - least) <= 8


@pytest.mark.parametrize("exponent", [30, 50, 72])
def test_a_wide_law_is_nearly_normal(exponent):
    """Edgeworth's first term, whose rest is below 20 / v**2 (here 2**-55 and less)."""
    variance, bits = 1.3 * 2.0**exponent, 90
    v = MP.mpf(variance)
    for w in (0.1, 1.0, 2.5, 5.0):
        j = int(w * math.sqrt(variance)) + 1
        x = (j - MP.mpf(0.5)) / MP.sqrt(v)
        density = MP.exp(-x * x / 2) / MP.sqrt(2 * MP.pi)
        expected = MP.erfc(x / MP.sqrt(2)) + 2 * density * (x**3 - 4 * x) / (24 * v)  # He3/24 - He1/24
        low, high = bessel.survival(j, Fraction(variance), bits)
        assert abs(MP.ldexp((low + high) / MP.mpf(2), -bits) - expected) < 20 / v**2 + MP.mpf(2) ** (3 - bits)
        assert high - low <= 8


@settings(deadline=None, max_examples=40)
@given(st.fractions(Fraction(1, 2**20), Fraction(200), max_denominator=2**40), st.integers(1, 200))
def test_the_reach(variance, bits):
    assert tail(bessel.reach(variance, bits) + 1, variance) <= MP.mpf(2) ** -bits


@pytest.mark.parametrize("exponent", [-20, 0, 18, 40, 72])
def test_the_reach_is_no_wider_than_it_must(exponent):
    """Within 1.5 of the normal tail's bound, plus the Poisson tail's some steps."""
    spread = 2.0 ** (exponent / 2)
    assert bessel.reach(Fraction(2) ** exponent, 79) <= 1.5 * math.sqrt(2 * math.log(2) * 79) * spread + 45


def test_certain_at_zero_and_hopeless_beyond_the_reach():
    assert bessel.survival(0, Fraction(5), 20) == bessel.survival(-3, Fraction(5), 20) == (2**20, 2**20)
    assert bessel.survival(10**9, Fraction(5), 20) == (0, 1)


@pytest.mark.parametrize("n", [5, 7, 1001, 2**40 + 1])
@pytest.mark.parametrize("exponent", [1, 2, 3, 77, 1000])
def test_powers_of_a_root_of_unity_stay_in_their_balls(n, exponent):
    work = 300
    re, im, radius = bessel._power(bessel._root(n, work), exponent, work)
    truth = MP.expjpi(MP.mpf(exponent) / n) * 2**work
    assert abs(MP.mpc(re, im) - truth) <= radius <= 2000 * exponent
