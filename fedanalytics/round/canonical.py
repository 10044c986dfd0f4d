"""One JSON text for one meaning: the form that is hashed, stored and compared."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
from fractions import Fraction
from typing import Any

import numpy as np

from fedanalytics.errors import BadArgument


def canonical(value: Any) -> Any:
    """The JSON form of plain data, frozen dataclasses and numbers.

    A dataclass becomes ``{"is": its name, field: ...}``; an object with a ``describe()`` method speaks for itself.
    Non-finite floats and fractions become text, so that the result is standard JSON.

    Raises:
        BadArgument: a value has no canonical form (a function, an open file).

    Example:
        >>> canonical({"edges": (0.0, math.inf), "share": Fraction(1, 3)})
        {'edges': [0.0, 'inf'], 'share': '1/3'}
    """
    if hasattr(value, "describe") and not isinstance(value, type):
        return canonical(value.describe())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: canonical(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"is": type(value).__name__, **fields}
    if isinstance(value, enum.Enum):
        return value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, dict):
        return {str(k): canonical(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [canonical(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return {"dtype": str(value.dtype), "values": canonical(value.tolist())}
    raise BadArgument(f"a {type(value).__name__} cannot stand in a query: {value!r} has no canonical form")


def canonical_json(value: Any) -> str:
    """`canonical` as text: sorted keys, no spaces."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical text, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
