"""A client's records, of which at most `max_records` count: many rows, one bounded contribution.

A client with k > max_records records has all of them scaled by max_records / k. No record is picked, so nothing
depends on their order, and the bound is a fact about integers again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.sensitivity import Sensitivity, bounded, counting
from fedanalytics.round.blocks import Integers, Noisy, chunked_sums
from fedanalytics.round.estimates import Additive, Estimate, Floats
from fedanalytics.round.moments import Interval, Moments

_CHUNK = 1 << 20  # numbers per block of clients


@dataclass(frozen=True)
class RecordCounts:
    """Counts of a client's records per bin; values have shape (n, size).

    Example:
        >>> RecordCounts(size=2, max_records=4).sums(np.array([[1.0, 2.0], [6.0, 2.0]]), steps=1)
        array([4, 3])
    """

    size: int
    max_records: int
    reads_text = False
    coarsest = 1
    finest = 1 << 12

    def __post_init__(self) -> None:
        _most(self.max_records)

    @property
    def columns(self) -> int:
        return self.size

    def sensitivity(self, steps: int, relation: Relation) -> Sensitivity:
        """max_records, or sqrt(2) times it under replace-one: the counts are >= 0 and sum to at most max_records."""
        most = self.max_records * steps
        return counting(most, most**2, relation)

    @np.errstate(all="ignore")  # a warning about a client's value would tell
    def rows(self, values: npt.NDArray[Any], steps: int) -> Integers:
        counts = np.nan_to_num(np.asarray(values, dtype=np.float64).reshape(len(values), self.size), nan=0.0)
        scale = np.minimum(1.0, self.max_records / np.maximum(counts.sum(axis=1), 1.0))
        integers: Integers = np.floor(counts * (scale * steps)[:, None]).astype(np.int64)
        integers[(integers.sum(axis=1) > self.max_records * steps) | (integers < 0).any(axis=1)] = 0
        return integers

    def sums(self, values: npt.NDArray[Any], steps: int) -> Integers:
        return chunked_sums(self, values, steps, max(_CHUNK // self.columns, 1))

    def assumed(self, clients: float) -> Floats:
        return np.full(self.size, clients / self.size)

    def estimate(self, noisy: Noisy) -> Additive:
        """The noisy counts of records."""
        return Additive(noisy.values, noisy.noise)


@dataclass(frozen=True)
class RecordCount(RecordCounts):
    """All of a client's records as one number; values (n,)."""

    size: int = field(default=1, init=False)

    def estimate(self, noisy: Noisy) -> Additive:
        """The noisy count of records."""
        return Additive(noisy.values[..., 0], noisy.noise)


@dataclass(frozen=True)
class RecordMoments:
    """Sums over a client's records of z (and z^2), z in [-1, 1], and their number k; values (k, sum z, [sum z^2]).

    The estimand is the mean (variance) over records, each client's weight capped at `max_records`.
    """

    moments: Moments
    max_records: int
    reads_text = False
    coarsest = 1

    def __post_init__(self) -> None:
        _most(self.max_records)

    @property
    def columns(self) -> int:
        return self.moments.order + 1

    @property
    def size(self) -> int:
        return self.moments.size

    @property
    def finest(self) -> int:
        return max(self.moments.finest >> (self.max_records - 1).bit_length(), 1 << 10)

    def sensitivity(self, steps: int, relation: Relation) -> Sensitivity:
        """max_records times that of one record, twice that under replace-one: the weights of two clients differ."""
        one = self.moments.sensitivity(steps, Relation.ADD_OR_REMOVE_ONE)
        return bounded(self.max_records * one.l1, self.max_records**2 * one.l2_squared, relation)

    @np.errstate(all="ignore")  # a warning about a client's value would tell
    def rows(self, values: npt.NDArray[Any], steps: int) -> Integers:
        records = np.nan_to_num(np.asarray(values, dtype=np.float64).reshape(len(values), self.columns), nan=0.0)
        k, z = records[:, 0], records[:, 1]
        scale = np.minimum(1.0, self.max_records / np.maximum(k, 1.0))[:, None]
        features = [z, 2 * records[:, 2] - k, k] if self.moments.order == 2 else [z, k]
        sides = np.array(self.moments.sides(steps))
        nearest = np.rint(np.stack(features, axis=1) * scale * sides)
        clipped: Integers = np.clip(nearest, -self.max_records * sides, self.max_records * sides).astype(np.int64)
        return clipped

    def sums(self, values: npt.NDArray[Any], steps: int) -> Integers:
        return chunked_sums(self, values, steps, max(_CHUNK // self.columns, 1))

    def assumed(self, clients: float) -> Floats:
        return self.moments.assumed(clients)

    def estimate(self, noisy: Noisy) -> Estimate:
        """The mean, or the variance, over records."""
        return self.moments.estimate(noisy)


@dataclass(frozen=True)
class RecordSum:
    """The sum of a client's records, each clipped to [lower, upper]; values (k, sum of records / magnitude).

    Example:
        >>> RecordSum(Interval(0.0, 10.0), max_records=2).sums(np.array([[4.0, 3.0], [1.0, 0.5]]), steps=1024)
        array([2048])
    """

    one: Interval
    max_records: int
    columns = 2
    size = 1
    reads_text = False
    coarsest = 1

    def __post_init__(self) -> None:
        _most(self.max_records)

    @property
    def finest(self) -> int:
        return max(self.one.finest >> (self.max_records - 1).bit_length(), 1 << 10)

    def sensitivity(self, steps: int, relation: Relation) -> Sensitivity:
        """max_records times that of one record: every contribution lies in max_records * [lower, upper] or is null."""
        one = self.one.sensitivity(steps, relation)
        return Sensitivity(self.max_records * one.l1, self.max_records**2 * one.l2_squared, relation)

    @np.errstate(all="ignore")  # a warning about a client's value would tell
    def rows(self, values: npt.NDArray[Any], steps: int) -> Integers:
        records = np.nan_to_num(np.asarray(values, dtype=np.float64).reshape(len(values), 2), nan=0.0)
        k, total = records[:, 0], records[:, 1]
        nearest = np.rint(total * np.minimum(1.0, self.max_records / np.maximum(k, 1.0)) * steps)
        low, high = (self.max_records * end for end in self.one.ends(steps))
        clipped: Integers = np.clip(nearest, min(low, 0), max(high, 0)).astype(np.int64)
        return clipped[:, None]

    def sums(self, values: npt.NDArray[Any], steps: int) -> Integers:
        return chunked_sums(self, values, steps, _CHUNK)

    def assumed(self, clients: float) -> Floats:
        return self.one.assumed(clients)

    def estimate(self, noisy: Noisy) -> Additive:
        """The noisy sum over records."""
        return self.one.estimate(noisy)


def _most(max_records: int) -> None:
    """Up to 2^20, so that 2^30 clients of max_records on the finest grid still sum within int64."""
    if _validate.whole(max_records=max_records) > 1 << 20:
        raise BadArgument(f"max_records= must be at most 1,048,576, got {max_records}; use a per-client value instead")
