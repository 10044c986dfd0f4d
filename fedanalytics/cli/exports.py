"""``fedanalytics ledger export``: the ledger for a spreadsheet, and for the registry of deployments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedanalytics import _validate
from fedanalytics.cli.exporting import text_of
from fedanalytics.cli.hints import MaybeText
from fedanalytics.cli.ledgers import File
from fedanalytics.errors import LedgerCorrupt
from fedanalytics.report import csv_of, read, registry
from fedanalytics.report.writing import replaced

FORMATS = ("csv", "registry")


def export(
    file: File,
    *,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="csv: a row per question. registry: drafts for the DP Deployments Registry, JSON, one per budget.",
        ),
    ] = "csv",
    output: Annotated[
        MaybeText, typer.Option("-o", "--output", metavar="FILE", help="A file; standard output unless given.")
    ] = None,
) -> None:
    """Write what stands in a ledger in another form. It is verified first: exit code 4 if something is not true."""
    _validate.one_of(FORMATS, format=form)
    book = read(file)
    if book.problem:
        raise LedgerCorrupt(book.problem)
    text = csv_of(book.accounts) if form == "csv" else text_of(registry(book)) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        replaced(Path(output), text)
