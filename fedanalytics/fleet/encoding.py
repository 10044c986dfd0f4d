"""From the columns of all clients to what leaves a fleet: encoded sums, or encoded rows; never a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.fleet.functions import applied
from fedanalytics.round.blocks import Block, Integers
from fedanalytics.round.work import Registered, Sql, Stack

Columns: TypeAlias = tuple[npt.NDArray[Any], ...]
Cohort: TypeAlias = Callable[[int], npt.NDArray[np.bool_]]
Encode: TypeAlias = Callable[[npt.NDArray[Any], int], Integers]


def encoded(block: Block, steps: int, columns: Columns | None, encode: Encode, clients: int = 0) -> Integers:
    """What `encode` makes of the values of a block.

    Args:
        block: its work is evaluated already.
        steps: the grid.
        columns: of the work; None if they cannot be computed, which only broken data can bring about.
        encode: the encoder's sums, or its rows.
        clients: how many contribute null when there are no values.
    """
    work = block.work
    if columns is None or isinstance(work, Registered):
        return _nobody(block, steps, encode, clients)
    if isinstance(work, Sql):
        return encode(columns[0], steps)
    if isinstance(work, Stack):
        return encode(np.column_stack(columns), steps)
    try:
        return encode(applied(work, columns), steps)
    except Exception:  # noqa: BLE001 - a function's exception tells what it met: soundness, channel "a device's exception"
        return _nobody(block, steps, encode, clients)


def drawn(columns: Columns | None, cohort: Cohort | None) -> Columns | None:
    """The columns of those who take part. The coins do not depend on what a client holds, so its order does not matter.

    A client whom a condition leaves out has no row here, and contributes nothing whichever way its coin falls.
    """
    if columns is None or cohort is None:
        return columns
    taking_part = cohort(len(columns[0]))
    return tuple(column[taking_part] for column in columns)


def _nobody(block: Block, steps: int, encode: Encode, clients: int) -> Integers:
    """What clients without values come to: the sum of null vectors, where they are not asked to say so."""
    if not clients:
        return np.zeros(block.encoder.size, dtype=np.int64)
    shape = (clients,) if block.encoder.columns == 1 else (clients, block.encoder.columns)
    null = np.full(shape, None, dtype=object) if block.encoder.reads_text else np.full(shape, np.nan)
    return encode(null, steps)
