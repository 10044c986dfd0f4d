"""The ledger as a table: CSV, a row for each question."""

from __future__ import annotations

import csv
import io
import json

from fedanalytics.privacy import units
from fedanalytics.report.columns import said
from fedanalytics.report.spends import Accounts

COLUMNS = (
    "entry",
    "time",
    "budget",
    "actor",
    "key",
    "kind",
    "question",
    "columns",
    "trust",
    "relation",
    "event",
    "counts",
    "amount",
    "units",
    "part_of_budget",
    "window",
    "state",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_of(accounts: Accounts) -> str:
    r"""Every question, in the order of the ledger; lines end with a line feed.

    A text that a spreadsheet would take for a formula begins with an apostrophe instead.

    Example:
        >>> from fedanalytics.ledger import Ledger, Plan
        >>> from fedanalytics.privacy.events import Gaussian
        >>> from fedanalytics.report.spends import accounts
        >>> with Ledger(":memory:", actor="=1+1") as ledger:
        ...     plan = Plan("monday", {"is": "Count"}, Gaussian(10.0), 5 * 10**9, "central")
        ...     _ = ledger.budget("aircraft", rho=0.01).reserve([plan])
        ...     header, row, end = csv_of(accounts(ledger.entries())).split("\n")
        >>> row.split(",")[2:7], row.split(",")[-6:]
        (['aircraft', "'=1+1", 'monday', 'Count', 'Count'], ['rho', '0.005', '5000000000', '0.5', '', 'unanswered'])
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for spend in accounts.spends:
        account = accounts.by_name[spend.budget]
        texts = (spend.budget, spend.actor, spend.key, spend.kind, said(spend.question), " ".join(spend.columns))
        event = json.dumps(spend.event, sort_keys=True)
        numbers = (units.rho(spend.units), spend.units, spend.units / account.cap if account.cap else "")
        row = (*map(_plain, texts), _plain(spend.trust), spend.relation, event, account.terms.rule.counts, *numbers)
        writer.writerow((spend.seq, spend.time.isoformat(), *row, spend.window, spend.state))
    return buffer.getvalue()


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
