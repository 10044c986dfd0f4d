"""``fedanalytics ledger show``: the budgets and what was asked; or what was spent, by person, column, kind or day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fedanalytics import _validate
from fedanalytics.cli import ledgers
from fedanalytics.cli.drawings import NARROW, table
from fedanalytics.cli.exporting import text_of
from fedanalytics.cli.hints import MaybeText
from fedanalytics.cli.ledgers import File, Json
from fedanalytics.cli.plots import bar
from fedanalytics.cli.screen import screen
from fedanalytics.cli.spans import moment
from fedanalytics.privacy import units
from fedanalytics.report import Account, Book, Total, read, totals
from fedanalytics.report.summary import BY
from fedanalytics.report.summary import since as later
from fedanalytics.report.words import minute, percent, shortened


def show(
    file: File,
    *,
    json: Json = False,
    last: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many of the newest queries, or rows, to show.")
    ] = 20,
    by: Annotated[MaybeText, typer.Option(metavar="WHAT", help="Sum up by actor, column, kind or day instead.")] = None,
    since: Annotated[
        MaybeText, typer.Option(metavar="WHEN", help="Sum up from then on only: 12h, 30d, 4w ago, or 2026-11-01.")
    ] = None,
) -> None:
    """Show the budgets and what was asked of them. Nothing is changed; see `verify` for whether it is true."""
    if by is None and since is None:
        ledgers.show(file, json=json, last=last)
        return
    book = read(file, believing=True)
    sums = Sums(book, by or "actor", None if since is None else moment(since, book.now))
    if json:
        typer.echo(text_of(sums.to_json()))
    else:
        _print(screen(), sums, last)


@dataclass(frozen=True)
class Sums:
    """What was spent of each budget, by something, from a moment on; of all time for None."""

    book: Book
    by: str
    start: dt.datetime | None

    def __post_init__(self) -> None:
        _validate.one_of(BY, by=self.by)

    def rows(self, account: Account) -> tuple[Total, ...]:
        """Of one budget."""
        return totals(later(account.spends, self.start), self.by)

    def whole(self, account: Account) -> int:
        """The units of one budget; a question of several columns counts once."""
        return sum(spend.paid for spend in later(account.spends, self.start))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        budgets = [
            {
                "budget": name,
                "spent_units": self.whole(account),
                "rows": [self._row(total, account) for total in self.rows(account)],
            }
            for name, account in self.book.accounts.by_name.items()
        ]
        when = self.start.isoformat(timespec="seconds") if self.start else None
        names = {"ledger": self.book.place, "head": str(self.book.head)}
        return {**names, "by": self.by, "since": when, "budgets": budgets}

    def _row(self, total: Total, account: Account) -> dict[str, Any]:
        return {
            self.by: total.name,
            "queries": total.questions,
            "units": total.units,
            account.terms.rule.counts: units.rho(total.units),
            "part_of_budget": total.units / account.cap if account.cap else None,
            "last": total.last.isoformat(timespec="seconds"),
        }


def _print(console: Console, sums: Sums, last: int) -> None:
    when = f" since {minute(sums.start)} UTC" if sums.start else ""
    for name, account in sums.book.accounts.by_name.items():
        spent = percent(sums.whole(account), account.cap)
        title = Text.assemble((f"budget {shortened(name)}", "bold"), f"  {spent} spent{when}")
        console.print(Padding(title, (1, 0, 0, 0)))
        found = sums.rows(account)
        shown = found[max(len(found) - last, 0) :] if sums.by == "day" else found[:last]
        if shown:
            console.print(_table(sums.by, shown, account, wide=console.width >= NARROW))
        if len(found) > len(shown):
            console.print(Text(f"{len(found) - len(shown):,} more: see --last or --json", style="dim"))
    if not sums.book.accounts.by_name:
        console.print(Text("no budget has been opened"))
    console.print(Text(f"ledger {sums.book.place} at {sums.book.head}", style="dim"), soft_wrap=True)


def _table(by: str, rows: Sequence[Total], account: Account, *, wide: bool) -> Table:
    made = table(by, ("queries", "right"), ("of the budget", "right"))
    if wide:
        made.add_column("")
    most = max(1, *(total.units for total in rows))
    for total in rows:
        line = [bar(total.units, total.units, most)] * wide
        cells = [f"{total.questions:,}", percent(total.units, account.cap)]
        made.add_row(shortened(total.name or "(no name)", 60), *cells, *line)
    return made
