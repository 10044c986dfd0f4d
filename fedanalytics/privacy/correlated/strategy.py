"""What every strategy is: a matrix C of which the event, the error and the stream of noise are made."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal

from fedanalytics import _validate
from fedanalytics.privacy.correlated.schedule import Schedule
from fedanalytics.privacy.correlated.series import Floats
from fedanalytics.privacy.correlated.stream import Stream
from fedanalytics.privacy.correlated.workload import PREFIX_SUMS, Workload
from fedanalytics.privacy.events import Event
from fedanalytics.privacy.relations import Relation

Metric = Literal["rms", "max"]
METRICS = ("rms", "max")


@dataclass(frozen=True)
class Strategy(ABC):
    """The Gaussian mechanism C x + z on the stream x of sums, and x + C^-1 z as what is computed from it."""

    kind: ClassVar[str]
    schedule: Schedule

    @property
    @abstractmethod
    def sensitivity_squared(self) -> Fraction:
        """Of C x, for contributions of L2 norm 1 by the schedule; exact, or rounded up."""

    @property
    @abstractmethod
    def memory(self) -> int:
        """The most vectors that a state holds."""

    @abstractmethod
    def event(self, noise_multiplier: float, relation: Relation) -> Event:
        """The whole run, with z of deviation `noise_multiplier` times the norm of one contribution."""

    @abstractmethod
    def errors(self, workload: Workload = PREFIX_SUMS) -> Floats:
        """The standard deviation of each s_t per coordinate, for z of deviation 1, shape (rounds,)."""

    @abstractmethod
    def stream(self, noise_multiplier: float, norm: float, size: int) -> Stream:
        """The noise itself, for integer vectors.

        Args:
            noise_multiplier: as in the event.
            norm: of one contribution (the L2 sensitivity of one round's sum), in grid steps.
            size: coordinates.

        Raises:
            BadArgument: the grid is too fine or too coarse for the noise, or an argument cannot be meant.
        """

    def error(self, metric: Metric = "rms", workload: Workload = PREFIX_SUMS) -> float:
        """The root of the mean square of `errors`, or the largest."""
        _validate.one_of(METRICS, metric=metric)
        errors = self.errors(workload)
        return float(errors.max() if metric == "max" else math.sqrt((errors**2).mean()))

    def loss(self, metric: Metric = "rms", workload: Workload = PREFIX_SUMS) -> float:
        """The error at a loss of privacy of 1-GDP: what strategies are compared by."""
        return self.error(metric, workload) * math.sqrt(self.sensitivity_squared)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: what the strategy is, to the last bit."""
        return {"strategy": self.kind} | asdict(self)
