"""The bound is a fact about integers, whatever the floats did."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedanalytics.errors import BadArgument
from fedanalytics.privacy import clipping
from fedanalytics.privacy.relations import Relation

anything = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.tuples(st.integers(1, 6), st.integers(1, 5)),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
)
huge = hnp.arrays(np.float64, (4, 3), elements=st.sampled_from([0.0, 1e308, -1e308, 1e-308, 1.0, 0.57735026918962576]))


def size(norm, rows):
    integers = rows.astype(object)
    return {"l1": abs(integers).sum(axis=1), "l2": (integers**2).sum(axis=1), "linf": abs(integers).max(axis=1)}[norm]


@given(anything | huge, st.sampled_from(clipping.NORMS), st.sampled_from([4096, 1 << 20]))
@example(np.full((1, 3), 0.577350269189626), "l2", 4096)
def test_every_row_is_within_the_bound(rows, norm, steps):
    clipped = clipping.clip(rows, norm, steps)
    assert clipped.dtype == np.int64
    assert (size(norm, clipped) <= (steps**2 if norm == "l2" else steps)).all()
    assert not clipped[~np.isfinite(rows).all(axis=1)].any()


@given(hnp.arrays(np.float64, (5, 3), elements=st.floats(-0.5, 0.5)), st.sampled_from(clipping.NORMS))
def test_inside_the_ball_only_rounding_happens(rows, norm):
    inside = rows / 2 if norm == "l1" else rows
    inside = inside * (np.abs(inside).sum(axis=1, keepdims=True) < 0.99)
    assert np.abs(clipping.clip(inside, norm, 1 << 20) / (1 << 20) - inside).max() <= 1 / (1 << 20)


@given(hnp.arrays(np.float64, (5, 4), elements=st.floats(-1e6, 1e6)))
def test_outside_the_ball_the_direction_stays(rows):
    norms = np.linalg.norm(rows, axis=1)
    far = rows[norms > 1]
    clipped = clipping.clip(far, "l2", 1 << 20) / (1 << 20)
    assert np.abs(clipped - far / np.linalg.norm(far, axis=1, keepdims=True)).max(initial=0) < 2e-6


def test_the_bound_holds_even_if_the_scaling_were_wrong(monkeypatch):
    """The integer check is the guarantee; the float scaling before it is only what makes it rarely bite."""
    scaled = clipping._scaled
    monkeypatch.setattr(clipping, "_scaled", lambda values, norm: scaled(values, norm) * 1.01)
    rows = np.array([[30.0, 40.0, 0.0], [0.1, 0.2, 0.1]])
    for norm in clipping.NORMS:
        clipped = clipping.clip(rows, norm, 4096)
        assert (size(norm, clipped) <= (4096**2 if norm == "l2" else 4096)).all()
        assert clipped[1].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [1, 2, 7, 8, 9, 33, 127, 128, 129, 300, 2410])
@pytest.mark.parametrize("norm", clipping.NORMS)
def test_a_row_cannot_reach_another(norm, width, dtype):
    """Bit for bit, wherever it stands and however many stand there: a sum's sensitivity rests on it."""
    rows = np.random.default_rng(5).standard_t(1, size=(61, width)).astype(dtype)
    rows[[3, 17]], rows[5, 0], rows[7] = np.nan, np.inf, np.finfo(dtype).max
    steps = 1 << max(16, clipping.least_steps(norm, width).bit_length())
    whole = clipping.clip(rows, norm, steps)
    for i in range(61):
        assert (clipping.clip(rows[i : i + 1], norm, steps) == whole[i]).all()
    for start in range(1, 9):
        assert (clipping.clip(rows[start : start + 20], norm, steps) == whole[start : start + 20]).all()
    assert (clipping.clip(np.asfortranarray(rows), norm, steps) == whole).all()


@pytest.mark.parametrize("norm", clipping.NORMS)
def test_the_other_norm_is_bounded_too(norm):
    rows = clipping.clip(np.random.default_rng(6).standard_t(1, size=(2000, 5)) * 10, norm, 1 << 14)
    bound = clipping.sensitivity(norm, 5, 1 << 14, Relation.ADD_OR_REMOVE_ONE)
    assert size("l1", rows).max() <= bound.l1
    assert size("l2", rows).max() <= bound.l2_squared
    doubled = clipping.sensitivity(norm, 5, 1 << 14, Relation.REPLACE_ONE)
    assert (doubled.l1, doubled.l2_squared) == (2 * bound.l1, 4 * bound.l2_squared)


@pytest.mark.parametrize("steps", [1, 499, 2**31])
def test_grids_on_which_it_would_fail_are_refused(steps):
    with pytest.raises(BadArgument, match="does not suit"):
        clipping.clip(np.zeros((1, 1)), "l2", steps)
    with pytest.raises(BadArgument, match="does not suit"):
        clipping.check_steps("linf", 2**20, 2**22)
