"""Small modules of every kind that the engines know, one silo's rows, and budgets that pay for them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import fedanalytics as fa
from fedanalytics.learning.losses import per_example
from fedanalytics.learning.model import Model
from fedanalytics.learning.silo.rows import Rows


class Residual(nn.Module):
    """Branches, functions between layers, and a layer without a bias."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.out = nn.Linear(12, 12, bias=False), nn.Linear(12, 12), nn.Linear(12, 3)

    def forward(self, x):
        return self.out(x + torch.sigmoid(self.second(torch.relu(self.first(x)))))


class Tied(nn.Module):
    """One layer, run twice."""

    def __init__(self):
        super().__init__()
        self.inner, self.out = nn.Linear(12, 12), nn.Linear(12, 3)

    def forward(self, x):
        return self.out(torch.tanh(self.inner(torch.tanh(self.inner(x)))))


class Frozen(nn.Module):
    """A frozen layer, and a frozen bias."""

    def __init__(self):
        super().__init__()
        self.first, self.out = nn.Linear(12, 8), nn.Linear(8, 3)
        self.first.weight.requires_grad = False
        self.first.bias.requires_grad = False
        self.out.bias.requires_grad = False

    def forward(self, x):
        return self.out(torch.relu(self.first(x)))


class Unused(nn.Module):
    """A layer that no loss reaches."""

    def __init__(self):
        super().__init__()
        self.idle, self.out = nn.Linear(12, 2), nn.Linear(12, 3)

    def forward(self, x):
        return self.out(x)


class Sequence(nn.Module):
    """Linear layers along a sequence."""

    def __init__(self):
        super().__init__()
        self.step, self.out = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(torch.tanh(self.step(x.view(-1, 3, 4)))).mean(1)


class Embedded(nn.Module):
    """Token ids and a mean over them."""

    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(5, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.out(self.table(x).mean(1))


def image(*layers):
    return nn.Sequential(nn.Unflatten(1, (1, 3, 4)), *layers)


DENSE = {
    "one layer": lambda: nn.Linear(12, 3),
    "relu": lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3)),
    "tanh without bias": lambda: nn.Sequential(nn.Linear(12, 5, bias=False), nn.Tanh(), nn.Linear(5, 3)),
    "activation first and last": lambda: nn.Sequential(
        nn.Tanh(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 3), nn.Tanh()
    ),
}
LAYERS = {
    "residual": Residual,
    "frozen": Frozen,
    "sequence": Sequence,
    "sigmoid": lambda: nn.Sequential(nn.Linear(12, 6), nn.Sigmoid(), nn.Linear(6, 3)),
    "in place": lambda: nn.Sequential(nn.Linear(12, 6), nn.SiLU(inplace=True), nn.Linear(6, 3)),
    "convolution": lambda: image(nn.Conv2d(1, 4, 2), nn.ReLU(), nn.MaxPool2d(2, 1), nn.Flatten(), nn.Linear(8, 3)),
    "padded and strided": lambda: image(
        nn.Conv2d(1, 4, (3, 2), stride=(1, 2), padding=(1, 2)),
        nn.Tanh(),
        nn.Conv2d(4, 3, 3, padding="same", bias=False),
        nn.ReLU(),
        nn.Conv2d(3, 2, 2, padding="valid"),
        nn.Flatten(),
        nn.Linear(12, 3),
    ),
}
OPACUS = {
    "layer norm": lambda: nn.Sequential(nn.Linear(12, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 3)),
    "group norm": lambda: image(nn.Conv2d(1, 4, 2), nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(24, 3)),
    "grouped": lambda: image(nn.Conv2d(1, 4, 2), nn.Conv2d(4, 4, 1, groups=2), nn.Flatten(), nn.Linear(24, 3)),
    "tied": Tied,
    "unused": Unused,
}
ALL = DENSE | LAYERS | OPACUS


def examples(count=64, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 12)).astype(np.float32) * spread, rng.integers(0, 3, count)


def by_definition(model, x, y, loss_fn=nn.functional.cross_entropy):
    """Each example's gradient by torch's autograd, one after the other, in float64: shape (n, size)."""
    module = model.module().train().double()
    rows = []
    for i in range(len(y)):
        one = x[i : i + 1]
        loss = per_example(loss_fn)(module(one.double() if one.is_floating_point() else one), y[i : i + 1]).sum()
        parts = torch.autograd.grad(loss, model.parameters(module), allow_unused=True)
        pairs = zip(parts, model.parameters(module), strict=True)
        rows.append(torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs]))
    return torch.stack(rows)


def clipped_by_definition(gradients, clip):
    """The sum of the clipped rows."""
    return (gradients * (clip / gradients.norm(dim=1)).clamp(max=1)[:, None]).sum(0)


@pytest.fixture(scope="session")
def zoo(zoo):
    """All of the above, and how the other models of this kind are seeded."""
    seeded = zoo.seeded
    return SimpleNamespace(
        dense=DENSE,
        layers=LAYERS,
        opacus=OPACUS,
        embedded=Embedded,
        dropout=seeded(lambda: nn.Sequential(nn.Linear(12, 20), nn.Dropout(0.5), nn.Linear(20, 3)))(),
        seeded=seeded,
        examples=examples,
        by_definition=by_definition,
        clipped_by_definition=clipped_by_definition,
        model=lambda name, dtype=torch.float32: Model.of(seeded(ALL[name], dtype)),
        rows=lambda count=64, seed=0, spread=1.0: Rows.of(examples(count, seed, spread)),
    )


@pytest.fixture(scope="session")
def ward():
    """1,000 rows of four numbers; the class is the sign of the first."""
    x = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(int)


@pytest.fixture
def budget():
    """Of a new ledger, with room for exactly one run of a plan."""

    def make(plan, path=":memory:", name="ward", **terms):
        asked = {"epsilon": plan.target_epsilon, "delta": plan.delta, "filter": "pld", "unit": "example", **terms}
        return fa.Ledger(path).budget(name, **asked)

    return make
