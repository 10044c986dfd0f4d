"""Correlated Gaussian noise over the rounds of a run (DP-FTRL): for accurate prefix sums without any sampling.

Where cohorts are not drawn at random by ourselves, nothing amplifies privacy; noise that cancels between the rounds
makes up for it. A `Strategy` says how noise is correlated, a `Plan` how much of it keeps a promise, a `Stream` draws it
round by round, and a `State` is what lies between two rounds.

Enters: strategies, their sensitivities, errors and exact streams. Stays out: clipping, cohorts, optimisers, ledgers.

>>> from fedanalytics.privacy.sensitivity import bounded
>>> run = plan("blt", rounds=200, epsilon=4.0, delta=1e-6, buffers=2)
>>> stream = run.stream(bounded(2**20, 2**30, run.relation), size=10)
>>> state, noise = stream.advance(stream.start())       # add it to the integer sum of round 0
>>> state = State.from_json(state.to_json())            # a checkpoint: as secret as the noise
>>> state, noise = stream.advance(state)
>>> state.round, noise.shape
(2, (10,))
"""

from fedanalytics.privacy.correlated.banded import Banded
from fedanalytics.privacy.correlated.blt import BLT
from fedanalytics.privacy.correlated.comparison import Compared, compare
from fedanalytics.privacy.correlated.planning import Plan, plan
from fedanalytics.privacy.correlated.schedule import Schedule
from fedanalytics.privacy.correlated.strategy import Strategy
from fedanalytics.privacy.correlated.stream import State, Stream
from fedanalytics.privacy.correlated.tree import Tree
from fedanalytics.privacy.correlated.workload import PREFIX_SUMS, Workload

__all__ = [
    "BLT",
    "PREFIX_SUMS",
    "Banded",
    "Compared",
    "Plan",
    "Schedule",
    "State",
    "Strategy",
    "Stream",
    "Tree",
    "Workload",
    "compare",
    "plan",
]
