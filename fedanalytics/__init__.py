"""Privacy-focused federated analytics: typed computations, private statistics, a ledger that proves what was spent."""

from fedanalytics import privacy
from fedanalytics._version import __version__
from fedanalytics.errors import (
    BadArgument,
    BadType,
    BudgetExceeded,
    FedAnalyticsError,
    KeyReused,
    LedgerCorrupt,
    LedgerError,
    LedgerLocked,
    LedgerUnwritable,
    NotPrivate,
)
from fedanalytics.fleet import Fleet
from fedanalytics.ledger import Budget, Ledger, verify
from fedanalytics.round.together import together
from fedanalytics.session import Preview, Release, Session
from fedanalytics.statistics import count, histogram, mean, sum, variance  # noqa: A004  # the names people look for
from fedanalytics.trust import Central
from fedanalytics.types import (
    CLIENTS,
    SERVER,
    FederatedType,
    FunctionType,
    SequenceType,
    StructType,
    TensorType,
    parse_type,
)

__all__ = [
    "CLIENTS",
    "SERVER",
    "BadArgument",
    "BadType",
    "Budget",
    "BudgetExceeded",
    "Central",
    "FedAnalyticsError",
    "FederatedType",
    "Fleet",
    "FunctionType",
    "KeyReused",
    "Ledger",
    "LedgerCorrupt",
    "LedgerError",
    "LedgerLocked",
    "LedgerUnwritable",
    "NotPrivate",
    "Preview",
    "Release",
    "SequenceType",
    "Session",
    "StructType",
    "TensorType",
    "__version__",
    "count",
    "histogram",
    "mean",
    "parse_type",
    "privacy",
    "sum",
    "together",
    "variance",
    "verify",
]
