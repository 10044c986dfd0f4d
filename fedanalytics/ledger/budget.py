"""A budget: pays for whole plans before they are asked, and keeps the answers that were paid for."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from fedanalytics import _validate
from fedanalytics.errors import BadArgument, BudgetExceeded, KeyReused, LedgerCorrupt, LedgerError
from fedanalytics.ledger import results, tables
from fedanalytics.ledger.amount import Amount, EpsilonSpent, amount
from fedanalytics.ledger.database import Connection
from fedanalytics.ledger.entries import parsed as parsed_entry
from fedanalytics.ledger.entries import stamped
from fedanalytics.ledger.plans import (
    Answer,
    Plan,
    Reservation,
    StoredAnswer,
    check_price,
    check_relation,
    difference,
    kind,
)
from fedanalytics.ledger.store import Store, Transaction
from fedanalytics.ledger.terms import Asked, Group, Terms, agreed, check_alone, parsed
from fedanalytics.privacy import units
from fedanalytics.privacy.filters import Filter
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.canonical import canonical_json


class Budget:
    """A cap on what a group of people may lose, and what was spent of it; made by `Ledger.budget`.

    Formal guarantee: under the neighbouring relation `relation` on units of privacy `unit`, everything that was
    answered from this budget, each query chosen after the earlier answers, is (epsilon, delta)-DP for the figures it
    was opened with (rho-zCDP for a budget in rho), by the filter `filter`. Budgets of disjoint groups of one dataset
    lose together no more than the one that lost most.

    Attributes:
        name: what it is called in the ledger.

    Example:
        >>> from fedanalytics.ledger import Answer, Ledger, Plan
        >>> from fedanalytics.privacy.events import Gaussian
        >>> budget = Ledger(":memory:").budget("aircraft", rho=0.01)
        >>> plan = Plan("monday", {"is": "Count"}, Gaussian(10.0), 5 * 10**9, "central")
        >>> [reservation] = budget.reserve([plan])
        >>> budget.commit([Answer(reservation, 0, "d1", [41.0])])
        ([41.0],)
        >>> budget.spent, budget.remaining
        (Amount(rho=0.005), Amount(rho=0.005))
        >>> [again] = budget.reserve([plan])
        >>> again.replayed, again.answers[0].body
        (True, [41.0])
    """

    def __init__(self, store: Store, name: str, actor: str) -> None:
        self.name = name
        self._store = store
        self._actor = actor
        self._known: Terms | None = None

    @property
    def cap(self) -> int:
        """In units of 1e-12 of what the filter counts: rho, or epsilon under "pure" and "pld"."""
        return self._terms.cap

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
        """As it was opened; None for a budget in rho."""
        return self._terms.epsilon

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
    def spent(self) -> Amount:
        """What all reservations cost that were not released, answered or not.

        Its epsilon is the one of a plan fixed in advance; under adaptive choice the guarantee is the cap.
        """
        with self._store.read() as connection:
            terms, spent = _state(connection, self.name)
            until, _ = tables.last_entry(connection)
        return amount(spent, terms.delta, terms.rule, lambda: self._queries(until))

    @property
    def epsilon_spent(self) -> EpsilonSpent:
        """The epsilon of what was spent, and the rule by which it holds.

        Raises:
            BadArgument: the budget was opened in rho without a delta.
        """
        terms, spent = self._state()
        if terms.delta is None and terms.rule.counts == "rho":
            raise BadArgument(
                f"budget {self.name!r} was opened in rho without a delta=, so it has no epsilon: see spent.rho, or "
                "fa.privacy.Accountant for any delta"
            )
        delta = terms.delta or 0.0
        return EpsilonSpent(terms.rule.epsilon_of(spent, delta), delta, terms.filter, terms.rule.rule, terms.epsilon)

    @property
    def remaining(self) -> Amount:
        """What may still be reserved; its epsilon is the one that the remaining rho alone implies."""
        terms, spent = self._state()
        return amount(terms.cap - spent, terms.delta, terms.rule)

    def bind(self, *, unit: str | None = None, dataset: str | None = None) -> None:
        """Tie the budget to the people it protects: fills in what was not declared, checks what was.

        Raises:
            BadArgument: it was opened for another unit or dataset, or another budget spends on the same people and
                neither was opened with ``overlap=True``.
        """
        settle(self._store, Asked(self.name, unit=unit, dataset=dataset), self._actor)

    def reserve(self, plans: Iterable[Plan]) -> tuple[Reservation, ...]:
        """Pay for plans, all or none, in one transaction that is on the disk when this returns.

        A key that is known already is not paid again: its reservation comes back with the answers stored so far.

        Raises:
            KeyReused: a key stands for another question or cost.
            BudgetExceeded: the new plans do not fit into what is left.
            BadArgument: an event holds under another relation than the budget, or a plan's units do not pay for it.
            NotPrivate: the filter has no finite price for an event.
            LedgerError: the store cannot be written; nothing was reserved.
        """
        wanted = tuple(plans)
        with self._store.write() as transaction:
            terms, spent = _state(transaction.connection, self.name)
            paid: dict[str, Reservation] = {}
            new: dict[str, Plan] = {}
            for plan in wanted:
                check_relation(plan.event, terms.relation)
                check_price(plan, terms.rule)
                earlier = tables.reservation(transaction.connection, self.name, plan.key)
                if earlier is not None:
                    paid[plan.key] = self._replayed(transaction.connection, earlier, plan)
                elif new.setdefault(plan.key, plan).digest != plan.digest:
                    raise _reused(self.name, plan, new[plan.key].body, "in this call")
            asked = sum(plan.units for plan in new.values())
            _admit(terms, spent, asked)
            for plan in new.values():
                paid[plan.key] = self._reserve(transaction, terms, plan)
            if new:
                tables.set_spent(transaction.connection, self.name, spent + asked)
        return tuple(paid[plan.key] for plan in wanted)

    def commit(self, answers: Iterable[Answer]) -> tuple[Any, ...]:
        """Store answers, all or none, in one transaction; nobody may see an answer before this returned it.

        If an answer to the same round is stored already, that one is returned and the new one is dropped: of two runs
        that race, one wins, and both deliver its answer.

        Returns:
            The stored bodies, as JSON values, in order.

        Raises:
            LedgerError: the reservation is not this budget's, was released, or holds an answer to another round at
                this index; or the store cannot be written. The answers must then be destroyed.
        """
        given = tuple((answer, results.written(answer.body)) for answer in answers)
        with self._store.write() as transaction:
            texts = [self._commit(transaction, answer, text) for answer, text in given]
        return tuple(map(json.loads, texts))

    def release(self, reservations: Iterable[Reservation], reason: str) -> None:
        """Give reservations back, all or none: only what nobody was asked for, and nobody answered.

        Raises:
            BadArgument: no reason is given.
            LedgerError: a reservation is not this budget's, was released, or has an answer.
        """
        _validate.text(reason=reason)
        with self._store.write() as transaction:
            for reservation in reservations:
                self._release(transaction, reservation, reason)

    def __repr__(self) -> str:
        try:
            terms, spent = self._state()
        except LedgerError:  # closed, or out of reach: what is shown in a traceback must not raise
            return f"Budget({self.name!r})"
        numbers = f"{terms.rule.counts}={units.rho(spent):.6g} of {units.rho(terms.cap):.6g}"
        return f"Budget({self.name!r}, {terms.label}, spent {numbers})"

    @property
    def _terms(self) -> Terms:
        """Terms never change, but for a unit and a dataset that are filled in once."""
        if self._known is None or self._known.unit is None or self._known.dataset is None:
            self._known, _ = self._state()
        return self._known

    def _state(self) -> tuple[Terms, int]:
        with self._store.read() as connection:
            return _state(connection, self.name)

    def _queries(self, until: int) -> tuple[dict[str, Any], ...]:
        with self._store.read() as connection:
            rows = tables.spends(connection, self.name, until)
        return tuple(_row(row, self.filter.counts) for row in rows)

    def _reserve(self, transaction: Transaction, terms: Terms, plan: Plan) -> Reservation:
        id_ = secrets.token_hex(16)
        whose = {"unit": terms.unit, "dataset": terms.dataset, "relation": terms.relation}
        names = {"reservation": id_, "key": plan.key, "digest": plan.digest}
        head = transaction.append(stamped("reserve", self.name, self._actor, **names, **whose, **plan.body))
        row = tables.Reserved(self.name, plan.key, id_, plan.digest, plan.units, head.seq)
        tables.add_reservation(transaction.connection, row)
        return Reservation(id_, plan.key, plan.digest, head.seq, head.hash)

    def _replayed(self, connection: Connection, row: tables.Reserved, plan: Plan) -> Reservation:
        entry = tables.entry(connection, row.seq)
        if entry is None:
            raise LedgerCorrupt(f"entry {row.seq} is missing: verify the ledger")
        _, _, hash_, text = entry
        if row.digest != plan.digest:
            raise _reused(self.name, plan, parsed_entry(row.seq, text), f"entry {row.seq}")
        answers = {
            stored.position: StoredAnswer(stored.digest, json.loads(self._text(stored)))
            for stored in tables.answers(connection, row.seq)
        }
        return Reservation(row.id, row.key, row.digest, row.seq, hash_.hex(), replayed=True, answers=answers)

    def _commit(self, transaction: Transaction, answer: Answer, text: str) -> str:
        row = self._held(transaction.connection, answer.reservation)
        stored = tables.answer(transaction.connection, row.seq, answer.index)
        if stored is None:
            name = results.sha256(text)
            names = {"reservation": row.id, "key": row.key, "index": answer.index, "digest": answer.digest}
            ran = {} if answer.sampling_rate == 1 else {"sampled": answer.sampling_rate}
            head = transaction.append(stamped("commit", self.name, self._actor, **names, **ran, result=name))
            body = transaction.place(name, text)
            kept = tables.Stored(row.seq, answer.index, head.seq, answer.digest, name, body)
            tables.add_answer(transaction.connection, kept)
            return text
        if stored.digest != answer.digest:
            raise LedgerError(
                f"key {row.key!r}, round {answer.index}: the stored answer is to round {stored.digest[:12]}..., this "
                f"one to {answer.digest[:12]}...: a resumed query must ask identical rounds; use another key"
            )
        return self._text(stored)

    def _release(self, transaction: Transaction, reservation: Reservation, reason: str) -> None:
        connection = transaction.connection
        row = self._held(connection, reservation)
        if tables.answers(connection, row.seq):
            raise LedgerError(f"reservation {row.id} (key {row.key!r}) has an answer: what was answered stays spent")
        names = {"reservation": row.id, "key": row.key, "units": row.units, "reason": reason}
        transaction.append(stamped("release", self.name, self._actor, **names))
        tables.drop_reservation(connection, row)
        _, spent = _state(connection, self.name)
        tables.set_spent(connection, self.name, spent - row.units)

    def _held(self, connection: Connection, reservation: Reservation) -> tables.Reserved:
        row = tables.reservation(connection, self.name, reservation.key)
        if row is None or row.id != reservation.id:
            raise LedgerError(
                f"budget {self.name!r} holds no reservation {reservation.id} (key {reservation.key!r}): it was "
                "released, or made elsewhere; reserve it first"
            )
        return row

    def _text(self, stored: tables.Stored) -> str:
        return results.checked(stored.hash, stored.body, self._store.files)


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


def _state(connection: Connection, name: str) -> tuple[Terms, int]:
    row = tables.budget(connection, name)
    if row is None:
        raise LedgerError(f"this ledger has no budget {name!r}")
    return parsed(name, row[0]), row[1]


def _admit(terms: Terms, spent: int, asked: int) -> None:
    """The filter: the sum never exceeds the cap."""
    left, name = terms.cap - spent, terms.rule.counts
    if asked <= left:
        return
    fits = "nothing is left"
    if left:
        epsilon = ""
        if name == "rho" and terms.delta is not None:
            epsilon = f" (epsilon={terms.rule.epsilon_of(left, terms.delta):.4g} at delta={terms.delta:g})"
        fits = f"the largest cost that fits is {name}={_largest(left)!r}{epsilon}"
    raise BudgetExceeded(
        f"budget {terms.name!r} ({terms.label}) cannot pay: requested {name}={units.rho(asked)!r}, remaining "
        f"{name}={units.rho(left)!r}; {fits}. Nothing was spent"
    )


def _largest(left: int) -> float:
    """The largest float that, asked as a cost, is admitted."""
    rho = units.rho(left)
    while units.floored(rho) > left:
        rho = math.nextafter(rho, 0)
    return rho


def _reused(budget: str, plan: Plan, old: Mapping[str, Any], where: str) -> KeyReused:
    return KeyReused(
        f"key {plan.key!r} of budget {budget!r} stands for another question already ({where}): "
        f"{difference({name: old.get(name) for name in plan.body}, plan.body)}. Ask the same again, or use another key"
    )


def _row(row: tuple[int, str, str, int, bool], counts: str) -> dict[str, Any]:
    seq, text, key, total, answered = row
    body = parsed_entry(seq, text)
    state = "committed" if answered else "open"
    names = {
        "seq": seq,
        "key": key,
        "time": body["time"],
        "actor": body["actor"],
        "query": kind(body.get("question", {})),
    }
    cost = {"rho": None, "epsilon": None} | {counts: units.rho(total)}
    return {**names, "units": total, **cost, "state": state}
