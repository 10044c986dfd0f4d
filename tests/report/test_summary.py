"""What is left, who spent it, on what: recomputed from the raw entries, and from the ledger's own balances."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fedanalytics as fa
from fedanalytics.errors import BadArgument
from fedanalytics.ledger import Answer
from fedanalytics.report import accounts, standing, totals
from fedanalytics.report.columns import columns_of, said
from fedanalytics.report.sharing import shared
from fedanalytics.report.spends import ANSWERED, RETURNED, WAITING
from fedanalytics.report.summary import BY, NO_COLUMN, since

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
STEPS = st.lists(st.tuples(st.sampled_from(["pay", "answer", "return"]), st.integers(1, 9)), max_size=25)


def test_balances_are_those_of_the_verification(lived_book):
    verified = lived_book.verification.budgets
    ours = lived_book.accounts.by_name
    assert list(ours) == list(verified) == ["sensors", "shares", "reports"]
    for name, state in verified.items():
        assert (ours[name].cap, ours[name].spent) == (state.cap, state.spent)
        assert sum(spend.paid for spend in ours[name].spends) == state.spent


@given(STEPS)
def test_any_history_adds_up(a_plan, steps):
    with fa.Ledger(":memory:") as ledger:
        budget, held, answered = ledger.budget("b", epsilon=10.0, delta=1e-6), [], set()
        for i, (what, n) in enumerate(steps):
            if what == "pay":
                held += budget.reserve([a_plan(f"k{i}", noise=100.0 * n)])
            waiting = [one for one in held if one.id not in answered]
            if what == "answer" and waiting:
                budget.commit([Answer(waiting[n % len(waiting)], 0, "d" * 64, 1)])
                answered.add(waiting[n % len(waiting)].id)
            if what == "return" and waiting:
                budget.release([waiting[n % len(waiting)]], "nobody was asked")
                held.remove(waiting[n % len(waiting)])
        account = accounts(ledger.entries()).by_name["b"]
        spent, rows = budget.spent, {row["seq"]: row for row in budget.spent.queries}
    assert account.spent == spent.units == account.steps[-1].spent
    assert [step.time for step in account.steps] == sorted(step.time for step in account.steps)
    left = [spend for spend in account.spends if spend.state != RETURNED]
    assert {spend.seq: spend.units for spend in left} == {seq: row["units"] for seq, row in rows.items()}
    assert {spend.seq for spend in left if spend.state == ANSWERED} == {
        seq for seq, row in rows.items() if row["state"] == "committed"
    }
    for by in ("actor", "kind", "day"):
        assert sum(total.units for total in totals(account.spends, by)) == spent.units


def test_states(ledger, a_plan, pay):
    pay(ledger.budget("b", rho=1.0), [a_plan(str(i)) for i in range(4)], unanswered=1, returned=1)
    account = accounts(ledger.entries()).by_name["b"]
    assert [spend.state for spend in account.spends] == [ANSWERED, ANSWERED, WAITING, RETURNED]
    assert standing(account, NOW).waiting == 1


def test_totals_are_those_of_the_raw_entries(lived, lived_book):
    with fa.Ledger(lived[0]) as ledger:
        paid = [entry.body for entry in ledger.entries() if entry.body["type"] == "reserve"]
    for name, account in lived_book.accounts.by_name.items():
        own = [body for body in paid if body["budget"] == name]
        for by, field in (("actor", "actor"), ("day", "time")):
            expected = Counter()
            for body in own:
                expected[body[field][:10] if by == "day" else body[field]] += body["units"]
            assert {total.name: total.units for total in totals(account.spends, by)} == expected
        kinds = Counter(body["question"]["query"]["is"] for body in own)
        assert {total.name: total.questions for total in totals(account.spends, "kind")} == kinds
        most = [total.units for total in totals(account.spends, "actor")]
        assert most == sorted(most, reverse=True)


def test_a_question_of_two_columns_counts_under_both(lived_book):
    found = {total.name: total.questions for total in totals(lived_book.accounts.by_name["sensors"].spends, "column")}
    assert found == {"temp": 7, "hour": 1, "region": 1, NO_COLUMN: 2}


@pytest.mark.parametrize(
    ("query", "columns", "words"),
    [
        ({"is": "Count", "where": None}, (), "Count"),
        ({"is": "Mean", "column": "temp", "per_client": 'max("temp") - min(low)'}, ("low", "temp"), "Mean of temp"),
        ({"is": "Mean", "column": "a b", "by": "month(day)"}, ("a b", "day"), "Mean of a b by month(day)"),
        ({"is": "Count", "where": "getenv('HOME') = 1"}, (), "Count where getenv('HOME') = 1"),
        ({"is": "Together", "queries": [{"column": "a"}, {"column": "b"}]}, ("a", "b"), "Together of a, b"),
        ({"is": "Traced", "name": "mine", "bindings": {"x": "avg(t)", "y": 3}}, ("t",), "mine of t"),
        ({"is": "Count", "where": "x = " + "(" * 900}, (), "Count where x = " + "(" * 900),
        ({}, (), "(no name)"),
    ],
)
def test_what_a_question_reads_and_says(query, columns, words):
    assert columns_of({"query": query, "shares": ["1"]}) == columns
    assert said({"query": query, "shares": ["1"]}) == words


@pytest.mark.parametrize("question", [None, [], "x", 3, {"query": 3}, {"query": {"column": ["a"], "where": 7}}])
def test_a_question_that_is_none_says_nothing(question):
    assert columns_of(question) == ()
    assert said(question) == "(no name)"


def test_since(lived_book):
    spends = lived_book.accounts.spends
    assert since(spends, None) == spends
    assert since(spends, spends[5].time)[0].time == spends[5].time
    assert since(spends, spends[-1].time + dt.timedelta(seconds=1)) == []


def test_an_unknown_sum_names_those_there_are():
    with pytest.raises(BadArgument, match=r"by='colum' is unknown, did you mean 'column'\?; choose from actor, kind"):
        totals([], "colum")
    assert set(BY) == {"actor", "kind", "column", "day"}


def test_entries_of_other_kinds_are_counted_and_passed_over(ledger, a_plan, pay):
    pay(ledger.budget("b", rho=1.0), [a_plan("k")])
    entries = list(ledger.entries())
    seq = len(entries)
    strange = [
        {"type": "window", "budget": "b"},
        {"type": "window", "budget": "b"},
        {"type": "amend", "budget": "b", "cap": 2 * 10**12, "epsilon": None, "rho": 2.0, "actor": "a", "reason": "r"},
        {"type": "amend", "budget": "nobody's", "cap": 1},
        {"type": "amend", "budget": "b", "window": "P1M"},
        {"type": "audit", "budget": "b", "report": {"verdict": "consistent"}},
        {"type": "reserve", "budget": "b"},
        {"type": "commit", "budget": "b", "reservation": "none"},
        {},
    ]
    entries += [replace(entries[-1], seq=seq + i, body=body) for i, body in enumerate(strange, start=1)]
    found = accounts(entries)
    assert found.passed_over == {"window": 2}
    assert found.unreadable == tuple(seq + i for i in (4, 5, 7, 8, 9))
    assert [entry.seq for entry in found.audits] == [seq + 6]
    account = found.by_name["b"]
    assert (account.cap, account.spent) == (2 * 10**12, account.spends[0].units)
    assert standing(account, NOW).cap == "rho = 2"


def test_a_cap_that_was_changed_says_by_whom_and_why(ledger):
    budget = ledger.budget("b", epsilon=1.0, delta=1e-6)
    budget.amend(epsilon=2.0, reason="a second season")
    account = accounts(ledger.entries()).by_name["b"]
    now = standing(account, NOW)
    assert (now.epsilon, account.cap, account.terms.amended) == (2.0, budget.cap, 1)
    [one] = account.amendments
    assert (one.seq, one.actor, one.reason) == (2, "ada", "a second season")
    assert (one.before, one.after) == ("epsilon=1.0, delta=1e-06", "epsilon=2.0, delta=1e-06")


def test_budgets_of_the_same_people(ledger):
    people = {"unit": "sensor", "dataset": "d"}
    ledger.budget("one", epsilon=1.0, delta=1e-6, overlap=True, **people)
    ledger.budget("two", epsilon=2.0, delta=1e-7, overlap=True, **people)
    ledger.budget("alone", epsilon=9.0, unit="sensor", dataset="e")
    ledger.budget("north", epsilon=4.0, overlap=True, group=("region", "north"), **people)
    ledger.budget("south", epsilon=5.0, overlap=True, group=("region", "south"), **people)
    [found] = shared(account.terms for account in accounts(ledger.entries()).by_name.values())
    assert found.budgets == ("one", "two", "north", "south")
    assert (found.epsilon, found.delta) == (8.0, pytest.approx(1.1e-6))
    ledger.budget("rho", rho=1.0, overlap=True, **people)
    [found] = shared(account.terms for account in accounts(ledger.entries()).by_name.values())
    assert (found.epsilon, found.why) == (None, "not all of them are capped in ε")
    ledger.budget("other", epsilon=1.0, relation="replace-one", overlap=True, **people)
    [found] = shared(account.terms for account in accounts(ledger.entries()).by_name.values())
    assert found.why == "they hold under different neighbouring relations"
