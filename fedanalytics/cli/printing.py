"""Outcomes, rehearsals and budgets on a screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fedanalytics.cli.asking import Outcome, Rehearsal
from fedanalytics.cli.balance import Balance
from fedanalytics.cli.drawings import MOST_ROWS, NARROW, Answered, drawing, singles, table
from fedanalytics.cli.job import Job
from fedanalytics.cli.numbers import shown
from fedanalytics.cli.plots import tank
from fedanalytics.privacy import units
from fedanalytics.report.words import percent
from fedanalytics.session import Preview, Price
from fedanalytics.trust.priced import Guarantee


def print_outcome(console: Console, outcome: Outcome, exact: Sequence[Any] | None = None) -> None:
    """The answers with their errors, and the budget after them; `exact` values stand beside, marked as not private."""
    job, whole = outcome.job, outcome.balance
    values = [None] * len(outcome.releases) if exact is None else exact
    answered = [
        Answered(question, release, "stored" if release.receipt.replayed else _price(job, release.cost, whole), value)
        for question, release, value in zip(job.questions, outcome.releases, values, strict=True)
    ]
    guarantee = outcome.releases[0].receipt.guarantee
    _title(console, job, whole, guarantee)
    single = [one for one in answered if one.single]
    if single:
        console.print(singles(single, console.width))
    for one in answered:
        if not one.single:
            _print_drawings(console, one)
    drawn = len(single) < len(answered) and console.width >= NARROW
    _note(
        console, "±: standard error of the noise", "▒ or ├─┤: 95 % interval" * drawn, "%: of the budget" * job.counted
    )
    if guarantee is not None and "keys" in guarantee:
        _note(console, f"keys: {guarantee['keys']}")
    if job.counted:
        print_balance(console, whole, outcome.spent)
        _note(console, f"ledger {job.place}")
    else:
        console.print(Text("Nobody counts what was spent: name a --ledger.", style="yellow"))
    if not outcome.spent:
        console.print(Text("stored; nothing spent", style="green"))
    if exact is not None:
        console.print(Text("exact: sums without noise, NOT PRIVATE, shown once and kept nowhere", style="bold red"))


def print_rehearsal(console: Console, rehearsal: Rehearsal) -> None:
    """What a run would cost and be worth."""
    job, whole = rehearsal.job, rehearsal.balance
    _title(console, job, whole, rehearsal.guarantees[0])
    made = table("dry run", ("expected error", "right"), ("cost", "right"))
    for question, preview, paid in zip(job.questions, rehearsal.previews, rehearsal.paid, strict=True):
        made.add_row(question.name, _expected(preview), "stored" if paid else _price(job, preview.cost, whole))
    console.print(made)
    if any(preview.of == "sum" for preview in rehearsal.previews):
        _note(console, "Declare a population to see the error of a mean, not of its sum.")
    if job.counted:
        print_balance(console, whole)
    console.print(Text(_verdict(rehearsal), style="green" if rehearsal.fits else "bold red"))


def print_balance(console: Console, whole: Balance, now: int = 0) -> None:
    """A budget as a bar: what is left, what was spent just `now`, what was gone before."""
    grid = Table.grid(padding=(0, 1))
    grid.add_row(
        Text(f"budget {whole.name}", style="bold"),
        tank(whole.spent.units / whole.cap, now / whole.cap),
        Text(f"{percent(whole.left, whole.cap)} left", style="green"),
    )
    console.print(Padding(grid, (1, 0, 0, 0), expand=False))
    words = [capped(whole), f"each {whole.unit} of {whole.dataset}" if whole.unit else "nothing asked yet"]
    if now:
        more = whole.remaining.units // now
        words += [f"this run took {percent(now, whole.cap)}", f"enough for {more:,} more" if more else "the last one"]
    if whole.remaining.units < whole.left:
        words.append(f"your own cap in it leaves {percent(whole.remaining.units, whole.cap)}")
    if whole.renews:
        words.append(f"next window {whole.renews[:16].replace('T', ' ')} UTC")
    _note(console, *words)


def _title(console: Console, job: Job, whole: Balance, guarantee: Guarantee | None) -> None:
    words = filter(None, (job.title, job.period, f"each {whole.unit} is protected", _seen(job, guarantee)))
    console.print(Text(" · ".join(words), style="bold"), soft_wrap=True)


def _seen(job: Job, guarantee: Guarantee | None) -> str:
    """Who sees what, and in how many a contribution hides; nothing under central trust, which is the usual one."""
    if not job.trusted.model.clients_add_noise or guarantee is None:
        return ""
    of = f"{guarantee['clients']:,} clients"
    among = f": sums of at least {guarantee['floor']:,} of {of}" if "floor" in guarantee else f": reports of {of}"
    return job.trusted.model.name + among


def _note(console: Console, *words: str) -> None:
    console.print(Text(" · ".join(filter(None, words)), style="dim"), soft_wrap=True)


def _print_drawings(console: Console, one: Answered) -> None:
    counts = one.question.statistic in {"count", "histogram"}
    for title, rows in one.charts():
        console.print(Text.assemble((title, "bold"), (f" · {one.price}", "dim")), soft_wrap=True)
        left_out = len(rows) - MOST_ROWS
        below = 0 if left_out > 0 else 1
        console.print(Padding(drawing(rows, console.width, counts=counts), (0, 0, below, 2), expand=False))
        if left_out > 0:
            console.print(Text(f"  … and {left_out:,} more: see --out or --json\n", style="dim"))


def _expected(preview: Preview) -> str:
    errors = np.ravel(np.asarray(preview.standard_error, dtype=float))
    low, high = (f"± {shown(float(end), float(end))}" for end in (errors.min(), errors.max()))
    each, of = " each" * (errors.size > 1), ", of the sum" * (preview.of == "sum")
    return (low if low == high else f"{low} … {high}") + each + of


def _verdict(rehearsal: Rehearsal) -> str:
    if all(rehearsal.paid):
        return "All answers are stored: a run would cost nothing."
    if not rehearsal.job.counted:
        return "Nothing was spent."
    asked = percent(rehearsal.asked, rehearsal.balance.cap)
    return (
        f"A run would cost {asked} of the budget: it {'fits' if rehearsal.fits else 'does NOT fit'}. Nothing was spent."
    )


def _price(job: Job, price: Price, whole: Balance) -> str:
    """Of the budget, if there is one that counts."""
    return percent(price.units, whole.cap) if job.counted else f"{price.counts} {units.rho(price.units):.3g}"


def capped(whole: Balance) -> str:
    """The cap in words."""
    each = f", every {whole.window}" if whole.window else ""
    if whole.epsilon is not None:
        return f"ε = {whole.epsilon:g}" + (", pure" if whole.delta is None else f" at δ = {whole.delta:g}") + each
    return f"rho = {units.rho(whole.cap):g}{each}"
