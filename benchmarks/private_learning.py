"""Accuracy of private training on synthetic writers, against the same rounds without privacy.

`python benchmarks/private_learning.py` prints three tables: accuracy on writers who are not in training at client-level
epsilon 4 and 1; without sampling, correlated noise against independent noise at epsilon 1, 4 and 8; and the time of a
private round against that of one without clip and noise.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
import torch
from torch import nn

import fedanalytics as fa
from fedanalytics.learning import Algorithm, Clients, LocalTraining, Sgd, Trainer
from fedanalytics.learning.private import plan, train, unsampled_plan

CLIENTS, COHORT, ROUNDS, DELTA = 3_400, 300, 100, 1e-6
LOCAL = LocalTraining(0.3, epochs=3, batch_size=8)
FAST, SLOW = Sgd(1.0, momentum=0.9), Sgd(1.0)


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def writers():
    train_set, test_set = fa.datasets.synthetic_writers(clients=CLIENTS, examples=25, side=8)
    flat = [(x.reshape(len(x), -1), y) for x, y in train_set.pairs()]
    x, y = test_set.pooled()
    return flat, torch.from_numpy(x).reshape(len(x), -1), torch.from_numpy(y)


def accuracy(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    with torch.no_grad():
        return float((module(x).argmax(1) == y).float().mean())


def without(data, server: Sgd, cohorts) -> nn.Module:
    """The same rounds on cohorts of the same size, without clip and noise."""
    trainer = Trainer.of(net, Algorithm(LOCAL, server, weighting="uniform"))
    clients, state = Clients.of(data), trainer.initialize()
    for cohort in cohorts:
        state, _ = trainer.next(state, clients.take(cohort))
    return trainer.model(state)


def private(data, found, server: Sgd, clip: float) -> nn.Module:
    rule = "gdp" if found.sampling_rate == 1 else "pld"
    budget = fa.Ledger(":memory:").budget("bench", epsilon=found.target_epsilon, delta=DELTA, filter=rule)
    session = fa.Session(fa.Fleet.from_datasets(data, population=CLIENTS), budget)
    return train(net, session, found, algorithm=Algorithm(LOCAL, server, weighting="uniform"), clip=clip).model


def sampled(data, x, y) -> None:
    rng = np.random.default_rng(0)
    cohorts = [np.flatnonzero(rng.random(CLIENTS) < COHORT / CLIENTS) for _ in range(ROUNDS)]
    base = accuracy(without(data, FAST, cohorts), x, y)
    print(f"| without privacy | {base:.3f} | |", flush=True)
    for epsilon, clip in ((4.0, 0.3), (1.0, 0.2)):
        found = plan(target_epsilon=epsilon, delta=DELTA, rounds=ROUNDS, population=CLIENTS, cohort=COHORT)
        runs = [accuracy(private(data, found, FAST, clip), x, y) for _ in range(3)]
        got = statistics.median(runs)
        print(f"| epsilon {epsilon:g} | {got:.3f} | {100 * (base - got):+.1f} points |", flush=True)


def unsampled(data, x, y) -> None:
    """Each family at the clip that suits it, of three: the less noise there is, the less should be cut off."""
    for epsilon in (1.0, 4.0, 8.0):
        row = []
        for family in ("independent", "tree", "blt"):
            found = unsampled_plan(
                target_epsilon=epsilon,
                delta=DELTA,
                rounds=ROUNDS,
                population=CLIENTS,
                participations=10,
                family=family,
                momentum=FAST.momentum,
            )
            medians = {
                clip: statistics.median(accuracy(private(data, found, FAST, clip), x, y) for _ in range(3))
                for clip in (0.3, 0.5, 0.8)
            }
            clip = max(medians, key=lambda clip: medians[clip])
            row.append(f"{medians[clip]:.3f} (clip {clip:g})")
        print(f"| {epsilon:g} | " + " | ".join(row) + " |", flush=True)


def cost(data) -> None:
    """Ten rounds of each, with the data read once at the start, which both do."""
    some, rounds, algorithm = data[:COHORT], 10, Algorithm(LOCAL, SLOW, weighting="uniform")
    trainer = Trainer.of(net, algorithm)
    found = plan(target_epsilon=4, delta=DELTA, rounds=rounds, population=COHORT, cohort=COHORT)
    ratios = []
    for _ in range(9):
        start = time.perf_counter()
        clients, state = Clients.of(some), trainer.initialize()
        for _ in range(rounds):
            state, _ = trainer.next(state, clients)
        between = time.perf_counter()
        budget = fa.Ledger(":memory:").budget("bench", epsilon=4, delta=DELTA)
        session = fa.Session(fa.Fleet.from_datasets(some, population=COHORT), budget)
        begun = time.perf_counter()
        train(net, session, found, algorithm=algorithm, clip=0.3)
        ratios.append((time.perf_counter() - begun) / (between - start))
    print(f"| ten private rounds with their ledger / ten without, {COHORT} clients | {statistics.median(ratios):.2f} |")


if __name__ == "__main__":
    wanted = set(sys.argv[1:]) or {"sampled", "unsampled", "cost"}
    everything = writers()
    if "sampled" in wanted:
        sampled(*everything)
    if "unsampled" in wanted:
        unsampled(*everything)
    if "cost" in wanted:
        cost(everything[0])
