"""What was spent under each cap of a budget at one moment: the text that stands beside its terms.

One number for most budgets. Where windows or actors have caps of their own, what counts against these too, so that a
spend costs the same after a million others; earlier windows are in the entries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fedanalytics.errors import LedgerCorrupt
from fedanalytics.ledger.actors import limit
from fedanalytics.ledger.entries import text
from fedanalytics.ledger.terms import Terms


@dataclass(frozen=True)
class Spent:
    """Units of what was reserved and not released.

    Attributes:
        total: over all time.
        now: in the newest window; the total of a budget without windows.
        window: where that window begins.
        time: of its newest reservation.
        actors: in that window, by those who have a cap of their own.
    """

    total: int = 0
    now: int = 0
    window: str = ""
    time: str = ""
    actors: Mapping[str, int] = field(default_factory=dict)

    def at(self, terms: Terms, time: str) -> Spent:
        """The same at a later time: a new window begins with nothing spent."""
        start = terms.windows.start(time) if terms.windows else ""
        return self if start <= self.window else Spent(self.total, window=start, time=self.time)

    def more(self, terms: Terms, actor: str, units: int, time: str) -> Spent:
        """After a reservation in this window."""
        own = {actor: self.actors.get(actor, 0) + units} if limit(terms, actor) is not None else {}
        newest = max(self.time, time) if terms.windows else ""
        return replace(self, total=self.total + units, now=self.now + units, time=newest, actors={**self.actors, **own})

    def less(self, actor: str, units: int, window: str) -> Spent:
        """After a release of what was reserved in a window; an earlier one's is not given back to this one."""
        if window != self.window:
            return replace(self, total=self.total - units)
        own = {actor: self.actors[actor] - units} if actor in self.actors else {}
        return replace(self, total=self.total - units, now=self.now - units, actors={**self.actors, **own})

    def to_text(self, terms: Terms) -> str:
        """What `from_text` reads."""
        if not (terms.window or terms.actor_caps):
            return str(self.total)
        own = {name: units for name, units in self.actors.items() if units}
        return text({"total": self.total, "now": self.now, "window": self.window, "time": self.time, "actors": own})

    @classmethod
    def from_text(cls, row: str) -> Spent:
        """What was spent, from its row.

        Raises:
            LedgerCorrupt: it is no such text.
        """
        try:
            found = json.loads(row)
            if isinstance(found, int):
                return cls(found, found)
            own = {str(name): int(units) for name, units in found["actors"].items()}
            return cls(int(found["total"]), int(found["now"]), str(found["window"]), str(found["time"]), own)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LedgerCorrupt(f"an amount in the ledger is {row!r}, not what was spent: verify it") from error
