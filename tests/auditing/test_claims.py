"""Claims as trade-off curves: closed forms, exact enumeration, and the laws that every one of them keeps."""

import json
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import ConvexHull

from fedanalytics.auditing import Claim, Curve, Dp, Gdp, OfEvent, Zcdp, claimed, curves
from fedanalytics.errors import BadArgument
from fedanalytics.privacy import gdp
from fedanalytics.privacy.events import (
    Composed,
    DiscreteLaplace,
    Exact,
    Gaussian,
    Laplace,
    LocalPure,
    MatrixFactorization,
    NoOp,
    RandomizedResponse,
    Skellam,
    TreeAggregation,
)

EVENTS = [
    Gaussian(1.3),
    DiscreteLaplace(0.7),
    Laplace(1.0),
    RandomizedResponse(0.5, 4),
    LocalPure(2.0),
    Skellam(25.0, 1.0, 1.0),
    Skellam(100.0, 12.0, 5.0),
    TreeAggregation(2.0, steps=9),
    MatrixFactorization(1.0, steps=3, coefficients=(1.0, 0.5)),
    Gaussian(1.0).poisson_sampled(0.05),
    Gaussian(2.0).poisson_sampled(0.1).repeated(20),
    DiscreteLaplace(1.0).poisson_sampled(0.2),
    Composed((Gaussian(2.0), Laplace(3.0))),
    Gaussian(3.0).repeated(9),
    NoOp(),
    Exact(),
]
CLAIMS = [Gdp(0.0), Gdp(0.5), Gdp(4.0), Zcdp(0.02), Zcdp(0.5), Zcdp(8.0), Dp(0.0), Dp(1.0), Dp(2.0, 1e-3), Dp(0.0, 0.3)]
CLAIMS += [Curve(((0.0, 0.2), (1.0, 0.01))), *map(claimed, EVENTS)]
RATES = np.concatenate(([0.0], np.geomspace(1e-9, 0.1, 60), np.linspace(0.1, 1, 200)))

claims = st.sampled_from(CLAIMS)
rates = st.floats(0, 1)


@given(claim=claims, one=rates, other=rates, share=rates)
def test_curves_rise_are_concave_and_let_chance_pass(claim, one, other, share):
    low, high = sorted((one, other))
    middle = share * low + (1 - share) * high
    at_low, at_middle, at_high = claim.power([low, middle, high])
    assert 0 <= at_low <= at_high + 1e-12 <= 1 + 2e-12
    assert at_middle >= share * at_low + (1 - share) * at_high - 1e-9
    assert at_middle >= middle - 1e-12
    assert claim.power([1.0])[0] == pytest.approx(1)


@given(claim=claims, fpr=st.floats(1e-6, 1 - 1e-6))
def test_the_complement_of_an_event_is_an_event(claim, fpr):
    """What the curve admits at q it admits for the complement: 1 - q at 1 - power(q)."""
    tpr = float(claim.power([fpr])[0])
    if tpr < 1 - 1e-6:  # beyond, 1 - tpr has lost its digits
        assert float(claim.power([1 - tpr])[0]) >= 1 - fpr - 1e-7


@given(mu=st.floats(0.01, 5), fpr=st.floats(1e-4, 1 - 1e-4))
def test_exact_curves_are_symmetric(mu, fpr):
    for claim in (Gdp(mu), Dp(mu)):
        tpr = float(claim.power([fpr])[0])
        if tpr < 1 - 1e-6:
            assert float(claim.power([1 - tpr])[0]) == pytest.approx(1 - fpr, abs=1e-6)


@given(claim=claims, fpr=st.floats(1e-5, 0.99), more=st.floats(1e-3, 1))
def test_exactly_what_is_above_the_curve_exceeds_the_limit(claim, fpr, more):
    admitted = float(claim.power([fpr])[0])
    q = np.array([fpr])
    under, over = np.array([admitted * (1 - 1e-6)]), np.array([admitted + more * (1 - admitted)])
    assert claim.measure(under, q)[0] <= claim.limit(q)[0] + 1e-9
    if admitted < over[0] < 1 and over[0] - admitted > 1e-9:
        assert claim.measure(over, q)[0] > claim.limit(q)[0]


@given(mu=st.floats(0, 6))
def test_gdp_is_its_closed_form(mu):
    assert Gdp(mu).power(RATES) == pytest.approx(stats.norm.sf(stats.norm.isf(RATES) - mu), abs=1e-12)


@given(epsilon=st.floats(0, 20), delta=st.floats(0, 0.99))
def test_approximate_dp_is_its_closed_form(epsilon, delta):
    """One minus max(0, 1 - delta - e^epsilon a, e^-epsilon (1 - delta - a)) (Dong, Roth, Su 2019, eq. 5)."""
    other = np.maximum.reduce(
        [np.zeros_like(RATES), 1 - delta - math.exp(epsilon) * RATES, math.exp(-epsilon) * (1 - delta - RATES)]
    )
    assert Dp(epsilon, delta).power(RATES) == pytest.approx(1 - other, abs=1e-12)


def test_a_pure_epsilon_beyond_floats_admits_everything_but_0():
    assert Dp(1e5).power([0.0, 1e-300, 0.5]).tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("rho", [0.02, 0.5, 4.0])
def test_zcdp_admits_the_gaussian_and_the_pure_mechanism_of_its_rho(rho):
    admitted = Zcdp(rho).power(RATES)
    assert np.all(admitted >= Gdp(math.sqrt(2 * rho)).power(RATES) - 1e-9)
    assert np.all(admitted >= Dp(math.sqrt(2 * rho)).power(RATES) - 1e-9)
    assert np.all(admitted <= 1)
    assert admitted[150] < 1 or rho > 1, "it says something"


def test_zcdp_admits_less_than_any_epsilon_delta_that_it_implies():
    """The divergences of the event's own two laws are the tightest use of the definition."""
    from fedanalytics.privacy import zcdp

    deltas = np.geomspace(1e-9, 0.5, 40)
    implied = curves.lines(np.array([zcdp.epsilon_of(0.5, d) for d in deltas]), deltas, RATES)
    assert np.all(Zcdp(0.5).power(RATES) <= 1.01 * implied + 1e-9), "but for the orders between those that are tried"


@given(p=st.floats(0.01, 0.99), q=st.floats(0.01, 0.99))
def test_the_least_rho_is_that_of_renyi_divergences(p, q):
    """In 50 digits, at other orders."""

    def slope(a, b, order):
        a, b = mpmath.mpf(a), mpmath.mpf(b)
        moment = a**order * b ** (1 - order) + (1 - a) ** order * (1 - b) ** (1 - order)
        return float(mpmath.log(moment) / (order - 1) / order)

    with mpmath.workdps(50):
        orders = [1 + mpmath.mpf(10) ** (mpmath.mpf(i) / 12) for i in range(-60, 36)]
        brute = max(max(slope(p, q, order), slope(q, p, order)) for order in orders)
    found = float(curves.least_rho(np.array([p]), np.array([q]))[0])
    assert found == pytest.approx(brute if p > q else 0.0, rel=0.01, abs=1e-9)


def laws_of_noise(masses, shift):
    """(P, Q) of an integer noise and the same noise moved by `shift`."""
    zeros = np.zeros(shift)
    return np.concatenate((zeros, masses)), np.concatenate((masses, zeros))


def strongest_tests(p, q):
    """All Neyman-Pearson tests: (false-positive rates, true-positive rates)."""
    with np.errstate(divide="ignore"):
        order = np.argsort(-(p / np.maximum(q, 1e-300)), kind="stable")
    return np.minimum(np.cumsum(q[order]), 1), np.minimum(np.cumsum(p[order]), 1)


def pairs():
    x = np.arange(-400, 401)
    laplace = np.exp(-np.abs(x) / 2.0)
    yield "discrete-laplace", DiscreteLaplace(2.0), laws_of_noise(laplace / laplace.sum(), 1)
    yield "skellam", Skellam(20.0, 3.0, 3.0, scalar=True), laws_of_noise(stats.skellam.pmf(x, 10, 10), 3)
    noise = 0.4 / 3  # a uniform bucket with probability 0.4, else the true one
    true, other = np.array([0.6 + noise, noise, noise]), np.array([noise, 0.6 + noise, noise])
    yield "response", RandomizedResponse(0.4, 3), (true, other)


@pytest.mark.parametrize(("event", "laws"), [pair[1:] for pair in pairs()], ids=[pair[0] for pair in pairs()])
def test_exact_mechanisms_are_admitted_and_hardly_more(event, laws):
    for p, q in (laws, laws[::-1]):
        fpr, tpr = strongest_tests(p, q)
        admitted = claimed(event).power(fpr)
        assert np.all(tpr <= admitted + 1e-6)
        assert np.min(np.abs(admitted - tpr)[(fpr > 0.01) & (fpr < 0.9)]) < 0.01


def test_laplace_is_its_closed_form():
    """Dong, Roth, Su 2019, Section 2: three pieces."""
    e = math.e
    tails = [e * RATES, 1 - 1 / (4 * e * np.maximum(RATES, 1e-12)), 1 - (1 - RATES) / e]
    exact = np.select([RATES * 2 * e <= 1, RATES <= 0.5, RATES <= 1], tails)
    admitted = claimed(Laplace(1.0)).power(RATES)
    assert np.all(admitted >= exact - 1e-9)
    assert np.max(admitted - exact) < 2e-3
    assert np.max(Dp(1.0).power(RATES) - exact) > 0.05, "a pure epsilon says less"


@pytest.mark.parametrize(("multiplier", "rate"), [(1.0, 0.01), (0.5, 0.2), (2.0, 0.5)])
def test_sampled_events_admit_both_orders_of_the_exact_neighbours(multiplier, rate):
    mu, t = 1 / multiplier, np.linspace(-12, 12, 4001)
    plain = stats.norm.sf(t)
    mixed = (1 - rate) * stats.norm.sf(t) + rate * stats.norm.sf(t - mu)
    claim = claimed(Gaussian(multiplier).poisson_sampled(rate))
    assert np.all(mixed <= claim.power(plain) + 1e-9)
    assert np.all(1 - plain <= claim.power(np.clip(1 - mixed, 0, 1)) + 1e-9)
    both = np.concatenate((np.stack((plain, mixed), 1), np.stack((1 - mixed, 1 - plain), 1), [[0, 0], [1, 0], [1, 1]]))
    hull = both[ConvexHull(both).vertices]
    upper = hull[hull[:, 1] >= hull[:, 0]]
    upper = upper[np.argsort(upper[:, 0], kind="stable")]
    tight = np.interp(RATES, *upper.T)
    assert np.max(claim.power(RATES) - tight) < 0.005, "and hardly more than these two, and mixtures of tests, reach"
    assert np.all(claim.power(plain) <= Gdp(mu).power(plain) + 1e-9), "sampling helps"


@given(mu=st.floats(0.01, 5), factor=st.floats(1, 3))
def test_more_noise_admits_no_more(mu, factor):
    some = RATES[::20]
    for kind in (Gdp, Zcdp, Dp):
        assert np.all(kind(mu).power(some) <= kind(mu * factor).power(some) + 1e-12)


@pytest.mark.parametrize("kind", [Gaussian, Laplace, DiscreteLaplace, lambda m: Skellam(m**2, 1.0, 1.0)])
@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_a_noisier_event_admits_no_more(kind, rate):
    noisy = [claimed(kind(multiplier).poisson_sampled(rate)).power(RATES) for multiplier in (0.6, 1.0, 1.1, 3.0)]
    for louder, quieter in zip(noisy[1:], noisy, strict=False):
        assert np.all(louder <= quieter + 1e-6)
    assert np.max(noisy[0] - noisy[-1]) > 0.02


def test_a_composition_is_its_whole():
    assert claimed(Gaussian(3.0).repeated(9)).exactly.mu == pytest.approx(1.0)
    assert claimed(TreeAggregation(2.0, steps=8)).exactly.mu == pytest.approx(1.0)
    assert isinstance(claimed(DiscreteLaplace(1.0).repeated(2)).exactly, Curve)
    assert claimed(DiscreteLaplace(4.0)).exactly.epsilon == pytest.approx(0.25)


def test_no_release_admits_nothing_and_an_exact_one_everything():
    assert claimed(NoOp()).power(RATES) == pytest.approx(RATES)
    assert claimed(Exact()).power(RATES).tolist() == [1.0] * len(RATES)
    assert claimed(Gaussian(1e-300)).power([0.0]) == 1
    assert claimed(Exact()).limit(np.array([0.1]))[0] == math.inf


def test_what_they_quote():
    assert Gdp(1.0, 1e-5).quoted == gdp.epsilon_of(1.0, 1e-5)
    assert (Gdp(1.0, 0.0).quoted, Gdp(0.0, 0.0).quoted, Zcdp(1.0, 0.0).quoted) == (math.inf, 0.0, math.inf)
    assert Zcdp(0.5, 1e-6).quoted == pytest.approx(5.2215, abs=1e-4)
    assert (Dp(2.0).quoted, Dp(2.0, 1e-6).delta, Dp(2.0).delta) == (2.0, 1e-6, 0.0)
    assert Curve(((0.0, 0.2), (1.0, 1e-8))).quoted == 1.0
    assert Curve(((0.0, 0.2),)).quoted == math.inf
    assert claimed(Gaussian(1.0)).quoted == pytest.approx(gdp.epsilon_of(1.0, 1e-6))
    assert (claimed(DiscreteLaplace(0.5)).delta, claimed(DiscreteLaplace(0.5)).quoted) == (0.0, pytest.approx(2.0))
    assert (OfEvent(Exact()).quoted, OfEvent(Exact(), 0.0).quoted) == (math.inf, math.inf)


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_they_are_frozen_words_and_json(claim):
    assert claimed(claim) is claim
    assert isinstance(claim, Claim)
    assert json.loads(json.dumps(claim.to_json(), allow_nan=False))["delta"] == claim.delta
    assert str(claim)
    assert claim.unit in {"mu", "rho", "epsilon"}
    assert hash(claim) == hash(claim)
    with pytest.raises(AttributeError):
        claim.delta = 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gdp(-1.0), "mu= must be a finite number of at least 0"),
        (lambda: Gdp(math.inf), "mu= must be"),
        (lambda: Gdp(1.0, 1.0), "delta= must be at least 0 and below 1"),
        (lambda: Zcdp(0.0), "rho= must be a positive"),
        (lambda: Dp(math.nan), "epsilon= must be a finite number"),
        (lambda: Dp(1.0, -1e-9), "delta= must be"),
        (lambda: Dp(epsilon=True), "epsilon= must be"),
        (lambda: Curve(()), "points= must be pairs"),
        (lambda: Curve(((1.0, 2.0),)), "points= must be pairs"),
        (lambda: OfEvent(1.0), "expected a privacy event"),
        (lambda: claimed((1.0, 1e-6)), "claim= must be a privacy event"),
        (lambda: claimed(None), "claim= must be a privacy event"),
        (lambda: Gdp(1.0).power([1.1]), "fpr= must be rates"),
        (lambda: Gdp(1.0).power([math.nan]), "fpr= must be rates"),
    ],
)
def test_claims_that_cannot_be_meant(make, message):
    with pytest.raises(BadArgument, match=message):
        make()
