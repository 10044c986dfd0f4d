"""Digits by writer: what federated averaging loses to training the same model on all examples in one place, in points.

Federated averaging in which every writer block takes part in every round, against plain torch on the pooled examples:
the same model, initial values, learning rate, batch size and number of passes, by the same seeds. With 5 local passes
in a round (as in McMahan et al. 2017), and with one, in which the model takes a fourteenth of the steps that pooled
training takes. A row is the mean over the seeds of the difference in accuracy on what neither has read; its quartiles
are those of the seeds. Split, model and order all follow the seed: a run gives the same numbers again.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from cases import case
from interleave import Row
from torch import nn
from torch.nn import functional

import fedanalytics as fa
from fedanalytics.datasets import ClientDatasets
from fedanalytics.learning import Sgd, build_federated_averaging_process

SEEDS, ROUNDS, RATE, BATCH = range(5), 50, 0.1, 10
POINTS = 2.0  # the goal


def network(seed: int) -> Callable[[], nn.Module]:
    """64-32-10 with the initial values of a seed."""

    def model_fn() -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    return model_fn


def federated(train: ClientDatasets, seed: int, epochs: int) -> nn.Module:
    """Rounds of so many passes of each writer over its own examples."""
    trainer = build_federated_averaging_process(
        network(seed), client_optimizer=Sgd(RATE), epochs=epochs, batch_size=BATCH, seed=seed
    )
    state, clients = trainer.initialize(), trainer.clients(train.pairs())
    for _ in range(ROUNDS):
        state, _ = trainer.next(state, clients)
    return trainer.model(state)


def pooled(train: ClientDatasets, seed: int, epochs: int) -> nn.Module:
    """As many passes over all examples."""
    module = network(seed)()
    x, y = map(torch.from_numpy, train.pooled())
    optimizer = torch.optim.SGD(module.parameters(), lr=RATE)
    order = torch.Generator().manual_seed(seed)
    for _ in range(ROUNDS * epochs):
        for batch in torch.randperm(len(y), generator=order).split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(module(x[batch]), y[batch]).backward()
            optimizer.step()
    return module


@torch.no_grad()
def accuracy(module: nn.Module, test: ClientDatasets) -> float:
    """Of all examples, in percent."""
    x, y = map(torch.from_numpy, test.pooled())
    return 100 * float((module(x).argmax(1) == y).float().mean())


@case
def digits_by_writer(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # a case takes the folder, needed or not
    """On other examples of the same writers, and on writers who are not in training."""
    for epochs in (5, 1):
        for by, on in (("sample", "other examples of these writers"), ("client", "other writers")):
            yield _row(by, on, epochs)


def _row(by: str, on: str, epochs: int) -> Row:
    reached, lost = [], []
    for seed in SEEDS:
        train, test = fa.datasets.digits().split(by, test=0.25, seed=seed)
        best, found = (accuracy(make(train, seed, epochs), test) for make in (pooled, federated))
        reached.append(best)
        lost.append(best - found)
    first, third = np.quantile(lost, (0.25, 0.75)).tolist()
    passes = f"{epochs} local pass{'es' * (epochs > 1)} in each of {ROUNDS} rounds"
    return Row(
        f"digits by writer, {on}: points of accuracy that FedAvg with {passes} loses",
        f"pooled training, as many passes: {statistics.mean(reached):.1f} %",
        statistics.mean(lost),
        POINTS,
        (first, third),
    )
