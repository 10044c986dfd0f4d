"""Each filter holds its cap through a session, with real files; k shares of it are granted, one more is not."""

import math

import numpy as np
import pytest

import fedanalytics as fa
from fedanalytics.ledger import Plan
from fedanalytics.privacy import Gaussian, Laplace, Skellam
from fedanalytics.privacy.filters import Basic, Declared, Gdp, Renyi, Zcdp

VALUES = np.random.default_rng(3).normal(60, 10, 500)
FORMS = {
    "gdp": ({"epsilon": 2.0, "delta": 1e-6}, Gdp()),
    "zcdp": ({"epsilon": 2.0, "delta": 1e-6}, Zcdp()),
    "renyi": ({"epsilon": 2.0, "delta": 1e-6, "order": 12}, Renyi(12)),
    "pure": ({"epsilon": 2.0}, Basic()),
    "pld": ({"epsilon": 2.0, "delta": 1e-6}, Declared(2.0, 1e-6)),
}


@pytest.fixture
def ledger(tmp_path):
    with fa.Ledger(tmp_path / "budget.db") as opened:
        yield opened


def opened(ledger, name):
    terms, rule = FORMS[name]
    return ledger.budget(name, **terms, filter=name), rule


def share(name, budget, k):
    """A k-th of the cap, as a caller would ask for it."""
    if name == "pure":
        return {"epsilon": budget.epsilon / k}
    if name == "pld":
        return {"epsilon": budget.epsilon / k, "delta": budget.delta / k}
    return {"rho": budget.remaining.rho / k}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("k", [1, 3, 7, 23])
def test_k_shares_are_granted_and_one_more_is_not(ledger, name, k):
    budget, rule = opened(ledger, name)
    assert budget.filter == rule
    session, asked = fa.Session(fa.Fleet.from_values(VALUES), budget), share(name, budget, k)
    for _ in range(k):
        session.run(fa.count(), **asked)
    assert budget.remaining.units < k * 2 + budget.cap // 10**4
    with pytest.raises(fa.BudgetExceeded, match="Nothing was spent"):
        session.run(fa.count(), **asked)
    assert float(budget.epsilon_spent) == pytest.approx(2.0, rel=1e-3)
    assert float(budget.epsilon_spent) <= 2.0 * (1 + 1e-9)
    assert fa.verify(ledger).budgets[name].spent == budget.spent.units


@pytest.mark.parametrize("name", FORMS)
def test_what_is_said_to_fit_fits(ledger, name):
    budget, _ = opened(ledger, name)
    session = fa.Session(fa.Fleet.from_values(VALUES), budget)
    session.run(fa.count(), **share(name, budget, 3))
    with pytest.raises(fa.BudgetExceeded) as caught:
        session.run(fa.count(), **share(name, budget, 1) | ({} if name in {"pure", "pld"} else {"rho": 10.0}))
    said = str(caught.value).split("largest cost that fits is ")[1].split(" ")[0].rstrip(";.,")
    word, number = said.split("=")
    assert word == budget.filter.counts
    offer = {word: float(number)} | ({"delta": budget.delta * float(number) / 2.0} if name == "pld" else {})
    session.run(fa.count(), **offer)
    assert budget.remaining.units <= 1 + budget.cap // 10**4


@pytest.mark.parametrize("name", FORMS)
def test_the_figure_says_by_which_rule_it_holds(ledger, name):
    budget, rule = opened(ledger, name)
    spent = budget.epsilon_spent
    assert (spent.epsilon, spent.filter, spent.rule, spent.cap) == (0.0, name, rule.rule, 2.0)
    assert spent.delta == (0.0 if name == "pure" else 1e-6)
    assert rule.rule in str(spent)
    with pytest.raises(fa.BadArgument, match="opened in rho"):
        _ = ledger.budget("in rho", rho=1.0, unit="u", dataset="d").epsilon_spent


def test_gaussian_budgets_admit_more_than_zcdp_ones(ledger):
    """1.15 times as many releases at epsilon 1."""
    one, other = (ledger.budget(name, epsilon=1.0, delta=1e-6, filter=name) for name in ("gdp", "zcdp"))
    assert one.cap / other.cap == pytest.approx(1.15, abs=0.005)


def test_a_pure_budget_refuses_gaussian_noise_before_anything_is_spent(ledger):
    budget, _ = opened(ledger, "pure")
    session, head = fa.Session(fa.Fleet.from_values(VALUES), budget), ledger.head()
    for offer in ({"rho": 0.01}, {"epsilon": 1.0, "delta": 1e-6}, {"noise_multiplier": 3.0}):
        with pytest.raises(fa.BadArgument, match="pure noise only"):
            session.run(fa.count(), **offer)
    assert ledger.head() == head
    release = session.run(fa.count(), epsilon=0.5)
    assert release.cost.epsilon == 0.5
    assert budget.spent.epsilon == 0.5
    assert budget.spent.rho is None
    assert repr(release).endswith("cost epsilon=0.5)")
    assert repr(release.cost) == "Price(epsilon=0.5)"
    assert [row["epsilon"] for row in budget.spent.queries] == [0.5]
    assert session.preview(fa.count(), epsilon=0.5).fits
    assert not session.preview(fa.count(), epsilon=1.6).fits


def test_parts_of_a_pure_offer_are_shares_of_its_epsilon(ledger):
    budget, _ = opened(ledger, "pure")
    session = fa.Session(fa.Fleet.from_values(VALUES), budget)
    both = session.run([fa.count(), fa.mean("value", bounds=(0, 110))], epsilon=1.0, weights=[1, 3])
    assert [r.cost.epsilon for r in both] == [0.25, 0.75]
    assert budget.spent.epsilon == 1.0


def test_skellam_and_sampled_plans_are_for_renyi_and_declared_budgets(ledger):
    skellam, sampled = Skellam(10**6, 60, 10), Gaussian(1.0).poisson_sampled(0.01)
    renyi, _ = opened(ledger, "renyi")
    pld, _ = opened(ledger, "pld")
    gdp, _ = opened(ledger, "gdp")
    for budget, event in ((renyi, skellam), (renyi, sampled), (pld, skellam), (pld, sampled)):
        price = budget.filter.price(event)
        assert 0 < price < budget.cap
        budget.reserve([Plan(f"{budget.name}{event.kind}", {}, event, price, "central")])
    with pytest.raises(fa.BadArgument, match="renyi"):
        gdp.reserve([Plan("s", {}, skellam, gdp.cap, "central")])
    assert gdp.filter.price(sampled) == Gdp().price(Gaussian(1.0))  # sampling is never refunded here
    assert renyi.filter.price(sampled) < Gdp().price(Gaussian(1.0)) / 5


def test_a_plan_is_fixed_once_it_is_declared(ledger):
    """The same key with more rounds, or other noise, is another plan."""
    budget, _ = opened(ledger, "pld")
    one = Gaussian(1.0).poisson_sampled(0.01)

    def plan(event):
        return Plan("training", {"is": "Training"}, event, budget.filter.price(event), "central")

    budget.reserve([plan(one.repeated(100))])
    for changed in (one.repeated(101), Gaussian(1.1).poisson_sampled(0.01).repeated(100)):
        with pytest.raises(fa.KeyReused, match="stands for another question"):
            budget.reserve([plan(changed)])
    again = budget.reserve([plan(one.repeated(100))])[0]
    assert again.replayed


def test_filters_and_orders_never_change(ledger):
    opened(ledger, "renyi")
    with pytest.raises(fa.BadArgument, match="filter='renyi', not filter='gdp'"):
        ledger.budget("renyi", filter="gdp")
    with pytest.raises(fa.BadArgument, match="order=12, not order=13"):
        ledger.budget("renyi", order=13)
    assert ledger.budget("renyi", epsilon=2.0, delta=1e-6, filter="renyi", order=12).filter == Renyi(12)


def test_a_computation_of_pure_releases_in_a_pure_budget(ledger):
    @fa.federated_computation(fa.FederatedType(np.float64, fa.CLIENTS))
    def average(x):
        return fa.federated_mean(x, bounds=(0, 110), epsilon=0.5)

    budget, _ = opened(ledger, "pure")
    release = fa.Session(fa.Fleet.from_values(VALUES), budget).run(average)
    assert release.cost.units == 5 * 10**11
    assert math.isfinite(release.value)
    assert Basic().price(Laplace(2.0)) == 5 * 10**11
