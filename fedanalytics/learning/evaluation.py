"""How well a model does on each client's examples: as it is, or after the client has tuned it to itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fedanalytics import _validate
from fedanalytics.learning.clients import Clients, Pair
from fedanalytics.learning.engines import EngineName
from fedanalytics.learning.local import Floats, Integers, LocalTraining
from fedanalytics.learning.losses import Loss, cross_entropy, hits, per_example
from fedanalytics.learning.model import Model
from fedanalytics.learning.probing import answer
from fedanalytics.learning.training import train_in_chunks

_ROWS = 1024  # examples at a time


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of n clients, exact: for simulation, or behind a private sum.

    Attributes:
        losses: shape (n,): the mean loss over a client's examples; NaN for one without examples.
        correct: shape (n,): how many are classified rightly; None if labels are no classes.
        examples: shape (n,): how many there are.
    """

    losses: Floats
    correct: Floats | None
    examples: Integers

    @property
    def loss(self) -> float:
        """The mean over all examples; NaN without any."""
        return mean(self.losses, self.examples)

    @property
    def accuracy(self) -> float | None:
        """The fraction of all examples that is classified rightly; None if labels are no classes."""
        return None if self.correct is None else float(self.correct.sum() / max(self.examples.sum(), 1))


def mean(values: Floats, weights: Integers) -> float:
    """The weighted mean of the values that are finite; NaN without any."""
    known = np.isfinite(values) & (weights > 0)
    return float(np.average(values[known], weights=weights[known])) if known.any() else float("nan")


def evaluate(model: Model, parameters: npt.ArrayLike, clients: Clients, loss_fn: Loss = cross_entropy) -> Evaluation:
    """Loss and hits of one vector of parameters on every client's examples, in evaluation mode.

    A client's figures depend on its examples only, bit for bit.

    Raises:
        BadArgument: parameters, data or loss that do not fit the model; labels out of range (the client is named).

    Example:
        >>> model = Model.of(lambda: nn.Linear(2, 2))
        >>> clients = Clients.of([(np.ones((4, 2)), [0, 1, 1, 1]), (np.ones((2, 2)), [0, 0])])
        >>> found = evaluate(model, np.zeros(6), clients)
        >>> found.losses.round(3).tolist(), found.correct.tolist(), found.accuracy
        ([0.693, 0.693], [1.0, 2.0], 0.5)
    """
    held = clients.to(model.dtype)
    found = answer(model, loss_fn, held)
    module, losses_of = model.module(parameters), per_example(loss_fn)
    figures = np.array([_figures(module, pair, losses_of) for pair in held.examples])
    scored = found is not None and found.classes is not None
    return Evaluation(figures[:, 0], figures[:, 1] if scored else None, clients.sizes)


@dataclass(frozen=True)
class Personalised:
    """The same held-out examples before and after each client tuned the model to itself."""

    before: Evaluation
    after: Evaluation


def personalise(
    model: Model,
    parameters: npt.ArrayLike,
    clients: Clients,
    local: LocalTraining,
    *,
    held_out: float = 0.5,
    training_round: int = 0,
    engine: EngineName = "auto",
) -> Personalised:
    """Every client trains on the first part of its examples, and is evaluated on the last `held_out` of them.

    A client without examples in its first part keeps the parameters that it was given.

    Raises:
        BadArgument: as `train` and `evaluate`; `held_out` does not lie strictly between 0 and 1.

    Example:
        >>> model = Model.of(lambda: nn.Linear(2, 2))
        >>> clients = Clients.of([(np.ones((4, 2)), [1, 1, 1, 1]), (np.ones((2, 2)), [0, 0])])
        >>> found = personalise(model, np.zeros(6), clients, LocalTraining(steps=5))
        >>> found.before.accuracy.__round__(2), found.after.accuracy, found.after.examples.tolist()
        (0.33, 1.0, [2, 1])
    """
    start = model.tensor(parameters)
    tuning, rest = clients.to(model.dtype).split(1 - _validate.probability(held_out=held_out))
    before = evaluate(model, start.numpy(), rest, local.loss_fn)
    figures = np.stack([before.losses, before.losses if before.correct is None else before.correct], axis=1)
    module, losses_of = model.module(), per_example(local.loss_fn)
    for part in train_in_chunks(model, start.numpy(), tuning, local, training_round=training_round, engine=engine):
        for client, update in zip(part.positions.tolist(), torch.from_numpy(part.values), strict=True):
            model.load(module, start + update)
            figures[client] = _figures(module, rest.examples[client], losses_of)
    after = Evaluation(figures[:, 0], None if before.correct is None else figures[:, 1], rest.sizes)
    return Personalised(before, after)


@torch.no_grad()
def _figures(module: nn.Module, examples: Pair, losses_of: Loss) -> tuple[float, float]:
    """The mean loss and the number of hits on one client's examples."""
    loss = right = 0.0
    for x, y in zip(*(torch.split(part, _ROWS) for part in examples), strict=True):
        if len(y):
            outputs = module(x)
            loss += float(losses_of(outputs, y).sum(dtype=torch.float64))
            right += float(hits(outputs, y).sum())
    count = len(examples[1])
    return loss / count if count else float("nan"), right
