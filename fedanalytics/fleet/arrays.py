"""The operator's door for arrays: one number per client."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics.errors import BadArgument


def numbers(values: Any) -> npt.NDArray[np.float64]:
    """The values as float64, not copied if they are that already; infinities as NaN; not writable.

    Raises:
        BadArgument: not one dimension, not numbers, or none.

    Example:
        >>> numbers([1, 2.5, float("inf")])
        array([1. , 2.5, nan])
    """
    masked = isinstance(values, np.ma.MaskedArray)
    filled: Any = np.ma.filled(values.astype(np.float64), np.nan) if masked else values
    try:
        array = np.asarray(filled)
    except ValueError:
        raise BadArgument("values= must be one number per client, got rows of different lengths") from None
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        found = f"shape {array.shape}, dtype {array.dtype}"
        raise BadArgument(f"values= must be one number per client, shape (n,), NaN where there is none; got {found}")
    if not array.size:
        raise BadArgument("values= is empty: a fleet has at least one client")
    with np.errstate(over="ignore"):
        array = array.astype(np.float64, copy=False)
    array = np.where(np.isfinite(array), array, np.nan) if np.isinf(array).any() else array.view()
    array.flags.writeable = False
    return array
