"""Reserve, commit, release: charged first, charged once, all or nothing."""

from __future__ import annotations

import math
from fractions import Fraction

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument, BudgetExceeded, KeyReused, LedgerError, NotPrivate
from fedanalytics.ledger import Answer, Ledger, Plan, Reservation, verify
from fedanalytics.privacy import units
from fedanalytics.privacy.events import Composed, DiscreteLaplace, Exact, Gaussian, NoOp
from fedanalytics.privacy.relations import Relation


@pytest.fixture
def budget(ledger):
    return ledger.budget("aircraft", rho=0.01, delta=1e-6, unit="tailnum", dataset="flights")


def test_a_reservation_is_a_receipt(budget, ledger, pay):
    plan = pay("monday")
    [held] = budget.reserve([plan])
    *_, entry = ledger.entries()
    assert (held.key, held.digest, held.seq, held.hash) == ("monday", plan.digest, entry.seq, entry.hash)
    assert not held.replayed
    assert held.answers == {}
    assert ledger.head() == entry.head
    assert entry.body["question"] == {"is": "Mean", "column": "temp", "bounds": [0.0, 110.0]}
    assert entry.body["event"] == plan.event.to_json()
    assert (entry.body["units"], entry.body["trust"], entry.body["reservation"]) == (10**9, "central", held.id)
    assert (entry.body["unit"], entry.body["dataset"]) == ("tailnum", "flights")


def test_the_amounts_add_up(budget, pay):
    budget.reserve([pay("a", 10**9), pay("b", 2 * 10**9)])
    spent, left = budget.spent, budget.remaining
    assert (spent.units, left.units) == (3 * 10**9, 7 * 10**9)
    assert (spent.rho, left.rho) == (0.003, 0.007)
    assert spent.epsilon < left.epsilon
    assert (spent.delta, left.queries) == (1e-6, ())


def test_the_same_key_is_paid_once_and_gives_the_stored_answers(budget, pay):
    [first] = budget.reserve([pay("monday")])
    budget.commit([Answer(first, 0, "d0", [1.5, None]), Answer(first, 1, "d1", {"x": "é"})])
    [again] = budget.reserve([pay("monday")])
    assert again.replayed
    assert (again.id, again.seq, again.hash) == (first.id, first.seq, first.hash)
    assert {i: (a.digest, a.body) for i, a in again.answers.items()} == {0: ("d0", [1.5, None]), 1: ("d1", {"x": "é"})}
    assert budget.spent.units == 10**9


def test_one_key_twice_in_a_call_is_paid_once(budget, pay):
    one, two = budget.reserve([pay("k"), pay("k")])
    assert one == two
    assert budget.spent.units == 10**9
    with pytest.raises(KeyReused, match="in this call"):
        budget.reserve([pay("new"), pay("new", column="wind")])
    assert budget.spent.units == 10**9


def test_a_study_may_grow(budget, pay):
    budget.reserve([pay("a")])
    again, new = budget.reserve([pay("a"), pay("b")])
    assert (again.replayed, new.replayed) == (True, False)
    assert budget.spent.units == 2 * 10**9


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"column": "wind"}, 'question.column was "temp", now "wind"'),
        ({"units": 2 * 10**9}, "units was 1000000000, now 2000000000"),
        ({"trust": "local"}, 'trust was "central", now "local"'),
    ],
)
def test_a_key_stands_for_one_question_at_one_cost(budget, pay, changed, said):
    [held] = budget.reserve([pay("monday")])
    with pytest.raises(KeyReused) as caught:
        budget.reserve([pay("fresh"), pay("monday", **changed)])
    assert said in str(caught.value)
    assert "'monday'" in str(caught.value)
    assert f"entry {held.seq}" in str(caught.value)
    assert budget.spent.units == 10**9


def test_long_values_are_cut_in_messages(budget, pay):
    budget.reserve([pay("k")])
    with pytest.raises(KeyReused) as caught:
        budget.reserve([pay("k", column="c" * 5000)])
    assert len(str(caught.value)) < 500


def test_keys_of_other_budgets_do_not_meet(ledger, pay):
    for name in ("one", "two"):
        [held] = ledger.budget(name, rho=1).reserve([pay("monday")])
        assert not held.replayed


class TestExceeded:
    def test_says_what_was_asked_what_is_left_and_what_fits(self, budget, pay):
        budget.reserve([pay("a", 9 * 10**9)])
        with pytest.raises(BudgetExceeded) as caught:
            budget.reserve([pay("b", 10**9), pay("c", 10**9)])
        text = str(caught.value)
        assert "requested rho=0.002" in text
        assert "remaining rho=0.001" in text
        assert "largest cost that fits is rho=0.001 (epsilon=0.1" in text
        assert "delta=1e-06" in text

    def test_writes_nothing(self, budget, ledger, pay):
        head = ledger.head()
        with pytest.raises(BudgetExceeded):
            budget.reserve([pay("small", 1), pay("large", 10**10)])
        assert ledger.head() == head
        assert budget.spent.units == 0
        assert not budget.reserve([pay("small", 1)])[0].replayed

    def test_an_empty_budget_says_so(self, ledger, pay):
        budget = ledger.budget("a", rho=0.001)
        budget.reserve([pay("a")])
        with pytest.raises(BudgetExceeded, match="nothing is left") as caught:
            budget.reserve([pay("b", 1)])
        assert "epsilon" not in str(caught.value)
        assert budget.reserve([pay("a")])[0].replayed
        assert budget.reserve([]) == ()

    @settings(max_examples=60, deadline=None)
    @given(st.integers(1, 10**18), st.integers(0, 10**18))
    def test_the_cost_that_it_names_is_admitted(self, cap, spent):
        spent = spent % cap
        with Ledger(":memory:") as ledger:
            budget = ledger.budget("a", rho=Fraction(cap, 10**12))
            budget.reserve([Plan("spent", {}, NoOp(), spent, "central")])
            with pytest.raises(BudgetExceeded) as caught:
                budget.reserve(
                    [Plan("much", {}, NoOp(), budget.cap, "central"), Plan("more", {}, NoOp(), 1, "central")]
                )
            rho = float(str(caught.value).split("fits is rho=")[1].split(". Nothing")[0])
            cost = units.floored(rho)
            assert cost <= budget.remaining.units <= cost * (1 + 1e-15) + 1
            budget.reserve([Plan("fits", {}, NoOp(), cost, "central")])


class TestAnEventIsNeverChargedLess:
    @pytest.mark.parametrize("event", [Gaussian(10.0), DiscreteLaplace(3.0), Composed((Gaussian(10.0), Gaussian(7.0)))])
    def test_than_it_costs(self, ledger, event):
        price = math.ceil(event.rho * 10**12)
        budget = ledger.budget("a", rho=1)
        with pytest.raises(BadArgument, match=f"costs {price}"):
            budget.reserve([Plan("k", {}, event, price - 1, "central")])
        budget.reserve([Plan("k", {}, event, price, "central")])
        assert budget.spent.units == price

    def test_and_an_exact_release_has_no_price(self, budget):
        with pytest.raises(NotPrivate):
            budget.reserve([Plan("k", {}, Exact(), 10**12, "central")])

    @pytest.mark.parametrize("plan", [("", 1), (" ", 1), (3, 1), ("k", -1), ("k", 1.5), ("k", True)])
    def test_and_a_plan_has_a_key_and_whole_units(self, plan):
        with pytest.raises(BadArgument):
            Plan(plan[0], {}, NoOp(), plan[1], "central")

    def test_under_another_relation(self, ledger, pay):
        budget = ledger.budget("a", rho=1, relation=Relation.REPLACE_ONE)
        with pytest.raises(BadArgument, match=r"add-or-remove-one.*replace-one"):
            budget.reserve([pay("k")])
        inner = Composed((Gaussian(10.0, Relation.REPLACE_ONE), Gaussian(10.0, Relation.ZERO_OUT)))
        with pytest.raises(BadArgument, match="zero-out"):
            budget.reserve([Plan("k", {}, inner, 10**12, "central")])
        budget.reserve([pay("k", relation=Relation.REPLACE_ONE), Plan("n", {}, NoOp(), 0, "central")])
        assert budget.spent.units == 10**9

    def test_a_key_that_is_no_text_is_refused_and_nothing_reserved(self, budget, pay):
        with pytest.raises(BadArgument, match="half a character"):
            budget.reserve([pay("fine"), pay("\ud800")])
        assert budget.spent.units == 0


CAPS = [1, 0.1, 0.3, 1 / 3, 0.024356, 1e-9, 7e-4, 123.456, 1e6, 2**-20, math.pi, Fraction(1, 7), Fraction(10, 3)]


@pytest.mark.parametrize("cap", CAPS)
def test_k_costs_of_a_kth_are_all_granted(cap):
    with Ledger(":memory:") as ledger:
        for k in range(1, 301):
            if Fraction(cap) / k * 10**12 < 1:
                continue
            budget = ledger.budget(f"{k}", rho=cap)
            cost = units.floored(cap / k)
            earlier = Plan("all but the last", {}, NoOp(), (k - 1) * cost, "central")
            budget.reserve([earlier, Plan("the last", {}, NoOp(), cost, "central")])
            assert 0 <= budget.remaining.units < k + 1 + budget.cap * 2**-49


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-8, 1e9), st.integers(1, 300) | st.just(300))
def test_k_costs_of_a_kth_of_any_cap_are_all_granted(cap, k):
    with Ledger(":memory:") as ledger:
        budget = ledger.budget("a", rho=cap)
        cost = units.floored(cap / k)
        for i in range(0, k, 50):
            budget.reserve([Plan(f"{j}", {}, NoOp(), cost, "central") for j in range(i, min(i + 50, k))])
        assert budget.spent.units == k * cost
        with pytest.raises(BudgetExceeded):
            budget.reserve([Plan("one more", {}, NoOp(), budget.remaining.units + 1, "central")])


class TestCommit:
    def test_the_first_of_two_runs_wins(self, budget, pay):
        [held] = budget.reserve([pay("k")])
        [other] = budget.reserve([pay("k")])
        assert budget.commit([Answer(held, 0, "d", [1.0])]) == ([1.0],)
        assert budget.commit([Answer(other, 0, "d", [2.0]), Answer(other, 1, "e", [3.0])]) == ([1.0], [3.0])
        assert budget.commit([Answer(held, 1, "e", [4.0])]) == ([3.0],)

    def test_a_resumed_query_asks_identical_rounds(self, budget, ledger, pay):
        [held] = budget.reserve([pay("k")])
        budget.commit([Answer(held, 0, "d", 1)])
        with pytest.raises(LedgerError, match="identical rounds"):
            budget.commit([Answer(held, 1, "fresh", 2), Answer(held, 0, "other", 1)])
        assert budget.reserve([pay("k")])[0].answers.keys() == {0}

    def test_only_what_was_paid_here_is_answered(self, budget, ledger, pay):
        [held] = budget.reserve([pay("k")])
        stranger = Reservation("ff" * 16, "k", held.digest, held.seq, held.hash)
        with pytest.raises(LedgerError, match="holds no reservation"):
            budget.commit([Answer(stranger, 0, "d", 1)])
        with pytest.raises(LedgerError, match="'other' holds no reservation"):
            ledger.budget("other", rho=1).commit([Answer(held, 0, "d", 1)])

    def test_answers_come_back_as_json(self, budget, pay):
        import numpy as np

        [held] = budget.reserve([pay("k")])
        [body, again] = budget.commit([Answer(held, 0, "d", (1, 2.5)), Answer(held, 1, "d", np.arange(2.0))])
        assert body == [1, 2.5]
        assert again == {"dtype": "float64", "values": [0.0, 1.0]}
        with pytest.raises(BadArgument, match="canonical"):
            budget.commit([Answer(held, 2, "d", object())])

    def test_the_entry_holds_the_hash_and_not_the_answer(self, budget, ledger, pay):
        [held] = budget.reserve([pay("k")])
        budget.commit([Answer(held, 0, "d", [123456.789])])
        *_, entry = ledger.entries()
        assert entry.body["type"] == "commit"
        assert entry.body["reservation"] == held.id
        assert "123456" not in str(entry.body)
        assert budget.commit([]) == ()


class TestRelease:
    def test_gives_back_and_frees_the_key(self, budget, ledger, pay):
        held = budget.reserve([pay("a"), pay("b")])
        budget.release(held, "no client was asked")
        assert budget.spent.units == 0
        assert budget.spent.queries == ()
        [again] = budget.reserve([pay("a", column="wind")])
        assert not again.replayed
        assert verify(ledger).budgets["aircraft"].spent == 10**9
        assert [e.body["type"] for e in ledger.entries()] == [
            "open",
            "reserve",
            "reserve",
            "release",
            "release",
            "reserve",
        ]

    def test_not_after_an_answer_and_then_none_of_them(self, budget, pay):
        held = budget.reserve([pay("a"), pay("b")])
        budget.commit([Answer(held[1], 0, "d", 1)])
        with pytest.raises(LedgerError, match="stays spent"):
            budget.release(held, "no client was asked")
        assert budget.spent.units == 2 * 10**9

    def test_not_twice_and_not_answered_after(self, budget, pay):
        held = budget.reserve([pay("a")])
        budget.release(held, "no client was asked")
        with pytest.raises(LedgerError, match="it was released"):
            budget.release(held, "again")
        with pytest.raises(LedgerError, match="it was released"):
            budget.commit([Answer(held[0], 0, "d", 1)])
        budget.reserve([pay("a")])
        with pytest.raises(LedgerError, match="it was released"):
            budget.commit([Answer(held[0], 0, "d", 1)])

    def test_not_without_a_reason(self, budget, pay):
        with pytest.raises(BadArgument, match="reason="):
            budget.release(budget.reserve([pay("a")]), "")


def test_the_rows_of_a_budget(budget, ledger, pay):
    held = budget.reserve([pay("a"), pay("b", 2 * 10**9)])
    budget.commit([Answer(held[0], 0, "d", 1)])
    nested = Plan("c", {"query": {"is": "Count", "where": None}, "shares": ["1"]}, NoOp(), 0, "central")
    budget.reserve([nested, Plan("d", {}, NoOp(), 0, "central")])
    before = budget.spent
    rows = before.queries
    assert [(r["key"], r["query"], r["units"], r["rho"], r["state"]) for r in rows] == [
        ("a", "Mean", 10**9, 0.001, "committed"),
        ("b", "Mean", 2 * 10**9, 0.002, "open"),
        ("c", "Count", 0, 0.0, "open"),
        ("d", "", 0, 0.0, "open"),
    ]
    assert [(r["seq"], r["actor"]) for r in rows] == [(2, "ada"), (3, "ada"), (5, "ada"), (6, "ada")]
    table = before.to_pandas()
    assert list(table.columns) == ["seq", "key", "time", "actor", "query", "units", "rho", "epsilon", "state"]
    assert table["units"].sum() == before.units
    assert list(budget.remaining.to_pandas().columns) == list(table.columns)
    assert isinstance(table, pd.DataFrame)


def test_an_amount_shows_what_it_counted(budget, pay):
    budget.reserve([pay("a")])
    earlier = budget.spent
    budget.reserve([pay("b")])
    assert [row["key"] for row in earlier.queries] == ["a"]
    assert earlier.units == sum(row["units"] for row in earlier.queries)


def test_amounts_beyond_64_bits_are_exact(place):
    with Ledger(place) as ledger:
        budget = ledger.budget("huge", rho=1e18)
        budget.reserve([Plan("k", {}, NoOp(), 10**30 - 1, "central"), Plan("l", {}, NoOp(), 1, "central")])
        assert budget.remaining.units == budget.cap - 10**30
        assert verify(ledger).budgets["huge"].spent == 10**30
