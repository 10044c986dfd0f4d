"""Progress: which phase runs, of how many. Never clients, rows or the size of a cohort, which nobody paid for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fedanalytics.cli.screen import screen


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar on standard error while a terminal is there to show it; yields what begins the next phase."""
    console = screen(error=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=total + 1)

        def step(phase: str) -> None:
            bar.update(task, description=phase, advance=1)

        yield step
