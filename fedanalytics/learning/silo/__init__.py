"""DP-SGD inside one silo, such as a hospital: few clients, many rows, and privacy for each row.

Enters: plans, engines for gradients of single examples, their clipping in whole numbers, the run and its one commit.
Stays out: federated training (`learning.private`), accountants, samplers, the ledger's rules. Opacus is imported in one
file, when a module needs it.
"""

from fedanalytics.learning.silo.planning import SiloPlan, plan_in_silo
from fedanalytics.learning.silo.results import SiloResult
from fedanalytics.learning.silo.running import train_in_silo

__all__ = ["SiloPlan", "SiloResult", "plan_in_silo", "train_in_silo"]
