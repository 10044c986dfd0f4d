"""Renyi divergences against exact sums, numeric integration, another library, published figures and the laws."""

import math
import warnings
from fractions import Fraction

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument, NotPrivate
from fedanalytics.privacy import renyi, skellam_divergence, zcdp
from fedanalytics.privacy.events import (
    Composed,
    DiscreteLaplace,
    Exact,
    Gaussian,
    Laplace,
    NoOp,
    RandomizedResponse,
    Skellam,
    TreeAggregation,
)
from fedanalytics.privacy.relations import Relation

ORDERS = (2, 3, 8, 64, 256)
NEAR = 1 + 1e-9  # how far above the exact value a bound may be

multipliers = st.floats(0.2, 1e3)
rates = st.floats(1e-6, 1, exclude_max=True)
plain = st.one_of(
    multipliers.map(Gaussian),
    multipliers.map(Laplace),
    multipliers.map(DiscreteLaplace),
    st.builds(RandomizedResponse, st.floats(0.01, 1), st.integers(2, 1000), st.just(Relation.ZERO_OUT)),
)
sampled = st.builds(lambda event, rate: event.poisson_sampled(rate), plain, rates)
skellams = st.builds(lambda v, shift: Skellam(v, shift, shift, scalar=True), st.floats(1, 1e6), st.integers(1, 9))
events = st.one_of(plain, sampled, skellams)


def tight(exact, bound):
    return exact <= bound <= exact * (1 + type(exact)(10) ** -9)


def of_outcomes(p, q, order):
    """The greater of both directions, in 400 digits."""
    sums = (mpmath.fsum(x**order * y ** (1 - order) for x, y in zip(a, b, strict=True)) for a, b in ((p, q), (q, p)))
    return max(map(mpmath.log, sums)) / (order - 1)


@pytest.fixture(autouse=True)
def digits():
    with mpmath.workdps(400):
        yield


# ---------------------------------------------------------------- exact sums


@pytest.mark.parametrize(
    ("sigma", "rate"),
    [(1, 0.01), (0.5, 0.3), (20, 1e-4), (0.8, 0.001), (3, 0.9), (1e4, 1e-9), (50, 1 - 1e-9), (0.01, 0.5)],
)
def test_sampled_gaussian_is_the_exact_sum(sigma, rate):
    s, q = mpmath.mpf(sigma), mpmath.mpf(rate)
    for a in (*ORDERS, 2048) if sigma == 1 else ORDERS:
        terms = (
            mpmath.binomial(a, k) * (1 - q) ** (a - k) * q**k * mpmath.exp((k * k - k) / (2 * s**2))
            for k in range(a + 1)
        )
        exact = mpmath.log(mpmath.fsum(terms)) / (a - 1)
        assert tight(exact, renyi.divergence(Gaussian(sigma).poisson_sampled(rate), a))


@pytest.mark.parametrize("scale", [1e-4, 0.0025, 0.2, 1.0, 10.0, 1e3, 1e9])
@pytest.mark.parametrize("order", ORDERS)
def test_laplace_and_discrete_laplace_are_exact(scale, order):
    epsilon = 1 / mpmath.mpf(scale)
    grown = mpmath.exp((order - 1) * epsilon) * order + mpmath.exp(-order * epsilon) * (order - 1)
    assert tight(mpmath.log(grown / (2 * order - 1)) / (order - 1), renyi.divergence(Laplace(scale), order))
    p = (1 / (1 + mpmath.exp(-epsilon)), 1 / (1 + mpmath.exp(epsilon)))
    assert tight(of_outcomes(p, p[::-1], order), renyi.divergence(DiscreteLaplace(scale), order))


@pytest.mark.parametrize("scale", [0.0025, 0.2, 1.0, 1e9])
@pytest.mark.parametrize("rate", [1e-12, 1e-5, 0.01, 0.5, 0.99, 1 - 2.0**-53])
def test_sampled_pure_is_exact_both_ways(scale, rate):
    epsilon, q = 1 / mpmath.mpf(scale), mpmath.mpf(rate)
    p = (1 / (1 + mpmath.exp(-epsilon)), 1 / (1 + mpmath.exp(epsilon)))
    mixed = [q * x + (1 - q) * y for x, y in zip(p, p[::-1], strict=True)]
    for order in ORDERS:
        bound = renyi.divergence(DiscreteLaplace(scale).poisson_sampled(rate), order)
        assert tight(of_outcomes(mixed, p[::-1], order), bound)


@pytest.mark.parametrize("noise", [1e-300, 1e-9, 0.01, 0.5, 0.999, 1 - 1e-12])
@pytest.mark.parametrize("buckets", [2, 3, 1000, 10**9])
def test_randomised_response_is_exact(noise, buckets):
    other = mpmath.mpf(noise) / buckets
    own = 1 - mpmath.mpf(noise) + other
    rest = (buckets - 2) * other
    null = (mpmath.mpf(1) / buckets, 1 - mpmath.mpf(1) / buckets)
    zero_out = RandomizedResponse(noise, buckets, Relation.ZERO_OUT)
    for order in (2, 64, 300):
        three = of_outcomes((own, other), (other, own), order)
        if buckets > 2:
            three = of_outcomes((own, other, rest), (other, own, rest), order)
        assert tight(three, renyi.divergence(RandomizedResponse(noise, buckets), order))
        assert tight(of_outcomes((own, 1 - own), null, order), renyi.divergence(zero_out, order))
        for rate in (1e-5, 0.3, 0.9999):
            mixed = [
                rate * mpmath.mpf(x) + (1 - mpmath.mpf(rate)) * y for x, y in zip((own, 1 - own), null, strict=True)
            ]
            bound = renyi.divergence(zero_out.poisson_sampled(rate), order)
            assert tight(of_outcomes(mixed, null, order), bound)


@given(st.floats(1e-3, 1e3), st.floats(0.1, 1e4), st.floats(0.1, 1), st.integers(2, 5000))
def test_gaussian_and_skellam_are_their_formulas_rounded_up(noise, variance, share, order):
    assert tight(order * Gaussian(noise).rho, Fraction(renyi.divergence(Gaussian(noise), order)))
    v, l1, l2 = Fraction(variance), Fraction(9), Fraction(9 * share)
    more = min(((2 * order - 1) * l2**2 + 6 * l1) / (4 * v**2), 3 * l1 / (2 * v))  # either may be the less
    bound = renyi.divergence(Skellam(variance, 9, 9 * share), order)
    assert tight(order * l2**2 / (2 * v) + more, Fraction(bound))


# ---------------------------------------------------------------- numeric integration


def integrated(log_p, log_q, order, end):
    def density(x):
        return mpmath.exp(order * log_p(x) + (1 - order) * log_q(x))

    with mpmath.workdps(20):
        total = mpmath.quad(density, mpmath.linspace(-end, end, 2 * end + 1))
        return float(mpmath.log(total) / (order - 1))


@pytest.mark.parametrize("order", [2, 5, 16])
@pytest.mark.parametrize(("sigma", "rate"), [(1.0, 0.01), (2.0, 0.3), (1.5, 0.9)])
def test_sampled_gaussian_both_ways_by_integration(sigma, rate, order):
    def null(x):
        return -(x * x) / (2 * mpmath.mpf(sigma) ** 2) - mpmath.log(sigma * mpmath.sqrt(2 * mpmath.pi))

    def mixed(x):
        return mpmath.log((1 - mpmath.mpf(rate)) * mpmath.exp(null(x)) + rate * mpmath.exp(null(x - 1)))

    removed, added = (integrated(p, q, order, 45) for p, q in ((mixed, null), (null, mixed)))
    bound = renyi.divergence(Gaussian(sigma).poisson_sampled(rate), order)
    assert added <= removed * NEAR
    assert removed == pytest.approx(bound, rel=1e-9)


@pytest.mark.parametrize("order", [2, 5, 16])
def test_laplace_by_integration(order):
    exact = integrated(lambda x: -abs(x - 1) - mpmath.log(2), lambda x: -abs(x) - mpmath.log(2), order, 60)
    assert exact == pytest.approx(renyi.divergence(Laplace(1.0), order), rel=1e-9)


@pytest.mark.parametrize(("variance", "shift"), [(1.0, 1), (10.0, 1), (100.0, 3), (400.0, 10)])
@pytest.mark.parametrize("order", [2, 3, 20])
def test_the_skellam_bound_holds_for_the_exact_law(variance, shift, order):
    with mpmath.workdps(60):
        far = int(12 * math.sqrt(variance)) + 60 * shift + order * shift
        noise = {x: mpmath.besseli(x, variance) * mpmath.exp(-variance) for x in range(far + 1)}
        moment = mpmath.fsum(
            noise[abs(x - shift)] ** order * noise[abs(x)] ** (1 - order) for x in range(-far + shift, far + 1)
        )
        exact = mpmath.log(moment) / (order - 1)
    bound = renyi.divergence(Skellam(variance, shift, shift), order)
    assert exact <= bound
    if variance >= 100 * order * order:
        assert bound <= exact * 1.05


@pytest.mark.parametrize(("variance", "shift"), [(1e-3, 1), (0.5, 2), (14.2, 1), (400.0, 10)])
@pytest.mark.parametrize("order", [2, 3, 22])
def test_the_divergence_of_one_number_with_skellam_noise_is_that_of_its_law(variance, shift, order):
    with mpmath.workdps(60):
        far = int(16 * math.sqrt(variance)) + 60 * shift + order * shift
        noise = {x: mpmath.besseli(x, variance) * mpmath.exp(-variance) for x in range(far + 1)}
        moment = mpmath.fsum(
            noise[abs(x - shift)] ** order * noise[abs(x)] ** (1 - order) for x in range(-far + shift, far + 1)
        )
        exact = float(mpmath.log(moment) / (order - 1))
    found = renyi.divergence(Skellam(variance, shift, shift, scalar=True), order)
    assert exact <= found <= exact * (1 + 1e-6) + 1e-8
    assert found <= renyi.divergence(Skellam(variance, shift + 1, shift + 0.5), order)  # the bound for vectors


def test_of_one_number_with_much_noise_the_bound_is_taken():
    assert skellam_divergence.divergence(2e4, 1, 2) is None
    assert skellam_divergence.divergence(10.0, 100, 4096) is None
    assert renyi.divergence(Skellam(2e4, 1, 1), 2) == pytest.approx(2 / 4e4, rel=1e-3)


# ---------------------------------------------------------------- another library, published figures


def test_against_the_reference_library():
    import dp_accounting

    from fedanalytics.privacy import Event

    orders = list(range(2, 200))

    def theirs(event):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            accountant = dp_accounting.rdp.RdpAccountant(orders)
            return accountant.compose(event).rdp

    def ours(event: Event):
        return [renyi.divergence(event, order) for order in orders]

    gaussian, laplace = dp_accounting.GaussianDpEvent, dp_accounting.LaplaceDpEvent
    assert ours(Gaussian(1.7)) == pytest.approx(theirs(gaussian(1.7)), rel=1e-9)
    assert ours(Laplace(3.0)) == pytest.approx(theirs(laplace(3.0)), rel=1e-9)
    for sigma, rate in ((1.0, 0.01), (0.6, 0.2), (4.0, 1e-3)):
        event = dp_accounting.PoissonSampledDpEvent(rate, gaussian(sigma))
        assert ours(Gaussian(sigma).poisson_sampled(rate)) == pytest.approx(theirs(event), rel=1e-7)


def rounds(sigma, rate, count):
    return Gaussian(sigma).poisson_sampled(rate).repeated(count)


PUBLISHED = [  # the event, epsilon at delta 1e-6, and how much whole orders may lose on the best real order
    (Gaussian(5.0), 0.8999, 1e-3),
    (Gaussian(50.0).repeated(1000), 3.1311, 2e-3),
    (rounds(1.0, 0.01, 10_000), 7.4141, 1e-2),
    (rounds(0.8, 0.001, 100_000), 3.1878, 1e-2),
    (rounds(2.0, 0.1, 100), 2.9142, 1e-3),
    (rounds(0.5, 0.001, 1000), 5.3292, 0.15),  # the best order is about 2.4: whole ones are few there
    (Laplace(10.0).repeated(100), 4.9842, 3e-3),
    (Composed((Laplace(10.0).repeated(50), Gaussian(10.0).repeated(50))), 5.1080, 1e-3),
    (Skellam(1e4, 10, 10), 0.42997, 1e-3),
    (Skellam(1e4, 10, 10).repeated(100), 5.22182, 1e-3),
]


@pytest.mark.parametrize(("event", "epsilon", "lost"), PUBLISHED)
def test_epsilons_as_published(event, epsilon, lost):
    found = min(renyi.epsilon_of(renyi.divergence(event, order), order, 1e-6) for order in range(2, 129))
    assert epsilon * (1 - 6e-5) <= found <= epsilon * (1 + lost)


# ---------------------------------------------------------------- laws


@given(events, st.integers(2, 4000), st.integers(1, 90))
def test_it_grows_with_the_order(event, order, more):
    assert renyi.divergence(event, order) <= renyi.divergence(event, order + more) * NEAR


@given(plain, rates, st.integers(2, 300))
def test_sampling_never_costs_more(event, rate, order):
    less = renyi.divergence(event.poisson_sampled(rate), order)
    assert less <= renyi.divergence(event.poisson_sampled(min(2 * rate, 1.0)), order) * NEAR
    assert less <= renyi.divergence(event, order) * NEAR


@given(st.lists(events, max_size=4), st.integers(1, 10**6), st.integers(2, 300))
def test_it_adds_up(several, count, order):
    zero_out = [event for event in several if Relation.ZERO_OUT not in event.relations]
    apart = math.fsum(renyi.divergence(event, order) for event in zero_out)
    assert renyi.divergence(Composed(tuple(zero_out)), order) == pytest.approx(apart, rel=1e-11)
    assert renyi.divergence(Composed(tuple(zero_out)).repeated(count), order) == pytest.approx(count * apart, rel=1e-11)


@given(st.floats(1e-3, 1e3), st.floats(1.01, 10), st.integers(2, 300))
def test_more_noise_costs_less(scale, more, order):
    for kind in (
        Gaussian,
        Laplace,
        DiscreteLaplace,
        lambda s: Skellam(s, 1, 1),
        lambda s: Gaussian(s).poisson_sampled(0.1),
    ):
        assert renyi.divergence(kind(scale * more), order) <= renyi.divergence(kind(scale), order) * NEAR


@given(multipliers, st.floats(0, 1, exclude_min=True, exclude_max=True), st.integers(2, 300))
def test_pure_events_stay_below_their_epsilon_and_their_rho(scale, rate, order):
    for event in (Laplace(scale), DiscreteLaplace(scale)):
        assert renyi.divergence(event, order) <= min(float(event.epsilon), order * float(event.rho)) * NEAR
    assert renyi.divergence(Laplace(scale), order) <= renyi.divergence(DiscreteLaplace(scale), order) * NEAR


def test_trees_are_gaussian_and_nothing_costs_nothing():
    tree = TreeAggregation(2.0, steps=7)
    assert renyi.divergence(tree, 5) == pytest.approx(5 * 3 / 8)
    assert renyi.divergence(NoOp(), 5) == 0
    assert renyi.epsilon_of(0.0, 5, 1e-6) == 0


# ---------------------------------------------------------------- caps


@given(st.floats(0.01, 100), st.floats(1e-15, 0.1), st.integers(2, 4096))
def test_a_cap_keeps_epsilon_and_wastes_nothing(epsilon, delta, order):
    most = renyi.cap(epsilon, delta, order)
    exact = (
        mpmath.mpf(epsilon)
        - mpmath.log(1 - mpmath.mpf(1) / order)
        + mpmath.log(mpmath.mpf(delta) * order) / (order - 1)
    )
    assert most <= max(exact, 0)
    assert most >= exact - 1e-11 * (1 + epsilon - math.log(delta))
    if most:
        assert renyi.epsilon_of(most, order, delta) == pytest.approx(epsilon, rel=1e-9, abs=1e-10)
        assert renyi.epsilon_of(float(exact), order, delta) >= epsilon * (1 - 1e-15)


@given(st.floats(0.05, 30), st.floats(1e-12, 1e-2))
def test_the_best_order_holds_most_gaussian_noise(epsilon, delta):
    best = renyi.best_order(epsilon, delta)
    most = renyi.cap(epsilon, delta, best) / best
    for order in {2, max(best - 1, 2), best + 1, 4096}:
        assert renyi.cap(epsilon, delta, order) / order <= most or order > 4096
    assert most <= zcdp.rho_cap(epsilon, delta) * NEAR


def test_where_no_order_has_a_cap_the_greatest_is_the_nearest():
    assert renyi.best_order(1e-4, 1e-6) == 4096
    assert renyi.cap(1e-4, 1e-6, 4096) == 0


# ---------------------------------------------------------------- bad input, and the ends of the floats


def test_what_is_refused():
    for order in (1, 0, -3, 2.5, True, math.inf, 2**53 + 1, "8"):
        with pytest.raises(BadArgument, match="order="):
            renyi.divergence(Gaussian(1.0), order)
        with pytest.raises(BadArgument, match="order="):
            renyi.cap(1.0, 1e-6, order)
        with pytest.raises(BadArgument, match="order="):
            renyi.epsilon_of(1.0, order, 1e-6)
    for delta in (0, 1, -1, math.nan, "x"):
        with pytest.raises(BadArgument, match="delta="):
            renyi.cap(1.0, delta, 8)
        with pytest.raises(BadArgument, match="delta="):
            renyi.best_order(1.0, delta)
    for epsilon in (0, -1, math.nan, math.inf):
        with pytest.raises(BadArgument, match="epsilon="):
            renyi.cap(epsilon, 1e-6, 8)
    for total in (-1.0, math.nan, "1"):
        with pytest.raises(BadArgument, match="total="):
            renyi.epsilon_of(total, 8, 1e-6)


@pytest.mark.parametrize("event", [Exact(), Composed((Gaussian(1.0), Exact())), Exact().repeated(3)])
def test_an_exact_release_has_no_divergence(event):
    with pytest.raises(NotPrivate):
        renyi.divergence(event, 8)


@pytest.mark.parametrize("order", [2, 4096, 4097, 2**53])
@pytest.mark.parametrize(
    "event",
    [
        Gaussian(1e200),
        Gaussian(1e200).poisson_sampled(5e-324),
        Gaussian(1e3).poisson_sampled(0.5),
        Laplace(1e300),
        DiscreteLaplace(1e300).poisson_sampled(1e-300),
        DiscreteLaplace(1e-2).poisson_sampled(1e-300),
        DiscreteLaplace(1e-9).poisson_sampled(1e-300),
        RandomizedResponse(5e-324, 2),
        RandomizedResponse(5e-324, 10**9),
        RandomizedResponse(1.0, 5),
        Skellam(1e300, 1e150, 1e10),
    ],
)
def test_extreme_events_have_a_finite_bound(event, order):
    assert 0 < renyi.divergence(event, order) < math.inf


@pytest.mark.parametrize(
    "event",
    [
        Gaussian(1e-200),
        Gaussian(1e-200).poisson_sampled(0.5),
        Laplace(5e-324),
        DiscreteLaplace(5e-324),
        DiscreteLaplace(5e-324).poisson_sampled(0.5),
        Skellam(1e-300, 1e200, 1e200),
        Gaussian(1.0).repeated(10**400),
    ],
)
def test_losses_beyond_the_floats_are_said_to_be(event):
    with pytest.raises(NotPrivate, match="noise"):
        renyi.divergence(event, 64)
