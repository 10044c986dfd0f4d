"""Small models and an independent definition of local training: torch's own optimizer on torch's own loss."""

import copy
import functools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.random import PCG64, Generator
from torch import nn

from fedanalytics.learning import Clients, Model


def seeded(make, dtype=torch.float32, seed=0):
    """A model function whose initial values are always the same, and torch's global generator left alone."""

    def model_fn():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return make().to(dtype)

    return model_fn


class Views(nn.Module):
    """What users write: named layers, functions between them."""

    def __init__(self, features=12, classes=3):
        super().__init__()
        self.first, self.second = nn.Linear(features, 7), nn.Linear(7, classes)

    def forward(self, x):
        x = torch.flatten(x, 1)
        return self.second(torch.tanh(self.first(x)))


class Embedded(nn.Module):
    """Token ids, a mean over them, and a tied pair of layers."""

    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(5, 4), nn.Linear(4, 3, bias=False)

    def forward(self, x):
        return self.out(self.table(x).mean(1))


DENSE = {
    "one layer": lambda: nn.Linear(12, 3),
    "relu": lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3)),
    "tanh without bias": lambda: nn.Sequential(nn.Linear(12, 5, bias=False), nn.Tanh(), nn.Linear(5, 3)),
    "deep": lambda: nn.Sequential(
        nn.Linear(12, 6), nn.Tanh(), nn.ReLU(), nn.Linear(6, 5), nn.Identity(), nn.Linear(5, 3), nn.Tanh()
    ),
    "activation first": lambda: nn.Sequential(nn.Tanh(), nn.Linear(12, 3)),
    "functions": Views,
}
OTHER = {
    "sigmoid": lambda: nn.Sequential(nn.Linear(12, 6), nn.Sigmoid(), nn.Linear(6, 3)),
    "gelu and norm": lambda: nn.Sequential(nn.Linear(12, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 3)),
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 3, 4)), nn.Conv2d(1, 4, 2), nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(24, 3)
    ),
}


def cohort(sizes, features=12, classes=3, seed=0):
    """Clients of those sizes, as pairs of arrays."""
    draw = Generator(PCG64(seed))
    return [(draw.normal(size=(n, features)).astype(np.float32), draw.integers(0, classes, n)) for n in sizes]


def defined(model, clients, local, training_round=0):
    """Every client's update and mean loss, by the definition."""
    rows = []
    for (x, y), who in zip(clients.examples, clients.ids.tolist(), strict=True):
        module = model.module(model.initial).train()
        first = copy.deepcopy(module)
        optimizer = torch.optim.SGD(module.parameters(), lr=local.learning_rate, momentum=local.momentum)
        losses, read = 0.0, 0
        for batch in order(len(y), local, training_round, who):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(x[batch]), y[batch])
            near = sum(
                ((p - q.detach()) ** 2).sum() for p, q in zip(module.parameters(), first.parameters(), strict=True)
            )
            (loss + local.proximal / 2 * near).backward()
            optimizer.step()
            losses, read = losses + loss.item() * len(batch), read + len(batch)
        rows.append((model.flatten(module) - model.initial, losses / read if read else np.nan))
    return np.stack([update for update, _ in rows]), np.array([loss for _, loss in rows])


def order(size, local, training_round, who):
    """The batches of a client, one after the other, written anew."""
    steps = int(local.steps_of(np.array([size]))[0])
    found, epoch = [], 0
    while len(found) < steps:
        epoch += 1
        rows = torch.arange(size)
        if local.shuffle:
            seed = local.seed_of(training_round, who, epoch)
            rows = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
        found += rows.split(local.batch_size or size)
    return found[:steps]


@functools.cache
def built(name, dtype=torch.float32):
    """One of the models above."""
    return Model.of(seeded((DENSE | OTHER)[name], dtype))


@pytest.fixture(scope="session")
def zoo():
    """All of the above."""
    return SimpleNamespace(
        dense=DENSE, other=OTHER, embedded=Embedded, seeded=seeded, cohort=cohort, defined=defined, built=built
    )


@pytest.fixture
def small():
    """A model and three clients, one of them empty."""
    return built("relu"), Clients.of(cohort([5, 0, 9]))
