"""Central noise that belongs together over the rounds of a run: it cancels in their running sums (DP-FTRL)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.correlated import Plan, Stream
from fedanalytics.privacy.costs import Cost
from fedanalytics.privacy.events import Event
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.blocks import Block, Correlated, Noisy, Round
from fedanalytics.round.estimates import Noise
from fedanalytics.trust.noise_states import NoiseStates
from fedanalytics.trust.priced import Cohort, Fleet

_SLACK = 1 - 2.0**-40  # of multipliers: the roundings of shares


@dataclass(frozen=True)
class CorrelatedSum:
    """A block of one round of a run; its answer is the noisy sum in units of the bound.

    Formal guarantee, of the whole run: what leaves is a function of C x + z, one Gaussian mechanism on the stream x of
    the rounds' integer sums (`fedanalytics.privacy.correlated`), for clients that take part by the plan's schedule. The
    cohorts are public groups, to which a client belongs by its name alone: round t asks group t mod `separation`, so
    that a client takes part in every `separation`-th round, at most `participations` times. The run costs what a
    Gaussian mechanism of the multiplier of `Plan.gaussian` does, and is paid as that.

    Attributes:
        steps: grid steps in the encoder's bound.
        event: the round's share of the run, nominal: rounds do not add up one by one.
    """

    block: Block
    steps: int
    event: Event
    plan: Plan
    index: int

    @cached_property
    def stream(self) -> Stream:
        """The noise of the run on this grid."""
        encoder = self.block.encoder
        return self.plan.stream(encoder.sensitivity(self.steps, self.plan.relation), encoder.size)

    def cohort(self, fleet: Fleet) -> Cohort:
        """The clients of the round's group."""
        schedule = self.plan.strategy.schedule
        mask = fleet.assigned(schedule.separation) == self.index % schedule.separation
        return lambda clients: mask[:clients]

    def answered(self, total: Any, states: NoiseStates, keystream: Keystream | None) -> list[float]:
        """The sum with its noise. The state after it is on disk before this returns."""
        state, noise = self.stream.advance(states.before(self.stream, self.index), keystream)
        states.keep(self.stream, state)
        values: list[float] = ((total + noise) / self.steps).tolist()
        return values

    def noisy(self, answer: Any) -> Noisy:
        """The noisy sum. The noise stated is that of fresh draws; running sums have less."""
        return Noisy(np.array(answer, dtype=float), self.noise)

    def assumed(self, clients: float) -> Noisy:
        """An unremarkable sum."""
        return Noisy(self.block.encoder.assumed(clients), self.noise)

    @property
    def noise(self) -> Noise:
        """Of one round's fresh draw, in units of the encoder's bound."""
        bound = self.block.encoder.sensitivity(self.steps, self.plan.relation).l2
        return Noise(self.plan.noise_multiplier * bound / self.steps, "gaussian", 1 / self.steps)


def correlated_sums(round_: Round, correlated: Correlated, cost: Cost) -> tuple[CorrelatedSum, ...]:
    """The blocks of a round of a run.

    Raises:
        BadArgument: the run costs more than is paid for, counts other neighbours than the budget, samples its clients,
            or asks several blocks.
    """
    plan: Plan = correlated.plan
    if round_.sampling_rate < 1 or cost.sampling_rate < 1 or len(round_.blocks) > 1 or cost.pure:
        raise BadArgument("a round with correlated noise has one block, is not sampled, and is paid in Gaussian noise")
    relation = Relation(cost.mechanism.relation)
    if relation is not plan.relation:
        raise BadArgument(
            f"the noise is planned under {plan.relation.value}, the budget counts {relation.value}: make them the same"
        )
    paid = cost.mechanism.noise_multiplier / math.sqrt(plan.strategy.schedule.rounds)
    worth = plan.gaussian.noise_multiplier
    if worth < paid * _SLACK:
        raise BadArgument(
            f"the run was paid for with a noise multiplier of {paid:.6g} in all, and its correlated noise is worth "
            f"{worth:.6g}: pay for the plan that is run"
        )
    [block] = round_.blocks
    return (CorrelatedSum(block, block.encoder.finest, cost.event, plan, correlated.index),)


def collected(
    fleet: Fleet, parts: Sequence[CorrelatedSum], states: NoiseStates, keystream: Keystream | None
) -> list[list[float]]:
    """The answers of rounds of runs, each over its own cohort."""
    totals = fleet.sums(
        [part.block for part in parts], [part.steps for part in parts], [part.cohort(fleet) for part in parts]
    )
    return [part.answered(total, states, keystream) for part, total in zip(parts, totals, strict=True)]
