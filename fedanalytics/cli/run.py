"""``fedanalytics run``: a study."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from fedanalytics.cli.carrying import Manner, carry_out
from fedanalytics.cli.hints import MaybeText
from fedanalytics.cli.job import Job
from fedanalytics.cli.study import load, period, template
from fedanalytics.errors import BadArgument

EXAMPLE = """
    fedanalytics run examples/aircraft.toml --dry-run

    fedanalytics run examples/aircraft.toml --ledger aircraft.db --out results
"""


def run(
    study: Annotated[str, typer.Argument(metavar="STUDY.toml", help="The study.", show_default=False)],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would cost and be worth; spend nothing, see no data.")
    ] = False,
    ledger: Annotated[MaybeText, typer.Option(metavar="FILE", help="The ledger; instead of the study's.")] = None,
    key: Annotated[MaybeText, typer.Option(metavar="KEY", help="Instead of the study's, which is the date.")] = None,
    out: Annotated[
        MaybeText, typer.Option(metavar="DIR", help="Write results.json, results.csv and receipts.json there.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON alone on standard output.")] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Show exact values beside. NOT PRIVATE: for public data only.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait for a ledger in use.")
    ] = 30.0,
) -> None:
    """Ask the questions of a study, all in one pass, and pay from its budget.

    Run again with the same key (by default: on the same UTC day), it shows the stored answers and spends nothing.
    """
    manner = Manner(dry_run, json, out, exact)
    carry_out(_job(study, key, ledger, wait), manner)


def _job(path: str, key: str | None, ledger: str | None, wait: float) -> Job:
    study = load(path)
    try:
        written = study.key if key is None else template(key)
    except BadArgument as error:
        raise BadArgument(f"--key {error}") from error
    now = period(written, dt.datetime.now(dt.UTC))
    file = ledger or study.funds.ledger
    if file is None:
        raise BadArgument(f"{path}: budget.ledger is missing: name the ledger's file there, or by --ledger")
    keys, paid = tuple(study.keys(now)), study.funds
    return Job(study.name, now, study.source, paid, study.trusted, study.questions, keys, file, wait)
