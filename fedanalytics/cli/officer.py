"""The commands for the privacy officer, in one place: the page, the exports, caps, what is left and for how long."""

from __future__ import annotations

import typer

from fedanalytics.cli import amend, exports, outlook, reports, spending


def join(app: typer.Typer, ledger: typer.Typer) -> None:
    """Give the program its report, and ``ledger`` what an officer asks of it."""
    app.command("report", epilog=f"Examples:\n{reports.EXAMPLE}")(reports.report)
    ledger.command("show")(spending.show)
    ledger.command("remaining")(outlook.remaining)
    ledger.command("forecast")(outlook.forecast)
    ledger.command("alert")(outlook.alert)
    ledger.command("amend")(amend.amend)
    ledger.command("export")(exports.export)
