"""Who sees what: a trust model prices a round (grid, mechanism, event) and collects it (sum, noise).

Enters: strategies with the two verbs `price` and `collect`. Stays out: what is asked, what it may cost in all, and the
protocol of secure aggregation itself.
"""

from fedanalytics.trust.central import Central
from fedanalytics.trust.local import Local
from fedanalytics.trust.noise_states import NoiseStates
from fedanalytics.trust.policy import ClientPolicy, Refused
from fedanalytics.trust.priced import Priced, PricedBlock, Trust
from fedanalytics.trust.secure_aggregation import SecureAggregation

__all__ = [
    "Central",
    "ClientPolicy",
    "Local",
    "NoiseStates",
    "Priced",
    "PricedBlock",
    "Refused",
    "SecureAggregation",
    "Trust",
]
