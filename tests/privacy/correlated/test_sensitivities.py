"""The sensitivity that an event claims, against every pattern of participation, on what the stream applies."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.privacy import Relation
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.correlated import BLT, Banded, Schedule, Tree
from fedanalytics.privacy.events import Gaussian, MatrixFactorization, TreeAggregation, from_json

RELATION = Relation.ADD_OR_REMOVE_ONE


def schedules(most):
    def made(rounds, participations, separation):
        try:
            return Schedule(rounds, participations, min(separation, rounds))
        except BadArgument:
            return None

    built = st.builds(made, st.integers(1, most), st.integers(1, 3), st.integers(1, most))
    return built.filter(lambda schedule: schedule is not None)


@pytest.fixture(scope="session")
def worst(dense):
    return lambda matrix, schedule: largest(matrix, dense.patterns(schedule))


def largest(matrix, patterns):
    """The squared norm over all patterns, and signs in one dimension."""
    found = 0.0
    for chosen in patterns:
        for signs in itertools.product((1, -1), repeat=len(chosen) - 1):
            found = max(found, float(np.sum((matrix[:, chosen] @ np.array([1, *signs])) ** 2)))
    return found


@given(schedules(9), st.integers(1, 9), st.sampled_from(["rms", "max"]))
def test_banded(dense, worst, schedule, bands, metric):
    strategy = Banded.optimised(schedule, min(bands, schedule.rounds), metric=metric)
    matrix = np.linalg.inv(dense.responses(strategy.stream(2.0, 64.0, schedule.rounds)))
    assert np.allclose(matrix, dense.lower(strategy.column, schedule.rounds), atol=1e-4)
    event = strategy.event(1.0, RELATION)
    assert isinstance(event, MatrixFactorization)
    assert worst(matrix, schedule) <= float(event.sensitivity_squared) * (1 + 1e-4)
    if (
        len(strategy.column) > schedule.separation
        or (schedule.participations - 1) * schedule.separation + len(strategy.column) <= schedule.rounds
    ):
        assert worst(matrix, schedule) >= float(event.sensitivity_squared) * (1 - 1e-4)


@given(schedules(9), st.integers(1, 3))
def test_blt(dense, worst, schedule, buffers):
    strategy = BLT.optimised(schedule, buffers)
    matrix = np.linalg.inv(dense.responses(strategy.stream(2.0, 2.0**14, schedule.rounds)))
    assert np.allclose(matrix, dense.lower(strategy.column, schedule.rounds), atol=1e-4)
    claimed = float(strategy.event(1.0, RELATION).sensitivity_squared)
    assert worst(matrix, schedule) == pytest.approx(claimed, rel=1e-4)


@given(schedules(10), st.integers(1, 10))
def test_trees(dense, worst, schedule, period):
    strategy = Tree(schedule, min(period, schedule.rounds))
    claimed = float(strategy.sensitivity_squared)
    assert worst(dense.tree_matrix(schedule.rounds, strategy.period), schedule) <= claimed
    event = strategy.event(1.0, RELATION)
    spent = Accountant().compose(event).epsilon(1e-6)
    assert spent == pytest.approx(Accountant().compose(Gaussian(1 / math.sqrt(claimed))).epsilon(1e-6), rel=1e-9)
    assert from_json(event.to_json()) == event


@pytest.mark.parametrize("rounds", [1, 2, 7, 8, 100])
def test_a_tree_that_sees_each_client_once_is_the_event_of_the_textbook(dense, worst, rounds):
    assert Tree(Schedule(rounds), rounds).event(3.0) == TreeAggregation(3.0, RELATION, rounds)
    assert (
        worst(dense.tree_matrix(rounds, rounds), Schedule(rounds)) == Tree(Schedule(rounds), rounds).sensitivity_squared
    )


def test_new_trees_within_the_separation_cost_one_each():
    event = Tree(Schedule(20, 3, 6), 6).event(3.0)
    assert event == TreeAggregation(3.0, RELATION, 6).repeated(3)
    assert isinstance(Tree(Schedule(20, 3, 6), 20).event(3.0), Gaussian)


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 12), st.data())
def test_contributions_in_other_directions_do_no_worse(dense, rounds, participations, separation, data):
    """Any vectors of norm at most 1, also of different clients' choice in each round."""
    try:
        schedule = Schedule(rounds, participations, min(separation, rounds))
    except BadArgument:
        return
    chosen = data.draw(st.sampled_from(sorted(dense.patterns(schedule))))
    x = np.zeros((rounds, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x[list(chosen)] = rng.normal(size=(len(chosen), 3))
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)
    blt = BLT.optimised(schedule, 2)
    banded = Banded.optimised(schedule, min(4, rounds))
    tree = Tree.best(schedule)
    for matrix, strategy in (
        (dense.lower(blt.column, rounds), blt),
        (dense.lower(banded.column, rounds), banded),
        (dense.tree_matrix(rounds, tree.period), tree),
    ):
        assert np.sum((matrix @ x) ** 2) <= float(strategy.sensitivity_squared) * (1 + 1e-9)


@given(
    st.lists(st.floats(1e-6, 0.3), min_size=1, max_size=3),
    st.lists(st.floats(0, 1 - 1e-6), min_size=3, max_size=3),
    st.integers(1, 40),
)
def test_the_column_of_a_blt_is_rounded_up_and_falls(scales, decays, rounds):
    blt = BLT(Schedule(rounds, 2 if rounds > 1 else 1, rounds // 2), tuple(scales), tuple(decays[: len(scales)]))
    pairs = [(Fraction(w), Fraction(t)) for w, t in zip(blt.scales, blt.decays, strict=True)]
    exact = [Fraction(1), *(sum(w * t**i for w, t in pairs) for i in range(rounds - 1))]
    for claimed, true in zip(blt.column, exact, strict=True):
        assert claimed >= true
        assert claimed == pytest.approx(float(true), rel=1e-12)
    assert list(blt.column) == sorted(blt.column, reverse=True)


def test_a_planted_fault_is_seen(dense, worst):
    """Too little a separation for the bands would cost more than the event of the true schedule says."""
    strategy = Banded.optimised(Schedule(9, 2, 4), 4)
    closer = Schedule(9, 2, 2)
    assert worst(dense.lower(strategy.column, 9), closer) > 1.2 * float(strategy.sensitivity_squared)
