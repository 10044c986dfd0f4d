"""Privacy-focused federated analytics: typed computations, private statistics, a ledger that proves what was spent.

>>> import numpy as np, fedanalytics as fa
>>> @fa.federated_computation(fa.FederatedType(np.float32, fa.CLIENTS))
... def get_average_temperature(sensor_readings):
...     return fa.federated_mean(sensor_readings)
>>> get_average_temperature.type_signature
({float32}@CLIENTS -> float32@SERVER)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fedanalytics._version import __version__

if TYPE_CHECKING:  # what a type checker reads; at run time `__getattr__` imports a name's home when it is first used
    from fedanalytics import privacy
    from fedanalytics.auditing import AuditReport, audit, audit_training, random_canaries
    from fedanalytics.computation import (
        clip,
        federated_aggregate,
        federated_average,
        federated_broadcast,
        federated_computation,
        federated_map,
        federated_max,
        federated_mean,
        federated_min,
        federated_sum,
        federated_value,
        federated_zip,
        local_computation,
    )
    from fedanalytics.errors import (
        BadArgument,
        BadType,
        BudgetExceeded,
        DataChanged,
        FedAnalyticsError,
        KeyReused,
        LedgerCorrupt,
        LedgerError,
        LedgerLocked,
        LedgerUnwritable,
        NotPrivate,
        RoundAborted,
    )
    from fedanalytics.fleet import Fleet
    from fedanalytics.ledger import Budget, Ledger, verify
    from fedanalytics.round.together import together
    from fedanalytics.session import Preview, Release, Session

    # Each is a submodule's name too, which mypy takes for a second definition; `sum` is the name people look for.
    from fedanalytics.statistics import count, histogram, mean, sum, variance  # type: ignore[no-redef]  # noqa: A004
    from fedanalytics.trust import Central, ClientPolicy, Local, NoiseStates, SecureAggregation
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

_HOMES = {
    "auditing": (
        "AuditReport",
        "audit",
        "audit_training",
        "random_canaries",
    ),
    "computation": (
        "clip",
        "federated_aggregate",
        "federated_average",
        "federated_broadcast",
        "federated_computation",
        "federated_map",
        "federated_max",
        "federated_mean",
        "federated_min",
        "federated_sum",
        "federated_value",
        "federated_zip",
        "local_computation",
    ),
    "errors": (
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
    ),
    "fleet": ("Fleet",),
    "ledger": (
        "Budget",
        "Ledger",
        "verify",
    ),
    "round.together": ("together",),
    "session": (
        "Preview",
        "Release",
        "Session",
    ),
    "statistics": (
        "count",
        "histogram",
        "mean",
        "sum",
        "variance",
    ),
    "trust": (
        "Central",
        "ClientPolicy",
        "Local",
        "NoiseStates",
        "SecureAggregation",
    ),
    "types": (
        "CLIENTS",
        "SERVER",
        "FederatedType",
        "FunctionType",
        "SequenceType",
        "StructType",
        "TensorType",
        "parse_type",
    ),
}

__all__ = [
    "CLIENTS",
    "SERVER",
    "AuditReport",
    "BadArgument",
    "BadType",
    "Budget",
    "BudgetExceeded",
    "Central",
    "ClientPolicy",
    "DataChanged",
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
    "Local",
    "NoiseStates",
    "NotPrivate",
    "Preview",
    "Release",
    "RoundAborted",
    "SecureAggregation",
    "SequenceType",
    "Session",
    "StructType",
    "TensorType",
    "__version__",
    "audit",
    "audit_training",
    "clip",
    "count",
    "federated_aggregate",
    "federated_average",
    "federated_broadcast",
    "federated_computation",
    "federated_map",
    "federated_max",
    "federated_mean",
    "federated_min",
    "federated_sum",
    "federated_value",
    "federated_zip",
    "histogram",
    "local_computation",
    "mean",
    "parse_type",
    "privacy",
    "random_canaries",
    "sum",
    "together",
    "variance",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used, so that ``import fedanalytics`` costs next to nothing."""
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"fedanalytics.{home}"), name)
            globals()[name] = value
            return value
    if name in {"auditing", "datasets", "learning", "privacy"}:
        return importlib.import_module(f"fedanalytics.{name}")
    raise AttributeError(f"module 'fedanalytics' has no attribute {name!r}{_hint(name)}")


def __dir__() -> list[str]:
    return [*__all__, "auditing", "datasets", "learning"]


def _hint(name: str) -> str:
    from fedanalytics._validate import did_you_mean  # noqa: PLC0415  # only an error needs it

    return did_you_mean(name, __all__)
