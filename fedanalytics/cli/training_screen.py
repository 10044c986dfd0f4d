"""What a training would cost, and what it came to, on a screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedanalytics.cli.numbers import shown
from fedanalytics.cli.printing import print_balance
from fedanalytics.cli.rehearsing import Forecast, Job
from fedanalytics.cli.trained import FILES
from fedanalytics.cli.training_progress import figure_shown
from fedanalytics.cli.training_run import Trained
from fedanalytics.report.words import percent
from fedanalytics.trust.priced import Guarantee


def print_forecast(console: Console, job: Job, forecast: Forecast, made: int) -> None:
    """What a run would cost and need."""
    _title(console, job, forecast.guarantee)
    plan, scores = job.training.plan, job.recipe.scoring
    rows = [*_about(job), ("noise", f"{plan.noise_multiplier:.3g} times the clip, in the sum of each round")]
    if forecast.figure is not None and scores is not None:
        rows.append((scores.metric, f"after {_listed(scores.due(plan.rounds))}, {_worth(forecast)}"))
    _print(console, rows)
    print_balance(console, forecast.balance)
    console.print(Text(_verdict(job, forecast, made), style="green" if forecast.fits else "bold red"), soft_wrap=True)


def print_trained(console: Console, trained: Trained, folder: Path) -> None:
    """What a run came to."""
    job, result = trained.job, trained.result
    _title(console, job, result.release.receipt.guarantee)
    figures = [(f.metric, f"{figure_shown(f)} after round {f.round}, paid for") for f in trained.figures]
    files = ", ".join(FILES)
    _print(console, [*_about(job), *figures, ("written", f"{folder}: {files}"), ("ledger", job.ledger)])
    print_balance(console, trained.balance, trained.spent)
    if not trained.spent:
        console.print(Text("stored; nothing spent", style="green"))


def _about(job: Job) -> list[tuple[str, str]]:
    plan, unit = job.training.plan, job.recipe.data.unit
    epsilon = f"{plan.epsilon:.3g} at δ = {plan.delta:.3g} for the model"
    if plan.sampling_rate < 1:
        epsilon += f"; {plan.epsilon_if_seen:.3g} against who sees the cohorts"
    return [
        ("model", f"{job.training.model.size:,} parameters, {job.recipe.procedure.algorithm}"),
        ("rounds", f"{plan.rounds}, each of {_asked(job)} ({unit} by {unit})"),
        ("epsilon", epsilon),
    ]


def _asked(job: Job) -> str:
    plan, turns = job.training.plan, job.recipe.procedure.participations
    if plan.cohort == plan.population:
        return f"all {plan.population:,}"
    how = "by secret coins" if turns is None else f"in turn, {turns} times each"
    return f"about {plan.cohort:,.0f} of {plan.population:,} {how}"


def _print(console: Console, rows: list[tuple[str, str]]) -> None:
    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        grid.add_row(Text(f" {name}", style="dim"), Text(value))
    console.print(grid)


def _title(console: Console, job: Job, guarantee: Guarantee | None) -> None:
    words = [job.key, f"each {job.recipe.data.unit} is protected"]
    if job.recipe.trusted.model.clients_add_noise and guarantee is not None:
        words.append(f"{job.recipe.trusted.model.name}: sums of at least {guarantee['floor']:,} clients")
    console.print(Text(" · ".join(words), style="bold"), soft_wrap=True)


def _listed(rounds: tuple[int, ...]) -> str:
    if len(rounds) == 1:
        return f"round {rounds[0]}"
    return f"rounds {', '.join(map(str, rounds))}" if len(rounds) <= 6 else f"{len(rounds)} of the rounds"


def _worth(forecast: Forecast) -> str:
    figure = forecast.figure
    if figure is None:
        return ""
    error = float(np.ravel(np.asarray(figure.standard_error, dtype=float)).max())
    of = ", of the sum over clients" * (figure.of == "sum")
    return f"at most ± {shown(error, error)}{of}, {percent(figure.cost.units, forecast.balance.cap)} of the budget each"


def _verdict(job: Job, forecast: Forecast, made: int) -> str:
    asked = percent(forecast.asked, forecast.balance.cap)
    fits = "fits" if forecast.fits else "does NOT fit"
    words = [f"A run would cost {asked} of the budget: it {fits}. Nothing was spent."]
    if not forecast.asked:
        words = ["All of it is paid: a run would cost nothing."]
    rounds = job.training.plan.rounds
    if made:
        words.append(
            f"--resume goes on after round {made} of {rounds}." if made < rounds else "--resume shows it again."
        )
    if forecast.paid and made < rounds and job.recipe.trusted.model.clients_add_noise:
        words.append("A round that was under way is paid again.")
    return " ".join(words)
