"""Training that is paid for: each round a bounded vector sum, the whole plan reserved before the first.

Enters: plans, the query that training is, adaptive clipping, checkpoints, evaluation as a query, model cards. Stays
out: how clients train (one level up), noise, ledgers, trust models (the session's, which is handed in).
"""

from fedanalytics.learning.private.checkpoints import Checkpoint, Made, Row
from fedanalytics.learning.private.clipping import AdaptiveClip, Clip, FixedClip
from fedanalytics.learning.private.evaluating import evaluation
from fedanalytics.learning.private.planning import Plan, plan
from fedanalytics.learning.private.running import Result, train
from fedanalytics.learning.private.training import Progress, Training
from fedanalytics.learning.private.unsampled import UnsampledPlan, unsampled_plan

__all__ = [
    "AdaptiveClip",
    "Checkpoint",
    "Clip",
    "FixedClip",
    "Made",
    "Plan",
    "Progress",
    "Result",
    "Row",
    "Training",
    "UnsampledPlan",
    "evaluation",
    "plan",
    "train",
    "unsampled_plan",
]
