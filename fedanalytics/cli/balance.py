"""What a budget holds at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fedanalytics.ledger import Amount, Budget
from fedanalytics.privacy import units


@dataclass(frozen=True)
class Balance:
    """A budget as a value.

    Attributes:
        cap: in units of 1e-12 of what the filter counts.
        filter: its name; `counts` is "rho" or "epsilon".
        epsilon, delta: as it was opened; None where it was not.
    """

    name: str
    cap: int
    filter: str
    counts: str
    epsilon: float | None
    delta: float | None
    relation: str
    unit: str | None
    dataset: str | None
    spent: Amount
    remaining: Amount

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "name": self.name,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "rho": units.rho(self.cap) if self.counts == "rho" else None,
            "filter": self.filter,
            "relation": self.relation,
            "unit": self.unit,
            "dataset": self.dataset,
            "spent": amount_json(self.spent),
            "remaining": amount_json(self.remaining),
        }


def balance(budget: Budget) -> Balance:
    """The balance of a budget now."""
    return Balance(
        name=budget.name,
        cap=budget.cap,
        filter=budget.filter.name,
        counts=budget.filter.counts,
        epsilon=budget.epsilon,
        delta=budget.delta,
        relation=budget.relation.value,
        unit=budget.unit,
        dataset=budget.dataset,
        spent=budget.spent,
        remaining=budget.remaining,
    )


def amount_json(amount: Amount) -> dict[str, Any]:
    """Plain JSON."""
    return {"rho": amount.rho, "epsilon": amount.epsilon, "units": amount.units}
