"""The proven bounds against mpmath, which computes the same functions by other means."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.privacy import tails

MP = mpmath.mp.clone()
MP.prec = 1200

BITS = st.integers(8, 400)


def rationals(low: str, high: str):
    return st.fractions(Fraction(low), Fraction(high), max_denominator=2**80)


def value(x: Fraction):
    return MP.mpf(x.numerator) / x.denominator


def scaled(bounds: tails.Bounds, truth, bits: int, units: int) -> bool:
    low, high = bounds
    return low <= MP.ldexp(truth, bits) <= high and high - low <= units


@given(rationals("0", "60"), BITS)
def test_exponential(x, bits):
    truth = MP.exp(value(x))
    assert scaled(tails.exponential(x, bits), truth, bits, units=int(truth * 500) + 8)  # relative 2**-bits, 500 terms


@given(rationals("1/1000000", "30"), BITS)
def test_beyond(t, bits):
    assert scaled(tails.beyond(t, bits), MP.erfc(value(t) / MP.sqrt(2)), bits, units=16)


@given(rationals("1", "1000"), rationals("1/1024", "64"), BITS)
def test_geometric(at, scale, bits):
    truth = 2 * MP.exp(-value(at / scale)) / (1 + MP.exp(-value(1 / scale)))
    assert scaled(tails.geometric(at, scale, bits), truth, bits, units=16)


@given(rationals("0", "2000"), BITS)
def test_decay(x, bits):
    assert scaled(tails.decay(x, bits), MP.exp(-value(x)), bits, units=2)


@pytest.mark.parametrize("parts", [1, 3, 2**40 + 1])
@pytest.mark.parametrize("bits", [10, 100, 500])
def test_half_turn(parts, bits):
    assert scaled(tails.half_turn(parts, bits), MP.pi / parts, bits, units=4 * bits // parts + 8)


@pytest.mark.parametrize("scale", [Fraction(1, 1024), Fraction(0.3), Fraction(7), Fraction(128)])
@pytest.mark.parametrize("bits", [20, 79])
def test_geometric_column(scale, bits):
    for at, bounds in enumerate(itertools.islice(tails.geometric_column(scale, bits), 6000), 1):
        if at % 97 < 3:
            truth = 2 * MP.exp(-value(at / scale)) / (1 + MP.exp(-value(1 / scale)))
            assert scaled(bounds, truth, bits, units=8)


def test_certain_at_and_below_zero():
    assert tails.beyond(Fraction(0), 20) == tails.beyond(Fraction(-1), 20) == (2**20, 2**20)


@pytest.mark.parametrize("bits", [20, 79, 500])
def test_the_far_tail_is_a_shortcut_and_still_a_bound(bits):
    t = Fraction(2 * bits + 1)
    assert tails.beyond(t, bits) == (0, 1)
    assert MP.ldexp(MP.erfc(value(t) / MP.sqrt(2)), bits) < 1
    at = Fraction(bits) + Fraction(1, 1000)
    assert tails.geometric(at, Fraction(1), bits) == (0, 1)
    assert MP.ldexp(2 * MP.exp(-value(at)), bits) < 1


@pytest.mark.parametrize("bits", [20, 79, 500])
def test_no_shortcut_where_the_tail_still_counts(bits):
    """e**-x falls below 2**-bits at x = 0.69 bits: just before that, (0, 1) would be wrong."""
    t = Fraction(math.isqrt(bits * 128 * 10**6 // 100), 1000)  # x = t**2/2 = 0.64 bits
    low, high = tails.beyond(t, bits)
    assert low <= MP.ldexp(MP.erfc(value(t) / MP.sqrt(2)), bits) <= high
    assert high - low <= 16
    at = Fraction(64 * bits, 100)
    low, high = tails.geometric(at, Fraction(1), bits)
    assert low <= MP.ldexp(2 * MP.exp(-value(at)) / (1 + MP.exp(-1)), bits) <= high
    assert high - low <= 16


def test_the_rest_of_a_series_is_counted():
    """1 + 1/2 + 1/4 + ... = 2, in which no division rounds up before the end."""
    low, high = tails._series(lambda _: (1, 2), 50)
    assert low <= 2 << 50 <= high <= (2 << 50) + 2


def test_a_series_does_not_end_while_it_may_still_fall_slowly():
    truth = sum(Fraction(9, 10) ** n for n in range(51)) + Fraction(9, 10) ** 50
    low, high = tails._series(lambda n: (9, 10) if n <= 50 else (1, 2), 0)
    assert low <= truth <= high


def test_a_grid_step_of_two_to_the_minus_ten_costs_nothing():
    """sigma = 2**-10 puts the first threshold at t = 512: without the shortcut, a number of 190,000 bits."""
    assert tails.beyond(Fraction(512), 79) == (0, 1)
