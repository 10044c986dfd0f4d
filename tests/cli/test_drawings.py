from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fedanalytics.cli.numbers import decimals, shown
from fedanalytics.cli.plots import Line, bar, tank, whiskers
from fedanalytics.report.words import percent

unit = st.floats(0, 1)


def drawn(line: Line, width: int) -> str:
    return "".join(sign for sign, _ in line.cells(width))


def test_a_bar_is_full_up_to_the_lower_end_and_open_up_to_the_upper():
    assert drawn(bar(30, 50, 100), 10) == "███▒▒     "
    assert drawn(bar(-20, 20, 100), 10) == "▒▒        "
    assert drawn(bar(-20, -10, 100), 10) == " " * 10
    assert drawn(bar(-20, 0, 0), 10) == " " * 10


def test_whiskers():
    assert drawn(whiskers(50, 30, 80, (0, 100)), 10) == "   ├─●──┤ "
    assert drawn(whiskers(5, 5, 5, (5, 5)), 9) == "    ●    "
    assert drawn(whiskers(100, 90, 100, (0, 100)), 10)[-1] == "●"


def test_a_budget_shows_what_is_left_what_went_now_and_before():
    assert drawn(tank(0.5, 0.2), 10) == "█████▒▒░░░"
    assert drawn(tank(0.0, 0.0), 10) == "█" * 10
    assert drawn(tank(1.0, 1.0), 10) == "▒" * 10
    assert drawn(tank(1.0, 0.0), 10) == "░" * 10


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 60))
def test_every_line_is_as_wide_as_it_is_told(value, below, above, width):
    lower, upper = value - below, value + above
    for line in (bar(lower, upper, upper), whiskers(value, lower, upper, (lower, upper))):
        assert len(drawn(line, width)) == width


@given(unit, unit, st.integers(1, 60))
def test_a_tank_is_always_full_of_something(spent, share, width):
    assert " " not in drawn(tank(spent, spent * share), width)


def test_a_line_takes_the_room_there_is():
    for columns, width in ((20, 20), (200, 44)):
        console = Console(file=io.StringIO(), width=columns)
        console.print(tank(0.0, 0.0))
        assert console.file.getvalue().strip() == "█" * width


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (4051.7, 22.4, "4,052"),
        (57.1183, 0.31, "57.12"),
        (-3.0, 1.4, "-3.0"),
        (-0.04, 1.4, "0.0"),
        (0.000123456, 0.0000023, "0.0001235"),
        (float("inf"), 1.0, "inf"),
        (1.5, float("nan"), "1.50"),
        (1e16, 1.0, "1e+16"),
    ],
)
def test_numbers_have_the_digits_that_their_error_leaves(value, error, expected):
    assert shown(value, error) == expected


@given(st.floats(1e-9, 1e9))
def test_an_error_keeps_two_digits(error):
    assert float(shown(error, error).replace(",", "")) == pytest.approx(error, rel=0.051)
    assert 0 <= decimals(error) <= 12


def test_percent():
    assert [percent(part, 1000) for part in (0, 1, 15, 120, 1000)] == ["0 %", "0.1 %", "1.5 %", "12 %", "100 %"]
    assert percent(1, 0) == "0 %"
