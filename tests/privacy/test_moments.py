"""Bounds by moments: valid against exact figures, finite where a grid is not, and the best of the three."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.privacy import gdp, moments, zcdp
from fedanalytics.privacy.events import DiscreteLaplace, Exact, Gaussian, Laplace, RandomizedResponse, Skellam

deltas = st.floats(-12, -1).map(lambda x: 10**x)


@given(st.floats(0.02, 100), st.integers(1, 10**6), deltas)
def test_gaussians_are_never_below_the_closed_form_nor_above_zcdp(sigma, count, delta):
    mu = math.sqrt(count) / sigma
    found = moments.epsilon({Gaussian(sigma): count}, delta)
    assert found <= zcdp.epsilon_of(mu**2 / 2, delta) * (1 + 1e-9)
    if mu < 20:
        assert found >= gdp.epsilon_of(mu, delta)
        assert moments.delta({Gaussian(sigma): count}, found) >= gdp.delta_of(mu, found) * (1 - 1e-9)


@given(st.floats(0.1, 100), st.integers(1, 500), deltas)
def test_delta_is_the_inverse_of_epsilon(sigma, count, delta):
    for counts in (
        {Gaussian(sigma): count},
        {Skellam(900 * sigma**2, 300, 30): count},
        {Gaussian(sigma): 1, Laplace(sigma): count},
    ):
        epsilon = moments.epsilon(counts, delta)
        if epsilon > 0:
            assert moments.delta(counts, epsilon) <= delta * 1.1
            assert moments.delta(counts, epsilon * 1.001 + 1e-9) <= delta * (1 + 1e-3)


@given(st.floats(1e-3, 100), st.integers(1, 1000), st.floats(0.01, 1))
def test_pure_epsilons_add_up(b, count, rate):
    one = math.log1p(rate * math.expm1(1 / b)) if 1 / b < 600 else 1 / b
    counts = {DiscreteLaplace(b).poisson_sampled(rate): count, RandomizedResponse(1.0, 2, "zero-out"): 3}
    assert moments.pure(counts) == pytest.approx(count * one, rel=1e-9)
    assert moments.pure(counts) >= count * one
    assert moments.epsilon(counts, 1e-300) <= moments.pure(counts)
    assert moments.delta(counts, moments.pure(counts)) == 0
    assert math.isinf(moments.pure({Gaussian(1e9): 1, Laplace(1.0): 1}))


def test_what_has_no_moments_has_no_bound():
    assert math.isinf(moments.epsilon({Exact(): 1}, 1e-6))
    assert moments.delta({Exact(): 1}, 100.0) == 1
    assert moments.epsilon({Gaussian(1e-170): 1}, 1e-6) == math.inf
    assert moments.delta({Gaussian(1e-170): 1}, 1e300) == 1
    assert 0 < moments.epsilon({Gaussian(1e-100): 1}, 1e-6) < math.inf
