"""Bounded numbers: a client's value in [lower, upper] -> (z, [2 z^2 - 1], w) on the grid. Sums, means, variances.

z = (x - middle) / half lies in [-1, 1]; w is a constant that counts the client. A mean is the ratio of two noisy sums,
which share one noise scale: sigma ~ sqrt(1 + w^2). The variance of the mean, over its floor with the count public, is
(1 + w^2)(1 + zbar^2 / w^2), best at w^2 = |zbar|; w^2 = 1/5 costs at most 1.2 on |zbar| <= 1/5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.sensitivity import Sensitivity, weighted
from fedanalytics.round.blocks import Integers, Noisy, chunked_sums
from fedanalytics.round.estimates import Additive, Estimate, Floats, Ratio, Spread

COARSEST = 1 << 10
FINEST = 1 << 20  # steps; rounding then moves a client by 5e-7 of half the range, and 2^33 clients fit into 2^53
_CACHED = 1 << 16  # clients per block: the buffer stays in cache


@dataclass(frozen=True)
class Interval:
    """A number in [lower, upper], for sums; real unit: the larger of |lower| and |upper|.

    Example:
        >>> Interval(0.0, 10.0).sums(np.array([5.0, 50.0, np.nan]), steps=1024)
        array([1536])
    """

    lower: float
    upper: float
    columns = 1
    size = 1
    reads_text = False
    coarsest = COARSEST
    finest = FINEST

    def __post_init__(self) -> None:
        lower, upper = _validate.interval(bounds=(self.lower, self.upper))
        _check_width(lower, upper)
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @property
    def magnitude(self) -> float:
        """The real value of the bound."""
        return max(abs(self.lower), abs(self.upper))

    def ends(self, steps: int) -> tuple[int, int]:
        """The bounds in grid steps."""
        return round(self.lower / self.magnitude * steps), round(self.upper / self.magnitude * steps)

    def sensitivity(self, steps: int, relation: Relation) -> Sensitivity:
        """The larger bound; under replace-one the width of [lower, upper] with 0 in it (the null vector)."""
        low, high = self.ends(steps)
        most = max(high, 0) - min(low, 0) if relation is Relation.REPLACE_ONE else max(abs(low), abs(high))
        return Sensitivity(most, most**2, relation)

    def rows(self, values: npt.NDArray[Any], steps: int) -> Integers:
        nearest = _snapped(values, steps / self.magnitude, 0.0, self.ends(steps), np.empty(len(values)))
        return np.nan_to_num(nearest, nan=0.0).astype(np.int64)[:, None]

    def sums(self, values: npt.NDArray[Any], steps: int) -> Integers:
        total, _ = _total(values, steps / self.magnitude, 0.0, self.ends(steps))
        return np.array([total])

    def assumed(self, clients: float) -> Floats:
        return np.array([clients * (self.lower + self.upper) / 2 / self.magnitude])

    def estimate(self, noisy: Noisy) -> Additive:
        """The noisy sum."""
        return Additive(noisy.values[..., 0] * self.magnitude, noisy.noise.scaled(self.magnitude))


@dataclass(frozen=True)
class Moments:
    """A number in [lower, upper], for its mean (order 1) or its variance (order 2).

    Attributes:
        lower, upper: the bounds; values outside are clipped to them, NaN is the null vector.
        order: 1 or 2.
        count_weight: w^2, the square of the constant that counts the client.

    Example:
        >>> Moments(0.0, 10.0).sums(np.array([5.0, 50.0, np.nan]), steps=1024)
        array([1024,  916])
    """

    lower: float
    upper: float
    order: int = 1
    count_weight: float = 0.2
    columns = 1
    reads_text = False
    coarsest = COARSEST
    finest = FINEST

    def __post_init__(self) -> None:
        lower, upper = _validate.interval(bounds=(self.lower, self.upper))
        _check_width(lower, upper)
        _validate.positive(count_weight=self.count_weight)
        if not 2.0**-10 <= self.count_weight <= 2.0**10:
            raise BadArgument(f"count_weight= must lie between 2^-10 and 2^10, got {self.count_weight!r}")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @property
    def size(self) -> int:
        return self.order + 1

    @property
    def half(self) -> float:
        """Half the width of the bounds."""
        return (self.upper - self.lower) / 2

    def sides(self, steps: int) -> tuple[int, ...]:
        """The largest magnitude of each coordinate, in grid steps; the last one is the weight."""
        return (*(steps,) * self.order, max(round(math.sqrt(self.count_weight) * steps), 1))

    def sensitivity(self, steps: int, relation: Relation) -> Sensitivity:
        """sqrt(order + w^2), or max(2 sqrt(order), that) under replace-one."""
        *sides, weight = self.sides(steps)
        return weighted(sides, weight, relation)

    def _affine(self, steps: int) -> tuple[float, float]:
        return steps / self.half, (self.lower + self.upper) / 2 / self.half * steps

    def rows(self, values: npt.NDArray[Any], steps: int) -> Integers:
        z = _snapped(values, *self._affine(steps), (-steps, steps), np.empty(len(values)))
        columns = [z, _square(z, steps)] if self.order == 2 else [z]
        weight = np.where(np.isnan(z), 0, self.sides(steps)[-1])
        return np.stack([*(np.nan_to_num(c, nan=0.0).astype(np.int64) for c in columns), weight], axis=1)

    def sums(self, values: npt.NDArray[Any], steps: int) -> Integers:
        if self.order == 2:
            return chunked_sums(self, values, steps, _CACHED)
        total, clients = _total(values, *self._affine(steps), (-steps, steps))
        return np.array([total, clients * self.sides(steps)[-1]])

    def assumed(self, clients: float) -> Floats:
        """Values spread evenly over the range, around its middle."""
        weight = math.sqrt(self.count_weight)
        return clients * np.array([0.0, 2 / 3 - 1, weight] if self.order == 2 else [0.0, weight])

    def estimate(self, noisy: Noisy) -> Estimate:
        """The mean with Fieller's interval (order 1), or the variance (order 2)."""
        steps = round(1 / noisy.noise.unit) if noisy.noise.unit else self.finest
        weight = self.sides(steps)[-1] / steps
        count, count_noise = noisy.values[..., -1] / weight, noisy.noise.scaled(1 / weight)
        z = noisy.values[..., 0]
        if self.order == 1:
            return Ratio(z, count, noisy.noise, count_noise, self.lower, self.upper)
        return Spread(z, noisy.values[..., 1], count, (noisy.noise, noisy.noise, count_noise), self.half)


def _check_width(lower: float, upper: float) -> None:
    if not (2.0**-900 < upper - lower < 2.0**1000 and max(abs(lower), abs(upper)) < 2.0**30 * (upper - lower)):
        raise BadArgument(
            f"bounds=({lower!r}, {upper!r}) are too narrow or too wide for 64-bit numbers; shift or scale the column"
        )


@np.errstate(all="ignore")
def _snapped(values: npt.NDArray[Any], factor: float, offset: float, ends: tuple[int, int], out: Floats) -> Floats:
    """The nearest grid points, clipped to `ends` after rounding: whole numbers in float64; NaN stays.

    A value so large that it overflows is clipped like any other, and without a warning: a warning would tell.
    """
    np.multiply(values, factor, out=out)
    if offset:
        out -= offset
    np.rint(out, out=out)
    return np.clip(out, *ends, out=out)


def _total(values: npt.NDArray[Any], factor: float, offset: float, ends: tuple[int, int]) -> tuple[int, int]:
    """Exact sum of the snapped values, and how many are not NaN. A block's sum stays below 2^16 * 2^20 < 2^53."""
    buffer = np.empty(min(_CACHED, len(values)))
    total = clients = 0
    for start in range(0, len(values), _CACHED):
        block = values[start : start + _CACHED]
        snapped = _snapped(block, factor, offset, ends, buffer[: len(block)])
        part = snapped.sum()
        if np.isnan(part):
            snapped = snapped[~np.isnan(snapped)]
            part = snapped.sum()
        total += int(part)
        clients += len(snapped)
    return total, clients


def _square(z: Floats, steps: int) -> Floats:
    return np.rint(2 * z * (z / steps) - steps)
