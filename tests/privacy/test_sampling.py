"""Coins are exact, fair at every rate, and their own for every client."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.events import Composed, Gaussian, Laplace
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.sampling import if_seen, participations, poisson_sample

RATES = (1.0, 0.5, 0.1, 300 / 3400, 0.01, 2.0**-40, 5e-324, 1 - 2.0**-53)


class Told:
    """A stream that says what it is told to."""

    secure = False

    def __init__(self, words):
        self.told = list(words)

    def words(self, count):
        head, self.told = self.told[:count], self.told[count:]
        assert len(head) == count
        return np.array(head, np.uint64)


@given(
    st.floats(0, 1, exclude_min=True, exclude_max=True), st.lists(st.integers(0, 2**64 - 1), min_size=20, max_size=20)
)
def test_a_coin_is_the_comparison_of_its_bits_with_the_rate(rate, words):
    bits = sum(Fraction(word, 2 ** (64 * (i + 1))) for i, word in enumerate(words))
    [drawn] = poisson_sample(1, rate, keystream=Told(words))
    assert drawn == (bits < Fraction(rate))


@pytest.mark.parametrize("rate", [0.1, 1e-30, 5e-324, 0.75])
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_coins_that_agree_with_the_rate_for_long_are_settled_by_more_bits(rate, off):
    digits, rest = [], Fraction(rate)
    for _ in range(18):
        rest *= 2**64
        digits.append(math.floor(rest))
        rest -= digits[-1]
    assert rest == 0  # a float ends
    last = max(i for i, d in enumerate(digits) if d)
    digits[last] += off
    [drawn] = poisson_sample(1, rate, keystream=Told([*digits, 0, 0]))
    assert drawn == (off < 0)


def test_every_client_has_its_own_word():
    words = [0, 2**64 - 1, 2**63 - 1, 2**63]
    assert poisson_sample(4, 0.5, keystream=Told(words)).tolist() == [True, False, True, False]
    assert poisson_sample(3, 1.0).tolist() == [True] * 3
    assert poisson_sample(0, 0.3).shape == (0,)


@pytest.mark.parametrize("rate", RATES)
def test_the_size_of_a_cohort_is_binomial(rate):
    """One of 8 checks at 1e-9; by the exact binomial law."""
    n = 1_000_000
    drawn = int(poisson_sample(n, rate, keystream=Keystream.insecure(7)).sum())
    tails = stats.binom.cdf(drawn, n, rate), stats.binom.sf(drawn - 1, n, rate)
    assert 2 * min(tails) > 1e-9


def test_coins_of_neighbours_and_of_rounds_are_independent():
    stream = Keystream.insecure(8)
    rounds = np.array([poisson_sample(20_000, 0.3, keystream=stream) for _ in range(10)]).astype(float)
    for a, b in ((rounds[:, :-1].ravel(), rounds[:, 1:].ravel()), (rounds[:-1].ravel(), rounds[1:].ravel())):
        assert abs(np.corrcoef(a, b)[0, 1]) * math.sqrt(len(a)) < 6.2  # two-sided 1e-9


def test_a_rate_off_by_one_per_cent_is_seen():
    drawn = int(poisson_sample(10_000_000, 0.1 * 0.99, keystream=Keystream.insecure(9)).sum())
    assert stats.binom.cdf(drawn, 10_000_000, 0.1) < 1e-9


def test_fresh_coins_differ():
    assert (poisson_sample(1000, 0.5) != poisson_sample(1000, 0.5)).any()


@pytest.mark.parametrize("rate", [0, -0.1, 1.1, math.nan, math.inf, "0.1", None, True])
def test_a_rate_is_a_probability(rate):
    with pytest.raises(BadArgument, match="sampling_rate="):
        poisson_sample(10, rate)


@pytest.mark.parametrize("size", [-1, 1.5, "3", None])
def test_a_size_is_whole(size):
    with pytest.raises(BadArgument, match="size="):
        poisson_sample(size, 0.1)


# ---------------------------------------------------------------- against who sees the cohort


def test_the_second_figure_as_published():
    """q = 300/3400, T = 200, sigma = 1.745: epsilon 4; seen, 13.8 at the mean 17.6 rounds and 70.6 at all 200."""
    event = Gaussian(1.745).poisson_sampled(300 / 3400).repeated(200)
    assert Accountant().compose(event).epsilon(1e-6) == pytest.approx(4.0, abs=0.01)
    assert Accountant().compose(if_seen(event)).epsilon(1e-6) == pytest.approx(70.6, abs=0.1)
    lower, upper = (Accountant().compose(if_seen(event, n)).epsilon(1e-6) for n in (17, 18))
    assert lower < 13.8 < upper


def test_a_seen_event_without_sampling_is_itself():
    event = Composed((Laplace(3.0), Gaussian(2.0).repeated(4)))
    assert list(if_seen(event).atoms()) == list(event.atoms())


@given(st.floats(0.001, 1.0), st.integers(1, 500), st.sampled_from([1e-3, 1e-9]))
def test_a_cap_on_participations_is_the_least_that_is_hardly_exceeded(rate, rounds, failure):
    most = participations(rate, rounds, failure)
    assert stats.binom.sf(most, rounds, rate) <= failure
    assert most == 0 or stats.binom.sf(most - 1, rounds, rate) > failure
