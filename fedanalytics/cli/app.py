"""The program: its commands, its help, its exit codes."""

from __future__ import annotations

from typing import Annotated

import typer

from fedanalytics._version import __version__
from fedanalytics.cli import audit, calibrate, epsilon, ledgers, officer, query, run, train
from fedanalytics.cli.failures import Group

CODES = (
    "Exit codes: 0 done, 2 bad input, 3 budget exceeded, 4 ledger does not verify, 5 ledger locked or unwritable, "
    "6 a round ended for want of clients, 7 an audit contradicts a claim, 8 a budget is spent to the mark of an alert."
)

app = typer.Typer(
    name="fedanalytics",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
ledger = typer.Typer(no_args_is_help=True, help="Look at a ledger: who spent what, what is left, is it true.")
app.command("run", epilog=f"Examples:\n{run.EXAMPLE}")(run.run)
app.command("query", epilog=f"Examples:\n{query.EXAMPLE}")(query.query)
app.command("train", epilog=f"Examples:\n{train.EXAMPLE}")(train.train)
app.command("calibrate", epilog=f"Examples:\n{calibrate.EXAMPLE}")(calibrate.calibrate)
app.command("epsilon", epilog=f"Examples:\n{epsilon.EXAMPLE}")(epsilon.epsilon)
app.command("audit", epilog=f"Examples:\n{audit.EXAMPLE}")(audit.command)
ledger.command("verify")(ledgers.verify)
ledger.command("head")(ledgers.head)
officer.join(app, ledger)
app.add_typer(ledger, name="ledger")


def _version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"fedanalytics {__version__}")
        raise typer.Exit


@app.callback()
def fedanalytics(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version.", callback=lambda asked: _version(asked=asked), is_eager=True
        ),
    ] = False,
) -> None:
    """Private statistics over data that stays where it is, paid from a ledger that proves what was spent."""


def main() -> None:
    """The console script."""
    app()
