"""All clients at once, if and only if it is provably the same as one client at a time.

The function runs on stand-ins (`Clients`) that hold the values of many clients and admit true ufuncs only: operations
that numpy itself defines element by element, plus the three-argument `np.where` and `np.clip`. Everything else (a sum,
a sort, a length, an index, ``if x > 1``, ``isinstance(x, float)``, printing) is *refused*, and the function runs client
by client. Whether it is refused depends on the function and the types, never on a value: a stand-in shows none. So no
function ever sees two clients, and another client cannot change how a client's value is computed.

A result must also not depend, bit for bit, on where a client stands in the array, or on how many others there are.
numpy's own ufuncs have this property on contiguous arrays (the tests hold each of them to it, on odd values); hence
every array here is contiguous, a member's axes are aligned behind the axis of clients, and other ufuncs are refused.
Two of numpy's do not have it: `np.fmax` and `np.fmin` of 0.0 and -0.0 give one sign in the bulk of an array and the
other at its end. An integer power raises for some exponents, so it is refused if they vary. Functions are pure by
contract: they draw no random numbers and change nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.computation.views import NUMERIC, Argument, built, by_field, fixed, presented, struct
from fedanalytics.types import StructType, Type

Array: TypeAlias = npt.NDArray[Any]

BLOCK = 1 << 20  # numbers per block: bounds the memory of temporaries
ADMITTED = frozenset(
    ufunc
    for ufunc in vars(np).values()
    if isinstance(ufunc, np.ufunc) and ufunc.signature is None and ufunc not in {np.fmax, np.fmin}
)


class Refused(Exception):  # not an error: the function runs client by client instead
    """The function did something that is not provably element by element."""


@dataclass
class _Trace:
    """Whether anything was refused, even if the function caught the exception."""

    refused: bool = False


class Clients(np.lib.mixins.NDArrayOperatorsMixin):
    """The values of many clients, seen as one: shape (clients, *member)."""

    __slots__ = ("_array", "_trace")

    def __init__(self, array: Array, trace: _Trace) -> None:
        self._array = np.asarray(array, order="C")
        self._trace = trace

    def _refuse(self, *_args: Any, **_named: Any) -> NoReturn:
        self._trace.refused = True
        raise Refused

    __bool__ = __int__ = __float__ = __complex__ = __index__ = __len__ = __iter__ = __next__ = _refuse
    __contains__ = __getitem__ = __setitem__ = __delitem__ = __reversed__ = __call__ = __array__ = _refuse
    __round__ = __trunc__ = __floor__ = __ceil__ = __enter__ = __exit__ = _refuse
    __hash__ = __str__ = __repr__ = __format__ = __bytes__ = __dir__ = __reduce_ex__ = _refuse
    __getattr__ = _refuse
    __class__ = property(_refuse)  # what isinstance() asks when type() is not enough

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **named: Any) -> Any:
        if method != "__call__" or named or ufunc not in ADMITTED or not _total(ufunc, inputs):
            self._refuse()
        return self._applied(ufunc, inputs)

    def __array_function__(self, function: Any, _types: Any, args: Any, named: Any) -> Any:
        if function not in (np.where, np.clip) or len(args) != 3 or named:
            self._refuse()
        return self._applied(function, args)

    def _applied(self, function: Callable[..., Any], inputs: Sequence[Any]) -> Any:
        arrays = self._aligned(inputs)
        with np.errstate(all="ignore"):  # also against the function's own: another client's zero must raise nothing
            results = function(*arrays)
        several = results if isinstance(results, tuple) else (results,)
        if any(result.dtype.kind not in NUMERIC for result in several):
            self._refuse()
        wrapped = tuple(Clients(result, self._trace) for result in several)
        return wrapped if isinstance(results, tuple) else wrapped[0]

    def _aligned(self, inputs: Sequence[Any]) -> list[Any]:
        """Members of one rank, so that broadcasting never touches the axis of clients."""
        if not all(type(x) is Clients or _is_plain(x) for x in inputs):
            self._refuse()
        rank = max(x._array.ndim - 1 if type(x) is Clients else np.ndim(x) for x in inputs)  # noqa: SLF001  # its own kind
        return [_lifted(x._array, rank) if type(x) is Clients else x for x in inputs]  # noqa: SLF001  # its own kind


def _rebinding(function: Callable[[Any, Any], Any]) -> Callable[[Clients, Any], Any]:
    """``x += 1``: a new value for a number, as in Python; for an array a change in place, which is refused."""

    def operate(self: Clients, other: Any) -> Any:
        if self._array.ndim > 1:
            self._refuse()
        return function(self, other)

    return operate


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor", "lshift", "rshift"):
    setattr(Clients, f"__i{_name.rstrip('_')}__", _rebinding(getattr(operator, _name)))


def vectorised(function: Callable[..., Any], arguments: Sequence[Argument], n: int, kind: Type) -> Any | None:
    """The results of all n > 0 clients as columns, or None if they must be computed one by one.

    Args:
        function: of one client's values.
        arguments: what it gets.
        n: the number of clients.
        kind: the type of the result; the columns have its structure, and whatever dtypes the ufuncs gave.
    """
    if not (fixed(kind) and all(a.shared or fixed(a.kind) for a in arguments)):
        return None
    step = max(1, BLOCK // max((_width(a.kind) for a in arguments if not a.shared), default=1))
    leaves: list[Array] = []
    for start in range(0, n, step):
        block = slice(start, min(start + step, n))
        parts = _run(function, arguments, block, kind)
        if parts is None:
            return None
        if start == 0:
            leaves = parts if step >= n else [np.empty((n, *part.shape[1:]), part.dtype) for part in parts]
        if step < n:
            for leaf, part in zip(leaves, parts, strict=True):
                leaf[block] = part
    return _rebuilt(kind, iter(leaves))


def _run(function: Callable[..., Any], arguments: Sequence[Argument], block: slice, kind: Type) -> list[Array] | None:
    trace = _Trace()
    try:
        result = function(*(_shown(argument, block, trace) for argument in arguments))
        parts = list(_leaves(result, kind))
    except Exception:  # noqa: BLE001  # refused, or wrong for every client: then the first one will say so
        return None
    return None if trace.refused else parts


def _shown(argument: Argument, block: slice, trace: _Trace) -> Any:
    if argument.shared:
        return presented(argument.data, argument.kind)
    return _stand_in(argument.data, argument.kind, block, trace)


def _stand_in(columns: Any, kind: Type, block: slice, trace: _Trace) -> Any:
    if isinstance(kind, StructType):
        parts = [_stand_in(column, member, block, trace) for column, member in by_field(columns, kind)]
        return struct(kind, parts)
    return Clients(columns[block], trace)


def _leaves(result: Any, kind: Type) -> Iterable[Array]:
    """The arrays in a result of stand-ins. A constant among them is refused: the function may be no function of x."""
    if type(result) is Clients:
        if isinstance(kind, StructType):
            raise Refused
        yield result._array  # noqa: SLF001  # its own kind
    elif isinstance(kind, StructType):
        for part, member in zip(_fields(result, kind), kind.types, strict=True):
            yield from _leaves(part, member)
    else:
        raise Refused


def _fields(result: Any, kind: StructType) -> Iterable[Any]:
    if isinstance(result, Mapping):
        if not (kind.named and set(result) == set(kind.names)):
            raise Refused
        return [result[name] for name in kind.names if name is not None]
    if not (isinstance(result, tuple) and len(result) == len(kind)) or hasattr(result, "_fields"):
        raise Refused
    return result


def _rebuilt(kind: Type, leaves: Any) -> Any:
    if isinstance(kind, StructType):
        return built(kind, [_rebuilt(member, leaves) for member in kind.types])
    return next(leaves)


def _width(kind: Type) -> int:
    if isinstance(kind, StructType):
        return max(map(_width, kind.types), default=1)
    return max(int(np.prod(getattr(kind, "shape", ()), dtype=np.int64)), 1)


def _lifted(array: Array, rank: int) -> Array:
    missing = rank + 1 - array.ndim
    return array.reshape(array.shape[:1] + (1,) * missing + array.shape[1:]) if missing else array


def _is_plain(x: Any) -> bool:
    """A number or an array of numbers, the same for all clients."""
    return isinstance(x, bool | int | float | complex) or (
        isinstance(x, np.generic | np.ndarray) and x.dtype.kind in NUMERIC
    )


def _total(ufunc: np.ufunc, inputs: Sequence[Any]) -> bool:
    """Whether it raises for no value: a power of integers does for negative exponents."""
    if ufunc is not np.power:
        return True
    base, exponent = (x._array if type(x) is Clients else np.asarray(x) for x in inputs)  # noqa: SLF001  # its own kind
    whole = base.dtype.kind in "biu" and exponent.dtype.kind == "i"
    return not whole or (type(inputs[1]) is not Clients and bool(np.all(exponent >= 0)))
