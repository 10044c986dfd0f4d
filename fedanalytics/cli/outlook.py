"""``fedanalytics ledger remaining``, ``forecast`` and ``alert``: what is left, for how long, and a word to cron."""

from __future__ import annotations

import math
from typing import Annotated

import typer
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from fedanalytics.cli.copies import check_known
from fedanalytics.cli.drawings import NARROW, table
from fedanalytics.cli.exporting import text_of
from fedanalytics.cli.hints import MaybeText
from fedanalytics.cli.ledgers import File, Json
from fedanalytics.cli.screen import screen
from fedanalytics.cli.spans import part
from fedanalytics.privacy import units
from fedanalytics.report import Book, Standing, read, standing
from fedanalytics.report.forecast import DAYS, Pace
from fedanalytics.report.words import day, lasting, percent, shortened

ALERT = 8  # exit code: a budget is spent to the mark
_WEEK, _EVER = 7.0, math.inf
LEFT: JustifyMethod = "left"
RIGHT: JustifyMethod = "right"


def remaining(file: File, *, json: Json = False) -> None:
    """Show what is left of each budget. Nothing is verified; see `verify`."""
    book = read(file, believing=True)
    if json:
        _print_json(book)
        return
    console = screen()
    wide = console.width >= NARROW
    made = table("budget", ("left", RIGHT), *[("of it in units", RIGHT), ("cap", LEFT)] * wide)
    for each in _standings(book):
        more = [f"{each.counts} {units.rho(each.left):.4g}", each.cap] * wide
        made.add_row(shortened(each.name), percent(each.left, each.account.cap), *more)
    _print(console, book, made)


def forecast(file: File, *, json: Json = False) -> None:
    """Show how long each budget lasts at the pace of the last week, of the last four weeks, and of its whole life.

    A forecast knows nothing of what people will ask. Nothing is verified; see `verify`.
    """
    book = read(file, believing=True)
    if json:
        _print_json(book)
        return
    console = screen()
    wide = console.width >= NARROW
    titles = ("at 7 days' pace", "28 days'", "all days'") if wide else ("lasts",)
    made = table("budget", ("left", RIGHT), *((title, RIGHT) for title in titles), *[("empty on", RIGHT)] * wide)
    for each in _standings(book):
        paces = [standing(each.account, book.now, days).pace for days in ((_WEEK, DAYS, _EVER) if wide else (DAYS,))]
        ends = each.pace.ends if each.pace.units and not each.pace.lasts else None
        cells = [percent(each.left, each.account.cap), *map(_lasts, paces), *[day(ends) if ends else "-"] * wide]
        made.add_row(shortened(each.name), *cells)
    _print(console, book, made)


def alert(
    file: File,
    *,
    at: Annotated[str, typer.Option(metavar="PART", help="Speak when so much is spent, as in 80%.")] = "80%",
    budget: Annotated[MaybeText, typer.Option(metavar="NAME", help="Only this budget; all unless given.")] = None,
) -> None:
    """For cron: silent while every budget has enough; else one line, and exit code 8."""
    mark = part(at, "--at")
    book = read(file, believing=True)
    if budget is not None:
        check_known("--budget", budget, book.accounts.by_name)
    low = [each for each in _standings(book) if each.part >= mark and budget in {None, each.name}]
    if low:
        typer.echo("; ".join(map(_warning, low)) + f" (alert at {at.strip()}, ledger {book.place})")
        raise typer.Exit(ALERT)


def _warning(each: Standing) -> str:
    return f"budget {shortened(each.name)}: {percent(each.account.spent, each.account.cap)} spent, {_left(each.pace)}"


def _left(pace: Pace) -> str:
    if pace.left <= 0:
        return f"nothing left until {day(pace.renews)}" if pace.renews else "nothing left"
    if pace.lasts:
        return "lasts until the next window at this pace"
    return f"lasts {lasting(pace.days_left)} at this pace" if pace.units else f"nothing spent in {lasting(pace.days)}"


def _lasts(pace: Pace) -> str:
    if pace.lasts:
        return "its window"
    return lasting(pace.days_left) if pace.units or pace.left <= 0 else "-"


def _standings(book: Book) -> list[Standing]:
    return [standing(account, book.now) for account in book.accounts.by_name.values()]


def _print_json(book: Book) -> None:
    rows = [each.to_json() for each in _standings(book)]
    typer.echo(text_of({"ledger": book.place, "head": str(book.head), "budgets": rows}))


def _print(console: Console, book: Book, made: Table) -> None:
    console.print(made if book.accounts.by_name else Text("no budget has been opened"))
    console.print(Text(f"ledger {book.place} at {book.head}", style="dim"), soft_wrap=True)
