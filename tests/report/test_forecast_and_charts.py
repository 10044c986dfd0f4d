"""How long it lasts, and the geometry of the charts: against histories that were made to have a known pace."""

from __future__ import annotations

import datetime as dt
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.report.charts import SHAPES, Mark, burn_down, scatter
from fedanalytics.report.forecast import pace
from fedanalytics.report.spends import Account, Step
from fedanalytics.report.summary import Standing

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def account(spent, cap=1000, every=DAY):
    """One that was spent from at equal distances in time."""
    return Account(None, "ada", tuple(Step(START + i * every, cap, s, s) for i, s in enumerate(spent)), ())


def standing(spent, now, **made):
    one = account(spent, **made)
    return Standing(one, pace(one, now))


@given(st.integers(1, 20), st.integers(30, 300))
def test_a_constant_pace_is_found_exactly(daily, days):
    one = account([daily * i for i in range(days + 1)], cap=10**6)
    found = pace(one, START + days * DAY)
    assert found.per_day == daily
    assert found.days_left == (10**6 - daily * days) / daily
    assert found.ends == START + days * DAY + dt.timedelta(days=found.days_left)


def test_only_the_last_weeks_count():
    one = account([0, 900, *([900] * 60), 907])
    assert pace(one, START + 62 * DAY).units == 7
    assert pace(one, START + 62 * DAY, days=7).per_day == 1.0
    assert pace(one, START + 62 * DAY, days=math.inf).units == 907


def test_a_young_budget_is_measured_since_its_first_question():
    found = pace(account([0, 0, 0, 10, 20, 30]), START + 5 * DAY)
    assert (found.days, found.per_day) == (2.0, 15.0)
    assert pace(account([0, 10], every=dt.timedelta(hours=1)), START + dt.timedelta(hours=2)).days == 1.0


def test_nothing_spent_lasts_for_ever_and_nothing_left_not_at_all():
    idle = pace(account([0]), START + 100 * DAY)
    assert (idle.days_left, idle.ends) == (math.inf, None)
    assert pace(account([0, 1000]), START + DAY).days_left == 0.0
    asleep = pace(account([0, 5]), START + 100 * DAY)
    assert (asleep.units, asleep.days_left) == (0, math.inf)
    slow = pace(account([0, 1], cap=10**18), START + 2 * DAY)
    assert slow.ends is None


def test_what_was_given_back_is_no_pace():
    assert pace(account([0, 30, 10, 10]), START + 3 * DAY).units == 10
    assert pace(account([500, *([500] * 40), 100]), START + 41 * DAY).units == 0


def test_a_clock_that_is_behind_the_ledger():
    assert pace(account([0, 10]), START - DAY).now == START + DAY


def points(path):
    """The corners of a stepped line."""
    first, *steps = re.findall(r"[MHV]([\d.]+)(?: ([\d.]+))?", path)
    x, y = map(float, first)
    found = [(x, y)]
    for i in range(0, len(steps), 2):
        x, y = float(steps[i][0]), float(steps[i + 1][0])
        found.append((x, y))
    return found


def test_a_burn_down_that_ends():
    chart = burn_down(standing([10 * i for i in range(61)], START + 60 * DAY))
    assert chart.empty
    line = points(chart.line)
    assert line[0] == (0.0, 0.0)
    assert line[-1] == (60.0, 60.0) == (round(chart.today, 6), chart.left)
    assert chart.end == (100.0, pytest.approx(100.0))
    for x, y in line:
        assert y == pytest.approx(x, abs=1.01)
    assert [tick.label for tick in chart.up] == ["100 %", "75 %", "50 %", "25 %", "0 %"]
    assert [tick.at for tick in chart.up] == [0, 25, 50, 75, 100]
    assert chart.across[0].label == "1 Jan"
    assert [tick.at for tick in chart.across] == sorted(tick.at for tick in chart.across)
    assert chart.area.startswith(chart.line)


def test_a_burn_down_that_does_not_end_soon():
    chart = burn_down(standing(list(range(61)), START + 60 * DAY))
    assert not chart.empty
    assert chart.today == pytest.approx(200 / 3)
    assert chart.end == (100.0, pytest.approx(9.0))


def test_a_burn_down_without_a_pace_ends_today():
    for spent in ([0], [0, 1000], [0, 3, *([3] * 90)]):
        chart = burn_down(standing(spent, START + len(spent) * DAY))
        assert (chart.today, chart.end, chart.empty) == (100.0, None, False)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=1500), st.integers(1, 10**6))
def test_a_burn_down_stays_on_its_paper(spent, minutes):
    one = account(sorted(spent), every=dt.timedelta(minutes=minutes))
    chart = burn_down(Standing(one, pace(one, one.steps[-1].time + dt.timedelta(minutes=7))))
    line = points(chart.line)
    assert len(line) <= 404
    assert [x for x, _ in line] == sorted(x for x, _ in line)
    places = [number for point in line for number in point] + [tick.at for tick in chart.across] + [chart.today]
    assert all(0 <= place <= 100.001 for place in places)
    assert line[-1][1] == pytest.approx(max(spent) / 10, abs=0.006)
    assert 1 <= len(chart.across) <= 6


def test_a_raised_cap_fits():
    steps = (Step(START, 100, 0, 0), Step(START + DAY, 100, 50, 50), Step(START + 2 * DAY, 200, 50, 50))
    one = Account(None, "ada", steps, ())
    chart = burn_down(Standing(one, pace(one, START + 2 * DAY)))
    assert [y for _, y in points(chart.line)][:3] == [50.0, 75.0, 25.0]


@given(st.lists(st.tuples(st.floats(1e-9, 1), st.floats(1e-9, 1e9), st.sampled_from("abcdefgh")), min_size=1))
def test_a_scatter_stays_on_its_paper(marks):
    chart = scatter([Mark(*mark, "") for mark in marks])
    assert len(chart.points) == len(marks)
    assert all(0 <= place <= 100 for point in chart.points for place in (point.x, point.y))
    kinds = {series for _, _, series in marks}
    assert len(chart.legend) == min(len(kinds), len(SHAPES))
    assert {point.shape for point in chart.points} == {shape for shape, _ in chart.legend}
    assert 2 <= len(chart.across) <= 7


def test_a_scatter_puts_dearer_right_and_worse_up():
    chart = scatter([Mark(0.001, 0.5, "a", "x"), Mark(0.1, 0.005, "b", "y")])
    cheap, dear = chart.points
    assert cheap.x < dear.x
    assert cheap.y < dear.y  # y points down
    assert scatter([]) is None
    assert scatter([Mark(0.0, 1.0, "a", "x")]) is None
