"""Calibration: how long it takes, against the reference library's where that ends in reasonable time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dp_accounting
from cases import case
from dp_accounting import mechanism_calibration
from dp_accounting.pld import PLDAccountant
from interleave import Row, seconds

from fedanalytics.privacy import Accountant, Gaussian, calibrate

SETTINGS = [  # epsilon, rate, rounds, goal in seconds
    (1.0, 0.01, 1000, 1.0),
    (8.0, 0.01, 10_000, 3.0),
    (2.0, 1.0, 365, 0.020),
]
DELTA = 1e-6
TOLERANCE = 1e-4  # of the noise, for the peer


def theirs(epsilon: float, rate: float, rounds: int) -> float:
    """The reference library's noise multiplier, as precise as ours, from a wide bracket."""

    def event(noise: float) -> dp_accounting.DpEvent:
        one = dp_accounting.GaussianDpEvent(noise)
        one = one if rate == 1 else dp_accounting.PoissonSampledDpEvent(rate, one)
        return dp_accounting.SelfComposedDpEvent(one, rounds)

    bracket = mechanism_calibration.ExplicitBracketInterval(0.5, 60.0)
    return float(
        mechanism_calibration.calibrate_dp_mechanism(PLDAccountant, event, epsilon, DELTA, bracket, tol=TOLERANCE)
    )


@case
def calibration(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # needs no disk
    """Seconds of one cold calibration each, with what it really gives; the peer's, once each, beside it."""
    Accountant().compose(Gaussian(1.0).poisson_sampled(0.5)).epsilon(1e-3)  # the imports
    for epsilon, rate, rounds, goal in SETTINGS:
        start = time.perf_counter()
        noise = calibrate(epsilon=epsilon, delta=DELTA, sampling_rate=rate, rounds=rounds)
        took = time.perf_counter() - start
        spent = Accountant(grid=6e-5).compose(Gaussian(noise).poisson_sampled(rate), rounds).epsilon(DELTA)
        peer = seconds(lambda e=epsilon, q=rate, t=rounds: theirs(e, q, t))
        work = f"calibrate(epsilon={epsilon:g}, sampling_rate={rate:g}, rounds={rounds})"
        really = f"noise {noise:.5f} spends {spent / epsilon:.5f} of epsilon; dp_accounting: {peer:.1f} s"
        yield Row(f"`{work}`, in seconds", really, took, goal)
