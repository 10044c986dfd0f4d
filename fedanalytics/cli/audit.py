"""``fedanalytics audit``: whether what sessions do can be told from what their ledgers say."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Optional

import typer
from rich.console import Console, JustifyMethod
from rich.text import Text

from fedanalytics import _validate
from fedanalytics._version import __version__
from fedanalytics.auditing import AuditReport, FamilyReport, audit, family
from fedanalytics.cli.copies import existing
from fedanalytics.cli.drawings import table
from fedanalytics.cli.exporting import text_of
from fedanalytics.cli.hints import MaybeText
from fedanalytics.cli.screen import screen
from fedanalytics.errors import BadArgument
from fedanalytics.ledger import Budget
from fedanalytics.round.blocks import Query
from fedanalytics.statistics import Count, Histogram, Mean, Sum, Variance
from fedanalytics.trust import Central, Local, SecureAggregation, Trust

EXAMPLE = """
    fedanalytics audit --all

    fedanalytics audit mean histogram --trials 65536 --json

    fedanalytics audit --all --ledger budget.db --budget sensors
"""
MaybeTexts = Optional[list[str]]  # noqa: UP045  # see cli/hints.py
VIOLATED = 7  # the exit code
ALPHA = 1e-3  # of any false alarm in a run
TRIALS = 4096
_COLUMNS: tuple[tuple[str, JustifyMethod], ...] = (
    ("trust", "left"),
    ("at least", "right"),
    ("claim", "right"),
    ("trials", "right"),
    ("verdict", "left"),
)
_BOUNDS = (0.0, 110.0)
_RECORDS: dict[str, Any] = {"weight": "record", "max_records": 4}
_REGION: dict[str, Any] = {"by": "region", "groups": ("EU", "US")}
_EDGES = (0.0, 30.0, 60.0, 110.0)

QUESTIONS: Mapping[str, Query] = {
    "count": Count(),
    "count, where": Count(where="temp > 30"),
    "count, by": Count(**_REGION, max_groups=1),
    "count, rows": Count(**_RECORDS),
    "sum": Sum("temp", bounds=_BOUNDS),
    "sum, where": Sum("temp", bounds=_BOUNDS, where="hour >= 8"),
    "sum, rows": Sum("temp", bounds=_BOUNDS, **_RECORDS),
    "mean": Mean("temp", bounds=_BOUNDS),
    "mean, by": Mean("temp", bounds=_BOUNDS, **_REGION),
    "mean, rows": Mean("temp", bounds=_BOUNDS, **_RECORDS),
    "variance": Variance("temp", bounds=_BOUNDS),
    "variance, rows": Variance("temp", bounds=_BOUNDS, **_RECORDS),
    "histogram": Histogram("temp", edges=_EDGES),
    "histogram, by": Histogram("temp", edges=_EDGES, **_REGION),
    "histogram, rows": Histogram("temp", edges=_EDGES, **_RECORDS),
}


@dataclass(frozen=True)
class Setting:
    """Who sees what, and what it is paid."""

    trust: Trust
    cost: Mapping[str, Any]


SETTINGS: Mapping[str, Setting] = {
    "central": Setting(Central(), {"rho": 0.5}),
    "central, pure": Setting(Central(), {"epsilon": 1.0}),
    "secure aggregation": Setting(SecureAggregation(simulate=True, dropout=0.0, corrupt=0.0), {"rho": 0.5}),
    "local": Setting(Local(), {"epsilon": 1.0}),
}


def command(
    statistics: Annotated[
        MaybeTexts,
        typer.Argument(metavar="[STATISTIC]...", help="count, sum, mean, variance, histogram.", show_default=False),
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All statistics.")] = False,
    trials: Annotated[int, typer.Option(min=16, metavar="N", help="Of each claim, on each neighbour.")] = TRIALS,
    ledger: Annotated[
        MaybeText, typer.Option(metavar="FILE", help="Write what is found into this ledger, as evidence.")
    ] = None,
    budget: Annotated[MaybeText, typer.Option(metavar="NAME", help="About which of its budgets.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON alone on standard output.")] = False,
) -> None:
    """Attack every statistic under every trust model, as a session would run it, and compare with what it is priced.

    Made-up fleets that differ in one extreme client; no data. The risk of any false alarm is 0.001.
    """
    names = _asked(statistics or [], everything=everything)
    kept = _kept(ledger, budget)
    begun, console = time.perf_counter(), screen(error=True)
    audits = {
        f"{question}; {setting}": partial(_one, question, setting, trials) for question in names for setting in SETTINGS
    }
    with console.status("") as status:
        found = family({name: _told(name, run, status.update) for name, run in audits.items()}, alpha=ALPHA)
    seconds = time.perf_counter() - begun
    if kept is not None:
        for _, report in found.reports:
            kept.record_audit(report)
    if json:
        typer.echo(text_of({"fedanalytics": __version__, **found.to_json(), "seconds": round(seconds, 1)}))
    else:
        _print(screen(), found, names, seconds)
    if found.verdict == "violated":
        raise typer.Exit(VIOLATED)


def _asked(statistics: list[str], *, everything: bool) -> list[str]:
    """The questions, by their names."""
    if everything == bool(statistics):
        raise BadArgument("say which statistics, such as `audit mean`, or --all")
    known = tuple(dict.fromkeys(name.partition(",")[0] for name in QUESTIONS))
    for one in statistics:
        _validate.one_of(known, STATISTIC=one)
    return [name for name in QUESTIONS if everything or name.partition(",")[0] in statistics]


def _kept(ledger: str | None, name: str | None) -> Budget | None:
    """The budget whose ledger keeps the reports; found before anything is run."""
    if ledger is None and name is None:
        return None
    if ledger is None or name is None:
        raise BadArgument("--ledger and --budget go together: evidence is about one budget")
    return existing(ledger, name)


def _one(question: str, setting: str, trials: int, confidence: float) -> AuditReport:
    chosen = SETTINGS[setting]
    return audit(QUESTIONS[question], trials=trials, confidence=confidence, trust=chosen.trust, **chosen.cost)


def _told(
    name: str, run: Callable[[float], AuditReport], tell: Callable[[str], None]
) -> Callable[[float], AuditReport]:
    """The same, announced."""

    def announced(confidence: float) -> AuditReport:
        tell(name)
        return run(confidence)

    return announced


def _print(console: Console, found: FamilyReport, names: list[str], seconds: float) -> None:
    made = table("statistic", *_COLUMNS)
    rows = iter(found.reports)
    for name in names:
        for setting, (_, report) in zip(SETTINGS, rows, strict=False):
            verdict = Text(report.verdict, style="bold red" if report.verdict == "violated" else "green")
            unit = report.unit.replace("epsilon", "ε")
            bound, limit = f"{unit} {report.lower_bound:.3f}", f"{report.limit:.3f}"
            made.add_row(name, setting, bound, limit, f"{report.trials:,}", verdict)
    console.print(made)
    for name, report in found.reports:
        if report.verdict == "violated":
            console.print(Text(f"\n{name}\n{report}", style="red"), soft_wrap=True)
    said = f"{len(found.violated)} of {len(found.reports)} claims violated" if found.violated else "nothing found"
    words = f"{said} · a risk of {found.alpha:g} of any false alarm · {seconds:.0f} s · consistent is no proof"
    console.print(Text(words, style="dim"), soft_wrap=True)
