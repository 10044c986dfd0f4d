"""A client's model update, clipped, and beside it a few bounded numbers that training asks for: one vector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.clipping import Integers, clip, least_steps
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.sensitivity import Sensitivity, bounded
from fedanalytics.round.blocks import Noisy, chunked_sums
from fedanalytics.round.estimates import Additive, Floats

_CHUNK = 1 << 16  # numbers per block of clients: what stays in a cache
_FINEST = 1 << 20


@dataclass(frozen=True)
class Updates:
    """Vectors within `radius` of 0 in L2, and numbers in [-1, 1] beside them; unit: the radius, 1.

    A number counts by its weight w: its sum has the noise of the whole over w, and the noise of the vector grows by
    sqrt(1 + w^2). A vector that is not finite is null with all its numbers; a number that is not is 0.

    Attributes:
        radius: the clip.
        coordinates: of the vector.
        weights: of the numbers, from 2^-10 to 1.

    Raises:
        BadArgument: an attribute is not as above.

    Example:
        >>> encoder = Updates(1.0, coordinates=2, weights=(0.5,))
        >>> encoder.sums(np.array([[3.0, 4.0, 1.0], [0.0, 1.0, -0.5]]), steps=1024)
        array([ 614, 1843,  256])
    """

    radius: float
    coordinates: int
    weights: tuple[float, ...] = ()
    reads_text = False

    def __post_init__(self) -> None:
        _validate.positive(radius=self.radius)
        _validate.whole(coordinates=self.coordinates)
        for weight in self.weights:
            if not (_validate.real(weight) and 2.0**-10 <= weight <= 1):
                raise BadArgument(f"weights= must lie between 2^-10 and 1, got {self.weights!r}")

    @property
    def size(self) -> int:
        return self.coordinates + len(self.weights)

    @property
    def columns(self) -> int:
        return self.size

    @property
    def coarsest(self) -> int:
        return 1 << math.ceil(math.log2(least_steps("l2", self.coordinates)))

    @property
    def finest(self) -> int:
        return max(self.coarsest, _FINEST)

    def sides(self, steps: int) -> tuple[int, ...]:
        """The largest magnitude of each number, in grid steps."""
        return tuple(max(round(weight * steps), 1) for weight in self.weights)

    def sensitivity(self, steps: int, relation: Relation) -> Sensitivity:
        """sqrt(1 + sum of w^2) radii; twice that under replace-one. Checked in integers: `rows`."""
        squared = steps**2 + sum(side * side for side in self.sides(steps))
        return bounded(math.isqrt(self.size * squared), squared, relation)

    @np.errstate(all="ignore")  # a warning about a client's value would tell
    def rows(self, values: npt.NDArray[Any], steps: int) -> Integers:
        given = np.asarray(values, dtype=np.float64).reshape(len(values), self.size)
        vectors = clip(given[:, : self.coordinates] / self.radius, "l2", steps)
        if not self.weights:
            return vectors
        sides = np.array(self.sides(steps))
        numbers = np.rint(np.clip(np.nan_to_num(given[:, self.coordinates :], nan=0.0), -1.0, 1.0) * sides)
        lost = ~np.isfinite(given[:, : self.coordinates]).all(axis=1)
        numbers[lost] = 0
        return np.concatenate([vectors, numbers.astype(np.int64)], axis=1)

    def sums(self, values: npt.NDArray[Any], steps: int) -> Integers:
        return chunked_sums(self, values, steps, max(_CHUNK // self.size, 1))

    def assumed(self, clients: float) -> Floats:  # noqa: ARG002  # an unremarkable fleet sums to 0, however large
        return np.zeros(self.size)

    def estimate(self, noisy: Noisy) -> Additive:
        """The noisy sum of the vectors."""
        return Additive(noisy.values[: self.coordinates] * self.radius, noisy.noise.scaled(self.radius))

    def numbers(self, noisy: Noisy) -> Floats:
        """The noisy sums of the numbers, shape (len(weights),), each in its own unit."""
        sums: Floats = noisy.values[self.coordinates :] / np.array(self.weights)
        return sums
