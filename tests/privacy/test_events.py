"""Events are data: frozen, hashable, with a JSON form that keeps its meaning."""

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument, NotPrivate
from fedanalytics.privacy.events import (
    Composed,
    DiscreteLaplace,
    Exact,
    Gaussian,
    Laplace,
    LocalPure,
    MatrixFactorization,
    NoOp,
    PoissonSampled,
    RandomizedResponse,
    Repeated,
    Skellam,
    TreeAggregation,
    from_json,
)
from fedanalytics.privacy.relations import Relation

multipliers = st.floats(min_value=1e-3, max_value=1e9)
relations = st.sampled_from(Relation)
rates = st.floats(min_value=1e-6, max_value=1.0)
responses = st.builds(
    RandomizedResponse,
    st.floats(min_value=1e-6, max_value=1.0),
    st.integers(2, 1000),
    st.sampled_from([Relation.REPLACE_ONE, Relation.ZERO_OUT]),
)
skellams = st.builds(Skellam, st.floats(0.1, 1e9), st.floats(5.0, 1e3), st.floats(0.1, 5.0), relations)
matrices = st.builds(
    MatrixFactorization,
    multipliers,
    relations,
    steps=st.integers(10, 40),
    coefficients=st.lists(st.floats(0.01, 2.0), min_size=1, max_size=5).map(lambda c: tuple(sorted(c, reverse=True))),
    participations=st.integers(1, 3),
    separation=st.integers(1, 4),
)
sampled = st.builds(PoissonSampled, st.builds(Gaussian, multipliers) | st.builds(Laplace, multipliers), rates)
simple = st.one_of(
    st.builds(Gaussian, multipliers, relations),
    st.builds(DiscreteLaplace, multipliers, relations),
    st.builds(Laplace, multipliers, relations),
    st.builds(TreeAggregation, multipliers, relations, steps=st.integers(1, 10**6)),
    responses,
    st.builds(LocalPure, st.floats(1e-6, 50), st.sampled_from([Relation.REPLACE_ONE, Relation.ZERO_OUT])),
    skellams,
    matrices,
    sampled,
    st.just(NoOp()),
    st.just(Exact()),
)
events = st.one_of(
    simple,
    st.lists(simple, max_size=3).map(lambda e: Composed(tuple(e))),
    st.builds(Repeated, simple, st.integers(1, 10**9)),
)


@given(events)
def test_json_keeps_the_meaning(event):
    again = from_json(json.loads(json.dumps(event.to_json())))
    assert again == event
    assert hash(again) == hash(event)


def test_the_json_form_is_a_contract():
    assert Gaussian(2.0).to_json() == {
        "event": "gaussian",
        "noise_multiplier": 2.0,
        "relation": "add-or-remove-one",
    }
    assert from_json({"event": "discrete-laplace", "noise_multiplier": 0.5, "relation": "replace-one"}).epsilon == 2
    assert Composed((Exact(), NoOp())).to_json() == {
        "event": "composed",
        "events": [{"event": "exact"}, {"event": "no-op"}],
    }


@pytest.mark.parametrize(
    "data",
    [
        {"event": "quantum"},
        {"event": "gaussian"},
        {"event": "gaussian", "noise_multiplier": 1.0},
        {"event": "gaussian", "noise_multiplier": 1.0, "relation": "nearby"},
        {"event": "gaussian", "noise_multiplier": 0.0, "relation": "replace-one"},
        {"event": "gaussian", "noise_multiplier": 1.0, "relation": "replace-one", "rate": 0.1},
        {"noise_multiplier": 1.0},
        {"event": "composed", "events": [{"event": "quantum"}]},
        "gaussian",
        None,
    ],
)
def test_an_unknown_event_is_refused_never_ignored(data):
    with pytest.raises(BadArgument):
        from_json(data)


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, "1", None, True])
def test_a_multiplier_is_a_positive_number(bad):
    with pytest.raises(BadArgument, match="noise_multiplier"):
        Gaussian(bad)


def test_a_response_that_is_almost_never_random():
    assert float(RandomizedResponse(1e-310, 3).epsilon) == pytest.approx(math.log(3) + 310 * math.log(10), rel=1e-9)


def test_rho_is_exact():
    assert Gaussian(2.0).rho == Fraction(1, 8)
    assert DiscreteLaplace(4.0).rho == Fraction(1, 32)
    assert Composed((Gaussian(2.0), DiscreteLaplace(4.0), NoOp())).rho == Fraction(5, 32)
    with pytest.raises(NotPrivate):
        _ = Composed((Gaussian(1.0), Exact())).rho


@given(
    st.builds(Gaussian, multipliers) | st.builds(DiscreteLaplace, multipliers),
    st.lists(st.integers(1, 50), min_size=1, max_size=8),
)
def test_parts_whose_shares_sum_to_one_cost_no_more_than_the_whole(event, weights):
    parts = [event.part(Fraction(w, sum(weights))) for w in weights]
    if isinstance(event, Gaussian):
        assert sum(p.rho for p in parts) <= event.rho
    else:
        assert sum(p.epsilon for p in parts) <= event.epsilon
    assert sum(float(p.rho) for p in parts) == pytest.approx(
        float(event.rho)
        if isinstance(event, Gaussian)
        else sum((float(event.epsilon) * w / sum(weights)) ** 2 / 2 for w in weights),
        rel=1e-9,
    )


def test_parts_of_the_others():
    assert Composed((Gaussian(1.0), Gaussian(2.0))).part(Fraction(1, 4)).events[0].noise_multiplier == pytest.approx(2)
    assert NoOp().part(Fraction(1, 2)) == NoOp()
    assert Exact().part(Fraction(1, 2)) == Exact()
    assert NoOp().describe() == {"event": "no-op"}


@given(
    responses | st.builds(Laplace, st.floats(0.01, 100)),
    st.lists(st.integers(1, 50), min_size=1, max_size=8),
)
def test_parts_of_pure_events_too(event, weights):
    parts = [event.part(Fraction(w, sum(weights))) for w in weights]
    assert sum(p.epsilon for p in parts) <= event.epsilon * (1 + Fraction(1, 10**9))


# ---------------------------------------------------------------- what they come down to


def test_atoms():
    inner = Gaussian(2.0)
    assert list(Composed((inner, Repeated(inner, 3), NoOp())).atoms()) == [(inner, 1), (inner, 3)]
    assert list(Repeated(Composed((inner, Laplace(1.0))), 5).atoms()) == [(inner, 5), (Laplace(1.0), 5)]
    assert list(inner.poisson_sampled(0.1).repeated(7).atoms()) == [(PoissonSampled(inner, 0.1), 7)]
    assert list(PoissonSampled(inner, 1.0).atoms()) == list(PoissonSampled(inner, 1 - 1e-13).atoms()) == [(inner, 1)]
    assert inner.poisson_sampled(1) == inner
    assert list(PoissonSampled(NoOp(), 0.1).atoms()) == []


def test_blocks_on_one_cohort_are_one_gaussian_release():
    """Two halves of one round: the cohort is drawn once, so the sampled event is not two sampled events."""
    [(atom, count)] = Composed((Gaussian(3.0), Gaussian(4.0))).poisson_sampled(0.1).atoms()
    assert count == 1
    assert atom.rate == 0.1
    assert atom.of.noise_multiplier == pytest.approx(2.4, rel=1e-14)
    assert atom.of.rho >= Gaussian(3.0).rho + Gaussian(4.0).rho


@pytest.mark.parametrize(
    "inner",
    [
        Skellam(100, 20, 5),
        Exact(),
        Composed((Gaussian(1.0), Laplace(1.0))),
        Laplace(1.0).repeated(2),
        Gaussian(1.0, Relation.REPLACE_ONE),
    ],
)
def test_sampling_is_claimed_only_where_a_bound_is_known(inner):
    with pytest.raises(BadArgument, match="sampling"):
        inner.poisson_sampled(0.1)


# ---------------------------------------------------------------- sensitivities of correlated noise, by enumeration


@given(st.integers(1, 300))
def test_a_step_lies_under_at_most_so_many_nodes_of_the_tree(steps):
    def nodes(step):
        """The dyadic intervals inside 1..steps that hold a step."""
        return sum((((step - 1) >> level) + 1) << level <= steps for level in range(steps.bit_length()))

    event = TreeAggregation(1.0, steps=steps)
    assert max(map(nodes, range(1, steps + 1))) == nodes(1) == event.sensitivity_squared
    assert event.gaussian.noise_multiplier <= 1 / math.sqrt(event.sensitivity_squared)


@given(
    st.integers(1, 9),
    st.lists(st.floats(0, 1), min_size=1, max_size=9),
    st.integers(1, 3),
    st.integers(1, 9),
    st.booleans(),
    st.lists(st.sampled_from([-1, 1]), min_size=3, max_size=3),
)
def test_no_pattern_of_participation_does_worse(steps, numbers, participations, separation, banded, signs):
    """Every set of at most k steps that are far enough apart, and contributions of either sign."""
    coefficients = (1.0, *(numbers if banded else sorted(numbers, reverse=True)))[:steps]
    try:
        event = MatrixFactorization(
            1.0, steps=steps, coefficients=coefficients, participations=participations, separation=separation
        )
    except BadArgument:
        return
    strategy = np.zeros((steps, steps))
    for i, c in enumerate(event.coefficients):
        strategy += np.diag(np.full(steps - i, c), -i)
    for size in range(1, participations + 1):
        for chosen in itertools.combinations(range(steps), size):
            if all(b - a >= separation for a, b in itertools.pairwise(chosen)):
                for weights in (np.ones(size), np.array(signs[:size])):
                    norm = np.sum((strategy[:, chosen] @ weights) ** 2)
                    assert norm <= float(event.sensitivity_squared) * (1 + 1e-12)


def test_known_sensitivities():
    assert MatrixFactorization(1.0, steps=10).sensitivity_squared == 1
    assert MatrixFactorization(1.0, steps=4, coefficients=(1, 1, 1, 1)).sensitivity_squared == 4
    three = MatrixFactorization(2.0, steps=9, coefficients=(1, 0.5), participations=3, separation=3)
    assert float(three.rho) == pytest.approx(3 * 1.25 / 8)


# ---------------------------------------------------------------- what cannot be meant


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Skellam(0, 1, 1), "variance="),
        (lambda: Skellam(10, 1, math.nan), "l2="),
        (lambda: Skellam(10, 1, 2), "exceeds l1"),
        (lambda: Skellam(10, 3, 2, scalar=True), "l1 = l2"),
        (lambda: Skellam(10, 1.5, 1.5, scalar=True), "whole number"),
        (lambda: RandomizedResponse(0, 2), "noise_parameter="),
        (lambda: RandomizedResponse(1.5, 2), "noise_parameter="),
        (lambda: RandomizedResponse(0.5, 1), "num_buckets="),
        (lambda: RandomizedResponse(0.5, 2, Relation.ADD_OR_REMOVE_ONE), "add-or-remove-one"),
        (lambda: Gaussian(1.0).poisson_sampled(0), "rate="),
        (lambda: Gaussian(1.0).poisson_sampled(1.5), "rate="),
        (lambda: Gaussian(1.0).repeated(0), "count="),
        (lambda: Gaussian(1.0).repeated(2.5), "count="),
        (lambda: Repeated("gaussian", 2), "expected a privacy event"),
        (lambda: Composed((Gaussian(1.0), 3)), "expected a privacy event"),
        (lambda: TreeAggregation(1.0, steps=0), "steps="),
        (lambda: TreeAggregation(-1.0, steps=2), "noise_multiplier="),
        (lambda: MatrixFactorization(1.0, steps=2, coefficients=(1, 1, 1)), "coefficients="),
        (lambda: MatrixFactorization(1.0, steps=2, coefficients=()), "coefficients="),
        (lambda: MatrixFactorization(1.0, steps=2, coefficients=(0, 1)), "coefficients="),
        (lambda: MatrixFactorization(1.0, steps=2, coefficients=(1, math.nan)), "coefficients="),
        (lambda: MatrixFactorization(1.0, steps=4, participations=3, separation=2), "do not fit"),
        (
            lambda: MatrixFactorization(1.0, steps=9, coefficients=(1, -0.5, 0.1), participations=2, separation=1),
            "the sensitivity is known when",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(make, said):
    with pytest.raises(BadArgument, match=said):
        make()


def test_skellam_says_what_it_is():
    assert Skellam(10, 1, 1).scalar  # one step moves one coordinate
    assert not Skellam(10, 2, 2).scalar
    assert Skellam(10, 2, 2, scalar=True).part(Fraction(1, 4)).variance == pytest.approx(40)
    with pytest.raises(NotPrivate, match="renyi"):
        _ = Skellam(10, 1, 1).rho
