"""Federated training round by round: a state and the clients' data in, the next state and metrics out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.learning.algorithm import Algorithm, State, Weighting
from fedanalytics.learning.clients import Clients
from fedanalytics.learning.engines import ENGINES, EngineName
from fedanalytics.learning.evaluation import Evaluation, Personalised, evaluate, mean, personalise
from fedanalytics.learning.local import LocalTraining
from fedanalytics.learning.losses import Loss, cross_entropy
from fedanalytics.learning.model import Model, ModelFunction
from fedanalytics.learning.optimizers import Optimizer, Sgd
from fedanalytics.learning.training import train_in_chunks

Data: TypeAlias = Sequence[tuple[Any, Any]] | Clients


@dataclass(frozen=True)
class Metrics:
    """What a round came to, exact: for simulation only.

    Attributes:
        loss: the mean over clients, weighted by their examples, of the loss during local training; NaN if nobody
            trained. Clients that diverged are not in it.
        accuracy: likewise; None if labels are no classes.
        examples: how many examples the clients have.
        clients: how many clients have examples.
        diverged: how many of them contributed a zero update because their loss or update was not finite.
    """

    loss: float
    accuracy: float | None
    examples: int
    clients: int
    diverged: int


@dataclass(frozen=True)
class Trainer:
    """An algorithm on a model: `initialize`, then `next` as often as wanted.

    Attributes:
        architecture: of the model.
        algorithm: what clients and the server do.
        engine: see `train`.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> trainer = build_federated_averaging_process(lambda: nn.Linear(2, 2), epochs=5)
        >>> data = [(np.array([[0.0, 1.0], [1.0, 0.0]]), [0, 1])] * 3
        >>> state = trainer.initialize()
        >>> for _ in range(20):
        ...     state, metrics = trainer.next(state, data)
        >>> state.round, metrics.accuracy, metrics.examples, type(trainer.model(state)).__name__
        (20, 1.0, 6, 'Linear')
    """

    architecture: Model
    algorithm: Algorithm = field(default_factory=Algorithm)
    engine: EngineName = "auto"

    def __post_init__(self) -> None:
        _validate.one_of(ENGINES, engine=self.engine)

    @classmethod
    def of(cls, model_fn: ModelFunction, algorithm: Algorithm, *, engine: EngineName = "auto") -> Trainer:
        """A trainer of what `model_fn` builds, with any algorithm, as ``Trainer.of(Net, fed_prox(mu=0.1))``."""
        return cls(Model.of(model_fn), algorithm, engine)

    def initialize(self) -> State:
        """The state before the first round: the parameters that `model_fn` built."""
        return self.algorithm.start(self.architecture.initial)

    def next(self, state: State, data: Data) -> tuple[State, Metrics]:
        """A round with these clients.

        Args:
            state: from `initialize` or an earlier round.
            data: one pair (features, labels) per client; or `Clients`, which are checked and stored only once.

        Raises:
            BadArgument: data that does not fit (see `Clients.of` and `train`), or a state of another model.
        """
        model, algorithm = self.architecture, self.algorithm
        clients = self.clients(data)
        weights = algorithm.weights(clients.sizes)
        total, n = np.zeros(model.size), len(clients)
        losses, accuracies, diverged = np.full(n, np.nan), np.full(n, np.nan), 0
        for part in train_in_chunks(
            model, state.parameters, clients, algorithm.local, training_round=state.round, engine=self.engine
        ):
            own = torch.from_numpy(weights[part.positions]).to(model.dtype)
            total += (own @ torch.from_numpy(part.values)).numpy()
            losses[part.positions], accuracies[part.positions] = part.losses, part.accuracies
            diverged += int(part.diverged.sum())
        right = mean(accuracies, clients.sizes)
        metrics = Metrics(
            loss=mean(losses, clients.sizes),
            accuracy=None if math.isnan(right) else right,
            examples=int(clients.sizes.sum()),
            clients=int(np.count_nonzero(clients.sizes)),
            diverged=diverged,
        )
        return algorithm.server_update(state, total), metrics

    def model(self, state: State) -> nn.Module:
        """The model with the state's parameters: a module of its own, in evaluation mode."""
        return self.architecture.module(state.parameters)

    def evaluate(self, state: State, data: Data) -> Evaluation:
        """Loss and hits of the state's parameters on every client's examples; see `evaluation.evaluate`."""
        return evaluate(self.architecture, state.parameters, self.clients(data), self.algorithm.local.loss_fn)

    def personalise(self, state: State, data: Data, *, held_out: float = 0.5) -> Personalised:
        """The same before and after each client's own training on its other examples; see `evaluation.personalise`."""
        return personalise(
            self.architecture,
            state.parameters,
            self.clients(data),
            self.algorithm.local,
            held_out=held_out,
            training_round=state.round,
            engine=self.engine,
        )

    def clients(self, data: Data) -> Clients:
        """The data as `Clients`, checked and stored once for all rounds."""
        return data if isinstance(data, Clients) else Clients.of(data, self.architecture.dtype)


def build_federated_averaging_process(
    model_fn: ModelFunction,
    *,
    loss_fn: Loss = cross_entropy,
    client_optimizer: Sgd | None = None,
    server_optimizer: Optimizer | None = None,
    epochs: int = 1,
    batch_size: int | None = 32,
    weighting: Weighting | None = None,
    seed: int = 0,
    engine: EngineName = "auto",
) -> Trainer:
    """Federated averaging of what `model_fn` builds; `Trainer.of` takes any other algorithm.

    Args:
        model_fn: builds a torch module, the same architecture every time.
        loss_fn: (outputs, labels) -> loss.
        client_optimizer: ``Sgd(0.1)`` if not given; its momentum starts anew in every round.
        server_optimizer: ``Sgd(1.0)``, the clients' mean, if not given.
        epochs: passes over a client's examples in a round.
        batch_size: examples per step; None for all of the client's.
        weighting: of the mean: "examples" or "uniform".
        seed: of the clients' shuffling.
        engine: see `train`.

    Raises:
        BadArgument: a model that cannot be trained so (see `Model.of`), or a setting that cannot be meant.
    """
    client = client_optimizer or Sgd(0.1)
    if not isinstance(client, Sgd):
        raise BadArgument(f"client_optimizer= must be Sgd: adaptive optimizers are the server's; got {client!r}")
    local = LocalTraining(
        client.learning_rate, client.momentum, epochs=epochs, batch_size=batch_size, loss_fn=loss_fn, seed=seed
    )
    return Trainer.of(model_fn, Algorithm(local, server_optimizer or Sgd(), weighting), engine=engine)
