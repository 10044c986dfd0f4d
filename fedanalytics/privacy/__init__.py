"""What privacy costs and how it is bought: relations, sensitivities, events, noise, accounting, calibration.

Enters: pure functions and frozen values about numbers. Stays out: data, queries, fleets, ledgers.

>>> Accountant().compose(Gaussian(noise_multiplier=5.0)).epsilon(delta=1e-6)
0.8341...
"""

from fedanalytics.privacy import correlated, distributed, filters, local, samplers, sampling
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.calibration import calibrate, rounds_within
from fedanalytics.privacy.costs import Cost, cost
from fedanalytics.privacy.events import (
    Composed,
    DiscreteLaplace,
    Event,
    Exact,
    Gaussian,
    Laplace,
    MatrixFactorization,
    NoOp,
    PoissonSampled,
    RandomizedResponse,
    Repeated,
    Skellam,
    TreeAggregation,
)
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.sensitivity import Sensitivity

__all__ = [
    "Accountant",
    "Composed",
    "Cost",
    "DiscreteLaplace",
    "Event",
    "Exact",
    "Gaussian",
    "Laplace",
    "MatrixFactorization",
    "NoOp",
    "PoissonSampled",
    "RandomizedResponse",
    "Relation",
    "Repeated",
    "Sensitivity",
    "Skellam",
    "TreeAggregation",
    "calibrate",
    "correlated",
    "cost",
    "distributed",
    "filters",
    "local",
    "rounds_within",
    "samplers",
    "sampling",
]
