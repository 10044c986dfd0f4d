"""Any order of reserving, answering, releasing, amending, waiting, crashing and retrying, against an exact model."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fedanalytics.errors import BadArgument, BudgetExceeded, KeyReused, LedgerError
from fedanalytics.ledger import Answer, Ledger, Plan, entries, tables, verify
from fedanalytics.ledger.entries import stamped
from fedanalytics.privacy.events import NoOp

UNIT = Fraction(1, 10**12)
KEYS = st.sampled_from(["a", "b", "c", "d", "e"])
QUESTIONS = st.sampled_from(["Mean", "Count"])
COSTS = st.integers(0, 40)
PLANS = st.lists(st.tuples(KEYS, QUESTIONS, COSTS), max_size=3)
NAMES = st.sampled_from(["one", "two"])
ACTORS = st.sampled_from(["ada", "bob"])
CAPS = st.integers(1, 100)
NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


def plan(key: str, question: str, cost: int) -> Plan:
    return Plan(key, {"is": question}, NoOp(), cost, "central")


class Crash(Exception):  # no error of ours
    """The end of a program."""


@dataclass
class Paid:
    question: str
    cost: int
    window: dt.date
    actor: str
    answers: dict = field(default_factory=dict)


@dataclass
class Counted:
    """A budget: "one" has one cap for all time, "two" has it anew every day, and half of it for ada."""

    cap: int
    daily: bool
    paid: dict[str, Paid] = field(default_factory=dict)
    held: dict = field(default_factory=dict)
    day: dt.date = dt.date.min
    newest: dt.datetime = NEVER

    def window(self, now):
        return max(self.day, now.date()) if self.daily else dt.date.min

    def spent(self, now, actor=None):
        own = [p for p in self.paid.values() if not self.daily or p.window == self.window(now)]
        return sum(p.cost for p in own if actor in {None, p.actor})

    def left(self, now, actor):
        whole = self.cap - self.spent(now)
        own = self.cap // 2 - self.spent(now, actor) if self.daily and actor == "ada" else whole
        return max(min(whole, own), 0)


class Model(RuleBasedStateMachine):
    """Two budgets in one ledger."""

    UTC = dt.UTC  # it is the clock, too

    @staticmethod
    def make():
        """Where a new ledger may lie, and what is to be deleted afterwards."""
        folder = Path(tempfile.mkdtemp())
        return str(folder / "budget.db"), folder

    @property
    def datetime(self):
        return self

    def now(self, zone):
        return self.moment

    @initialize(one=CAPS, two=CAPS)
    def open(self, one, two):
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(entries, "dt", self)
        self.moment = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
        self.address, self.folder = self.make()
        self.budgets = {"one": Counted(one, daily=False), "two": Counted(two, daily=True)}
        self.head, self.actor = None, "bob"
        self.reopen("bob")
        self.ledger.budget("one", rho=one * UNIT, unit="u", dataset="one")
        self.ledger.budget("two", rho=two * UNIT, unit="u", dataset="two", window="1d", actor_caps={"ada": 0.5})

    def teardown(self):
        if hasattr(self, "address"):
            result = verify(self.ledger, self.head)
            assert {name: (state.spent, state.cap) for name, state in result.budgets.items()} == {
                name: (sum(p.cost for p in b.paid.values()), b.cap) for name, b in self.budgets.items()
            }
            self.ledger.close()
            assert verify(self.address, self.head) == result
            self.patch.undo()
            if self.folder:
                shutil.rmtree(self.folder)

    @rule(actor=ACTORS)
    def reopen(self, actor):
        if hasattr(self, "ledger"):
            self.ledger.close()
        self.ledger, self.actor = Ledger(self.address, actor=actor), actor

    @rule(minutes=st.sampled_from([-90, -5, 0, 1, 5, 300, 24 * 60, 10 * 24 * 60]))
    def wait(self, minutes):
        """Also backwards, as clocks do."""
        self.moment += dt.timedelta(minutes=minutes)

    @rule(cost=COSTS, name=NAMES)
    def crash(self, cost, name):
        """The program ends between what it wrote and the commit, and its connection with it: nothing of it remains."""
        head = self.ledger.head()
        with pytest.raises(Crash):
            self._spend_and_end(name, cost)
        self.ledger.store._connection.close()
        self.ledger = Ledger(self.address, actor=self.actor)
        assert self.ledger.head() == head

    def _spend_and_end(self, name, cost):
        with self.ledger.store.write() as transaction:
            transaction.append(stamped("reserve", name, "model", units=cost))
            tables.set_spent(transaction.connection, name, str(10**6 + cost))
            raise Crash

    @rule()
    def publish(self):
        self.head = self.ledger.head()

    @rule(name=NAMES, cap=st.integers(1, 150))
    def amend(self, name, cap):
        counted = self.budgets[name]
        budget = self.ledger.budget(name)
        if cap == counted.cap or cap < counted.spent(self.moment):
            with pytest.raises(BadArgument, match=r"already|has spent"):
                budget.amend(rho=cap * UNIT, reason="a test")
            return
        budget.amend(rho=cap * UNIT, reason="a test")
        counted.cap = cap

    @rule(name=NAMES, verdict=st.sampled_from(["consistent", "violated"]))
    def audit(self, name, verdict):
        self.ledger.budget(name).record_audit({"verdict": verdict, "claim": name})

    @rule(name=NAMES, wanted=PLANS)
    def reserve(self, name, wanted):
        budget, counted = self.ledger.budget(name), self.budgets[name]
        known = {key: (paid.question, paid.cost) for key, paid in counted.paid.items()}
        new, reason = {}, None
        for key, question, cost in wanted:
            if known.get(key, new.setdefault(key, (question, cost))) != (question, cost):
                reason = KeyReused
            if key in known:
                new.pop(key, None)
        if not reason and new and counted.daily and counted.newest - self.moment > dt.timedelta(minutes=5):
            reason = LedgerError
        elif not reason and sum(cost for _, cost in new.values()) > counted.left(self.moment, self.actor):
            reason = BudgetExceeded
        if reason:
            with pytest.raises(reason):
                budget.reserve([plan(*each) for each in wanted])
            return
        held = budget.reserve([plan(*each) for each in wanted])
        if new:
            counted.day, counted.newest = counted.window(self.moment), max(counted.newest, self.moment)
        for (key, question, cost), reservation in zip(wanted, held, strict=True):
            assert reservation.replayed == (key in known)
            counted.paid.setdefault(key, Paid(question, cost, counted.day, self.actor))
            answers = {i: stored.body for i, stored in reservation.answers.items()}
            assert answers == counted.paid[key].answers
            counted.held[key] = reservation

    @precondition(lambda self: any(b.paid for b in self.budgets.values()))
    @rule(data=st.data(), index=st.integers(0, 2), body=st.integers())
    def commit(self, data, index, body):
        name, key = self.some(data)
        answer = Answer(self.budgets[name].held[key], index, f"round {index}", body)
        [stored] = self.ledger.budget(name).commit([answer])
        assert stored == self.budgets[name].paid[key].answers.setdefault(index, body)

    @precondition(lambda self: any(b.paid for b in self.budgets.values()))
    @rule(data=st.data())
    def commit_another_round(self, data):
        name, key = self.some(data)
        for index in self.budgets[name].paid[key].answers:
            with pytest.raises(LedgerError):
                self.ledger.budget(name).commit([Answer(self.budgets[name].held[key], index, "another", 0)])

    @precondition(lambda self: any(b.paid for b in self.budgets.values()))
    @rule(data=st.data())
    def release(self, data):
        name, _ = self.some(data)
        counted, budget = self.budgets[name], self.ledger.budget(name)
        keys = data.draw(st.lists(st.sampled_from(sorted(counted.paid)), min_size=1, unique=True))
        held = [counted.held[key] for key in keys]
        if any(counted.paid[key].answers for key in keys):
            with pytest.raises(LedgerError):
                budget.release(held, "not asked")
            return
        budget.release(held, "not asked")
        for key in keys:
            del counted.paid[key]
            with pytest.raises(LedgerError):
                budget.commit([Answer(counted.held.pop(key), 0, "late", 0)])

    def some(self, data):
        """A budget and a key in it."""
        name = data.draw(st.sampled_from([n for n, b in self.budgets.items() if b.paid]))
        return name, data.draw(st.sampled_from(sorted(self.budgets[name].paid)))

    @invariant()
    def the_balance_is_the_models(self):
        for name, counted in getattr(self, "budgets", {}).items():
            budget = self.ledger.budget(name)
            assert budget.cap == counted.cap
            assert budget.total.units == sum(p.cost for p in counted.paid.values())
            assert budget.spent.units == counted.spent(self.moment)
            assert budget.remaining.units == counted.left(self.moment, self.actor)
            assert {row["key"] for row in budget.total.queries} == set(counted.paid)
            shown = {k for k, p in counted.paid.items() if not counted.daily or p.window == counted.window(self.moment)}
            assert {row["key"] for row in budget.spent.queries} == shown


class ModelOnServer(Model):
    """The same on a server, which the test below provides."""

    server = None

    @classmethod
    def make(cls):
        return cls.server.schema(), None


class TestInFile(Model.TestCase):
    settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


class TestOnServer(ModelOnServer.TestCase):
    settings = settings(max_examples=15, stateful_step_count=20, deadline=None)

    @pytest.fixture(autouse=True)
    def _server(self, server):
        ModelOnServer.server = server
