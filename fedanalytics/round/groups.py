"""One contribution per public group (a month, a region): the inner encoder, side by side, with one bound on all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.sensitivity import Sensitivity, bounded
from fedanalytics.round.blocks import Encoder, Integers, Noisy, chunked_sums
from fedanalytics.round.estimates import Estimate, Floats

_CHUNK = 1 << 18


@dataclass(frozen=True)
class Grouped:
    """`groups` vectors of `inner`, of which a client fills at most `max_groups`; values (n, groups * inner.columns).

    A client in k > max_groups groups has its whole vector scaled by sqrt(max_groups / k), towards zero, and its
    integer norm checked: the L2 sensitivity is sqrt(max_groups) times the inner one.
    """

    inner: Encoder
    groups: int
    max_groups: int

    def __post_init__(self) -> None:
        _validate.whole(groups=self.groups)
        _validate.whole(max_groups=self.max_groups)
        object.__setattr__(self, "max_groups", min(self.max_groups, self.groups))

    @property
    def columns(self) -> int:
        return self.groups * self.inner.columns

    @property
    def reads_text(self) -> bool:
        return self.inner.reads_text

    @property
    def size(self) -> int:
        return self.groups * self.inner.size

    @property
    def coarsest(self) -> int:
        return self.inner.coarsest

    @property
    def finest(self) -> int:
        return self.inner.finest if self.max_groups == self.groups else max(self.inner.finest, 1 << 12)

    def sensitivity(self, steps: int, relation: Relation) -> Sensitivity:
        """Of L2 norm sqrt(max_groups) times that of one group; L1 by Cauchy-Schwarz over the groups.

        Under replace-one, with every group allowed, each group moves by the inner replace-one sensitivity; with fewer,
        two clients may fill different groups, and twice the norm bounds their difference.
        """
        if self.max_groups == self.groups:
            one = self.inner.sensitivity(steps, relation)
            return Sensitivity(self.groups * one.l1, self.groups * one.l2_squared, relation)
        one = self.inner.sensitivity(steps, Relation.ADD_OR_REMOVE_ONE)
        l1 = math.isqrt(self.max_groups * self.groups * one.l1**2) + 1
        return bounded(l1, self.max_groups * one.l2_squared, relation)

    def rows(self, values: npt.NDArray[Any], steps: int) -> Integers:
        n = len(values)
        shape = (n * self.groups,) if self.inner.columns == 1 else (n * self.groups, self.inner.columns)
        vectors = self.inner.rows(np.asarray(values).reshape(shape), steps).reshape(n, self.groups, self.inner.size)
        filled = vectors.any(axis=2).sum(axis=1)
        many = filled > self.max_groups
        if many.any():
            scale = np.sqrt(self.max_groups / filled[many])[:, None, None]
            vectors[many] = np.trunc(vectors[many] * scale).astype(np.int64)
        flat = vectors.reshape(n, self.size)
        most = self.sensitivity(steps, Relation.ADD_OR_REMOVE_ONE).l2_squared
        flat[np.square(flat).sum(axis=1) > most] = 0
        return flat

    def sums(self, values: npt.NDArray[Any], steps: int) -> Integers:
        return chunked_sums(self, values, steps, max(_CHUNK // self.size, 1))

    def assumed(self, clients: float) -> Floats:
        return np.tile(self.inner.assumed(clients * self.max_groups / self.groups), self.groups)

    def estimate(self, noisy: Noisy) -> Estimate:
        """The inner estimate, with a leading axis of groups."""
        values = noisy.values.reshape(self.groups, self.inner.size)
        return self.inner.estimate(Noisy(values, noisy.noise))
