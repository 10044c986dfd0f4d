"""One-round losses: pessimistic, tight to second order, right in both directions; and what is read of dp_accounting."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fedanalytics.errors import BadArgument
from fedanalytics.privacy import losses
from fedanalytics.privacy.events import (
    DiscreteLaplace,
    Exact,
    Gaussian,
    Laplace,
    RandomizedResponse,
    Skellam,
)
from fedanalytics.privacy.relations import Relation

ATOMS = [
    Gaussian(0.1),
    Gaussian(1.0),
    Gaussian(50.0),
    Gaussian(1.0).poisson_sampled(0.01),
    Gaussian(0.3).poisson_sampled(0.5),
    Gaussian(1e6).poisson_sampled(1e-6),
    Laplace(0.2),
    Laplace(10.0),
    Laplace(1.0).poisson_sampled(0.1),
    DiscreteLaplace(3.0),
    DiscreteLaplace(0.01),
    DiscreteLaplace(3.0).poisson_sampled(0.1),
    RandomizedResponse(0.3, 4),
    RandomizedResponse(1.0, 2),
    RandomizedResponse(0.3, 4, Relation.ZERO_OUT),
    RandomizedResponse(0.3, 4, Relation.ZERO_OUT).poisson_sampled(0.2),
    Skellam(10, 1, 1),
    Skellam(1e4, 300, 300, scalar=True),
    Skellam(0.5, 1, 1),
    Skellam(1, 40, 40, scalar=True),
    Skellam(10, 1, 1).poisson_sampled(0.1),
    Skellam(1, 40, 40, scalar=True).poisson_sampled(0.1),
]


def points(one):
    return one.step * (one.first + np.arange(len(one.masses)))


def delta(one, epsilon):
    above = points(one) - epsilon
    return one.infinite + float(one.masses[above > 0] @ -np.expm1(-above[above > 0]))


def pair(atom, step=1e-3):
    return losses.of(atom, step)


# ---------------------------------------------------------------- laws of every event


@pytest.mark.parametrize("atom", ATOMS, ids=repr)
def test_masses_sum_to_one_and_odds_too(atom):
    """E[1] = 1 and, as no mass is lost under Q either, E[e^-loss] = 1; that is what makes a step unbiased."""
    for one in pair(atom):
        assert one.masses.min() >= 0
        assert one.masses.sum() + one.infinite == pytest.approx(1, abs=1e-9)
        high = points(one) > -20  # below, what was raised to the first point weighs too much
        odds = float(one.masses[high] @ np.exp(-points(one)[high]))
        assert odds <= 1 + 1e-8
        if np.abs(points(one)).max() < 20:
            assert odds == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("atom", ATOMS, ids=repr)
def test_swapping_turns_a_mass_at_a_loss_into_its_odds_at_minus_the_loss(atom):
    removed, added = pair(atom)
    kept = dict(zip(np.rint(points(added) / added.step).astype(int), added.masses, strict=True))
    for loss, mass in list(zip(np.rint(points(removed) / removed.step).astype(int), removed.masses, strict=True))[::97]:
        if mass > 1e-12 and abs(loss * removed.step) < 20:
            assert kept[-loss] == pytest.approx(mass * math.exp(-loss * removed.step), rel=1e-4, abs=1e-13)


@pytest.mark.parametrize("atom", ATOMS, ids=repr)
@pytest.mark.parametrize("epsilon", [0.0, 0.01, 0.3, 2.0, 40.0])
def test_a_coarser_grid_is_more_pessimistic(atom, epsilon):
    for one in pair(atom):
        coarse = one.coarser()
        assert coarse.step == 2 * one.step
        assert delta(coarse, epsilon) >= delta(one, epsilon) * (1 - 1e-9) - 1e-15
        on_grid = coarse.step * round(epsilon / coarse.step)
        assert delta(coarse, on_grid) == pytest.approx(delta(one, on_grid), rel=1e-6, abs=1e-11)
        assert coarse.masses.sum() == pytest.approx(one.masses.sum(), rel=1e-12)


# ---------------------------------------------------------------- against what is known


def exactly_gaussian(sigma, rate, epsilon, added):
    """(1 - q) N(0) + q N(1) against N(0), or back, at high precision."""
    with mpmath.workdps(40):
        sigma, rate, epsilon = map(mpmath.mpf, (sigma, rate, epsilon))

        def turn(x):
            return sigma**2 * mpmath.log((mpmath.exp(x) - 1 + rate) / rate) + mpmath.mpf(1) / 2

        def mixed(x):
            return (1 - rate) * mpmath.ncdf(x / sigma) + rate * mpmath.ncdf((x - 1) / sigma)

        if added:
            if mpmath.exp(-epsilon) <= 1 - rate:
                return 0.0
            at = turn(-epsilon)
            return float(mpmath.ncdf(at / sigma) - mpmath.exp(epsilon) * mixed(at))
        at = turn(epsilon)
        return float(1 - mixed(at) - mpmath.exp(epsilon) * (1 - mpmath.ncdf(at / sigma)))


@pytest.mark.parametrize(("sigma", "rate"), [(1.0, 1.0), (0.3, 1.0), (20.0, 1.0), (1.0, 0.01), (0.5, 0.3), (4.0, 0.9)])
@pytest.mark.parametrize("added", [False, True])
def test_gaussian_losses_on_the_grid_are_exact_at_its_points(sigma, rate, added):
    one = pair(Gaussian(sigma).poisson_sampled(rate))[added]
    for k in (0, 1, 7, 50, 1000, 4000):
        epsilon = k * one.step
        expected = exactly_gaussian(sigma, rate, epsilon, added)
        above = float(one.masses[points(one) > epsilon].sum())
        assert delta(one, epsilon) == pytest.approx(expected, abs=1e-20 + (one.slack + 1e-9) * above)


@given(st.floats(0.2, 100), st.floats(0, 1))
@settings(max_examples=30)
def test_laplace_losses(b, part):
    """delta(epsilon) = 1 - e^((epsilon - 1/b)/2), from above, by a second-order term."""
    (one, _), epsilon = pair(Laplace(b)), part / b
    expected = -math.expm1((epsilon - 1 / b) / 2)
    assert expected - 1e-12 <= delta(one, epsilon) <= expected + one.step**2 + one.step * (epsilon > 1 / b - one.step)


@given(st.floats(0.01, 1), st.integers(2, 50), st.floats(0, 3), st.floats(0.01, 1))
@settings(max_examples=60)
def test_randomised_response_by_its_outcomes(noise, buckets, epsilon, rate):
    other, own, even = noise / buckets, 1 - noise + noise / buckets, 1 / buckets
    replaced = [own, other] + [other] * (buckets - 2), [other, own] + [other] * (buckets - 2)
    mixed = [(1 - rate) * even + rate * own] + [(1 - rate) * even + rate * other] * (buckets - 1)
    zeroed = mixed, [even] * buckets
    for atom, (p, q) in (
        (RandomizedResponse(noise, buckets), replaced),
        (RandomizedResponse(noise, buckets, Relation.ZERO_OUT).poisson_sampled(rate), zeroed),
    ):
        for one, (upper, lower) in zip(pair(atom), ((p, q), (q, p)), strict=True):
            expected = sum(max(a - math.exp(epsilon) * b, 0) for a, b in zip(upper, lower, strict=True))
            assert expected - 1e-12 <= delta(one, epsilon) <= expected + one.step


@given(st.floats(0.05, 20), st.floats(0, 1), st.floats(0.001, 1))
@settings(max_examples=60)
def test_a_pure_event_is_its_worst_case_sampled_or_not(b, part, rate):
    """Binary randomised response at its epsilon, mixed with its neighbour."""
    likely, rare, epsilon = 1 / (1 + math.exp(-1 / b)), math.exp(-1 / b) / (1 + math.exp(-1 / b)), part / b
    p = (1 - rate) * rare + rate * likely
    removed, added = pair(DiscreteLaplace(b).poisson_sampled(rate))
    expected = max(p - math.exp(epsilon) * rare, 0)
    assert expected - 1e-12 <= delta(removed, epsilon) <= expected + removed.step
    expected = max(likely - math.exp(epsilon) * ((1 - rate) * likely + rate * rare), 0)
    assert expected - 1e-12 <= delta(added, epsilon) <= expected + added.step


@pytest.mark.parametrize(
    ("variance", "shift", "rate"), [(0.5, 1, 1), (10, 3, 1), (400, 20, 1), (10, 1, 0.1), (3e4, 50, 0.3)]
)
def test_skellam_losses_by_another_table_of_its_law(variance, shift, rate):
    x = np.arange(-2000, 2001)
    q = stats.skellam.pmf(x, variance / 2, variance / 2)
    p = (1 - rate) * q + rate * stats.skellam.pmf(x - shift, variance / 2, variance / 2)
    for one, (upper, lower) in zip(
        pair(Skellam(variance, shift, shift, scalar=True).poisson_sampled(rate)), ((p, q), (q, p)), strict=True
    ):
        for epsilon in (0.0, 0.1, 0.77, 2.5):
            expected = float(np.maximum(upper - math.exp(epsilon) * lower, 0).sum())
            assert expected * (1 - 1e-8) - 1e-10 <= delta(one, epsilon) <= expected + one.step + 1e-10
            on_grid = one.step * round(epsilon / one.step)
            expected = float(np.maximum(upper - math.exp(on_grid) * lower, 0).sum())
            assert delta(one, on_grid) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("variance", "x"), [(0.5, 7), (10, 0), (10, 60), (1e4, 900), (1e6, 3), (2.0**28, 16384), (2.0**16, 2_500)]
)
def test_the_bessel_functions_are_right_to_what_is_claimed(variance, x):
    from scipy.special import ive

    with mpmath.workdps(40):
        exact = mpmath.besseli(x, mpmath.mpf(variance), maxterms=10**6) * mpmath.exp(-mpmath.mpf(variance))
        assert abs(float(mpmath.mpf(float(ive(x, variance))) / exact - 1)) < 2.0**-40


@given(st.floats(0.1, 1e5), st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=30)
def test_a_smaller_shift_is_dominated_by_a_greater_one(variance, one, other):
    """What makes l1 the worst of all shifts: every threshold test gains."""
    x = np.arange(-200, 201) * max(1, int(math.sqrt(variance) / 10))
    small, great = sorted((one, other))
    tail = stats.skellam.sf(x, variance / 2, variance / 2)
    assert (
        stats.skellam.sf(x - small, variance / 2, variance / 2)
        <= stats.skellam.sf(x - great, variance / 2, variance / 2) * (1 + 1e-9) + 1e-12
    ).all()
    assert (tail <= stats.skellam.sf(x - small, variance / 2, variance / 2) * (1 + 1e-9) + 1e-12).all()


@pytest.mark.parametrize("variance", [1e-6, 0.3, 10.0, 1e5, 2.0**28])
def test_the_tail_that_is_cut_off_is_smaller_than_claimed(variance):
    far = losses._far(variance)
    assert losses._beyond(variance, far) <= math.exp(-70)
    assert stats.skellam.sf(far - 1, variance / 2, variance / 2) <= losses._beyond(variance, far) + 1e-15
    near = stats.skellam.sf(3 * math.ceil(math.sqrt(variance)) - 1, variance / 2, variance / 2)
    assert near <= losses._beyond(variance, 3 * math.ceil(math.sqrt(variance)))


# ---------------------------------------------------------------- sizes, and what is refused


@pytest.mark.parametrize(
    "atom",
    [Gaussian(0.01), Gaussian(2e-3).poisson_sampled(0.1), DiscreteLaplace(1e-5), Skellam(1, 5000, 5000, scalar=True)],
)
def test_wide_losses_get_a_coarser_grid_not_a_greater_one(atom):
    for one in losses.of(atom, 1e-4):
        assert one.step > 1e-4
        assert len(one.masses) <= losses.WIDEST + 2


@pytest.mark.parametrize(
    "atom", [Exact(), Skellam(10, 4, 2), Gaussian(1e-6), Laplace(1e-3), RandomizedResponse(1e-300, 2)]
)
def test_what_is_not_known_is_refused(atom):
    assert not losses.known(atom)
    with pytest.raises(BadArgument, match="no privacy loss distribution"):
        losses.of(atom, 1e-4)


def test_what_is_read_of_dp_accounting():
    """The private names that losses.py relies on: what they hold, and that they add up."""
    from dp_accounting.pld import privacy_loss_distribution as pld

    plain = pld.from_gaussian_mechanism(1.0, value_discretization_interval=0.01)
    sampled = pld.from_gaussian_mechanism(1.0, value_discretization_interval=0.01, sampling_prob=0.1)
    assert plain._symmetric is True
    assert sampled._symmetric is False
    for built in (plain, sampled):
        for pmf in (built._pmf_remove, built._pmf_add):
            dense = pmf.to_dense_pmf()
            assert dense._discretization == 0.01
            assert dense._pessimistic_estimate is True
            at = 0.01 * (dense._lower_loss + np.arange(len(dense._probs)))
            own = dense._infinity_mass + dense._probs[at > 0.5] @ -np.expm1(0.5 - at[at > 0.5])
            assert own == pytest.approx(pmf.get_delta_for_epsilon(0.5), rel=1e-12)


def test_another_dp_accounting_is_noticed():
    from dp_accounting.pld import privacy_loss_distribution as pld

    built = pld.from_gaussian_mechanism(1.0, value_discretization_interval=0.01)
    with pytest.raises(BadArgument, match="this release of dp_accounting"):
        losses._read(built._pmf_remove, 0.02, bounded=False)
