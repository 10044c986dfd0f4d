"""Exact sums against fractions, and against `math.fsum`."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedanalytics.fleet import exact
from fedanalytics.fleet.schema import double
from fedanalytics.fleet.steps import Steps, around

CONNECTION = duckdb.connect()
WILD = st.floats(allow_nan=True, allow_infinity=True)
TAME = st.floats(-1e6, 1e6)


def _run(values: list[float], *formulas: Callable[[str, str, Steps], str]) -> list[float | None]:
    """Each formula over a column of values."""
    steps = Steps()
    printed = ", ".join(formula("x", "", steps) for formula in formulas)
    source = around("(SELECT unnest(?::DOUBLE[]) AS x)", steps.all)
    return list(CONNECTION.execute(f"SELECT {printed} FROM {source}", [values]).fetchall()[0])


def _with(formula: Callable[..., str], *more: Any, **named: Any) -> Callable[[str, str, Steps], str]:
    return lambda x, keep, steps: formula(x, keep, steps, *more, **named)


def _snap(value: float, grid: Fraction, bound: float) -> Fraction:
    """The documented rule, in exact arithmetic: clamp, then the nearest multiple of the grid, ties to even."""
    clamped = Fraction(max(-bound, min(bound, value)))
    return round(clamped / grid) * grid


def _levels(values: list[float], first: Fraction, bound: float, levels: int) -> Fraction:
    total = Fraction(0)
    for value in values:
        if not math.isfinite(value):
            continue
        rest, grid = Fraction(max(-bound, min(bound, value))), first
        for _ in range(levels):
            level = round(rest / grid) * grid
            total, rest, grid = total + level, rest - level, grid / 2**30
        assert abs(rest) <= grid * 2**29
    return total


@settings(max_examples=150, deadline=None)
@given(values=st.lists(WILD, min_size=1, max_size=12))
@example(values=[1e308, -1e308, 5e-324])
@example(values=[2.0**59, 2.0**59, -(2.0**59), 2.0**-61, 3 * 2.0**-62])
@example(values=[math.nan, math.inf])
def test_a_sum_is_the_rule_in_exact_arithmetic(values):
    finite = [v for v in values if math.isfinite(v)]
    [found] = _run(values, exact.total)
    if not finite:
        assert found is None
        return
    want = _levels(values, Fraction(2) ** 30, 2.0**59, 4)
    # Four exact sums are added with three roundings, the largest of which is relative to the largest partial sum.
    largest = max(abs(v) for v in (min(max(f, -(2.0**59)), 2.0**59) for f in finite)) * len(finite)
    assert abs(Fraction(found) - want) <= Fraction(largest) * Fraction(2) ** -51 + Fraction(2) ** -1074


@settings(max_examples=40, deadline=None)
@given(values=st.lists(TAME, min_size=1, max_size=40), seed=st.integers(0, 99))
def test_order_does_not_matter_and_fsum_agrees(values, seed):
    shuffled = list(values)
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - a test's order
    formulas = [_with(f, m) for f in (exact.total, exact.mean) for m in (None, 2.0**20)]
    formulas += [_with(exact.variance, sample=True)]
    found = _run(values, *formulas)
    assert found == _run(shuffled, *formulas)
    total, with_magnitude = found[:2]
    assert total == pytest.approx(math.fsum(values), rel=1e-13, abs=1e-9)
    assert abs(with_magnitude - math.fsum(values)) <= 1e-8  # its last grid is 2^-52 of the magnitude


@settings(max_examples=100, deadline=None)
@given(values=st.lists(WILD, min_size=1, max_size=12), power=st.integers(-60, 60))
def test_a_mean_with_a_magnitude_is_one_grid(values, power):
    magnitude = 2.0**power
    [found] = _run(values, _with(exact.mean, magnitude))
    snapped = [_snap(v, Fraction(magnitude) / 2**22, magnitude * 2.0**8) for v in values if math.isfinite(v)]
    assert found == (float(sum(snapped) / len(snapped)) if snapped else None)
    inside = [v for v in values if abs(v) <= magnitude * 2**8]
    if inside and len(inside) == len(values):
        true = sum(map(Fraction, inside)) / len(inside)
        assert abs(Fraction(found) - true) <= Fraction(magnitude) * Fraction(2) ** -22


def test_many_small_readings_are_not_lost_in_a_sum_with_a_magnitude():
    values = [2.0**-24] * 4096
    assert _run(values, _with(exact.total, 1.0)) == [2.0**-12]


@settings(max_examples=100, deadline=None)
@given(x=st.floats(-(2.0**51), 2.0**51), power=st.integers(-200, 200))
@example(x=2.0**51, power=0)
@example(x=-(2.0**51), power=0)
@example(x=0.5, power=0)
@example(x=1.5, power=0)
@example(x=-2.5, power=0)
@example(x=-0.0, power=0)
def test_the_lemma(x, power):
    grid = 2.0**power
    x *= grid
    constant = 1.5 * 2.0**52 * grid
    h = (x + constant) - constant
    assert Fraction(h) == round(Fraction(x) / Fraction(grid)) * Fraction(grid)
    assert Fraction(x - h) == Fraction(x) - Fraction(h)


def test_the_corollary_at_its_edge():
    """As many rows as are allowed, each at the clamp: 2^53 steps, the last sum that doubles hold exactly."""
    grid = 2.0**-22
    below = 2.0**8 - grid  # one step below the clamp: an odd number of steps, which the next double up would not hold
    rows = exact.ROWS
    sql = f"SELECT sum(x), sum(y) FROM (SELECT {2.0**8!r}::DOUBLE AS x, {below!r}::DOUBLE AS y FROM range({rows}))"
    [(at, under)] = CONNECTION.execute(sql).fetchall()
    assert at == rows * 2.0**8
    assert Fraction(under) == rows * Fraction(below)
    assert Fraction(at) / Fraction(grid) == 2**53


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=30))
def test_variance_agrees_with_the_standard_library(values):
    true = statistics.pvariance(map(Fraction, values))
    spread = 1e-12 * max(abs(v) for v in values) ** 2
    population, sample = _run(values, _with(exact.variance, sample=False), _with(exact.variance, sample=True))
    assert population == pytest.approx(float(true), rel=1e-9, abs=spread + 1e-15)
    if len(values) == 1:
        assert sample is None
    else:
        want = float(statistics.variance(map(Fraction, values)))
        assert sample == pytest.approx(want, rel=1e-9, abs=2 * spread + 1e-15)


def test_the_variance_of_one_value_repeated_is_nearly_nothing_and_never_negative():
    [found] = _run([70.1] * 53, _with(exact.variance, sample=True))
    assert 0 <= found < 1e-10


@pytest.mark.parametrize(
    ("magnitude", "power"),
    [(1, 1), (1.0001, 2), (110, 128), (0.3, 0.5), (None, None), (1e300, None), (1e-300, None), (2.0**900, 2.0**900)],
)
def test_the_least_power_of_two_not_below(magnitude, power):
    assert exact.power_of_two(magnitude) == power


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=100, deadline=None)
def test_literals_are_doubles_bit_for_bit(value):
    [(kind, found)] = CONNECTION.execute(f"SELECT typeof({double(value)}), {double(value)}").fetchall()
    assert kind == "DOUBLE"
    assert found == value


def test_a_client_with_too_many_rows_has_no_value(look, monkeypatch):
    from fedanalytics.fleet import Fleet
    from fedanalytics.round.work import Sql

    monkeypatch.setattr(exact, "ROWS", 3)
    frame = pd.DataFrame({"who": [1] * 3 + [2] * 4 + [3] * 5, "x": 1.0, "keep": [True] * 9 + [False] * 3})
    frame["number"] = frame["who"]
    fleet = Fleet.from_pandas(frame, client="who")
    assert set(look.per_client(fleet, "number", Sql("sum(x)"))) >= {1.0}
    [plain, kept] = look.columns(fleet, Sql("sum(x)"), Sql("sum(x)", where="keep"))
    [alone] = look.columns(fleet, Sql("sum(x)", where="keep"))
    assert sorted(map(str, plain)) == ["3.0", "nan", "nan"]
    assert sorted(map(str, kept)) == sorted(map(str, alone)) == ["2.0", "3.0", "nan"]
