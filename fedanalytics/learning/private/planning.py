"""How much noise a run needs for a target epsilon, before anything is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.calibration import calibrate
from fedanalytics.privacy.events import Event, Gaussian, round_up

ROOM = 1 - 2.0**-30  # of the target: a ledger counts whole units, and rounds them up


@dataclass(frozen=True)
class Plan:
    """A run of training rounds whose noise was fixed beforehand.

    Each round releases one sum of clipped updates with Gaussian noise of `noise_multiplier` times its L2 sensitivity.
    With `cohort` below `population`, every client joins a round by a secret coin of its own, drawn by our own Poisson
    sampler: the epsilon holds against those who do not see who took part (`epsilon_if_seen` against those who do).

    Attributes:
        target_epsilon, delta: what was asked.
        rounds: how many, fixed in advance.
        population: the declared number of clients.
        cohort: the expected number of clients in a round; updates are divided by it, never by a realised count.
        noise_multiplier: of each round.

    Raises:
        BadArgument: an attribute that cannot be meant.
    """

    target_epsilon: float
    delta: float
    rounds: int
    population: int
    cohort: int
    noise_multiplier: float

    def __post_init__(self) -> None:
        for name in ("target_epsilon", "noise_multiplier"):
            _validate.positive(**{name: getattr(self, name)})
        _validate.probability(delta=self.delta)
        for name in ("rounds", "population", "cohort"):
            _validate.whole(**{name: getattr(self, name)})
        if self.cohort > self.population:
            raise BadArgument(
                f"cohort={self.cohort} is larger than population={self.population}: in a round each client takes part "
                "once at most"
            )

    @property
    def sampling_rate(self) -> float:
        """The probability with which a client joins a round."""
        return self.cohort / self.population

    @cached_property
    def epsilon(self) -> float:
        """What the whole run costs, at delta: the tight figure of a plan fixed in advance."""
        return self.epsilon_after(self.rounds)

    def epsilon_after(self, rounds: int) -> float:
        """The same of the first rounds; none cost nothing."""
        return self._accountant(self._round, rounds).epsilon(self.delta) if rounds else 0.0

    @cached_property
    def epsilon_if_seen(self) -> float:
        """What the run costs a client that was drawn in every round, against those who see the cohorts."""
        return self._accountant(Gaussian(self.noise_multiplier), self.rounds).epsilon(self.delta)

    @property
    def offer(self) -> float:
        """The noise multiplier of the whole run, as a session is asked for it: its rounds have equal shares."""
        return round_up(self.noise_multiplier / math.sqrt(self.rounds))

    @property
    def _round(self) -> Event:
        return Gaussian(self.noise_multiplier).poisson_sampled(self.sampling_rate)

    def _accountant(self, event: Event, rounds: int) -> Accountant:
        return Accountant().compose(event, count=_validate.whole(rounds=rounds))


def plan(*, target_epsilon: float, delta: float, rounds: int, population: int, cohort: int | None = None) -> Plan:
    """The run with the least noise that keeps a target epsilon.

    Args:
        target_epsilon: of the whole run.
        delta: likewise; well below 1 / population.
        rounds: how many.
        population: the declared number of clients.
        cohort: the expected number of clients in a round; all of them if not given.

    Raises:
        BadArgument: an argument that cannot be meant, a delta that protects nobody, an epsilon that no noise reaches.

    Example:
        >>> found = plan(target_epsilon=4, delta=1e-6, rounds=200, population=3_400, cohort=300)
        >>> round(found.noise_multiplier, 3), 3.99 < found.epsilon <= 4
        (1.745, True)
    """
    everybody = _validate.whole(population=population)
    expected = everybody if cohort is None else cohort
    asked = Plan(target_epsilon, delta, rounds, everybody, expected, noise_multiplier=1.0)
    if delta >= 1 / everybody:
        raise BadArgument(
            f"delta={delta!r} is no less than one in the population of {everybody}: it would allow to give away a "
            "client whole; take 1e-6, or at most a tenth of that"
        )
    noise = calibrate(epsilon=target_epsilon * ROOM, delta=delta, sampling_rate=asked.sampling_rate, rounds=rounds)
    return Plan(target_epsilon, delta, asked.rounds, everybody, expected, noise)
