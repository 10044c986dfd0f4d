"""Federated gradient descent: each client sends one gradient over all its examples."""

from __future__ import annotations

from fedanalytics.learning.algorithm import Algorithm, Weighting
from fedanalytics.learning.local import LocalTraining
from fedanalytics.learning.losses import Loss, cross_entropy
from fedanalytics.learning.optimizers import Sgd


def fed_sgd(
    learning_rate: float = 0.1,
    *,
    momentum: float = 0.0,
    loss_fn: Loss = cross_entropy,
    weighting: Weighting | None = None,
) -> Algorithm:
    """FedSGD (McMahan et al. 2017, arXiv 1602.05629, section 2).

    Weighted by examples, a round is one step of gradient descent on the loss over all clients' examples together.

    Raises:
        BadArgument: a setting that cannot be meant.
    """
    local = LocalTraining(learning_rate=1.0, batch_size=None, loss_fn=loss_fn, shuffle=False)  # the update is -gradient
    return Algorithm(local, Sgd(learning_rate, momentum), weighting)
