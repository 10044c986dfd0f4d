"""The rules, once more: what each entry may say, given the entries before it."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

from fedanalytics.errors import LedgerCorrupt
from fedanalytics.ledger import actors, audits, windows
from fedanalytics.ledger.accounts import Account, event_of
from fedanalytics.ledger.entries import text, version
from fedanalytics.ledger.plans import check_relation
from fedanalytics.ledger.results import sha256
from fedanalytics.ledger.tables import Reserved
from fedanalytics.ledger.terms import Terms, check_alone
from fedanalytics.privacy import events, units
from fedanalytics.privacy.filters import Declared, Filter, Zcdp
from fedanalytics.privacy.relations import Relation

_PLAN = ("question", "event", "units", "trust")
_MANY = 4096  # plans that are kept: few differ
_SLACK = 1e-9  # of a cap's promise: elementary functions differ in their last bits between machines


class Replay:
    """The state that entries lead to.

    Attributes:
        accounts: of each budget.
        reservations: by id, as their rows should be; without the released ones.
        answers: per ``commit`` entry: entry of the reservation, round, digest of the round, hash of the answer.
        backdated: entries that are dated before an earlier one by more than clocks may differ.
    """

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.reservations: dict[str, Reserved] = {}
        self.answers: dict[int, tuple[int, int, str, str]] = {}
        self.backdated: list[int] = []
        self._answered: dict[str, set[int]] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._claimed: dict[str, frozenset[float]] = {}
        self._plans: dict[str, tuple[dict[str, Any], str]] = {}  # by digest: checked, with its event as text
        self._newest = ""
        self._steps = {
            "open": self._open,
            "bind": self._bind,
            "amend": self._amend,
            "reserve": self._reserve,
            "commit": self._commit,
            "release": self._release,
            "audit": self._audit,
        }

    def take(self, seq: int, body: dict[str, Any]) -> None:
        """One more entry.

        Raises:
            LedgerCorrupt: it breaks a rule.
            KeyError, TypeError, ValueError: it is malformed.
        """
        _hold(body["version"] == version(body["type"], body), f"its version is {body['version']!r}")
        step = self._steps.get(body["type"])
        if step is None:
            raise LedgerCorrupt(f"its type is {body['type']!r}")
        self._dated(seq, body["time"])
        step(seq, body)

    def waiting(self) -> dict[str, list[str]]:
        """The ids of the reservations without an answer, by budget."""
        found: dict[str, list[str]] = {name: [] for name in self.accounts}
        for row in self.reservations.values():
            if not self._answered.get(row.id):
                found[row.budget].append(row.id)
        return found

    def _dated(self, seq: int, time: str) -> None:
        form = len(time) == 32 and time[10] == "T" and time[-6:] == "+00:00" and dt.datetime.fromisoformat(time)
        _hold(bool(form), f"its time is {time!r}")
        if time >= self._newest:
            self._newest = time
        elif windows.behind(time, self._newest):
            self.backdated.append(seq)

    def _open(self, _: int, body: dict[str, Any]) -> None:
        terms = Terms.from_json(body["budget"], body)
        _hold(terms.name not in self.accounts, f"budget {terms.name!r} is open already")
        _hold(_keeps_its_promise(terms), f"a cap of {terms.cap} units is more than {terms.label}")
        _hold(terms.amended is None, "a new budget was amended")
        _hold(terms.window in {None, str(terms.windows)}, f"its window is {terms.window!r}")
        if terms.actor_caps is not None:
            _hold(actors.checked(terms.actor_caps) == terms.actor_caps, f"its actor_caps are {terms.actor_caps!r}")
            for actor in terms.actor_caps:
                actors.limit(terms, actor)
        Relation(terms.relation)
        self._alone(terms)
        self.accounts[terms.name] = Account(terms)

    def _bind(self, _: int, body: dict[str, Any]) -> None:
        old = self.accounts[body["budget"]].terms
        new = replace(old, unit=body["unit"], dataset=body["dataset"], overlap=body["overlap"])
        same = old.unit in {None, new.unit} and old.dataset in {None, new.dataset} and new.overlap >= old.overlap
        _hold(same, f"budget {old.name!r} was bound already")
        self._alone(new)
        self.accounts[new.name].terms = new

    def _amend(self, _: int, body: dict[str, Any]) -> None:
        account = self.accounts[body["budget"]]
        old = account.terms
        new = replace(old, cap=body["cap"], epsilon=body["epsilon"], rho=body["rho"], amended=(old.amended or 0) + 1)
        form = (new.epsilon is None, new.rho is None) == (old.epsilon is None, old.rho is None)
        _hold(form and not isinstance(old.rule, Declared), f"budget {old.name!r} cannot have such a cap")
        _hold(_keeps_its_promise(new), f"a cap of {new.cap} units is more than {new.label}")
        spent = account.stretch(account.window_of(body["time"])).units
        _hold(new.cap >= spent, f"budget {old.name!r} has spent {spent} units, more than a cap of {new.cap}")
        _hold(bool(body["reason"].strip()), "it gives no reason")
        account.terms = new

    def _reserve(self, seq: int, body: dict[str, Any]) -> None:
        account, cost, id_, key = self.accounts[body["budget"]], body["units"], body["reservation"], body["key"]
        terms, plan = account.terms, {name: body[name] for name in _PLAN}
        known = self._plans.get(body["digest"])
        if known is not None and known[0] != plan:
            known = None
        event = text(plan["event"]) if known is None else known[1]
        whose = (body["unit"], body["dataset"], body["relation"])
        _hold(whose == (terms.unit, terms.dataset, terms.relation), "it counts other people than its budget")
        price = _price(event, terms.relation, terms.rule)
        _hold(cost >= price, f"{cost} units do not pay for its event, which costs {price}")
        if known is None:
            _hold(sha256(text(plan)) == body["digest"], "its digest is not that of its plan")
            if len(self._plans) >= _MANY:
                self._plans.clear()
            self._plans[body["digest"]] = plan, event
        _hold(id_ not in self.reservations, f"reservation {id_} exists already")
        _hold((terms.name, key) not in self._keys, f"key {key!r} is taken")
        _admit(account, body)
        row = self.reservations[id_] = Reserved(terms.name, key, id_, body["digest"], cost, seq)
        account.pay(row, body["actor"], event, body["time"])
        self._keys[terms.name, key] = id_
        self._claimed[id_] = _rates(event)

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
        self.accounts[held.budget].give_back(held.id)

    def _audit(self, seq: int, body: dict[str, Any]) -> None:
        report = body["report"]
        _hold(audits.checked(report) == report, "its report is not canonical")
        self.accounts[body["budget"]].audits.append((seq, report["verdict"]))

    def _alone(self, terms: Terms) -> None:
        check_alone(terms, (account.terms for account in self.accounts.values()))

    def _held(self, body: dict[str, Any]) -> Reserved:
        _hold(body["reservation"] in self.reservations, f"it has no reservation {body['reservation']}")
        held = self.reservations[body["reservation"]]
        _hold((held.budget, held.key) == (body["budget"], body["key"]), f"reservation {held.id} is another's")
        return held


def _hold(rule: bool, broken: str) -> None:  # noqa: FBT001  # a condition, like that of an assertion
    if not rule:
        raise LedgerCorrupt(broken)


def _admit(account: Account, body: dict[str, Any]) -> None:
    """The caps: of the budget in its window, and of the actor."""
    terms, cost, actor, time = account.terms, body["units"], body["actor"], body["time"]
    window = account.window_of(time)
    if body.get("window", "") != window:
        raise LedgerCorrupt(f"its window is {body.get('window')!r}, not {window!r}")
    if window and (late := windows.behind(time, account.newest)):
        raise LedgerCorrupt(f"it is dated {late} before the newest reservation of budget {terms.name!r}")
    stretch, most = account.stretch(window), actors.limit(terms, actor)
    total = stretch.units + cost
    if total > terms.cap:
        raise LedgerCorrupt(f"budget {terms.name!r} is overspent: {total} of {terms.cap} units")
    if most is not None and (own := stretch.actors.get(actor, 0) + cost) > most:
        raise LedgerCorrupt(f"actor {actor!r} has overspent: {own} of {most} units")


@lru_cache(maxsize=1024)
def _price(event: str, relation: str, rule: Filter) -> int:
    """The units that an event costs; few events differ. Only what is no fraction may differ in its last bits."""
    parsed = event_of(event)
    check_relation(parsed, relation)
    price = rule.price(parsed)
    exact = isinstance(rule, Zcdp) or all(isinstance(atom, events.Gaussian) for atom, _ in parsed.atoms())
    return price if exact else math.floor(price * (1 - _SLACK))


@lru_cache(maxsize=1024)
def _rates(event: str) -> frozenset[float]:
    """The sampling rates that an event claims."""
    return frozenset(atom.rate for atom, _ in event_of(event).atoms() if isinstance(atom, events.PoissonSampled))


def _keeps_its_promise(terms: Terms) -> bool:
    if terms.epsilon is not None:
        return terms.rule.epsilon_of(terms.cap, terms.delta or 0.0) <= terms.epsilon * (1 + _SLACK)
    return terms.rho is not None and terms.cap <= Fraction(terms.rho) * units.PER_RHO * (1 + Fraction(_SLACK))
