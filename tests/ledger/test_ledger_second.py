"""The second accountant: held to closed forms, to bounds, to another library, and to faults that are planted.

It must be right without the first one, and different enough that a fault of the first one shows.
"""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from dp_accounting.pld import privacy_loss_distribution as pld

from fedanalytics.errors import LedgerCorrupt
from fedanalytics.ledger import Answer, Ledger, Plan, contour, second, verify
from fedanalytics.ledger.outcomes import outcomes
from fedanalytics.privacy import filters, gdp, renyi
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.events import (
    Composed,
    DiscreteLaplace,
    Gaussian,
    Laplace,
    LocalPure,
    MatrixFactorization,
    NoOp,
    RandomizedResponse,
    Skellam,
    TreeAggregation,
)
from fedanalytics.privacy.relations import Relation

ZERO, REPLACE = Relation.ZERO_OUT, Relation.REPLACE_ONE
SCALAR = Skellam(1e4, 10.0, 10.0, ZERO, scalar=True)

COMPOSITIONS = [
    (Gaussian(5.0), 1),
    (Gaussian(50.0), 1000),
    (Gaussian(0.05), 1),
    (Gaussian(1.0).poisson_sampled(0.01), 1),
    (Gaussian(1.0).poisson_sampled(0.01), 1000),
    (Gaussian(2.0).poisson_sampled(0.1), 100),
    (Gaussian(3.0).poisson_sampled(0.9), 3),
    (Laplace(10.0), 100),
    (Laplace(1.0), 2),
    (DiscreteLaplace(10.0), 100),
    (DiscreteLaplace(0.05), 5),
    (DiscreteLaplace(1.0).poisson_sampled(0.1), 50),
    (Laplace(1.0).poisson_sampled(0.1), 50),
    (RandomizedResponse(0.75, 4), 10),
    (RandomizedResponse(0.75, 4, ZERO), 10),
    (Skellam(10.0, 1.0, 1.0), 3),
    (Skellam(100.0, 1.0, 1.0).poisson_sampled(0.1), 100),
    (SCALAR, 100),
    (Composed((Gaussian(3.0), Laplace(20.0), Gaussian(1.0).poisson_sampled(0.01).repeated(100))), 3),
    (TreeAggregation(20.0, steps=64), 2),
]


def counted(event, times=1):
    found = {}
    for atom, count in event.atoms():
        found[atom] = found.get(atom, 0) + times * count
    return found


class TestTheIntegral:
    @pytest.mark.parametrize("delta", [1e-6, 1e-2, 1e-12])
    @pytest.mark.parametrize(("event", "times"), COMPOSITIONS, ids=str)
    def test_lies_between_the_first_ones_bounds(self, event, times, delta):
        found = contour.epsilon(counted(event, times), delta)
        low, high = Accountant().compose(event, times).bounds(delta)
        assert low * (1 - 1e-4) <= found.value <= high * (1 + 1e-4) + 1e-9
        assert found.excess <= 2e-4 * high

    @pytest.mark.parametrize(
        ("mu", "delta"), [(1e-3, 1e-5), (0.2, 1e-6), (0.2, 1e-15), (3.0, 0.3), (30.0, 1e-9), (1e3, 1e-6)]
    )
    def test_is_the_closed_form_where_there_is_one(self, mu, delta):
        assert contour.epsilon({Gaussian(1 / mu): 1}, delta).value == pytest.approx(gdp.epsilon_of(mu, delta), rel=1e-6)

    @pytest.mark.parametrize(
        ("counts", "published"),
        [
            ({Gaussian(5.0): 1}, 0.8341),
            ({Gaussian(50.0): 1000}, 2.9216),
            ({Gaussian(1.0).poisson_sampled(0.01): 10_000}, 6.9074),
            ({Gaussian(0.8).poisson_sampled(0.001): 100_000}, 2.9145),  # the PRV accountant: 2.9043 to 2.9246
            ({Gaussian(0.5).poisson_sampled(0.001): 1000}, 4.2351),
            ({Laplace(10.0): 100}, 4.6927),  # by convolution: 4.690711 to 4.692711
            ({Laplace(10.0): 50, Gaussian(10.0): 50}, 4.7926),
        ],
    )
    def test_of_the_published_figures(self, counts, published):
        assert contour.epsilon(counts, 1e-6).value == pytest.approx(published, abs=6e-5)

    def test_against_another_library(self):
        gaussian = pld.from_gaussian_mechanism(3.0, value_discretization_interval=1e-4)
        laplace = pld.from_laplace_mechanism(5.0, value_discretization_interval=1e-4)
        theirs = gaussian.self_compose(20).compose(laplace.self_compose(4))
        for delta in (1e-3, 1e-6, 1e-9):
            ours = contour.epsilon({Gaussian(3.0): 20, Laplace(5.0): 4}, delta).value
            assert ours == pytest.approx(theirs.get_epsilon_for_delta(delta), rel=1e-4)

    def test_is_nothing_for_nothing_and_grows(self):
        assert contour.epsilon({}, 1e-6) == contour.Figure(0.0)
        assert contour.epsilon({Gaussian(1e4): 1}, 0.01).value == 0
        found = [contour.epsilon({Laplace(10.0): n}, 1e-6).value for n in (1, 2, 5, 10, 50, 51)]
        assert found == sorted(found)

    def test_says_where_it_cannot_tell(self):
        """Two rounds of a tiny cohort: their bulk and their tail are too far apart for one line of nodes."""
        counts = {Gaussian(1.0).poisson_sampled(1e-5): 2}
        found, high = contour.epsilon(counts, 1e-9), Accountant().compose(*next(iter(counts.items()))).epsilon(1e-9)
        assert found.value > 1.5 * high
        assert found.value - found.excess <= high


class TestOneRelease:
    @pytest.mark.parametrize("back", [False, True])
    @pytest.mark.parametrize("event", [event for event, _ in COMPOSITIONS[:18]] + [LocalPure(0.5)], ids=str)
    def test_is_a_law(self, event, back):
        table = outcomes(event, back=back)
        p = math.fsum(map(math.exp, table.logs))
        q = math.fsum(math.exp(log - loss) for log, loss in zip(table.logs, table.losses, strict=True))
        assert (p, q) == (pytest.approx(1, abs=1e-9), pytest.approx(1, abs=1e-9))

    @pytest.mark.parametrize("order", [2, 5, 32, 200])
    @pytest.mark.parametrize(
        "event",
        [
            Gaussian(3.0),
            Laplace(7.0),
            DiscreteLaplace(7.0),
            Gaussian(2.0).poisson_sampled(0.05),
            RandomizedResponse(0.6, 5),
        ],
        ids=str,
    )
    def test_has_the_divergence_that_the_first_one_has_in_closed_form(self, event, order):
        assert second.divergence(event, order) == pytest.approx(renyi.divergence(event, order), rel=1e-8)

    @pytest.mark.parametrize("event", [Skellam(50.0, 1.0, 1.0), SCALAR, Skellam(10_000.0, 40.0, 10.0)], ids=str)
    def test_with_skellam_noise_is_no_worse_than_the_bound(self, event):
        for order in (2, 8, 32):
            ours, bound = second.divergence(event, order), renyi.skellam_bound(event, order)
            assert ours <= bound * (1 + 1e-12)
            assert ours == pytest.approx(bound, rel=1e-12 if not event.scalar else 0.2)


EVENTS = {
    "gdp": [Gaussian(10.0), DiscreteLaplace(8.0), Laplace(1.0), Laplace(0.01), Gaussian(4.0).poisson_sampled(0.1)],
    "zcdp": [Gaussian(10.0), DiscreteLaplace(8.0), Laplace(1.0), TreeAggregation(20.0, steps=64)],
    "renyi": [
        Gaussian(10.0),
        Gaussian(2.0).poisson_sampled(0.01),
        Skellam(400.0, 1.0, 1.0),
        Skellam(10_000.0, 40.0, 10.0),
        DiscreteLaplace(8.0).poisson_sampled(0.1),
    ],
    "pure": [DiscreteLaplace(8.0), Laplace(3.0), Laplace(3.0).poisson_sampled(0.2)],
    "pld": [
        Gaussian(10.0),
        Gaussian(1.0).poisson_sampled(0.01).repeated(100),
        DiscreteLaplace(8.0),
        Skellam(10_000.0, 40.0, 10.0),
        MatrixFactorization(20.0, steps=16, coefficients=(1.0, 0.5), participations=2, separation=4),
    ],
}
RULES = {
    "gdp": filters.Gdp(),
    "zcdp": filters.Zcdp(),
    "renyi": filters.Renyi(16),
    "pure": filters.Basic(),
    "pld": filters.Declared(8.0, 1e-6),
}
TERMS = {"pure": {"epsilon": 200.0}, "zcdp": {"rho": 900.0, "delta": 1e-6}}


class TestPrices:
    @pytest.mark.parametrize(("name", "event"), [(n, e) for n, events in EVENTS.items() for e in events], ids=str)
    def test_are_enough_and_hardly_more(self, name, event):
        """What was charged pays; a tenth less does not, except where the filter knows less than the outcomes tell."""
        rule, loose = RULES[name], event == Laplace(1.0) or (name == "gdp" and event == Laplace(0.01))
        units = rule.price(event)
        assert second._price(event, rule, units)[0]
        if not loose:
            assert not second._price(event, rule, math.floor(units * 0.9))[0]

    @pytest.mark.parametrize("name", RULES)
    def test_that_the_first_one_got_wrong_are_seen(self, name, ledger, monkeypatch):
        """A fault in every filter: it charges four fifths. Writer and replay believe it."""
        rule, right = type(RULES[name]), type(RULES[name]).price
        order = {"order": 16} if name == "renyi" else {}
        terms = TERMS.get(name, {"epsilon": 8.0, "delta": 1e-6, "filter": name, **order})
        budget = ledger.budget("b", **terms)
        event = EVENTS[name][0]
        budget.reserve([Plan("before", {}, event, budget.filter.price(event), "central")])
        assert verify(ledger).budgets["b"].spent
        monkeypatch.setattr(rule, "price", lambda self, event: math.ceil(right(self, event) * 0.8))
        other = EVENTS[name][1]
        budget.reserve([Plan("after", {}, other, budget.filter.price(other), "central")])
        from fedanalytics.ledger import plans, replay

        plans._price.cache_clear()
        replay._price.cache_clear()
        with pytest.raises(LedgerCorrupt, match=r"entry 3 paid .*, and a second accountant finds that it costs"):
            verify(ledger)

    def test_a_multiplier_taken_for_a_variance(self, ledger, monkeypatch):
        from fractions import Fraction

        wrong = property(lambda self: 1 / (2 * Fraction(self.noise_multiplier) ** 3))
        monkeypatch.setattr(Gaussian, "rho", wrong)
        budget = ledger.budget("b", epsilon=1.0, delta=1e-6)
        event = Gaussian(11.0)
        budget.reserve([Plan("k", {}, event, budget.filter.price(event), "central")])
        with pytest.raises(LedgerCorrupt, match=r"entry 2 paid rho=0.0003.*it costs rho=0.0041"):
            verify(ledger)


class TestTheCap:
    @pytest.mark.parametrize("name", ["gdp", "zcdp"])
    def test_a_conversion_that_promises_too_much_is_seen(self, name, ledger, monkeypatch):
        """A fault in the conversion, in both of its directions: every price is right, and the cap is twice too wide."""
        rule = type(RULES[name])
        cap, epsilon_of = rule.cap, rule.epsilon_of
        monkeypatch.setattr(rule, "cap", lambda self, epsilon, delta: 2 * cap(self, epsilon, delta))
        monkeypatch.setattr(rule, "epsilon_of", lambda self, total, delta: epsilon_of(self, total // 2, delta))
        budget = ledger.budget("b", epsilon=1.0, delta=1e-6, filter=name)
        event = Gaussian(10.0)
        price = budget.filter.price(event)
        budget.reserve([Plan(f"{i}", {}, event, price, "central") for i in range(budget.cap // price)])
        with pytest.raises(LedgerCorrupt, match=r"budget 'b' \(epsilon=1.0.*\) has spent 1\..* by a second accountant"):
            verify(ledger)

    def test_a_full_budget_is_full_for_both(self, ledger):
        budget = ledger.budget("b", epsilon=1.0, delta=1e-6)
        event = Gaussian(10.0)
        price = budget.filter.price(event)
        budget.reserve([Plan(f"{i}", {}, event, price, "central") for i in range(5)])
        budget.reserve([Plan("rest", {}, Gaussian(math.sqrt(10**12 / 2 / budget.remaining.units)), *rest(budget))])
        state = verify(ledger).budgets["b"]
        assert state.charged.amount == pytest.approx(1.0, rel=1e-9)
        assert state.epsilon == pytest.approx(1.0, rel=1e-6)

    def test_pld_and_zcdp_leave_room_that_the_second_one_sees(self, ledger):
        event = Gaussian(1.0).poisson_sampled(0.01).repeated(50)
        pld_, zcdp = (
            ledger.budget(name, epsilon=8.0, delta=1e-6, filter=name, relation=Relation.ADD_OR_REMOVE_ONE)
            for name in ("pld", "zcdp")
        )
        pld_.reserve([Plan(f"{i}", {}, event, pld_.filter.price(event), "central") for i in range(4)])
        zcdp.reserve(
            [Plan(f"{i}", {}, DiscreteLaplace(4.0), zcdp.filter.price(DiscreteLaplace(4.0)), "c") for i in range(9)]
        )
        for state in verify(ledger).budgets.values():
            assert 0 < state.epsilon < 0.9 * state.charged.amount


def rest(budget):
    return budget.remaining.units, "central"


class TestWhatVerifySays:
    def test_names_the_method(self, ledger):
        many = [Laplace(100.0 + i) for i in range(second.MANY + 1)]
        plans = {
            "integral": ({"epsilon": 1.0, "delta": 1e-6}, [Gaussian(20.0), Laplace(30.0)]),
            "vectors": ({"epsilon": 4.0, "delta": 1e-6, "filter": "renyi"}, [Skellam(10_000.0, 40.0, 10.0)]),
            "many": ({"epsilon": 4.0, "delta": 1e-6, "filter": "zcdp"}, many),
            "pure": ({"epsilon": 1.0}, [DiscreteLaplace(2.0)]),
            "bare": ({"rho": 0.1}, [Gaussian(10.0), Laplace(20.0)]),
            "unused": ({"epsilon": 1.0, "delta": 1e-6}, []),
            "nothing": ({"epsilon": 1.0, "delta": 1e-6}, [NoOp()]),
        }
        for name, (terms, events) in plans.items():
            budget = ledger.budget(name, **terms)
            budget.reserve([Plan(f"{i}", {}, e, budget.filter.price(e), "central") for i, e in enumerate(events)])
        budgets = verify(ledger).budgets
        methods = {name: state.method for name, state in budgets.items()}
        integral, divergences = "contour integral over tabulated outcomes", "Renyi divergences"
        assert methods == {
            "integral": integral,
            "vectors": divergences,
            "many": divergences,
            "pure": "sum of the greatest losses",
            "bare": "Renyi divergences of tabulated outcomes",
            "unused": integral,
            "nothing": integral,
        }
        assert budgets["pure"].epsilon == pytest.approx(0.5, rel=1e-12)
        assert budgets["bare"].epsilon is None
        assert budgets["bare"].second.amount == pytest.approx(0.005 + 0.00125, rel=1e-2)
        assert budgets["unused"].epsilon == budgets["nothing"].epsilon == 0
        assert str(budgets["integral"].second) == f"epsilon=0.2143 at delta=1e-06 ({integral})"
        assert Accountant().compose(Gaussian(20.0)).compose(Laplace(30.0)).epsilon(1e-6) == pytest.approx(
            0.2143, abs=5e-5
        )
        assert str(budgets["pure"].charged) == "epsilon=0.5 (its pure filter)"

    def test_what_was_given_back_costs_nothing(self, ledger, pay):
        budget = ledger.budget("b", epsilon=1.0, delta=1e-6)
        budget.release(budget.reserve([pay("a"), pay("b")]), "not asked")
        assert verify(ledger).budgets["b"].epsilon == 0

    def test_equal_releases_are_integrated_once(self, ledger, pay):
        budget = ledger.budget("b", epsilon=100.0, delta=1e-6)
        for i in range(20):
            held = budget.reserve([pay(f"{i} {j}") for j in range(50)])
            budget.commit([Answer(each, 0, "d", [1.0]) for each in held])
        for cache in (second._integral, second._price):
            cache.cache_clear()
        assert verify(ledger).budgets["b"].spent == 1000 * 10**9
        assert second._integral.cache_info().misses == 1
        assert second._price.cache_info().misses == 1

    def test_nothing_heavy_is_loaded(self, path, pay):
        with Ledger(path) as ledger:
            ledger.budget("b", epsilon=1.0, delta=1e-6).reserve([pay("a")])
        code = (
            "import sys; from fedanalytics.ledger import verify; verify(sys.argv[1]);"
            "print({'scipy', 'dp_accounting', 'pandas'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
        assert done.stdout == "set()\n"
