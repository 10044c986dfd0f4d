"""Evaluation as a query: the mean over clients of how well a model does on each, clipped and paid like any mean."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.learning.clients import Clients
from fedanalytics.learning.evaluation import evaluate
from fedanalytics.learning.losses import Loss, cross_entropy
from fedanalytics.learning.model import Model, Vector
from fedanalytics.learning.private.training import fitting
from fedanalytics.round.blocks import Block, Round, Rounds
from fedanalytics.round.estimates import Floats
from fedanalytics.round.moments import Moments
from fedanalytics.round.work import Registered

METRICS = ("accuracy", "loss")
_CHUNK = 1024  # clients at a time


@dataclass(frozen=True, eq=False)
class LocalEvaluation:
    """The code that clients run (`round.work.Code`): one figure of the model on the client's own examples."""

    model: Model
    parameters: Vector = field(repr=False)
    metric: str
    loss_fn: Loss
    name = "evaluation"

    def describe(self) -> dict[str, Any]:
        """Its name, the metric, and a digest of the parameters."""
        sent = hashlib.sha256(self.parameters.tobytes()).hexdigest()
        return {"code": self.name, "metric": self.metric, "parameters": sent}

    @property
    def reads(self) -> Hashable:
        """What `load` depends on: a fleet keeps what it loaded for this."""
        return self.model, self.loss_fn, self.metric

    def load(self, data: Any) -> Clients:
        """One pair (features, labels) per client.

        Raises:
            BadArgument: data that does not fit the model, the loss or itself (the client is named); an accuracy where
                labels are no classes.
        """
        clients, found = fitting(data, self.model, self.loss_fn)
        if self.metric == "accuracy" and found is not None and found.classes is None:
            raise BadArgument(
                "metric='accuracy' needs labels that are classes: whole numbers from 0, and one output of the model "
                "for each; no client would have a figure here. Take metric='loss' with bounds="
            )
        return clients

    def values(
        self, loaded: Clients, clients: npt.NDArray[np.int64]
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[Any]]]:
        """The figures, NaN of who has no examples."""
        for start in range(0, len(clients), _CHUNK):
            chunk = clients[start : start + _CHUNK]
            found = evaluate(self.model, self.parameters, loaded.take(chunk), self.loss_fn)
            hits = np.full(len(chunk), np.nan) if found.correct is None else found.correct
            with np.errstate(invalid="ignore"):
                yield chunk, found.losses if self.metric == "loss" else hits / found.examples


@dataclass(frozen=True)
class Scores(Moments):
    """A figure of a model, whose mean is likely near one end of its bounds, as accuracies are.

    So w^2 = 1 (see `round.moments`): the error is 1.41 times that at the middle at the ends, and not 2.45 times as with
    1/5. A preview is made from a mean at an end: its error is the largest that an answer can be expected to have.
    """

    count_weight: float = 1.0

    def assumed(self, clients: float) -> Floats:
        """Every client at the upper bound."""
        return clients * np.array([1.0, np.sqrt(self.count_weight)])


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A query: the mean over the clients that have examples of one figure, within bounds. See `evaluation`."""

    code: LocalEvaluation
    bounds: tuple[float, float]
    shares: ClassVar[tuple[Fraction, ...]] = (Fraction(1),)

    @property
    def block(self) -> Block:
        """The one block."""
        return Block(Registered(self.code), Scores(*self.bounds))

    def rounds(self) -> Rounds:
        """One round; the result is an estimate with its interval."""
        [noisy] = yield Round((self.block,))
        return self.block.estimate(noisy)

    def describe(self) -> dict[str, Any]:
        """The canonical form."""
        return {"is": "Evaluation", "code": self.code, "bounds": list(self.bounds)}


def evaluation(
    model: Model,
    parameters: npt.ArrayLike,
    metric: str = "accuracy",
    *,
    bounds: tuple[float, float] | None = None,
    loss_fn: Loss = cross_entropy,
) -> Evaluated:
    """How well a model does on the clients of a session's fleet, as a query with a price.

    A preview of it says the largest error, that of a mean at one end of the bounds; at their middle it is 0.71 of that.

    Args:
        model: its architecture.
        parameters: a vector of shape (model.size,).
        metric: "accuracy" (of a client: the fraction of its examples that it classifies rightly) or "loss" (the mean).
        bounds: of a client's figure; (0, 1) for the accuracy, to be given for the loss.
        loss_fn: see `LocalTraining`.

    Raises:
        BadArgument: an argument that cannot be meant.

    Example:
        >>> import fedanalytics as fa
        >>> from torch import nn
        >>> model = Model.of(lambda: nn.Linear(2, 2))
        >>> fleet = fa.Fleet.from_datasets([(np.eye(2), [0, 1])] * 1000)
        >>> session = fa.Session(fleet, fa.Ledger(":memory:").budget("b", epsilon=3, delta=1e-6))
        >>> query = evaluation(model, [1, 0, 0, 1, 0, 0])
        >>> bool(abs(session.run(query, rho=0.02).value - 1) < 0.1)
        True
    """
    _validate.one_of(METRICS, metric=metric)
    if bounds is None:
        if metric == "loss":
            raise BadArgument("bounds= of a loss must be given, such as (0, 5): a client counts by no more than that")
        bounds = (0.0, 1.0)
    vector = model.tensor(parameters).numpy()
    return Evaluated(LocalEvaluation(model, vector, metric, loss_fn), _validate.interval(bounds=bounds))
