"""Noise that no single party adds: each client a share, so that the sum over the survivors is private by itself.

Enters: what a client does to its vector before it is masked, and the server to the sum after it is unmasked; the choice
of their parameters. Stays out: masks, keys, messages, and who decides that a round is off.

A round is planned by `integer_sum` (counts, histograms: whole numbers already) or `vector_sum` (real vectors in an L2
ball). Client i sends its row of ``contributions``, in the integers modulo 2^b; whoever adds those modulo 2^b hands the
sum to ``decode``, which turns it into real units. All guarantees are under zero-out: who took part is public.

>>> quorum = Quorum.reserving(1000, dropout=0.1, corrupt=0.05)
>>> plan = vector_sum(1024, clip=1.0, quorum=quorum, rho=0.02)
>>> plan.ring.bits, round(plan.standard_error(1000), 2), round(plan.central, 2)
(16, 5.47, 5.0)
"""

from fedanalytics.privacy.distributed.calibration import Offer, Offers
from fedanalytics.privacy.distributed.choice import integer_sum, vector_sum
from fedanalytics.privacy.distributed.ring import Ring
from fedanalytics.privacy.distributed.shares import Quorum, Shares
from fedanalytics.privacy.distributed.sums import DistributedSum, IntegerSum, VectorSum

__all__ = [
    "DistributedSum",
    "IntegerSum",
    "Offer",
    "Offers",
    "Quorum",
    "Ring",
    "Shares",
    "VectorSum",
    "integer_sum",
    "vector_sum",
]
