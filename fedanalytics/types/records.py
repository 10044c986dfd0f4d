"""Python's records seen as fields: dicts, named tuples, dataclass instances, and plain tuples by position."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


def fields_of(value: object) -> tuple[tuple[Any, Any], ...] | None:
    """The (key, value) pairs of a record; the key is None in a plain tuple. None if `value` is no record.

    >>> fields_of({"a": 1}), fields_of((1, 2)), fields_of("text")
    ((('a', 1),), ((None, 1), (None, 2)), None)
    """
    if isinstance(value, Mapping):
        return tuple(value.items())
    if isinstance(value, tuple):
        names = getattr(value, "_fields", (None,) * len(value))
        return tuple(zip(names, value, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    return None
