"""Empirical privacy audits: attacks that try to refute a claim, and certify what they find.

Enters: claims as trade-off curves, the search for a telling event, exact bounds, checks for noise that comes again,
bounds from the canaries of one training run; and what makes a mechanism, any function of (data, n) that returns n
outputs, of a query that a session runs. Stays out: how queries are priced, collected and paid, which runs as it is. A
verdict is "consistent" or "violated", never "proved".

>>> from fedanalytics.privacy import Gaussian, samplers
>>> def noisy_sum(data, n):
...     return sum(data) + samplers.rounded_gaussian(sigma=0.5, size=n)
>>> audit(noisy_sum, ([1, 0], [1, 0, 1]), claim=Gaussian(noise_multiplier=1.0), trials=4096).verdict
'violated'
"""

from fedanalytics.auditing.canaries import audit_canaries
from fedanalytics.auditing.claims import Claim, Dp, Gdp, Zcdp
from fedanalytics.auditing.families import FamilyReport, family
from fedanalytics.auditing.guesses import epsilon_bound
from fedanalytics.auditing.performed import Curve, OfEvent, claimed
from fedanalytics.auditing.reports import AuditReport, Check, Count
from fedanalytics.auditing.runs import Mechanism
from fedanalytics.auditing.targets import QueryReport, audit
from fedanalytics.auditing.training import audit_training, random_canaries

__all__ = [
    "AuditReport",
    "Check",
    "Claim",
    "Count",
    "Curve",
    "Dp",
    "FamilyReport",
    "Gdp",
    "Mechanism",
    "OfEvent",
    "QueryReport",
    "Zcdp",
    "audit",
    "audit_canaries",
    "audit_training",
    "claimed",
    "epsilon_bound",
    "family",
    "random_canaries",
]
