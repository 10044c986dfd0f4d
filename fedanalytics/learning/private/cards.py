"""A model card: what was trained, on whom, at which price, and what was not checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedanalytics.learning.private.checkpoints import Row
from fedanalytics.learning.private.planning import Plan
from fedanalytics.learning.private.training import Training, described
from fedanalytics.learning.private.unsampled import UnsampledPlan
from fedanalytics.round.asking import Session
from fedanalytics.round.canonical import canonical

_SHOWN = 3  # audits


@dataclass(frozen=True)
class Card:
    """Public facts about a trained model, by section.

    Attributes:
        sections: a title, and its rows: name and value.
    """

    sections: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Plain JSON."""
        return {title: {name: canonical(value) for name, value in rows} for title, rows in self.sections}

    def to_markdown(self) -> str:
        r"""For a README beside the model.

        Example:
            >>> print(Card((("Data", (("dataset", "digits | by writer"),)),)).to_markdown())
            # Model card
            <BLANKLINE>
            ## Data
            <BLANKLINE>
            | | |
            |---|---|
            | dataset | digits \| by writer |
            <BLANKLINE>
        """
        lines = ["# Model card"]
        for title, rows in self.sections:
            lines += ["", f"## {title}", "", "| | |", "|---|---|"]
            lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows]
        return "\n".join([*lines, ""])

    def with_metrics(self, metrics: Mapping[str, Any]) -> Card:
        """The same with figures of the model, and what each cost."""
        return Card((*self.sections, ("Metrics", tuple(metrics.items()))))


def card(training: Training, session: Session, release: Any, history: Sequence[Row]) -> Card:
    """The card of a run."""
    plan, receipt, budget = training.plan, release.receipt, session.budget
    data = (
        ("dataset", receipt.dataset),
        ("unit of privacy", receipt.unit),
        ("neighbouring relation", receipt.relation),
        ("population", plan.population),
    )
    privacy = (
        ("epsilon of the run", release.cost.epsilon),
        ("delta", budget.delta),
        ("accounting", f"budget {budget.name!r}: {budget.filter.rule}"),
        ("event", receipt.event),
        ("sampling", receipt.sampling or _unsampled(plan)),
        ("trust model", receipt.trust),
        ("guarantee", receipt.guarantee or "against everybody but the server, which sees each update"),
        ("ledger entry", f"{receipt.entry}, {receipt.hash}"),
        ("budget spent", repr(budget.spent)),
    )
    rounds = (
        ("rounds", plan.rounds),
        ("expected cohort", plan.cohort),
        ("noise multiplier of a round", plan.noise_multiplier),
        ("clip", described(training.clip)),
        ("clip of the last round", history[-1].clip if history else None),
        ("local training", described(training.algorithm.local)),
        ("server optimizer", described(training.algorithm.server)),
        ("parameters", training.model.size),
    )
    limits = (
        ("audit", audited(budget.audits) or "none yet: fa.audit_training measures what a run gives away"),
        (
            "hyper-parameters",
            "what was tried before on the same data costs too, and stands in the ledger if it was paid",
        ),
        ("unit", "a client is no person if one person has several, or several share one"),
    )
    return Card((("Data", data), ("Privacy", privacy), ("Training", rounds), ("Limits", limits)))


def audited(audits: Sequence[tuple[int, Mapping[str, Any]]]) -> str:
    """What audits of a budget's claims found, the newest first.

    Example:
        >>> audited([(9, {"verdict": "consistent", "unit": "epsilon", "lower_bound": 0.42, "limit": 4.0})])
        'consistent (entry 9): epsilon >= 0.42 was certified, the claim admits 4'
    """
    return "; ".join(_found(seq, report) for seq, report in reversed(audits[-_SHOWN:]))


def _found(seq: int, report: Mapping[str, Any]) -> str:
    verdict = f"{report.get('verdict')} (entry {seq})"
    bound, limit = report.get("lower_bound"), report.get("limit")
    if not (isinstance(bound, float | int) and isinstance(limit, float | int)):
        return verdict
    return f"{verdict}: {report.get('unit')} >= {bound:.3g} was certified, the claim admits {limit:.3g}"


def _unsampled(plan: Plan | UnsampledPlan) -> str:
    if not isinstance(plan, UnsampledPlan) or plan.separation == 1:
        return "none: every client is asked in every round"
    turns = plan.rounds // plan.separation
    return f"none: each client is asked in {turns} of the rounds, and everybody may know in which; noise is correlated"


def _cell(value: Any) -> str:
    shown = (
        f"{value:.6g}" if isinstance(value, float) else str(canonical(value) if not isinstance(value, str) else value)
    )
    return shown.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
