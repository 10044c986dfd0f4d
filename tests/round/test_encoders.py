"""Laws that every encoder keeps: the bound, the exact sum, the sensitivity under each relation, independence."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.ball import Ball
from fedanalytics.round.groups import Grouped
from fedanalytics.round.moments import Interval, Moments
from fedanalytics.round.one_hot import OneHot, OneOf, Present
from fedanalytics.round.records import RecordCount, RecordCounts, RecordMoments, RecordSum

ENCODERS = [
    Present(),
    OneHot((0.0, 10.0, 20.0)),
    OneHot((-np.inf, 0.0, np.inf)),
    OneOf((1.0, 2.0, 5.0)),
    Interval(0.0, 10.0),
    Interval(-3.0, 1.0),
    Interval(5.0, 6.0),
    Moments(0.0, 110.0),
    Moments(-5.0, 5.0, count_weight=1.0),
    Moments(-5.0, 5.0, order=2, count_weight=0.5),
    Ball("l1", 2.0, 3),
    Ball("l2", 2.0, 3),
    Ball("linf", 2.0, 3),
    RecordCounts(3, 5),
    RecordCount(5),
    RecordSum(Interval(-1.0, 4.0), 3),
    RecordMoments(Moments(0.0, 1.0), 4),
    RecordMoments(Moments(0.0, 1.0, order=2), 4),
    Grouped(Moments(0.0, 10.0), 4, 4),
    Grouped(Moments(0.0, 10.0), 4, 2),
    Grouped(Present(), 3, 3),
    Grouped(OneHot((0.0, 5.0, 10.0)), 3, 1),
    Grouped(RecordMoments(Moments(0.0, 1.0), 4), 2, 2),
]
IDS = [str(encoder)[:60] for encoder in ENCODERS]
wild = st.one_of(
    st.floats(min_value=-30, max_value=130),
    st.floats(allow_nan=True, allow_infinity=False),
    st.sampled_from([0.0, 10.0, 20.0, -0.0, 5.0, 1e300, -1e300, np.nan]),
)


def values_of(encoder, draw, n):
    flat = np.array(draw(st.lists(wild, min_size=n * encoder.columns, max_size=n * encoder.columns)))
    if isinstance(encoder, RecordCounts | RecordSum | RecordMoments) or "Record" in str(encoder):
        flat = counted(encoder, flat)
    return flat if encoder.columns == 1 else flat.reshape(n, encoder.columns)


def counted(encoder, flat):
    """Records as a fleet would hand them in: whole numbers k first; the rest may still be wild."""
    rows = flat.reshape(-1, encoder.columns if not isinstance(encoder, Grouped) else encoder.inner.columns).copy()
    rows[:, 0] = np.floor(np.abs(np.nan_to_num(rows[:, 0], posinf=9)) % 50)
    if isinstance(encoder, RecordCounts):
        rows = np.floor(np.abs(np.nan_to_num(rows)) % 50)
    return rows.ravel()


grids = st.sampled_from([0, 3, 10])


def steps_of(encoder, halvings):
    return max(encoder.finest >> halvings, encoder.coarsest)


@pytest.mark.parametrize("encoder", ENCODERS, ids=IDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), halvings=grids)
def test_the_sum_is_the_sum_of_the_rows(encoder, data, halvings):
    values = values_of(encoder, data.draw, data.draw(st.integers(1, 8)))
    steps = steps_of(encoder, halvings)
    rows = encoder.rows(values, steps)
    assert rows.dtype == np.int64
    assert rows.shape == (len(values), encoder.size)
    sums = encoder.sums(values, steps)
    assert sums.dtype == np.int64
    assert (sums == rows.sum(axis=0)).all()
    assert len(encoder.assumed(100.0)) == encoder.size


@pytest.mark.parametrize("encoder", ENCODERS, ids=IDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), halvings=grids)
def test_no_client_moves_the_sum_by_more_than_the_sensitivity(encoder, data, halvings):
    values = values_of(encoder, data.draw, 5)
    steps = steps_of(encoder, halvings)
    rows = [row.astype(object) for row in encoder.rows(values, steps)]
    null = np.zeros(encoder.size, dtype=object)
    for relation, pairs in (
        (Relation.ADD_OR_REMOVE_ONE, [(row, null) for row in rows]),
        (Relation.ZERO_OUT, [(row, null) for row in rows]),
        (Relation.REPLACE_ONE, list(itertools.combinations([*rows, null], 2))),
    ):
        bound = encoder.sensitivity(steps, relation)
        assert bound.relation is relation
        for one, other in pairs:
            assert sum(abs(one - other)) <= bound.l1
            assert sum((one - other) ** 2) <= bound.l2_squared <= bound.l2**2 * (1 + 1e-15)


@pytest.mark.parametrize("encoder", ENCODERS, ids=IDS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_another_client_changes_nobody_elses_row(encoder, data):
    values = values_of(encoder, data.draw, 6)
    steps = encoder.finest
    alone = np.concatenate([encoder.rows(values[i : i + 1], steps) for i in range(6)])
    assert (encoder.rows(values, steps) == alone).all()


@pytest.mark.parametrize(
    ("encoder", "extreme", "l1", "l2_squared"),
    [  # the table of sensitivities is reached, not only respected
        (Present(), [1.0], 1, 1),
        (OneHot((0.0, 1.0, 2.0)), [0.5], 1, 1),
        (Interval(-3.0, 1.0), [-9.0], 1 << 10, 1 << 20),
        (Moments(0.0, 2.0, count_weight=1.0), [9.0], 2 << 10, 2 << 20),
        (Moments(0.0, 2.0, order=2, count_weight=1.0), [9.0], 3 << 10, 3 << 20),
        (RecordCounts(2, 3), [[3.0, 0.0]], 3 << 10, 9 << 20),
        (Grouped(Moments(0.0, 2.0, count_weight=1.0), 3, 3), [[9.0, 9.0, 9.0]], 6 << 10, 6 << 20),
        (Grouped(Moments(0.0, 2.0, count_weight=1.0), 4, 1), [[9.0, 9.0, 9.0, 9.0]], 4 << 10, 2 << 20),
    ],
    ids=str,
)
def test_the_bound_is_tight(encoder, extreme, l1, l2_squared):
    steps = min(1 << 10, encoder.finest)
    [row] = encoder.rows(np.array(extreme), steps)
    assert (int(np.abs(row).sum()), int((row**2).sum())) == (l1, l2_squared)
    bound = encoder.sensitivity(steps, Relation.ADD_OR_REMOVE_ONE)
    assert bound.l2_squared == l2_squared
    assert bound.l1 - 1 <= l1 <= bound.l1


def test_a_client_in_many_groups_fills_its_bound_and_no_more():
    encoder, steps = Grouped(Moments(0.0, 2.0, count_weight=1.0), 4, 2), 1 << 20
    [row] = encoder.rows(np.array([[9.0, 9.0, 9.0, 9.0]]), steps).astype(object)
    bound = 2 * 2 * steps**2
    assert encoder.sensitivity(steps, Relation.ADD_OR_REMOVE_ONE).l2_squared == bound
    assert 0.99999 * bound < sum(row**2) <= bound
    assert encoder.sensitivity(steps, Relation.REPLACE_ONE).l2_squared == 4 * bound


def test_replace_one_of_the_table():
    assert OneHot((0.0, 1.0, 2.0)).sensitivity(1, Relation.REPLACE_ONE).l2_squared == 2
    assert RecordCounts(2, 3).sensitivity(1, Relation.REPLACE_ONE).l2_squared == 18
    small = Moments(0.0, 1.0, count_weight=0.25).sensitivity(1024, Relation.REPLACE_ONE)
    assert small.l2_squared == 4 * 1024**2
    large = Moments(0.0, 1.0, count_weight=9.0).sensitivity(1024, Relation.REPLACE_ONE)
    assert large.l2_squared == 10 * 1024**2
    assert Interval(2.0, 4.0).sensitivity(1024, Relation.REPLACE_ONE).l1 == 1024
    assert Interval(-4.0, 4.0).sensitivity(1024, Relation.REPLACE_ONE).l1 == 2048


@given(st.lists(st.floats(-5, 25), min_size=1, max_size=40))
def test_bins_follow_numpy(values):
    edges = (0.0, 5.0, 5.5, 20.0)
    assert (OneHot(edges).sums(np.array(values), 1) == np.histogram(values, bins=edges)[0]).all()


@pytest.mark.parametrize("n", [1, 1000, 32_768, 32_769, 100_000])
def test_blocks_change_nothing(n):
    values = np.random.default_rng(n).normal(60, 30, n)
    values[::7] = np.nan
    for encoder in (Moments(0.0, 110.0), Interval(-10.0, 110.0), Moments(0.0, 110.0, order=2)):
        assert (encoder.sums(values, 1 << 20) == encoder.rows(values, 1 << 20).sum(axis=0)).all()
    vectors = np.random.default_rng(n).normal(size=(min(n, 40_000), 200))
    assert (
        Ball("l2", 1.0, 200).sums(vectors, 1 << 20) == Ball("l2", 1.0, 200).rows(vectors, 1 << 20).sum(axis=0)
    ).all()


def test_records_are_scaled_never_picked():
    encoder = RecordMoments(Moments(0.0, 1.0), max_records=2)
    few, many = np.array([[2.0, 1.0]]), np.array([[8.0, 4.0]])
    assert (encoder.rows(few, 1024) == encoder.rows(many, 1024)).all()
    assert RecordCounts(2, 4).rows(np.array([[6.0, 2.0]]), 1).tolist() == [[3, 1]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OneHot((1.0,)), "at least two strictly increasing"),
        (lambda: OneHot((1.0, 1.0)), "strictly increasing"),
        (lambda: OneHot((0.0, np.nan)), "strictly increasing"),
        (lambda: OneHot(("a", "b")), "strictly increasing"),
        (lambda: OneOf(()), "at least one"),
        (lambda: OneOf(("a", "a")), "different values"),
        (lambda: OneOf(("a", 1)), "all texts or all numbers"),
        (lambda: Moments(1.0, 1.0), "lower < upper"),
        (lambda: Moments(0.0, np.inf), "two finite numbers"),
        (lambda: Moments(np.nan, 1.0), "two finite numbers"),
        (lambda: Moments(1e12, 1e12 + 1e-3), "too narrow"),
        (lambda: Moments(-1e305, 1e305), "too wide"),
        (lambda: Moments(0.0, 5e-324), "too narrow"),
        (lambda: Moments(0.0, 1.0, count_weight=0.0), "count_weight="),
        (lambda: Moments(0.0, 1.0, count_weight=1e9), "between 2"),
        (lambda: Interval(2.0, 1.0), "lower < upper"),
        (lambda: Ball("l3", 1.0, 2), "choose from l1, l2, linf"),
        (lambda: Ball("l2", 0.0, 2), "radius="),
        (lambda: Ball("l2", 1.0, 0), "size="),
        (lambda: RecordCounts(2, 0), "max_records="),
        (lambda: RecordSum(Interval(0.0, 1.0), 2**21), "at most 1,048,576"),
        (lambda: Grouped(Present(), 0, 1), "groups="),
        (lambda: Grouped(Present(), 2, 0), "max_groups="),
    ],
)
def test_bad_bounds(make, message):
    with pytest.raises(BadArgument, match=message):
        make()


def test_more_groups_than_there_are_means_all():
    assert Grouped(Present(), 2, 5).max_groups == 2
