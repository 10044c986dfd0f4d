"""The norm is a fact about integers; one try is unbiased; what cannot be meant is null."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedanalytics.privacy.distributed import Quorum, rounding, sums, vector_sum
from fedanalytics.privacy.distributed.rotation import rotate
from fedanalytics.privacy.distributed.rounding import clipped, norm_bound, rounded, rounded_sensitivity, within
from fedanalytics.privacy.keystream import Keystream

anything = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.tuples(st.integers(1, 5), st.integers(1, 33)),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
)
huge = hnp.arrays(np.float64, (4, 3), elements=st.sampled_from([0.0, 1e308, -1e308, 1e-308, 1.0, 5e-324]))


def squares(integers):
    return (integers.astype(object) ** 2).sum(axis=1)


def sizes(integers):
    return abs(integers.astype(object)).sum(axis=1)


# ---------------------------------------------------------------- the bound


@given(anything | huge, st.floats(1.0, 2.0**30), st.sampled_from([1e-3, 1.0, 1e300]), st.integers(0, 9))
@example(np.full((1, 4), 0.5), 1.0, 1.0, 0)
@example(np.full((1, 16), 0.25), 2.0**30, 1.0, 0)
@example(np.full((1, 32), 1e308), 1000.5, 1.0, 0)
def test_no_row_exceeds_the_bound(rows, steps, clip, seed):
    unit = clipped(rows, clip)
    assert np.isfinite(unit).all()
    scaled = rotate(unit, b"s") * steps
    bound = norm_bound(steps, scaled.shape[1])
    whole = rounded(scaled, bound, Keystream.insecure(seed))
    limit = rounded_sensitivity(steps, scaled.shape[1])
    assert whole.dtype == np.int64
    assert (squares(whole) <= bound).all()
    assert (sizes(whole) <= limit.l1).all()
    assert limit.l2_squared == bound
    assert not whole[~np.isfinite(rows).all(axis=1)].any()


@pytest.mark.parametrize("steps", [1.0, 3.7, 16.0, 1000.0])
@pytest.mark.parametrize("size", [1, 16, 1024])
def test_adversarial_vectors(steps, size):
    """Of full norm, with all their weight in fractions that tend to be rounded up."""
    rows = np.zeros((6, size))
    rows[0] = steps / math.sqrt(size)
    rows[1, 0] = steps
    rows[2] = -steps / math.sqrt(size)
    rows[3, : max(size // 2, 1)] = steps / math.sqrt(max(size // 2, 1))
    rows[4] = np.minimum(0.999, steps / math.sqrt(size))
    whole = rounded(np.repeat(rows, 50, axis=0), norm_bound(steps, size), Keystream.insecure(1))
    assert (squares(whole) <= norm_bound(steps, size)).all()
    assert not whole[250:].any()


def test_the_bound_holds_even_if_the_scaling_were_wrong(monkeypatch):
    """The integer check is the guarantee: were the rotation to stretch, rows would be shortened or null, never long."""
    plan = vector_sum(16, clip=1.0, quorum=Quorum(10, floor=10), rho=0.5, bits=20)
    stretched = lambda rows, seed: rotate(rows, seed) * 1.5  # noqa: E731
    monkeypatch.setattr(sums, "rotate", stretched)
    whole = plan.encode(np.eye(16)[:10] * 30, b"s")
    assert (squares(whole) <= plan.sensitivity.l2_squared).all()
    assert not whole.any()


def test_a_check_that_was_forgotten_would_show(monkeypatch):
    """The planted fault: without the check some rows are longer than the event says."""
    rows = np.full((400, 64), 10.5)
    bound = norm_bound(84.0, 64)
    assert (squares(rounded(rows, bound, Keystream.insecure(2))) <= bound).all()
    monkeypatch.setattr(rounding, "within", lambda integers, _bound: np.ones(len(integers), dtype=bool))
    assert (squares(rounded(rows, bound, Keystream.insecure(2))) > bound).any()


@pytest.mark.parametrize("size", [1, 4, 1024])
@pytest.mark.parametrize("steps", [1.0, 30.0, 1e4])
def test_the_bound_is_that_of_the_paper(steps, size):
    beta = math.exp(-0.5)
    mostly = steps**2 + size / 4 + math.sqrt(2 * math.log(1 / beta)) * (steps + math.sqrt(size) / 2)
    bound = math.floor(min((steps + math.sqrt(size)) ** 2, mostly))
    assert norm_bound(steps, size) == (bound if size > 1 else math.isqrt(bound) ** 2)
    l1, l2 = rounded_sensitivity(steps, size).l1, math.sqrt(norm_bound(steps, size))
    assert l1 <= min(math.sqrt(size) * l2, l2**2) * (1 + 1e-12) < l1 + 1


@given(hnp.arrays(np.int64, (3, 4), elements=st.integers(-(2**31) - 1, 2**31 + 1)), st.integers(0, 2**61))
def test_squares_are_compared_exactly(integers, bound):
    assert within(integers, bound).tolist() == [s <= bound for s in squares(integers)]


def test_squares_at_the_edge():
    edge = np.array([[2**30, 2**30, 0], [2**30, 2**30, 1]])
    assert within(edge, 2**61).tolist() == [True, False]
    assert within(np.full((1, 2**12), 2**31), 2**61).tolist() == [False]  # 2^74, 0 modulo 2^64


@pytest.mark.parametrize(("steps", "size"), [(84.0, 64), (1000.0, 1024), (4.0, 256)])
def test_a_try_is_rejected_no_more_often_than_proved(steps, size):
    """At most e^(-1/2) of the tries; half fractions are the worst."""
    rows = np.full((4000, size), steps / math.sqrt(size))
    stream = Keystream.insecure(3)
    lower = np.floor(rows)
    words = stream.words(rows.size).reshape(rows.shape)
    tried = (lower + (words / 2.0**64 < rows - lower)).astype(np.int64)
    rejected = 1 - within(tried, norm_bound(steps, size)).mean()
    assert rejected < math.exp(-0.5)


# ---------------------------------------------------------------- unbiased, with its variance


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.25, 0.5, 0.9])
def test_one_try_is_unbiased_with_the_variance_of_its_coin(fraction):
    """200,000 coins: mean within 6 and variance within 6 standard deviations (false alarm 2e-9 each)."""
    n = 200_000
    whole = rounded(np.full((n, 1), 7 + fraction), 64, Keystream.insecure(4)) - 7.0
    p = fraction
    spread = p * (1 - p)
    assert set(np.unique(whole)) <= {0.0, 1.0}
    assert abs(whole.mean() - p) <= 6 * math.sqrt(spread / n)
    fourth = spread * (1 - 3 * spread)
    assert abs(((whole - p) ** 2).mean() - spread) <= 6 * math.sqrt((fourth - spread**2) / n) + 1e-12


def test_a_coin_off_by_one_per_cent_would_show():
    whole = rounded(np.full((200_000, 1), 0.5 * 1.01), 64, Keystream.insecure(4))
    assert abs(whole.mean() - 0.5) > 4 * math.sqrt(0.25 / 200_000)


def test_negative_numbers_round_to_their_neighbours():
    whole = rounded(np.full((1000, 2), -2.5), 100, Keystream.insecure(5))
    assert set(np.unique(whole)) == {-3, -2}


@pytest.mark.parametrize(("steps", "size"), [(84.0, 64), (20.0, 256), (1000.0, 1024)])
def test_the_bias_of_rejection_is_within_what_was_proved(steps, size):
    """0.69 steps in L2 norm; the mean of 4,000 rows has a norm of its own of about sqrt(d / 6 / 4000)."""
    rows = np.full((4000, size), steps / math.sqrt(size))
    error = (rounded(rows, norm_bound(steps, size), Keystream.insecure(6)) - rows).mean(axis=0)
    assert np.linalg.norm(error) <= math.sqrt(-math.log(1 - math.exp(-0.5)) / 2) + 2 * math.sqrt(size / 4 / 4000)


# ---------------------------------------------------------------- what a client holds


def test_the_table_of_rows():
    nan, inf = float("nan"), float("inf")
    rows = np.array([[0.3, 0.4], [30.0, 40.0], [nan, 0.1], [inf, 0.0], [-inf, nan], [1e308, 1e308], [0.0, 0.0]])
    expected = [[0.3, 0.4], [0.6, 0.8], [0, 0], [0, 0], [0, 0], [math.sqrt(0.5)] * 2, [0, 0]]
    assert np.allclose(clipped(rows, 1.0), expected, rtol=1e-15)


@given(hnp.arrays(np.float64, (3, 5), elements=st.floats(-10, 10)), st.sampled_from([0.5, 1.0, 1e200]))
def test_inside_the_ball_nothing_happens_and_outside_the_direction_stays(rows, clip):
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.allclose(clipped(rows, clip), rows / np.maximum(norms, clip), rtol=1e-12, atol=1e-300)


@pytest.mark.filterwarnings("error")
def test_no_warning_tells():
    clipped(np.array([[np.nan, 1e308], [np.inf, -1e308], [5e-324, 1e308]]), 1e-300)
