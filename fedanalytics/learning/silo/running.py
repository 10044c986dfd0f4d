"""A whole run in one silo: paid before its first step, committed after its last, seen by nobody in between.

The rule of the ledger. The plan (steps, rate, noise) is reserved, and on the disk, before the first batch is drawn. No
parameter leaves `train_in_silo` before the one commit, which stores them; progress says how many steps were made, and
no more. So a run that was stopped was seen by nobody, whatever it had drawn, and the same key may go on from its
checkpoint, or begin anew with fresh coins and fresh noise, under the same reservation: of all that was drawn, one path
is ever released, and that one is paid. (Of two processes that race, one commit wins, and both return what it stored.)
Under central trust that is sound; what is on the disk in between, the checkpoint, is as secret as the data beside which
it lies: it is deleted after the commit, and whoever gives a stopped run up deletes it. A crash leaves the reservation
spent.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.learning.losses import Loss, cross_entropy
from fedanalytics.learning.model import Model, ModelFunction
from fedanalytics.learning.optimizers import Optimizer, Sgd
from fedanalytics.learning.private.checkpoints import NAME, Checkpoint, Row
from fedanalytics.learning.silo import results
from fedanalytics.learning.silo.cards import card, limits_of
from fedanalytics.learning.silo.engines import EngineName, choose
from fedanalytics.learning.silo.gradients import Gradients
from fedanalytics.learning.silo.planning import SiloPlan
from fedanalytics.learning.silo.releases import Release
from fedanalytics.learning.silo.rows import Rows
from fedanalytics.learning.silo.runs import UNIT, Run
from fedanalytics.ledger import Answer, Budget, Plan
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.canonical import digest


def train_in_silo(
    model_fn: ModelFunction,
    data: tuple[Any, Any],
    budget: Budget,
    plan: SiloPlan,
    *,
    optimizer: Optimizer | None = None,
    clip: float = 1.0,
    loss_fn: Loss = cross_entropy,
    key: str = "training",
    dataset: str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = 100,
    engine: EngineName = "auto",
    progress: Callable[[int], None] | None = None,
    keystream: Keystream | None = None,
) -> results.SiloResult:
    """Trains a model on the rows of one silo with differential privacy for each row (DP-SGD, Abadi et al. 2016).

    Formal guarantee: the released parameters, and everything in the result, are (plan.epsilon, plan.delta)-DP.

    * Unit: one example, that is **a row**. Where a patient has several, this is no promise to the patient
      (`plan.epsilon_of(rows)` says what it comes to); for one, train with a client per patient
      (`fedanalytics.learning.private`).
    * Relation: the budget's, add-or-remove-one or zero-out, on rows.
    * Sensitivity: of a step's sum, in whole grid steps, that of gradients clipped to L2 norm `clip` and of rounding
      (`releases` has the proof, and what it takes of torch's kernels where the engine is not `dense`).
    * Event: `plan.event()`: steps of a Gaussian with `plan.noise_multiplier`, each on a secret batch that every row
      joins with probability `plan.sampling_rate`. It stands in the ledger, for any accountant to recompute.
    * Source: such a step has the dominating pair of a Poisson-sampled Gaussian, and steps compose (Zhu, Dong, Wang
      2022, arXiv 2106.08567, Theorems 11 and 10); what is done with a noisy sum is post-processing.

    A module must treat examples alike, whatever their values: one that branches on them is stopped, without a result.

    Args:
        model_fn: builds a torch module, the same architecture every time.
        data: features of shape (n, ...) and labels, with one row per example. The gradient of a row with a NaN
            or an infinity is zero.
        budget: pays; opened with unit="example", and filter="pld" or "renyi" unless every step reads every row.
        plan: see `plan_in_silo`.
        optimizer: of `fedanalytics.learning`; `Sgd(0.5)` if not given.
        clip: the L2 bound of an example's gradient.
        loss_fn: see `LocalTraining`.
        key: names the run in the budget. The same key again: what was stored, and nothing is spent.
        dataset: names the data to the budget, if it does not know it.
        checkpoint: a folder, as secret as the data; None for none.
        every: how many steps lie between two checkpoints.
        engine: see `engines`.
        progress: called with the number of steps made.
        keystream: for tests, `Keystream.insecure(seed)`.

    Raises:
        BadArgument: what cannot be meant, data that does not fit the model, a module whose examples see each other, a
            budget that counts another unit or relation; nothing is spent.
        BudgetExceeded: the budget cannot pay for the plan; nothing is spent.
        KeyReused: the key paid for another question.
        FedAnalyticsError: the module raised while it trained; what was reserved stays spent.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from fedanalytics.ledger import Ledger
        >>> x = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))
        >>> plan = SiloPlan(4.0, 1e-5, steps=30, examples=2000, batch=100, noise_multiplier=1.5)
        >>> budget = Ledger(":memory:").budget("ward", epsilon=4, delta=1e-5, filter="pld", unit="example")
        >>> _ = torch.manual_seed(0)
        >>> result = train_in_silo(lambda: nn.Linear(4, 2), (x, x[:, 0] > 0), budget, plan)
        >>> float((result.model(x).argmax(1) == (x[:, 0] > 0)).float().mean()) > 0.85
        True
    """
    model = Model.of(model_fn)
    rows = Rows.of(data, model.dtype)
    release = Release.of(
        clip=clip,
        size=model.size,
        noise_multiplier=plan.noise_multiplier,
        sampling_rate=plan.sampling_rate,
        batch=plan.batch,
    )
    run = Run(model, rows, plan, release, optimizer or Sgd(0.5), loss_fn, keystream)
    rows.check(model, loss_fn)
    _check(budget, plan, len(rows))
    gradients = choose(model, loss_fn, rows.shapes, engine)
    keeper = _Keeper(run, _validate.text(key=key), checkpoint, _validate.whole(every=every), progress)
    start, limits = keeper.loaded(), limits_of(plan)
    budget.bind(unit=UNIT, dataset=dataset)
    event = plan.event(budget.relation)
    [reservation] = budget.reserve([Plan(key, run.describe(), event, budget.filter.price(event), run.trust)])
    stored = reservation.answers.get(0)
    if stored is None:
        body = keeper.trained(start, gradients)
        name = digest({"run": run.fingerprint, "event": event})
        [kept] = budget.commit([Answer(reservation, 0, name, body, plan.sampling_rate)])
    else:
        kept = stored.body
    keeper.forget()
    parameters, history = results.vector(kept), results.rows(kept)
    found = card(run, gradients, budget, reservation, limits=limits, sha256=kept["sha256"])
    return results.SiloResult(results.module(model, parameters), parameters, history, found, reservation)


@dataclass(frozen=True)
class _Keeper:
    """Makes the steps, and keeps a checkpoint of where they stand."""

    run: Run
    key: str
    folder: str | os.PathLike[str] | None
    every: int
    progress: Callable[[int], None] | None

    def loaded(self) -> Checkpoint:
        """Where an earlier call stopped, or the start."""
        found = None if self.folder is None else Checkpoint.load(self.folder, self.run.fingerprint, self.key)
        return found or Checkpoint(self.run.fingerprint, self.key, self.run.start, ())

    def trained(self, checkpoint: Checkpoint, engine: Gradients) -> dict[str, Any]:
        """All steps that are left; the result as the ledger keeps it."""
        plan, now, history = self.run.plan, checkpoint.progress, checkpoint.history
        while (made := now.state.round) < plan.steps:
            now, made = self.run.after(now, engine), made + 1
            if made % plan.epoch == 0 or made == plan.steps:
                history = (*history, Row(made, plan.epsilon_after(made), now.clip, None, now.step or 0.0))
            if self.folder is not None and made % self.every == 0 and made < plan.steps:
                Checkpoint(self.run.fingerprint, self.key, now, history).save(self.folder)
            if self.progress is not None:
                self.progress(made)
        return results.written(now.state.parameters, history)

    def forget(self) -> None:
        """Deletes the checkpoint: what it led to is in the ledger."""
        if self.folder is not None:
            (Path(self.folder) / NAME).unlink(missing_ok=True)


def _check(budget: Budget, plan: SiloPlan, rows: int) -> None:
    if budget.unit not in {None, UNIT}:
        raise BadArgument(
            f"budget {budget.name!r} counts the loss of each {budget.unit!r}, and what is clipped here is an example, "
            f"a row of the data: one {budget.unit!r} may have several. Open a budget with unit={UNIT!r} (the same, if "
            f"each {budget.unit!r} has one row), or train with a client per {budget.unit!r} in fa.Session"
        )
    if budget.relation is Relation.REPLACE_ONE:
        raise BadArgument(
            f"budget {budget.name!r} counts under {budget.relation}, for which sampled batches have no price: open one "
            f"with relation={Relation.ADD_OR_REMOVE_ONE.value!r}"
        )
    if plan.sampling_rate < 1 and budget.filter.name not in {"pld", "renyi"}:
        raise BadArgument(
            f"budget {budget.name!r} has the filter {budget.filter.name!r}, which gives nothing for sampled batches: "
            'open one with filter="pld" (the whole plan at its tight figure) or filter="renyi"'
        )
    if plan.batch > rows:
        raise BadArgument(
            f"plan= expects batches of {plan.batch} examples, and data= has {rows} rows: make the plan for the data "
            "that there is, plan_in_silo(examples=...)"
        )
