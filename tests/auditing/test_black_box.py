"""The black-box audit as a whole: what it reports, what it asks of a mechanism, and what it refuses."""

import inspect
import math

import numpy as np
import pytest
from scipy import stats

from fedanalytics.auditing import Dp, Gdp, Zcdp
from fedanalytics.auditing.black_box import audit
from fedanalytics.errors import BadArgument
from fedanalytics.privacy import Exact, Gaussian, Laplace, samplers
from fedanalytics.privacy.keystream import Keystream


def noisy_sum(sigma, seed):
    """sum + round(N(0, sigma^2)) on a grid of 2^-10, from a stream that repeats."""
    stream = Keystream.insecure(seed)
    return lambda data, n: sum(data) + samplers.rounded_gaussian(sigma * 1024, n, keystream=stream) / 1024


DATA, ONE_MORE = [1.0, 0.0], [1.0, 0.0, 1.0]


def test_a_sound_mechanism_is_consistent_and_the_bound_is_near():
    report = audit(noisy_sum(1.0, 1), (DATA, ONE_MORE), claim=Gaussian(noise_multiplier=1.0))
    assert report.verdict == "consistent"
    assert 0.94 < report.lower_bound <= report.limit == pytest.approx(1.0)
    assert report.mu == report.lower_bound
    assert 0.5 < report.epsilon < report.claim.quoted
    assert report.event.startswith("the output is ")
    assert (report.trials, report.confidence, report.unit) == (65_536, 0.95, "mu")
    assert [count.trials for count in report.counts] == [45_875, 45_875]
    assert [check.name for check in report.checks] == ["replay", "reuse", "low bits", "timing"]
    assert [check.passed for check in report.checks] == [True, True, None, None]
    assert 0 < report.seconds < 60


def test_the_order_of_the_neighbours_only_turns_the_direction():
    forth = audit(noisy_sum(0.5, 1), (DATA, ONE_MORE), claim=Gaussian(1.0), trials=4096)
    back = audit(noisy_sum(0.5, 1), (ONE_MORE, DATA), claim=Gaussian(1.0), trials=4096)
    assert forth.verdict == back.verdict == "violated"
    assert forth.mu == pytest.approx(back.mu, abs=0.2)
    for report, is_in in ((forth, ">"), (back, "<")):
        more_in = report.counts[0].hits > report.counts[1].hits
        assert report.direction == ("in -> out" if more_in else "out -> in")
        assert ("at least" in report.event) is (more_in is (is_in == ">"))


@pytest.mark.parametrize("claim", [Gdp(1.0), Zcdp(0.5), Dp(4.887, 1e-6), Gaussian(1.0)], ids=str)
def test_every_notion_is_tried_and_an_epsilon_at_a_delta_is_nearly_blind(claim):
    sound, low, broken = (
        audit(noisy_sum(sigma, 2), (DATA, ONE_MORE), claim=claim, trials=4096) for sigma in (1.0, 0.8, 0.3)
    )
    assert sound.verdict == "consistent"
    assert low.verdict == ("consistent" if isinstance(claim, Dp | Zcdp) else "violated")
    assert broken.verdict == "violated"
    assert sound.lower_bound < broken.lower_bound


def test_nothing_is_found_against_what_claims_nothing():
    report = audit(lambda data, n: np.full(n, sum(data)), (DATA, ONE_MORE), claim=Exact(), trials=1000)
    assert report.verdict == "consistent"
    assert report.limit == math.inf
    assert report.mu > 5, "the bound says how much is seen"


def test_a_constant_is_private():
    report = audit(lambda data, n: np.full(n, 3.0), (DATA, ONE_MORE), claim=Gdp(0.0), trials=1000)
    assert report.verdict == "consistent"
    assert report.lower_bound == 0


def test_vectors_are_audited_along_their_difference():
    stream = Keystream.insecure(3)

    def histogram(data, n):
        counts = np.bincount(data, minlength=30)
        return counts + samplers.rounded_gaussian(1024.0, n * 30, keystream=stream).reshape(n, 30) / 1024

    report = audit(histogram, ([0, 3, 3], [0, 3, 3, 7]), claim=Gaussian(1.0), trials=8192)
    assert report.verdict == "consistent"
    assert report.lower_bound > 0.85
    assert report.event.startswith(("coordinate 7", "the projection"))


def test_an_attack_of_ones_own_sees_more():
    """In 400 dimensions the direction cannot be learned from 200 outputs; who knows it says so."""
    direction = np.resize([1, 0, -1, 0], 400)  # of norm sqrt(200), under noise of deviation 10 sqrt(2)

    def run(attack):
        stream = Keystream.insecure(4)

        def mechanism(data, n):
            return data * direction + samplers.rounded_gaussian(math.sqrt(200), n * 400, keystream=stream).reshape(
                n, 400
            )

        return audit(mechanism, (0.0, 1.0), claim=Gaussian(1.25), trials=2048, attack=attack)

    blind = run(None)
    told = run(lambda outputs: outputs @ direction)
    assert told.verdict == "violated"
    assert told.event.startswith("the attack's score")
    assert blind.lower_bound < told.lower_bound


def test_sampled_claims_are_tried_by_their_curve():
    """A mechanism that forgets to sample stands out against the claim that it did."""

    def mechanism(rate, seed):
        rng = np.random.default_rng(seed)
        return lambda data, n: np.rint(1024 * (data * (rng.random(n) < rate) + rng.normal(0, 1, n))) / 1024

    claim = Gaussian(1.0).poisson_sampled(0.2)
    assert audit(mechanism(0.2, 1), (0.0, 1.0), claim=claim, trials=16_384).verdict == "consistent"
    forgot = audit(mechanism(1.0, 1), (0.0, 1.0), claim=claim, trials=512)
    assert forgot.verdict == "violated"
    assert forgot.lower_bound > forgot.limit


def test_the_bound_grows_towards_the_truth_with_the_trials():
    found = [
        audit(noisy_sum(1.0, 5), (DATA, ONE_MORE), claim=Gaussian(0.1), trials=trials).mu
        for trials in (64, 1024, 16_384, 262_144)
    ]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(1.0, abs=0.02)


def test_it_needs_no_more_trials_than_it_says():
    calls = []

    def mechanism(data, n):
        calls.append(n)
        return np.random.default_rng(len(calls)).normal(size=n)

    audit(mechanism, (0, 1), claim=Gdp(1.0), trials=1000)
    assert sum(calls) == 2 * 1000 + 3 * 256
    calls.clear()
    audit(mechanism, (0, 1), claim=Gdp(1.0), trials=16)
    assert sum(calls) == 2 * 16 + 3 * 16


def test_laplace_by_its_own_curve():
    rng = np.random.default_rng(6)

    def mechanism(scale):
        return lambda data, n: np.rint(1024 * (data + rng.laplace(0, scale, n))) / 1024

    assert audit(mechanism(1.0), (0.0, 1.0), claim=Laplace(1.0), trials=16_384).verdict == "consistent"
    assert audit(mechanism(0.8), (0.0, 1.0), claim=Laplace(1.0), trials=16_384).verdict == "violated"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trials": 15}, "trials= must be a whole number of at least 16, got 15"),
        ({"trials": 1000.0}, "trials= must be a whole number"),
        ({"confidence": 1.0}, "confidence= must lie strictly between 0 and 1"),
        ({"confidence": 0}, "confidence= must lie"),
        ({"confidence": 95}, "confidence= must lie"),
        ({"claim": 1.0}, "claim= must be a privacy event"),
        ({"neighbours": ([1],)}, "neighbours= must be"),
        ({"mechanism": "noisy"}, r"expected a mechanism\(data, n\)"),
        ({"mechanism": lambda data, n: np.zeros(n - 1)}, "was asked for n=256 outputs"),
        ({"attack": lambda outputs: 0.0}, "attack= must give one number"),
    ],
)
def test_what_cannot_be_audited(arguments, message):
    given = {
        "mechanism": noisy_sum(1.0, 1),
        "neighbours": (DATA, ONE_MORE),
        "claim": Gdp(1.0),
        "trials": 512,
    } | arguments
    with pytest.raises(BadArgument, match=message):
        audit(given.pop("mechanism"), given.pop("neighbours"), **given)


def test_the_signature_is_the_contract():
    parameters = inspect.signature(audit).parameters
    assert list(parameters) == ["mechanism", "neighbours", "claim", "trials", "confidence", "attack"]
    assert (parameters["trials"].default, parameters["confidence"].default) == (65_536, 0.95)


def test_the_confidence_is_paid_for():
    """At a risk of 5 in a million the bound is lower than at 5 %, by what the normal law says."""
    found = {}
    for confidence in (0.95, 1 - 5e-6):
        found[confidence] = audit(
            noisy_sum(1.0, 7), (DATA, ONE_MORE), claim=Gdp(1.0), trials=65_536, confidence=confidence
        ).mu
    one, other = found.values()
    deviation = math.sqrt(2) * 1.3114 / math.sqrt(45_875)  # of each rate's quantile, near the middle
    far = stats.norm.isf(5e-6) - stats.norm.isf(0.05)
    assert one - other == pytest.approx(far * deviation, rel=0.35)
