"""The type of a value that has none written beside it."""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np

from fedanalytics.errors import BadType
from fedanalytics.types.base import Type
from fedanalytics.types.dtypes import as_dtype
from fedanalytics.types.kinds import SequenceType, StructType, TensorType
from fedanalytics.types.records import fields_of

_PYTHON = {cls: TensorType(cls) for cls in (bool, int, float, complex, str)}


def type_of(value: Any) -> Type:
    """The type of a Python or numpy value.

    Numbers and text are tensors (a Python int is `int64`, a float `float64`), arrays have their dtype and shape, dicts,
    named tuples, dataclass instances and tuples are structs, and lists are sequences of the one type all elements have.

    Raises:
        BadType: an int beyond int64, a list that is empty or mixed, or a value that no type describes.

    >>> type_of({"x": [1.5, 2.0], "n": 3, "name": "JFK"})
    <x=float64*,n=int64,name=str>
    """
    if type(value) in _PYTHON:
        return _checked(value)
    if isinstance(value, (np.ndarray, np.generic)):
        dtype = as_dtype(value.dtype)
        if dtype is not None:
            return TensorType(dtype, value.shape)
    elif isinstance(value, list):
        return SequenceType(_element(value))
    fields = fields_of(value)
    if fields is not None:
        return StructType(tuple((_name(key), type_of(item)) for key, item in fields))
    raise BadType(f"{reprlib.repr(value)} ({type(value).__name__}) has no type; give numbers, text, arrays or records")


def _checked(value: Any) -> Type:
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise BadType(f"{value} does not fit int64; write its type, such as np.uint64({value}), or use a float")
    return _PYTHON[type(value)]


def _element(values: list[Any]) -> Type:
    if not values:
        raise BadType("an empty list has no element type; write the type, or give np.empty((0,), np.float64)")
    kinds = dict.fromkeys(map(type_of, values))
    if len(kinds) > 1:
        raise BadType(
            f"the elements of a list must have one type, found {', '.join(map(str, kinds))}; a tuple may mix types"
        )
    return next(iter(kinds))


def _name(key: Any) -> str | None:
    if key is not None and not isinstance(key, str):
        raise BadType(f"a record's keys must be strings, got {key!r}")
    return key
