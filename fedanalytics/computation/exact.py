"""Exact aggregates of columns: what a simulation shows, and how numbers are added.

| values | sum | mean |
|---|---|---|
| bool, int8..int64 | int64, exact in a wider accumulator; an error beyond it | float64, the nearest to the exact one |
| uint8..uint64 | uint64, likewise | float64, likewise |
| float16, float32 | accumulated in float64, in their own dtype | likewise |
| float64 | numpy's pairwise summation | likewise |
| complex64, complex128 | accumulated in complex128, in their own dtype | likewise |

A weighted mean is computed in float64 (complex128). NaN and infinities follow numpy: they propagate. The sum over no
clients is 0; a mean, a minimum or a maximum over none does not exist.
"""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from fedanalytics.errors import BadArgument
from fedanalytics.types import StructType, TensorType, Type

Array: TypeAlias = npt.NDArray[Any]

_WIDE = {"f": np.dtype(np.float64), "c": np.dtype(np.complex128)}


def sum_type(kind: Type) -> Type:
    """The type of a sum, tensor by tensor."""
    return _each_tensor(kind, {"b": "int64", "i": "int64", "u": "uint64"})


def mean_type(kind: Type) -> Type:
    """The type of a mean, tensor by tensor."""
    return _each_tensor(kind, {"b": "float64", "i": "float64", "u": "float64"})


def total(array: Array) -> Any:
    """The sum over the first axis.

    Raises:
        BadArgument: a sum of integers is beyond int64 (uint64).
    """
    if array.dtype.kind in "fc":
        return _narrowed(_accumulated(array), array.dtype)
    wide = np.dtype(np.uint64 if array.dtype.kind == "u" else np.int64)
    if _fits(array):
        return array.sum(axis=0, dtype=wide)
    exact = _integers(array)
    low, high = (int(end) for end in (np.iinfo(wide).min, np.iinfo(wide).max))
    outside = [number for number in np.ravel(exact) if not low <= number <= high]
    if outside:
        raise BadArgument(f"the sum {outside[0]} does not fit {wide}; map the values to np.float64 first")
    return exact.astype(wide)[()]


def mean(array: Array) -> Any:
    """The mean over the first axis, of at least one client."""
    if array.dtype.kind in "fc":
        return _narrowed(_accumulated(array) / len(array), array.dtype)
    return np.asarray(_integers(array) / len(array), dtype=np.float64)[()]  # Python's division rounds once


def weighted_mean(array: Array, weight: Array) -> Any:
    """The mean with weights of shape (n,), whose sum is not 0."""
    wide = _WIDE.get(array.dtype.kind, _WIDE["f"])
    aligned = weight.astype(np.float64).reshape(-1, *(1,) * (array.ndim - 1))
    with np.errstate(all="ignore"):
        result = np.add.reduce(aligned * array.astype(wide, copy=False), axis=0) / weight.sum(dtype=np.float64)
    return _narrowed(result, array.dtype if array.dtype.kind in "fc" else wide)


def _accumulated(array: Array) -> Array:
    wide = _WIDE[array.dtype.kind]
    with np.errstate(all="ignore"):
        return np.asarray(np.add.reduce(array, axis=0, dtype=wide))


def _narrowed(result: Any, dtype: np.dtype[Any]) -> Any:
    with np.errstate(all="ignore"):
        return np.asarray(result).astype(dtype)[()]


def _fits(array: Array) -> bool:
    """Whether no partial sum can leave the wide integers."""
    if array.dtype.kind == "b" or not array.size:
        return True
    if array.dtype.itemsize < 8:
        return len(array) < 1 << 31
    largest = max(abs(int(array.min())), abs(int(array.max())))
    return largest * len(array) < 1 << (64 if array.dtype.kind == "u" else 63)


def _integers(array: Array) -> Array:
    """The exact sum as Python integers: of the high and of the low 32 bits, neither of which can overflow."""
    if _fits(array):
        wide = np.uint64 if array.dtype.kind == "u" else np.int64
        return np.asarray(np.asarray(array.sum(axis=0, dtype=wide)).astype(object))
    shift, low = array.dtype.type(32), array.dtype.type(0xFFFFFFFF)
    parts = [np.asarray(part.sum(axis=0, dtype=array.dtype)).astype(object) for part in (array >> shift, array & low)]
    return np.asarray(parts[0] * (1 << 32) + parts[1], dtype=object)


def _each_tensor(kind: Type, widened: dict[str, str]) -> Type:
    if isinstance(kind, StructType):
        return StructType(tuple((name, _each_tensor(member, widened)) for name, member in kind.fields))
    tensor = cast("TensorType", kind)
    return TensorType(widened.get(tensor.dtype.kind, tensor.dtype), tensor.shape)
