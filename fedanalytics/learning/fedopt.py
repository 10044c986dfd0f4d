"""FedOpt: the mean update is a gradient for an adaptive optimizer at the server."""

from __future__ import annotations

from fedanalytics.learning.algorithm import Algorithm, Weighting
from fedanalytics.learning.local import LocalTraining
from fedanalytics.learning.optimizers import Adagrad, Adam, Yogi


def fed_adam(
    local: LocalTraining | None = None,
    *,
    learning_rate: float = 0.1,
    beta1: float = 0.9,
    beta2: float = 0.99,
    tau: float = 1e-3,
    weighting: Weighting | None = None,
) -> Algorithm:
    """FedAdam (Reddi et al. 2021, arXiv 2003.00295, algorithm 2); the rates are the server's.

    Raises:
        BadArgument: a setting that cannot be meant.

    Example:
        >>> fed_adam(learning_rate=0.03).server
        Adam(learning_rate=0.03, beta1=0.9, tau=0.001, beta2=0.99)
    """
    server = Adam(learning_rate, beta1=beta1, beta2=beta2, tau=tau)
    return Algorithm(local or LocalTraining(), server, weighting)


def fed_yogi(
    local: LocalTraining | None = None,
    *,
    learning_rate: float = 0.1,
    beta1: float = 0.9,
    beta2: float = 0.99,
    tau: float = 1e-3,
    weighting: Weighting | None = None,
) -> Algorithm:
    """FedYogi (Reddi et al. 2021, arXiv 2003.00295, algorithm 2); the rates are the server's.

    Raises:
        BadArgument: a setting that cannot be meant.
    """
    server = Yogi(learning_rate, beta1=beta1, beta2=beta2, tau=tau)
    return Algorithm(local or LocalTraining(), server, weighting)


def fed_adagrad(
    local: LocalTraining | None = None,
    *,
    learning_rate: float = 0.1,
    beta1: float = 0.0,
    tau: float = 1e-3,
    weighting: Weighting | None = None,
) -> Algorithm:
    """FedAdagrad (Reddi et al. 2021, arXiv 2003.00295, algorithm 2); the rates are the server's.

    Raises:
        BadArgument: a setting that cannot be meant.
    """
    return Algorithm(local or LocalTraining(), Adagrad(learning_rate, beta1=beta1, tau=tau), weighting)
