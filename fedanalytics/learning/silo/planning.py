"""How much noise a run in one silo needs for a target epsilon, before anything is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.calibration import calibrate
from fedanalytics.privacy.events import Event, Gaussian
from fedanalytics.privacy.relations import Relation

_GRID = 1e-3  # of the losses of groups,
_POINTS = 1e5  # and how many points it may have, about: coarser is a looser bound, and more take minutes
_ROOM = 1 + 1e-7  # of noise: room for the roundings of a budget that just pays for the plan


@dataclass(frozen=True)
class SiloPlan:
    """A run of private gradient steps on the rows of one silo, whose noise was fixed beforehand.

    Each step releases one sum of clipped gradients, an example's each, with Gaussian noise of `noise_multiplier` times
    its L2 sensitivity. An example joins a step by a secret coin of its own (`sampling_rate`), drawn by our own Poisson
    sampler.

    Attributes:
        target_epsilon, delta: what was asked, for one example.
        steps: how many, fixed in advance.
        examples: the declared, public number of rows. It need not be exact: it sets the sampling rate, and no guarantee
            rests on it.
        batch: the expected number of examples in a step; sums are divided by it, never by a realised count.
        noise_multiplier: of each step.

    Raises:
        BadArgument: an attribute that cannot be meant.
    """

    target_epsilon: float
    delta: float
    steps: int
    examples: int
    batch: int
    noise_multiplier: float

    def __post_init__(self) -> None:
        for name in ("target_epsilon", "noise_multiplier"):
            object.__setattr__(self, name, float(_validate.positive(**{name: getattr(self, name)})))
        _validate.probability(delta=self.delta)
        for name in ("steps", "examples", "batch"):
            _validate.whole(**{name: getattr(self, name)})
        if self.batch > self.examples:
            raise BadArgument(
                f"batch={self.batch} is larger than examples={self.examples}: in a step each takes part once at most"
            )

    @property
    def sampling_rate(self) -> float:
        """The probability with which an example joins a step."""
        return self.batch / self.examples

    @property
    def epoch(self) -> int:
        """How many steps read as many examples as there are."""
        return math.ceil(self.examples / self.batch)

    @cached_property
    def epsilon(self) -> float:
        """What the whole run costs an example, at delta: the tight figure of a plan fixed in advance."""
        return self.epsilon_after(self.steps)

    def epsilon_after(self, steps: int) -> float:
        """The same of the first steps; none cost nothing."""
        return Accountant().compose(self.step(), count=steps).epsilon(self.delta) if steps else 0.0

    def epsilon_of(self, rows: int) -> float:
        """What the whole run costs a person with that many rows, at delta: often more than `rows` times as much.

        In a step j of them are drawn, with the binomial law, and move the sum by at most j clips. That is no easier to
        see than the difference of N(0, sigma^2) and the mixture of all N(j, sigma^2), whose losses dp_accounting
        composes and rounds up (Ganesh 2024, arXiv 2401.10294).

        Raises:
            BadArgument: `rows` is not a whole number of at least 1.

        Example:
            >>> plan = SiloPlan(2.0, 1e-6, steps=450, examples=9000, batch=400, noise_multiplier=2.299)
            >>> round(plan.epsilon, 2), round(plan.epsilon_of(2), 2)
            (2.0, 4.32)
        """
        _validate.whole(rows=rows)
        if self.batch < self.examples:
            return _of_group(self, rows)
        together = Gaussian(self.noise_multiplier / rows)  # all are in every step
        return Accountant().compose(together, count=self.steps).epsilon(self.delta)

    def step(self, relation: Relation = Relation.ADD_OR_REMOVE_ONE) -> Event:
        """What one step does to the data, to an accountant."""
        return Gaussian(self.noise_multiplier, relation).poisson_sampled(self.sampling_rate)

    def event(self, relation: Relation = Relation.ADD_OR_REMOVE_ONE) -> Event:
        """What the run does."""
        return self.step(relation).repeated(self.steps)


@lru_cache(maxsize=64)
def _of_group(plan: SiloPlan, rows: int) -> float:
    """Seconds to compute, and asked again by every replay."""
    from dp_accounting.pld import privacy_loss_distribution as losses  # noqa: PLC0415  # slow to import
    from scipy.stats import binom  # noqa: PLC0415  # likewise

    moves = np.arange(rows + 1.0)
    law = np.asarray(binom.pmf(moves, rows, plan.sampling_rate))
    reach = rows / plan.noise_multiplier
    grid = max(_GRID, (reach * reach + 24 * reach) / _POINTS)  # losses within twelve deviations, both ways
    step = losses.from_mixture_gaussian_mechanism(
        plan.noise_multiplier, moves.tolist(), law.tolist(), value_discretization_interval=grid
    )
    return float(step.self_compose(plan.steps).get_epsilon_for_delta(plan.delta))


def plan_in_silo(
    *,
    target_epsilon: float,
    delta: float,
    examples: int,
    batch: int,
    steps: int | None = None,
    epochs: float | None = None,
) -> SiloPlan:
    """The run with the least noise that keeps a target epsilon for each example.

    Args:
        target_epsilon: of the whole run.
        delta: likewise; well below 1 / examples.
        examples: the declared number of rows.
        batch: the expected number of examples in a step.
        steps: how many; or
        epochs: as many steps as read each example that often, in expectation.

    Raises:
        BadArgument: an argument that cannot be meant, both or none of steps and epochs, a delta that protects nobody,
            an epsilon that no noise reaches.

    Example:
        >>> found = plan_in_silo(target_epsilon=3, delta=1e-6, examples=60_000, batch=600, epochs=10)
        >>> found.steps, round(found.noise_multiplier, 3), 2.99 < found.epsilon <= 3
        (1000, 0.865, True)
    """
    if (steps is None) == (epochs is None):
        raise BadArgument("give the length of the run as steps= or as epochs=, one of them")
    asked = SiloPlan(target_epsilon, delta, 1 if steps is None else steps, examples, batch, noise_multiplier=1.0)
    if delta >= 1 / examples:
        raise BadArgument(
            f"delta={delta!r} is no less than one in the {examples} examples: it would allow to give one away whole; "
            "take 1e-6, or at most a tenth of that"
        )
    count = asked.steps if epochs is None else math.ceil(_validate.positive(epochs=epochs) * examples / batch)
    noise = calibrate(epsilon=target_epsilon, delta=delta, sampling_rate=asked.sampling_rate, rounds=count)
    found = SiloPlan(target_epsilon, delta, count, examples, batch, noise * _ROOM)
    while found.epsilon > target_epsilon:  # a ledger's grid is coarser than that of the calibration
        found = replace(found, noise_multiplier=found.noise_multiplier * (found.epsilon / target_epsilon) * _ROOM)
    return found
