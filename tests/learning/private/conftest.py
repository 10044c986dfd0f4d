"""Small cohorts with a task that can be learned, and sessions that pay for it."""

import numpy as np
import pytest
import torch
from torch import nn

import fedanalytics as fa


def net():
    torch.manual_seed(0)
    return nn.Linear(4, 2)


@pytest.fixture(scope="session")
def model_fn():
    return net


@pytest.fixture(scope="session")
def clients():
    """200 clients with 6 examples each: the label is the sign of the first feature."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 6, 4)).astype(np.float32)
    return [(x, (x[:, 0] > 0).astype(int)) for x in features]


@pytest.fixture
def pay(clients):
    """A session over the clients, with a budget that a plan fits into exactly."""

    def make(plan, path=":memory:", data=None, trust=None, population=200, **terms):
        budget = fa.Ledger(path).budget(
            "train", **{"epsilon": plan.target_epsilon, "delta": plan.delta, "filter": "pld", **terms}
        )
        fleet = fa.Fleet.from_datasets(data or clients, population=population)
        return fa.Session(fleet, budget, trust or fa.Central())

    return make
