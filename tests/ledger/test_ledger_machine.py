"""Any order of reserving, answering, releasing, crashing and retrying, against a model in exact fractions."""

from __future__ import annotations

import shutil
import tempfile
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fedanalytics.errors import BudgetExceeded, KeyReused, LedgerError
from fedanalytics.ledger import Answer, Ledger, Plan, tables, verify
from fedanalytics.ledger.entries import stamped
from fedanalytics.privacy.events import NoOp

UNIT = Fraction(1, 10**12)
KEYS = st.sampled_from(["a", "b", "c", "d", "e"])
QUESTIONS = st.sampled_from(["Mean", "Count"])
COSTS = st.integers(0, 40)
PLANS = st.lists(st.tuples(KEYS, QUESTIONS, COSTS), max_size=3)
NAMES = st.sampled_from(["one", "two"])


def plan(key: str, question: str, cost: int) -> Plan:
    return Plan(key, {"is": question}, NoOp(), cost, "central")


class Crash(Exception):  # no error of ours
    """The end of a program."""


class Model(RuleBasedStateMachine):
    """Two budgets in one ledger; `paid[name][key]` is (question, cost, answers)."""

    @staticmethod
    def make():
        """Where a new ledger may lie, and what is to be deleted afterwards."""
        folder = Path(tempfile.mkdtemp())
        return str(folder / "budget.db"), folder

    @initialize(caps=st.tuples(st.integers(1, 100), st.integers(1, 100)))
    def open(self, caps):
        self.address, self.folder = self.make()
        self.caps = dict(zip(["one", "two"], (cap * UNIT for cap in caps), strict=True))
        self.paid = {name: {} for name in self.caps}
        self.held = {name: {} for name in self.caps}
        self.head = None
        self.reopen()
        for name, cap in self.caps.items():
            self.ledger.budget(name, rho=cap, unit="u", dataset=name)

    def teardown(self):
        if hasattr(self, "address"):
            result = verify(self.ledger, self.head)
            assert {name: state.spent * UNIT for name, state in result.budgets.items()} == {
                name: self.spent(name) for name in self.caps
            }
            self.ledger.close()
            assert verify(self.address, self.head) == result
            if self.folder:
                shutil.rmtree(self.folder)

    def spent(self, name):
        return sum((cost * UNIT for _, cost, _ in self.paid[name].values()), Fraction(0))

    @rule()
    def reopen(self):
        if hasattr(self, "ledger"):
            self.ledger.close()
        self.ledger = Ledger(self.address, actor="model")

    @rule(cost=COSTS, name=NAMES)
    def crash(self, cost, name):
        """The program ends between what it wrote and the commit, and its connection with it: nothing of it remains."""
        head = self.ledger.head()
        with pytest.raises(Crash):
            self._spend_and_end(name, cost)
        self.ledger.store._connection.close()
        self.ledger = Ledger(self.address, actor="model")
        assert self.ledger.head() == head

    def _spend_and_end(self, name, cost):
        with self.ledger.store.write() as transaction:
            transaction.append(stamped("reserve", name, "model", units=cost))
            tables.set_spent(transaction.connection, name, 10**6 + cost)
            raise Crash

    @rule()
    def publish(self):
        self.head = self.ledger.head()

    @rule(name=NAMES, wanted=PLANS)
    def reserve(self, name, wanted):
        budget, paid = self.ledger.budget(name), self.paid[name]
        known = {key: value[:2] for key, value in paid.items()}
        new = {}
        for key, question, cost in wanted:
            if known.get(key, new.setdefault(key, (question, cost))) != (question, cost):
                with pytest.raises(KeyReused):
                    budget.reserve([plan(*each) for each in wanted])
                return
            if key in known:
                new.pop(key, None)
        if self.spent(name) + sum(cost for _, cost in new.values()) * UNIT > self.caps[name]:
            with pytest.raises(BudgetExceeded):
                budget.reserve([plan(*each) for each in wanted])
            return
        held = budget.reserve([plan(*each) for each in wanted])
        for (key, question, cost), reservation in zip(wanted, held, strict=True):
            assert reservation.replayed == (key in known)
            paid.setdefault(key, (question, cost, {}))
            assert {i: stored.body for i, stored in reservation.answers.items()} == paid[key][2]
            self.held[name][key] = reservation

    @precondition(lambda self: any(self.paid.values()))
    @rule(data=st.data(), index=st.integers(0, 2), body=st.integers())
    def commit(self, data, index, body):
        name = data.draw(st.sampled_from([n for n in self.paid if self.paid[n]]))
        key = data.draw(st.sampled_from(sorted(self.paid[name])))
        answers = self.paid[name][key][2]
        [stored] = self.ledger.budget(name).commit([Answer(self.held[name][key], index, f"round {index}", body)])
        assert stored == answers.setdefault(index, body)

    @precondition(lambda self: any(self.paid.values()))
    @rule(data=st.data())
    def commit_another_round(self, data):
        name = data.draw(st.sampled_from([n for n in self.paid if self.paid[n]]))
        key = data.draw(st.sampled_from(sorted(self.paid[name])))
        for index in self.paid[name][key][2]:
            with pytest.raises(LedgerError):
                self.ledger.budget(name).commit([Answer(self.held[name][key], index, "another", 0)])

    @precondition(lambda self: any(self.paid.values()))
    @rule(data=st.data())
    def release(self, data):
        name = data.draw(st.sampled_from([n for n in self.paid if self.paid[n]]))
        keys = data.draw(st.lists(st.sampled_from(sorted(self.paid[name])), min_size=1, unique=True))
        held = [self.held[name][key] for key in keys]
        if any(self.paid[name][key][2] for key in keys):
            with pytest.raises(LedgerError):
                self.ledger.budget(name).release(held, "not asked")
            return
        self.ledger.budget(name).release(held, "not asked")
        for key in keys:
            del self.paid[name][key]
            with pytest.raises(LedgerError):
                self.ledger.budget(name).commit([Answer(self.held[name].pop(key), 0, "late", 0)])

    @invariant()
    def the_balance_is_the_models(self):
        if hasattr(self, "caps"):
            for name, cap in self.caps.items():
                budget = self.ledger.budget(name)
                assert budget.spent.units * UNIT == self.spent(name)
                assert budget.remaining.units * UNIT == cap - self.spent(name) >= 0
                assert {row["key"] for row in budget.spent.queries} == set(self.paid[name])


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
