"""What every type is, and the one function that reads anything as a type.

`to_type` is a generic function: each file of this room that knows a way to write a type registers it here
(`notation` the compact notation, `spelling` Python's own classes and containers), so that the constructors can accept
all of them without knowing any.
"""

from __future__ import annotations

import reprlib
from abc import ABC, abstractmethod
from functools import singledispatch
from typing import Any

from fedanalytics.errors import BadType

_ACCEPTED = (
    "a type; a numpy dtype such as np.float32; bool, int, float, complex or str; (dtype, shape); "
    "a compact text such as '<a=float32,b=int32[3]>'; a dict, a tuple, or a list of (name, type) pairs; "
    "a dataclass, NamedTuple or TypedDict class; list[T]"
)


class Type(ABC):
    """A type: frozen, hashable, compared by structure, printed in the compact notation."""

    __slots__ = ()

    @abstractmethod
    def __str__(self) -> str: ...

    def __repr__(self) -> str:
        return str(self)


@singledispatch
def to_type(spec: Any) -> Type:
    """Reads `spec` as a type.

    | `spec` | type |
    |---|---|
    | a type | itself |
    | `np.float32`, `np.dtype("float32")` | `float32` |
    | `bool`, `int`, `float`, `complex`, `str` | `bool`, `int64`, `float64`, `complex128`, `str` |
    | `(np.float32, (3, None))` | `float32[3,?]` |
    | `"<a=float32,b=int32[3]>"` | the compact notation, see `parse_type` |
    | `{"a": np.float32}`, `[("a", np.float32)]` | `<a=float32>` |
    | `(np.float32, int)`, `tuple[np.float32, int]` | `<float32,int64>` |
    | a dataclass, NamedTuple or TypedDict class | a struct of its annotated fields |
    | `list[T]`, `Sequence[T]`, `Iterable[T]`, `tuple[T, ...]` | `T*` |

    Raises:
        BadType: `spec` is none of these.

    >>> import numpy as np
    >>> to_type({"x": (np.float32, (2, None)), "n": int})
    <x=float32[2,?],n=int64>
    """
    raise BadType(f"{reprlib.repr(spec)} cannot be read as a type; write {_ACCEPTED}")


@to_type.register
def _(spec: Type) -> Type:
    return spec
