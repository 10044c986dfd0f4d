"""Every error this package raises, as one tree.

```
FedAnalyticsError
├── BadArgument (ValueError)      what the caller wrote cannot be meant: the message names it and the fix
├── BadType (TypeError)           types or placements that do not fit, found while tracing
├── DataChanged                   a file under a fleet is gone, or is not what it was when the fleet was made
├── NotPrivate                    an exact value would leave a session
├── BudgetExceeded                the budget cannot pay: says asked, left and the largest cost that fits
├── KeyReused                     an idempotency key that already stands for another question
├── RoundAborted                  too few clients came through: nothing was unmasked, what was reserved stays spent
└── LedgerError                   the budget's store
    ├── LedgerLocked              another process holds it for too long
    ├── LedgerUnwritable          disk full, read-only, gone
    └── LedgerCorrupt             an entry, a result or a balance that does not verify
```

All but RoundAborted are raised before anything is reserved, so nothing is spent. What a *client* holds never raises (it
contributes the null vector instead), because an error that depends on one client's data is an unpaid release.
"""

from __future__ import annotations

__all__ = [
    "BadArgument",
    "BadType",
    "BudgetExceeded",
    "DataChanged",
    "FedAnalyticsError",
    "KeyReused",
    "LedgerCorrupt",
    "LedgerError",
    "LedgerLocked",
    "LedgerUnwritable",
    "NotPrivate",
    "RoundAborted",
]


class FedAnalyticsError(Exception):
    """The root: ``except fa.FedAnalyticsError`` catches every error of this package."""


class BadArgument(FedAnalyticsError, ValueError):
    """An argument whose value cannot be meant."""


class BadType(FedAnalyticsError, TypeError):
    """Types or placements that do not fit together."""


class DataChanged(FedAnalyticsError):
    """A file under a fleet is gone or was changed; make the fleet again."""


class NotPrivate(FedAnalyticsError):
    """A session was asked for something that releases an exact value."""


class BudgetExceeded(FedAnalyticsError):
    """The cost does not fit into what is left of the budget; nothing was spent."""


class KeyReused(FedAnalyticsError):
    """The same idempotency key with another question."""


class RoundAborted(FedAnalyticsError):
    """A round of secure aggregation ended without a sum."""


class LedgerError(FedAnalyticsError):
    """Something is wrong with the budget's store."""


class LedgerLocked(LedgerError):
    """Another process holds the ledger."""


class LedgerUnwritable(LedgerError):
    """The ledger's storage refused to write; nothing was reserved or committed."""


class LedgerCorrupt(LedgerError):
    """The ledger does not verify."""
