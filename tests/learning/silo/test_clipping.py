"""What one example can add to a sum: integers within the ball, proven again here with Python's integers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedanalytics.learning.losses import cross_entropy
from fedanalytics.learning.silo import pieces
from fedanalytics.learning.silo.engines import choose
from fedanalytics.learning.silo.pieces import LONGEST, MOST, Full, Outer, clipped
from fedanalytics.learning.silo.rows import Rows
from fedanalytics.learning.silo.whole import Whole

ONE_OF_EACH = [("relu", "dense"), ("relu", "layers"), ("convolution", "layers"), ("group norm", "opacus")]


def taken_apart(zoo, name, engine, clip, rows):
    model = zoo.model(name)
    found = choose(model, cross_entropy, rows.shapes, engine)
    found.load(model.tensor(model.initial))
    one = [clipped(found.pieces(block), clip, count) for block, count in rows.blocks(np.arange(len(rows)), 1, 32)]
    return model, found, torch.stack(one)


def squared(row):
    return sum(int(x) ** 2 for x in row.tolist())


@pytest.mark.parametrize(("name", "engine"), ONE_OF_EACH)
@pytest.mark.parametrize("clip", [1e-6, 1.0, 1e6])
def test_no_example_adds_more_than_the_clip_and_what_is_within_it_stays(zoo, name, engine, clip):
    rows = zoo.rows(40, spread=3.0)
    model, _, sums = taken_apart(zoo, name, engine, clip, rows)
    assert (sums == sums.round()).all()
    assert all(squared(row) <= LONGEST**2 for row in sums)
    wanted = zoo.by_definition(model, rows.features, rows.labels)
    wanted *= (clip / wanted.norm(dim=1)).clamp(max=1)[:, None]
    assert (sums * (clip / LONGEST) - wanted).abs().max() < 1e-6 * max(1.0, clip)
    if clip == 1e-6:
        assert all(squared(row) > (LONGEST * (1 - 1e-5)) ** 2 for row in sums)


@pytest.mark.parametrize(("name", "engine"), ONE_OF_EACH)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 3e38])
def test_a_row_that_is_not_finite_adds_nothing_and_harms_nobody(zoo, name, engine, bad):
    rows = zoo.rows(32)
    model = zoo.model(name)
    found = choose(model, cross_entropy, rows.shapes, engine)
    found.load(model.tensor(model.initial))
    others = Rows(*(torch.cat([part[:7], part[8:]]) for part in (rows.features, rows.labels)))
    [(block, count)] = others.blocks(np.arange(31), 32, 32)
    without = clipped(found.pieces(block), 1.0, count)
    spoilt = rows.features.clone()
    spoilt[7, 3] = bad
    added = clipped(found.pieces((spoilt, rows.labels)), 1.0, 32) - without
    if bad == 3e38:  # it is finite, and so may its gradient be
        assert squared(added) <= LONGEST**2
    else:
        assert added.abs().sum() == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-250, 250), st.floats(-250, 250))
def test_hostile_numbers_stay_within_the_ball(seed, low, high):
    """Outer products and vectors of any magnitude, together."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return torch.from_numpy(rng.normal(size=shape) * 10.0 ** rng.uniform(min(low, high), max(low, high), shape))

    parts = [Outer(Whole.of(draw(1, 5)), Whole.of(draw(1, 9))), Full(draw(1, 3, 2)), Full(draw(1, 4))]
    total = clipped(parts, 1.0, 1)
    assert total.shape == (5 * 9 + 6 + 4,)
    assert squared(total) <= LONGEST**2


def test_the_integers_of_a_full_block_add_up_exactly():
    """All examples at the bound, in the same direction: the largest sum there is."""
    held = Whole.of(torch.ones(MOST, 1, dtype=torch.float64))
    total = clipped([Outer(held, held), Full(torch.ones(MOST, 1, dtype=torch.float64))], 1e-3, MOST)
    one = clipped(
        [Outer(Whole.of(torch.ones(1, 1)), Whole.of(torch.ones(1, 1))), Full(torch.ones(1, 1).double())], 1e-3, 1
    )
    assert total.tolist() == [MOST * int(x) for x in one.tolist()]
    assert total.max() < 2**53


def test_padding_adds_nothing(zoo):
    rows = zoo.rows(33)
    model = zoo.model("relu")
    found = choose(model, cross_entropy, rows.shapes)
    found.load(model.tensor(model.initial))
    [(padded, count)] = rows.blocks(np.arange(33), 64, 32)
    assert (len(padded[1]), count) == (64, 33)
    assert torch.equal(
        clipped(found.pieces(padded), 1.0, 33), clipped(found.pieces((rows.features, rows.labels)), 1.0, 33)
    )


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize(("name", "engine"), ONE_OF_EACH)
def test_a_clip_that_does_not_clip_is_caught_by_the_check(zoo, monkeypatch, name, engine):
    """The target of the clip is raised a thousandfold: who was to be clipped adds nothing, the others what they did."""
    rows = zoo.rows(64, spread=3.0)
    model = zoo.model(name)
    lengths = zoo.by_definition(model, rows.features, rows.labels).norm(dim=1)
    clip = float(lengths.median())
    _, _, right = taken_apart(zoo, name, engine, clip, rows)
    monkeypatch.setattr(pieces, "_TARGET", 1000.0)
    _, _, wrong = taken_apart(zoo, name, engine, clip, rows)
    over = lengths > clip * (1 + 1e-4)
    assert 10 < over.sum() < 54
    assert wrong[over].abs().sum() == 0
    assert torch.equal(wrong[lengths < clip * (1 - 1e-4)], right[lengths < clip * (1 - 1e-4)])


def test_without_the_check_too_the_law_above_would_fail(zoo, monkeypatch):
    rows = zoo.rows(8, spread=3.0)
    monkeypatch.setattr(pieces, "_TARGET", 1000.0)
    monkeypatch.setattr(pieces, "_CHECKED", 1e9)
    _, _, sums = taken_apart(zoo, "relu", "dense", 0.01, rows)
    assert max(squared(row) for row in sums) > LONGEST**2
