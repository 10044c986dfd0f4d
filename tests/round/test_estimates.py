"""Estimators: unbiased, and intervals that cover what they claim, down to a handful of clients."""

import math

import numpy as np
import pytest
from scipy import stats

from fedanalytics.errors import BadArgument
from fedanalytics.round.blocks import Noisy
from fedanalytics.round.estimates import Additive, Noise
from fedanalytics.round.moments import Interval, Moments
from fedanalytics.round.one_hot import OneHot, Present

RUNS = 20_000


def noisy(encoder, values, sigma, law="gaussian", steps=1 << 20, seed=1):
    """RUNS noisy sums at once: a test's own noise, from numpy."""
    rng = np.random.default_rng(seed)
    sums = encoder.sums(np.asarray(values, dtype=float), steps)[None, :]
    draw = rng.normal if law == "gaussian" else rng.laplace
    noise = np.rint(draw(0, sigma * steps, (RUNS, len(sums[0]))))
    return Noisy((sums + noise) / steps, Noise(sigma, law, 1 / steps))


def coverage(estimate, truth, confidence=0.95):
    low, high = estimate.interval(confidence)
    return float(np.mean((low <= truth) & (truth <= high)))


@pytest.mark.parametrize("n", [10, 100, 10_000])
@pytest.mark.parametrize("mean", [2.0, 50.0, 90.0])
@pytest.mark.parametrize("sigma", [0.5, 7.0])
def test_fieller_covers_the_mean(n, mean, sigma):
    values = np.clip(np.random.default_rng(n).normal(mean, 5, n), 0, 110)
    encoder = Moments(0.0, 110.0)
    assert 0.94 <= coverage(encoder.estimate(noisy(encoder, values, sigma)), values.mean()) <= 1.0
    if n * 0.44 > 8 * sigma:  # a count that is clearly positive: then the coverage is not only kept but exact
        assert coverage(encoder.estimate(noisy(encoder, values, sigma)), values.mean()) <= 0.96


@pytest.mark.parametrize(("n", "sigma"), [(10, 0.3), (1000, 7.0), (10_000, 7.0)])
@pytest.mark.parametrize("spread", [3.0, 25.0])
def test_the_variance_is_covered(n, sigma, spread):
    values = np.clip(np.random.default_rng(n).normal(60, spread, n), 0, 110)
    encoder = Moments(0.0, 110.0, order=2, count_weight=0.5)
    estimate = encoder.estimate(noisy(encoder, values, sigma))
    assert 0.94 <= coverage(estimate, values.var()) <= 0.98
    if n >= 1000:
        error = np.std(estimate.value - values.var())
        if spread == 25.0:  # a spread of 3 is clamped at 0 in many draws, where the delta method does not speak
            assert error == pytest.approx(np.median(estimate.standard_error), rel=0.05)
        assert abs(np.mean(estimate.value) - values.var()) < error


@pytest.mark.parametrize("law", ["gaussian", "laplace"])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_sums_are_covered_exactly(law, confidence):
    encoder = Interval(0.0, 10.0)
    estimate = encoder.estimate(noisy(encoder, np.linspace(0, 10, 50), 3.0, law))
    exact = 4 * np.sqrt(confidence * (1 - confidence) / RUNS)
    assert coverage(estimate, 250.0, confidence) == pytest.approx(confidence, abs=exact)
    assert np.std(estimate.value) == pytest.approx(float(estimate.standard_error[0]), rel=0.03)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 1.5, 4.0, 20.0])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_half_width_is_the_least_integer_that_covers_a_rounded_gaussian(sigma, confidence):
    half = Noise(sigma, "gaussian", 1.0).half_width(confidence)
    inside = [stats.norm.cdf((h + 0.5) / sigma) * 2 - 1 for h in (half, half - 1)]
    assert inside[0] >= confidence - 1e-12
    assert half == 0 or inside[1] < confidence
    z = np.arange(-400, 401)
    law = stats.norm.cdf((z + 0.5) / sigma) - stats.norm.cdf((z - 0.5) / sigma)
    if sigma >= 1:
        assert Noise(sigma, "gaussian", 1.0).deviation == pytest.approx(np.sqrt((law * z**2).sum()), rel=1e-3)


@pytest.mark.parametrize("scale", [0.5, 2.0, 30.0])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_half_width_is_the_least_integer_that_covers_a_geometric(scale, confidence):
    noise = Noise(scale, "laplace", 1.0)
    z = np.arange(-3000, 3001)
    law = np.exp(-np.abs(z) / scale)
    law /= law.sum()
    half = noise.half_width(confidence)
    assert law[np.abs(z) <= half].sum() >= confidence - 1e-12
    assert half == 0 or law[np.abs(z) <= half - 1].sum() < confidence
    assert noise.deviation == pytest.approx(np.sqrt((law * z**2).sum()), rel=1e-9)


def test_continuous_noise_has_its_limits():
    assert Noise(2.0).half_width(0.95) == pytest.approx(3.91993, abs=1e-4)
    assert Noise(2.0, "laplace").half_width(0.95) == pytest.approx(-2 * np.log(0.05))
    assert Noise(2.0, "laplace").deviation == pytest.approx(2 * np.sqrt(2))
    assert Noise(2.0, "laplace", 0.5).scaled(-3.0) == Noise(6.0, "laplace", 1.5)
    with pytest.raises(BadArgument, match="confidence="):
        Noise(1.0).half_width(1.0)


def test_a_count_that_is_not_positive_gives_the_whole_range():
    encoder = Moments(0.0, 110.0)
    answer = Noisy(np.array([3.0, -2.0]), Noise(7.0, "gaussian", 2.0**-20))
    low, high = encoder.estimate(answer).interval(0.95)
    assert (low, high) == (0, 110)
    assert 0 <= encoder.estimate(answer).value <= 110
    spread = Moments(0.0, 110.0, order=2).estimate(Noisy(np.array([3.0, 1.0, -2.0]), answer.noise))
    assert spread.interval(0.95) == (0, 55**2)


def test_estimates_stay_within_the_bounds():
    encoder = Moments(0.0, 110.0)
    estimate = encoder.estimate(noisy(encoder, [100.0] * 10, 3.0))
    for numbers in (estimate.value, *estimate.interval(0.95)):
        assert ((numbers >= 0) & (numbers <= 110)).all()


def test_counts_are_the_noisy_sums():
    answer = Noisy(np.array([4.0, -1.0]), Noise(2.0, "gaussian", 1.0))
    estimate = OneHot((0.0, 1.0, 2.0)).estimate(answer)
    assert isinstance(estimate, Additive)
    assert estimate.value.tolist() == [4, -1]
    assert Present().estimate(Noisy(np.array([4.0]), answer.noise)).value == 4


def test_the_weight_follows_the_grid():
    for steps in (1 << 10, 1 << 20):
        encoder = Moments(0.0, 10.0)
        sums = encoder.sums(np.full(1000, 7.5), steps) / steps
        value = encoder.estimate(Noisy(sums, Noise(1e-9, "gaussian", 1 / steps))).value
        assert value == pytest.approx(7.5, abs=10 / steps)


@pytest.mark.parametrize("variance", [1e-3, 0.5, 14.2, 400.0])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999999])
def test_half_width_is_the_least_integer_that_covers_skellam_noise(variance, confidence):
    noise = Noise(math.sqrt(variance) / 4, "skellam", 0.25)
    half = noise.half_width(confidence) * 4
    inside = [stats.skellam.sf(h, variance / 2, variance / 2) * 2 for h in (half, half - 1)]
    assert inside[0] <= (1 - confidence) * (1 + 1e-6)
    assert half == 0 or inside[1] > (1 - confidence) * (1 - 1e-6)
    assert noise.deviation == noise.scale
    assert noise.quantile(0.95) == pytest.approx(1.959964)


def test_half_width_of_much_skellam_noise_is_the_normal_one():
    assert Noise(1e9, "skellam", 1.0).half_width(0.95) == pytest.approx(1.959964e9, rel=1e-6)
