"""The noise of a run seen from outside: its joint law over the rounds is that of the dense matrix.

Every check is a p-value, an alarm is one below 1e-9, and all seeds are fixed, so that a run does not flicker. There are
fewer than 500 checks: with other seeds, a run would raise a false alarm with probability below 1e-6.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fedanalytics.privacy.correlated import BLT, PREFIX_SUMS, Banded, Schedule, Tree, Workload
from fedanalytics.privacy.keystream import Keystream

ALARM = 1e-9
SIZE, ROUNDS, NOISE, NORM = 20_000, 12, 1.5, 4096.0
MOMENTUM = Workload(momentum=0.9, decay=0.99)
STRATEGIES = {
    "banded": Banded.optimised(Schedule(ROUNDS, 2, 5), 5),
    "all bands": Banded.optimised(Schedule(ROUNDS), ROUNDS, metric="max"),
    "momentum": Banded.optimised(Schedule(ROUNDS), 4, MOMENTUM),
    "independent": Banded.independent(Schedule(ROUNDS, 3, 4)),
    "tree": Tree(Schedule(ROUNDS), ROUNDS),
    "trees": Tree(Schedule(ROUNDS, 3, 4), 4),
    "blt": BLT.optimised(Schedule(ROUNDS, 2, 5), 3),
}
EACH = pytest.mark.parametrize("name", STRATEGIES)


def noise_of(strategy, seed, stop=None):
    """The noise of all rounds, over its scale, shape (rounds, size); after `stop`, from a state that was stored."""
    stream = strategy.stream(NOISE, NORM, SIZE)
    state, noise = stream.start(), []
    for t in range(ROUNDS):
        if t == stop:
            state = type(state).from_json(state.to_json())
        state, made = stream.advance(state, Keystream.insecure(1000 * seed + t))
        noise.append(made)
    return np.array(noise) / (NOISE * NORM)


def whitened(dense, strategy, noise):
    """Independent standard normal numbers, if the covariance is that of the responses."""
    response = dense.responses(strategy.stream(NOISE, NORM, SIZE))
    return np.linalg.solve(np.linalg.cholesky(response @ response.T), noise)


def two_sided(z):
    return 2 * stats.norm.sf(abs(z))


def spread(white):
    squares = float(np.sum(white**2))
    return 2 * min(stats.chi2.sf(squares, white.size), stats.chi2.cdf(squares, white.size))


def dependences(white):
    """Of each two rounds; their products have variance 1."""
    products = np.triu(white @ white.T, 1)[np.triu_indices(len(white), 1)] / math.sqrt(white.shape[1])
    return float(min(map(two_sided, products)))


@EACH
def test_the_covariance_is_that_of_the_matrix(dense, name):
    white = whitened(dense, STRATEGIES[name], noise_of(STRATEGIES[name], seed=1))
    assert min(spread(row) for row in white[:, None, :]) > ALARM
    assert dependences(white) > ALARM
    assert stats.kstest(white.ravel(), "norm").pvalue > ALARM


@EACH
def test_resumed_noise_has_the_same_law(dense, name):
    """Rounds after a checkpoint are correlated with those before it as if there had been none."""
    white = whitened(dense, STRATEGIES[name], noise_of(STRATEGIES[name], seed=2, stop=5))
    assert spread(white) > ALARM
    assert dependences(white) > ALARM


@EACH
@pytest.mark.parametrize("workload", [PREFIX_SUMS, MOMENTUM])
def test_the_error_of_every_prefix_is_as_predicted(name, workload):
    noise, coefficients = noise_of(STRATEGIES[name], seed=3), workload.coefficients(ROUNDS)
    for t, error in enumerate(STRATEGIES[name].errors(workload)):
        total = coefficients[t::-1] @ noise[: t + 1]
        assert spread(total / error) > ALARM


@EACH
def test_coordinates_are_independent(name):
    noise = noise_of(STRATEGIES[name], seed=4)
    for row in noise:
        products = row[:-1] @ row[1:] / (np.mean(row**2) * math.sqrt(SIZE - 1))
        assert two_sided(products) > ALARM


@pytest.mark.parametrize("name", ["banded", "tree", "blt"])
def test_a_state_that_forgot_is_seen(dense, name):
    """The fault to fear in a checkpoint: rows that are lost."""
    strategy = STRATEGIES[name]
    stream = strategy.stream(NOISE, NORM, SIZE)
    rows, noise = (), []
    for t in range(ROUNDS):
        rows = tuple(np.zeros_like(row) for row in rows) if t == 6 else rows
        fresh = np.array([stream.advance(stream.start(), Keystream.insecure(t * 10 + i))[1] for i in range(9)])
        fresh = fresh[: stream.draws(t)] * 2 ** getattr(stream, "bits", 0)
        rows, made = stream.step(rows, fresh, t)
        noise.append(made)
    white = whitened(dense, strategy, np.array(noise) / (NOISE * NORM))
    assert min(spread(white), dependences(white)) < ALARM
