"""Python's own ways to spell a type, registered with `to_type`: scalar classes, record classes, generic aliases.

>>> from typing import NamedTuple
>>> class Reading(NamedTuple):
...     temp: float
...     station: str
>>> to_type(list[Reading])
<temp=float64,station=str>*
"""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import inspect
import types
import typing
from typing import Any

from fedanalytics.errors import BadType
from fedanalytics.types.base import Type, to_type
from fedanalytics.types.dtypes import as_dtype
from fedanalytics.types.kinds import SequenceType, StructType, TensorType

_SEQUENCES = (list, collections.abc.Sequence, collections.abc.Iterable)

# The class of `typing.List[int]` is private; an instance of it is not.
_TYPING_ALIAS = type(typing.List[int])  # noqa: UP006


@to_type.register
def _(spec: type) -> Type:
    dtype = as_dtype(spec)
    if dtype is not None:
        return TensorType(dtype)
    names = _field_names(spec)
    if names is None:
        return to_type.dispatch(object)(spec)
    try:
        hints = _annotations(spec)
        fields = [(name, hints[name]) for name in names]
    except (NameError, AttributeError, SyntaxError, TypeError, KeyError) as error:
        raise BadType(f"the fields of {spec.__qualname__} need annotations that can be resolved: {error}") from error
    try:
        return StructType(fields)
    except RecursionError:
        raise BadType(f"{spec.__qualname__} refers to itself; a type has a fixed depth") from None


def _annotations(cls: type) -> dict[str, Any]:
    """What the fields are annotated with; a dataclass may use our own types, which `typing` would refuse."""
    if not dataclasses.is_dataclass(cls):
        return typing.get_type_hints(cls)
    return dict(collections.ChainMap(*(inspect.get_annotations(base, eval_str=True) for base in cls.__mro__)))


def _field_names(cls: type) -> tuple[str, ...] | None:
    """The names of a record class in order, or None for any other class."""
    if issubclass(cls, Type):  # TensorType is a dataclass, and still no spelling of a struct
        return None
    if dataclasses.is_dataclass(cls):
        return tuple(field.name for field in dataclasses.fields(cls))
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return tuple(cls._fields)
    return tuple(typing.get_type_hints(cls)) if typing.is_typeddict(cls) else None


@to_type.register(types.GenericAlias)
@to_type.register(_TYPING_ALIAS)
def _(spec: Any) -> Type:
    origin, arguments = typing.get_origin(spec), typing.get_args(spec)
    if origin in _SEQUENCES or (origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis):
        return SequenceType(to_type(arguments[0]))
    if origin is tuple:
        return StructType(tuple((None, to_type(argument)) for argument in arguments))
    return to_type.dispatch(object)(spec)
