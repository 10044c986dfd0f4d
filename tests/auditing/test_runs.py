"""Runs: asked for in pieces that fit in memory, in both orders, and held to what a mechanism must return."""

import numpy as np
import pytest

from fedanalytics.auditing.runs import Runs
from fedanalytics.errors import BadArgument


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda n: np.zeros(n + 1), r"asked for n=8 outputs and returned an array of shape \(9,\): return shape"),
        (lambda n: 1.0, r"returned an array of shape \(\)"),
        (lambda n: np.zeros((2, n)), r"returned an array of shape \(2, 8\)"),
        (lambda n: ["a"] * n, "must return numbers, it returned an array of <U1"),
        (lambda n: [None] * n, "must return numbers, it returned an array of object"),
        (lambda n: np.zeros(n, dtype=complex), "must return numbers, it returned an array of complex128"),
        (lambda n: np.zeros((n, 0)), "outputs of 0 numbers"),
    ],
)
def test_what_a_mechanism_must_return(returned, message):
    with pytest.raises(BadArgument, match=message):
        Runs(lambda data, n: returned(n), (0, 1)).draw(8, record=True)


def test_the_width_may_not_change():
    runs = Runs(lambda data, n: np.zeros((n, data)), (2, 3))
    runs.draw(4, record=False)
    with pytest.raises(BadArgument, match="outputs of 3 numbers after outputs of 2"):
        runs.draw(4, record=True)


def test_what_cannot_be_run():
    with pytest.raises(BadArgument, match=r"expected a mechanism\(data, n\) that returns n outputs, got 3"):
        Runs(3, (0, 1))
    for wrong in ((0,), (0, 1, 2), None, "ab"):
        with pytest.raises(BadArgument, match="neighbours= must be"):
            Runs(lambda data, n: np.zeros(n), wrong)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float32, np.float16])
def test_numbers_of_every_kind_are_read(dtype):
    runs = Runs(lambda data, n: np.full(n, data, dtype=dtype), (0, 1))
    assert runs.draw(3, record=True).tolist() == [[1.0]] * 3
    assert runs.draw(3, record=False).tolist() == [[0.0]] * 3
    assert runs.dtype == dtype


def test_wide_outputs_come_in_pieces():
    sizes = []

    def mechanism(data, n):
        sizes.append((data, n))
        return np.zeros((n, 2**18))

    runs = Runs(mechanism, ("out", "in"))
    runs.draw(1, record=True)
    pieces = list(runs.pieces(20))
    assert sizes[1:] == [(side, n) for n in (8, 8, 4) for side in ("in", "out")]
    assert [len(ins) for ins, _ in pieces] == [8, 8, 4]
    assert (runs.outputs, runs.width) == (20, 2**18), "the first call, which may have to warm up, is not timed"
    assert min(runs.seconds) > 0


def test_an_error_of_the_mechanism_reaches_the_caller():
    def mechanism(data, n):
        raise RuntimeError("no such table")

    with pytest.raises(RuntimeError, match="no such table"):
        Runs(mechanism, (0, 1)).draw(1, record=True)
