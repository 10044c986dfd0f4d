"""Fleets and sessions in which clients add the noise themselves."""

import numpy as np
import pytest

import fedanalytics as fa


@pytest.fixture(scope="session")
def secure_session():
    """A session over values, under secure aggregation."""

    def make(values, trust=None, epsilon=20.0, **fleet):
        data = values if isinstance(values, fa.Fleet) else fa.Fleet.from_values(np.asarray(values), **fleet)
        budget = fa.Ledger(":memory:").budget(
            "b", epsilon=epsilon, delta=1e-6, relation="zero-out", filter="renyi", overlap=True
        )
        return fa.Session(data, budget, trust or fa.SecureAggregation())

    return make


@pytest.fixture(scope="session")
def local_session():
    """A session over values, under local trust."""

    def make(values, trust=None, relation="replace-one", epsilon=200.0):
        data = values if isinstance(values, fa.Fleet) else fa.Fleet.from_values(np.asarray(values))
        budget = fa.Ledger(":memory:").budget("b", epsilon=epsilon, relation=relation, overlap=True)
        return fa.Session(data, budget, trust or fa.Local())

    return make
