"""Admission: a sum never exceeds a cap, that of the budget or of who asks; and what to say where it would."""

from __future__ import annotations

import math

from fedanalytics.errors import BudgetExceeded
from fedanalytics.ledger import actors
from fedanalytics.ledger.spent import Spent
from fedanalytics.ledger.terms import Terms
from fedanalytics.privacy import units


def left(terms: Terms, spent: Spent, actor: str) -> int:
    """The units that an actor may still reserve."""
    whole, own = terms.cap - spent.now, _own(terms, spent, actor)
    return max(whole if own is None else min(whole, own), 0)


def admit(terms: Terms, spent: Spent, actor: str, asked: int) -> None:
    """The filter.

    Raises:
        BudgetExceeded: the sum would exceed the cap of the budget, or of the actor in it.
    """
    room, name = left(terms, spent, actor), terms.rule.counts
    if asked <= room:
        return
    fits = "nothing is left"
    if room:
        epsilon = ""
        if name == "rho" and terms.delta is not None:
            epsilon = f" (epsilon={terms.rule.epsilon_of(room, terms.delta):.4g} at delta={terms.delta:g})"
        fits = f"the largest cost that fits is {name}={_largest(room)!r}{epsilon}"
    own = _own(terms, spent, actor)
    whose = f" under {actors.named(terms, actor)}" if own is not None and own < terms.cap - spent.now else ""
    later = f"; the next window begins {terms.windows.end(spent.window)}" if terms.windows else ""
    raise BudgetExceeded(
        f"budget {terms.name!r} ({terms.label}) cannot pay: requested {name}={units.rho(asked)!r}, remaining "
        f"{name}={units.rho(room)!r}{whose}; {fits}{later}. Nothing was spent"
    )


def _own(terms: Terms, spent: Spent, actor: str) -> int | None:
    """What is left of an actor's own cap, if there is one."""
    most = actors.limit(terms, actor)
    return None if most is None else most - spent.actors.get(actor, 0)


def _largest(room: int) -> float:
    """The largest float that, asked as a cost, is admitted."""
    rho = units.rho(room)
    while units.floored(rho) > room:
        rho = math.nextafter(rho, 0)
    return rho
