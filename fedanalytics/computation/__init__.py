"""Federated computations: written once with placed values, checked while they are traced, run exactly or privately.

Enters: the decorators, the operators between the clients and the server, the graph that they make, its exact
evaluation, and its lowering to rounds as a query. Stays out: fleets, ledgers, sessions, noise, and the fixed queries
of `statistics`.

>>> import numpy as np
>>> from fedanalytics.types import CLIENTS, FederatedType
>>> @federated_computation(FederatedType(np.float32, CLIENTS))
... def private_average_temperature(sensor_readings):
...     return federated_mean(sensor_readings, bounds=(0, 110), rho=0.01)
>>> private_average_temperature([68.5, 70.25, 69.75])
np.float32(69.5)
>>> [row.release for row in private_average_temperature.privacy]
['noised']
"""

from __future__ import annotations

from fedanalytics.computation.aggregates import (
    federated_aggregate,
    federated_average,
    federated_max,
    federated_mean,
    federated_min,
    federated_sum,
)
from fedanalytics.computation.clipping import clip
from fedanalytics.computation.disclosures import Disclosure, Disclosures
from fedanalytics.computation.federated import FederatedComputation, federated_computation
from fedanalytics.computation.local import LocalComputation, local_computation
from fedanalytics.computation.moving import federated_broadcast, federated_map, federated_value, federated_zip
from fedanalytics.computation.values import Value

__all__ = [
    "Disclosure",
    "Disclosures",
    "FederatedComputation",
    "LocalComputation",
    "Value",
    "clip",
    "federated_aggregate",
    "federated_average",
    "federated_broadcast",
    "federated_computation",
    "federated_map",
    "federated_max",
    "federated_mean",
    "federated_min",
    "federated_sum",
    "federated_value",
    "federated_zip",
    "local_computation",
]
