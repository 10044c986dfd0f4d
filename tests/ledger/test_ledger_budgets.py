"""Opening, finding, binding: what a budget promises never changes."""

from __future__ import annotations

from fractions import Fraction

import pytest

from fedanalytics.errors import BadArgument
from fedanalytics.ledger import Ledger, verify
from fedanalytics.privacy import gdp, units, zcdp
from fedanalytics.privacy.relations import Relation


@pytest.mark.parametrize("name", ["gdp", "zcdp"])
def test_a_cap_in_epsilon_is_the_largest_rho_that_implies_it(ledger, name):
    budget = ledger.budget("aircraft", epsilon=3.0, delta=1e-6, filter=name)
    largest = {"gdp": gdp.mu_of(3.0, 1e-6) ** 2 / 2, "zcdp": zcdp.rho_cap(3.0, 1e-6)}
    assert budget.cap == units.cap(largest[name])
    assert (budget.epsilon, budget.delta, budget.name) == (3.0, 1e-6, "aircraft")
    assert budget.relation is Relation.ADD_OR_REMOVE_ONE
    assert budget.remaining.epsilon == pytest.approx(3.0, rel=1e-9)
    assert budget.filter.epsilon_of(budget.cap, 1e-6) <= 3.0 * (1 + 1e-11)


@pytest.mark.parametrize("rho", [0.1, 1, Fraction(1, 3), 1e-12, 1e9])
def test_a_cap_in_rho_is_found_again(place, rho):
    with Ledger(place) as ledger:
        assert ledger.budget("a", rho=rho).cap == units.cap(rho)
    with Ledger(place) as ledger:
        assert ledger.budget("a", rho=rho).cap == ledger.budget("a").cap == units.cap(rho)
        assert ledger.budget("a").delta is None
        assert ledger.budget("a").remaining.epsilon is None
        assert verify(ledger).entries == 1


def test_the_open_entry_records_what_was_promised(ledger):
    ledger.budget("aircraft", rho=0.5, delta=1e-6, unit="tailnum", dataset="flights", relation=Relation.REPLACE_ONE)
    [entry] = ledger.entries()
    assert {k: entry.body[k] for k in ("type", "budget", "cap", "epsilon", "delta", "rho", "filter", "relation")} == {
        "type": "open",
        "budget": "aircraft",
        "cap": 5 * 10**11,
        "epsilon": None,
        "delta": 1e-6,
        "rho": 0.5,
        "filter": "zcdp",
        "relation": "replace-one",
    }
    assert (entry.body["unit"], entry.body["dataset"], entry.body["actor"]) == ("tailnum", "flights", "ada")
    assert entry.time.endswith("+00:00")
    assert len(entry.time) == len("2026-01-01T00:00:00.000000+00:00")


@pytest.mark.parametrize(
    ("arguments", "old", "new"),
    [
        ({"epsilon": 4.0, "delta": 1e-6}, "epsilon=3.0", "epsilon=4.0"),
        ({"epsilon": 3.0, "delta": 1e-5}, "delta=1e-06", "delta=1e-05"),
        ({"delta": 1e-5}, "delta=1e-06", "delta=1e-05"),
        ({"rho": 0.1}, "epsilon=3.0", "rho=0.1"),
        ({"unit": "pilot"}, "unit='tailnum'", "unit='pilot'"),
        ({"dataset": "other"}, "dataset='flights'", "dataset='other'"),
        ({"relation": Relation.ZERO_OUT}, "relation='replace-one'", "relation='zero-out'"),
        ({"relation": "zero-out"}, "relation='replace-one'", "relation='zero-out'"),
    ],
)
def test_a_budget_never_changes_silently(ledger, arguments, old, new):
    terms = {"unit": "tailnum", "dataset": "flights", "relation": Relation.REPLACE_ONE}
    ledger.budget("aircraft", epsilon=3.0, delta=1e-6, **terms)
    with pytest.raises(BadArgument) as caught:
        ledger.budget("aircraft", **arguments)
    assert old in str(caught.value)
    assert new in str(caught.value)
    assert ledger.budget("aircraft").relation is Relation.REPLACE_ONE
    assert ledger.head().seq == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "has no budget 'a'"),
        ({"delta": 1e-6}, "has no budget 'a'"),
        ({"epsilon": 1.0, "filter": "gdp"}, "holds a cap in epsilon and delta, got one in epsilon"),
        ({"epsilon": 1.0, "delta": 1e-6, "rho": 0.1}, "not both"),
        ({"epsilon": 0, "delta": 1e-6}, "epsilon="),
        ({"epsilon": float("nan"), "delta": 1e-6}, "epsilon="),
        ({"epsilon": 1.0, "delta": 1}, "delta="),
        ({"rho": -1}, "rho="),
        ({"rho": True}, "rho="),
        ({"rho": 1e-13}, "below the ledger's unit"),
        ({"rho": 1, "unit": ""}, "unit="),
        ({"rho": 1, "dataset": 3}, "dataset="),
        ({"rho": 1, "relation": "neighbours"}, "relation="),
    ],
)
def test_what_cannot_be_meant_is_refused(ledger, arguments, said):
    with pytest.raises(BadArgument, match=said):
        ledger.budget("a", **arguments)
    assert ledger.head().seq == 0
    assert ledger.budgets() == {}


def test_a_misspelt_name_gets_a_suggestion(ledger):
    ledger.budget("aircraft", rho=1)
    with pytest.raises(BadArgument, match="did you mean 'aircraft'"):
        ledger.budget("aircraf")
    with pytest.raises(BadArgument, match="name="):
        ledger.budget(" ")
    with pytest.raises(BadArgument, match="half a character"):
        ledger.budget("\ud800", rho=1)


def test_the_first_session_binds_and_later_ones_are_checked(place):
    with Ledger(place) as ledger:
        budget = ledger.budget("aircraft", rho=1)
        assert (budget.unit, budget.dataset) == (None, None)
        budget.bind(unit="tailnum", dataset="flights")
        assert (budget.unit, budget.dataset) == ("tailnum", "flights")
        budget.bind(unit="tailnum", dataset="flights")
        assert [e.body["type"] for e in ledger.entries()] == ["open", "bind"]
        with pytest.raises(BadArgument, match=r"dataset='flights', not dataset='weather'"):
            budget.bind(unit="tailnum", dataset="weather")
        with pytest.raises(BadArgument, match=r"unit='tailnum', not unit='pilot'"):
            budget.bind(unit="pilot", dataset="flights")
    with Ledger(place) as ledger:
        assert ledger.budget("aircraft", unit="tailnum").dataset == "flights"
        assert verify(ledger).entries == 2


def test_a_declared_unit_is_kept_and_the_dataset_filled_in(ledger):
    budget = ledger.budget("aircraft", rho=1, unit="tailnum")
    again = ledger.budget("aircraft", dataset="flights")
    assert (budget.unit, budget.dataset) == (again.unit, again.dataset) == ("tailnum", "flights")
    assert ledger.head().seq == 2


def test_two_handles_agree_after_one_bound(ledger):
    one, two = ledger.budget("a", rho=1), ledger.budget("a")
    assert two.unit is None
    one.bind(unit="u", dataset="d")
    assert (two.unit, two.dataset) == ("u", "d")


class TestSharedData:
    def test_is_refused_when_opened(self, ledger):
        ledger.budget("one", rho=1, unit="u", dataset="d")
        with pytest.raises(BadArgument, match=r"'two' shares the data of budget 'one'.*overlap=True"):
            ledger.budget("two", rho=1, unit="u", dataset="d")
        assert list(ledger.budgets()) == ["one"]

    def test_is_refused_when_bound(self, ledger):
        ledger.budget("one", rho=1, unit="u", dataset="d")
        two = ledger.budget("two", rho=1)
        with pytest.raises(BadArgument, match="both spend on the same people"):
            two.bind(unit="u", dataset="d")
        assert two.unit is None

    def test_the_advice_of_the_message_works(self, ledger):
        ledger.budget("one", rho=1, unit="u", dataset="d")
        two = ledger.budget("two", rho=1)
        with pytest.raises(BadArgument, match=r"pass overlap=True to ledger.budget\('two', ...\)"):
            two.bind(unit="u", dataset="d")
        ledger.budget("two", overlap=True).bind(unit="u", dataset="d")
        assert two.dataset == "d"
        assert verify(ledger).entries == 4

    def test_either_may_have_said_that_it_overlaps(self, ledger):
        ledger.budget("one", rho=1, unit="u", dataset="d", overlap=True)
        ledger.budget("two", rho=1, unit="u", dataset="d")
        with pytest.raises(BadArgument, match="shares the data of budget 'two'"):
            ledger.budget("three", rho=1, unit="u", dataset="d")
        assert verify(ledger).entries == 2

    def test_other_units_and_other_data_are_free(self, ledger):
        ledger.budget("one", rho=1, unit="u", dataset="d")
        ledger.budget("two", rho=1, unit="v", dataset="d")
        ledger.budget("three", rho=1, unit="u", dataset="e")
        ledger.budget("four", rho=1, unit="u")
        assert set(ledger.budgets()) == {"one", "two", "three", "four"}


def test_handles_and_ledgers_show_themselves(ledger, pay):
    budget = ledger.budget("aircraft", epsilon=3.0, delta=1e-6)
    budget.reserve([pay("k", 10**10)])
    assert repr(budget) == "Budget('aircraft', epsilon=3.0, delta=1e-06, spent rho=0.01 of 0.209775)"
    assert repr(ledger).startswith("Ledger('")
    assert repr(ledger.budgets()["aircraft"]) == repr(budget)
    assert repr(budget.spent).startswith("Amount(rho=0.01, epsilon=0.57")
