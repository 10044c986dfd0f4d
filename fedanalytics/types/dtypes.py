"""The closed set of dtypes a tensor may have, and who may be written for whom.

numpy's booleans, integers, floats and complex numbers of a fixed width, and `str` for text. Objects, dates, bytes,
records and the platform's long double are not among them: their meaning depends on the machine or on a context.
"""

from __future__ import annotations

from typing import Any

import numpy as np

NUMBERS = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
DTYPES: dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in ("bool", *NUMBERS, "str")}

# Platform types share a width: np.longlong is int64 wherever np.int64 is another C type.
_BY_CLASS: dict[type, np.dtype[Any]] = {
    **{np.dtype(code).type: DTYPES[np.dtype(code).name] for code in "?bBhHiIlLqQefdFD"},
    np.str_: DTYPES["str"],
    bool: DTYPES["bool"],
    int: DTYPES["int64"],
    float: DTYPES["float64"],
    complex: DTYPES["complex128"],
    str: DTYPES["str"],
}


def as_dtype(spec: object) -> np.dtype[Any] | None:
    """The dtype in native byte order that `spec` (a dtype, a scalar class, a name) stands for, or None."""
    if isinstance(spec, np.dtype):
        return DTYPES.get(name_of(spec))
    if isinstance(spec, type):
        return _BY_CLASS.get(spec)
    return DTYPES.get(spec) if isinstance(spec, str) else None


def name_of(dtype: np.dtype[Any]) -> str:
    """The name in the compact notation; text has one name whatever its width."""
    return "str" if dtype.kind == "U" else dtype.name
