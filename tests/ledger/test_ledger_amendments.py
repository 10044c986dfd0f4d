"""Amendments and audits: entries that change a cap or record a finding, and nothing else."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from fedanalytics.errors import BadArgument, BudgetExceeded, LedgerError
from fedanalytics.ledger import Ledger, Plan, verify
from fedanalytics.privacy import gdp, renyi, units, zcdp
from fedanalytics.privacy.events import DiscreteLaplace

REASON = "a second season, approved on 3 May"
REPORT = {
    "verdict": "consistent",
    "claim": {"kind": "gdp", "mu": 0.1},
    "unit": "mu",
    "lower_bound": 0.04,
    "trials": 4096,
    "confidence": 0.95,
}


@pytest.fixture
def budget(ledger):
    return ledger.budget("aircraft", epsilon=1.0, delta=1e-6, unit="tailnum", dataset="flights")


class TestAnAmendment:
    def test_is_an_entry_with_author_time_and_reason(self, budget, ledger, clock):
        head = budget.amend(epsilon=2.0, reason=REASON)
        *_, entry = ledger.entries()
        assert entry.head == head == ledger.head()
        assert entry.time == "2026-03-02T12:00:00.000000+00:00"
        cap = units.cap(Fraction(gdp.mu_of(2.0, 1e-6)) ** 2 / 2)
        assert {name: entry.body[name] for name in ("type", "version", "actor", "budget")} == {
            "type": "amend",
            "version": 2,
            "actor": "ada",
            "budget": "aircraft",
        }
        assert {name: entry.body[name] for name in ("cap", "epsilon", "rho", "reason")} == {
            "cap": cap,
            "epsilon": 2.0,
            "rho": None,
            "reason": REASON,
        }
        assert (budget.cap, budget.epsilon, budget.delta) == (cap, 2.0, 1e-6)

    def test_makes_room(self, budget, ledger, pay):
        budget.reserve([pay("a", 28 * 10**9)])
        with pytest.raises(BudgetExceeded):
            budget.reserve([pay("b", 28 * 10**9)])
        budget.amend(epsilon=2.0, reason=REASON)
        budget.reserve([pay("b", 28 * 10**9)])
        state = verify(ledger).budgets["aircraft"]
        assert (state.cap, state.spent, state.amended) == (budget.cap, 56 * 10**9, 1)
        assert 1.0 < state.epsilon < 2.0

    def test_may_lower_the_cap_to_what_is_spent_and_no_further(self, ledger, pay):
        budget = ledger.budget("a", rho=1e-9)
        budget.reserve([pay("a", 600)])
        with pytest.raises(BadArgument, match=r"has spent rho=6e-10, more than rho=5.99e-10 holds \(rho=5.99e-10\)"):
            budget.amend(rho=5.99e-10, reason=REASON)
        budget.amend(rho=6e-10, reason=REASON)
        with pytest.raises(BudgetExceeded, match="nothing is left"):
            budget.reserve([pay("b", 1)])
        assert verify(ledger).budgets["a"].cap == 600

    def test_is_seen_by_who_holds_the_budget_already(self, place, pay):
        with Ledger(place) as here, Ledger(place) as there:
            one, two = here.budget("a", rho=1e-9, unit="u", dataset="d"), there.budget("a")
            two.reserve([pay("a", 1000)])
            one.amend(rho=2e-9, reason=REASON)
            assert (two.cap, two.remaining.units) == (2000, 1000)
            two.reserve([pay("b", 1000)])

    def test_and_who_asks_for_the_old_cap_is_told(self, budget, ledger, place):
        budget.amend(epsilon=2.0, reason=REASON)
        with Ledger(place) as again:
            with pytest.raises(BadArgument, match=r"was amended to epsilon=2.0, delta=1e-06, not epsilon=1.0; whoever"):
                again.budget("aircraft", epsilon=1.0, delta=1e-6)
            assert again.budget("aircraft", epsilon=2.0, delta=1e-6).cap == budget.cap
            assert again.budget("aircraft").promise.endswith(
                "for good; the cap was amended once, and the guarantee is the highest to which it would have been "
                "raised, whatever the answers"
            )

    def test_leaves_all_other_terms_as_they_are(self, ledger):
        budget = ledger.budget(
            "a", epsilon=1.0, delta=1e-6, filter="renyi", order=16, window="1w", actor_caps={"ada": 0.5}, unit="u"
        )
        before = (budget.filter, budget.delta, budget.relation, budget.window, budget.unit, budget.group)
        budget.amend(epsilon=3.0, reason=REASON)
        budget.amend(epsilon=2.5, reason=REASON)
        again = ledger.budget("a")
        assert (again.filter, again.delta, again.relation, again.window, again.unit, again.group) == before
        assert again.cap == units.cap(Fraction(renyi.cap(2.5, 1e-6, 16)) / 16)
        assert again.remaining.units == again.cap // 2  # shares of the cap follow it
        assert again.promise.count("amended 2 times") == 1
        assert verify(ledger).budgets["a"].amended == 2

    @pytest.mark.parametrize(
        ("terms", "amendment", "cap"),
        [
            ({"epsilon": 1.0, "delta": 1e-6, "filter": "zcdp"}, {"epsilon": 2.0}, units.cap(zcdp.rho_cap(2.0, 1e-6))),
            ({"epsilon": 1.0}, {"epsilon": 2}, 2 * 10**12),
            ({"rho": 0.1}, {"rho": Fraction(1, 3)}, 333_333_333_333),
            ({"rho": Fraction(1, 3), "delta": 1e-6}, {"rho": 0.5}, 5 * 10**11),
        ],
    )
    def test_of_every_form(self, ledger, terms, amendment, cap):
        budget = ledger.budget("a", **terms)
        budget.amend(**amendment, reason=REASON)
        assert budget.cap == cap
        assert verify(ledger).budgets["a"].cap == cap

    def test_of_each_window(self, ledger, clock, pay):
        budget = ledger.budget("a", rho=1e-9, window="1d")
        budget.reserve([pay("a", 1000)])
        with pytest.raises(BadArgument, match="more than rho=5e-10 holds"):
            budget.amend(rho=5e-10, reason=REASON)
        clock.forward(days=1)
        budget.amend(rho=5e-10, reason=REASON)  # what the window before had spent, it had
        budget.reserve([pay("b", 500)])
        assert verify(ledger).budgets["a"].fullest.spent == 1000

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"epsilon": 2.0, "reason": " "}, "reason="),
            ({"reason": REASON}, "is capped in epsilon: amend it with epsilon= and reason=, got nothing"),
            ({"rho": 1.0, "reason": REASON}, "is capped in epsilon: .* got rho="),
            ({"epsilon": 2.0, "rho": 1.0, "reason": REASON}, "got epsilon= and rho="),
            ({"epsilon": 1.0, "reason": REASON}, "has a cap of epsilon=1.0 already"),
            ({"epsilon": -1.0, "reason": REASON}, "epsilon= must be a positive"),
            ({"epsilon": float("inf"), "reason": REASON}, "epsilon= must be a positive"),
        ],
    )
    def test_that_cannot_be_meant_is_refused(self, budget, ledger, arguments, said):
        with pytest.raises(BadArgument, match=said):
            budget.amend(**arguments)
        assert ledger.head().seq == 1

    def test_is_refused_where_plans_hold_shares_of_the_old_cap(self, ledger):
        budget = ledger.budget("a", epsilon=1.0, delta=1e-6, filter="pld")
        with pytest.raises(BadArgument, match=r"declared plans.*shares of delta would no longer sum.*overlap=True"):
            budget.amend(epsilon=2.0, reason=REASON)

    def test_of_no_budget(self, ledger):
        stranger = ledger.budget("a", rho=1)
        stranger.name = "b"
        with pytest.raises(LedgerError, match="no budget 'b'"):
            stranger.amend(rho=2, reason=REASON)


class TestAnAudit:
    def test_is_an_entry_that_costs_nothing(self, budget, ledger, pay):
        budget.reserve([pay("a")])
        before = budget.spent
        head = budget.record_audit(REPORT)
        *_, entry = ledger.entries()
        assert (entry.head, entry.body["type"], entry.body["actor"]) == (head, "audit", "ada")
        assert entry.body["report"] == REPORT
        assert budget.spent == before
        ledger.budget("aircraft").record_audit(REPORT | {"verdict": "violated"})
        ledger.budget("aircraft").record_audit({"verdict": "consistent", "audits": {"mean": REPORT}})
        ledger.budget("other", rho=1).record_audit(REPORT)
        assert [(seq, report["verdict"]) for seq, report in budget.audits] == [
            (3, "consistent"),
            (4, "violated"),
            (5, "consistent"),
        ]
        found = ((3, "consistent"), (4, "violated"), (5, "consistent"))
        assert verify(ledger).budgets["aircraft"].audits == found

    def test_of_the_auditor_itself(self, budget, ledger):
        from fedanalytics.auditing import audit
        from fedanalytics.privacy import Gaussian, samplers

        def noisy_sum(data, n):
            return sum(data) + samplers.rounded_gaussian(sigma=1.0, size=n)

        found = audit(noisy_sum, ([1, 0], [1, 0, 1]), claim=Gaussian(noise_multiplier=1.0), trials=256)
        budget.record_audit(found)
        *_, entry = ledger.entries()
        assert entry.body["report"] == json.loads(json.dumps(found.to_json()))
        assert verify(ledger).budgets["aircraft"].audits == ((2, found.verdict),)

    @pytest.mark.parametrize(
        ("report", "said"),
        [
            ({}, "with its verdict and its claim"),
            ([], "with its verdict and its claim"),
            ({"verdict": "consistent"}, "with its verdict and its claim"),
            ({"claim": {"rho": 1}}, "with its verdict and its claim"),
            (REPORT | {"verdict": "proved"}, "verdict='proved' is unknown"),
            (REPORT | {"data": "x" * 2**16}, "more than 65,536 characters"),
            (REPORT | {"function": print}, "has no canonical form"),
        ],
    )
    def test_that_is_none_is_refused(self, budget, ledger, report, said):
        with pytest.raises(BadArgument, match=said):
            budget.record_audit(report)
        assert ledger.head().seq == 1

    def test_of_no_budget(self, ledger):
        stranger = ledger.budget("a", rho=1)
        stranger.name = "b"
        with pytest.raises(LedgerError, match="no budget 'b'"):
            stranger.record_audit(REPORT)
        assert ledger.head().seq == 1


def test_a_pure_budget_is_amended_while_it_is_spent(ledger):
    budget = ledger.budget("votes", epsilon=1.0)
    for i in range(4):
        budget.amend(epsilon=1.5 + i, reason=REASON)
        budget.reserve([Plan(f"{i}", {}, DiscreteLaplace(1.0), 10**12, "central")])
    assert verify(ledger).budgets["votes"].epsilon == pytest.approx(4.0)
