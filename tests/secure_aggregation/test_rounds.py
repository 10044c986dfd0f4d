"""Whole rounds: the sum is exact if and only if the thresholds hold, whoever drops out and whenever."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedanalytics.secure_aggregation import Abort, Parameters, Reason, choose, plain_sum, run_round
from fedanalytics.secure_aggregation.simulation import STAGES

NEVER = len(STAGES)


def survivors_by_the_rule(parameters, near, silent):
    """Who is in the sum, or None: the protocol's thresholds once more, as sets and nothing else."""
    t, floor = parameters.threshold, parameters.floor

    def left(stage, members):
        return {i for i in members if silent[i] > stage and (stage == 0 or len(near[i] & members) >= t)}

    advertised = left(0, range(parameters.clients))
    shared = left(1, advertised) if len(advertised) >= floor else set()
    masked = left(2, shared) if len(shared) >= floor else set()
    if len(masked) < floor:
        return None
    owners = masked | {i for i in shared if near[i] & masked}

    def within_reach(holders):
        return all(len(near[i] & holders) >= t for i in owners)

    confirmed = left(3, masked) if within_reach(masked) else set()
    unmasked = left(4, confirmed) if within_reach(confirmed) else set()
    return masked if unmasked and within_reach(unmasked) else None


def check(run, silent):
    parameters, near, closed = run.parameters, None, None
    for stage in range(NEVER):
        closed = run.exchange({i for i, last in enumerate(silent) if last <= stage})
        if stage == 0 and run.outgoing:
            near = [set(peers) for peers in run.server._stage.near]
        if not run.outgoing:
            break
    expected = survivors_by_the_rule(parameters, near or [set() for _ in silent], silent)
    if expected is None:
        assert isinstance(closed, Abort)
        assert closed.reason in {Reason.BELOW_FLOOR, Reason.BELOW_THRESHOLD}
    else:
        assert closed.survivors == tuple(sorted(expected))
        assert closed.total.tolist() == run.expected(expected)
    return expected


def test_every_pattern_of_dropouts_of_four(cohort):
    vectors = np.array([[1, 200], [2, 100], [3, 50], [250, 7]])
    parameters = Parameters(4, 3, 2, 2, length=2, bits=8)
    outcomes = [check(cohort(vectors, parameters), silent) for silent in itertools.product(range(NEVER + 1), repeat=4)]
    assert sum(outcome is None for outcome in outcomes) > 100
    assert {len(outcome) for outcome in outcomes if outcome} == {3, 4}


@settings(max_examples=60)
@given(st.data())
def test_every_ring_length_degree_and_pattern(cohort, data):
    n = data.draw(st.integers(3, 14))
    k = data.draw(st.sampled_from([*range(2, n - 1, 2), n - 1]))
    t = data.draw(st.integers(k // 2 + 1, k))
    bits, length = data.draw(st.integers(8, 62)), data.draw(st.integers(1, 130))
    key_bits = data.draw(st.sampled_from([128, 256]))
    parameters = Parameters(n, k, t, data.draw(st.integers(2, n)), length, bits, key_bits)
    vectors = np.random.default_rng(data.draw(st.integers(0, 99))).integers(-(2**62), 2**62, (n, length))
    few = st.sampled_from([NEVER] * 8 + list(range(NEVER)))
    check(cohort(vectors, parameters), data.draw(st.lists(few, min_size=n, max_size=n)))


@pytest.mark.parametrize("stage", STAGES)
def test_dropouts_of_a_planned_round_cost_nothing_but_their_vectors(stage):
    parameters = choose(100, 50, 20, dropout=0.05, corrupt=0.05)
    vectors = np.random.default_rng(1).integers(0, 2**20, (100, 50))
    outcome = run_round(vectors, parameters, corrupt=0.05, drops=dict.fromkeys(range(0, 100, 20), stage))
    late = stage in {"confirm", "unmask"}
    inside = [i for i in range(100) if late or i % 20]
    assert outcome.result.survivors == tuple(inside)
    assert (outcome.result.total == plain_sum(vectors[inside], 20)).all()
    assert not outcome.refused
    assert not outcome.stopped


def test_one_dropout_more_than_the_floor_allows_and_nothing_is_released():
    parameters = choose(100, 5, 20, dropout=0.05, corrupt=0.05)
    vectors = np.zeros((100, 5), int)
    outcome = run_round(vectors, parameters, corrupt=0.05, drops=dict.fromkeys(range(6), "masked"))
    assert outcome.result == Abort(Reason.BELOW_FLOOR, "survivors")


def test_the_bytes_of_a_round():
    """What a client sends and receives for 4,096 values of 20 bits among 100 clients: the vector, and 15 kB."""
    parameters = choose(100, 4096, 20, dropout=0.05, corrupt=0.05)
    outcome = run_round(np.zeros((100, 4096), int), parameters, corrupt=0.05)
    assert set(outcome.sent.values()) == {5 * (26 + 32 + 64) + 64 + 32 + 16 * 88 + 10240 + 16 * 16 + 2 + 16 * 36}
    received = 5 * 26 + 22 + 32 + 13 + 100 * 32 + 16 * 128 + 2 + 16 * 88 + 13 + 2 + 16 * 16
    assert set(outcome.received.values()) == {received}
