"""One training run by guesses: the p-value against exact sums and its own tight mechanism, the bound by inversion."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from fedanalytics.auditing import epsilon_bound, guesses
from fedanalytics.errors import BadArgument


@st.composite
def counts(draw, most=400):
    canaries = draw(st.integers(1, most))
    made = draw(st.integers(1, canaries))
    return draw(st.integers(0, made)), made, canaries


@given(counts(), st.floats(0.01, 0.4))
def test_without_delta_it_is_clopper_and_pearsons(given_, alpha):
    correct, made, canaries = given_
    low = stats.binomtest(correct, made).proportion_ci(1 - 2 * alpha, method="exact").low
    closed = max(float(special.logit(low)), 0.0) if low > 0 else 0.0
    assert epsilon_bound(correct, made, canaries, confidence=1 - alpha) == pytest.approx(closed, abs=1e-6)


@given(counts(40), st.fractions(0, Fraction(1, 2), max_denominator=10**6), st.sampled_from([1, 2, 5, 20]))
def test_the_chance_is_the_exact_sum(given_, delta, odds):
    """In fractions, for e^epsilon a whole number: P(W >= v) + 2 m delta max over i of P(v > W >= v - i) / i."""
    correct, made, canaries = given_
    right = Fraction(odds, 1 + odds)
    masses = [math.comb(made, k) * right**k * (1 - right) ** (made - k) for k in range(made + 1)]
    least = max((sum(masses[correct - i : correct]) / i for i in range(1, correct + 1)), default=0)
    exact = min(sum(masses[correct:]) + 2 * canaries * delta * least, 1)
    assert guesses.chance(correct, made, canaries, math.log(odds), float(delta)) == pytest.approx(
        float(exact), abs=1e-9
    )


@given(counts(), st.floats(0, 6), st.floats(0, 2), st.sampled_from([0.0, 1e-6, 1e-3]))
def test_a_greater_epsilon_makes_good_guesses_more_likely(given_, epsilon, more, delta):
    """Where it is small enough to decide: the bound by bisection is then the only one."""
    correct, made, canaries = given_
    near = guesses.chance(correct, made, canaries, epsilon, delta)
    if near < 0.3:
        assert guesses.chance(correct, made, canaries, epsilon + more, delta) >= near - 1e-12


@given(counts(), st.floats(0.02, 0.3), st.sampled_from([0.0, 1e-6, 1e-4]))
def test_the_bound_is_where_the_chance_is_alpha(given_, alpha, delta):
    correct, made, canaries = given_
    bound = epsilon_bound(correct, made, canaries, delta=delta, confidence=1 - alpha)
    if bound:
        assert guesses.chance(correct, made, canaries, bound, delta) == pytest.approx(alpha, rel=1e-5)
        assert epsilon_bound(correct, made, canaries, delta=delta * 2, confidence=1 - alpha) <= bound + 1e-9
    else:
        assert guesses.chance(correct, made, canaries, 0.0, delta) >= alpha * (1 - 1e-9)


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 3.0])
def test_randomised_response_meets_it_and_does_not_exceed_it(epsilon):
    """The mechanism that the theorem is tight for: each coin told truly with e^epsilon / (1 + e^epsilon)."""
    rng = np.random.default_rng(1)
    correct = rng.binomial(500, special.expit(epsilon), 2000)
    bounds = {int(v): epsilon_bound(int(v), 500, 500, confidence=0.9) for v in set(correct)}
    above = np.mean([bounds[int(v)] > epsilon for v in correct])
    assert 0.06 < above <= 0.1 + 4 * math.sqrt(0.09 / 2000)


def test_a_delta_that_reveals_everything_at_once_is_allowed_for():
    """With probability delta all coins are told: (0, delta)-DP per canary, and m delta is what the term is for."""
    assert epsilon_bound(500, 500, 500, delta=0.0) > 5
    assert epsilon_bound(500, 500, 500, delta=0.06) == 0


@given(
    st.integers(16, 300),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 3, 10**9]),
)
def test_ways_to_guess_do_not_know_the_coins(size, seed, values):
    """The scores that are guessed, and how, are those of all canaries together; equal ones are guessed alike."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, values, size).astype(float)
    coins, other = rng.random((2, size)) < 0.5
    one = [(way.made, way.words, way.share) for way in guesses.ways(scores[coins], scores[~coins])]
    same = [(way.made, way.words, way.share) for way in guesses.ways(scores[other], scores[~other])]
    assert one == same
    assert sum(share for _, _, share in one) <= 1 + 1e-12
    for way in guesses.ways(scores[coins], scores[~coins]):
        assert 0 <= way.correct <= way.made <= size


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ((3, 2, 5), "expected correct <= guesses <= canaries, got 3, 2 and 5"),
        ((3, 6, 5), "expected correct <= guesses"),
        ((-1, 2, 5), "correct= must be a whole number"),
        ((1.5, 2, 5), "correct= must be a whole number"),
        ((0, 0, 0), "canaries= must be a whole number of at least 1"),
    ],
)
def test_counts_that_cannot_be(given_, message):
    with pytest.raises(BadArgument, match=message):
        epsilon_bound(*given_)
    with pytest.raises(BadArgument, match="delta= must be"):
        epsilon_bound(1, 2, 3, delta=1.0)
    with pytest.raises(BadArgument, match="confidence= must lie"):
        epsilon_bound(1, 2, 3, confidence=1.0)
