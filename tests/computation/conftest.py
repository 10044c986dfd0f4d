"""A fleet that is a dict of columns, and a conversation without noise: what rounds are tested against."""

import re

import numpy as np
import pytest

from fedanalytics.round.blocks import Noisy
from fedanalytics.round.estimates import Noise
from fedanalytics.round.work import Apply


class TinyFleet:
    """Clients' numbers by column name; it understands avg("name") only."""

    def __init__(self, **columns):
        self.columns = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}

    def column(self, sql):
        [name] = re.fullmatch(r'avg\("(.*)"\)', sql.per_client).groups()
        return self.columns[name]

    def values(self, work):
        if isinstance(work, Apply):
            return work.function.values(tuple(map(self.column, work.inputs)))
        return self.column(work)

    def sums(self, blocks, steps):
        return [b.encoder.sums(self.values(b.work), s) for b, s in zip(blocks, steps, strict=True)]


def noiseless(query, fleet):
    """The result of a query whose sums are exact on the finest grid, and the rounds that it asked."""
    rounds, asked, answers = query.rounds(), [], None
    try:
        while True:
            round_ = rounds.send(answers)
            asked.append(round_)
            steps = [block.encoder.finest for block in round_.blocks]
            sums = fleet.sums(round_.blocks, steps)
            answers = tuple(Noisy(t / s, Noise(1e-9 / s, unit=1 / s)) for t, s in zip(sums, steps, strict=True))
    except StopIteration as stop:
        return stop.value, asked


@pytest.fixture(scope="session")
def tiny_fleet():
    return TinyFleet


@pytest.fixture(scope="session")
def without_noise():
    return noiseless
