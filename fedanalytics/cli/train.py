"""``fedanalytics train``: a model, at a target epsilon, on data that stays with its owners."""

from __future__ import annotations

import contextlib
import datetime as dt
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from fedanalytics.cli.exporting import writable
from fedanalytics.cli.failures import EXCEEDED
from fedanalytics.cli.hints import MaybeText
from fedanalytics.cli.recipe import Recipe, load
from fedanalytics.cli.rehearsing import Job, check_fits, forecast, job
from fedanalytics.cli.screen import screen
from fedanalytics.cli.study import template
from fedanalytics.cli.trained import write
from fedanalytics.cli.training_progress import watching
from fedanalytics.cli.training_run import carry_out, check_new, rounds_made
from fedanalytics.cli.training_screen import print_forecast, print_trained
from fedanalytics.errors import BadArgument, RoundAborted

EXAMPLE = """
    fedanalytics train examples/writers.toml --dry-run

    fedanalytics train examples/writers.toml --ledger writers.db --out writers
"""


def train(
    recipe: Annotated[str, typer.Argument(metavar="CONFIG.toml", help="What to train on what.", show_default=False)],
    *,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint, if there is one; nothing is paid twice.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all of it, and say what it would cost; spend nothing.")
    ] = False,
    ledger: Annotated[MaybeText, typer.Option(metavar="FILE", help="The ledger; instead of the recipe's.")] = None,
    key: Annotated[MaybeText, typer.Option(metavar="KEY", help="Instead of the recipe's: another training.")] = None,
    out: Annotated[
        MaybeText,
        typer.Option(
            metavar="DIR",
            help="Where model.safetensors, card.md, card.json, history.csv and the checkpoint go; by default a folder "
            "with the name of the training.",
        ),
    ] = None,
) -> None:
    """Train a model on data that stays with its owners, and pay for it from a budget.

    All rounds are paid before the first. A run that was stopped goes on with --resume. CONFIG.toml names a Python file
    of yours, which is run: it must be as trusted as this program.
    """
    written = load(recipe)
    name = _named(written, key)
    todo = job(written, name, _ledger(written, recipe, ledger))
    folder = Path(name if out is None else out)
    made = rounds_made(todo, folder)
    if dry_run:
        _rehearse(todo, made)
        return
    if not resume:
        check_new(todo, folder, made)
    with todo.rehearsed() as copy:
        fleets = written.data.fleets()
        check_fits(forecast(todo, fleets, copy))
    writable(str(folder))
    options = {"--ledger": ledger, "--key": key, "--out": out}
    with _resumable(recipe, options), watching(todo.training.plan.rounds, made) as watch:
        done = carry_out(todo, fleets, folder, watch)
    write(done, folder)
    print_trained(screen(), done, folder)


def _rehearse(todo: Job, made: int) -> None:
    with todo.rehearsed() as copy:
        found = forecast(todo, todo.recipe.data.fleets(), copy)
    print_forecast(screen(), todo, found, made)
    if not found.fits:
        raise typer.Exit(EXCEEDED)


def _named(recipe: Recipe, key: str | None) -> str:
    now = dt.datetime.now(dt.UTC)
    if key is None:
        return recipe.at(now)
    try:
        return recipe.keyed(template(key)).at(now)
    except BadArgument as error:
        raise BadArgument(f"--key {error}") from error


def _ledger(recipe: Recipe, path: str, ledger: str | None) -> str:
    file = ledger or recipe.funds.ledger
    if file is None:
        raise BadArgument(f"{path}: budget.ledger is missing: name the ledger's file there, or by --ledger")
    return file


@contextlib.contextmanager
def _resumable(recipe: str, options: dict[str, str | None]) -> Iterator[None]:
    """Says how to go on with a run that ends before its time."""
    try:
        yield
    except (KeyboardInterrupt, RoundAborted):
        given = [word for name, value in options.items() if value is not None for word in (name, value)]
        command = shlex.join(["fedanalytics", "train", recipe, "--resume", *given])
        screen(error=True).print(Text.assemble(("go on with: ", "bold"), command), soft_wrap=True)
        raise
