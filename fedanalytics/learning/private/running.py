"""A whole run through a session: paid before its first round, resumed from where it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

from torch import nn

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.learning.algorithm import Algorithm
from fedanalytics.learning.model import Model, ModelFunction
from fedanalytics.learning.private.cards import Card, card
from fedanalytics.learning.private.checkpoints import Checkpoint, Made, Row
from fedanalytics.learning.private.clipping import Clip, FixedClip
from fedanalytics.learning.private.planning import Plan
from fedanalytics.learning.private.training import Progress, Training
from fedanalytics.learning.private.unsampled import UnsampledPlan
from fedanalytics.round.asking import Session
from fedanalytics.round.blocks import Query, Rounds


@dataclass(frozen=True, eq=False)
class Result:
    """What a run came to.

    Attributes:
        model: a module with the trained parameters, in evaluation mode.
        history: a row per round: epsilon so far, clip, the noisy fraction within it.
        card: what was done to whom, for Markdown and JSON.
        release: of the session, with its receipt.
        progress: the last state.
    """

    model: nn.Module
    history: tuple[Row, ...]
    card: Card
    release: Any
    progress: Progress = field(repr=False)


@dataclass(frozen=True, eq=False)
class Watched:
    """A run that says when a round has been made; otherwise the same query."""

    training: Training
    made: Callable[[Progress, Progress], None]

    @property
    def shares(self) -> tuple[Fraction, ...]:
        """The same."""
        return self.training.shares

    @property
    def sampling_rate(self) -> float:
        """The same."""
        return self.training.sampling_rate

    @property
    def first(self) -> int:
        """The same."""
        return self.training.first

    def beginning(self) -> Query:
        """The run itself: a rehearsal makes no round."""
        return self.training.beginning()

    def describe(self) -> dict[str, Any]:
        """The same: it is no other question."""
        return self.training.describe()

    def rounds(self) -> Rounds:
        """The same, announced."""
        asked, before = self.training.rounds(), self.training.start
        try:
            round_ = next(asked)
            while True:
                answers = yield round_
                after = self.training.after(before, answers[0])
                self.made(before, after)
                round_, before = asked.send(answers), after
        except StopIteration as stop:
            return stop.value


@dataclass
class Keeper:
    """Writes the history, and every so often a checkpoint: the one part of a run that changes."""

    training: Training
    key: str
    folder: str | os.PathLike[str] | None
    every: int
    history: list[Row]
    progress: Callable[[Made], None] | None

    def __call__(self, before: Progress, after: Progress) -> None:
        """After each round."""
        made, plan = after.state.round, self.training.plan
        row = Row(made, plan.epsilon_after(made), before.clip, after.unclipped, after.step or 0.0)
        self.history.append(row)
        if self.folder is not None and (made % self.every == 0 or made == plan.rounds):
            Checkpoint(self.training.fingerprint, self.key, after, tuple(self.history)).save(self.folder)
        if self.progress is not None:
            parameters = after.state.parameters.view()
            parameters.flags.writeable = False
            self.progress(Made(**asdict(row), parameters=parameters))


def train(
    model_fn: ModelFunction,
    session: Session,
    plan: Plan | UnsampledPlan,
    *,
    algorithm: Algorithm | None = None,
    clip: Clip | float = 1.0,
    key: str = "training",
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = 10,
    progress: Callable[[Made], None] | None = None,
) -> Result:
    """Trains a model on data that stays with its owners, at the plan's epsilon.

    The whole plan is reserved in the session's budget before the first round; each round's noisy sum is committed
    before it is used. Under the same key a run that was stopped, at whatever moment, goes on where it was: from the
    checkpoint if there is one, else from the answers that the ledger holds. No round is paid twice, none goes unpaid,
    and no noise is used again.

    Args:
        model_fn: builds a torch module, the same architecture every time.
        session: its fleet holds the clients' data sets (`Fleet.from_datasets`), its budget pays: filter="pld" for
            sampled cohorts, relation "zero-out" with "renyi" or "pld" for secure aggregation.
        plan: see `plan`, and `unsampled_plan` for clients that cannot be sampled.
        algorithm: with uniform weights; FedAvg with `LocalTraining()` if not given.
        clip: the L2 bound of an update, or an `AdaptiveClip`.
        key: names the run in the budget.
        checkpoint: a folder; None for none.
        every: how many rounds lie between two checkpoints.
        progress: called with the row of each round and the parameters after it, as
            ``lambda row: show(model.module(row.parameters))``; they are as private as the model in the end.

    Raises:
        BadArgument: what cannot be meant, data that does not fit the model, a checkpoint of another run; nothing is
            spent.
        BudgetExceeded: the budget cannot pay for the plan; nothing is spent.

    Example:
        >>> import numpy as np, torch, fedanalytics as fa
        >>> from fedanalytics.learning import private
        >>> _ = torch.manual_seed(0)
        >>> fleet = fa.Fleet.from_datasets([(np.eye(2), [0, 1])] * 200, population=200)
        >>> found = private.plan(target_epsilon=8, delta=1e-5, rounds=5, population=200, cohort=100)
        >>> budget = fa.Ledger(":memory:").budget("train", epsilon=8, delta=1e-5, filter="pld")
        >>> result = private.train(lambda: nn.Linear(2, 2), fa.Session(fleet, budget), found)
        >>> len(result.history), round(result.history[-1].epsilon, 2), result.release.cost.event.kind
        (5, 8.0, 'repeated')
    """
    model = Model.of(model_fn)
    chosen = algorithm or Algorithm()
    bound = FixedClip(clip) if isinstance(clip, int | float) else clip
    training = Training.of(model, chosen, plan, bound)
    _check(session, plan)
    found = None if checkpoint is None else Checkpoint.load(checkpoint, training.fingerprint, _validate.text(key=key))
    history = [] if found is None else list(found.history)
    keeper = Keeper(training, key, checkpoint, _validate.whole(every=every), history, progress)
    run = training if found is None else training.resumed(found.progress)
    release = session.run(Watched(run, keeper), key=key, noise_multiplier=plan.offer)
    last: Progress = release.result
    module = model.module(last.state.parameters)
    return Result(module, tuple(history), card(training, session, release, tuple(history)), release, last)


def _check(session: Session, plan: Plan | UnsampledPlan) -> None:
    declared = session.fleet.population
    if declared is not None and declared != plan.population:
        raise BadArgument(
            f"plan= is for a population of {plan.population}, and the fleet declares {declared}: updates would be "
            "divided by the wrong cohort; make the plan for the fleet's population"
        )
    rule = session.budget.filter.name
    if plan.sampling_rate < 1 and rule not in {"pld", "renyi"}:
        raise BadArgument(
            f"budget {session.budget.name!r} has the filter {rule!r}, which gives nothing for sampled cohorts: open "
            'one with filter="pld" (the whole plan at its tight figure) or filter="renyi"'
        )
