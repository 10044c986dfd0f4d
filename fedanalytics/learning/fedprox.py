"""FedProx: federated averaging whose clients are held near the server's parameters."""

from __future__ import annotations

from dataclasses import replace

from fedanalytics import _validate
from fedanalytics.learning.algorithm import Algorithm, Weighting
from fedanalytics.learning.local import LocalTraining
from fedanalytics.learning.optimizers import Sgd


def fed_prox(local: LocalTraining | None = None, *, mu: float = 0.01, weighting: Weighting | None = None) -> Algorithm:
    """FedProx (Li et al. 2020, arXiv 1812.06127): each client minimises its loss + mu/2 ||w - w_0||^2.

    Raises:
        BadArgument: `mu` is not positive.

    Example:
        >>> fed_prox(LocalTraining(0.05, epochs=5), mu=0.1).local.proximal
        0.1
    """
    return Algorithm(replace(local or LocalTraining(), proximal=_validate.positive(mu=mu)), Sgd(), weighting)
