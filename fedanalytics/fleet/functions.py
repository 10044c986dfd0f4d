"""A registered function over the values of all clients: whatever it does, nothing about the data surfaces."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics.errors import BadArgument
from fedanalytics.round.work import Apply


def applied(work: Apply, columns: tuple[npt.NDArray[Any], ...]) -> npt.NDArray[np.float64]:
    """What the function makes of the columns; its warnings are about data too, and are not shown.

    Raises:
        BadArgument: not one row of numbers per client.
        Exception: whatever the function raises.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        values = np.asarray(work.function.values(columns), dtype=np.float64)
    if values.ndim not in {1, 2} or len(values) != len(columns[0]):
        raise BadArgument(f"a function of {len(columns[0])} clients must return as many rows, got {values.shape}")
    return np.where(np.isfinite(values), values, np.nan)


def try_without_clients(work: Apply, texts: Sequence[bool]) -> None:
    """Call a function on no clients, which is what a round without a matching row gives it."""
    columns = tuple(np.empty(0, dtype=object if is_text else np.float64) for is_text in texts)
    for column in columns:
        column.flags.writeable = False
    try:
        applied(work, columns)
    except Exception as error:
        raise BadArgument(
            f"{type(work.function).__name__} must take columns of no clients, write into none of them, and return "
            f"shape (n,) or (n, d); it raised {type(error).__name__}: {error}"
        ) from error
