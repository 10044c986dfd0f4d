"""What the server does with the mean update: optimizers on flat vectors, their state a dict of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.learning.model import Vector

Memory: TypeAlias = Mapping[str, Vector]


class Optimizer(Protocol):
    """A server optimizer: frozen settings, and two pure functions."""

    def start(self, parameters: Vector) -> Memory:
        """What it remembers before the first round: arrays of shape (size,), or of no dimension."""
        ...

    def step(self, memory: Memory, parameters: Vector, update: Vector) -> tuple[Vector, Memory]:
        """The parameters after a round whose mean update (the direction to go) was `update`, and the memory."""
        ...


def _fraction(**argument: float) -> None:
    ((name, value),) = argument.items()
    if not (_validate.real(value) and 0 <= value < 1):
        raise BadArgument(f"{name}= must lie in [0, 1), got {value!r}")


@dataclass(frozen=True)
class Sgd:
    """``v <- momentum v + update``, ``w <- w + learning_rate v``.

    With learning rate 1 and no momentum the parameters become the clients' mean (FedAvg); with momentum it is FedAvgM
    (Hsu, Qi and Brown 2019, arXiv 1909.06335).

    Raises:
        BadArgument: a rate that is not positive, a momentum outside [0, 1).

    Example:
        >>> optimizer, w = Sgd(1.0, momentum=0.5), np.zeros(1)
        >>> w, memory = optimizer.step(optimizer.start(w), w, np.ones(1))
        >>> optimizer.step(memory, w, np.ones(1))
        (array([2.5]), {'velocity': array([1.5])})
    """

    learning_rate: float = 1.0
    momentum: float = 0.0

    def __post_init__(self) -> None:
        _validate.positive(learning_rate=self.learning_rate)
        _fraction(momentum=self.momentum)

    def start(self, parameters: Vector) -> Memory:
        return {"velocity": np.zeros_like(parameters)} if self.momentum else {}

    def step(self, memory: Memory, parameters: Vector, update: Vector) -> tuple[Vector, Memory]:
        if not self.momentum:
            return parameters + self.learning_rate * update, {}
        velocity = self.momentum * memory["velocity"] + update
        return parameters + self.learning_rate * velocity, {"velocity": velocity}


@dataclass(frozen=True)
class _Adaptive:
    """``m <- beta1 m + (1 - beta1) update``, ``w <- w + learning_rate m / (sqrt(v) + tau)``, v from tau^2.

    Algorithm 2 of Reddi et al. 2021 (arXiv 2003.00295): no bias correction. A larger tau is less adaptive.
    """

    learning_rate: float
    beta1: float = 0.9
    tau: float = 1e-3

    def __post_init__(self) -> None:
        _validate.positive(learning_rate=self.learning_rate)
        _validate.positive(tau=self.tau)
        _fraction(beta1=self.beta1)

    def start(self, parameters: Vector) -> Memory:
        return {"mean": np.zeros_like(parameters), "square": np.full_like(parameters, self.tau**2)}

    def step(self, memory: Memory, parameters: Vector, update: Vector) -> tuple[Vector, Memory]:
        mean = self.beta1 * memory["mean"] + (1 - self.beta1) * update
        square = self._square(memory["square"], update**2)
        moved = parameters + self.learning_rate * mean / (np.sqrt(square) + self.tau)
        return moved, {"mean": mean, "square": square}

    def _square(self, square: Vector, now: Vector) -> Vector:
        raise NotImplementedError


@dataclass(frozen=True)
class Adagrad(_Adaptive):
    """The step of FedAdagrad: ``v <- v + update^2``; without momentum by default, as in the paper.

    Raises:
        BadArgument: a rate or tau that is not positive, a beta outside [0, 1).
    """

    beta1: float = 0.0

    def _square(self, square: Vector, now: Vector) -> Vector:
        return square + now


@dataclass(frozen=True)
class Adam(_Adaptive):
    """The step of FedAdam: ``v <- beta2 v + (1 - beta2) update^2``.

    Raises:
        BadArgument: a rate or tau that is not positive, a beta outside [0, 1).
    """

    beta2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        _fraction(beta2=self.beta2)

    def _square(self, square: Vector, now: Vector) -> Vector:
        return self.beta2 * square + (1 - self.beta2) * now


@dataclass(frozen=True)
class Yogi(Adam):
    """The step of FedYogi: ``v <- v - (1 - beta2) update^2 sign(v - update^2)``: v shrinks slowly.

    Raises:
        BadArgument: a rate or tau that is not positive, a beta outside [0, 1).
    """

    def _square(self, square: Vector, now: Vector) -> Vector:
        return square - (1 - self.beta2) * now * np.sign(square - now)
