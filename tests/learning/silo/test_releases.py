"""A step's release: exact sums on the grid, noise of the law that was paid for, batches of our own sampler."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy import stats

from fedanalytics.errors import BadArgument
from fedanalytics.learning.losses import cross_entropy
from fedanalytics.learning.silo.engines import choose
from fedanalytics.learning.silo.pieces import LONGEST, clipped
from fedanalytics.learning.silo.releases import Release
from fedanalytics.learning.silo.rows import Rows
from fedanalytics.privacy.keystream import Keystream


def release(size=27, noise=1.0, rate=0.5, batch=20, clip=0.7):
    return Release.of(clip=clip, size=size, noise_multiplier=noise, sampling_rate=rate, batch=batch)


class Counting:
    """An engine that keeps the numbers of rows it was given."""

    def __init__(self, engine):
        self.engine, self.block, self.proven, self.seen = engine, 64, engine.proven, []

    def load(self, parameters):
        self.engine.load(parameters)

    def pieces(self, examples):
        self.seen.append(len(examples[1]))
        return self.engine.pieces(examples)


@pytest.fixture
def ready(zoo):
    """An engine at a model's initial values, and 300 rows."""
    model, rows = zoo.model("relu"), zoo.rows(300, spread=2.0)
    engine = choose(model, cross_entropy, rows.shapes)
    engine.load(model.tensor(model.initial))
    return model, engine, rows


@pytest.mark.parametrize("noise", [1.0, 3.0, 2.0**7, 1e5])
@pytest.mark.parametrize("count", [0, 1, 63, 64, 300])
def test_a_sum_is_the_rounded_sum_of_integers_whatever_the_blocks(ready, noise, count):
    model, engine, rows = ready
    found = release(model.size, noise)
    total = found.total(Counting(engine), rows, np.arange(count))
    exact = [0] * model.size
    for i in range(count):
        [(block, real)] = rows.blocks(np.array([i]), 1, 32)
        exact = [
            a + int(b) for a, b in zip(exact, clipped(engine.pieces(block), found.clip, real).tolist(), strict=True)
        ]
    step = LONGEST // found.steps
    assert total.tolist() == [math.floor(Fraction(x, step) + Fraction(1, 2)) for x in exact]


def test_one_row_more_moves_the_sum_by_the_sensitivity_at_most(ready):
    """At every place, in exact integers; and nearly as much where a gradient is clipped."""
    model, engine, rows = ready
    found = release(model.size, clip=0.01)
    rng, moved = np.random.default_rng(0), []
    for _ in range(20):
        company = rng.permutation(300)[: rng.integers(1, 200)]
        more, less = (
            found.total(engine, rows, part) for part in (company, np.delete(company, rng.integers(len(company))))
        )
        moved.append(math.isqrt(sum(int(x) ** 2 for x in (more - less).tolist())))
    assert max(moved) <= found.sensitivity
    assert min(moved) > 0.999 * found.steps


def test_the_noise_has_its_law_in_every_coordinate(ready):
    """A batch that is empty: what comes is noise over the batch. Fixed seeds, p above 1e-3, and a fault that falls."""
    model, engine, rows = ready
    found = release(model.size, noise=1.3, rate=1e-9, batch=20)
    draws = np.concatenate([found.gradient(engine, rows, Keystream.insecure(i)) for i in range(200)])
    scale = 1.3 * 0.7 / 20
    assert found.deviation == pytest.approx(scale, rel=1e-5)
    assert found.deviation >= scale
    assert stats.kstest(draws, stats.norm(0, scale).cdf).pvalue > 1e-3
    assert stats.kstest(draws, stats.norm(0, 1.1 * scale).cdf).pvalue < 1e-3
    grid = draws * (20 * found.steps / 0.7)
    assert np.abs(grid - np.rint(grid)).max() < 1e-6


def test_noise_differs_between_steps_and_coordinates(ready):
    model, engine, rows = ready
    found = release(model.size)
    first, second = (found.gradient(engine, rows, None) for _ in range(2))
    assert len(set(first.tolist()) | set(second.tolist())) == 2 * model.size


def test_batches_are_poisson_samples_of_all_rows(ready):
    """Sizes have the binomial law; the sum is divided by the expected batch, not by who came."""
    model, engine, rows = ready
    found, engine = release(model.size, rate=0.1, batch=30), Counting(engine)
    taken = []
    original = rows.blocks

    class Watched(Rows):
        def blocks(self, drawn, size, multiple):
            taken.append(drawn)
            return original(drawn, size, multiple)

    for i in range(300):
        found.gradient(engine, Watched(rows.features, rows.labels), Keystream.insecure(i))
    sizes = np.array([len(drawn) for drawn in taken])
    assert stats.kstest(sizes + np.random.default_rng(0).random(300), _smooth).pvalue > 1e-3
    each = np.bincount(np.concatenate(taken), minlength=300)
    assert len(each) == 300
    assert stats.chisquare(each).pvalue > 1e-3
    assert all(seen % 32 == 0 for seen in engine.seen)


def _smooth(x):
    """The binomial law of sizes, spread evenly over the unit above each."""
    whole = np.floor(x)
    law = stats.binom(300, 0.1)
    return law.cdf(whole - 1) + law.pmf(whole) * (x - whole)


@pytest.mark.parametrize("size", [1, 10, 50_890, 10**7])
@pytest.mark.parametrize("noise", [0.1, 1.0, 100.0])
def test_grids_are_as_fine_as_the_noise_allows_and_cost_little(size, noise):
    found = release(size, noise)
    assert found.steps == 2 ** (found.steps.bit_length() - 1)
    assert found.sensitivity >= found.steps + math.sqrt(size)
    assert found.sensitivity < 1.0021 * found.steps
    assert found.sigma >= noise * found.sensitivity


def test_what_no_grid_holds_is_refused():
    with pytest.raises(BadArgument, match="noise_multiplier=1e\\+08 is too much"):
        release(50_890, 1e8)
    with pytest.raises(BadArgument, match="clip= must be a positive"):
        release(clip=0.0)
    with pytest.raises(BadArgument, match="67108864 trained parameters, and norms are proven for fewer"):
        release(2**26)


def test_rows_are_padded_with_zeros_and_counted():
    rows = Rows(torch.arange(10.0)[:, None], torch.ones(10, dtype=torch.int64))
    [(first, eight), (second, two)] = rows.blocks(np.arange(10), 8, 8)
    assert (eight, two) == (8, 2)
    assert second[0].flatten().tolist() == [8, 9, 0, 0, 0, 0, 0, 0]
    assert second[1].tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    assert first[0].flatten().tolist() == list(range(8))
