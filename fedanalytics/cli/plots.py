"""Drawings: lines of bars and intervals for a screen, curves for a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

from fedanalytics.errors import BadArgument

_SHORTEST, _LONGEST = 8, 44


@dataclass(frozen=True)
class Line:
    """A row of cells as wide as there is room for.

    Attributes:
        parts: (from, to, sign, style) with 0 <= from <= to <= 1; later ones cover earlier ones. A part covers the cells
            whose middle it covers; one that ends where it begins is a point.
    """

    parts: Sequence[tuple[float, float, str, str]]

    def cells(self, width: int) -> list[tuple[str, str]]:
        """Sign and style of each cell."""
        row = [(" ", "")] * width
        for begin, end, sign, style in self.parts:
            first = min(round(begin * width), width - 1)
            last = first + 1 if begin == end else round(end * width)
            row[first:last] = [(sign, style)] * (last - first)
        return row

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, _LONGEST)
        for sign, style in self.cells(width):
            yield Segment(sign, Style.parse(style))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(_SHORTEST, min(options.max_width, _LONGEST))


def bar(lower: float, upper: float, most: float) -> Line:
    """A bar from 0: full up to `lower`, open from there to `upper`, on a scale that ends at `most`."""
    low, high = (min(max(end / most, 0.0), 1.0) if most > 0 else 0.0 for end in (lower, upper))
    return _line((0.0, low, "█", "cyan"), (low, high, "▒", "cyan"))


def whiskers(value: float, lower: float, upper: float, ends: tuple[float, float]) -> Line:
    """A value with its interval, on a scale between two ends."""
    width = ends[1] - ends[0]
    low, middle, high = (min(max((x - ends[0]) / width, 0.0), 1.0) if width > 0 else 0.5 for x in (lower, value, upper))
    return Line(
        (
            (low, high, "─", "cyan"),
            (low, low, "├", "cyan"),
            (high, high, "┤", "cyan"),
            (middle, middle, "●", "bold cyan"),
        )
    )


def tank(spent: float, now: float) -> Line:
    """A budget: what is left, what this run took, what was gone before; fractions of the whole."""
    left = max(1.0 - spent, 0.0)
    return _line((0.0, 1.0, "░", "dim"), (0.0, left, "█", "green"), (left, min(left + now, 1.0), "▒", "yellow"))


def _line(*parts: tuple[float, float, str, str]) -> Line:
    """A line of stretches: what is empty is not drawn."""
    return Line(tuple(part for part in parts if part[0] < part[1]))


@dataclass(frozen=True)
class Curve:
    """Points with a name."""

    name: str
    points: tuple[tuple[float, float], ...]


def drawn(file: str, curves: Sequence[Curve], across: str, up: str) -> None:
    """Draws curves into a PNG file; across on a logarithmic scale, up too where one curve would hide the others.

    Raises:
        BadArgument: matplotlib is not installed, there is nothing to draw, or the file cannot be written.
    """
    if Path(file).suffix.lower() != ".png":
        raise BadArgument(f"--plot {file!r}: name a file that ends in .png")
    if not curves:
        raise BadArgument("--plot: there is nothing to draw, as no accounting knows a finite epsilon")
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # an extra; slow to import
    except ImportError as error:
        raise BadArgument("--plot needs matplotlib: pip install 'fedanalytics[report]'") from error
    figure = Figure(figsize=(7, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for curve, style in zip(curves, ("-o", "--s", "-.^", ":d", "-x"), strict=False):
        axes.plot(*zip(*curve.points, strict=True), style, label=curve.name, markersize=4, fillstyle="none")
    heights = [y for curve in curves for _, y in curve.points if y > 0]
    axes.set(xscale="log", xlabel=across, ylabel=up)
    if heights and max(heights) > 30 * min(heights):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    try:
        figure.savefig(file)
    except OSError as error:
        raise BadArgument(f"--plot {file!r} cannot be written: {error.strerror}") from error
