"""Vectors in a ball: a client's vector, clipped in L1, L2 or L-inf norm, for sums and means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.privacy.clipping import NORMS, Integers, Norm, clip, least_steps, sensitivity
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.sensitivity import Sensitivity
from fedanalytics.round.blocks import Noisy, chunked_sums
from fedanalytics.round.estimates import Additive, Floats

_CHUNK = 1 << 16  # numbers per block of clients: what stays in a cache


@dataclass(frozen=True)
class Ball:
    """Vectors of `size` numbers within `radius` of 0; real unit: the radius. Non-finite vectors are null.

    Raises:
        BadArgument: an unknown norm, a radius or a size that is not positive.

    Example:
        >>> Ball("l2", 1.0, size=2).sums(np.array([[3.0, 4.0], [0.0, 1.0]]), steps=1024)
        array([ 614, 1843])
    """

    norm: Norm
    radius: float
    size: int
    reads_text = False

    def __post_init__(self) -> None:
        _validate.one_of(NORMS, norm=self.norm)
        _validate.positive(radius=self.radius)
        _validate.whole(size=self.size)

    @property
    def columns(self) -> int:
        return self.size

    @property
    def coarsest(self) -> int:
        return 1 << math.ceil(math.log2(least_steps(self.norm, self.size)))

    @property
    def finest(self) -> int:
        return max(self.coarsest, 1 << 20)

    def sensitivity(self, steps: int, relation: Relation) -> Sensitivity:
        """The radius; twice that under replace-one."""
        return sensitivity(self.norm, self.size, steps, relation)

    @np.errstate(all="ignore")  # a warning about a client's value would tell
    def rows(self, values: npt.NDArray[Any], steps: int) -> Integers:
        return clip(
            np.asarray(values, dtype=np.float64).reshape(len(values), self.size) / self.radius, self.norm, steps
        )

    def sums(self, values: npt.NDArray[Any], steps: int) -> Integers:
        return chunked_sums(self, values, steps, max(_CHUNK // self.size, 1))

    def assumed(self, clients: float) -> Floats:  # noqa: ARG002  # an unremarkable fleet sums to 0, however large
        return np.zeros(self.size)

    def estimate(self, noisy: Noisy) -> Additive:
        """The noisy sum."""
        return Additive(noisy.values * self.radius, noisy.noise.scaled(self.radius))
