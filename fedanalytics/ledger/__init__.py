"""What it cost: budgets, and the append-only store that proves it.

Enters: budgets with their terms, windows and actors, reservations and answers, the hash chain, verification with an
accountant of its own. Stays out: queries' meaning, trust models, fleets; never raw data.
"""

from fedanalytics.ledger.amount import Amount
from fedanalytics.ledger.budget import Budget
from fedanalytics.ledger.entries import Entry
from fedanalytics.ledger.heads import Head
from fedanalytics.ledger.ledger import Ledger
from fedanalytics.ledger.plans import Answer, Plan, Reservation, StoredAnswer
from fedanalytics.ledger.second import Loss
from fedanalytics.ledger.verification import BudgetState, Verification, WindowState, verify
from fedanalytics.ledger.windows import Window

__all__ = [
    "Amount",
    "Answer",
    "Budget",
    "BudgetState",
    "Entry",
    "Head",
    "Ledger",
    "Loss",
    "Plan",
    "Reservation",
    "StoredAnswer",
    "Verification",
    "Window",
    "WindowState",
    "verify",
]
