"""Caps of actors: what one name may spend of a budget, and what is said when it would be more."""

from __future__ import annotations

from fractions import Fraction

import pytest

from fedanalytics.errors import BadArgument, BudgetExceeded
from fedanalytics.ledger import Ledger, verify
from fedanalytics.privacy import gdp, units

CAPS = {"alice": 0.5, "bob": {"epsilon": 0.5}, "*": 0.1}


@pytest.fixture
def acting(place):
    """`acting(name)`: the budget as that actor has it."""
    opened = {}

    def as_(name, **terms):
        opened.setdefault(name, Ledger(place, actor=name))
        return opened[name].budget("team", **terms)

    yield as_
    for ledger in opened.values():
        ledger.close()


@pytest.fixture
def budget(acting):
    return acting("owner", epsilon=1.0, delta=1e-6, actor_caps=CAPS)


def test_a_share_and_an_amount_and_all_others(budget, acting, pay, place):
    cap = budget.cap
    half, amount = cap // 2, units.cap(Fraction(gdp.mu_of(0.5, 1e-6)) ** 2 / 2)
    for name, most in {"alice": half, "bob": amount, "carol": cap // 10, "dave": cap // 10}.items():
        mine = acting(name)
        assert mine.remaining.units == most
        mine.reserve([pay(f"{name} 1", most - 1)])
        with pytest.raises(BudgetExceeded, match=f"under the cap of actor '{name}' in it"):
            mine.reserve([pay(f"{name} 2", 2)])
        mine.reserve([pay(f"{name} 3", 1)])
        assert mine.remaining.units == 0
    assert verify(place).budgets["team"].spent == budget.spent.units == half + amount + 2 * (cap // 10)


def test_the_message_names_the_cap_and_the_largest_cost_that_fits(acting, pay, budget):
    alice = acting("alice")
    alice.reserve([pay("a", 14 * 10**9)])
    with pytest.raises(BudgetExceeded) as caught:
        alice.reserve([pay("b", 10**9)])
    assert str(caught.value) == (
        "budget 'team' (epsilon=1.0, delta=1e-06) cannot pay: requested rho=0.001, remaining rho=7.240956e-06 under "
        "the cap of actor 'alice' in it, 0.5 of the whole; the largest cost that fits is rho=7.240956e-06 (epsilon="
        "0.01182 at delta=1e-06). Nothing was spent"
    )
    bob = acting("bob")
    bob.reserve([pay("c", bob.remaining.units)])
    with pytest.raises(BudgetExceeded, match=r"under the cap of actor 'bob' in it, epsilon=0.5; nothing is left"):
        bob.reserve([pay("d", 1)])


def test_the_budgets_own_cap_holds_for_everybody(acting, pay):
    acting("owner", rho=1e-9, actor_caps={"alice": 0.75, "bob": 0.75})
    acting("alice").reserve([pay("a", 700)])
    with pytest.raises(BudgetExceeded, match=r"remaining rho=3e-10; the largest") as caught:
        acting("bob").reserve([pay("b", 301)])
    assert "actor" not in str(caught.value)
    acting("eve").reserve([pay("c", 300)])  # whom no cap names


def test_a_cap_of_nothing_keeps_strangers_out(acting, pay):
    acting("owner", rho=1, actor_caps={"alice": 1, "*": 0})
    acting("alice").reserve([pay("a")])
    with pytest.raises(BudgetExceeded, match=r"actor 'eve' in it, 0.0 of the whole; nothing is left"):
        acting("eve").reserve([pay("b")])
    assert acting("eve").reserve([pay("a")])[0].replayed  # what was paid may be read


def test_what_is_given_back_is_given_to_who_paid(acting, pay, place, budget):
    held = acting("alice").reserve([pay("a", 10**9)])
    acting("bob").release(held, "not asked")
    assert acting("alice").remaining.units == budget.cap // 2
    assert acting("bob").remaining.units == units.cap(Fraction(gdp.mu_of(0.5, 1e-6)) ** 2 / 2)
    assert verify(place).budgets["team"].spent == 0


def test_each_window_anew(acting, pay, clock, place):
    acting("owner", rho=1e-9, window="1d", actor_caps={"alice": 0.5})
    alice = acting("alice")
    for day in range(3):
        alice.reserve([pay(f"{day}", 500)])
        with pytest.raises(
            BudgetExceeded,
            match=r"actor 'alice' in it, 0.5 of the whole; nothing is left; the next window begins 2026-03-0",
        ):
            alice.reserve([pay("more", 1)])
        clock.forward(days=1)
    assert verify(place).budgets["team"].spent == 1500


def test_who_spent_what(acting, pay, budget):
    acting("alice").reserve([pay("a")])
    acting("carol").reserve([pay("c", 2 * 10**9)])
    found = {name: (spent.units, cap.units) for name, (spent, cap) in budget.actors.items()}
    cap = budget.cap
    assert found == {"alice": (10**9, cap // 2), "bob": (0, found["bob"][1]), "carol": (2 * 10**9, cap // 10)}


@pytest.mark.parametrize("k", [1, 3, 7, 49, 200])
@pytest.mark.parametrize("share", [0.5, 0.3, Fraction(1, 3), 1])
def test_k_costs_of_a_kth_of_a_share_are_all_granted(share, k, pay):
    with Ledger(":memory:", actor="alice") as ledger:
        budget = ledger.budget("b", rho=0.1, actor_caps={"alice": share})
        cost = units.floored(0.1 * float(share) / k)
        budget.reserve([pay(f"{i}", cost) for i in range(k)])
        assert 0 <= budget.remaining.units < k + 1


@pytest.mark.parametrize(
    ("caps", "said"),
    [
        ({}, "actor_caps= says how much"),
        ([("alice", 0.5)], "actor_caps= says how much"),
        ({"": 0.5}, "actor="),
        ({"alice": 1.5}, "a share of the budget's, from 0 to 1"),
        ({"alice": -0.5}, "a share of the budget's, from 0 to 1"),
        ({"alice": True}, "a share of the budget's, from 0 to 1"),
        ({"alice": "half"}, "a share of the budget's, from 0 to 1"),
        ({"alice": {"epsilon": 1, "rho": 1}}, "a share of the budget's, from 0 to 1"),
        ({"alice": {"mu": 1}}, "a share of the budget's, from 0 to 1"),
        ({"alice": {"rho": 0}}, "rho= must be a positive"),
        (
            {"alice": {"epsilon": 0.5}},
            r"gives 'alice' an amount of epsilon, which budget 'b' \(rho=1.0\) does not count: give a share",
        ),
        ({"alice": {"rho": 1e-13}}, "below the ledger's unit"),
    ],
)
def test_what_cannot_be_meant_is_refused(caps, said):
    with Ledger(":memory:") as ledger, pytest.raises(BadArgument, match=said):
        ledger.budget("b", rho=1, actor_caps=caps)


def test_they_are_found_again_and_never_change(acting, budget):
    assert acting("owner", actor_caps={"*": 0.1, "bob": {"epsilon": 0.5}, "alice": Fraction(1, 2) * 1.0}).cap
    for other in ({"alice": 0.6}, CAPS | {"alice": 0.6}, {}):
        with pytest.raises(BadArgument, match="actor_caps"):
            acting("owner", actor_caps=other)
    with pytest.raises(
        BadArgument, match=r"was opened with actor_caps=\{'\*': 0.1, 'alice': 0.5.*a budget never changes"
    ):
        acting("owner", actor_caps={"alice": 0.6})


def test_the_pure_and_the_declared(pay):
    with Ledger(":memory:", actor="alice") as ledger:
        pure = ledger.budget("pure", epsilon=1.0, actor_caps={"alice": {"epsilon": 0.25}})
        assert pure.remaining.units == 250_000_000_000
        declared = ledger.budget("pld", epsilon=2.0, delta=1e-6, filter="pld", actor_caps={"alice": {"epsilon": 0.5}})
        assert declared.remaining.units == 500_000_000_000
