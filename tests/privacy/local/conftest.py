"""The exact law of one client's report: the mechanism's own code, run once for every way its coins can fall."""

import collections
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.local import coins


class Tape:
    """Choices already made are taken again; at a new one the first option is taken, the others kept for later."""

    def __init__(self, told):
        self.told, self.taken, self.weight, self.later = told, [], Fraction(1), []

    def choose(self, options):
        i = self.told[len(self.taken)] if len(self.taken) < len(self.told) else 0
        if len(self.taken) >= len(self.told):
            self.later += [[*self.taken, j] for j in range(1, len(options))]
        self.taken.append(i)
        value, weight = options[i]
        self.weight *= weight
        return value

    def flips(self, rate, size, stream):
        p = Fraction(rate)
        return np.array([self.choose([(True, p), (False, 1 - p)]) for _ in range(size)], dtype=bool)

    def below(self, limit, size, stream):
        return np.array([self.choose([(i, Fraction(1, limit)) for i in range(limit)]) for _ in range(size)])

    def keys(self, rows, columns, stream):
        orders = [(order, Fraction(1, math.factorial(columns))) for order in itertools.permutations(range(columns))]
        return np.array([self.choose(orders) for _ in range(rows)], dtype=np.uint64)

    def rounded(self, steps, cells, stream):
        at = [(Fraction(int(x), 2**coins.FINE) + 1) / 2 * cells for x in steps]
        return np.array([self.choose([(math.floor(u), 1 - u % 1), (math.floor(u) + 1, u % 1)]) for u in at])


@pytest.fixture
def law(monkeypatch):
    """law(mechanism, value) -> {report: exact probability}."""

    def outcomes(mechanism, value):
        found, todo = collections.Counter(), [[]]
        while todo:
            tape = Tape(todo.pop())
            for name in ("flips", "below", "keys", "rounded"):
                monkeypatch.setattr(coins, name, getattr(tape, name))
            [report] = mechanism.reports(np.array([value]), keystream=Keystream.insecure(0)).tolist()
            found[tuple(report)] += tape.weight
            todo += tape.later
        monkeypatch.undo()
        return {report: p for report, p in found.items() if p}

    return outcomes
