"""Laws of accounting, for every kind of event and every way of accounting.

Figures are upper bounds, a lower bound beside each. So "A costs no more than B" is tested as what must hold of the
truth: the lower bound on A is at most the upper one on B, and where the two figures are found on the same grid, A's
figure exceeds B's by no more than B's two bounds differ (plus a rounding). A law that one accountant breaks by a count
or a factor, as the reference library does for randomised response, moves a figure far outside of that.
"""

import json
import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedanalytics.privacy.accountant import Accountant
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
from fedanalytics.privacy.relations import Relation

ZERO = Relation.ZERO_OUT
DELTA = 1e-6
GRID = 2e-3

scales = st.sampled_from([0.7, 1.0, 1.7, 4.0, 11.0, 60.0])  # few, so that their spectra are made once
rates = st.sampled_from([0.003, 0.05, 0.4])
whole = st.integers(1, 12)

gaussian = scales.map(lambda s: Gaussian(s, ZERO))
tree = st.builds(lambda s, n: TreeAggregation(s, ZERO, n), scales, st.integers(1, 40))
matrix = st.builds(lambda s, n: MatrixFactorization(s, ZERO, n, (1.0, 0.5, 0.25), 2, 3), scales, st.integers(6, 30))
laplace = scales.map(lambda s: Laplace(s, ZERO))
discrete = scales.map(lambda s: DiscreteLaplace(s, ZERO))
local = scales.map(lambda s: LocalPure(1 / s, ZERO))
response = st.builds(
    lambda p, k: RandomizedResponse(p, k, ZERO), st.sampled_from([0.2, 0.5, 0.9, 1.0]), st.integers(2, 5)
)
skellam = st.builds(lambda s, d: Skellam((s * d) ** 2, d, d, ZERO, scalar=True), scales, st.sampled_from([1, 8]))
vectors = st.builds(lambda s: Skellam(100 * s * s, 60, 10, ZERO), scales)
sampled = st.builds(lambda e, q: e.poisson_sampled(q), gaussian | laplace | discrete | response | skellam, rates)

KINDS = {
    "gaussian": gaussian,
    "tree": tree,
    "matrix": matrix,
    "laplace": laplace,
    "discrete": discrete,
    "local": local,
    "response": response,
    "skellam": skellam,
    "vectors": vectors,
    "sampled": sampled,
    "nothing": st.just(NoOp()),
    "exact": st.just(Exact()),
}
ANY = st.one_of(*KINDS.values())
of_every_kind = pytest.mark.parametrize("kind", KINDS)
few = settings(max_examples=6)


def spent(*events):
    accountant = Accountant(grid=GRID)
    for event in events:
        accountant.compose(event)
    return accountant


def costs_no_more(less, more):
    """Both figures of `less` against those of `more`; see the top of the file."""
    low, high = more.bounds(DELTA)
    if math.isinf(high):
        return True
    room = (high - low) + 1e-9 * high + 2e-15 if low or more.method != "renyi" else 1e-9 * high
    fits = less.bounds(DELTA)[0] <= high * (1 + 1e-9) and less.epsilon(DELTA) <= high + room
    at = high / 2 + 0.1
    return fits and less.delta(at + room + GRID) <= more.delta(at) * (1 + 1e-3) + 1e-12


# ---------------------------------------------------------------- counts


@of_every_kind
@few
@given(st.data(), whole)
def test_a_list_of_one_event_a_repeated_event_and_a_count_are_the_same(kind, data, n):
    event = data.draw(KINDS[kind])
    expected = Accountant(grid=GRID).compose(event, n)
    for same in (spent(Composed((event,) * n)), spent(event.repeated(n)), spent(*[event] * n)):
        assert same == expected
        assert same.epsilon(DELTA) == expected.epsilon(DELTA)
        assert same.delta(0.7) == expected.delta(0.7)


@of_every_kind
@few
@given(st.data(), whole)
def test_a_count_is_counted(kind, data, n):
    """Twice as often costs more than once, and no more than twice at half the delta each (basic composition)."""
    event = data.draw(KINDS[kind])
    once, twice = (Accountant(grid=GRID).compose(event, k * n) for k in (1, 2))
    if math.isinf(once.epsilon(DELTA)):
        assert math.isinf(twice.epsilon(DELTA))
        return
    low, high = once.bounds(DELTA / 2)
    room = 0.0 if once.method == "gdp" else (high - low) * 4 + GRID
    assert twice.bounds(DELTA)[0] <= 2 * high * (1 + 1e-9)
    assert twice.epsilon(DELTA) <= 2 * high * (1 + 1e-9) + room
    assert costs_no_more(once, twice)
    if once.bounds(DELTA)[1] > 0.1:
        assert twice.epsilon(DELTA) > 1.02 * once.epsilon(DELTA)


@few
@given(st.lists(ANY, min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_order_does_not_matter(events, random):
    forward = spent(*events)
    random.shuffle(events)
    backward = spent(Composed(tuple(events)))
    assert forward == backward
    assert forward.epsilon(DELTA) == pytest.approx(backward.epsilon(DELTA), rel=1e-6)  # sums in another order
    assert forward.delta(1.0) == pytest.approx(backward.delta(1.0), rel=1e-4, abs=1e-13)


# ---------------------------------------------------------------- more and less


@of_every_kind
@few
@given(st.data(), ANY)
def test_another_event_never_costs_less(kind, data, other):
    event = data.draw(KINDS[kind])
    assert costs_no_more(spent(event), spent(event, other))
    assert costs_no_more(spent(other), spent(event, other))


NOISIER = {
    "gaussian": lambda s: Gaussian(s, ZERO),
    "tree": lambda s: TreeAggregation(s, ZERO, 7),
    "matrix": lambda s: MatrixFactorization(s, ZERO, 7, (1.0, 0.5), 2, 2),
    "laplace": lambda s: Laplace(s, ZERO),
    "discrete": lambda s: DiscreteLaplace(s, ZERO),
    "local": lambda s: LocalPure(1 / s, ZERO),
    "response": lambda s: RandomizedResponse(min(s / 20, 1.0), 3, ZERO),
    "skellam": lambda s: Skellam(s * s, 1, 1, ZERO),
    "vectors": lambda s: Skellam(100 * s * s, 60, 10, ZERO),
    "sampled": lambda s: Gaussian(s, ZERO).poisson_sampled(0.05),
    "sampled laplace": lambda s: Laplace(s, ZERO).poisson_sampled(0.05),
    "sampled discrete": lambda s: DiscreteLaplace(s, ZERO).poisson_sampled(0.05),
    "sampled skellam": lambda s: Skellam(s * s, 1, 1, ZERO).poisson_sampled(0.05),
}


@pytest.mark.parametrize("kind", NOISIER)
@few
@given(st.floats(0.6, 12), st.floats(1.02, 3), whole)
def test_more_noise_never_costs_more(kind, scale, factor, n):
    weak, strong = (spent(NOISIER[kind](s).repeated(n)) for s in (scale, scale * factor))
    assert costs_no_more(strong, weak)


@few
@given(gaussian | laplace | discrete | response | skellam, st.lists(rates, min_size=2, max_size=2, unique=True), whole)
def test_a_sample_costs_no_more_than_all_and_a_smaller_one_no_more_than_a_greater(event, both, n):
    small, great = (spent(event.poisson_sampled(rate).repeated(n)) for rate in sorted(both))
    assert costs_no_more(small, great)
    assert costs_no_more(great, spent(event.repeated(n)))


@of_every_kind
@few
@given(st.data())
def test_nothing_costs_nothing(kind, data):
    event = data.draw(KINDS[kind])
    assert spent(event, NoOp(), NoOp().repeated(5), Composed(())) == spent(event)
    assert spent(NoOp().poisson_sampled(0.1)).epsilon(DELTA) == 0


# ---------------------------------------------------------------- one accountant, several ways


@of_every_kind
@few
@given(st.data(), whole, st.sampled_from([1e-2, 1e-6, 1e-10]))
def test_epsilon_and_delta_are_each_others_inverse(kind, data, n, delta):
    accountant = Accountant(grid=GRID).compose(data.draw(KINDS[kind]), n)
    epsilon = accountant.epsilon(delta)
    if epsilon == 0:
        assert accountant.delta(0.0) <= delta * 1.01
        return
    if math.isinf(epsilon):
        assert accountant.delta(1e6) == 1
        return
    assert accountant.delta(epsilon * (1 + 1e-9)) <= delta * 1.01
    less = accountant.delta(0.7 * epsilon)
    if 0 < less < 1:
        assert accountant.epsilon(less) <= 0.7 * epsilon * (1 + 1e-3) + 1e-9


@of_every_kind
@few
@given(st.data(), whole)
def test_bounds_are_in_order_and_fall_with_delta(kind, data, n):
    accountant, last = Accountant(grid=GRID).compose(data.draw(KINDS[kind]), n), math.inf
    for delta in (1e-12, 1e-6, 1e-2, 0.4):
        low, high = accountant.bounds(delta)
        assert 0 <= low <= high == accountant.epsilon(delta)
        assert high <= last * (1 + 1e-6) + 1e-12
        last = high


@of_every_kind
@few
@given(st.data(), ANY, whole)
def test_what_is_written_and_read_again_says_the_same(kind, data, other, n):
    accountant = spent(data.draw(KINDS[kind]).repeated(n), other)
    again = Accountant.from_json(json.loads(json.dumps(accountant.to_json())))
    assert again == accountant
    assert again.method == accountant.method
    assert again.bounds(DELTA) == accountant.bounds(DELTA)


@few
@given(st.lists(gaussian | tree | matrix, min_size=1, max_size=3), whole)
def test_the_closed_form_lies_within_the_bounds_of_the_grid(events, n):
    """An event that loses nothing, but has no closed form, moves the same Gaussians onto the grid."""
    closed = spent(Composed(tuple(events)).repeated(n))
    on_grid = closed.copy().compose(RandomizedResponse(1.0, 2, ZERO))
    assert (closed.method, on_grid.method) == ("gdp", "pld")
    low, high = on_grid.bounds(DELTA)
    assert low <= closed.epsilon(DELTA) * (1 + 1e-7)
    assert closed.bounds(DELTA)[0] <= high * (1 + 1e-7)


@few
@given(st.lists(gaussian | laplace | sampled | skellam, min_size=1, max_size=3), whole)
def test_moments_never_say_less_than_the_lower_bound(events, n):
    """A vector's noise that loses next to nothing forces Renyi accounting, which is looser and as valid."""
    exact = spent(Composed(tuple(events)).repeated(n))
    assume(exact.bounds(DELTA)[0] > 0.01)
    forced = exact.copy().compose(Skellam(1e30, 2, 1, ZERO))
    assert forced.method == "renyi"
    assert exact.bounds(DELTA)[0] <= forced.epsilon(DELTA)


@few
@given(st.lists(laplace | discrete | response, min_size=1, max_size=3), whole)
def test_pure_events_cost_no_more_than_their_sum(events, n):
    accountant = spent(Composed(tuple(events)).repeated(n))
    total = n * sum(float(event.epsilon) for event in events)
    assert accountant.epsilon(1e-300) <= total * (1 + 1e-9)
    assert accountant.delta(total * (1 + 1e-9)) == 0


def test_the_reference_library_breaks_the_first_of_these_laws():
    """So that the laws can be seen to bite: two lists that mean the same, in dp_accounting 0.6."""
    from dp_accounting import NeighboringRelation, dp_event
    from dp_accounting.pld import PLDAccountant

    event = dp_event.RandomizedResponseDpEvent(0.5, 2)
    first, second = (PLDAccountant(NeighboringRelation.REPLACE_ONE) for _ in range(2))
    one_by_one = first.compose(dp_event.ComposedDpEvent([event] * 5)).get_epsilon(DELTA)
    at_once = second.compose(dp_event.SelfComposedDpEvent(event, 5)).get_epsilon(DELTA)
    assert one_by_one > 4 * at_once
