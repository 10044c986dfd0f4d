"""Our figures against everybody else's: two PRV accountants, dp-accounting, exact enumeration, published tables.

A peer that cannot be imported fails the tests in CI, and is skipped elsewhere. The last part plants what a wrong
accountant would do, and shows that each of these checks would notice.
"""

import importlib
import math
import os
import warnings
from itertools import product

import numpy as np
import pytest

from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.events import (
    Composed,
    DiscreteLaplace,
    Gaussian,
    Laplace,
    RandomizedResponse,
    Skellam,
)
from fedanalytics.privacy.relations import Relation

DELTA = 1e-6
PUBLISHED = [  # noise multiplier, rate, rounds, epsilon as printed, PRV's interval
    (5.0, 1.0, 1, 0.8341, (0.8241, 0.8442)),
    (50.0, 1.0, 1000, 2.9216, (2.9115, 2.9317)),
    (1.0, 0.01, 10_000, 6.9074, (6.8971, 6.9177)),
    (0.8, 0.001, 100_000, 2.9151, (2.9043, 2.9246)),
    (2.0, 0.1, 100, 2.6750, (2.6649, 2.6852)),
    (0.5, 0.001, 1000, 4.2351, (4.2247, 4.2455)),
]


def peer(name):
    """A module, with what it warns of at import (it is not ours) kept quiet."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is part of the tests in CI: {error}")
        pytest.skip(f"{name}: {error}")


def spent(*events, count=1, **options):
    accountant = Accountant(**options)
    for event in events:
        accountant.compose(event, count)
    return accountant


# ---------------------------------------------------------------- published figures


@pytest.mark.parametrize(("sigma", "rate", "rounds", "epsilon", "interval"), PUBLISHED)
def test_the_table_of_sampled_gaussians(sigma, rate, rounds, epsilon, interval):
    lower, upper = spent(Gaussian(sigma).poisson_sampled(rate), count=rounds).bounds(DELTA)
    assert upper == pytest.approx(epsilon, abs=1e-4)  # the digits that are printed
    assert interval[0] <= upper <= interval[1]
    assert lower <= upper <= lower * 1.03
    if rounds <= 10_000:
        assert upper <= lower * 1.0005


def test_laplace_noise_by_an_independent_convolution():
    assert 4.690711 <= spent(Laplace(10.0), count=100).epsilon(DELTA) <= 4.692711
    mixed = spent(Laplace(10.0), Gaussian(10.0), count=50)
    assert 4.791558 <= mixed.epsilon(DELTA) <= 4.792578
    assert mixed.epsilon(DELTA) == pytest.approx(4.7926, abs=1e-4)


@pytest.mark.parametrize(
    ("variance", "shift", "once", "hundred"),
    [(1e4, 10, 0.39684, 4.89252), (100, 1, 0.38952, 4.89024), (10, 1, 1.16563, 19.349)],
)
def test_skellam_noise_on_one_coordinate(variance, shift, once, hundred):
    """Published with rounding up to the grid, which costs up to half a step a round: at most that much above ours."""
    event = Skellam(variance, shift, shift, scalar=True)
    for count, published in ((1, once), (100, hundred)):
        lower, upper = spent(event, count=count).bounds(DELTA)
        assert published - 1e-4 * (0.6 * count + 1) <= upper <= published + 1e-5
        assert lower <= upper <= lower * (1 + (2e-5 if count > 1 else 2e-3))  # a lattice, once


@pytest.mark.parametrize(("variance", "shift", "renyi"), [(1e4, 10, 5.22182), (100, 1, 5.26354), (10, 1, 23.086)])
def test_skellam_noise_a_hundredfold_gains_six_percent_over_renyi(variance, shift, renyi):
    assert spent(Skellam(variance, shift, shift, scalar=True), count=100).epsilon(DELTA) <= 0.94 * renyi


# ---------------------------------------------------------------- PRV accountants


def opacus_interval(sigma, rate, rounds):
    accountant = peer("opacus.accountants").PRVAccountant()
    accountant.history = [(sigma, rate, rounds)]
    discrete = accountant._get_dprv(eps_error=0.01, delta_error=1e-9)
    return discrete.compute_epsilon(DELTA, 1e-9, 0.01)


def microsoft_interval(sigma, rate, rounds):
    prv = peer("prv_accountant")
    mechanism = prv.PoissonSubsampledGaussianMechanism(sampling_probability=rate, noise_multiplier=sigma)
    accountant = prv.PRVAccountant(prvs=[mechanism], max_self_compositions=[rounds], eps_error=0.01, delta_error=1e-9)
    return accountant.compute_epsilon(DELTA, [rounds])


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:RuntimeWarning:prv_accountant.*")
@pytest.mark.parametrize("interval", [opacus_interval, microsoft_interval])
@pytest.mark.parametrize(
    ("sigma", "rate", "rounds"), [(1.0, 0.01, 1000), (2.0, 0.1, 100), (0.5, 0.001, 1000), (1.0, 0.01, 10_000)]
)
def test_prv_accountants(interval, sigma, rate, rounds):
    low, estimate, _ = interval(sigma, rate, rounds)
    ours = spent(Gaussian(sigma).poisson_sampled(rate), count=rounds).epsilon(DELTA)
    assert low <= ours <= estimate * 1.002
    assert ours == pytest.approx(estimate, rel=1e-4)


# ---------------------------------------------------------------- dp-accounting


def reference(build, relation="ADD_OR_REMOVE_ONE", count=1, interval=1e-4):
    dp = peer("dp_accounting")
    accountant = peer("dp_accounting.pld").PLDAccountant(
        getattr(dp.NeighboringRelation, relation), value_discretization_interval=interval
    )
    return accountant.compose(build(peer("dp_accounting.dp_event")), count)


@pytest.mark.parametrize(
    ("ours", "theirs", "count"),
    [
        (Gaussian(3.0), lambda e: e.GaussianDpEvent(3.0), 30),
        (Gaussian(1.0).poisson_sampled(0.01), lambda e: e.PoissonSampledDpEvent(0.01, e.GaussianDpEvent(1.0)), 100),
        (Gaussian(0.7).poisson_sampled(0.3), lambda e: e.PoissonSampledDpEvent(0.3, e.GaussianDpEvent(0.7)), 10),
        (Laplace(4.0), lambda e: e.LaplaceDpEvent(4.0), 30),
        (Laplace(1.0).poisson_sampled(0.1), lambda e: e.PoissonSampledDpEvent(0.1, e.LaplaceDpEvent(1.0)), 30),
    ],
)
def test_the_reference_library(ours, theirs, count):
    accountant = reference(theirs, count=count)
    for delta in (1e-3, 1e-6, 1e-9):
        lower, upper = spent(ours, count=count).bounds(delta)
        assert lower <= accountant.get_epsilon(delta) * (1 + 1e-6)
        assert upper == pytest.approx(accountant.get_epsilon(delta), rel=2e-5, abs=1e-6)
    for epsilon in (0.1, 1.0):
        assert spent(ours, count=count).delta(epsilon) == pytest.approx(
            accountant.get_delta(epsilon), rel=1e-4, abs=1e-12
        )


@pytest.mark.parametrize(
    ("relation", "theirs"), [(Relation.REPLACE_ONE, "REPLACE_ONE"), (Relation.ZERO_OUT, "REPLACE_SPECIAL")]
)
def test_randomised_response_under_both_relations(relation, theirs):
    """The reference rounds losses up to the grid; ours splits them, and is never above it."""
    found = reference(lambda e: e.RandomizedResponseDpEvent(0.4, 5), theirs)
    for epsilon in (0.0, 0.3, 1.0):
        ours = spent(RandomizedResponse(0.4, 5, relation)).delta(epsilon)
        assert found.get_delta(epsilon) - 1e-4 <= ours <= found.get_delta(epsilon) * (1 + 1e-6)


# ---------------------------------------------------------------- the reference library's two count faults


def test_randomised_response_is_counted_where_the_reference_counts_it_once():
    """dp_accounting 0.6.0: PLDAccountant composes randomised response once, whatever the count."""
    fifty = reference(lambda e: e.SelfComposedDpEvent(e.RandomizedResponseDpEvent(0.5, 2), 50), "REPLACE_ONE")
    once = reference(lambda e: e.RandomizedResponseDpEvent(0.5, 2), "REPLACE_ONE")
    assert fifty.get_epsilon(DELTA) == once.get_epsilon(DELTA)
    event = RandomizedResponse(0.5, 2)
    ours = spent(event, count=50).epsilon(DELTA)
    assert ours == spent(event.repeated(50)).epsilon(DELTA) == spent(*[event] * 50).epsilon(DELTA)
    assert ours > 20 * once.get_epsilon(DELTA)
    assert ours == pytest.approx(enumerated([2 / 3 + 1 / 12, 1 / 4], [1 / 4, 3 / 4], 50, DELTA), rel=1e-4)


def test_releases_inside_a_sample_are_counted_where_the_reference_counts_one():
    """dp_accounting 0.6.0: RdpAccountant takes a repeated Gaussian of a whole multiplier, sampled, for a single one."""
    rdp = peer("dp_accounting.rdp")
    dp = peer("dp_accounting.dp_event")

    def theirs(multiplier, count):
        inner = dp.SelfComposedDpEvent(dp.GaussianDpEvent(multiplier), count)
        return rdp.RdpAccountant().compose(dp.PoissonSampledDpEvent(0.1, inner)).get_epsilon(DELTA)

    assert theirs(2, 100) == theirs(2, 1) < theirs(2.0, 100)
    for multiplier in (2, 2.0):
        many, one = Gaussian(multiplier).repeated(100).poisson_sampled(0.1), Gaussian(0.2).poisson_sampled(0.1)
        assert spent(many).epsilon(DELTA) == pytest.approx(spent(one).epsilon(DELTA), rel=1e-9)
        assert spent(many).epsilon(DELTA) > 10 * spent(Gaussian(multiplier).poisson_sampled(0.1)).epsilon(DELTA)


# ---------------------------------------------------------------- exact enumeration


def enumerated(p, q, n, delta):
    """The true epsilon of n independent outcomes with laws p or q, by multiset of outcomes, and bisection."""
    p, q = np.array([p, q])
    states = {(0,) * len(p): 1}
    for _ in range(n):
        following = {}
        for counts, ways in states.items():
            for i in range(len(p)):
                key = (*counts[:i], counts[i] + 1, *counts[i + 1 :])
                following[key] = following.get(key, 0) + ways
        states = following
    counts, ways = np.array(list(states)), np.array(list(states.values()), dtype=float)
    upper, lower = ways * np.prod(p**counts, axis=1), ways * np.prod(q**counts, axis=1)

    def excess(a, b, epsilon):
        return float(np.maximum(a - math.exp(epsilon) * b, 0).sum())

    low, high = 0.0, n * float(np.abs(np.log(p / q)).max())
    for _ in range(60):
        middle = (low + high) / 2
        worse = max(excess(upper, lower, middle), excess(lower, upper, middle))
        low, high = (middle, high) if worse > delta else (low, middle)
    return high


@pytest.mark.parametrize(("buckets", "noise", "n"), [*product((2, 3, 4), (0.2, 0.7), (1, 3, 6))])
@pytest.mark.parametrize("relation", [Relation.REPLACE_ONE, Relation.ZERO_OUT])
def test_randomised_response_by_enumeration(buckets, noise, n, relation):
    other, own = noise / buckets, 1 - noise + noise / buckets
    p = [own] + [other] * (buckets - 1)
    q = [other, own] + [other] * (buckets - 2) if relation is Relation.REPLACE_ONE else [1 / buckets] * buckets
    for delta in (1e-2, 1e-5):
        lower, upper = spent(RandomizedResponse(noise, buckets, relation), count=n).bounds(delta)
        exact = enumerated(p, q, n, delta)
        assert lower <= exact + 1e-9
        assert exact - 1e-9 <= upper <= exact + 1e-4 * (n + 1)


@pytest.mark.parametrize(("rate", "n"), [(0.1, 5), (0.5, 3), (0.9, 4)])
def test_sampled_randomised_response_by_enumeration(rate, n):
    event = RandomizedResponse(0.4, 3, Relation.ZERO_OUT).poisson_sampled(rate)
    mixed = [(1 - rate) / 3 + rate * share for share in (0.6 + 0.4 / 3, 0.4 / 3, 0.4 / 3)]
    exact = enumerated(mixed, [1 / 3] * 3, n, 1e-4)
    lower, upper = spent(event, count=n).bounds(1e-4)
    assert lower <= exact + 1e-9
    assert exact - 1e-9 <= upper <= exact + 1e-4 * (n + 1)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_geometric_noise_of_sensitivity_one_by_enumeration(n):
    """Outcomes to one side of the two neighbours look alike: there are two kinds for noise of sensitivity 1."""
    alpha = math.exp(-1 / 2.0)
    mass = (1 - alpha) / (1 + alpha)
    at = np.arange(-12, 14)
    p, q = mass * alpha ** np.abs(at - 1.0), mass * alpha ** np.abs(at * 1.0)
    p, q = [[law[at <= 0].sum(), law[at >= 1].sum()] for law in (p / p.sum(), q / q.sum())]
    lower, upper = spent(DiscreteLaplace(2.0), count=n).bounds(1e-3)
    exact = enumerated(p, q, n, 1e-3)
    assert lower <= exact * (1 + 1e-3)  # the table is cut off at e^-6
    assert upper == pytest.approx(exact, rel=2e-3)


# ---------------------------------------------------------------- planted disagreements


def agrees(epsilon, sigma=1.0, rate=0.01, rounds=1000):
    """The check of `test_prv_accountants`, for any epsilon."""
    low, estimate, _ = opacus_interval(sigma, rate, rounds)
    return low <= epsilon <= estimate * 1.002


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_a_count_that_is_ignored_is_noticed():
    event = Gaussian(1.0).poisson_sampled(0.01)
    assert agrees(spent(event, count=1000).epsilon(DELTA))
    assert not agrees(spent(event, count=1).epsilon(DELTA))
    assert not agrees(spent(event, count=980).epsilon(DELTA))


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_noise_that_is_off_by_one_percent_is_noticed():
    for sigma in (0.99, 1.01):
        assert not agrees(spent(Gaussian(sigma).poisson_sampled(0.01), count=1000).epsilon(DELTA))


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_a_sensitivity_that_is_halved_is_noticed():
    assert not agrees(spent(Gaussian(2.0).poisson_sampled(0.01), count=1000).epsilon(DELTA))


@pytest.mark.parametrize("wrong", [Laplace(10.1), Laplace(9.9), Laplace(20.0)])
def test_the_published_interval_for_laplace_noise_is_narrow_enough(wrong):
    assert not 4.690711 <= spent(wrong, count=100).epsilon(DELTA) <= 4.692711


def test_a_part_that_is_left_out_is_noticed():
    half = spent(Composed((Laplace(10.0).repeated(50), Gaussian(10.0).repeated(49))))
    assert not 4.791558 <= half.epsilon(DELTA) <= 4.792578
