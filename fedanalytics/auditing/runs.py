"""Runs of a mechanism on two neighbours: asked for in pieces, checked, timed, and never all in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.auditing.bounds import Floats
from fedanalytics.errors import BadArgument

Mechanism: TypeAlias = Callable[[Any, int], npt.ArrayLike]
"""(data, n) -> n independent outputs on these data: numbers, shape (n,) or (n, d)."""

_NUMBERS = 2**21  # in one piece


class Runs:
    """What was asked of the mechanism, and how long it took.

    Attributes:
        seconds: that the pieces without the record and with it took.
        outputs: how many they gave, of each.
        dtype: of the outputs, as the mechanism gave them; None before the first call.
        width: numbers in an output; 0 before the first call.

    Raises:
        BadArgument: `mechanism` cannot be called, or `neighbours` are not two.
    """

    def __init__(self, mechanism: Mechanism, neighbours: tuple[Any, Any]) -> None:
        if not callable(mechanism):
            raise BadArgument(f"expected a mechanism(data, n) that returns n outputs, got {mechanism!r}")
        if not (isinstance(neighbours, tuple | list) and len(neighbours) == 2):
            raise BadArgument(f"neighbours= must be (data, data_with_one_more), got {neighbours!r}")
        self._mechanism, self._neighbours = mechanism, neighbours
        self.seconds, self.outputs = [0.0, 0.0], 0
        self.dtype: np.dtype[Any] | None = None
        self.width = 0

    def draw(self, count: int, *, record: bool) -> Floats:
        """`count` outputs on the neighbour with the record or without it, shape (count, width).

        Raises:
            BadArgument: the mechanism returned something else.
        """
        return self._checked(self._mechanism(self._neighbours[record], count), count)

    def pieces(self, count: int) -> Iterator[tuple[Floats, Floats]]:
        """(with the record, without it), `count` outputs of each in all; these are timed."""
        while count:
            size = min(count, max(_NUMBERS // max(self.width, 1), 1))
            begun = time.perf_counter()
            ins = self.draw(size, record=True)
            between = time.perf_counter()
            outs = self.draw(size, record=False)
            self.seconds[1] += between - begun
            self.seconds[0] += time.perf_counter() - between
            self.outputs += size
            yield ins, outs
            count -= size

    def _checked(self, outputs: npt.ArrayLike, count: int) -> Floats:
        found = np.asarray(outputs)
        if found.dtype.kind not in "biuf":
            raise BadArgument(f"the mechanism must return numbers, it returned an array of {found.dtype}")
        if found.ndim == 0 or len(found) != count:
            raise BadArgument(
                f"the mechanism was asked for n={count} outputs and returned an array of shape {found.shape}: return "
                "shape (n,) or (n, d), one output a row"
            )
        rows = found.reshape(count, -1).astype(np.float64)
        if self.width not in (0, rows.shape[1]) or not rows.shape[1]:
            raise BadArgument(
                f"the mechanism returned outputs of {rows.shape[1]} numbers after outputs of {self.width}: each output "
                "must have the same width, at least 1"
            )
        self.dtype, self.width = found.dtype, rows.shape[1]
        return rows
