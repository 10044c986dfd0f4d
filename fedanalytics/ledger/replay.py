"""The rules, once more: what each entry may say, given the entries before it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

from fedanalytics.errors import LedgerCorrupt
from fedanalytics.ledger.entries import VERSION, text
from fedanalytics.ledger.plans import check_relation
from fedanalytics.ledger.results import sha256
from fedanalytics.ledger.tables import Reserved
from fedanalytics.ledger.terms import Terms, check_alone
from fedanalytics.privacy import events, units
from fedanalytics.privacy.filters import Filter, Zcdp
from fedanalytics.privacy.relations import Relation

_SLACK = 1e-9  # of a cap's promise: elementary functions differ in their last bits between machines


class Replay:
    """The state that entries lead to.

    Attributes:
        terms: of each budget.
        spent: units per budget.
        reservations: by id, as their rows should be; without the released ones.
        answers: per ``commit`` entry: entry of the reservation, round, digest of the round, hash of the answer.
    """

    def __init__(self) -> None:
        self.terms: dict[str, Terms] = {}
        self.spent: dict[str, int] = {}
        self.reservations: dict[str, Reserved] = {}
        self.answers: dict[int, tuple[int, int, str, str]] = {}
        self._answered: dict[str, set[int]] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._claimed: dict[str, frozenset[float]] = {}

    def take(self, seq: int, body: dict[str, Any]) -> None:
        """One more entry.

        Raises:
            LedgerCorrupt: it breaks a rule.
            KeyError, TypeError, ValueError: it is malformed.
        """
        _hold(body["version"] == VERSION, f"its version is {body['version']!r}")
        steps = {
            "open": self._open,
            "bind": self._bind,
            "reserve": self._reserve,
            "commit": self._commit,
            "release": self._release,
        }
        _hold(body["type"] in steps, f"its type is {body['type']!r}")
        steps[body["type"]](seq, body)

    def state(self, name: str) -> tuple[int, int, tuple[str, ...]]:
        """Cap, spent, and the ids of the reservations without an answer."""
        waiting = (r.id for r in self.reservations.values() if r.budget == name and not self._answered.get(r.id))
        return self.terms[name].cap, self.spent[name], tuple(waiting)

    def _open(self, _: int, body: dict[str, Any]) -> None:
        terms = Terms.from_json(body["budget"], body)
        _hold(terms.name not in self.terms, f"budget {terms.name!r} is open already")
        _hold(_keeps_its_promise(terms), f"a cap of {terms.cap} units is more than {terms.label}")
        Relation(terms.relation)
        check_alone(terms, self.terms.values())
        self.terms[terms.name], self.spent[terms.name] = terms, 0

    def _bind(self, _: int, body: dict[str, Any]) -> None:
        old = self.terms[body["budget"]]
        new = replace(old, unit=body["unit"], dataset=body["dataset"], overlap=body["overlap"])
        same = old.unit in {None, new.unit} and old.dataset in {None, new.dataset} and new.overlap >= old.overlap
        _hold(same, f"budget {old.name!r} was bound already")
        check_alone(new, self.terms.values())
        self.terms[new.name] = new

    def _reserve(self, seq: int, body: dict[str, Any]) -> None:
        terms, cost, id_, key = self.terms[body["budget"]], body["units"], body["reservation"], body["key"]
        whose = (body["unit"], body["dataset"], body["relation"])
        _hold(whose == (terms.unit, terms.dataset, terms.relation), "it counts other people than its budget")
        price = _price(json.dumps(body["event"]), terms.relation, terms.rule)
        _hold(cost >= price, f"{cost} units do not pay for its event, which costs {price}")
        plan = {name: body[name] for name in ("question", "event", "units", "trust")}
        _hold(sha256(text(plan)) == body["digest"], "its digest is not that of its plan")
        _hold(id_ not in self.reservations, f"reservation {id_} exists already")
        _hold((terms.name, key) not in self._keys, f"key {key!r} is taken")
        total = self.spent[terms.name] + cost
        _hold(total <= terms.cap, f"budget {terms.name!r} is overspent: {total} of {terms.cap} units")
        self.reservations[id_] = Reserved(terms.name, key, id_, body["digest"], cost, seq)
        self._keys[terms.name, key] = id_
        self._claimed[id_] = _rates(json.dumps(body["event"]))
        self.spent[terms.name] = total

    def _commit(self, seq: int, body: dict[str, Any]) -> None:
        held, index = self._held(body), body["index"]
        answered = self._answered.setdefault(held.id, set())
        _hold(index not in answered, f"round {index} of reservation {held.id} has an answer already")
        claimed = self._claimed[held.id]
        _hold(not claimed or body.get("sampled") in claimed, f"no cohort was sampled as claimed, at {set(claimed)}")
        answered.add(index)
        self.answers[seq] = (held.seq, index, body["digest"], body["result"])

    def _release(self, _: int, body: dict[str, Any]) -> None:
        held = self._held(body)
        _hold(not self._answered.get(held.id), f"reservation {held.id} has an answer")
        _hold(body["units"] == held.units, f"reservation {held.id} costs {held.units} units")
        del self.reservations[held.id], self._keys[held.budget, held.key]
        self.spent[held.budget] -= held.units

    def _held(self, body: dict[str, Any]) -> Reserved:
        _hold(body["reservation"] in self.reservations, f"it has no reservation {body['reservation']}")
        held = self.reservations[body["reservation"]]
        _hold((held.budget, held.key) == (body["budget"], body["key"]), f"reservation {held.id} is another's")
        return held


def _hold(rule: bool, broken: str) -> None:  # noqa: FBT001  # a condition, like that of an assertion
    if not rule:
        raise LedgerCorrupt(broken)


@lru_cache(maxsize=1024)
def _price(event: str, relation: str, rule: Filter) -> int:
    """The units that an event costs; few events differ. Only what is no fraction may differ in its last bits."""
    parsed = events.from_json(json.loads(event))
    check_relation(parsed, relation)
    price = rule.price(parsed)
    exact = isinstance(rule, Zcdp) or all(isinstance(atom, events.Gaussian) for atom, _ in parsed.atoms())
    return price if exact else math.floor(price * (1 - _SLACK))


@lru_cache(maxsize=1024)
def _rates(event: str) -> frozenset[float]:
    """The sampling rates that an event claims."""
    atoms = events.from_json(json.loads(event)).atoms()
    return frozenset(atom.rate for atom, _ in atoms if isinstance(atom, events.PoissonSampled))


def _keeps_its_promise(terms: Terms) -> bool:
    if terms.epsilon is not None:
        return terms.rule.epsilon_of(terms.cap, terms.delta or 0.0) <= terms.epsilon * (1 + _SLACK)
    return terms.rho is not None and terms.cap <= Fraction(terms.rho) * units.PER_RHO * (1 + Fraction(_SLACK))
