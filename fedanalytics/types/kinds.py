"""The five kinds of type.

| kind | notation | a value |
|---|---|---|
| tensor | `float32`, `int32[2,?]`, `str` | a number, a text, an array |
| struct | `<a=float32,b=int32[3]>`, `<float32,int32>` | a dict, a tuple |
| sequence | `int64*` | any number of elements in order |
| function | `(T -> U)`, `( -> U)` | a computation; several parameters are one struct |
| federated | `{float32}@CLIENTS`, `float32@SERVER` | a value per client; one value |

The notation is that of TensorFlow Federated (its guide "Federated Core", section "Type System").
Constructors take whatever `to_type` reads; a type checker is told so by the declarations of `__init__`.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fedanalytics._validate import did_you_mean
from fedanalytics.errors import BadType
from fedanalytics.types.base import Type, to_type
from fedanalytics.types.dtypes import DTYPES, as_dtype, name_of
from fedanalytics.types.placement import SERVER, Placement

Field: TypeAlias = tuple[str | None, Type]


@dataclass(frozen=True, slots=True, repr=False)
class TensorType(Type):
    """A number, a text or an array of them.

    Attributes:
        dtype: a numpy dtype in native byte order; text has `np.dtype(str)`.
        shape: extents, None where any extent will do.

    Raises:
        BadType: a dtype outside the closed set, or an extent that is neither None nor a whole number >= 0.

    >>> import numpy as np
    >>> TensorType(np.int32, (2, None))
    int32[2,?]
    """

    dtype: np.dtype[Any]
    shape: tuple[int | None, ...] = ()

    if TYPE_CHECKING:

        def __init__(self, dtype: Any, shape: Iterable[int | None] = ()) -> None: ...

    def __post_init__(self) -> None:
        dtype = as_dtype(self.dtype)
        if dtype is None:
            raise BadType(
                f"dtype= must be one of {', '.join(DTYPES)}, got {self.dtype!r}{did_you_mean(self.dtype, DTYPES)}"
            )
        if isinstance(self.shape, str) or not isinstance(self.shape, Iterable):
            raise BadType(f"shape= must be a tuple of extents such as (3,), got {self.shape!r}")
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "shape", tuple(map(_extent, self.shape)))

    def __str__(self) -> str:
        extents = ",".join("?" if extent is None else str(extent) for extent in self.shape)
        return name_of(self.dtype) + (f"[{extents}]" if self.shape else "")


@dataclass(frozen=True, slots=True, repr=False)
class StructType(Type):
    """Values side by side, each with a name, or without one, in order.

    Attributes:
        fields: (name, type) pairs; the name is an identifier, or None for a field known by its position.

    Raises:
        BadType: a name that is no identifier, or that appears twice.

    >>> import numpy as np
    >>> struct = StructType([("a", np.float32), ("b", (np.int32, (3,)))])
    >>> struct, struct["a"], struct[1], len(struct)
    (<a=float32,b=int32[3]>, float32, int32[3], 2)
    """

    fields: tuple[Field, ...]

    if TYPE_CHECKING:

        def __init__(self, fields: Any) -> None: ...

    def __post_init__(self) -> None:
        given = self.fields.items() if isinstance(self.fields, Mapping) else self.fields
        if isinstance(given, (str, Type)) or not isinstance(given, Iterable):
            raise BadType(f"fields= must be a dict or a list of (name, type) pairs, got {self.fields!r}")
        fields = tuple(map(_field, given))
        names = [name for name, _ in fields if name is not None]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise BadType(f"two fields are called {twice!r}; a struct's names must differ")
        object.__setattr__(self, "fields", fields)

    @property
    def names(self) -> tuple[str | None, ...]:
        """The fields' names in order."""
        return tuple(name for name, _ in self.fields)

    @property
    def types(self) -> tuple[Type, ...]:
        """The fields' types in order."""
        return tuple(member for _, member in self.fields)

    @property
    def named(self) -> bool:
        """Whether every field has a name, so that a value is a dict; else it is a tuple."""
        return bool(self.fields) and None not in self.names

    def __len__(self) -> int:
        return len(self.fields)

    def __bool__(self) -> bool:
        return True  # "if parameter:" asks whether there is one, and the empty struct is one

    def __iter__(self) -> Iterator[Type]:
        return iter(self.types)

    def __getitem__(self, key: str | int) -> Type:
        known = [name for name in self.names if name is not None]
        if isinstance(key, str) and key in known:
            return self.types[self.names.index(key)]
        if isinstance(key, int) and -len(self) <= key < len(self):
            return self.types[key]
        raise BadType(f"{self} has no field {key!r}{did_you_mean(key, known)}")

    def __str__(self) -> str:
        return f"<{','.join(f'{member}' if name is None else f'{name}={member}' for name, member in self.fields)}>"


@dataclass(frozen=True, slots=True, repr=False)
class SequenceType(Type):
    """Any number of elements of one type, in order: a client's data set.

    Raises:
        BadType: the element contains a function or a placed value.

    >>> SequenceType({"x": float, "y": int})
    <x=float64,y=int64>*
    """

    element: Type

    if TYPE_CHECKING:

        def __init__(self, element: Any) -> None: ...

    def __post_init__(self) -> None:
        element = to_type(self.element)
        _check_plain(element, "the element of a sequence")
        object.__setattr__(self, "element", element)

    def __str__(self) -> str:
        return f"{self.element}*"


@dataclass(frozen=True, slots=True, repr=False)
class FunctionType(Type):
    """From at most one parameter to one result; several parameters are the fields of one struct, as in TFF.

    Attributes:
        parameter: None for a function of nothing.
        result: what it returns.

    >>> import numpy as np
    >>> FunctionType(None, int), FunctionType({"a": np.float32, "b": int}, bool)
    (( -> int64), (<a=float32,b=int64> -> bool))
    """

    parameter: Type | None
    result: Type

    if TYPE_CHECKING:

        def __init__(self, parameter: Any, result: Any) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameter", None if self.parameter is None else to_type(self.parameter))
        object.__setattr__(self, "result", to_type(self.result))

    @classmethod
    def of(cls, parameters: Iterable[tuple[str | None, Any]], result: Any) -> FunctionType:
        """The type of a Python function: no parameter, one (its name is dropped), or a struct of several.

        >>> FunctionType.of([("x", float)], int), FunctionType.of([("x", float), (None, int)], int)
        ((float64 -> int64), (<x=float64,int64> -> int64))
        """
        struct = StructType(tuple(parameters))
        parameter = struct if len(struct) > 1 else next(iter(struct), None)
        return cls(parameter, result)

    def __str__(self) -> str:
        return f"({'' if self.parameter is None else self.parameter} -> {self.result})"


@dataclass(frozen=True, slots=True, repr=False)
class FederatedType(Type):
    """A value and where it lives: `{T}@CLIENTS` one per client, `T@CLIENTS` the same with all, `T@SERVER` one.

    Attributes:
        member: the type of one client's value, or of the server's.
        placement: CLIENTS or SERVER.
        all_equal: whether every holder has the same value. None is the placement's default: False for the clients,
            True for the server (which is one, and cannot differ from itself).

    Raises:
        BadType: the member contains a function or a placed value; `placement` is none; a server whose values differ.

    >>> from fedanalytics.types.placement import CLIENTS
    >>> FederatedType(float, CLIENTS), FederatedType(float, CLIENTS, all_equal=True), FederatedType(float, SERVER)
    ({float64}@CLIENTS, float64@CLIENTS, float64@SERVER)
    """

    member: Type
    placement: Placement
    all_equal: bool | None = None

    if TYPE_CHECKING:
        # all_equal by position, as in TFF
        def __init__(self, member: Any, placement: Placement, all_equal: bool | None = None) -> None: ...  # noqa: FBT001

    def __post_init__(self) -> None:
        member = to_type(self.member)
        _check_plain(member, "the member of a federated type")
        if not isinstance(self.placement, Placement):
            raise BadType(f"placement= must be CLIENTS or SERVER, got {self.placement!r}")
        if not isinstance(self.all_equal, bool | None):
            raise BadType(f"all_equal= must be True, False or None, got {self.all_equal!r}")
        if self.placement is SERVER and self.all_equal is False:
            raise BadType(f"the server holds one value, so all_equal=False cannot be; write {member}@SERVER")
        object.__setattr__(self, "member", member)
        object.__setattr__(self, "all_equal", self.placement is SERVER if self.all_equal is None else self.all_equal)

    def __str__(self) -> str:
        return f"{self.member}@{self.placement}" if self.all_equal else f"{{{self.member}}}@{self.placement}"


@to_type.register(list)
@to_type.register(Mapping)
def _(spec: Any) -> Type:
    return StructType(spec)


@to_type.register
def _(spec: tuple) -> Type:  # type: ignore[type-arg]  # a generic alias cannot be dispatched on
    if len(spec) == 2 and as_dtype(spec[0]) is not None and _is_shape(spec[1]):
        return TensorType(*spec)
    return StructType(spec)


@to_type.register
def _(spec: np.dtype) -> Type:
    return TensorType(spec)


def _field(entry: Any) -> Field:
    if not (isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str | None)):
        return None, to_type(entry)
    name, member = entry
    if name is not None and not name.isidentifier():
        raise BadType(f"a field's name must be an identifier such as temp_max, got {name!r}")
    return None if name is None else str(name), to_type(member)


def _is_shape(spec: object) -> bool:
    return isinstance(spec, (tuple, list)) and all(e is None or isinstance(e, numbers.Integral) for e in spec)


def _extent(extent: object) -> int | None:
    if extent is None:
        return None
    if not isinstance(extent, numbers.Integral) or isinstance(extent, bool) or not 0 <= int(extent) < 2**63:
        raise BadType(f"an extent of shape= must be a whole number >= 0, or None for any, got {extent!r}")
    return int(extent)


def _check_plain(member: Type, role: str) -> None:
    if isinstance(member, (FederatedType, FunctionType)):
        found = "a placed value" if isinstance(member, FederatedType) else "a function"
        raise BadType(f"{role} must be data, it cannot hold {found}: {member}")
    if isinstance(member, StructType):  # a sequence's element was checked when the sequence was made
        for inner in member.types:
            _check_plain(inner, role)
