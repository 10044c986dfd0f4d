"""How a budget stands: its terms and its balances, as the ledger has them at the moment of asking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedanalytics.errors import BadArgument, LedgerError
from fedanalytics.ledger import actors, admission, entries, tables
from fedanalytics.ledger.amount import Amount, EpsilonSpent, amount
from fedanalytics.ledger.opening import state
from fedanalytics.ledger.plans import kind
from fedanalytics.ledger.promises import promise
from fedanalytics.ledger.spent import Spent
from fedanalytics.ledger.store import Store
from fedanalytics.ledger.terms import Group, Terms
from fedanalytics.ledger.windows import Window
from fedanalytics.privacy import units
from fedanalytics.privacy.filters import Declared, Filter
from fedanalytics.privacy.relations import Relation


class Standing:
    """What may be read of a budget.

    Attributes:
        name: what it is called in the ledger.
    """

    def __init__(self, store: Store, name: str, actor: str) -> None:
        self.name = name
        self._store = store
        self._actor = actor
        self._known: Terms | None = None

    @property
    def cap(self) -> int:
        """In units of 1e-12 of what the filter counts: rho, or epsilon under "pure" and "pld"; of each window."""
        return self._state()[0].cap

    @property
    def filter(self) -> Filter:
        """The rule by which queries are admitted; fixed when the budget was opened."""
        return self._terms.rule

    @property
    def group(self) -> Group | None:
        """(column, value) of the clients that it is for; None for all."""
        return self._terms.group

    @property
    def epsilon(self) -> float | None:
        """As it was opened, or amended since; None for a budget in rho."""
        return self._state()[0].epsilon

    @property
    def delta(self) -> float | None:
        """As it was opened."""
        return self._terms.delta

    @property
    def relation(self) -> Relation:
        """Which fleets are neighbours."""
        return Relation(self._terms.relation)

    @property
    def unit(self) -> str | None:
        """Whose privacy is counted; None until the first session."""
        return self._terms.unit

    @property
    def dataset(self) -> str | None:
        """On which data; None until the first session."""
        return self._terms.dataset

    @property
    def window(self) -> Window | None:
        """The windows that each have the cap; None if it holds for all time."""
        return self._terms.windows

    @property
    def renews(self) -> str | None:
        """When the window after the current one begins; None without windows."""
        terms, spent, _ = self._now()
        return terms.windows.end(spent.window) if terms.windows else None

    @property
    def promise(self) -> str:
        """What is guaranteed of everything that it pays for, in one sentence."""
        return promise(self._state()[0])

    @property
    def spent(self) -> Amount:
        """What all reservations cost that were not released, answered or not; in the current window, if there are any.

        Its epsilon is the one of a plan fixed in advance; under adaptive choice the guarantee is the cap.
        """
        terms, spent, until = self._now()
        return amount(spent.now, terms.delta, terms.rule, lambda: self._queries(until, spent.window))

    @property
    def total(self) -> Amount:
        """The same over all time: the sum of all windows. Under "pld" they have their deltas, which add up too."""
        terms, spent, until = self._now()
        delta = terms.delta
        if delta is not None and isinstance(terms.rule, Declared):
            delta = min(delta * max(1.0, spent.total / terms.cap), 1.0)
        return amount(spent.total, delta, terms.rule, lambda: self._queries(until, ""))

    @property
    def epsilon_spent(self) -> EpsilonSpent:
        """The epsilon of what was spent, and the rule by which it holds.

        Raises:
            BadArgument: the budget was opened in rho without a delta.
        """
        terms, spent, _ = self._now()
        if terms.delta is None and terms.rule.counts == "rho":
            raise BadArgument(
                f"budget {self.name!r} was opened in rho without a delta=, so it has no epsilon: see spent.rho, or "
                "fa.privacy.Accountant for any delta"
            )
        delta = terms.delta or 0.0
        rule = terms.rule.rule + (f"; in the window of {terms.window} since {spent.window}" if terms.window else "")
        return EpsilonSpent(terms.rule.epsilon_of(spent.now, delta), delta, terms.filter, rule, terms.epsilon)

    @property
    def remaining(self) -> Amount:
        """What the ledger's actor may still reserve, in the current window if there are any.

        Its epsilon is the one that the remaining rho alone implies.
        """
        terms, spent, _ = self._now()
        return amount(admission.left(terms, spent, self._actor), terms.delta, terms.rule)

    @property
    def actors(self) -> Mapping[str, tuple[Amount, Amount]]:
        """What each actor with a cap of their own has spent of it, and the cap; in the current window."""
        terms, spent, _ = self._now()
        names = sorted((terms.actor_caps or {}).keys() - {actors.OTHERS} | spent.actors.keys())
        caps = {name: actors.limit(terms, name) or 0 for name in names}
        amounts = {name: (spent.actors.get(name, 0), cap) for name, cap in caps.items()}
        return {name: tuple(amount(n, terms.delta, terms.rule) for n in pair) for name, pair in amounts.items()}  # type: ignore[misc]

    @property
    def audits(self) -> tuple[tuple[int, dict[str, Any]], ...]:
        """(entry, report) of each audit of its claims that was recorded, oldest first."""
        with self._store.read() as connection:
            rows = tables.audits(connection)
        bodies = [(seq, entries.parsed(seq, body)) for seq, body in rows]
        mine = [(seq, body) for seq, body in bodies if (body["type"], body["budget"]) == ("audit", self.name)]
        return tuple((seq, body["report"]) for seq, body in mine)

    def __repr__(self) -> str:
        try:
            terms, spent, _ = self._now()
        except LedgerError:  # closed, or out of reach: what is shown in a traceback must not raise
            return f"{type(self).__name__}({self.name!r})"
        numbers = f"{terms.rule.counts}={units.rho(spent.now):.6g} of {units.rho(terms.cap):.6g}"
        return f"{type(self).__name__}({self.name!r}, {terms.label}, spent {numbers})"

    @property
    def _terms(self) -> Terms:
        """Of these, all but the cap are written once, a unit and a dataset when they are known."""
        if self._known is None or self._known.unit is None or self._known.dataset is None:
            self._known, _ = self._state()
        return self._known

    def _state(self) -> tuple[Terms, Spent]:
        with self._store.read() as connection:
            return state(connection, self.name)

    def _now(self) -> tuple[Terms, Spent, int]:
        """The terms, what was spent up to this moment's window, and the number of the last entry."""
        with self._store.read() as connection:
            terms, spent = state(connection, self.name)
            until, _ = tables.last_entry(connection)
        return terms, spent.at(terms, entries.now()), until

    def _queries(self, until: int, window: str) -> tuple[dict[str, Any], ...]:
        with self._store.read() as connection:
            rows = tables.spends(connection, self.name, until)
        bodies = [(entries.parsed(row[0], row[1]), row) for row in rows]
        counts = self.filter.counts
        return tuple(_row(body, row, counts) for body, row in bodies if not window or body.get("window") == window)


def _row(body: dict[str, Any], row: tuple[int, str, str, int, bool], counts: str) -> dict[str, Any]:
    seq, _, key, total, answered = row
    state_ = "committed" if answered else "open"
    names = {
        "seq": seq,
        "key": key,
        "time": body["time"],
        "actor": body["actor"],
        "query": kind(body.get("question", {})),
    }
    cost = {"rho": None, "epsilon": None} | {counts: units.rho(total)}
    return {**names, "units": total, **cost, "state": state_}
