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
        epsilon, delta: as it was opened, or amended since; None where it was not.
        window: the length of its windows, each of which has the cap; None if the cap holds for good.
        renews: when the next one begins.
        promise: what is guaranteed of everything that it pays for, in one sentence.
        spent: in the current window, if there are any.
        remaining: likewise, for whoever opened the ledger: less than what is left, where they have a cap of their own.
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
    window: str | None
    renews: str | None
    promise: str
    spent: Amount
    remaining: Amount

    @property
    def left(self) -> int:
        """Units that are left in the current window."""
        return self.cap - self.spent.units

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
            "window": self.window,
            "window_ends": self.renews,
            "promise": self.promise,
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
        window=str(budget.window) if budget.window else None,
        renews=budget.renews,
        promise=budget.promise,
        spent=budget.spent,
        remaining=budget.remaining,
    )


def amount_json(amount: Amount) -> dict[str, Any]:
    """Plain JSON."""
    return {"rho": amount.rho, "epsilon": amount.epsilon, "units": amount.units}
