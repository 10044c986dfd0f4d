"""The accountant against closed forms, published figures and the laws of composition."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.events import Composed, DiscreteLaplace, Exact, Gaussian, NoOp
from fedanalytics.privacy.relations import Relation

gaussians = st.floats(min_value=0.5, max_value=50).map(Gaussian)


@pytest.mark.parametrize(("sigma", "count", "epsilon"), [(5.0, 1, 0.8341), (50.0, 1000, 2.9216)])
def test_published_figures(sigma, count, epsilon):
    assert Accountant().compose(Gaussian(sigma), count).epsilon(1e-6) == pytest.approx(epsilon, abs=1e-4)


@given(st.lists(gaussians, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_a_count_is_repetition(events, random):
    forward = Accountant()
    for event in events:
        forward = forward.compose(event).compose(event)
    random.shuffle(events)
    at_once = Accountant().compose(Composed(tuple(events)), count=2)
    assert forward.rho == at_once.rho
    assert forward.epsilon(1e-6) == at_once.epsilon(1e-6)


@settings(max_examples=15, deadline=None)
@given(st.floats(min_value=0.5, max_value=20), st.integers(min_value=1, max_value=20))
def test_laplace_counts_are_counted(multiplier, count):
    event = DiscreteLaplace(multiplier)
    many, one = Accountant().compose(event, count), Accountant().compose(event)
    assert many.epsilon(1e-9) <= count / multiplier + 2e-4 * count  # a grid step each
    assert many.epsilon(1e-6) >= one.epsilon(1e-6) - 1e-9
    assert many.rho == count * event.rho


def test_a_mixture_costs_more_than_its_parts_and_less_than_their_sum():
    gaussian, laplace = Accountant().compose(Gaussian(3.0)), Accountant().compose(DiscreteLaplace(2.0))
    both = gaussian.compose(DiscreteLaplace(2.0))
    assert max(gaussian.epsilon(1e-6), laplace.epsilon(1e-6)) < both.epsilon(1e-6)
    assert both.epsilon(1e-6) < gaussian.epsilon(1e-6) + 0.5 + 1e-3
    assert both.delta(both.epsilon(1e-6)) == pytest.approx(1e-6, rel=0.01)


def test_edges():
    assert Accountant().epsilon(1e-6) == 0
    assert Accountant().delta(1.0) == 0
    assert Accountant().compose(NoOp(), 5).epsilon(1e-6) == 0
    exact = Accountant().compose(Exact())
    assert (exact.epsilon(1e-6), exact.delta(5.0)) == (math.inf, 1.0)
    assert Accountant().compose(Gaussian(1.0)).delta(1.0) == pytest.approx(0.126937, abs=1e-6)


def test_json_resumes():
    seen = Accountant().compose(Gaussian(2.0), 3).compose(DiscreteLaplace(5.0))
    assert Accountant.from_json(seen.to_json()).epsilon(1e-5) == seen.epsilon(1e-5)


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_bad_counts(count):
    with pytest.raises(BadArgument, match="count="):
        Accountant().compose(Gaussian(1.0), count)


def test_bad_events_and_targets():
    with pytest.raises(BadArgument, match="expected a privacy event"):
        Accountant().compose(1.0)
    with pytest.raises(BadArgument, match="different neighbouring relations"):
        Accountant().compose(Gaussian(1.0)).compose(Gaussian(1.0, Relation.REPLACE_ONE))
    with pytest.raises(BadArgument, match="epsilon="):
        Accountant().delta(-1.0)
    with pytest.raises(BadArgument, match="delta="):
        Accountant().epsilon(0.0)
