"""Carrying out a job for a command: fleet, progress, answers on the screen and in files."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from fedanalytics.cli.asking import Outcome, answer, phases, rehearse
from fedanalytics.cli.exact import exact_values
from fedanalytics.cli.exporting import outcome_json, rehearsal_json, text_of, writable, write
from fedanalytics.cli.failures import EXCEEDED
from fedanalytics.cli.job import Job
from fedanalytics.cli.printing import print_outcome, print_rehearsal
from fedanalytics.cli.progress import progress
from fedanalytics.cli.screen import screen
from fedanalytics.errors import BadArgument


@dataclass(frozen=True)
class Manner:
    """How a job is carried out.

    Attributes:
        dry_run: only say what it would cost and be worth.
        json: machine-readable output alone on standard output.
        out: a folder for the results, or None.
        exact: show exact values beside; NOT PRIVATE.
    """

    dry_run: bool
    json: bool
    out: str | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        if self.exact and (self.json or self.dry_run):
            other = (
                "--json, because exact values are shown and never kept"
                if self.json
                else "--dry-run, which sees no data"
            )
            raise BadArgument(f"--exact does not go with {other}")
        if self.out is not None and self.dry_run:
            raise BadArgument("--out does not go with --dry-run, which has no results")


def carry_out(job: Job, manner: Manner) -> None:
    """Answers or rehearses, and shows it.

    Raises:
        typer.Exit: with code 3, in a dry run of what does not fit.
        FedAnalyticsError: see `asking`.
    """
    if manner.dry_run:
        _rehearse(job, manner)
        return
    folder = None if manner.out is None else writable(manner.out)
    exact = None
    with progress(phases(job)) as step:
        step("opening the data")
        fleet = job.source.fleet()
        outcome = answer(job, fleet, step)
        if manner.exact:
            step("exact values, not private")
            exact = exact_values(fleet, [question.query for question in job.questions])
    try:
        if folder is not None:
            write(outcome, folder)  # before the screen, which may be a pipe that somebody closed
    finally:
        _show(outcome, manner, exact)


def _rehearse(job: Job, manner: Manner) -> None:
    with progress(2) as step:
        step("opening the data")
        fleet = job.source.fleet()
        rehearsal = rehearse(job, fleet, step)
    if manner.json:
        typer.echo(text_of(rehearsal_json(rehearsal)))
    else:
        print_rehearsal(screen(), rehearsal)
    if not rehearsal.fits:
        raise typer.Exit(EXCEEDED)


def _show(outcome: Outcome, manner: Manner, exact: list[object] | None) -> None:
    if manner.json:
        typer.echo(text_of(outcome_json(outcome)))
    else:
        print_outcome(screen(), outcome, exact)
