"""``fedanalytics report``: the page for the privacy officer."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer
from rich.text import Text

from fedanalytics.cli.screen import screen
from fedanalytics.errors import LedgerCorrupt
from fedanalytics.report import writing
from fedanalytics.report.reading import Book
from fedanalytics.report.words import plural

EXAMPLE = """
    fedanalytics report --ledger budget.db -o report.html

    fedanalytics report --ledger budget.db -o report.html --watch
"""


def report(
    *,
    ledger: Annotated[str, typer.Option(metavar="FILE", help="The ledger: its file, or postgresql://user@host/name.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="Where the page goes.")] = "report.html",
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, and write it again whenever the ledger grows.")
    ] = False,
) -> None:
    """Write one page about a ledger: who spent what, what is left, how long it lasts, is it true.

    The page is one file, works offline and without scripts, and holds no answers. Exit code 4 if the ledger does not
    verify; that is then written on top of the page.
    """
    if not watch:
        book = writing.write(ledger, output)
        if book.problem:
            raise LedgerCorrupt(f"{book.problem} ({output} says so on top)")
        _say(book, output)
        return
    try:
        writing.watch(ledger, output, lambda book: _say(book, output))
    except KeyboardInterrupt:  # the way in which it ends
        screen().print(Text("stopped", style="dim"))


def _say(book: Book, output: str) -> None:
    seen = f"{dt.datetime.now(dt.UTC):%H:%M:%S} UTC  {output}: {plural(len(book.accounts.by_name), 'budget')}"
    truth = "does NOT verify" if book.problem else "verified"
    style = "bold red" if book.problem else ""
    screen().print(Text(f"{seen}, {book.entries:,} entries, {truth}, head {book.head}", style=style), soft_wrap=True)
