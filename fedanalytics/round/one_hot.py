"""Which of k: a client's value -> a one in its bin. Counts, histograms, yes or no."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.sensitivity import Sensitivity, counting
from fedanalytics.round.blocks import Integers, Noisy
from fedanalytics.round.estimates import Additive, Floats


class _Bins:
    """What one-of-k encoders share: the grid is the integers, and a client moves one count by one."""

    columns = 1
    reads_text = False
    coarsest = 1
    finest = 1

    @property
    def size(self) -> int:
        raise NotImplementedError

    def bins(self, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The bin of each client, shape (n,); -1 where it falls in none."""
        raise NotImplementedError

    def sensitivity(self, steps: int, relation: Relation) -> Sensitivity:
        """1, or sqrt(2) under replace-one (one bin loses what another gains)."""
        return counting(steps, steps**2, relation)

    def rows(self, values: npt.NDArray[Any], steps: int) -> Integers:
        return np.asarray(self.bins(values)[:, None] == np.arange(self.size), dtype=np.int64) * steps

    def sums(self, values: npt.NDArray[Any], steps: int) -> Integers:
        bins = self.bins(values)
        return np.bincount(bins[bins >= 0], minlength=self.size) * steps

    def assumed(self, clients: float) -> Floats:
        return np.full(self.size, clients / self.size)

    def estimate(self, noisy: Noisy) -> Additive:
        """The estimator: the noisy counts themselves, unbiased, possibly negative or fractional."""
        return Additive(noisy.values, noisy.noise)


@dataclass(frozen=True)
class OneHot(_Bins):
    """Bins between `edges`, by numpy's rule: half-open, the last one closed; outside all of them: no contribution.

    Raises:
        BadArgument: fewer than two edges, NaN, or not strictly increasing. Infinite outer edges are fine.

    Example:
        >>> OneHot((0.0, 10.0, 20.0)).sums(np.array([0.0, 10.0, 20.0, 21.0, np.nan]), steps=1)
        array([1, 2])
    """

    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        edges = self.edges
        ordered = (
            len(edges) >= 2 and all(map(_validate.real, edges)) and all(a < b for a, b in itertools.pairwise(edges))
        )
        if not ordered:
            raise BadArgument(f"edges= must be at least two strictly increasing numbers, got {edges!r}")
        object.__setattr__(self, "edges", tuple(float(e) for e in edges))

    @property
    def size(self) -> int:
        return len(self.edges) - 1

    def bins(self, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        found = np.searchsorted(self.edges, values, side="right") - 1
        found[values == self.edges[-1]] = self.size - 1
        found[(values > self.edges[-1]) | np.isnan(values)] = -1
        return found


@dataclass(frozen=True)
class OneOf(_Bins):
    """Named categories, public and given; any other value: no contribution.

    Raises:
        BadArgument: no category, or one twice.

    Example:
        >>> OneOf(("JFK", "LGA")).sums(np.array(["LGA", "EWR", None, "LGA"], dtype=object), steps=1)
        array([0, 2])
    """

    categories: tuple[str | float, ...]

    def __post_init__(self) -> None:
        if not self.categories or len(set(self.categories)) < len(self.categories):
            raise BadArgument(f"categories= must be different values, at least one, got {self.categories!r}")
        if len({isinstance(category, str) for category in self.categories}) > 1:
            raise BadArgument(f"categories= must be all texts or all numbers, got {self.categories!r}")

    @property
    def reads_text(self) -> bool:  # type: ignore[override]  # the only bins that may be of text
        return isinstance(self.categories[0], str)

    @property
    def size(self) -> int:
        return len(self.categories)

    def bins(self, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        position = {category: i for i, category in enumerate(self.categories)}
        return np.fromiter((position.get(v, -1) for v in values.tolist()), dtype=np.int64, count=len(values))


@dataclass(frozen=True)
class Present(_Bins):
    """A one from every client that has a value: counts clients."""

    @property
    def size(self) -> int:
        return 1

    def bins(self, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        return np.where(np.isnan(values), -1, 0)

    def estimate(self, noisy: Noisy) -> Additive:
        """The noisy count."""
        return Additive(noisy.values[..., 0], noisy.noise)
