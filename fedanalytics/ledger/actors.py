"""Caps of actors: how much of a budget one name may spend.

A name is what a program gave to ``Ledger(actor=)``: it is written into every entry and proves nothing. Caps of actors
divide a budget between colleagues; whoever may write to the ledger can take another's name, and the ledger will show
it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy import units

if TYPE_CHECKING:
    from fedanalytics.ledger.terms import Terms

ActorCap: TypeAlias = float | Fraction | Mapping[str, float]
"""A share of the cap, from 0 to 1, or an amount: {"epsilon": 0.5} or {"rho": 0.01}."""

OTHERS = "*"  # in place of a name: each of those who are not named
_TWO_ULP = 1 + Fraction(1, 2**51)  # as caps are read: k costs of a kth of a share fit


def checked(caps: object) -> dict[str, Any]:
    """Caps in plain JSON.

    Raises:
        BadArgument: a name or a cap cannot be meant.
    """
    if not isinstance(caps, Mapping) or not caps:
        raise BadArgument(
            'actor_caps= says how much each actor may spend, as {"alice": 0.5, "*": {"epsilon": 0.1}}; '
            f"got {caps!r}"
        )
    return {_validate.text(actor=actor): _cap(actor, caps[actor]) for actor in sorted(caps, key=str)}


def _cap(actor: str, cap: Any) -> Any:
    if _validate.real(cap) and 0 <= cap <= 1:
        return str(cap) if isinstance(cap, Fraction) else float(cap)
    if isinstance(cap, Mapping) and len(cap) == 1:
        [(form, amount)] = cap.items()
        if form in {"epsilon", "rho"}:
            return {form: float(_validate.positive(**{form: amount}))}
    raise BadArgument(
        f"actor_caps= gives {actor!r} {cap!r}: a cap is a share of the budget's, from 0 to 1, or an amount such as "
        '{"epsilon": 0.5} or {"rho": 0.01}'
    )


def limit(terms: Terms, actor: str) -> int | None:
    """The units that an actor may spend, in each window if there are windows; None if only the budget's cap holds.

    Raises:
        BadArgument: the amount is of a form in which the budget does not count, or worth nothing.
    """
    if terms.actor_caps is None:
        return None
    cap = terms.actor_caps.get(actor, terms.actor_caps.get(OTHERS))
    if cap is None:
        return None
    if not isinstance(cap, Mapping):
        share = Fraction(cap)
        return min(math.floor(terms.cap * share * _TWO_ULP), terms.cap)
    [(form, amount)] = cap.items()
    if form == "rho" and terms.rule.counts == "rho":
        return min(units.cap(amount), terms.cap)
    if form == "epsilon" and (terms.delta is not None or terms.rule.counts == "epsilon"):
        return min(terms.rule.cap(amount, terms.delta or 0.0), terms.cap)
    raise BadArgument(
        f"actor_caps= gives {actor!r} an amount of {form}, which budget {terms.name!r} ({terms.label}) does not count: "
        "give a share"
    )


def named(terms: Terms, actor: str) -> str:
    """An actor's cap in words."""
    caps = terms.actor_caps or {}
    cap = caps.get(actor, caps.get(OTHERS))
    if isinstance(cap, Mapping):
        [(form, amount)] = cap.items()
        return f"the cap of actor {actor!r} in it, {form}={amount:g}"
    return f"the cap of actor {actor!r} in it, {cap} of the whole"
