"""Federated learning: local training of many clients at once, algorithms as two functions, evaluation.

Enters: models as flat vectors, the engines of local training, server optimizers, algorithms, rounds in one process;
in `private`, training as a query that is paid for; in `silo`, training on the rows of one holder. Stays out: noise,
ledgers' rules, trust models, fleets: a session's.
Torch is imported here and nowhere else: this package is imported only by who needs it.
"""

from fedanalytics.learning.algorithm import Algorithm, State
from fedanalytics.learning.clients import Clients
from fedanalytics.learning.evaluation import Evaluation, Personalised, evaluate, personalise
from fedanalytics.learning.fedavg import fed_avg
from fedanalytics.learning.fedopt import fed_adagrad, fed_adam, fed_yogi
from fedanalytics.learning.fedprox import fed_prox
from fedanalytics.learning.fedsgd import fed_sgd
from fedanalytics.learning.local import LocalTraining
from fedanalytics.learning.losses import cross_entropy
from fedanalytics.learning.model import Model
from fedanalytics.learning.optimizers import Adagrad, Adam, Sgd, Yogi
from fedanalytics.learning.private import (
    AdaptiveClip,
    Plan,
    Result,
    UnsampledPlan,
    evaluation,
    plan,
    train,
    unsampled_plan,
)
from fedanalytics.learning.silo import SiloPlan, SiloResult, plan_in_silo, train_in_silo
from fedanalytics.learning.trainer import Metrics, Trainer, build_federated_averaging_process
from fedanalytics.learning.training import Updates, train_in_chunks

# The names that papers and the announcement use: each makes an `Algorithm`.
FedAvg, FedProx, FedSGD = fed_avg, fed_prox, fed_sgd
FedAdam, FedYogi, FedAdagrad = fed_adam, fed_yogi, fed_adagrad

__all__ = [
    "Adagrad",
    "Adam",
    "AdaptiveClip",
    "Algorithm",
    "Clients",
    "Evaluation",
    "FedAdagrad",
    "FedAdam",
    "FedAvg",
    "FedProx",
    "FedSGD",
    "FedYogi",
    "LocalTraining",
    "Metrics",
    "Model",
    "Personalised",
    "Plan",
    "Result",
    "Sgd",
    "SiloPlan",
    "SiloResult",
    "State",
    "Trainer",
    "UnsampledPlan",
    "Updates",
    "Yogi",
    "build_federated_averaging_process",
    "cross_entropy",
    "evaluate",
    "evaluation",
    "fed_adagrad",
    "fed_adam",
    "fed_avg",
    "fed_prox",
    "fed_sgd",
    "fed_yogi",
    "personalise",
    "plan",
    "plan_in_silo",
    "train",
    "train_in_chunks",
    "train_in_silo",
    "unsampled_plan",
]
