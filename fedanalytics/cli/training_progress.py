"""How far a training is: the round, epsilon so far, the clip, the time left. Nothing that nobody paid for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from fedanalytics.cli.numbers import shown
from fedanalytics.cli.scorer import Figure
from fedanalytics.cli.screen import screen

if TYPE_CHECKING:
    from fedanalytics.learning.private import Row

_LINES = 20  # about so many, where nobody looks on


@dataclass
class Bar:
    """One line that moves, on a terminal."""

    bar: Progress
    task: TaskID
    rounds: int
    last: str = ""

    def row(self, row: Row) -> None:
        """A round was made."""
        said = f"round {row.round}/{self.rounds} · {_state(row)}{self.last}"
        self.bar.update(self.task, description=said, completed=row.round)

    def figure(self, figure: Figure) -> None:
        """A figure was answered."""
        self.last = f" · {_told(figure)}"


@dataclass
class Lines:
    """A line now and then, in a log."""

    console: Console
    rounds: int
    first: int
    began: float = field(default_factory=time.monotonic)

    def row(self, row: Row) -> None:
        """A round was made."""
        step = max(self.rounds // _LINES, 1)
        if row.round % step and row.round != self.rounds:
            return
        made = max(row.round - self.first, 1)
        left = (time.monotonic() - self.began) / made * (self.rounds - row.round)
        self._say(f"round {row.round} of {self.rounds} · {_state(row)} · about {_time(left)} left")

    def figure(self, figure: Figure) -> None:
        """A figure was answered."""
        self._say(f"round {figure.round} of {self.rounds} · {_told(figure)}")

    def _say(self, words: str) -> None:
        self.console.print(words, soft_wrap=True)


@contextlib.contextmanager
def watching(rounds: int, first: int) -> Iterator[Bar | Lines]:
    """What shows the progress of a run on standard error, from its round `first` on."""
    console = screen(error=True)
    if not console.is_terminal:
        yield Lines(console, rounds, first)
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"round {first}/{rounds}", total=rounds, completed=first)
        yield Bar(bar, task, rounds)


def figure_shown(figure: Figure) -> str:
    """A figure with the digits that its noise leaves it."""
    error = figure.standard_error
    return f"{shown(figure.value, error)} ± {shown(error, error)}"


def _state(row: Row) -> str:
    return f"ε {row.epsilon:.3g} · clip {row.clip:.3g}"


def _told(figure: Figure) -> str:
    return f"{figure.metric} {figure_shown(figure)}"


def _time(seconds: float) -> str:
    """Roughly.

    >>> _time(41.2), _time(130), _time(7300)
    ('42 s', '3 min', '2.1 h')
    """
    if seconds < 100:
        return f"{int(seconds) + 1} s"
    return f"{int(seconds / 60) + 1} min" if seconds < 6000 else f"{seconds / 3600 + 0.05:.1f} h"
