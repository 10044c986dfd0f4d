"""Bounds hold: over 400 audits of mechanisms that meet their claims exactly, false alarms stay within the nominal rate.

Each test itself raises a false alarm with a chance of 1e-6 (an exact binomial test); its seeds are fixed all the same.
"""

import numpy as np
import pytest
from scipy import stats

from fedanalytics.auditing import audit
from fedanalytics.privacy import DiscreteLaplace, Gaussian, RandomizedResponse, Skellam, samplers
from fedanalytics.privacy.keystream import Keystream

AUDITS = 400


def gaussian(data, n, stream, sigma=1.0):
    return 64 * data + samplers.rounded_gaussian(sigma * 64.0, n, keystream=stream)


def vector(data, n, stream):
    return data * np.array([48, 0, -64]) + samplers.rounded_gaussian(80.0, 3 * n, keystream=stream).reshape(n, 3)


def laplace(data, n, stream):
    return data + samplers.discrete_laplace(1.5, n, keystream=stream)


def skellam(data, n, stream):
    return 2 * data + samplers.skellam(6.0, n, keystream=stream)


def sampled(data, n, stream):
    coins = stream.words(n) < np.uint64(2**64 // 5)
    return 64 * data * coins + samplers.rounded_gaussian(32.0, n, keystream=stream)


def response(data, n, stream):
    noisy, answers = stream.words(n) < np.uint64(2**63), stream.words(n) % np.uint64(4)
    return np.where(noisy, answers, data).astype(int)


MECHANISMS = [
    (gaussian, Gaussian(1.0)),
    (vector, Gaussian(1.0)),
    (laplace, DiscreteLaplace(1.5)),
    (skellam, Skellam(6.0, 2.0, 2.0, scalar=True)),
    (sampled, Gaussian(0.5).poisson_sampled(0.2)),
    (response, RandomizedResponse(0.5, 4)),
]


def alarms(mechanism, claim, confidence, trials=256):
    stream = Keystream.insecure(11)
    return sum(
        audit(
            lambda data, n: mechanism(data, n, stream), (0, 1), claim=claim, trials=trials, confidence=confidence
        ).verdict
        == "violated"
        for _ in range(AUDITS)
    )


@pytest.mark.parametrize(
    ("mechanism", "claim", "confidence"),
    [(*pair, 0.95) for pair in MECHANISMS] + [(*MECHANISMS[i], 0.7) for i in (0, 2)],
    ids=[m.__name__ for m, _ in MECHANISMS] + ["gaussian at 0.7", "laplace at 0.7"],
)
def test_false_alarms_stay_within_the_nominal_rate(mechanism, claim, confidence):
    seen = alarms(mechanism, claim, confidence)
    assert stats.binom.sf(seen - 1, AUDITS, 1 - confidence) > 1e-6, f"{seen} of {AUDITS}"


def test_the_test_can_fail_and_the_bound_is_not_idle():
    """Noise a fifth too small is above the nominal rate at once; sound noise does raise alarms at a risk of 30 %."""
    seen = alarms(lambda data, n, stream: gaussian(data, n, stream, 0.8), Gaussian(1.0), 0.7)
    assert stats.binom.sf(seen - 1, AUDITS, 0.3) < 1e-6
    assert alarms(gaussian, Gaussian(1.0), 0.7) > 0.1 * AUDITS
