"""What each way of adding noise would cost, side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fedanalytics.privacy.calibration import calibrate
from fedanalytics.privacy.correlated.planning import FAMILIES, plan
from fedanalytics.privacy.correlated.schedule import Schedule
from fedanalytics.privacy.correlated.workload import PREFIX_SUMS, Workload


@dataclass(frozen=True)
class Compared:
    """One row of a comparison.

    Attributes:
        name: the family, or "poisson".
        noise_multiplier: over the norm of one contribution.
        rms, last: the error of the prefix sums over all rounds, and in the last one, in norms of one contribution.
        memory: vectors kept between rounds.
    """

    name: str
    noise_multiplier: float
    rms: float
    last: float
    memory: int


def compare(
    schedule: Schedule,
    *,
    epsilon: float,
    delta: float,
    workload: Workload = PREFIX_SUMS,
    bands: int = 32,
    buffers: int = 4,
) -> tuple[Compared, ...]:
    """All families at one cost, and independent noise on cohorts drawn by Poisson sampling.

    The sampled run has the same rounds and cohorts of the same expected size: a client joins each round with
    probability participations / rounds. Its guarantee is another one: it holds only where the sampling is ours and
    secret, and a client may by chance take part more often.

    Raises:
        BadArgument: see `plan`.

    Example:
        >>> for row in compare(Schedule(200), epsilon=4.0, delta=1e-6):
        ...     print(f"{row.name:12} {row.rms:7.2f} {row.memory:3}")
        blt             3.03   4
        banded          3.43  31
        tree            5.05   8
        independent    11.96   0
        poisson         5.91   0
    """
    rows = []
    for family in FAMILIES:
        made = plan(
            family,
            rounds=schedule.rounds,
            participations=schedule.participations,
            separation=schedule.separation,
            epsilon=epsilon,
            delta=delta,
            workload=workload,
            bands=min(bands, schedule.separation),
            buffers=buffers,
        )
        last = float(made.errors[-1])
        rows.append(Compared(family, made.noise_multiplier, made.error(), last, made.strategy.memory))
    rate = schedule.participations / schedule.rounds
    noise = calibrate(epsilon=epsilon, delta=delta, sampling_rate=rate, rounds=schedule.rounds)
    errors = noise * np.sqrt(np.cumsum(workload.coefficients(schedule.rounds) ** 2))
    rows.append(Compared("poisson", noise, math.sqrt(float((errors**2).mean())), float(errors[-1]), 0))
    return tuple(rows)
