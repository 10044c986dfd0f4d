"""Privacy events: what was done to the data, as frozen data whose meaning never changes.

An event says which mechanism ran, how strong its noise was relative to the sensitivity, and under which neighbouring
relation that sensitivity holds. Any accountant, today's or a later one, can recompute the loss from it.

Enters: one class per mechanism or way of combining them, and `from_json`. Stays out: noise, and every figure that
depends on a delta.

>>> event = Gaussian(noise_multiplier=2.0).poisson_sampled(0.01).repeated(1000)
>>> from_json(event.to_json()) == event
True
"""

from fedanalytics.privacy.events.additive import DiscreteLaplace, Gaussian, Laplace, Skellam
from fedanalytics.privacy.events.combined import Composed, Exact, NoOp, Repeated
from fedanalytics.privacy.events.correlated import MatrixFactorization, TreeAggregation
from fedanalytics.privacy.events.event import Event, Pure, round_down, round_up
from fedanalytics.privacy.events.local import LocalPure
from fedanalytics.privacy.events.reading import from_json
from fedanalytics.privacy.events.response import RandomizedResponse
from fedanalytics.privacy.events.sampled import PoissonSampled

__all__ = [
    "Composed",
    "DiscreteLaplace",
    "Event",
    "Exact",
    "Gaussian",
    "Laplace",
    "LocalPure",
    "MatrixFactorization",
    "NoOp",
    "PoissonSampled",
    "Pure",
    "RandomizedResponse",
    "Repeated",
    "Skellam",
    "TreeAggregation",
    "from_json",
    "round_down",
    "round_up",
]
