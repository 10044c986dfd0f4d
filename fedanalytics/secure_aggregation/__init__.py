"""Nobody sees a contribution: sums of masked vectors, in messages of bytes, without sockets, clocks or threads.

Enters: the protocol's machines, its wire format, masks, shares, the neighbour graph and its parameters. Stays out:
noise, costs, trust models, transports. The server is semi-honest and deviates only where the clients' checks see it;
clients sign with identities from a pinned roster; any of them may drop out, down to the threshold (SecAgg+: Bonawitz et
al. 2017, ACM CCS; Bell et al. 2020, ACM CCS). See `client`, `server` and `parameters` for what is promised and why.
"""

from fedanalytics.secure_aggregation.client import Client
from fedanalytics.secure_aggregation.keys import Identity
from fedanalytics.secure_aggregation.outcomes import Abort, Aggregate, Reason, Refusal
from fedanalytics.secure_aggregation.parameters import Parameters, Policy, choose
from fedanalytics.secure_aggregation.server import Server
from fedanalytics.secure_aggregation.simulation import Outcome, plain_sum, run_round

__all__ = [
    "Abort",
    "Aggregate",
    "Client",
    "Identity",
    "Outcome",
    "Parameters",
    "Policy",
    "Reason",
    "Refusal",
    "Server",
    "choose",
    "plain_sum",
    "run_round",
]
