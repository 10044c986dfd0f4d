"""An encoder and what the clients do to its vector before it leaves them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.sensitivity import Sensitivity
from fedanalytics.round.blocks import Encoder, Integers, Noisy
from fedanalytics.round.estimates import Estimate, Floats

_CHUNK = 1 << 20  # numbers per block of clients


@dataclass(frozen=True)
class Wrapped:
    """Reads what `inner` reads; null is a value like others, so that every client has to be asked.

    Attributes:
        inner: the encoder of the block.
    """

    inner: Encoder

    @property
    @abstractmethod
    def size(self) -> int:
        """Numbers in what a client sends."""

    @abstractmethod
    def added(self, values: npt.NDArray[Any], steps: int) -> Integers:
        """The sum of what a few clients send, shape (size,)."""

    def sums(self, values: npt.NDArray[Any], steps: int) -> Integers:
        """The sum of what all clients send, shape (size,)."""
        total = np.zeros(self.size, dtype=np.int64)
        clients = max(_CHUNK // max(self.size, self.inner.size), 1)
        for start in range(0, len(values), clients):
            total += self.added(values[start : start + clients], steps)
        return total

    def rows(self, values: npt.NDArray[Any], steps: int) -> Integers:
        """What each of n clients sends, shape (n, size)."""
        return np.stack([self.added(values[i : i + 1], steps) for i in range(len(values))])

    @property
    def columns(self) -> int:
        return self.inner.columns

    @property
    def reads_text(self) -> bool:
        return self.inner.reads_text

    @property
    def coarsest(self) -> int:
        return self.inner.coarsest

    @property
    def finest(self) -> int:
        return self.inner.finest

    def sensitivity(self, steps: int, relation: Relation) -> Sensitivity:
        return self.inner.sensitivity(steps, relation)

    def estimate(self, noisy: Noisy) -> Estimate:
        return self.inner.estimate(noisy)

    def assumed(self, clients: float) -> Floats:
        return self.inner.assumed(clients)
