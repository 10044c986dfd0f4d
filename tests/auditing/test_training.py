"""One private training run, audited by its canaries: real path, real cost; without noise it is found out."""

import numpy as np
import pytest
import torch
from torch import nn

import fedanalytics as fa
from fedanalytics.auditing import audit_training, random_canaries
from fedanalytics.errors import BadArgument, BudgetExceeded
from fedanalytics.learning import private
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.trust import central

FEATURES, CLIENTS = 3000, 50


def net():
    torch.manual_seed(0)
    return nn.Linear(FEATURES, 2)


def clients():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(CLIENTS, 4, FEATURES)).astype(np.float32)
    return [(x, (x[:, 0] > 0).astype(int)) for x in features]


def session(plan, epsilon=None, trust=None, path=":memory:"):
    budget = fa.Ledger(path).budget("train", epsilon=epsilon or plan.target_epsilon, delta=plan.delta, filter="pld")
    return fa.Session(fa.Fleet.from_datasets(clients(), population=CLIENTS), budget, trust or fa.Central())


def planned(**change):
    return private.plan(
        **{"target_epsilon": 1.0, "delta": 1e-5, "rounds": 4, "population": CLIENTS, "cohort": 25, **change}
    )


@pytest.mark.parametrize("cohort", [25, CLIENTS])
@pytest.mark.parametrize("independent", [False, True])
def test_a_sound_run_is_consistent_and_paid(cohort, independent):
    plan = planned(cohort=cohort)
    paying = session(plan)
    report = audit_training(
        net, paying, plan, random_canaries(128, (FEATURES,)), independent=independent, confidence=1 - 1e-4
    )
    assert report.verdict == "consistent"
    assert paying.budget.spent.epsilon == pytest.approx(1.0, rel=1e-3)
    assert report.trials == 128
    assert report.claim.delta == 1e-5


@pytest.mark.parametrize("independent", [False, True])
def test_a_run_without_noise_is_caught(monkeypatch, independent):
    monkeypatch.setattr(central, "rounded_gaussian", lambda sigma, size, keystream: np.zeros(size, dtype=np.int64))
    plan = planned(cohort=CLIENTS)
    report = audit_training(
        net,
        session(plan),
        plan,
        random_canaries(128, (FEATURES,)),
        independent=independent,
        keystream=Keystream.insecure(1),
    )
    assert report.verdict == "violated"


def test_with_little_privacy_the_bound_is_well_above_nothing():
    """At epsilon 50 canaries are seen: the audit measures something."""
    plan = planned(target_epsilon=50.0, cohort=CLIENTS)
    trust = fa.Central(Keystream.insecure(3))
    report = audit_training(
        net, session(plan, trust=trust), plan, random_canaries(128, (FEATURES,)), keystream=Keystream.insecure(4)
    )
    assert report.verdict == "consistent"
    assert 1.0 < report.lower_bound < 50.0


def test_the_coins_are_fair_and_differ():
    plan = planned(cohort=CLIENTS)
    counts = set()
    for seed in range(4):
        report = audit_training(
            net,
            session(plan),
            plan,
            random_canaries(64, (FEATURES,)),
            independent=True,
            keystream=Keystream.insecure(seed),
        )
        counts.add(report.counts[0].trials)
    assert len(counts) > 1
    assert all(16 < count < 48 for count in counts)


def test_what_is_refused_costs_nothing():
    plan = planned()
    paying = session(plan, epsilon=0.5)
    with pytest.raises(BadArgument, match="canaries= must be at least 32"):
        audit_training(net, paying, plan, random_canaries(31, (FEATURES,)))
    with pytest.raises(BudgetExceeded):
        audit_training(net, paying, plan, random_canaries(64, (FEATURES,)))
    assert paying.budget.spent.units == 0


def test_an_earlier_run_cannot_be_audited_afterwards():
    plan = planned()
    paying = session(plan)
    audit_training(net, paying, plan, random_canaries(64, (FEATURES,)))
    with pytest.raises(BadArgument, match="stands for an earlier run"):
        audit_training(net, paying, plan, random_canaries(64, (FEATURES,)))
