"""``fedanalytics ledger amend``: another cap for a budget, on the record."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from fedanalytics.cli.balance import balance
from fedanalytics.cli.copies import existing
from fedanalytics.cli.hints import MaybeNumber
from fedanalytics.cli.ledgers import File
from fedanalytics.cli.printing import capped, print_balance
from fedanalytics.cli.screen import screen


def amend(
    file: File,
    budget: Annotated[str, typer.Argument(metavar="BUDGET", help="Its name.", show_default=False)],
    *,
    epsilon: Annotated[
        MaybeNumber, typer.Option(metavar="EPSILON", help="The new cap, at the same delta, of one in epsilon.")
    ] = None,
    rho: Annotated[MaybeNumber, typer.Option(metavar="RHO", help="The new cap of one in rho.")] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; for the record, which cannot be changed later.")],
) -> None:
    """Change the cap of a budget: a dated entry with your name and a reason.

    A raise holds for everything that was ever answered. No cap falls below what is spent.
    """
    held = existing(file, budget)
    before = balance(held)
    head = held.amend(epsilon=epsilon, rho=rho, reason=reason)
    after = balance(held)
    console = screen()
    print_balance(console, after)
    console.print(Text(f"the cap was {capped(before)}, and is {capped(after)} from now on: {reason}"), soft_wrap=True)
    console.print(Text(f"head {head}", style="dim"), soft_wrap=True)
