"""A plan for clients that cannot be sampled at random: noise that cancels between rounds instead (DP-FTRL)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.learning.private.planning import ROOM
from fedanalytics.privacy import correlated
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.relations import Relation

FAMILIES = ("blt", "banded", "tree", "independent")


@dataclass(frozen=True)
class UnsampledPlan:
    """A run in which every client takes part at known times, `participations` times in all: no time is secret.

    The clients are in `separation` public groups by their names; round t asks group t mod `separation`. Its noise is
    correlated (Kairouz et al. 2021, arXiv 2103.00039; Choquette-Choo et al. 2023, arXiv 2306.08153): the model, which
    is a running sum of updates, has less of it than with independent noise at the same epsilon. The epsilon holds
    against everybody who sees all answers and knows all cohorts, and is that of the whole run from its first answer.

    Attributes:
        target_epsilon, delta: what was asked.
        rounds, population: as in `Plan`.
        noise: the plan of the correlated noise.
    """

    target_epsilon: float
    delta: float
    rounds: int
    population: int
    noise: correlated.Plan
    sampling_rate = 1.0

    @property
    def cohort(self) -> float:
        """The expected number of clients in a round."""
        return self.population / self.separation

    @property
    def separation(self) -> int:
        """Rounds from one participation of a client to the next."""
        return self.noise.strategy.schedule.separation

    @property
    def noise_multiplier(self) -> float:
        """Of the fresh noise of a round."""
        return self.noise.noise_multiplier

    @cached_property
    def epsilon(self) -> float:
        """Of the whole run."""
        return Accountant().compose(self.noise.event).epsilon(self.delta)

    def epsilon_after(self, rounds: int) -> float:
        """The same from the first round on: noise that is correlated is paid as a whole."""
        return self.epsilon if rounds else 0.0

    @property
    def epsilon_if_seen(self) -> float:
        """The same: cohorts are known to everybody."""
        return self.epsilon

    @property
    def offer(self) -> float:
        """The noise multiplier of the Gaussian mechanism that the whole run is."""
        return self.noise.gaussian.noise_multiplier

    def describe(self) -> dict[str, Any]:
        """The canonical form."""
        return {
            "is": "UnsampledPlan",
            "rounds": self.rounds,
            "population": self.population,
            "delta": self.delta,
            "noise": self.noise.to_json(),
        }


def unsampled_plan(
    *,
    target_epsilon: float,
    delta: float,
    rounds: int,
    population: int,
    participations: int = 1,
    family: str = "blt",
    momentum: float = 0.0,
    relation: str = "add-or-remove-one",
) -> UnsampledPlan:
    """The run with the least noise in the model that keeps a target epsilon without any sampling.

    Args:
        target_epsilon: of the whole run.
        delta: likewise; well below 1 / population.
        rounds: how many.
        population: the declared number of clients.
        participations: in how many rounds each client takes part; it divides the rounds, and is best small.
        family: "blt", "banded", "tree", or "independent" for DP-FedAvg without amplification.
        momentum: of the server's optimizer, for which the noise is made accurate.
        relation: the budget's.

    Raises:
        BadArgument: an argument that cannot be meant.

    Example:
        >>> found = unsampled_plan(target_epsilon=4, delta=1e-6, rounds=60, population=3_400, participations=5)
        >>> found.separation, round(found.cohort), 3.99 < found.epsilon <= 4
        (12, 283, True)
    """
    _validate.one_of(FAMILIES, family=family)
    for name, value in {"rounds": rounds, "population": population, "participations": participations}.items():
        _validate.whole(**{name: value})
    if rounds % participations:
        raise BadArgument(
            f"participations={participations} must divide rounds={rounds}, so that each client has its turns at even "
            f"distances; for example rounds={rounds - rounds % participations}"
        )
    if _validate.probability(delta=delta) >= 1 / population:
        raise BadArgument(f"delta={delta!r} is no less than one in the population of {population}; take 1e-6")
    noise = correlated.plan(
        family,
        rounds=rounds,
        participations=participations,
        separation=rounds // participations,
        epsilon=_validate.positive(target_epsilon=target_epsilon) * ROOM,
        delta=delta,
        relation=Relation(relation),
        workload=correlated.Workload(momentum=momentum) if momentum else correlated.PREFIX_SUMS,
        bands=min(32, rounds // participations),
    )
    return UnsampledPlan(target_epsilon, delta, rounds, population, noise)
