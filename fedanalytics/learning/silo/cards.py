"""What is known of a run in a silo, for its model card: whom it protects, from what, and what it does not promise."""

from __future__ import annotations

from typing import Any, TypeAlias

from fedanalytics.learning.private.cards import Card, audited
from fedanalytics.learning.private.training import described
from fedanalytics.learning.silo.gradients import Gradients
from fedanalytics.learning.silo.planning import SiloPlan
from fedanalytics.learning.silo.runs import UNIT, Run
from fedanalytics.ledger import Budget, Reservation

Section: TypeAlias = tuple[tuple[str, Any], ...]

_ROWS = (2, 5)
_PROVEN = "by proof: every sum over examples or layers is exact"
_TESTED = "by tests of torch's kernels, not by proof; what it can add to the sum at most is proven"


def limits_of(plan: SiloPlan) -> Section:
    """What the plan does not promise: asked before a run is paid, since nothing may fail once it is."""
    return (
        *((f"epsilon of a person with {k} rows", plan.epsilon_of(k)) for k in _ROWS),
        (
            "hyper-parameters",
            "what was tried before on the same data costs too, and stands in the ledger if it was paid",
        ),
    )


def card(
    run: Run, engine: Gradients, budget: Budget, reservation: Reservation, *, limits: Section, sha256: str
) -> Card:
    """The card of a run whose parameters have this digest."""
    plan = run.plan
    data = (
        ("dataset", budget.dataset or "not named"),
        ("unit of privacy", UNIT),
        ("neighbouring relation", str(budget.relation)),
        ("examples", plan.examples),
    )
    privacy = (
        ("guarantee", "one example (a row) more or less; a person with several rows loses more (see Limits)"),
        ("epsilon of the run", plan.epsilon),
        ("delta", plan.delta),
        ("accounting", f"budget {budget.name!r}: {budget.filter.rule}"),
        ("event", plan.event(budget.relation).to_json()),
        ("sampling", f"Poisson, rate {plan.sampling_rate:.6g}; holds against those who do not see the batches"),
        ("trust model", run.trust),
        ("noise", "integers: a rounded Gaussian on the exact sum of gradients that were clipped to whole grid steps"),
        ("an example's gradient depends on it alone", _PROVEN if engine.proven else _TESTED),
        ("ledger entry", f"{reservation.seq}, {reservation.hash}"),
        ("budget spent", repr(budget.spent)),
    )
    training = (
        ("steps", plan.steps),
        ("expected batch", plan.batch),
        ("noise multiplier of a step", plan.noise_multiplier),
        ("clip", run.release.clip),
        ("optimizer", described(run.optimizer)),
        ("parameters", run.model.size),
        ("sha256 of the parameters", sha256),
    )
    audit = ("audit", audited(budget.audits) or "none yet")
    return Card((("Data", data), ("Privacy", privacy), ("Training", training), ("Limits", (audit, *limits))))
