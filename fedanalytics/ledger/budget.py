"""A budget: pays for whole plans before they are asked, and keeps the answers that were paid for."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from fedanalytics import _validate
from fedanalytics.errors import KeyReused, LedgerCorrupt, LedgerError
from fedanalytics.ledger import audits, results, tables
from fedanalytics.ledger.admission import admit
from fedanalytics.ledger.amending import amended
from fedanalytics.ledger.database import Connection
from fedanalytics.ledger.entries import now, stamped
from fedanalytics.ledger.entries import parsed as parsed_entry
from fedanalytics.ledger.heads import Head
from fedanalytics.ledger.opening import settle, state
from fedanalytics.ledger.plans import (
    Answer,
    Plan,
    Reservation,
    StoredAnswer,
    check_price,
    check_relation,
    difference,
)
from fedanalytics.ledger.spent import Spent
from fedanalytics.ledger.standing import Standing
from fedanalytics.ledger.store import Transaction
from fedanalytics.ledger.terms import Asked, Terms
from fedanalytics.ledger.windows import behind
from fedanalytics.round.canonical import canonical_json


class Budget(Standing):
    """A cap on what a group of people may lose, and what was spent of it; made by `Ledger.budget`.

    Formal guarantee: under the neighbouring relation `relation` on units of privacy `unit`, everything that was
    answered from this budget, each query chosen after the earlier answers, is (epsilon, delta)-DP for the figures it
    was opened with (rho-zCDP for a budget in rho), by the filter `filter`. Budgets of disjoint groups of one dataset
    lose together no more than the one that lost most.

    With a `window`, this holds of what was answered within each one, and the losses of several windows add up; only if
    each window's questions are about data that no other window's are about, it holds for good, and then for a unit of
    (client, window) (see `fedanalytics.ledger.windows`). After an amendment, the figures are those of the highest cap
    to which it would have been amended, whatever was answered. `promise` says all of it of one budget; what else may
    be read of it stands in `Standing`.

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
            BudgetExceeded: the new plans do not fit into what is left of the budget, or of the actor's own cap.
            BadArgument: an event holds under another relation than the budget, or a plan's units do not pay for it.
            NotPrivate: the filter has no finite price for an event.
            LedgerError: the store cannot be written, or this host's clock is behind in a budget with windows; nothing
                was reserved.
        """
        wanted = tuple(plans)
        with self._store.write() as transaction:
            terms, spent = state(transaction.connection, self.name)
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
            if new:
                paid |= self._pay(transaction, terms, spent, new)
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

    def amend(self, *, epsilon: float | None = None, rho: float | Fraction | None = None, reason: str) -> Head:
        """Change the cap, by an entry with the actor, the time and a reason; everything else stays as it was opened.

        A raise makes the new cap the guarantee of all that was ever answered (see `fedanalytics.ledger.amending`).

        Args:
            epsilon: the new cap, at the same delta, of a budget that was opened in epsilon.
            rho: of one that was opened in rho.
            reason: for the record.

        Returns:
            The head that ends with the entry.

        Raises:
            BadArgument: no reason; a cap of another form, the same as before, or below what is spent; or a "pld"
                budget, whose plans hold shares of the old cap.
            LedgerError: the store cannot be written; nothing was changed.

        Example:
            >>> from fedanalytics.ledger import Ledger
            >>> budget = Ledger(":memory:", actor="ada").budget("aircraft", epsilon=3.0, delta=1e-6)
            >>> _ = budget.amend(epsilon=4.0, reason="a second season, approved by the review board on 3 May")
            >>> budget.remaining
            Amount(rho=0.351004, epsilon=4, delta=1e-06)
        """
        _validate.text(reason=reason)
        with self._store.write() as transaction:
            terms, spent = state(transaction.connection, self.name)
            time = now()
            new = amended(terms, spent.at(terms, time).now, epsilon, rho)
            caps = {"cap": new.cap, "epsilon": new.epsilon, "rho": new.rho}
            head = transaction.append(stamped("amend", self.name, self._actor, time=time, **caps, reason=reason))
            tables.set_terms(transaction.connection, self.name, canonical_json(new.to_json()))
        return head

    def record_audit(self, report: Any) -> Head:
        """Append what an audit found about the budget's claims; it costs nothing and changes nothing.

        Args:
            report: the audit's report, as `fedanalytics.auditing` makes them, or its JSON: with its verdict and its
                claim, or a family of them.

        Returns:
            The head that ends with the entry.

        Raises:
            BadArgument: the report has no verdict or claim, or is larger than 64 KiB.
            LedgerError: the store cannot be written.

        Example:
            >>> from fedanalytics.ledger import Ledger
            >>> budget = Ledger(":memory:").budget("aircraft", rho=0.01)
            >>> report = {"verdict": "consistent", "claim": {"claim": "zcdp", "rho": 0.01}, "lower_bound": 0.004}
            >>> budget.record_audit(report).seq
            2
        """
        plain = audits.checked(report)
        with self._store.write() as transaction:
            state(transaction.connection, self.name)
            return transaction.append(stamped("audit", self.name, self._actor, report=plain))

    def _pay(
        self, transaction: Transaction, terms: Terms, earlier: Spent, new: Mapping[str, Plan]
    ) -> dict[str, Reservation]:
        """Admit new plans, all or none."""
        time = now()
        late = behind(time, earlier.time) if terms.windows else None
        if late:
            raise LedgerError(
                f"this host's clock says {time}, {late} before the newest reservation of budget {self.name!r}: which "
                f"window of {terms.window} pays cannot be told; set the clock. Nothing was spent"
            )
        spent, asked = earlier.at(terms, time), sum(plan.units for plan in new.values())
        admit(terms, spent, self._actor, asked)
        paid = {plan.key: self._reserve(transaction, terms, plan, time, spent.window) for plan in new.values()}
        after = spent.more(terms, self._actor, asked, time)
        tables.set_spent(transaction.connection, self.name, after.to_text(terms))
        return paid

    def _reserve(self, transaction: Transaction, terms: Terms, plan: Plan, time: str, window: str) -> Reservation:
        id_ = secrets.token_hex(16)
        whose = {"unit": terms.unit, "dataset": terms.dataset, "relation": terms.relation}
        when = {"window": window} if window else {}
        names = {"reservation": id_, "key": plan.key, "digest": plan.digest}
        body = stamped("reserve", self.name, self._actor, time=time, **names, **whose, **when, **plan.body)
        head = transaction.append(body)
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
        terms, spent = state(connection, self.name)
        entry = tables.entry(connection, row.seq)
        body = parsed_entry(row.seq, entry[3]) if entry else {}
        less = spent.less(body.get("actor", ""), row.units, body.get("window", ""))
        tables.set_spent(connection, self.name, less.to_text(terms))

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


def _reused(budget: str, plan: Plan, old: Mapping[str, Any], where: str) -> KeyReused:
    return KeyReused(
        f"key {plan.key!r} of budget {budget!r} stands for another question already ({where}): "
        f"{difference({name: old.get(name) for name in plan.body}, plan.body)}. Ask the same again, or use another key"
    )
