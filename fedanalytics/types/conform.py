"""A caller's values in their one canonical numpy form, or an error that names the place.

| type | accepted | canonical form |
|---|---|---|
| `float32` | a number (see `exact` for the rules) | numpy scalar of exactly that dtype |
| `int32[2,3]` | an array, nested lists | array of exactly that dtype and shape |
| `<a=T,b=U>` | dict, named tuple, dataclass instance by name; tuple, list by position | dict in field order |
| `<T,U>` | tuple, list by position | tuple |
| `T*`, tensors of one shape | an array, a list, a tuple | one array of shape (k, *shape) |
| `T*`, anything else | likewise | list of k canonical values |

These are checks at the door, on values that the caller wrote. They raise, and the message quotes the value: never
call them on what a client holds after something was reserved.
"""

from __future__ import annotations

import reprlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, chain, pairwise
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics._validate import did_you_mean
from fedanalytics.errors import BadType
from fedanalytics.types.base import Type, to_type
from fedanalytics.types.exact import Misfit, cast_array, cast_scalars
from fedanalytics.types.kinds import SequenceType, StructType, TensorType
from fedanalytics.types.records import fields_of
from fedanalytics.types.zero import zeros

Array: TypeAlias = npt.NDArray[Any]
Where: TypeAlias = tuple[str, ...]
At: TypeAlias = Callable[[int], Where]


def conform(value: Any, spec: Any, *, what: str) -> Any:
    """`value` in the canonical form of the type `spec`; it may share memory with `value`.

    Args:
        value: what the caller wrote.
        spec: a type of data (no function, no placed value), or what `to_type` reads.
        what: names the value in messages, such as ``"argument 'x'"``.

    Raises:
        BadType: the value is not of that type; the message names the place inside it.

    >>> conform({"b": [1, 2], "a": 0.5}, "<a=float32,b=int8[2]>", what="the model")
    {'a': np.float32(0.5), 'b': array([1, 2], dtype=int8)}
    >>> conform({"a": 0.5, "b": [1, 300]}, "<a=float32,b=int8[2]>", what="the model")
    Traceback (most recent call last):
    ...
    fedanalytics.errors.BadType: the model: field 'b': item 1: 300 does not fit int8 (-128 to 127)
    """
    return _value(value, to_type(spec), (what,))


def conform_clients(values: Any, member: Any, *, what: str) -> Any:
    """One value per client as columns, without a Python loop where arrays or flat lists are given.

    | member | result for n clients |
    |---|---|
    | `float32[3]` | one array of shape (n, 3) |
    | `<a=T,b=U>` | dict of the columns of T and U, each of n clients; a tuple for `<T,U>` |
    | `T*` | list of n canonical sequences, each of its own length |
    | a tensor with an unknown extent | list of n arrays |

    Args:
        values: a list, tuple or array with one entry per client; it may be empty.
        member: the type of one client's value, or what `to_type` reads.
        what: names the value in messages.

    Raises:
        BadType: an entry is not of that type; the message names the client by its position.

    >>> conform_clients([68.5, 70.3, 69.8], "float32", what="sensor_readings")
    array([68.5, 70.3, 69.8], dtype=float32)
    >>> conform_clients([{"n": 1, "x": [0.5]}, {"n": True, "x": []}], "<n=int32,x=float32*>", what="data")
    Traceback (most recent call last):
    ...
    fedanalytics.errors.BadType: data: client 1: field 'n': True (bool) is not int32
    """
    where = (what,)
    return _columns(_entries(values, where), to_type(member), lambda i: (*where, f"client {i}"))


def _value(value: Any, kind: Type, where: Where) -> Any:
    match kind:
        case TensorType():
            return _tensor(value, kind, where)
        case StructType():
            parts = zip(_by_field(value, kind, where), kind.types, _steps(kind), strict=True)
            return _struct(kind, [_value(part, member, (*where, step)) for part, member, step in parts])
        case SequenceType(element):
            items = _entries(value, where)
            if isinstance(element, TensorType):
                return _stack(items, element, lambda i: _items(where, (i,)))
            return [_value(item, element, _items(where, (i,))) for i, item in enumerate(items)]
        case _:
            raise _bad(where, f"{kind} is not a type of data, so no value can be written for it")


def _columns(values: list[Any] | Array, kind: Type, at: At) -> Any:
    match kind:
        case TensorType():
            return _stack(values, kind, at)
        case StructType():
            columns = zip(_by_column(values, kind, at), kind.types, _steps(kind), strict=True)
            return _struct(kind, [_columns(column, member, _under(at, step)) for column, member, step in columns])
        case SequenceType(TensorType() as element):
            return _sequences(values, kind, element, at)
        case _:
            return [_value(value, kind, at(i)) for i, value in enumerate(values)]


# ---------------------------------------------------------------- tensors


def _tensor(value: Any, kind: TensorType, where: Where) -> Any:
    """One tensor; nested lists are a stack of tensors of one rank less."""
    value = _unwrap(value, where)
    if isinstance(value, np.ndarray):
        _check_shape(value.shape, kind, where)
        return _fit(cast_array(value, kind.dtype), lambda index: _items(where, index))[()]
    if not kind.shape:
        return _fit(cast_scalars([value], kind.dtype), lambda _: where)[0]
    entries = _entries(value, where)
    if kind.shape[0] not in (None, len(entries)):
        raise _bad(where, f"{len(entries)} items where {kind} is expected")
    rows = _stack(entries, TensorType(kind.dtype, kind.shape[1:]), lambda i: _items(where, (i,)))
    if isinstance(rows, np.ndarray):
        return rows
    shapes = {row.shape for row in rows}
    if len(shapes) > 1:
        raise _bad(where, f"items of different shapes {sorted(shapes)} do not make one {kind}")
    return np.stack(rows) if rows else zeros(kind)


def _stack(values: list[Any] | Array, kind: TensorType, at: At) -> Any:
    """Entries of one type as one array (n, *shape), or as a list of arrays if the type has unknown extents."""
    if None in kind.shape:
        return [_tensor(value, kind, at(i)) for i, value in enumerate(values)]
    shape = (len(values), *kind.shape)
    values = _joined(values, at)
    if isinstance(values, np.ndarray):
        if len(values):
            _check_shape(values.shape[1:], kind, at(0))
        return _fit(cast_array(values, kind.dtype), lambda index: _items(at(index[0]), index[1:])).reshape(shape)
    scalars = _flatten(values, kind.shape)
    if scalars is not None:
        flat = cast_scalars(scalars, kind.dtype)
        if not (isinstance(flat, Misfit) and _is_array_class(type(scalars[flat.index[0]]))):
            return _fit(flat, lambda index: _unravel(at, index[0], shape)).reshape(shape)
    # Irregular (an array among lists, lengths that differ): one by one, which is slow, copes with it or names it.
    return np.stack([_tensor(value, kind, at(i)) for i, value in enumerate(values)])


def _joined(values: list[Any] | Array, at: At) -> list[Any] | Array:
    """A list of arrays alike as one array; anything else as it is."""
    if isinstance(values, list) and set(map(type, values[:1])) == {np.ndarray} == set(map(type, values)):
        alike = len(set(map(attrgetter("dtype", "shape"), values))) == 1
        return _unwrap(np.array(values), at(0)) if alike else values
    return values


def _flatten(values: list[Any], shape: tuple[int | None, ...]) -> list[Any] | None:
    """The scalars of lists nested in exactly `shape`, or None; every pass over the values runs in C."""
    for extent in shape:
        if not (set(map(type, values)) <= {list, tuple} and set(map(len, values)) <= {extent}):
            return None
        values = list(chain.from_iterable(values))
    return values


def _fit(result: Array | Misfit, place: Callable[[tuple[int, ...]], Where]) -> Array:
    if isinstance(result, Misfit):
        raise _bad(place(result.index), result.reason)
    return result


def _check_shape(found: tuple[int, ...], kind: TensorType, where: Where) -> None:
    same_rank = len(found) == len(kind.shape)
    if not same_rank or any(extent not in (None, size) for size, extent in zip(found, kind.shape, strict=True)):
        raise _bad(where, f"an array of shape {found} where {kind} is expected")


# ---------------------------------------------------------------- sequences


def _sequences(values: list[Any] | Array, kind: SequenceType, element: TensorType, at: At) -> list[Any]:
    """One sequence per client, as slices of one stack of all their elements where they are alike."""
    classes = set(map(type, values))
    forms = {(array.dtype, array.ndim, array.shape[1:]) for array in values} if classes == {np.ndarray} else ()
    if None not in element.shape and classes <= {list, tuple}:
        elements = list(chain.from_iterable(values))
    elif None not in element.shape and len(forms) == 1 and values[0].ndim:
        elements = _unwrap(np.concatenate(values), at(0))
    else:
        return [_value(value, kind, at(i)) for i, value in enumerate(values)]
    ends = list(accumulate(map(len, values), initial=0))

    def place(k: int) -> Where:
        i = bisect_right(ends, k) - 1
        return _items(at(i), (k - ends[i],))

    stack = _stack(elements, element, place)
    return [stack[start:end] for start, end in pairwise(ends)]


# ---------------------------------------------------------------- structs


def _by_field(value: Any, kind: StructType, where: Where) -> tuple[Any, ...]:
    """The values of one record in the order of the struct's fields."""
    fields = tuple((None, item) for item in value) if isinstance(value, list) else fields_of(value)
    if fields is None:
        raise _bad(where, f"{_shown(value)} where {kind} is expected; give a dict or a tuple")
    if all(key is None for key, _ in fields):
        if len(fields) != len(kind):
            raise _bad(where, f"{len(fields)} values where {kind} is expected")
        return tuple(item for _, item in fields)
    if not kind.named:
        raise _bad(where, f"fields with names where {kind} is expected; give a tuple in that order")
    given = dict(fields)
    for key in given:
        if key not in kind.names:
            raise _bad(where, f"unknown field {key!r}{did_you_mean(key, map(str, kind.names))}; {kind} is expected")
    for name in kind.names:
        if name not in given:
            raise _bad(where, f"field {name!r} is missing; {kind} is expected")
    return tuple(given[name] for name in kind.names)


def _by_column(values: list[Any] | Array, kind: StructType, at: At) -> list[list[Any]]:
    """One list of n entries per field."""
    classes = set(map(type, values))
    regular = bool(classes) and classes <= {dict, list, tuple} and set(map(len, values)) == {len(kind)}
    if regular and classes == {dict} and kind.named:
        try:
            return [list(map(itemgetter(name), values)) for name in kind.names]
        except KeyError:  # a wrong name: the loop below says whose
            pass
    if regular and dict not in classes:
        return [list(map(itemgetter(i), values)) for i in range(len(kind))]
    rows = [_by_field(value, kind, at(i)) for i, value in enumerate(values)]
    return list(map(list, zip(*rows, strict=True))) if rows else [[] for _ in kind]


def _struct(kind: StructType, parts: list[Any]) -> dict[str | None, Any] | tuple[Any, ...]:
    return dict(zip(kind.names, parts, strict=True)) if kind.named else tuple(parts)


# ---------------------------------------------------------------- containers and places


def _entries(values: Any, where: Where) -> list[Any] | Array:
    """A list, or an array of at least one axis, of the entries."""
    values = _unwrap(values, where)
    if isinstance(values, np.ndarray) and values.ndim:
        return values
    if isinstance(values, Sequence) and not isinstance(values, (str, bytes, bytearray)):
        return values if isinstance(values, list) else list(values)
    raise _bad(where, f"{_shown(values)} where several values are expected; give a list, a tuple or an array")


def _unwrap(value: Any, where: Where) -> Any:
    """What has an array inside (a pandas Series, too) as that array; an array of Python objects as a list."""
    if not _is_array_class(type(value)):
        return value
    # `np.ma` is loaded on first use, so plain arrays must not reach it.
    if isinstance(value, np.ndarray) and type(value) is not np.ndarray and isinstance(value, np.ma.MaskedArray):
        raise _bad(where, "a masked array hides values that numpy would use; fill or drop them first")
    array = np.asarray(value)
    return array.tolist() if array.dtype.kind in "OT" else array


def _is_array_class(cls: type) -> bool:
    return hasattr(cls, "__array__") and not issubclass(cls, np.generic)


def _unravel(at: At, index: int, shape: Sequence[Any]) -> Where:
    first, *rest = map(int, np.unravel_index(index, shape))
    return _items(at(first), tuple(rest))


def _items(where: Where, index: tuple[int, ...]) -> Where:
    return (*where, *(f"item {i}" for i in index))


def _steps(kind: StructType) -> tuple[str, ...]:
    return tuple(f"item {i}" if name is None else f"field {name!r}" for i, name in enumerate(kind.names))


def _under(at: At, step: str) -> At:
    return lambda i: (*at(i), step)


def _shown(value: Any) -> str:
    return f"{reprlib.repr(value)} ({type(value).__name__})"


def _bad(where: Where, problem: str) -> BadType:
    return BadType(f"{': '.join(where)}: {problem}")
