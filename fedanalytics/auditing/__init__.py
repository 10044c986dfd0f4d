"""Empirical privacy audits: attacks that try to refute a claim, and certify what they find.

Enters: claims as trade-off curves, the search for a telling event, exact bounds, checks for noise that comes again,
bounds from the canaries of one training run. Stays out: sessions, fleets and ledgers; a mechanism is any function of
(data, n) that returns n outputs. A verdict is "consistent" or "violated", never "proved".

>>> from fedanalytics.privacy import Gaussian, samplers
>>> def noisy_sum(data, n):
...     return sum(data) + samplers.rounded_gaussian(sigma=0.5, size=n)
>>> audit(noisy_sum, ([1, 0], [1, 0, 1]), claim=Gaussian(noise_multiplier=1.0), trials=4096).verdict
'violated'
"""

from fedanalytics.auditing.black_box import audit
from fedanalytics.auditing.canaries import audit_canaries
from fedanalytics.auditing.claims import Claim, Dp, Gdp, Zcdp
from fedanalytics.auditing.families import FamilyReport, family
from fedanalytics.auditing.guesses import epsilon_bound
from fedanalytics.auditing.performed import Curve, OfEvent, claimed
from fedanalytics.auditing.reports import AuditReport, Check, Count
from fedanalytics.auditing.runs import Mechanism

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
    "Zcdp",
    "audit",
    "audit_canaries",
    "claimed",
    "epsilon_bound",
    "family",
]
