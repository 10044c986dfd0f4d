"""Plans: their epsilon against Opacus' accountants, and what cannot be meant."""

import math
import warnings

import numpy as np
import pytest
from scipy import stats

from fedanalytics.errors import BadArgument
from fedanalytics.learning.silo import SiloPlan, plan_in_silo
from fedanalytics.privacy import Accountant, Gaussian
from fedanalytics.privacy.filters import Declared, Gdp
from fedanalytics.privacy.relations import Relation

SMALL = {"delta": 1e-5, "examples": 1000, "batch": 50, "steps": 40}


@pytest.mark.parametrize(
    ("noise", "examples", "batch", "steps"), [(1.0, 10_000, 100, 1000), (0.8, 60_000, 256, 2000), (2.0, 1000, 100, 100)]
)
def test_epsilon_is_at_most_that_of_renyi_and_within_the_interval_of_prv(noise, examples, batch, steps):
    """On the same noise, rate and steps. Of Opacus' accountants, the one named "gdp" is not asked: it is no bound."""
    from opacus.accountants import PRVAccountant, RDPAccountant

    plan = SiloPlan(100.0, 1e-6, steps, examples, batch, noise)
    renyi = RDPAccountant()
    renyi.history = [(noise, batch / examples, steps)]
    assert 0.7 * renyi.get_epsilon(1e-6) < plan.epsilon < renyi.get_epsilon(1e-6)
    prv = PRVAccountant()
    prv.history = [(noise, batch / examples, steps)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        upper = prv.get_epsilon(1e-6, eps_error=0.01)
    assert upper - 0.02 <= plan.epsilon <= upper + 1e-4


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0])
@pytest.mark.parametrize("batch", [50, 1000])
def test_a_plan_keeps_its_target_and_wastes_nothing(epsilon, batch):
    plan = plan_in_silo(target_epsilon=epsilon, **{**SMALL, "batch": batch})
    assert 0.999 * epsilon < plan.epsilon <= epsilon
    series = [plan.epsilon_after(steps) for steps in (0, 1, 10, 40)]
    assert series == sorted(series)
    assert series[0] == 0
    assert plan.event(Relation.ZERO_OUT).relations == {Relation.ZERO_OUT}


@pytest.mark.parametrize("epsilon", [0.05, 0.1, 1.0, 8.0])
@pytest.mark.parametrize("batch", [400, 9000])
def test_a_budget_of_the_target_just_pays_for_the_plan(epsilon, batch):
    plan = plan_in_silo(target_epsilon=epsilon, delta=1e-6, examples=9000, batch=batch, steps=450)
    for rule in (Declared(epsilon, 1e-6), Gdp()) if batch == 9000 else (Declared(epsilon, 1e-6),):
        assert 0.998 * rule.cap(epsilon, 1e-6) < rule.price(plan.event()) <= rule.cap(epsilon, 1e-6)


@pytest.mark.parametrize("rate", [0.05, 1.0])
def test_what_a_run_costs_a_person_with_several_rows(rate):
    """One row: the plan's own figure. Without sampling, k rows are k clips: the closed form. Else it is between."""
    plan = SiloPlan(
        10.0, 1e-6, steps=100, examples=1000, batch=int(1000 * rate), noise_multiplier=4.0 if rate < 1 else 40.0
    )
    assert plan.epsilon_of(1) == pytest.approx(plan.epsilon, rel=1e-2)
    together = [
        Accountant()
        .compose(Gaussian(plan.noise_multiplier / k).poisson_sampled(1 - (1 - rate) ** k), 100)
        .epsilon(1e-6)
        for k in (2, 5)
    ]
    found = [plan.epsilon_of(k) for k in (2, 5)]
    if rate == 1:
        assert found == pytest.approx(together, rel=1e-2)
    else:
        assert 2 * plan.epsilon < found[0] < together[0]
        assert 5 * plan.epsilon < found[1] < together[1]
    with pytest.raises(BadArgument, match="rows= must be a whole number"):
        plan.epsilon_of(0)


@pytest.mark.parametrize(("noise", "batch"), [(0.05, 10), (0.1557, 1000), (0.1557, 500), (1e5, 10)])
def test_a_person_has_a_figure_at_any_noise(noise, batch):
    plan = SiloPlan(300.0, 1e-6, steps=10, examples=1000, batch=batch, noise_multiplier=noise)
    assert plan.epsilon <= plan.epsilon_of(2) < plan.epsilon_of(5) < math.inf


def test_the_losses_of_a_group_bound_those_of_the_mixture_itself():
    """One step and three rows: the hockey-stick divergence by numerical integration, both ways."""
    plan = SiloPlan(10.0, 1e-3, steps=1, examples=10, batch=2, noise_multiplier=1.0)
    x = np.linspace(-12, 15, 400_001)
    weights = stats.binom(3, 0.2).pmf(range(4))
    mixed = sum(w * stats.norm(j).pdf(x) for j, w in enumerate(weights))
    alone = stats.norm.pdf(x)
    epsilon = plan.epsilon_of(3)
    for one, other in ((mixed, alone), (alone, mixed)):
        delta = np.trapezoid(np.maximum(one - np.exp(epsilon) * other, 0), x)
        assert delta <= 1e-3
    tight = np.trapezoid(np.maximum(mixed - np.exp(0.99 * epsilon) * alone, 0), x)
    assert tight > 1e-3


def test_epochs_say_how_many_steps():
    plan = plan_in_silo(target_epsilon=2, delta=1e-5, examples=1000, batch=64, epochs=2.5)
    assert (plan.steps, plan.epoch) == (40, 16)
    assert plan == plan_in_silo(target_epsilon=2, delta=1e-5, examples=1000, batch=64, steps=40)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 1001}, "batch=1001 is larger than examples=1000"),
        ({"batch": 0}, "batch="),
        ({"delta": 0.001}, "delta=0.001 is no less than one in the 1000 examples"),
        ({"delta": 0}, "delta="),
        ({"target_epsilon": -1}, "target_epsilon="),
        ({"steps": None}, "steps= or as epochs="),
        ({"epochs": 2}, "steps= or as epochs="),
        ({"steps": None, "epochs": 0}, "epochs="),
        ({"steps": 1.5}, "steps="),
        ({"examples": 0}, "examples="),
        ({"target_epsilon": 1e-12, "delta": 1e-30}, "noise|epsilon"),
    ],
)
def test_plans_that_cannot_be_are_refused(change, message):
    with pytest.raises(BadArgument, match=message):
        plan_in_silo(**{"target_epsilon": 1.0, **SMALL, **change})
