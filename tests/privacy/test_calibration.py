"""Calibration: never too little noise, never 0.01 % too much; judged by closed forms and another library."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from fedanalytics.errors import BadArgument
from fedanalytics.privacy import gdp
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.calibration import LIMIT, MOST, calibrate, rounds_within
from fedanalytics.privacy.events import Gaussian

epsilons = st.floats(0.05, 20)
deltas = st.floats(1e-12, 1e-3)


def judged(noise, rate, rounds, epsilon):
    """By a grid that is no multiple of the search's, and finer where that is affordable."""
    return Accountant(grid=6e-5 if epsilon > 0.2 else max(2e-5 * epsilon, 1e-6)).compose(
        Gaussian(noise).poisson_sampled(rate), rounds
    )


# ---------------------------------------------------------------- without sampling: closed form


def by_root(epsilon, delta, rounds):
    """The analytic Gaussian mechanism (Balle and Wang 2018, Theorem 8), solved by another root finder."""

    def excess(log_mu):
        mu = math.exp(log_mu)
        first, second = stats.norm.cdf(mu / 2 - epsilon / mu), stats.norm.logcdf(-mu / 2 - epsilon / mu)
        return first - math.exp(epsilon + second) - delta

    return math.sqrt(rounds) / math.exp(optimize.brentq(excess, -12, 4, xtol=1e-14))


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 2.0, 8.0])
@pytest.mark.parametrize("delta", [1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("rounds", [1, 365, 10**9])
def test_plain_rounds_are_the_analytic_gaussian_mechanism(epsilon, delta, rounds):
    found = calibrate(epsilon=epsilon, delta=delta, rounds=rounds)
    assert found == pytest.approx(by_root(epsilon, delta, rounds), rel=1e-9)


@given(epsilons, deltas, st.integers(1, 10**6))
def test_plain_noise_is_enough_and_hardly_more(epsilon, delta, rounds):
    noise = calibrate(epsilon=epsilon, delta=delta, rounds=rounds)
    assert epsilon * (1 - 1e-8) <= Accountant().compose(Gaussian(noise), rounds).epsilon(delta) <= epsilon
    assert gdp.delta_of(math.sqrt(rounds) / (noise * (1 - 1e-8)), epsilon) > delta


@given(epsilons, deltas, st.floats(0.3, 1e4))
def test_plain_rounds_are_as_many_as_fit(epsilon, delta, noise):
    most = rounds_within(epsilon=epsilon, delta=delta, noise_multiplier=noise)
    if most:
        assert Accountant().compose(Gaussian(noise), most).epsilon(delta) <= epsilon
    assert Accountant().compose(Gaussian(noise), most + 1).epsilon(delta) > epsilon


@given(epsilons, deltas, st.integers(1, 10**6))
def test_plain_rounds_come_back(epsilon, delta, rounds):
    noise = calibrate(epsilon=epsilon, delta=delta, rounds=rounds)
    assert rounds_within(epsilon=epsilon, delta=delta, noise_multiplier=noise) == rounds


# ---------------------------------------------------------------- sampled

SETTINGS = [  # epsilon, delta, rate, rounds
    (1.0, 1e-6, 0.01, 1000),
    (8.0, 1e-6, 0.01, 10_000),
    (2.0, 1e-6, 0.1, 100),
    (0.1, 1e-6, 0.01, 100),
    (1e-3, 1e-6, 0.01, 10),
    (1.0, 1e-6, 0.5, 1),
    (4.0, 1e-9, 0.3, 50),
    (0.5, 1e-3, 0.02, 2000),
]


@pytest.mark.parametrize(
    ("epsilon", "noise", "rate", "rounds"), [(1.0, 1.5627, 0.01, 1000), (8.0, 0.9286, 0.01, 10_000)]
)
def test_noise_as_published(epsilon, noise, rate, rounds):
    found = calibrate(epsilon=epsilon, delta=1e-6, sampling_rate=rate, rounds=rounds)
    assert found == pytest.approx(noise, abs=1e-4)


@pytest.mark.parametrize(("epsilon", "delta", "rate", "rounds"), SETTINGS)
def test_sampled_noise_is_enough_and_hardly_more(epsilon, delta, rate, rounds):
    """On a grid that is finer than the search's: within 1e-4 of the target, and no slack in the noise.

    What an upper bound says of less noise shows no more than how tight that bound is; the lower bound proves it.
    """
    noise = calibrate(epsilon=epsilon, delta=delta, sampling_rate=rate, rounds=rounds)
    assert epsilon * 0.9999 <= judged(noise, rate, rounds, epsilon).epsilon(delta) <= epsilon * (1 + 1e-5)
    assert judged(noise * 0.9999, rate, rounds, epsilon).epsilon(delta) > epsilon
    assert judged(noise * 0.995, rate, rounds, epsilon).bounds(delta)[0] > epsilon


@pytest.mark.parametrize(("epsilon", "delta", "rate", "rounds"), SETTINGS)
def test_sampled_rounds_come_back(epsilon, delta, rate, rounds):
    noise = calibrate(epsilon=epsilon, delta=delta, sampling_rate=rate, rounds=rounds)
    most = rounds_within(epsilon=epsilon, delta=delta, sampling_rate=rate, noise_multiplier=noise)
    assert rounds <= most <= rounds * 1.0003
    assert judged(noise, rate, most, epsilon).epsilon(delta) <= epsilon * (1 + 1e-5)
    assert judged(noise, rate, most + 1 + rounds // 3000, epsilon).epsilon(delta) > epsilon


def test_against_the_reference_library():
    """Its distributions, composed by its own convolution."""
    from dp_accounting.pld import privacy_loss_distribution

    noise = calibrate(epsilon=2.0, delta=1e-6, sampling_rate=0.1, rounds=100)
    for scale, within in ((1.0, True), (0.9995, False)):
        one = privacy_loss_distribution.from_gaussian_mechanism(
            noise * scale, sampling_prob=0.1, value_discretization_interval=1e-4
        )
        theirs = one.self_compose(100).get_epsilon_for_delta(1e-6)
        assert (theirs <= 2.0 * (1 + 1e-5)) == within
        assert theirs == pytest.approx(2.0, rel=2e-3)


@settings(max_examples=2)
@given(st.floats(1, 4), st.floats(0.02, 0.5), st.integers(2, 100))
def test_more_asked_takes_more_noise(epsilon, rate, rounds):
    plain = {"epsilon": epsilon, "delta": 1e-6, "sampling_rate": rate, "rounds": rounds}
    noise = calibrate(**plain)
    assert calibrate(**plain | {"epsilon": epsilon / 2}) > noise
    assert calibrate(**plain | {"rounds": 2 * rounds}) > noise
    assert calibrate(**plain | {"sampling_rate": min(2 * rate, 1.0)}) > noise
    assert calibrate(**plain | {"delta": 1e-9}) > noise


@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_none_fits_where_one_is_too_many(rate):
    assert rounds_within(epsilon=0.5, delta=1e-6, noise_multiplier=0.3, sampling_rate=rate) == 0


def test_rounds_end_somewhere():
    assert rounds_within(epsilon=100.0, delta=1e-3, noise_multiplier=1e8) == MOST


# ---------------------------------------------------------------- bad input

GOOD = {"epsilon": 1.0, "delta": 1e-6, "sampling_rate": 0.1}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("epsilon", (0, -1.0, math.nan, math.inf, True, "1", None, 1e7)),
        ("delta", (0, 1, 1.5, -1e-6, math.nan, "1e-6", None)),
        ("sampling_rate", (0, -0.1, 1.01, math.nan, math.inf, True, "0.1", None)),
    ],
)
def test_what_both_refuse(name, values):
    for value in values:
        with pytest.raises(BadArgument, match=f"{name}="):
            calibrate(**GOOD | {name: value})
        with pytest.raises(BadArgument, match=f"{name}="):
            rounds_within(**GOOD | {name: value}, noise_multiplier=1.0)


@pytest.mark.parametrize("rounds", [0, -1, 1.5, math.inf, True, "3", None, MOST + 1])
def test_rounds_are_whole(rounds):
    with pytest.raises(BadArgument, match="rounds="):
        calibrate(**GOOD, rounds=rounds)


@pytest.mark.parametrize("noise", [0, -1.0, math.nan, math.inf, True, "1", None, 2 * LIMIT])
def test_noise_is_positive_and_not_beyond_use(noise):
    with pytest.raises(BadArgument, match="noise_multiplier="):
        rounds_within(**GOOD, noise_multiplier=noise)


@pytest.mark.parametrize(
    "asked",
    [
        {"epsilon": 1e-300, "delta": 1e-300},
        {"epsilon": 1e-4, "delta": 1e-6, "rounds": MOST},
        {"epsilon": 1e-9, "delta": 1e-9, "sampling_rate": 0.9, "rounds": MOST},
        {"epsilon": 1e-300, "delta": 1e-300, "sampling_rate": 0.5},
    ],
)
def test_noise_that_leaves_nothing_is_refused(asked):
    with pytest.raises(BadArgument, match=r"needs a noise multiplier above 1e\+09"):
        calibrate(**asked)


def test_a_delta_that_permits_anything_is_refused():
    with pytest.raises(BadArgument, match=r"delta=0\.001 exceeds the chance that a client is asked at all"):
        calibrate(epsilon=1.0, delta=1e-3, sampling_rate=1e-4, rounds=9)
    assert calibrate(epsilon=1.0, delta=1e-3, sampling_rate=1e-4, rounds=30) > 0
