"""Blocks whose values the clients randomise themselves: what they send, and what the sum of it means.

Three kinds: which of k (a frequency mechanism), a number (a piecewise mechanism), and any other bounded vector (noise
on every coordinate). The answer of each is {"sums": of the reports, "reports": how many}.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.privacy.events import DiscreteLaplace, Event
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.local import NULL, FrequencyMechanism, LocalPure, PiecewiseResponse
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.samplers import discrete_laplace
from fedanalytics.round.blocks import Block, Integers, Noisy
from fedanalytics.round.estimates import Floats, Noise
from fedanalytics.round.moments import Interval, Moments
from fedanalytics.trust.wrapped import Wrapped

Ends: TypeAlias = tuple[Any, Any]


@dataclass(frozen=True, eq=False)
class Stretched:
    """An estimate on a scale of its own, in the caller's units and shape: offset + factor * x."""

    of: Any
    error: Any
    ends: Callable[[float], Ends]
    factor: float = 1.0
    offset: float = 0.0
    shape: tuple[int, ...] = ()

    @property
    def value(self) -> Floats:
        return self._real(self.of)

    @property
    def standard_error(self) -> Floats:
        return np.reshape(np.asarray(self.error, dtype=float) * self.factor, self.shape)

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        low, high = self.ends(confidence)
        return self._real(low), self._real(high)

    def _real(self, numbers: Any) -> Floats:
        return np.reshape(self.offset + self.factor * np.asarray(numbers, dtype=float), self.shape)


@dataclass(frozen=True)
class Reports(ABC):
    """A block, and how clients report on it.

    Attributes:
        relation: what the event holds under.
        clients: how many report.
    """

    block: Block
    relation: Relation
    clients: int

    @property
    @abstractmethod
    def event(self) -> Event:
        """What a client's report is, to an accountant."""

    @property
    @abstractmethod
    def loss(self) -> float:
        """Epsilon between any two values, null among them: the event's own under replace-one."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """The grid of the encoder."""

    @abstractmethod
    def encoder(self, stream: Keystream) -> Wrapped:
        """What clients send; the last number of a sum is how many did."""

    @abstractmethod
    def read(self, sums: Integers, reports: int) -> Noisy:
        """What the sums mean."""

    @abstractmethod
    def deviation(self, clients: float) -> float:
        """About the standard deviation of a coordinate of the sum, in units of the encoder's bound."""

    def noisy(self, answer: Any) -> Noisy:
        """The estimated sum."""
        return self.read(np.array(answer["sums"], dtype=np.int64), answer["reports"])

    def assumed(self, clients: float) -> Noisy:
        """An unremarkable sum."""
        noise = Noise(self.deviation(clients), "gaussian", 1 / self.steps)
        return Noisy(self.block.encoder.assumed(clients), noise)


@dataclass(frozen=True)
class Counted(Wrapped):
    """Reports, and how many there were: the last number of a sum.

    Attributes:
        width: numbers in a report.
        reported: the sum of the reports on some values.
    """

    width: int
    reported: Callable[[npt.NDArray[Any], int], Integers]

    @property
    def size(self) -> int:
        return self.width + 1

    def added(self, values: npt.NDArray[Any], steps: int) -> Integers:
        return np.append(self.reported(values, steps), len(values))


@dataclass(frozen=True)
class BinReports(Reports):
    """Which of k bins a client holds, if any."""

    mechanism: FrequencyMechanism
    steps = 1

    @property
    def event(self) -> Event:
        return self.mechanism.event(self.relation)

    @property
    def loss(self) -> float:
        return self.mechanism.epsilon(Relation.REPLACE_ONE)

    def encoder(self, stream: Keystream) -> Wrapped:
        def reported(values: npt.NDArray[Any], steps: int) -> Integers:
            rows = self.block.encoder.rows(values, steps)
            held = np.where(rows.any(axis=1), rows.argmax(axis=1), NULL)
            return self.mechanism.sums(held, stream)

        return Counted(self.block.encoder, self.mechanism.columns, reported)

    def read(self, sums: Integers, reports: int) -> Noisy:
        counts = self.mechanism.estimate(sums, reports)
        errors = np.sqrt(counts.variance)
        estimate = Stretched(counts.value, errors, counts.interval, shape=self._shape)
        return Noisy(counts.value, Noise(math.sqrt(float(np.mean(counts.variance)))), estimate)

    def deviation(self, clients: float) -> float:
        return math.sqrt(clients * self.mechanism.variance)

    @property
    def _shape(self) -> tuple[int, ...]:
        """As the encoder estimates: with an axis of groups, or none at all."""
        encoder = self.block.encoder
        return np.shape(encoder.estimate(Noisy(np.zeros(encoder.size), Noise(1.0))).value)


@dataclass(frozen=True)
class NumberReports(Reports):
    """A number, reported as z = (x - middle) / half in [-1, 1]; for its sum, or its mean over those that hold one.

    Attributes:
        null: the z of a client without a number; NaN where the mechanism has a report of its own for it.
    """

    mechanism: PiecewiseResponse
    middle: float
    half: float
    null: float
    steps = 1 << 20

    @property
    def event(self) -> Event:
        """The mechanism's; that of any two numbers, where null is one of them but not the one the mechanism takes."""
        if math.isnan(self.null) or self.relation is Relation.REPLACE_ONE:
            return self.mechanism.event(self.relation)
        return LocalPure(self.loss, self.relation)

    @property
    def loss(self) -> float:
        return self.mechanism.epsilon(Relation.REPLACE_ONE)

    def encoder(self, stream: Keystream) -> Wrapped:
        def reported(values: npt.NDArray[Any], steps: int) -> Integers:  # noqa: ARG001  # the mechanism has a grid
            with np.errstate(all="ignore"):  # a warning about a client's value would tell
                z = np.clip((values - self.middle) / self.half, -1.0, 1.0)
            return self.mechanism.sums(np.where(np.isfinite(values), z, self.null), stream)

        return Counted(self.block.encoder, self.mechanism.columns, reported)

    def read(self, sums: Integers, reports: int) -> Noisy:
        total = self.mechanism.estimate(sums, reports)
        if isinstance(self.block.encoder, Moments):
            return self._mean(sums, reports)
        magnitude, offset = self._magnitude, self.middle * reports
        error = math.sqrt(total.variance)
        estimate = Stretched(total.value, error, total.interval, self.half, offset)
        values = np.array([float(estimate.value) / magnitude])
        return Noisy(values, Noise(error * self.half / magnitude), estimate)

    def _mean(self, sums: Integers, reports: int) -> Noisy:
        means, weight = self.mechanism.mean(sums, reports), self.block.encoder.assumed(1.0)[-1]
        estimate = Stretched(means.value, means.standard_error, means.interval, self.half, self.middle)
        values = np.array([means.total.value, weight * float(means.count.value[0])])
        return Noisy(values, Noise(math.sqrt(means.total.variance)), estimate)

    def deviation(self, clients: float) -> float:
        unit = 1.0 if isinstance(self.block.encoder, Moments) else self.half / self._magnitude
        return math.sqrt(clients * self.mechanism.worst) * unit

    @property
    def _magnitude(self) -> float:
        encoder = self.block.encoder
        return encoder.magnitude if isinstance(encoder, Interval) else 1.0


@dataclass(frozen=True)
class VectorReports(Reports):
    """Any bounded vector, each client with two-sided geometric noise on every coordinate of its own.

    Formal guarantee: two vectors of one client differ by at most the encoder's L1 sensitivity D (under zero-out: a
    vector and null), and the noise has scale b >= noise_multiplier D: pure, epsilon = 1 / noise_multiplier (Ghosh,
    Roughgarden, Sundararajan 2009). The sum of n reports has n times the variance, and is taken for normal.
    """

    noise_event: DiscreteLaplace
    scale: float
    grid: int

    @property
    def event(self) -> Event:
        return self.noise_event

    @property
    def loss(self) -> float:
        """Twice, from one value over null to another, under zero-out."""
        return float(self.noise_event.epsilon) * (2 if self.relation is Relation.ZERO_OUT else 1)

    @property
    def steps(self) -> int:
        return self.grid

    def encoder(self, stream: Keystream) -> Wrapped:
        inner = self.block.encoder

        def reported(values: npt.NDArray[Any], steps: int) -> Integers:
            rows = inner.rows(values, steps)
            noise = discrete_laplace(self.scale, rows.size, keystream=stream).reshape(rows.shape)
            total: Integers = (rows + noise).sum(axis=0)
            return total

        return Counted(inner, inner.size, reported)

    def read(self, sums: Integers, reports: int) -> Noisy:
        return Noisy(sums / self.steps, Noise(self.deviation(reports), "gaussian", 1 / self.steps))

    def deviation(self, clients: float) -> float:
        return math.sqrt(clients) * Noise(self.scale / self.steps, "laplace", 1 / self.steps).deviation
