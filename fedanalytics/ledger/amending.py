"""Amendments: another cap for a budget that is open, by an entry with a reason; all other terms stay as they are.

A cap that is raised after answers were seen is, from then on, what is promised for everything that was ever answered:
the guarantee of a budget is the highest cap to which it would have been raised, whatever the answers. So a raise is
written down with its author and reason, and no program can ask for it in passing. A cap may be lowered, down to what
is spent.

A "gdp", "zcdp", "pure" or "renyi" budget admits, under the new cap, what it would have admitted had it been opened
with it (a "renyi" budget keeps its order). A "pld" budget cannot be amended: its plans took shares of epsilon *and*
delta, and a share of the old epsilon is another share of the new one, so that the shares of delta would no longer sum
to delta.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.ledger.terms import Terms, plain_rho
from fedanalytics.privacy import units
from fedanalytics.privacy.filters import Declared
from fedanalytics.round.canonical import canonical


def amended(terms: Terms, spent: int, epsilon: float | None, rho: float | Fraction | None) -> Terms:
    """The terms with another cap.

    Args:
        terms: as they stand.
        spent: the units that count against the cap now.
        epsilon: the new cap at the same delta, of a budget that was opened in epsilon.
        rho: of one that was opened in rho.

    Raises:
        BadArgument: the cap is of another form, the same as before, below what is spent, or of a "pld" budget.
    """
    form, old = ("rho", terms.rho) if terms.epsilon is None else ("epsilon", terms.epsilon)
    given = {name: value for name, value in (("epsilon", epsilon), ("rho", rho)) if value is not None}
    if set(given) != {form}:
        asked = " and ".join(f"{name}=" for name in given) or "nothing"
        raise BadArgument(f"budget {terms.name!r} is capped in {form}: amend it with {form}= and reason=, got {asked}")
    if isinstance(terms.rule, Declared):
        raise BadArgument(
            f"budget {terms.name!r} holds declared plans (filter='pld'), each with its share of epsilon and of delta: "
            "with another epsilon the shares of delta would no longer sum to delta; open a second budget with "
            "overlap=True instead, and count both"
        )
    if epsilon is not None:
        changed = float(_validate.positive(epsilon=epsilon))
        new = replace(terms, epsilon=changed, cap=terms.rule.cap(changed, terms.delta or 0.0))
    else:
        amount = plain_rho(_validate.positive(rho=rho))
        new = replace(terms, rho=canonical(amount), cap=units.cap(amount))
    if new.cap == terms.cap:
        raise BadArgument(f"budget {terms.name!r} has a cap of {form}={old} already")
    if new.cap < spent:
        counted = terms.rule.counts
        raise BadArgument(
            f"budget {terms.name!r} has spent {counted}={units.rho(spent)!r}, more than {form}={given[form]!r} holds "
            f"({counted}={units.rho(new.cap)!r}): what is spent stays spent; ask for a cap of at least that"
        )
    return replace(new, amended=(terms.amended or 0) + 1)
