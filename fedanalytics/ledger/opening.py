"""Opening a budget, or finding it: its terms are written once, and who asks for others is told."""

from __future__ import annotations

from fedanalytics.errors import LedgerError
from fedanalytics.ledger import tables
from fedanalytics.ledger.database import Connection
from fedanalytics.ledger.entries import stamped
from fedanalytics.ledger.spent import Spent
from fedanalytics.ledger.store import Store
from fedanalytics.ledger.terms import Asked, Terms, agreed, check_alone, parsed
from fedanalytics.round.canonical import canonical_json


def settle(store: Store, asked: Asked, actor: str) -> None:
    """Open a budget, or find it and fill in its unit and dataset.

    Raises:
        BadArgument: it exists with other terms; or it does not exist and has no cap; or it shares its people.
    """
    asked = asked.checked()
    with store.read() as connection:
        row = tables.budget(connection, asked.name)
        if row is not None and agreed(old := parsed(asked.name, row[0]), asked) == old:
            return
    with store.write() as transaction:
        known = {name: parsed(name, text) for name, text, _ in tables.budgets(transaction.connection)}
        old_ = known.get(asked.name)
        new = asked.terms(known) if old_ is None else agreed(old_, asked)
        if new == old_:  # another process was first
            return
        check_alone(new, known.values())
        if old_ is None:
            transaction.append(stamped("open", new.name, actor, **new.to_json()))
        else:
            bound = {"unit": new.unit, "dataset": new.dataset, "overlap": new.overlap}
            transaction.append(stamped("bind", new.name, actor, **bound))
        tables.set_terms(transaction.connection, new.name, canonical_json(new.to_json()))
        if old_ is None:
            tables.set_spent(transaction.connection, new.name, Spent().to_text(new))


def state(connection: Connection, name: str) -> tuple[Terms, Spent]:
    """The terms of a budget, and what was spent of it up to its newest window.

    Raises:
        LedgerError: there is none.
    """
    row = tables.budget(connection, name)
    if row is None:
        raise LedgerError(f"this ledger has no budget {name!r}")
    return parsed(name, row[0]), Spent.from_text(row[1])
