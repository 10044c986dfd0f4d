"""Plans keep their promise, tightly; schedules and strategies refuse what cannot be meant."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.privacy import Relation, calibrate
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.correlated import BLT, Banded, Plan, Schedule, Tree, Workload, compare, plan
from fedanalytics.privacy.sensitivity import bounded

FAMILIES = pytest.mark.parametrize("family", ["blt", "banded", "tree", "independent"])
RUN = {"rounds": 60, "participations": 3, "separation": 20, "epsilon": 2.0, "delta": 1e-6}


# ---------------------------------------------------------------- what is promised


@FAMILIES
@given(epsilon=st.floats(0.05, 20), delta=st.floats(1e-12, 0.1), participations=st.integers(1, 3))
def test_a_plan_spends_what_it_may_and_no_more(family, epsilon, delta, participations):
    run = RUN | {"epsilon": epsilon, "delta": delta, "participations": participations}
    made = plan(family, **run, bands=8, buffers=2)
    spent = Accountant().compose(made.event).epsilon(delta)
    assert epsilon * (1 - 1e-6) <= spent <= epsilon


@pytest.mark.parametrize("participations", [1, 3])
def test_independent_noise_is_calibrated_as_ever(participations):
    """Each participation is one Gaussian release."""
    made = plan("independent", **RUN | {"participations": participations})
    assert made.noise_multiplier == pytest.approx(calibrate(epsilon=2.0, delta=1e-6, rounds=participations), rel=1e-9)


@FAMILIES
def test_errors_are_in_norms_of_one_contribution(family):
    made = plan(family, **RUN)
    assert made.errors == pytest.approx(made.noise_multiplier * made.strategy.errors())
    assert made.error("max") == made.errors.max()
    assert made.error() == pytest.approx(math.sqrt(np.mean(made.errors**2)))


@FAMILIES
def test_what_is_drawn_is_what_was_planned(family):
    """The last prefix sum of many coordinates, in grid steps: within six deviations of its standard deviation."""
    made, size, norm = plan(family, **RUN), 4000, 2**16
    stream = made.stream(bounded(norm, norm**2, made.relation), size)
    state, total = stream.start(), np.zeros(size)
    for _ in range(stream.rounds):
        state, noise = stream.advance(state)
        total += noise
    assert np.sqrt(np.mean(total**2)) == pytest.approx(made.errors[-1] * norm, rel=6 / math.sqrt(2 * size))


def test_the_relation_is_kept():
    for relation in Relation:
        made = plan("blt", **RUN, relation=relation)
        assert made.event.relation is relation
        assert Plan.from_json(made.to_json()).relation is relation


# ---------------------------------------------------------------- what it is good for


def test_ratios_of_errors():
    """Against independent noise and the best tree at the same cost: figures of this implementation, for the record."""
    found = {}
    for rounds, participations in itertools.product((200, 2000), (1, 5)):
        schedule = Schedule(rounds, participations, rounds // participations)
        blt = BLT.optimised(schedule, 4).loss()
        found[rounds, participations] = Banded.independent(schedule).loss() / blt, Tree.best(schedule).loss() / blt
    assert found[200, 1] == pytest.approx((3.95, 1.67), abs=0.01)
    assert found[200, 5] == pytest.approx((3.44, 1.63), abs=0.01)
    assert found[2000, 1] == pytest.approx((9.67, 1.79), abs=0.01)
    assert found[2000, 5] == pytest.approx((8.68, 1.81), abs=0.01)


def test_a_comparison():
    rows = {row.name: row for row in compare(Schedule(200, 5, 40), epsilon=1.0, delta=1e-6)}
    assert list(rows) == ["blt", "banded", "tree", "independent", "poisson"]
    sampled = calibrate(epsilon=1.0, delta=1e-6, sampling_rate=5 / 200, rounds=200)
    assert rows["poisson"].noise_multiplier == sampled
    assert rows["poisson"].last == pytest.approx(sampled * math.sqrt(200))
    assert rows["independent"].last == pytest.approx(calibrate(epsilon=1.0, delta=1e-6, rounds=5) * math.sqrt(200))
    assert rows["blt"].rms == pytest.approx(rows["independent"].rms / 3.44, rel=2e-3)
    assert rows["banded"].memory == 31
    assert all(0 < row.rms <= row.last * (1 + 1e-9) for row in rows.values() if row.name != "tree")


def test_momentum_is_a_workload_of_its_own():
    """Noise made for it is better at it, and worse at plain prefix sums."""
    workload, schedule = Workload(momentum=0.95), Schedule(200)
    plain, made = BLT.optimised(schedule, 3), BLT.optimised(schedule, 3, workload)
    assert made.loss(workload=workload) < 0.98 * plain.loss(workload=workload)
    assert made.loss() > 1.02 * plain.loss()
    assert plan("blt", rounds=200, epsilon=1.0, delta=1e-6, workload=workload).strategy.loss(
        workload=workload
    ) <= made.loss(workload=workload)


# ---------------------------------------------------------------- what cannot be meant


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((0,), "rounds="),
        ((-3,), "rounds="),
        ((2.5,), "rounds="),
        ((True,), "rounds="),
        ((10, 0), "participations="),
        ((10, 2, -1), "separation="),
        ((10, 2, 11), "separation=11 exceeds rounds=10"),
        ((10, 1, 11), "separation=11 exceeds rounds=10"),
        ((10, 2), "separation= must be given"),
        ((10, 3, 5), "do not fit into rounds=10; at most 2 do"),
        ((10, 11, 1), "at most 10 do"),
    ],
)
def test_schedules_that_cannot_be(arguments, said):
    with pytest.raises(BadArgument, match=said):
        Schedule(*arguments)


def test_a_schedule_allows_what_it_counts_on(dense):
    schedule = Schedule(13, 3, 4)
    assert (0, 4, 8) in set(dense.patterns(schedule))
    assert not schedule.allows([0, 4, 8], 12)
    assert not schedule.allows([4], 1)
    assert not schedule.allows([4], 7)
    assert schedule.allows([4], 0)
    assert schedule.allows([], 11)
    assert schedule.allows([0, 4], 12)
    assert Schedule(12).separation == 12


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda s: Banded(s, (1.0, 1 / 3)), "multiples of 2"),
        (lambda s: Banded(s, (2.0, 0.5)), "the first of which is 1"),
        (lambda s: Banded(s, ()), "coefficients="),
        (lambda s: Banded(s, (1.0, math.nan)), "coefficients="),
        (lambda s: Banded(s, (1.0, 0.5, 0.75)), "the sensitivity is known when"),
        (lambda s: Banded.optimised(s, 0), "bands="),
        (lambda s: Banded.optimised(s, 11), "bands=11 exceed rounds=10"),
        (lambda s: Banded.square_root(s, 11), "bands=11 exceed rounds=10"),
        (lambda s: Banded.optimised(s, 2, metric="mean"), "metric='mean'"),
        (lambda s: Banded.independent(s).error("mse"), "metric='mse'"),
        (lambda s: BLT(s, (0.5,), (0.5, 0.1)), "as many numbers"),
        (lambda s: BLT(s, (), ()), "as many numbers"),
        (lambda s: BLT(s, ("a",), (0.5,)), "as many numbers"),
        (lambda s: BLT(s, (0.01,) * 17, (0.5,) * 17), "as many numbers"),
        (lambda s: BLT(s, (0.5,), (1.0,)), "decays= in"),
        (lambda s: BLT(s, (-0.5,), (0.5,)), "scales= must be positive"),
        (lambda s: BLT(s, (0.5,), (math.nan,)), "decays= in"),
        (lambda s: BLT(s, (0.75, 0.5), (0.5, 0.5)), "add up to 1.25"),
        (lambda s: BLT.optimised(s, 0), "buffers="),
        (lambda s: BLT.optimised(s, 17), "buffers=17"),
        (lambda s: BLT.optimised(s, 2, metric=None), "metric=None"),
        (lambda s: Tree(s, 0), "period="),
        (lambda s: Tree(s, 11), "period=11 exceeds rounds=10"),
        (lambda s: Tree.best(s, metric="l2"), "metric='l2'"),
        (lambda s: Workload(momentum=1.0), "momentum="),
        (lambda s: Workload(momentum=-0.1), "momentum="),
        (lambda s: Workload(decay=0), "decay="),
        (lambda s: Workload(decay=1.1), "decay="),
        (lambda s: Plan(Banded.independent(s), 0.0), "noise_multiplier="),
    ],
)
def test_strategies_that_cannot_be(make, said):
    with pytest.raises(BadArgument, match=said):
        make(Schedule(10, 3, 2))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rounds": 0}, "rounds="),
        ({"separation": 0}, "separation= must be given"),
        ({"separation": 61}, "exceeds rounds"),
        ({"participations": 4}, "do not fit"),
        ({"epsilon": 0}, "epsilon="),
        ({"epsilon": math.inf}, "epsilon="),
        ({"delta": 1.0}, "delta="),
        ({"delta": 0}, "delta="),
        ({"bands": 61}, "bands=61"),
        ({"epsilon": 1e-300, "delta": 1e-300}, "too little"),
    ],
)
def test_plans_that_cannot_be(change, said):
    with pytest.raises(BadArgument, match=said):
        plan("banded", **RUN | change)


def test_an_unknown_family_is_refused():
    with pytest.raises(BadArgument, match="did you mean 'banded'"):
        plan("bandit", **RUN)
