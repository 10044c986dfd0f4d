"""The officer's screen: who spent what on what, what is left, how long it lasts, and is it true.

Enters: rows and figures that are computed from a ledger's entries alone, pages and exports made of them. Stays out:
everything that asks, pays or decides; answers and raw data. A ledger is read, never changed.

`spends` turns entries into accounts; `summary`, `forecast`, `sharing`, `claims` and `precision` say what they mean, and
are what the page (`page`, `charts`, `templates`), the exports (`registry`, `sheet`) and the commands all show.
"""

from fedanalytics.report.page import html_of
from fedanalytics.report.reading import Book, read
from fedanalytics.report.registry import registry
from fedanalytics.report.sheet import csv_of
from fedanalytics.report.spends import Account, Accounts, Spend, accounts
from fedanalytics.report.summary import Standing, Total, standing, totals
from fedanalytics.report.writing import watch, write

__all__ = [
    "Account",
    "Accounts",
    "Book",
    "Spend",
    "Standing",
    "Total",
    "accounts",
    "csv_of",
    "html_of",
    "read",
    "registry",
    "standing",
    "totals",
    "watch",
    "write",
]
