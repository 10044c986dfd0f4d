"""What replayed entries lead to, budget by budget: its terms, what each window and actor spent, and on what."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from fedanalytics.ledger.actors import limit
from fedanalytics.ledger.spent import Spent
from fedanalytics.ledger.tables import Reserved
from fedanalytics.ledger.terms import Terms
from fedanalytics.privacy import events
from fedanalytics.privacy.events import Event

Charge: TypeAlias = tuple[str, int]
"""An event as canonical JSON, and the units that were paid for it."""


@dataclass
class Stretch:
    """One window of a budget, or all time.

    Attributes:
        units: that were reserved and not released.
        actors: the same by actor.
        charges: how often each event was paid with so many units.
        terms: as they stood when it paid last.
    """

    units: int = 0
    actors: Counter[str] = field(default_factory=Counter)
    charges: Counter[Charge] = field(default_factory=Counter)
    terms: Terms | None = None

    def events(self) -> Mapping[Event, int]:
        """How often each atom happened."""
        return atoms(self.charges)


_NOTHING = Stretch()


class Account:
    """One budget.

    Attributes:
        terms: as they stand.
        stretches: by the start of each window, in order; by "" where there are none.
        newest: the time of the newest reservation.
        first: the entry that first paid for an event with so many units.
        audits: entry and verdict of each.
    """

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.stretches: dict[str, Stretch] = {}
        self.newest = ""
        self.first: dict[Charge, int] = {}
        self.audits: list[tuple[int, str]] = []
        self._paid: dict[str, tuple[str, str, Charge]] = {}
        self._window = ""

    @property
    def total(self) -> int:
        """Units over all time."""
        return sum(stretch.units for stretch in self.stretches.values())

    def window_of(self, time: str) -> str:
        """Where the window begins that pays at a time: never an earlier one than the newest that paid."""
        windows = self.terms.windows
        return max(self._window, windows.start(time)) if windows else ""

    def stretch(self, window: str) -> Stretch:
        """What a window has spent so far."""
        return self.stretches.get(window, _NOTHING)

    def pay(self, row: Reserved, actor: str, event: str, time: str) -> None:
        """A reservation that was found to keep the rules."""
        window, charge, units = self.window_of(time), (event, row.units), row.units
        stretch = self.stretches.get(window)
        if stretch is None:
            stretch = self.stretches[window] = Stretch()
        self._window = window
        stretch.units += units
        stretch.actors[actor] += units
        stretch.charges[charge] += 1
        stretch.terms = self.terms
        self.first.setdefault(charge, row.seq)
        self._paid[row.id] = (window, actor, charge)
        self.newest = max(self.newest, time)

    def give_back(self, id_: str) -> None:
        """A reservation that was released."""
        window, actor, charge = self._paid.pop(id_)
        stretch = self.stretches[window]
        stretch.units -= charge[1]
        stretch.actors[actor] -= charge[1]
        stretch.charges[charge] -= 1

    def balance(self) -> str:
        """What should stand beside its terms."""
        stretch = self.stretch(self._window)
        own = {actor: n for actor, n in stretch.actors.items() if limit(self.terms, actor) is not None}
        time = self.newest if self.terms.windows else ""
        return Spent(self.total, stretch.units, self._window, time, own).to_text(self.terms)


@lru_cache(maxsize=1024)
def event_of(text: str) -> Event:
    """An event from its text; few differ."""
    return events.from_json(json.loads(text))


def atoms(charges: Mapping[Charge, int]) -> Mapping[Event, int]:
    """How often each atom happened."""
    found: Counter[Event] = Counter()
    for (event, _), count in charges.items():
        for atom, times in event_of(event).atoms():
            found[atom] += times * count
    return {atom: times for atom, times in found.items() if times}
