"""GDP and zCDP conversions against dp_accounting, the notes' published figures, and each other."""

import math

import mpmath
import pytest
from dp_accounting.pld import privacy_loss_distribution as pld
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.privacy import gdp, zcdp

epsilons = st.floats(min_value=1e-3, max_value=50)
deltas = st.floats(min_value=1e-12, max_value=0.1)


@pytest.mark.parametrize(
    ("epsilon", "mu", "rho"), [(1, 0.236704, 0.024356), (2, 0.448335, 0.088153), (8, 1.531545, 1.052357)]
)
def test_capacities_at_one_in_a_million(epsilon, mu, rho):
    assert gdp.mu_of(epsilon, 1e-6) == pytest.approx(mu, abs=1e-6)
    assert zcdp.rho_cap(epsilon, 1e-6) == pytest.approx(rho, abs=2e-6)


def exact_delta(mu, epsilon):
    with mpmath.workdps(60):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
        return mpmath.ncdf(m / 2 - e / m) - mpmath.exp(e) * mpmath.ncdf(-m / 2 - e / m)


@given(epsilons, deltas)
def test_mu_is_the_largest_that_holds(epsilon, delta):
    mu = gdp.mu_of(epsilon, delta)
    assert exact_delta(mu, epsilon) <= delta
    assert exact_delta(mu * (1 + 1e-6), epsilon) > delta
    assert exact_delta(mu, gdp.epsilon_of(mu, delta)) <= delta
    assert gdp.epsilon_of(mu, delta) == pytest.approx(epsilon, rel=1e-6)


@pytest.mark.parametrize("mu", [0.02, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.5, 3.0, 9.0])
def test_delta_against_high_precision(mu, epsilon):
    exact = exact_delta(mu, epsilon)
    # The stated error is relative to Phi, of which the difference is a small part when mu is small.
    assert exact <= gdp.delta_of(mu, epsilon) <= float(exact) * (1 + 1e-7 / min(mu, 1) ** 2) + 1e-300


@pytest.mark.parametrize("sigma", [0.7, 2.0, 10.0])
def test_gaussian_epsilon_against_a_loss_distribution(sigma):
    theirs = pld.from_gaussian_mechanism(sigma).get_epsilon_for_delta(1e-6)
    assert theirs * (1 - 1e-3) <= gdp.epsilon_of(1 / sigma, 1e-6) <= theirs


@given(epsilons, deltas)
def test_zcdp_there_and_back(epsilon, delta):
    rho = zcdp.rho_cap(epsilon, delta)
    assert zcdp.epsilon_of(rho, delta) == pytest.approx(epsilon, rel=1e-6)
    assert rho <= gdp.mu_of(epsilon, delta) ** 2 / 2  # the tight Gaussian figure can only admit more


@given(st.floats(min_value=1e-6, max_value=10), deltas, st.floats(min_value=1e-4, max_value=1e6))
def test_no_order_beats_the_chosen_one(rho, delta, a):
    claimed = rho * (1 + a) - math.log1p(1 / a) - (math.log(delta) + math.log1p(a)) / a
    assert zcdp.epsilon_of(rho, delta) <= max(claimed, 0) * (1 + 1e-9) + 1e-12


@given(st.floats(min_value=0.05, max_value=3), deltas)
def test_a_zcdp_claim_covers_the_gaussian(mu, delta):
    assert gdp.epsilon_of(mu, delta) <= zcdp.epsilon_of(mu * mu / 2, delta)


def test_nothing_spent_costs_nothing():
    assert gdp.epsilon_of(0.0, 1e-6) == 0 == zcdp.epsilon_of(0.0, 1e-6)
    assert gdp.epsilon_of(1e-9, 0.5) == 0


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(0, 0.1), (-1, 0.1), (math.nan, 0.1), (1, 0), (1, 1), (1, math.nan), ("1", 0.1)]
)
def test_bad_targets(epsilon, delta):
    for call in (gdp.mu_of, zcdp.rho_cap):
        with pytest.raises(BadArgument, match=r"epsilon=|delta="):
            call(epsilon, delta)


@pytest.mark.parametrize(
    ("mu", "epsilon"), [(37.18, 737.0), (36.0, 700.0), (50.0, 1500.0), (45.0, 900.0), (38.0, 720.0)]
)
def test_delta_is_never_below_the_truth_where_floats_underflow(mu, epsilon):
    """Phi(-mu/2 - epsilon/mu) is a denormal number, or none, and its product with e^epsilon is not."""
    mp = mpmath.mp.clone()
    mp.dps = 60
    near, far = mp.mpf(mu) / 2 - mp.mpf(epsilon) / mu, -mp.mpf(mu) / 2 - mp.mpf(epsilon) / mu
    true = mp.ncdf(near) - mp.exp(epsilon) * mp.ncdf(far)
    assert true <= gdp.delta_of(mu, epsilon) <= true * (1 + mp.mpf(10) ** -9) + mp.mpf(10) ** -290
