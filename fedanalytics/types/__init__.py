"""What a value is and where it lives: the language in which a federated computation is checked.

This room knows five kinds of type (tensor, struct, sequence, function, federated), their compact notation, which type
may stand where another is expected, and the canonical numpy form of a value. Enters: whatever is true of a type or a
value before anything is computed. Stays out: operators, tracing, clients, noise and cost.

>>> import numpy as np
>>> FunctionType(FederatedType(np.float32, CLIENTS), FederatedType(np.float32, SERVER))
({float32}@CLIENTS -> float32@SERVER)
"""

from __future__ import annotations

# `spelling` is imported for its effect too: it registers Python's own spellings of a type with `to_type`.
from fedanalytics.types import spelling as _spelling  # noqa: F401
from fedanalytics.types.assignability import check_assignable, is_assignable
from fedanalytics.types.base import Type, to_type
from fedanalytics.types.conform import conform, conform_clients
from fedanalytics.types.inference import type_of
from fedanalytics.types.kinds import FederatedType, FunctionType, SequenceType, StructType, TensorType
from fedanalytics.types.notation import parse_type
from fedanalytics.types.placement import CLIENTS, SERVER, Placement
from fedanalytics.types.zero import zeros

__all__ = [
    "CLIENTS",
    "SERVER",
    "FederatedType",
    "FunctionType",
    "Placement",
    "SequenceType",
    "StructType",
    "TensorType",
    "Type",
    "check_assignable",
    "conform",
    "conform_clients",
    "is_assignable",
    "parse_type",
    "to_type",
    "type_of",
    "zeros",
]
