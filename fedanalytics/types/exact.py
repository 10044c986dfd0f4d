"""Numbers into a dtype without a silent change of meaning, for whole arrays and lists at once.

| asked | accepted | refused |
|---|---|---|
| bool | bool | everything else |
| an integer | integers in its range | bool, floats (also integral ones), what does not fit |
| a float | integers, floats; rounded to nearest | bool, complex, a finite value that would become infinite |
| a complex | integers, floats, complex; likewise | bool |
| str | text | everything else; text that ends in NUL, which numpy's arrays drop |

NaN and infinities pass: what a client's NaN means is decided where it is aggregated. An integer reaches float32 and
float16 through float64, as a Python number does, so that a list and an array give the same bits.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.types.dtypes import as_dtype, name_of

Array: TypeAlias = npt.NDArray[Any]
Dtype: TypeAlias = "np.dtype[Any]"

_ACCEPTED = {"b": "b", "i": "iu", "u": "iu", "f": "iuf", "c": "iufc", "U": "U"}
_PYTHON_KINDS = ((bool, "b"), (int, "i"), (float, "f"), (complex, "c"), (str, "U"))


@dataclass(frozen=True)
class Misfit:
    """The first element that does not fit: its index, and why, as the end of a sentence."""

    index: tuple[int, ...]
    reason: str


def cast_array(array: Array, dtype: Dtype) -> Array | Misfit:
    """`array` as exactly `dtype` (text: any width), sharing memory when nothing changes."""
    if array.dtype == dtype:
        return array
    if array.size == 0:  # np.array([]) is float64 by accident, and has no value to change
        return np.empty(array.shape, dtype)
    if _kind(array.dtype) not in _ACCEPTED[dtype.kind]:
        return Misfit((0,) * array.ndim, f"{array.dtype} is not {name_of(dtype)}")
    if dtype.kind == "U":
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if np.can_cast(array.dtype, dtype, "safe"):
        return array.astype(dtype)
    return _narrow(array, dtype)


def cast_scalars(scalars: Sequence[Any], dtype: Dtype) -> Array | Misfit:
    """Python and numpy scalars as an array of shape (n,) of exactly `dtype`."""
    classes = set(map(type, scalars))
    strangers = {cls for cls in classes if _kind(cls) not in _ACCEPTED[dtype.kind]}
    if strangers:
        return _first(scalars, (type(s) in strangers for s in scalars), f"is not {name_of(dtype)}")
    if dtype.kind in "iu":
        return _cast_integers(scalars if classes <= {int} else list(map(int, scalars)), dtype)
    if dtype.kind == "U" and "\0" in "".join(scalars):
        ends = [s[-1:] == "\0" for s in scalars]
        if any(ends):
            return _first(scalars, ends, "ends in NUL, which a text array cannot hold")
    if dtype.kind not in "fc":
        return np.array(scalars, dtype)
    try:
        return cast_array(np.array(scalars, np.float64 if dtype.kind == "f" else np.complex128), dtype)
    except OverflowError:  # an integer beyond the largest float
        return _first(scalars, map(_beyond_floats, scalars), f"does not fit {name_of(dtype)}")


def _kind(cls: type | Dtype) -> str:
    """The letter of numpy for a scalar class or a dtype, 'O' if a tensor cannot have it."""
    if isinstance(cls, np.dtype) or issubclass(cls, np.generic):
        dtype = as_dtype(cls)
        return "O" if dtype is None else dtype.kind
    return next((kind for base, kind in _PYTHON_KINDS if issubclass(cls, base)), "O")


def _cast_integers(integers: Sequence[int], dtype: Dtype) -> Array | Misfit:
    if dtype.kind == "i":
        try:
            return cast_array(np.array(integers, np.int64), dtype)
        except OverflowError:  # beyond int64, so beyond `dtype`
            pass
    low, high = _range(dtype)
    if integers and not (low <= min(integers) and max(integers) <= high):
        return _first(integers, (not low <= i <= high for i in integers), _outside(dtype))
    return np.array(integers, dtype)


def _narrow(array: Array, dtype: Dtype) -> Array | Misfit:
    """A cast that may lose: integers must be in range, finite floats stay finite."""
    if dtype.kind in "iu":
        low, high = _range(dtype)
        bad = (array < low) | (array > high)
        narrowed, reason = array.astype(dtype), _outside(dtype)
    else:
        with np.errstate(over="ignore"):  # an overflow is found below, and named
            narrowed = array.astype(np.float64 if dtype.kind == "f" else np.complex128).astype(dtype)
        bad, reason = np.isinf(narrowed) & ~np.isinf(array), f"does not fit {name_of(dtype)}"
    if not bad.any():
        return narrowed
    index = np.unravel_index(int(bad.argmax()), array.shape)
    return Misfit(tuple(map(int, index)), f"{array[index]} {reason}")


def _first(scalars: Sequence[Any], bad: Iterable[bool], reason: str) -> Misfit:
    index, scalar = next((i, scalar) for i, (scalar, is_bad) in enumerate(zip(scalars, bad, strict=True)) if is_bad)
    return Misfit((index,), f"{reprlib.repr(scalar)} ({type(scalar).__name__}) {reason}")


def _beyond_floats(scalar: Any) -> bool:
    try:
        complex(scalar)
    except OverflowError:
        return True
    return False


def _range(dtype: Dtype) -> tuple[int, int]:
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def _outside(dtype: Dtype) -> str:
    low, high = _range(dtype)
    return f"does not fit {name_of(dtype)} ({low} to {high})"
