"""Answers as tables and drawings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich import box
from rich.console import JustifyMethod
from rich.table import Table

from fedanalytics.cli.asking import CONFIDENCE
from fedanalytics.cli.numbers import interval, shown
from fedanalytics.cli.plots import bar, whiskers
from fedanalytics.cli.question import Question
from fedanalytics.session import Release

EXACT = "exact (NOT PRIVATE)"
MOST_ROWS = 60  # of one drawing; the rest is in the files and the JSON
NARROW = 60  # below so many columns of the screen, what is drawn gives way to what is said


@dataclass(frozen=True)
class Row:
    """One number, to be printed."""

    label: str
    value: float
    error: float
    lower: float
    upper: float
    exact: float | None

    @property
    def estimate(self) -> str:
        """With its standard error."""
        return f"{shown(self.value, self.error)} ± {shown(self.error, self.error)}"

    @property
    def beside(self) -> list[str]:
        """The cell of the exact value, if there is one."""
        return [] if self.exact is None else [shown(self.exact, self.error)]


@dataclass(frozen=True)
class Answered:
    """One question with its release.

    Attributes:
        price: what it cost, as shown.
        exact: the value without noise, not private; None where it is not to be shown.
    """

    question: Question
    release: Release
    price: str
    exact: Any = None

    @property
    def single(self) -> bool:
        """Whether it is one number."""
        return np.size(self.release.value) == 1 and not self.release.labels

    def rows(self) -> list[Row]:
        """Its numbers, in order."""
        release = self.release
        values = (release.value, release.standard_error, *release.interval(CONFIDENCE))
        numbers = [np.ravel(value).tolist() for value in values]
        count = len(numbers[0])
        exact = [None] * count if self.exact is None else np.ravel(self.exact).tolist()
        innermost = release.labels[-1] if release.labels else (self.question.name,)
        labels = [str(label) for label in innermost] * (count // len(innermost))
        return [Row(*row) for row in zip(labels, *numbers, exact, strict=True)]

    def charts(self) -> Iterator[tuple[str, list[Row]]]:
        """Title and rows: one for each group of a grouped histogram, one for everything else."""
        rows, labels, name = self.rows(), self.release.labels, self.question.name
        if len(labels) < 2:
            yield name, rows
            return
        size = len(labels[1])
        for i, group in enumerate(labels[0]):
            yield f"{name} · {self.question.query.by} = {group}", rows[i * size : (i + 1) * size]


def table(first: str, *columns: tuple[str, JustifyMethod]) -> Table:
    """An empty table with a line below its header."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    made.add_column(first, overflow="fold", min_width=8)
    for name, justify in columns:
        style = "red" if name.startswith("exact") else ""
        made.add_column(name, justify=justify, no_wrap=True, style=style, header_style=style or "dim")
    return made


def singles(answered: Sequence[Answered], width: int) -> Table:
    """Single numbers, one to a line, with as many columns as there is room for."""
    beside = any(one.exact is not None for one in answered)
    room = width - len(EXACT) * beside
    columns: list[tuple[str, JustifyMethod]] = [("estimate", "right")]
    columns += [("95 % interval", "right")] * (room >= NARROW)
    columns += [("cost", "right")] * (room >= NARROW // 2)
    columns += [(_exact(width), "right")] * beside
    made = table("query", *columns)
    for one in answered:
        [row] = one.rows()
        between = [interval(row.lower, row.upper, row.error)] * (room >= NARROW)
        made.add_row(one.question.name, row.estimate, *between, *[one.price] * (room >= NARROW // 2), *row.beside)
    return made


def drawing(rows: Sequence[Row], width: int, *, counts: bool) -> Table:
    """Several numbers: bars from 0 if they are counts, else intervals on a common scale."""
    beside = rows[0].exact is not None
    made = Table(box=None, pad_edge=False, show_header=beside, header_style="dim")
    made.add_column("", overflow="fold")
    made.add_column("", justify="right", no_wrap=True)
    if width >= NARROW:
        made.add_column("")
    if beside:
        made.add_column(_exact(width), justify="right", no_wrap=True, style="red", header_style="red")
    ends = min(row.lower for row in rows), max(row.upper for row in rows)
    for row in rows[:MOST_ROWS]:
        line = bar(row.lower, row.upper, ends[1]) if counts else whiskers(row.value, row.lower, row.upper, ends)
        made.add_row(row.label, row.estimate, *[line] * (width >= NARROW), *row.beside)
    return made


def _exact(width: int) -> str:
    return EXACT if width >= NARROW else EXACT.replace(" ", "\n", 1)
