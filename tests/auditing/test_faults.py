"""Planted faults are caught within the trials that the design promises; the sound twin of each is not."""

import numpy as np
import pytest

from fedanalytics.auditing import Gdp, audit
from fedanalytics.privacy import DiscreteLaplace, Gaussian, RandomizedResponse, samplers
from fedanalytics.privacy.keystream import Keystream

GRID = 1024
RUNS = 40  # of each, with other seeds
CAUGHT = 36  # or more: at 95 %, fewer has a chance of 1.4 %, and the seeds are fixed


def gaussian(sigma, size, stream):
    return samplers.rounded_gaussian(sigma * GRID, size, keystream=stream) / GRID


def clipped(data):
    return sum(min(max(x, -1.0), 1.0) for x in data)


class NoNoise:
    claim, neighbours, trials = Gaussian(1.0), ([0.5], [0.5, 1.0]), 16

    def sound(self, data, n, stream):
        return clipped(data) + gaussian(1.0, n, stream)

    def broken(self, data, n, stream):
        return np.full(n, clipped(data))


class NoClip(NoNoise):
    """With an outlier as the added record."""

    neighbours, trials = ([0.5], [0.5, 1000.0]), 32

    def broken(self, data, n, stream):
        return sum(data) + gaussian(1.0, n, stream)


class SensitivityOffByTwo(NoNoise):
    trials = 256

    def broken(self, data, n, stream):
        return 2 * clipped(data) + gaussian(1.0, n, stream)


class FloatNoise(NoNoise):
    """numpy's Gaussian added to a float: outputs near 0 have bits that no sum of 1 can have."""

    neighbours, trials = ([0.0], [0.0, 1.0]), 512

    def broken(self, data, n, stream):
        rng = np.random.default_rng(stream.words(1).tolist())
        return clipped(data) + rng.normal(0.0, 1.0, n)


class FloatLaplace(FloatNoise):
    claim = DiscreteLaplace(1.0)

    def sound(self, data, n, stream):
        return clipped(data) + samplers.discrete_laplace(1.0 * GRID, n, keystream=stream) / GRID

    def broken(self, data, n, stream):
        rng = np.random.default_rng(stream.words(1).tolist())
        return clipped(data) + rng.laplace(0.0, 1.0, n)


class ScaleTwentyPercentLow(NoNoise):
    trials = 2048

    def broken(self, data, n, stream):
        return clipped(data) + gaussian(0.8, n, stream)


class ScaleFivePercentLow(NoNoise):
    trials = 65_536

    def broken(self, data, n, stream):
        return clipped(data) + gaussian(0.95, n, stream)


class SharesMissing(NoNoise):
    """A hundred shares of noise are promised, and a third of the clients drop out."""

    trials = 4096

    def sound(self, data, n, stream):
        return self.summed(data, n, stream, 100)

    def broken(self, data, n, stream):
        return self.summed(data, n, stream, 70)

    @staticmethod
    def summed(data, n, stream, shares):
        """Skellam shares add up to Skellam noise of the sum of their variances: exactly, so it is drawn at once."""
        noise = samplers.skellam(shares * GRID**2 / 100, n, keystream=stream)
        return (GRID * clipped(data) + noise).astype(np.int64)


class WrongRelation(NoNoise):
    """A histogram priced for one client more, and used where one is replaced: two bins move."""

    neighbours, trials = ([0, 1, 2], [0, 1, 3]), 1024

    def sound(self, data, n, stream):
        return self.bins(data, n, stream, np.sqrt(2))

    def broken(self, data, n, stream):
        return self.bins(data, n, stream, 1.0)

    @staticmethod
    def bins(data, n, stream, sigma):
        return np.bincount(data, minlength=8) + gaussian(sigma, 8 * n, stream).reshape(n, 8)


class NanBypass(NoNoise):
    """NaN passes a comparison-based clip, and every noise."""

    neighbours, trials = ([0.5], [0.5, float("nan")]), 16

    def sound(self, data, n, stream):
        return clipped(np.nan_to_num(data)) + gaussian(1.0, n, stream)

    def broken(self, data, n, stream):
        return sum(-1.0 if x < -1 else 1.0 if x > 1 else x for x in data) + gaussian(1.0, n, stream)


class SharedNoise(NoNoise):
    """One noise for all coordinates: their differences are exact."""

    neighbours, trials = ([0.0], [0.0, 1.0]), 128

    def sound(self, data, n, stream):
        return np.array([clipped(data), 0.0, 0.0]) + gaussian(1.0, 3 * n, stream).reshape(n, 3)

    def broken(self, data, n, stream):
        return np.array([clipped(data), 0.0, 0.0]) + gaussian(1.0, n, stream)[:, None]


class NoiseLeavesWithTheClient(NoNoise):
    """Each client brings its own share: without the client the noise is smaller, and its centre the same."""

    claim, neighbours, trials = Gdp(0.5), ([0.0], [0.0, 0.0]), 4096

    def broken(self, data, n, stream):
        return clipped(data) + gaussian(np.sqrt(len(data)), n, stream)


class EvenNoise(NoNoise):
    """Noise on a coarser grid than the data's: the last bit is the data's own."""

    neighbours, trials = ([0.0], [0.0, 1 / GRID]), 64

    def broken(self, data, n, stream):
        return clipped(data) + 2 * gaussian(0.5, n, stream)


class ResponseTooHonest(NoNoise):
    claim, neighbours, trials = RandomizedResponse(0.5, 4), (0, 1), 2048

    def sound(self, data, n, stream):
        return self.answers(data, n, stream, 0.5)

    def broken(self, data, n, stream):
        return self.answers(data, n, stream, 0.4)

    @staticmethod
    def answers(data, n, stream, noise):
        rng = np.random.default_rng(stream.words(1).tolist())
        return np.where(rng.random(n) < noise, rng.integers(0, 4, n), data)


FAULTS = [
    NoNoise,
    NoClip,
    SensitivityOffByTwo,
    FloatNoise,
    FloatLaplace,
    ScaleTwentyPercentLow,
    ScaleFivePercentLow,
    SharesMissing,
    WrongRelation,
    NanBypass,
    SharedNoise,
    NoiseLeavesWithTheClient,
    EvenNoise,
    ResponseTooHonest,
]


def verdicts(fault, which):
    found = []
    for seed in range(RUNS):
        stream, run = Keystream.insecure(seed), getattr(fault(), which)
        report = audit(
            lambda data, n, run=run, stream=stream: run(data, n, stream),
            fault.neighbours,
            claim=fault.claim,
            trials=fault.trials,
        )
        found.append(report.verdict)
    return found


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught_within_its_trials(fault):
    assert verdicts(fault, "broken").count("violated") >= CAUGHT


@pytest.mark.parametrize("fault", FAULTS)
def test_its_sound_twin_is_not_accused(fault):
    """Nominal: 2 of 40. More than 7 has a chance of 7e-4, and the seeds are fixed."""
    assert verdicts(fault, "sound").count("violated") <= 7


@pytest.mark.parametrize("trials", [16, 4096])
def test_a_fixed_seed_is_caught_though_one_call_shows_nothing(trials):
    def mechanism(data, n):
        return clipped(data) + gaussian(1.0, n, Keystream.insecure(5))

    report = audit(mechanism, ([0.5], [0.5, 1.0]), claim=Gaussian(1.0), trials=trials)
    assert report.verdict == "violated"
    assert next(check for check in report.checks if check.name == "replay").passed is False


def test_noise_that_is_kept_for_the_next_query_is_caught():
    kept = gaussian(1.0, 2**16, Keystream.insecure(6))
    fresh = Keystream.insecure(7)

    def mechanism(data, n):
        return clipped(data) + kept[:n] + gaussian(0.01, n, fresh)

    report = audit(mechanism, ([0.5], [0.5, 1.0]), claim=Gaussian(1.0), trials=2048)
    assert report.verdict == "violated"
    passed = {check.name: check.passed for check in report.checks}
    assert passed["replay"] is True
    assert passed["reuse"] is False
