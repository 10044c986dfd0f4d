"""Coins, whole numbers and roundings of local mechanisms have exactly the stated probabilities."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.local import coins

WORD = st.integers(0, 2**64 - 1)


class Told:
    """A stream that says what it is told to."""

    secure = False

    def __init__(self, words):
        self.told = list(words)

    def words(self, count):
        head, self.told = self.told[:count], self.told[count:]
        assert len(head) == count
        return np.array(head, np.uint64)


@given(st.integers(1, 2**40), st.lists(WORD, min_size=60, max_size=60))
def test_a_whole_number_is_the_remainder_of_the_first_word_below_a_multiple(limit, words):
    usable = [w % limit for w in words if w < 2**64 // limit * limit]
    assert coins.below(limit, 1, Told(words)).tolist() == usable[:1]


@pytest.mark.parametrize("limit", [3, 5, 257, 10**12])
def test_words_above_the_last_multiple_are_drawn_again(limit):
    top = 2**64 // limit * limit
    stream = Told([0, top, limit - 1, top - 1, 2**64 - 1, 1])
    assert coins.below(limit, 4, stream).tolist() == [0, 1, limit - 1, limit - 1]
    assert stream.told == []


def test_a_power_of_two_needs_no_second_word():
    assert coins.below(8, 2, Told([2**64 - 1, 2**64 - 8])).tolist() == [7, 0]
    assert coins.below(1, 2, Told([2**64 - 1, 5])).tolist() == [0, 0]


@given(st.floats(-1, 1), st.integers(1, 2**21), WORD)
def test_a_rounding_goes_up_with_exactly_what_is_left(value, cells, word):
    [steps] = coins.snapped(np.array([value])).tolist()
    at = (Fraction(steps, 2**40) + 1) / 2 * cells
    up = Fraction(word >> 23, 2**41) < at % 1
    assert coins.rounded(np.array([steps]), cells, Told([word])).tolist() == [at // 1 + up]
    assert abs(Fraction(value) - Fraction(steps, 2**40)) <= Fraction(1, 2**41)


def test_points_of_the_grid_are_themselves():
    for word in (0, 2**64 - 1):
        assert coins.rounded(coins.snapped(np.array([-1.0, 0.0, 1.0])), 2, Told([word] * 3)).tolist() == [0, 1, 2]


def test_what_is_not_finite_or_out_of_bounds_is_snapped_to_a_bounded_number():
    values = np.array([np.nan, np.inf, -np.inf, 1e300, -1.5, 5e-324])
    assert coins.snapped(values).tolist() == [0, 0, 0, 2**40, -(2**40), 0]


def test_coins_are_those_of_the_sampler():
    assert coins.flips(0.5, 4, Told([0, 2**64 - 1, 2**63 - 1, 2**63])).tolist() == [True, False, True, False]


def test_keys_are_fresh_words():
    assert coins.keys(2, 3, Keystream.insecure(1)).tolist() == Keystream.insecure(1).words(6).reshape(2, 3).tolist()
