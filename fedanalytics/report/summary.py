"""Who spent what on what, and what is left: the rows that the page, the commands and the exports all show."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fedanalytics import _validate
from fedanalytics.ledger.actors import OTHERS, limit
from fedanalytics.privacy import units
from fedanalytics.report import forecast
from fedanalytics.report.forecast import Pace, pace
from fedanalytics.report.spends import WAITING, Account, Spend

NO_COLUMN = "(no column)"
BY: Mapping[str, Callable[[Spend], tuple[str, ...]]] = {
    "actor": lambda spend: (spend.actor,),
    "kind": lambda spend: (spend.kind,),
    "column": lambda spend: spend.columns or (NO_COLUMN,),
    "day": lambda spend: (spend.time.date().isoformat(),),
}


@dataclass(frozen=True)
class Total:
    """What was spent under one name.

    Attributes:
        units: without what was given back.
        last: when it was asked last.
    """

    name: str
    questions: int
    units: int
    last: dt.datetime


def totals(spends: Iterable[Spend], by: str) -> tuple[Total, ...]:
    """What was spent by actor, kind, column or day: the most first, days in order.

    A question that reads several columns counts under each of them, so that these shares may add up to more than all.

    Raises:
        BadArgument: `by` is none of these.

    Example:
        >>> now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        >>> def asked(actor, columns, units):
        ...     return Spend(1, now, "b", actor, "k", "Mean", columns, units, "central", "replace-one", {}, {})
        >>> spends = asked("ada", ("temp",), 2), asked("bob", ("temp", "hour"), 3)
        >>> [(total.name, total.units) for total in totals(spends, "column")]
        [('temp', 5), ('hour', 3)]
    """
    names = BY[_validate.one_of(BY, by=by)]
    found: dict[str, list[Any]] = {}
    for spend in spends:
        for name in names(spend):
            row = found.setdefault(name, [0, 0, spend.time])
            row[0] += 1
            row[1] += spend.paid
            row[2] = max(row[2], spend.time)
    rows = [Total(name, *row) for name, row in found.items()]
    return tuple(sorted(rows, key=lambda row: (0 if by == "day" else -row.units, row.name)))


def since(spends: Iterable[Spend], moment: dt.datetime | None) -> list[Spend]:
    """Those that were asked at a moment or later; all for None."""
    return [spend for spend in spends if moment is None or spend.time >= moment]


@dataclass(frozen=True)
class Standing:
    """A budget at one moment.

    Attributes:
        account: what its entries say.
        pace: of the last four weeks, with what is left.
    """

    account: Account
    pace: Pace

    @property
    def name(self) -> str:
        """The budget's."""
        return self.account.terms.name

    @property
    def counts(self) -> str:
        """What the units are 1e-12 of: "rho" or "epsilon"."""
        return self.account.terms.rule.counts

    @property
    def left(self) -> int:
        """Units that may still be spent; in this window, if there are windows."""
        return self.account.cap - self.account.spent

    @property
    def part(self) -> float:
        """The part of the cap that is spent; 1 for a cap of nothing."""
        return self.account.spent / self.account.cap if self.account.cap else 1.0

    @property
    def waiting(self) -> int:
        """How many questions are paid and have no answer."""
        return sum(spend.state == WAITING for spend in self.account.spends)

    @property
    def last(self) -> dt.datetime | None:
        """When it was asked last."""
        spends = self.account.spends
        return spends[-1].time if spends else None

    @property
    def epsilon_spent(self) -> float | None:
        """The epsilon of what was spent (in this window), had all been fixed in advance; None where none can be said.

        Under adaptive choice the guarantee is the cap.
        """
        terms = self.account.terms
        if terms.delta is None and self.counts == "rho":
            return None
        return terms.rule.epsilon_of(self.account.spent, terms.delta or 0.0)

    @property
    def epsilon(self) -> float | None:
        """The cap's epsilon at the budget's delta; None for a budget in rho."""
        return self.account.terms.epsilon

    @property
    def cap(self) -> str:
        """The cap in words."""
        delta, window = self.account.terms.delta, self.account.terms.window
        each = f", every {window}" if window else ""
        if self.epsilon is None:
            return f"rho = {units.rho(self.account.cap):.4g}{each}"
        return f"ε = {self.epsilon:.4g}" + (", pure" if delta is None else f" at δ = {delta:g}") + each

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        terms, days = self.account.terms, self.pace.days_left
        return {
            "budget": self.name,
            "unit": terms.unit,
            "dataset": terms.dataset,
            "relation": terms.relation,
            "filter": terms.filter,
            "counts": self.counts,
            "epsilon": self.epsilon,
            "delta": terms.delta,
            "cap": units.rho(self.account.cap),
            "spent": units.rho(self.account.spent),
            "remaining": units.rho(self.left),
            "remaining_units": self.left,
            "part_spent": self.part,
            "spent_over_all_time": units.rho(self.account.total),
            "window": terms.window,
            "window_ends": self.pace.renews.isoformat(timespec="seconds") if self.pace.renews else None,
            "amendments": len(self.account.amendments),
            "epsilon_spent": self.epsilon_spent,
            "per_day": units.rho(1) * self.pace.per_day,
            "pace_over_days": self.pace.days,
            "days_left": days if math.isfinite(days) else None,
            "ends": self.pace.ends.isoformat(timespec="seconds") if self.pace.ends else None,
            "unanswered": self.waiting,
        }


def standing(account: Account, now: dt.datetime, days: float = forecast.DAYS) -> Standing:
    """A budget now, at the pace of the last `days`."""
    current = account.at(now)
    return Standing(current, pace(current, now, days))


class Share(NamedTuple):
    """What an actor with a cap of their own has spent of it, in units; in the last window, if there are windows."""

    actor: str
    spent: int
    cap: int


def shares(account: Account) -> tuple[Share, ...]:
    """Of each actor who has a cap by name, or has spent under the cap for all others.

    Example:
        >>> from fedanalytics.ledger import Ledger
        >>> from fedanalytics.report.spends import accounts
        >>> with Ledger(":memory:") as ledger:
        ...     _ = ledger.budget("aircraft", rho=0.01, actor_caps={"ada": 0.5})
        ...     shares(accounts(ledger.entries()).by_name["aircraft"])
        (Share(actor='ada', spent=0, cap=5000000000),)
    """
    caps = account.terms.actor_caps
    if not caps:
        return ()
    spent = dict.fromkeys(caps.keys() - {OTHERS}, 0)
    for spend in account.spends:
        if spend.window == account.window:
            spent[spend.actor] = spent.get(spend.actor, 0) + spend.paid
    found = ((actor, units_, limit(account.terms, actor)) for actor, units_ in sorted(spent.items()))
    return tuple(Share(actor, units_, cap) for actor, units_, cap in found if cap is not None)
