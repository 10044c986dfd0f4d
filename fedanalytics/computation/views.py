"""How a function sees values: structs with attributes, arrays that cannot be changed, one client at a time.

A value of a type is in the canonical form of `fedanalytics.types.conform`; the values of all clients are columns, as
`conform_clients` makes them. Arrays are shown read-only, because they share memory with the caller's data and with
what other clients see: a function that wants to change one copies it first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from fedanalytics.types import SequenceType, StructType, TensorType, Type

NUMERIC = "biufc"  # numpy's letters for bool, int, uint, float, complex


class Record(dict[str, Any]):
    """A struct's value: a dict whose fields are attributes too.

    >>> batch = Record(x=1.5, y=2)
    >>> batch.x, batch["y"]
    (1.5, 2)
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no field {name!r}; the fields are {', '.join(self)}") from None


def presented(value: Any, kind: Type) -> Any:
    """One canonical value as a function sees it."""
    match kind:
        case StructType():
            parts = value.values() if kind.named else value
            return struct(kind, [presented(part, member) for part, member in zip(parts, kind.types, strict=True)])
        case SequenceType(element) if isinstance(value, list):
            return [presented(item, element) for item in value]
        case _:
            return read_only(value) if isinstance(value, np.ndarray) else value


class Argument(NamedTuple):
    """What a mapped function gets: the columns of all clients, or (shared) one value that all have."""

    data: Any
    kind: Type
    shared: bool

    def each(self, n: int) -> Iterator[Any]:
        """What the function sees of each client, made anew: a client may change its own struct or list."""
        if self.shared:
            return (presented(self.data, self.kind) for _ in range(n))
        return rows(self.data, self.kind, n)


def recorded(value: Any) -> Any:
    """A plain value with attributes: the dicts in it as records."""
    if isinstance(value, dict):
        return Record({name: recorded(part) for name, part in value.items()})
    nested = type(value) in {list, tuple} and any(isinstance(part, dict | list | tuple) for part in value[:1])
    return type(value)(map(recorded, value)) if nested else value


def rows(columns: Any, kind: Type, n: int) -> Iterator[Any]:
    """The value of each client, as a function sees it."""
    match kind:
        case TensorType() if isinstance(columns, np.ndarray):
            return iter(read_only(columns))
        case StructType():
            parts = [rows(column, member, n) for column, member in by_field(columns, kind)]
            each = zip(*parts, strict=True) if parts else iter([()] * n)
            return (struct(kind, one) for one in each)
        case _:
            return (presented(value, kind) for value in columns)


def repeated(value: Any, kind: Type, n: int) -> Any:
    """One value that all n clients share, as columns; no array is copied."""
    match kind:
        case TensorType() if None not in kind.shape:
            return np.broadcast_to(value, (n, *np.shape(value)))
        case StructType():
            return built(kind, [repeated(part, member, n) for part, member in by_field(value, kind)])
        case _:
            return [value] * n


def sample(kind: Type, fill: int, length: int) -> Any:
    """A value of the type: every number is `fill`, every open extent and every sequence has `length`."""
    match kind:
        case TensorType():
            text = kind.dtype.kind == "U"
            shape = [length if extent is None else extent for extent in kind.shape]
            return np.full(shape, "" if text else fill, kind.dtype)[()]
        case StructType():
            return built(kind, [sample(member, fill, length) for member in kind.types])
        case SequenceType(TensorType() as element) if None not in element.shape:
            return np.stack([sample(element, fill, length)] * length)
        case _:
            return [sample(cast("SequenceType", kind).element, fill, length)] * length


def by_field(columns: Any, kind: StructType) -> list[tuple[Any, Type]]:
    """The columns of a struct with the type of each, in order."""
    return list(zip(columns.values() if kind.named else columns, kind.types, strict=True))


def built(kind: StructType, parts: list[Any]) -> Any:
    """Parts in order -> the canonical struct: a dict if every field has a name, else a tuple."""
    return dict(zip(kind.names, parts, strict=True)) if kind.named else tuple(parts)


def struct(kind: StructType, parts: Iterable[Any]) -> Any:
    """Parts in order -> the struct that a function sees: a `Record` if every field has a name, else a tuple."""
    return (
        Record((str(name), part) for name, part in zip(kind.names, parts, strict=True)) if kind.named else tuple(parts)
    )


def fixed(kind: Type, letters: str = NUMERIC) -> bool:
    """Whether the type is numbers of fixed shape: a tensor, or a struct of such, whose columns are arrays."""
    match kind:
        case TensorType():
            return kind.dtype.kind in letters and None not in kind.shape
        case StructType():
            return all(fixed(member, letters) for member in kind.types)
        case _:
            return False


def is_number(kind: Type) -> bool:
    """Whether a value is one number."""
    return fixed(kind) and isinstance(kind, TensorType) and kind.shape == ()


def is_real(kind: Type) -> bool:
    """Whether a value is one real number, or a bool."""
    return is_number(kind) and fixed(kind, "biuf")


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view that cannot be written through; the array itself stays as it is."""
    view = array.view()
    view.flags.writeable = False
    return view


def listed(columns: Any, kind: Type, n: int) -> Any:
    """Columns as one canonical value per client: an array, or a list."""
    if isinstance(columns, np.ndarray):
        return columns
    if isinstance(kind, StructType):
        inner = [listed(column, member, n) for column, member in by_field(columns, kind)]
        return [built(kind, list(one)) for one in (zip(*inner, strict=True) if inner else [()] * n)]
    return list(columns)


def owned(value: Any) -> Any:
    """A value whose arrays may be written to: views that were shown read-only are copied."""
    if isinstance(value, np.ndarray):
        return value if value.flags.writeable else value.copy()
    if isinstance(value, dict):
        return {name: owned(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(owned, value))
    return value
