"""Federated averaging: clients train for a while, the server takes the mean of what they arrive at."""

from __future__ import annotations

from fedanalytics.learning.algorithm import Algorithm, Weighting
from fedanalytics.learning.local import LocalTraining
from fedanalytics.learning.optimizers import Sgd


def fed_avg(
    local: LocalTraining | None = None,
    *,
    learning_rate: float = 1.0,
    momentum: float = 0.0,
    weighting: Weighting | None = None,
) -> Algorithm:
    """FedAvg (McMahan et al. 2017, arXiv 1602.05629, algorithm 1); with server momentum FedAvgM (arXiv 1909.06335).

    `learning_rate` and `momentum` are the server's; those of the clients are in `local`.

    Raises:
        BadArgument: a setting that cannot be meant.

    Example:
        >>> fed_avg(LocalTraining(0.05, epochs=5)).server
        Sgd(learning_rate=1.0, momentum=0.0)
    """
    return Algorithm(local or LocalTraining(), Sgd(learning_rate, momentum), weighting)
