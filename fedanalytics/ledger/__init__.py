"""What it cost: budgets, and the append-only store that proves it.

Enters: budgets with their terms, reservations and answers, the hash chain, verification. Stays out: queries' meaning,
trust models, fleets; never raw data.
"""

from fedanalytics.ledger.amount import Amount
from fedanalytics.ledger.budget import Budget
from fedanalytics.ledger.entries import Entry
from fedanalytics.ledger.heads import Head
from fedanalytics.ledger.ledger import Ledger
from fedanalytics.ledger.plans import Answer, Plan, Reservation, StoredAnswer
from fedanalytics.ledger.verification import BudgetState, Verification, verify

__all__ = [
    "Amount",
    "Answer",
    "Budget",
    "BudgetState",
    "Entry",
    "Head",
    "Ledger",
    "Plan",
    "Reservation",
    "StoredAnswer",
    "Verification",
    "verify",
]
