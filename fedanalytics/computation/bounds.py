"""What `clip` states: a range for numbers, a ball for vectors.

A bound clips columns, and knows which encoder holds a client to it when a sum or a mean of the clipped values is
released with noise. The guarantee rests on the encoder alone (`round.moments`, `round.ball`), which clips again in
exact integers; the clipping here is what a simulation shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.computation.vectors import flattened
from fedanalytics.computation.views import built, by_field
from fedanalytics.privacy.clipping import Norm
from fedanalytics.types import StructType, Type

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Range:
    """Every number lies in [lower, upper].

    >>> Range(0.0, 110.0)
    [0, 110]
    """

    lower: float
    upper: float

    def clipped(self, columns: Any, kind: Type) -> Any:
        """Numbers outside moved to the nearest end; NaN stays. A dtype that cannot hold an end has its own."""
        return each_leaf(self._leaf, columns, kind)

    def _leaf(self, array: Array) -> Array:
        lower, upper = self.lower, self.upper
        if array.dtype.kind in "iu":
            info = np.iinfo(array.dtype)
            lower, upper = (min(max(int(end), int(info.min)), int(info.max)) for end in (lower, upper))
        with np.errstate(all="ignore"):  # an end beyond float16 is infinite there, which clips nothing
            return np.clip(array, array.dtype.type(lower), array.dtype.type(upper))

    def __repr__(self) -> str:
        return f"[{self.lower:g}, {self.upper:g}]"


@dataclass(frozen=True)
class Radius:
    """The numbers of a client, side by side, lie in a ball around 0.

    >>> Radius("l2", 1.0)
    l2 <= 1
    """

    norm: Norm
    radius: float

    def clipped(self, columns: Any, kind: Type) -> Any:
        """Vectors outside scaled onto the ball (l1, l2), or cut off in each coordinate (linf)."""
        if self.norm == "linf":
            return Range(-self.radius, self.radius).clipped(columns, kind)
        factor = self._factor(flattened(columns, kind))

        def scaled(leaf: Array) -> Array:
            aligned = factor.reshape(-1, *(1,) * (leaf.ndim - 1))
            return np.asarray(np.where(aligned < 1, leaf * aligned, leaf), dtype=leaf.dtype)

        with np.errstate(all="ignore"):
            return each_leaf(scaled, columns, kind)

    def _factor(self, vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """What to multiply each client with; its largest number goes first, so that no square overflows."""
        largest = np.abs(vectors).max(axis=1, initial=0.0)
        with np.errstate(all="ignore"):
            units = vectors / np.where(largest > 0, largest, 1.0)[:, None]
            size = np.abs(units).sum(axis=1) if self.norm == "l1" else np.sqrt(np.square(units).sum(axis=1))
            factor: npt.NDArray[np.float64] = (self.radius / largest) / size
        return np.where(largest == 0, 1.0, factor)

    def __repr__(self) -> str:
        return f"{self.norm} <= {self.radius:g}"


Bound: TypeAlias = Range | Radius


def each_leaf(function: Callable[[Array], Any], columns: Any, kind: Type) -> Any:
    """The function of every array in the columns of a struct of tensors, in the same structure."""
    if isinstance(kind, StructType):
        return built(kind, [each_leaf(function, column, member) for column, member in by_field(columns, kind)])
    return function(columns)
