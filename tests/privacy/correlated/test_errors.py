"""Errors against closed forms, bounds that hold for every factorisation, other people's figures, and definitions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.correlated import BLT, PREFIX_SUMS, Banded, Schedule, Tree, Workload
from fedanalytics.privacy.correlated.banded import BITS
from fedanalytics.privacy.correlated.blt import _value
from fedanalytics.privacy.correlated.fitting import Objective
from fedanalytics.privacy.correlated.series import product, quotient

workloads = st.builds(Workload, st.floats(0, 0.99), st.floats(0.5, 1))


def landau(n):
    """G_n = sum of (binomial(2k, k) / 4^k)^2 for k up to n."""
    central = np.cumprod([1.0] + [(2 * k - 1) / (2 * k) for k in range(1, n + 1)])
    return float(np.sum(central**2))


def least_rms(rounds):
    """The nuclear norm of the prefix sums over the rounds: no factorisation loses less on average.

    |B|_F |C|_F >= |A|_*, and the largest column of C is at least |C|_F / sqrt(rounds). The singular values are
    1 / (2 sin((2j - 1) pi / (4 rounds + 2))).
    """
    j = np.arange(1, rounds + 1)
    return float(np.sum(0.5 / np.sin((2 * j - 1) * math.pi / (4 * rounds + 2))) / rounds)


# ---------------------------------------------------------------- series and workloads


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.lists(st.floats(-1, 1), min_size=0, max_size=20))
def test_quotients_undo_products(a, rest):
    c = np.array([1.0, *(np.array(rest) / 20)])
    assert np.allclose(product(quotient(np.array(a), c), c, len(a)), a, rtol=1e-12, atol=1e-12)


def test_long_quotients_go_by_newton_to_the_same():
    rounds = 5000
    root = Workload().square_root(rounds)
    assert np.allclose(quotient(np.ones(rounds), root), root, rtol=1e-12, atol=1e-12)


@given(workloads, st.integers(1, 40))
def test_workloads_are_their_definition(workload, rounds):
    x = np.random.default_rng(rounds).normal(size=rounds)
    moving, total = 0.0, 0.0
    for t in range(rounds):
        moving = workload.momentum * moving + x[t]
        total = workload.decay * total + moving
        assert workload.coefficients(rounds)[t::-1] @ x[: t + 1] == pytest.approx(total, abs=1e-9)
    root = workload.square_root(rounds)
    assert np.allclose(product(root, root, rounds), workload.coefficients(rounds), rtol=1e-9, atol=1e-9)


@given(workloads, st.integers(1, 12), st.integers(1, 12))
def test_errors_are_row_norms_of_the_dense_matrix(dense, workload, rounds, bands):
    strategy = Banded.optimised(Schedule(rounds), min(bands, rounds), workload)
    matrix = dense.lower(workload.coefficients(rounds), rounds) @ np.linalg.inv(dense.lower(strategy.column, rounds))
    assert np.allclose(strategy.errors(workload), np.linalg.norm(matrix, axis=1), rtol=1e-9)
    assert strategy.error("max", workload) == pytest.approx(np.linalg.norm(matrix, axis=1).max())
    assert strategy.error("rms", workload) == pytest.approx(np.linalg.norm(matrix) / math.sqrt(rounds))


# ---------------------------------------------------------------- the optimum


@given(st.integers(2, 30), st.integers(1, 3), st.integers(1, 30), st.sampled_from(["rms", "max"]), workloads, st.data())
def test_gradients_are_differences(rounds, participations, separation, metric, workload, data):
    try:
        schedule = Schedule(rounds, participations, min(separation, rounds))
    except BadArgument:
        return
    objective = Objective(schedule, workload, metric)
    size = data.draw(st.integers(1, rounds))
    column = workload.square_root(size)
    _, gradient = objective(column)
    for i in range(size):
        step = np.eye(size)[i] * 1e-6
        difference = (objective(column + step)[0] - objective(column - step)[0]) / 2e-6
        assert gradient[i] == pytest.approx(difference, abs=1e-5 * (1 + abs(difference)))


@given(st.integers(3, 30), st.lists(st.floats(-4, 2), min_size=4, max_size=4), workloads)
def test_gradients_of_buffers_are_differences(rounds, at, workload):
    objective, at = Objective(Schedule(rounds, 2, 2), workload, "rms"), np.array([*at[:2], *(-abs(s) for s in at[2:])])
    _, gradient = _value(objective, at)
    for i in range(4):
        step = np.eye(4)[i] * 1e-6
        difference = (_value(objective, at + step)[0] - _value(objective, at - step)[0]) / 2e-6
        assert gradient[i] == pytest.approx(difference, abs=1e-5 * (1 + abs(difference)))


@given(st.integers(1, 12), st.integers(1, 3), st.integers(1, 12), st.sampled_from(["rms", "max"]), workloads)
def test_what_is_minimised_is_the_loss(rounds, participations, separation, metric, workload):
    try:
        schedule = Schedule(rounds, participations, min(separation, rounds))
    except BadArgument:
        return
    for strategy in (Banded.square_root(schedule, rounds, workload), BLT.optimised(schedule, 2, workload)):
        value, _ = Objective(schedule, workload, metric)(np.array(strategy.column))
        assert math.exp(value / 2) == pytest.approx(strategy.loss(metric, workload), rel=1e-9)


@pytest.mark.parametrize(("rounds", "bands"), [(1, 1), (2, 2), (10, 4), (200, 8), (200, 32), (200, 200), (2000, 4)])
@pytest.mark.parametrize("metric", ["rms", "max"])
@pytest.mark.parametrize("workload", [PREFIX_SUMS, Workload(0.9, 0.999)])
def test_optimised_is_never_worse_than_the_square_root(rounds, bands, metric, workload):
    schedule = Schedule(rounds)
    found = Banded.optimised(schedule, bands, workload, metric).loss(metric, workload)
    assert found <= Banded.square_root(schedule, bands, workload).loss(metric, workload)
    if 1 < bands < rounds:
        assert found < (1 - 1e-3) * Banded.square_root(schedule, bands, workload).loss(metric, workload)


@pytest.mark.parametrize("rounds", [1, 2, 10, 200, 2000])
def test_on_average_it_is_near_the_least_of_all_factorisations(rounds):
    """Toeplitz matrices come close to the optimum; nothing comes below it."""
    best = Banded.optimised(Schedule(rounds), rounds).loss()
    assert least_rms(rounds) <= best * (1 + 1e-12)
    assert best < 1.08 * least_rms(rounds)


@pytest.mark.parametrize("rounds", [1, 2, 3, 50, 2000])
def test_the_square_root_loses_landaus_constant_at_most(rounds):
    """Fichtenberger, Henzinger, Upadhyay 2023: both factors have it as their squared norm.

    G_1 = 5/4 and G_2 = 89/64 are Landau's own; 1 + (ln n)/pi bounds the optimum (Mathias 1993, Corollary 3.5), and
    1.0663 + (ln n)/pi bounds G_(n-1) (Brutman 1982).
    """
    assert landau(1) == 1.25
    assert landau(2) == pytest.approx(89 / 64, rel=1e-15)
    loss = Banded.square_root(Schedule(rounds), rounds).loss("max")
    assert loss == pytest.approx(landau(rounds - 1), rel=2e-3)  # coefficients have 8 bits
    assert 1 + math.log(rounds) / math.pi <= landau(rounds - 1) * (1 + 1e-12)
    assert landau(rounds - 1) <= 1.0663 + math.log(rounds) / math.pi


@pytest.mark.parametrize(("rounds", "bands"), [(200, 32), (2000, 400)])
def test_eight_bits_are_enough(rounds, bands):
    strategy = Banded.optimised(Schedule(rounds), bands)
    rng = np.random.default_rng(1)
    for _ in range(20):  # nothing near it is much better: the descent ended where it should
        near = np.array(strategy.column) + np.concatenate([[0], rng.normal(size=bands - 1) * 2.0**-BITS])
        value = math.exp(Objective(Schedule(rounds), PREFIX_SUMS, "rms")(near)[0] / 2)
        assert value > strategy.loss() * (1 - 3e-4)


# ---------------------------------------------------------------- buffers


def test_two_buffers_over_100000_rounds_are_those_that_others_found():
    """The golden values of google-deepmind/jax_privacy, buffered_toeplitz_test.py: error "max", one participation."""
    found = BLT.optimised(Schedule(100_000), 2, metric="max")
    order = np.argsort(found.decays)[::-1]
    assert np.array(found.scales)[order] == pytest.approx([0.0122853238, 0.1878393665], rel=2e-4)
    assert 1 - np.array(found.decays)[order] == pytest.approx(1 - np.array([0.9999528892, 0.9857068667]), rel=2e-3)
    theirs = BLT(Schedule(100_000), (0.0122853238, 0.1878393665), (0.9999528892, 0.9857068667))
    assert found.loss("max") == pytest.approx(theirs.loss("max"), rel=1e-7)


@pytest.mark.parametrize(
    ("rounds", "buffers", "ratio"), [(10, 1, 1.04), (100, 2, 1.03), (1000, 3, 1.03), (10_000, 4, 1.03)]
)
def test_few_buffers_come_near_the_bound_on_the_optimum(rounds, buffers, ratio):
    """The ratios to 1 + (ln n)/pi that the same test of jax_privacy allows."""
    assert BLT.optimised(Schedule(rounds), buffers, metric="max").loss("max") <= ratio * (
        1 + math.log(rounds) / math.pi
    )


@pytest.mark.parametrize(
    ("schedule", "share"),
    [(Schedule(200), 1.001), (Schedule(2000), 1.001), (Schedule(200, 5, 40), 1.06), (Schedule(2000, 5, 400), 1.05)],
)
def test_four_buffers_are_as_good_as_a_band_for_every_round_of_separation(schedule, share):
    assert BLT.optimised(schedule, 4).loss() <= share * Banded.optimised(schedule, schedule.separation).loss()


@pytest.mark.parametrize("participations", [1, 5])
def test_more_buffers_do_no_worse(participations):
    schedule = Schedule(200, participations, 40)
    losses = [BLT.optimised(schedule, buffers).loss() for buffers in (1, 2, 3, 4)]
    assert all(b <= a * (1 + 1e-4) for a, b in itertools.pairwise(losses))


@pytest.mark.parametrize("schedule", [Schedule(1), Schedule(2), Schedule(3, 3, 1), Schedule(16, 16, 1)])
def test_where_nothing_can_be_gained_nothing_is_lost(schedule):
    """A client in every round: independent noise is the best there is."""
    ratio = BLT.optimised(schedule, 2).loss("max") / Banded.independent(schedule).loss("max")
    assert ratio <= 1.001 if schedule.participations > 1 or schedule.rounds == 1 else ratio < 1


# ---------------------------------------------------------------- trees


@pytest.mark.parametrize(("rounds", "period"), [(1, 1), (13, 13), (16, 16), (20, 7), (31, 8)])
def test_a_tree_estimates_as_the_textbook_says(dense, rounds, period):
    """Each dyadic interval by least squares on the noisy sums inside it; prefixes add them up."""
    draws = dense.tree_matrix(rounds, period)
    for t, error in enumerate(Tree(Schedule(rounds), period).errors()):
        variance = 0.0
        for first, last in dyadic(t + 1, period):
            inside = draws[:, :first].sum(axis=1) + draws[:, last:].sum(axis=1) == 0
            below = draws[inside, first:last]
            total = np.ones(last - first)
            variance += total @ np.linalg.inv(below.T @ below) @ total
        assert error == pytest.approx(math.sqrt(variance), rel=1e-9)


def dyadic(done, period):
    """The intervals of whole trees and of the binary digits of what is left."""
    start = 0
    while start < done:
        left = min(done - start, period)
        while left:
            length = 1 << left.bit_length() - 1
            yield start, start + length
            start, left = start + length, left - length


@pytest.mark.parametrize(("rounds", "period"), [(13, 13), (20, 7)])
@pytest.mark.parametrize("workload", [PREFIX_SUMS, Workload(0.5, 0.9)])
def test_errors_of_trees_are_row_norms(dense, rounds, period, workload):
    strategy = Tree(Schedule(rounds), period)
    response = dense.lower(workload.coefficients(rounds), rounds) @ dense.responses(strategy.stream(1.0, 64.0, 1))
    assert np.allclose(strategy.errors(workload), np.linalg.norm(response, axis=1), rtol=1e-4)
    assert np.allclose(strategy._errors_by_draw(workload), strategy.errors(workload), rtol=1e-9)


def test_the_best_tree_is_the_best():
    for schedule in (Schedule(200), Schedule(200, 5, 40), Schedule(60, 20, 3)):
        best = Tree.best(schedule).loss()
        assert all(best <= Tree(schedule, period).loss() for period in (1, schedule.separation, schedule.rounds))


# ---------------------------------------------------------------- independent noise


@given(st.integers(1, 60), st.integers(1, 4))
def test_one_band_is_independent_noise(rounds, participations):
    schedule = Schedule(max(rounds, participations), participations, 1)
    one = Banded.optimised(schedule, 1)
    assert one == Banded.independent(schedule) == Banded.square_root(schedule, 1)
    assert one.errors() == pytest.approx(np.sqrt(np.arange(1, schedule.rounds + 1)))
    assert one.loss("max") == pytest.approx(math.sqrt(participations * schedule.rounds))
    assert one.memory == 0
