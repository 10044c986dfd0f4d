"""How a client trains: the settings of local stochastic gradient descent."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.learning.losses import Loss, cross_entropy

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LocalTraining:
    """Stochastic gradient descent on one client's examples, from the parameters that the server sent.

    A step on a batch with mean loss L(w): ``v <- momentum v + grad L(w) + proximal (w - w_0)``, ``w <- w -
    learning_rate v``, with v = 0 at the start of a round and w_0 what the server sent (torch.optim.SGD; FedProx, Li et
    al. 2020, arXiv 1812.06127, eq. 2). The last batch of an epoch may be smaller; it is not dropped.

    Attributes:
        learning_rate: positive.
        momentum: in [0, 1).
        epochs: passes over the client's examples; 1 if neither this nor `steps` is given.
        steps: gradient steps instead, starting another pass where needed; a client without examples takes none.
        batch_size: examples per step; None for all of the client's.
        proximal: FedProx's mu, not negative.
        loss_fn: (outputs, labels) -> loss, see `losses.per_example`; torch's cross entropy by default.
        shuffle: a new order of the examples for every (seed, round, client, epoch), else as given.
        seed: of that order, and of dropout.

    Raises:
        BadArgument: a setting that cannot be meant.

    Example:
        >>> LocalTraining(0.5, epochs=2, batch_size=10).steps_of(np.array([0, 5, 25])).tolist()
        [0, 2, 6]
    """

    learning_rate: float = 0.1
    momentum: float = 0.0
    epochs: int | None = None
    steps: int | None = None
    batch_size: int | None = 32
    proximal: float = 0.0
    loss_fn: Loss = cross_entropy
    shuffle: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        _validate.positive(learning_rate=self.learning_rate)
        if not (_validate.real(self.momentum) and 0 <= self.momentum < 1):
            raise BadArgument(f"momentum= must lie in [0, 1), got {self.momentum!r}")
        if not (_validate.real(self.proximal) and 0 <= self.proximal < math.inf):
            raise BadArgument(f"proximal= must be a finite number of at least 0, got {self.proximal!r}")
        if self.epochs is not None and self.steps is not None:
            raise BadArgument("epochs= and steps= say the same thing; give one of them")
        for name in ("epochs", "steps", "batch_size"):
            if getattr(self, name) is not None:
                _validate.whole(**{name: getattr(self, name)})
        _validate.whole(0, seed=self.seed)
        if not callable(self.loss_fn):
            raise BadArgument(f"loss_fn= must be a function (outputs, labels) -> loss, got {self.loss_fn!r}")

    def batches_of(self, sizes: Integers) -> Integers:
        """How many batches an epoch has, for clients with that many examples: shape (n,)."""
        return np.minimum(sizes, 1) if self.batch_size is None else -(-sizes // self.batch_size)

    def steps_of(self, sizes: Integers) -> Integers:
        """How many steps clients with that many examples take: shape (n,)."""
        if self.steps is not None:
            return np.minimum(sizes, 1) * self.steps
        return (self.epochs or 1) * self.batches_of(sizes)

    def rows_of(self, sizes: Integers) -> Integers:
        """How many examples those steps read, each as often as it is read: shape (n,)."""
        epochs, rest = np.divmod(self.steps_of(sizes), np.maximum(self.batches_of(sizes), 1))
        rows: Integers = epochs * sizes + np.minimum(rest * (self.batch_size or 0), sizes)
        return rows

    def orders(self, training_round: int, client: int) -> Iterator[int] | None:
        """The seeds of the order of a client's examples, one for each pass of a round; None for the order as given."""
        return (self.seed_of(training_round, client, use) for use in itertools.count(1)) if self.shuffle else None

    def seed_of(self, training_round: int, client: int, use: int = 0) -> int:
        """A seed of one client's randomness in a round; it says nothing about any other's. Use 0 is dropout."""
        words = f"{self.seed},{training_round},{client},{use}".encode()
        return int.from_bytes(hashlib.blake2b(words, digest_size=4).digest(), "little")
