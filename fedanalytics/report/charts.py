"""Charts as geometry: places in percent of the plot, so that a page draws them at any width. No text of others here."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fedanalytics.report.spends import Step
from fedanalytics.report.summary import Standing
from fedanalytics.report.words import Whole, day

_COLUMNS = 400  # of a burn-down: a screen shows no more
_DAY = dt.timedelta(days=1)
_LEAST = dt.timedelta(minutes=1)
_RELATIVE = (1e-6, 10.0)  # errors beyond are drawn at the edge
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring")


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, in percent of it, and what it says."""

    at: float
    label: str


@dataclass(frozen=True)
class BurnDown:
    """What was left of a budget over time, and what will be, at the pace of the last weeks.

    Attributes:
        line, area: SVG path data in a square of 100 by 100, y pointing down.
        today, left: where the line ends.
        end: where the forecast ends; None where nothing is spent.
        empty: whether it ends at nothing, within the chart.
        across, up: the axes.
    """

    line: str
    area: str
    today: float
    left: float
    end: tuple[float, float] | None
    empty: bool
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


def burn_down(standing: Standing) -> BurnDown:
    """The burn-down of a budget.

    The forecast is drawn to its end, where that is not further away than the past is long; else for half that long.
    No forecast goes beyond the window.
    """
    steps, pace = standing.account.steps, standing.pace
    start, now = steps[0].time, max(pace.now, steps[0].time + _LEAST)
    past = now - start
    going = pace.units > 0 and pace.left > 0
    empty = going and not pace.lasts and pace.days_left <= past / _DAY
    end = now + (pace.days_left * _DAY if empty else past / 2 if going else past * 0)
    if pace.lasts and pace.renews is not None and going:
        end = max(min(end, pace.renews), now)
    whole = max(1, *(step.cap for step in steps))

    def across(moment: dt.datetime) -> float:
        return 100 * ((moment - start) / (end - start))

    points = [(across(step.time), _up(step, whole)) for step in _thinned(steps, start, now)]
    today, left = across(now), points[-1][1]
    line = _stepped([*points, (today, left)])
    finish = None
    if going:
        after = pace.left - pace.per_day * ((end - now) / _DAY)
        finish = (100.0, 100 * (1 - max(after, 0.0) / whole))
    quarters = tuple(Tick(100.0 - part, f"{part} %") for part in (0, 25, 50, 75, 100))
    return BurnDown(
        line, Whole(f"{line}V100H0Z"), today, left, finish, empty, tuple(_dates(start, end)), tuple(reversed(quarters))
    )


def _up(step: Step, whole: int) -> float:
    return 100 * (1 - max(step.cap - step.spent, 0) / whole)


def _thinned(steps: Sequence[Step], start: dt.datetime, now: dt.datetime) -> Iterator[Step]:
    """The last step in each column of the screen."""
    kept: dict[int, Step] = {}
    for step in steps:
        kept[math.floor(_COLUMNS * ((step.time - start) / (now - start)))] = step
    kept[0] = kept.get(0, steps[0])
    yield from kept.values()


def _stepped(points: Sequence[tuple[float, float]]) -> Whole:
    """A line that stays where it is until it jumps."""
    x, y = points[0]
    return Whole(f"M{x:.2f} {y:.2f}" + "".join(f"H{x:.2f}V{y:.2f}" for x, y in points[1:]))


def _dates(start: dt.datetime, end: dt.datetime) -> Iterator[Tick]:
    """Four or five marks at whole days; at whole hours on a short axis."""
    span = end - start
    hours = span < 3 * _DAY
    unit = dt.timedelta(hours=1) if hours else _DAY
    step = max(math.ceil(span / (4 * unit)), 1) * unit
    first = start.replace(hour=start.hour if hours else 0, minute=0, second=0, microsecond=0)
    form = "%H:%M" if hours else "%b %Y" if span > 400 * _DAY else ""
    moment = first if first >= start else first + unit
    while moment <= end:
        yield Tick(100 * ((moment - start) / span), format(moment, form) if form else day(moment)[:-5])
        moment += step


@dataclass(frozen=True)
class Point:
    """One question: where, which sign, and what it says when asked."""

    x: float
    y: float
    shape: str
    title: str


@dataclass(frozen=True)
class Scatter:
    """Cost against error, both on logarithmic scales.

    Attributes:
        legend: (shape, name) of each series.
        across, up: the axes.
    """

    points: tuple[Point, ...]
    legend: tuple[tuple[str, str], ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


@dataclass(frozen=True)
class Mark:
    """What a scatter is made from: a part of a budget, a relative error, the series, and what to say of it."""

    cost: float
    error: float
    series: str
    title: str


def scatter(marks: Iterable[Mark]) -> Scatter | None:
    """A scatter; the commonest series have signs of their own, the others share the last one. None without a mark.

    Example:
        >>> found = scatter([Mark(0.01, 0.02, "Mean", "a"), Mark(0.1, 0.05, "Count", "b")])
        >>> [(point.x, point.y, point.shape) for point in found.points]
        [(0.0, 69.89..., 'square'), (100.0, 30.10..., 'circle')]
        >>> [tick.label for tick in found.across], [tick.label for tick in found.up]
        (['1 %', '10 %'], ['1 %', '10 %'])
    """
    shown = [mark for mark in marks if mark.cost > 0 and mark.error > 0]
    if not shown:
        return None
    names: dict[str, int] = {}
    for mark in shown:
        names[mark.series] = names.get(mark.series, 0) + 1
    ranked = sorted(names, key=lambda name: (-names[name], name))
    own = {name: SHAPES[i] for i, name in enumerate(ranked[: len(SHAPES) - 1])}
    legend = [(shape, name) for name, shape in own.items()]
    if len(ranked) > len(own):
        legend.append((SHAPES[-1], "others"))
    errors = [min(max(mark.error, _RELATIVE[0]), _RELATIVE[1]) for mark in shown]
    across, up = _decades([mark.cost for mark in shown]), _decades(errors)
    points = tuple(
        Point(_place(mark.cost, across), 100 - _place(error, up), own.get(mark.series, SHAPES[-1]), mark.title)
        for mark, error in zip(shown, errors, strict=True)
    )
    return Scatter(points, tuple(legend), _ticks(across), tuple(Tick(100 - t.at, t.label) for t in _ticks(up)))


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The whole powers of ten around them."""
    low, high = (math.log10(end) for end in (min(values), max(values)))
    first = math.floor(low + 1e-9)
    return first, max(math.ceil(high - 1e-9), first + 1)


def _place(value: float, ends: tuple[int, int]) -> float:
    return min(max(100 * (math.log10(value) - ends[0]) / (ends[1] - ends[0]), 0.0), 100.0)


def _ticks(ends: tuple[int, int]) -> tuple[Tick, ...]:
    step = max(math.ceil((ends[1] - ends[0]) / 5), 1)
    return tuple(Tick(_place(10.0**n, ends), f"{10.0 ** (n + 2):.9g} %") for n in range(ends[0], ends[1] + 1, step))
