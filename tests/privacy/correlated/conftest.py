"""The strategies as dense matrices, found by asking their streams: what formulas are held against."""

from __future__ import annotations

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest

BIG = 2**20  # of an impulse, so that roundings do not show


def responses(stream):
    """What each fresh draw does to the noise of each round, shape (rounds, draws); the draws in order."""
    counts = [stream.draws(t) for t in range(stream.rounds)]
    total = sum(counts)
    stream = dataclasses.replace(stream, size=total)
    fine = 2 ** getattr(stream, "bits", 0)
    impulses = np.eye(total, dtype=np.int64) * BIG * fine
    rows, noise, at = (), [], 0
    for t, count in enumerate(counts):
        rows, made = stream.step(rows, impulses[at : at + count], t)
        noise.append(made)
        at += count
    return np.array(noise) / BIG


def lower(column, rounds):
    matrix = np.zeros((rounds, rounds))
    for i, c in enumerate(column):
        matrix += np.diag(np.full(rounds - i, c), -i)
    return matrix


def tree_matrix(rounds, period):
    """Which rounds each draw of a tree is the noise of, shape (draws, rounds), by the definition of the tree."""
    rows = []
    for t in range(rounds):
        within, start = t % period, t - t % period
        for height in range(rounds.bit_length() + 1):
            if (within + 1) % (1 << height) == 0:
                row = np.zeros(rounds)
                row[start + within + 1 - (1 << height) : t + 1] = 1
                rows.append(row)
    return np.array(rows)


def patterns(schedule):
    """Every set of rounds that one client may take part in."""
    for size in range(1, schedule.participations + 1):
        for chosen in itertools.combinations(range(schedule.rounds), size):
            if all(schedule.allows(chosen[:i], chosen[i]) for i in range(size)):
                yield chosen


@pytest.fixture(scope="session")
def dense():
    """The functions above, for tests."""
    return SimpleNamespace(responses=responses, lower=lower, tree_matrix=tree_matrix, patterns=patterns)
