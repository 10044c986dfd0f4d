"""``fedanalytics ledger``: who spent what, what is left, and whether it is true."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedanalytics.cli.balance import Balance, balance
from fedanalytics.cli.copies import copied, place
from fedanalytics.cli.drawings import NARROW
from fedanalytics.cli.exporting import text_of
from fedanalytics.cli.hints import MaybeText
from fedanalytics.cli.printing import print_balance
from fedanalytics.cli.screen import screen
from fedanalytics.ledger import BudgetState, Head
from fedanalytics.ledger import verify as verified
from fedanalytics.privacy import units
from fedanalytics.report.words import percent, plural

File = Annotated[
    str,
    typer.Argument(metavar="FILE", help="The ledger: its file, or postgresql://user@host/name.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="JSON alone on standard output.")]


def show(
    file: File,
    *,
    json: Json = False,
    last: Annotated[int, typer.Option(min=0, metavar="N", help="How many of the newest queries to show.")] = 20,
) -> None:
    """Show the budgets and what was asked of them. Nothing is changed; see `verify` for whether it is true."""
    with copied(file) as ledger:
        head = ledger.head()
        budgets = [(balance(budget), budget.spent.queries) for budget in ledger.budgets().values()]
    if json:
        rows = [{**whole.to_json(), "queries": list(queries)} for whole, queries in budgets]
        typer.echo(text_of({"ledger": place(file), "head": str(head), "budgets": rows}))
    else:
        _print(screen(), place(file), head, budgets, last)


def verify(
    file: File,
    *,
    head: Annotated[
        MaybeText, typer.Option(metavar="HEAD", help="A head kept elsewhere: then no past can have been cut off.")
    ] = None,
    json: Json = False,
) -> None:
    """Read a whole ledger and believe nothing: exit code 4 if something in it is not true."""
    found = verified(file, head)
    name = place(file)
    if json:
        budgets = {name: _state(state) for name, state in found.budgets.items()}
        named = {"ledger": name, "entries": found.entries, "head": str(found.head)}
        typer.echo(text_of({**named, "backdated": list(found.backdated), "budgets": budgets}))
        return
    console = screen()
    console.print(Text(f"{name} verifies: {found.entries} entries", style="bold green"), soft_wrap=True)
    for name, state in found.budgets.items():
        console.print(Text(f"  budget {name}: {', '.join(_said(state))}"), soft_wrap=True)
    if found.backdated:
        dated = ", ".join(map(str, found.backdated[:8]))
        many = ", ..." if len(found.backdated) > 8 else ""
        console.print(
            Text(f"dated before an earlier one, by more than clocks may differ: entry {dated}{many}", style="yellow"),
            soft_wrap=True,
        )
    console.print(Text(f"head {found.head}", style="dim"), soft_wrap=True)


def _said(state: BudgetState) -> Iterator[str]:
    """What verification found of a budget."""
    if state.fullest:
        yield f"{plural(state.windows, 'window')}, the fullest {percent(state.fullest.spent, state.cap)} spent"
    else:
        yield f"{percent(state.spent, state.cap)} spent"
    yield f"charged {state.charged}"
    yield f"by a second accountant {state.second}"
    if state.open:
        yield f"{len(state.open)} reserved without an answer"
    if state.amended:
        yield f"cap amended {plural(state.amended, 'time')}"
    violated = sum(verdict == "violated" for _, verdict in state.audits)
    if state.audits:
        yield f"{plural(len(state.audits), 'audit')}, {violated or 'none'} violated"


def _state(state: BudgetState) -> dict[str, Any]:
    losses = {
        name: {loss.counts: loss.amount, "delta": loss.delta, "method": loss.method}
        for name, loss in (("charged", state.charged), ("second_accountant", state.second))
    }
    counts = {"open": len(state.open), "windows": state.windows, "amended": state.amended}
    audits = [{"entry": entry, "verdict": verdict} for entry, verdict in state.audits]
    return {"cap": units.rho(state.cap), "spent": units.rho(state.spent), **counts, **losses, "audits": audits}


def head(file: File) -> None:
    """Print the head: keep it elsewhere, and `verify --head` sees any past that was rewritten or cut off."""
    with copied(file) as ledger:
        typer.echo(str(ledger.head()))


def _print(
    console: Console, name: str, head: Head, budgets: list[tuple[Balance, tuple[dict[str, Any], ...]]], last: int
) -> None:
    for whole, queries in budgets:
        print_balance(console, whole)
        if queries and last:
            console.print(_queries(whole, queries[-last:], wide=console.width >= NARROW))
        if len(queries) > last:
            console.print(Text(f"{len(queries) - last} older ones: see --last or --json", style="dim"))
    if not budgets:
        console.print(Text("no budget has been opened"))
    console.print(Text(f"ledger {name} at {head}", style="dim"), soft_wrap=True)


def _queries(whole: Balance, queries: tuple[dict[str, Any], ...], *, wide: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    if wide:
        table.add_column("entry", justify="right")
        table.add_column("time (UTC)", no_wrap=True)
    table.add_column("key", overflow="fold")
    if wide:
        table.add_column("query")
        table.add_column("by", overflow="fold")
    table.add_column("cost", justify="right", no_wrap=True)
    for row in queries:
        first = [str(row["seq"]), row["time"][:16].replace("T", " ")] * wide
        asked = row["query"] if row["state"] == "committed" else f"{row['query']}, unanswered"
        table.add_row(*first, row["key"], *[asked, row["actor"]] * wide, percent(row["units"], whole.cap))
    return table
