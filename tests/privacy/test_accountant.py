"""The accountant's surface: what it counts, refuses, keeps and says; its figures are checked in the files beside it."""

import json
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from subprocess import run

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument, NotPrivate
from fedanalytics.privacy.accountant import Accountant
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

gaussians = st.floats(min_value=0.5, max_value=50).map(Gaussian)


@pytest.mark.parametrize(("sigma", "count", "epsilon"), [(5.0, 1, 0.8341), (50.0, 1000, 2.9216)])
def test_published_figures(sigma, count, epsilon):
    assert Accountant().compose(Gaussian(sigma), count).epsilon(1e-6) == pytest.approx(epsilon, abs=1e-4)


# ---------------------------------------------------------------- it changes


def test_compose_as_a_statement_counts():
    spent = Accountant()
    spent.compose(Gaussian(2.0))
    spent.compose(Laplace(3.0), 4)
    assert dict(spent.counts) == {Gaussian(2.0): 1, Laplace(3.0): 4}
    assert spent.epsilon(1e-6) == Accountant().compose(Gaussian(2.0)).compose(Laplace(3.0), 4).epsilon(1e-6)


def test_compose_returns_itself_and_a_copy_is_another():
    spent = Accountant(grid=1e-3)
    assert spent.compose(Laplace(3.0)) is spent
    other = spent.copy()
    before = other.epsilon(1e-6)
    spent.compose(Laplace(3.0))
    assert other.epsilon(1e-6) == before < spent.epsilon(1e-6)
    assert other != spent
    assert other.compose(Laplace(3.0)) == spent


def test_a_figure_asked_for_between_two_events_does_not_stick():
    spent, fresh = Accountant(), Accountant().compose(Laplace(3.0)).compose(Gaussian(4.0))
    spent.compose(Laplace(3.0)).epsilon(1e-6)
    assert spent.compose(Gaussian(4.0)).epsilon(1e-6) == fresh.epsilon(1e-6)


def test_counts_are_a_view_that_cannot_be_written_to():
    spent = Accountant().compose(Gaussian(2.0), 3)
    with pytest.raises(TypeError):
        spent.counts[Gaussian(2.0)] = 0
    with pytest.raises(TypeError, match="unhashable"):
        hash(spent)


@given(st.lists(gaussians, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_a_count_is_repetition(events, random):
    forward = Accountant()
    for event in events:
        forward.compose(event).compose(event)
    random.shuffle(events)
    at_once = Accountant().compose(Composed(tuple(events)), count=2)
    assert forward == at_once
    assert forward.rho == at_once.rho
    assert forward.epsilon(1e-6) == at_once.epsilon(1e-6)


def test_a_mixture_costs_more_than_its_parts_and_less_than_their_sum():
    gaussian, laplace = Accountant().compose(Gaussian(3.0)), Accountant().compose(DiscreteLaplace(2.0))
    both = gaussian.copy().compose(DiscreteLaplace(2.0))
    assert max(gaussian.epsilon(1e-6), laplace.epsilon(1e-6)) < both.epsilon(1e-6)
    assert both.epsilon(1e-6) < gaussian.epsilon(1e-6) + 0.5
    assert both.delta(both.epsilon(1e-6)) == pytest.approx(1e-6, rel=1e-3)


# ---------------------------------------------------------------- which accounting


@pytest.mark.parametrize(
    ("event", "method"),
    [
        (NoOp(), "gdp"),
        (Gaussian(1.0), "gdp"),
        (TreeAggregation(1.0, steps=8), "gdp"),
        (Composed((Gaussian(1.0), Laplace(1.0))), "pld"),
        (Skellam(100, 20, 20, scalar=True), "pld"),
        (Skellam(100, 20, 5), "renyi"),
        (Skellam(2.0**60, 20, 20, scalar=True), "renyi"),
        (Composed((Skellam(100, 20, 5), Laplace(1.0))), "renyi"),
        (Laplace(1e-9), "renyi"),
        (Composed((Gaussian(1.0), Exact())), "infinite"),
    ],
)
def test_the_method(event, method):
    assert Accountant().compose(event).method == method


def test_edges():
    assert (Accountant().epsilon(1e-6), Accountant().delta(1.0), Accountant().bounds(1e-6)) == (0, 0, (0, 0))
    assert Accountant().compose(NoOp(), 5) == Accountant()
    exact = Accountant().compose(Exact())
    assert (exact.epsilon(1e-6), exact.delta(5.0), exact.bounds(1e-6)) == (math.inf, 1.0, (math.inf, math.inf))
    with pytest.raises(NotPrivate):
        _ = exact.rho
    assert Accountant().compose(Gaussian(1.0)).delta(1.0) == pytest.approx(0.126937, abs=1e-6)
    assert Accountant().compose(Gaussian(2.0), 3).compose(DiscreteLaplace(4.0)).rho == Fraction(3, 8) + Fraction(1, 32)
    assert Accountant().compose(RandomizedResponse(1.0, 4)).epsilon(1e-6) == 0


@pytest.mark.parametrize(
    ("event", "count", "least", "most"),
    [
        (Composed((Gaussian(0.1).repeated(1000), Laplace(1.0))), 1, 51_500, 51_510),
        (Composed((Gaussian(1e-4), Laplace(1.0))), 1, 5.0046e7, 5.006e7),
        (Gaussian(1e-9), 10**6, 4.9e23, 5.1e23),
        (Gaussian(1e9), 10**6, 0, 1e-6),
        (Laplace(1e-7), 3, 2.99e7, 3e7 + 1e-3),
        (Laplace(1.0), 10**6, 367_879 + 3_000, 367_879 + 4_000),
        (DiscreteLaplace(1e6), 10**6, 2.7e-3, 4e-3),
        (Gaussian(0.01).poisson_sampled(0.001), 10, 5_000, 11_000),
        (Gaussian(1e6).poisson_sampled(1e-6), 10**6, 0, 1e-6),
        (Skellam(1, 100, 100, scalar=True), 2, 700, 900),
        (RandomizedResponse(1e-300, 2), 2, 1_380, 1_390),
    ],
)
def test_enormous_and_tiny_losses_stay_finite(event, count, least, most):
    """Of a million Laplace events of epsilon 1 the mean loss is e^-1 each, and the deviation about 0.8."""
    spent = Accountant(grid=1e-3).compose(event, count)
    assert least <= spent.epsilon(1e-6) <= most
    assert 0 <= spent.bounds(1e-6)[0] <= spent.epsilon(1e-6)
    assert 0 <= spent.delta(spent.epsilon(1e-6)) <= 1.5e-6


@pytest.mark.parametrize(
    ("mu", "delta"), [(37.1806, 0.1), (36.06, 0.01), (38.5, 1e-6), (50, 1e-6), (200, 1e-9), (5, 1e-290)]
)
def test_the_closed_form_is_left_where_floats_end(mu, delta):
    """e^epsilon Phi(-x) with a Phi of a few bits, or none: what is returned is never below the truth."""
    with mpmath.workdps(60):
        mu, delta = mpmath.mpf(mu), mpmath.mpf(delta)
        low, high = mpmath.mpf(0), 10 * mu**2 + 1000 * mu
        for _ in range(120):
            middle = (low + high) / 2
            above = mpmath.ncdf(mu / 2 - middle / mu) - mpmath.exp(middle) * mpmath.ncdf(-mu / 2 - middle / mu) > delta
            low, high = (middle, high) if above else (low, middle)
    spent = Accountant().compose(Gaussian(float(1 / mu)))
    lower, upper = spent.bounds(float(delta))
    assert lower <= float(low) * (1 + 1e-12)
    assert float(high) * (1 - 1e-12) <= upper <= float(high) * 1.05
    assert spent.delta(upper) <= 1.001 * float(delta) + 1e-200 or upper > 700


# ---------------------------------------------------------------- JSON


def test_json_resumes():
    seen = Accountant(grid=1e-3).compose(Gaussian(2.0), 3).compose(DiscreteLaplace(5.0)).compose(Exact())
    again = Accountant.from_json(json.loads(json.dumps(seen.to_json())))
    assert again == seen
    assert again.to_json() == seen.to_json()


def test_the_json_form_is_a_contract():
    assert Accountant().compose(Gaussian(2.0), 3).to_json() == {
        "version": 1,
        "grid": 1e-4,
        "counts": [{"event": Gaussian(2.0).to_json(), "count": 3}],
    }


def test_the_form_without_a_version_is_still_read():
    old = {"counts": [{"event": Gaussian(2.0).to_json(), "count": 3}, {"event": Exact().to_json(), "count": 1}]}
    assert Accountant.from_json(old) == Accountant().compose(Gaussian(2.0), 3).compose(Exact())


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"version": 2, "counts": []},
        {"version": "1", "counts": []},
        {"version": True, "counts": []},
        {"version": 1, "counts": [], "window": 7},
        {"version": 1, "grid": 0, "counts": []},
        {"version": 1, "counts": {}},
        {"version": 1, "counts": [{"event": Gaussian(1.0).to_json()}]},
        {"version": 1, "counts": [{"event": Gaussian(1.0).to_json(), "count": 0}]},
        {"version": 1, "counts": [{"event": Gaussian(1.0).to_json(), "count": 1, "rate": 1}]},
        {"version": 1, "counts": [{"event": {"event": "quantum"}, "count": 1}]},
        {"version": 1, "counts": ["gaussian"]},
    ],
)
def test_what_is_not_understood_is_refused_never_ignored(data):
    with pytest.raises(BadArgument):
        Accountant.from_json(data)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2", None, math.nan])
def test_bad_counts(count):
    with pytest.raises(BadArgument, match="count="):
        Accountant().compose(Gaussian(1.0), count)


@pytest.mark.parametrize("delta", [0, 0.0, -1e-9, 1, 1.5, math.nan, math.inf, "1e-6", None, True])
def test_bad_deltas(delta):
    for ask in (Accountant().epsilon, Accountant().compose(Exact()).bounds, Accountant().compose(Laplace(1.0)).epsilon):
        with pytest.raises(BadArgument, match="delta="):
            ask(delta)


@pytest.mark.parametrize("epsilon", [-1.0, math.nan, math.inf, "1", None, True])
def test_bad_epsilons(epsilon):
    with pytest.raises(BadArgument, match="epsilon="):
        Accountant().compose(Exact()).delta(epsilon)


@pytest.mark.parametrize("grid", [0, -1e-4, 1e-9, 0.2, math.nan, "1e-4", True])
def test_bad_grids(grid):
    with pytest.raises(BadArgument, match="grid="):
        Accountant(grid=grid)


def test_what_is_refused_leaves_no_trace():
    spent = Accountant().compose(Gaussian(1.0))
    with pytest.raises(BadArgument, match="expected a privacy event"):
        spent.compose(1.0)
    mixed = Composed((Laplace(1.0), Gaussian(1.0, Relation.REPLACE_ONE)))
    with pytest.raises(BadArgument, match="add-or-remove-one, replace-one"):
        spent.compose(mixed)
    assert spent == Accountant().compose(Gaussian(1.0))


# ---------------------------------------------------------------- the house


def test_threads_that_share_the_caches_find_the_same():
    events = [Laplace(3.0), Gaussian(1.0).poisson_sampled(0.05), RandomizedResponse(0.5, 3, Relation.ZERO_OUT)]

    def ask(i):
        return Accountant(grid=1e-3).compose(events[i % 2], 1 + i % 5).epsilon(1e-6)

    alone = [ask(i) for i in range(20)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(20))) == alone


def test_the_closed_form_does_without_the_heavy_libraries():
    script = (
        "import sys; from fedanalytics.privacy import *\n"
        "a = Accountant().compose(Gaussian(1.0), 9); a.epsilon(1e-6), a.delta(1.0), a.bounds(1e-6)\n"
        "sys.exit(bool({'scipy', 'dp_accounting'} & set(sys.modules)))"
    )
    assert run([sys.executable, "-c", script], check=False).returncode == 0
