"""Local mechanisms: every client randomises its own report, and nobody has to be trusted with a value.

Who takes part is public, and everyone asked answers: a client without a value reports null, at random like the others.
A mechanism has `reports` (what clients send, as rows of integers), `sums` (their sum, all that the collector needs),
`estimate` (from the sum, unbiased, with variance and interval), `epsilon` and `event` (what a client lost).

Two relations apply. Under replace-one no two values, null among them, are told apart: what the literature calls local
differential privacy. Under zero-out no value is told from null; two values are then told apart by twice the epsilon at
most, and about twice the signal can be sent for it. Epsilon is stated from the exact probabilities, rounded up.

Enters: randomisers of one value, their estimators, the choice between them. Stays out: trust models, ledgers.

>>> from fedanalytics.privacy.keystream import Keystream
>>> mechanism = for_bins(epsilon=2.0, bins=3)
>>> sums = mechanism.sums([0, 0, 2, NULL, 1, 0], keystream=Keystream.insecure(seed=1))
>>> mechanism.estimate(sums, reports=6).value.round(2)
array([ 3.94,  0.69, -0.94])
"""

from fedanalytics.privacy.events.local import LocalPure
from fedanalytics.privacy.local.choice import for_bins, for_count, for_numbers
from fedanalytics.privacy.local.frequencies import NULL, Frequencies, FrequencyMechanism
from fedanalytics.privacy.local.hadamard import HadamardResponse
from fedanalytics.privacy.local.k_ary import KaryResponse
from fedanalytics.privacy.local.mechanism import Mechanism
from fedanalytics.privacy.local.piecewise import PiecewiseResponse
from fedanalytics.privacy.local.shuffling import Shuffled, if_shuffled
from fedanalytics.privacy.local.subsets import SubsetResponse
from fedanalytics.privacy.local.totals import Means, Totals
from fedanalytics.privacy.local.unary import UnaryResponse

__all__ = [
    "NULL",
    "Frequencies",
    "FrequencyMechanism",
    "HadamardResponse",
    "KaryResponse",
    "LocalPure",
    "Means",
    "Mechanism",
    "PiecewiseResponse",
    "Shuffled",
    "SubsetResponse",
    "Totals",
    "UnaryResponse",
    "for_bins",
    "for_count",
    "for_numbers",
    "if_shuffled",
]
