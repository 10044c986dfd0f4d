"""States between two rounds: to disk and back, never a draw twice, and nothing but what belongs to the plan."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.privacy import Relation
from fedanalytics.privacy.correlated import BLT, Banded, Plan, Schedule, State, Tree, plan
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.sensitivity import bounded

SIZE = 5
STRATEGIES = {
    "banded": Banded.optimised(Schedule(13, 2, 5), 5),
    "all bands": Banded.optimised(Schedule(13), 13),
    "independent": Banded.independent(Schedule(13, 3, 4)),
    "tree": Tree(Schedule(13), 13),
    "trees": Tree(Schedule(13, 3, 4), 4),
    "blt": BLT.optimised(Schedule(13, 2, 5), 3),
}
EACH = pytest.mark.parametrize("name", STRATEGIES)


@EACH
@given(stops=st.sets(st.integers(0, 13)), arrays=st.booleans())
def test_resumed_is_as_if_never_stopped(name, stops, arrays):
    """The same words from the same keystream: bit for bit, whenever the state went to disk and back."""
    stream = STRATEGIES[name].stream(2.0, 2.0**14, SIZE)
    whole, parts = Keystream.insecure(5), Keystream.insecure(5)
    state, other = stream.start(), stream.start()
    for t in range(stream.rounds):
        if t in stops:
            other = stored(other, arrays)
        state, noise = stream.advance(state, whole)
        other, again = stream.advance(other, parts)
        assert np.array_equal(noise, again)
        assert state.round == t + 1
        assert len(state.rows) <= STRATEGIES[name].memory


def stored(state, arrays):
    if not arrays:
        return State.from_json(json.loads(json.dumps(state.to_json())))
    file = io.BytesIO()
    np.savez(file, **state.to_arrays())
    file.seek(0)
    return State.from_arrays(np.load(file, allow_pickle=False))


@EACH
def test_no_draw_is_used_twice(dense, name):
    """Fresh noise is recovered from two resumptions of one state, and from before it: all of it differs."""
    size = 64
    stream = STRATEGIES[name].stream(2.0, 2.0**14, size)
    state, first = stream.start(), []
    for _ in range(6):
        state, noise = stream.advance(state)
        first.append(noise)
    text = json.dumps(state.to_json())
    runs = []
    for _ in range(2):
        resumed, later = State.from_json(json.loads(text)), []
        while resumed.round < stream.rounds:
            resumed, noise = stream.advance(resumed)
            later.append(noise)
        runs.append(np.array(first + later))
    solve = np.linalg.pinv(dense.responses(stream))
    fresh = [np.rint(solve @ noise) for noise in runs]
    if stream.draws(1) == 1:  # a tree's draws cannot be told apart by its sums
        known = sum(stream.draws(t) for t in range(6))
        assert np.abs(fresh[0][:known] - fresh[1][:known]).max() <= 8
        mixed = np.concatenate([fresh[0], fresh[1][known:]])
        correlations = np.corrcoef(mixed) - np.eye(len(mixed))
        assert np.abs(correlations).max() < 0.8  # of 64 pairs: beyond six deviations
    assert np.array_equal(runs[0][:6], runs[1][:6])
    assert not (runs[0][6:] == runs[1][6:]).all(axis=1).any()


@EACH
def test_advancing_changes_no_state(name):
    stream = STRATEGIES[name].stream(2.0, 2.0**14, SIZE)
    state = stream.start()
    for _ in range(stream.rounds):
        before = json.dumps(state.to_json())
        later, noise = stream.advance(state)
        assert noise.dtype == np.int64
        noise += 1  # the caller's own
        assert json.dumps(state.to_json()) == before
        for row in later.rows:
            with pytest.raises(ValueError, match="read-only"):
                row[0] = 1
        state = later


@EACH
def test_a_state_holds_no_key_and_does_not_show_its_rows(name):
    stream = STRATEGIES[name].stream(2.0, 2.0**14, SIZE)
    state, _ = stream.advance(stream.start())
    assert state.to_json().keys() == {"version", "plan", "round", "rows"}
    assert "array" not in repr(state)
    assert all(str(number) not in repr(state) for row in state.rows for number in row.tolist() if abs(number) > 99)


# ---------------------------------------------------------------- what cannot be meant


@EACH
def test_a_run_ends(name):
    stream = STRATEGIES[name].stream(2.0, 2.0**14, SIZE)
    state = stream.start()
    for _ in range(stream.rounds):
        state, _ = stream.advance(state)
    with pytest.raises(BadArgument, match=r"all rounds=13 .* were answered"):
        stream.advance(state)


def test_a_state_goes_on_in_its_own_plan_only():
    base = STRATEGIES["banded"].stream(2.0, 2.0**14, SIZE)
    state, _ = base.advance(base.start())
    others = [
        STRATEGIES["banded"].stream(2.1, 2.0**14, SIZE),
        STRATEGIES["banded"].stream(2.0, 2.0**15, SIZE),
        STRATEGIES["banded"].stream(2.0, 2.0**14, SIZE + 1),
        STRATEGIES["blt"].stream(2.0, 2.0**14, SIZE),
        Banded.optimised(Schedule(14, 2, 5), 5).stream(2.0, 2.0**14, SIZE),
        Banded(Schedule(13, 2, 5), (1.0, 0.5)).stream(2.0, 2.0**14, SIZE),
    ]
    for other in others:
        with pytest.raises(BadArgument, match="cannot go on in another"):
            other.advance(state)
    again = STRATEGIES["banded"].stream(2.0, 2.0**14, SIZE)
    again.advance(state)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data | {"rows": data["rows"][:-1]},
        lambda data: data | {"rows": [row[:-1] for row in data["rows"]]},
        lambda data: data | {"round": 2},
        lambda data: data | {"rows": []},
    ],
)
def test_a_damaged_state_is_refused(damage):
    stream = STRATEGIES["banded"].stream(2.0, 2.0**14, SIZE)
    state = stream.start()
    for _ in range(3):
        state, _ = stream.advance(state)
    with pytest.raises(BadArgument, match="the checkpoint is damaged"):
        stream.advance(State.from_json(damage(state.to_json())))


@pytest.mark.parametrize(
    "data",
    [
        {},
        None,
        [],
        {"version": 1, "plan": "x", "round": 0},
        {"version": 2, "plan": "x", "round": 0, "rows": []},
        {"version": 1, "plan": 3, "round": 0, "rows": []},
        {"version": 1, "plan": "x", "round": -1, "rows": []},
        {"version": 1, "plan": "x", "round": 0, "rows": [["a"]]},
        {"version": 1, "plan": "x", "round": 0, "rows": [[2**70]]},
        {"version": 1, "plan": "x", "round": 0, "rows": 7},
    ],
)
def test_what_is_no_state_is_refused(data):
    with pytest.raises(BadArgument):
        State.from_json(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("rows"),
        lambda arrays: arrays.pop("header"),
        lambda arrays: arrays.update(header=np.frombuffer(b"{", np.uint8)),
        lambda arrays: arrays.update(header=np.frombuffer(b"[]", np.uint8)),
        lambda arrays: arrays.update(rows=arrays["rows"].astype(float)),
        lambda arrays: arrays.update(rows=arrays["rows"][0]),
        lambda arrays: arrays.update(rows=arrays["rows"].tolist()),
    ],
)
def test_what_are_no_arrays_of_a_state_is_refused(change):
    stream = STRATEGIES["banded"].stream(2.0, 2.0**14, SIZE)
    arrays = stream.advance(stream.start())[0].to_arrays()
    change(arrays)
    with pytest.raises(BadArgument):
        State.from_arrays(arrays)


@pytest.mark.parametrize(
    ("strategy", "noise_multiplier", "norm", "size", "said"),
    [
        ("banded", 1.0, 2.0**30, 3, "coarser"),
        ("tree", 1.0, 2.0**37, 3, "coarser"),
        ("blt", 1.0, 2.0**37, 3, "coarser"),
        ("tree", 1.0, 2.0**-11, 3, "finer"),
        ("blt", 1.0, 0.001, 10**6, "or Banded, which is exact"),
        ("banded", 0.0, 1.0, 3, "noise_multiplier="),
        ("banded", 1.0, math.inf, 3, "norm="),
        ("blt", 1.0, -1.0, 3, "norm="),
        ("tree", math.nan, 1.0, 3, "noise_multiplier="),
        ("banded", 1.0, 1.0, 0, "size="),
        ("blt", 1.0, 1.0, 2.5, "size="),
        ("tree", 1.0, 1.0, -3, "size="),
    ],
)
def test_streams_that_cannot_be(strategy, noise_multiplier, norm, size, said):
    with pytest.raises(BadArgument, match=said):
        STRATEGIES[strategy].stream(noise_multiplier, norm, size)


@pytest.mark.parametrize("rounds", [30, 3000])
def test_strategies_whose_noise_grows_without_bound_are_no_streams(rounds):
    for strategy in (Banded(Schedule(rounds), (1.0, 4.0)), BLT(Schedule(rounds), (5.0,), (0.5,))):
        assert strategy.errors()[-1] > 1e14
        with pytest.raises(BadArgument, match="too large for 64 bits"):
            strategy.stream(1.0, 2.0**20, 3)


def test_a_plan_checks_the_relation_of_the_sensitivity():
    made = plan("banded", rounds=9, epsilon=1.0, delta=1e-6, bands=3, relation=Relation.ZERO_OUT)
    assert made.event.relation is Relation.ZERO_OUT
    made.stream(bounded(2**10, 2**20, Relation.ZERO_OUT), 3)
    with pytest.raises(BadArgument, match="holds under replace-one, the plan was made for zero-out"):
        made.stream(bounded(2**10, 2**20, Relation.REPLACE_ONE), 3)


@pytest.mark.parametrize("family", ["blt", "banded", "tree", "independent"])
def test_a_plan_that_was_read_back_takes_old_states(family):
    made = plan(family, rounds=20, participations=2, separation=7, epsilon=1.0, delta=1e-6, bands=3, buffers=2)
    sensitivity = bounded(2**20, 2**40, made.relation)
    again = Plan.from_json(json.loads(json.dumps(made.to_json())))
    assert again == made
    stream, later = made.stream(sensitivity, 3), again.stream(sensitivity, 3)
    state, _ = stream.advance(stream.start())
    assert later.advance(state)[0].round == 2


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"strategy": {"strategy": "none"}},
        {"strategy": {"strategy": "banded"}, "workload": {}, "relation": "zero-out", "noise_multiplier": 1.0},
        None,
    ],
)
def test_what_is_no_plan_is_refused(data):
    with pytest.raises(BadArgument, match=r"expected what Plan\.to_json wrote"):
        Plan.from_json(data)
