"""A run in a silo: paid whole, committed once, replayed for nothing, resumed under its own reservation; bad input."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import fedanalytics as fa
from fedanalytics.errors import BadArgument, BudgetExceeded, FedAnalyticsError, KeyReused, LedgerCorrupt
from fedanalytics.learning import Adam, Sgd
from fedanalytics.learning.private.checkpoints import NAME
from fedanalytics.learning.silo import plan_in_silo, train_in_silo
from fedanalytics.ledger.budget import Budget
from fedanalytics.privacy.keystream import Keystream


def net():
    torch.manual_seed(0)
    return nn.Linear(4, 2)


def plan_of(**change):
    return plan_in_silo(**{"target_epsilon": 4, "delta": 1e-5, "examples": 1000, "batch": 100, "steps": 20, **change})


def accuracy(model, data):
    return float((model(torch.from_numpy(data[0])).argmax(1).numpy() == data[1]).mean())


# ---------------------------------------------------------------- paid, and learns


@pytest.mark.parametrize("optimizer", [Sgd(1.0), Sgd(0.5, momentum=0.5), Adam(0.1)])
def test_a_run_is_paid_whole_learns_and_says_so(ward, budget, optimizer):
    plan, seen = plan_of(), []
    pays = budget(plan, dataset="ward 7")
    result = train_in_silo(net, ward, pays, plan, optimizer=optimizer, progress=seen.append)
    assert accuracy(result.model, ward) > 0.9
    assert not result.model.training
    assert seen == list(range(1, 21))
    assert [row.round for row in result.history] == [10, 20]
    assert result.history[-1].epsilon == plan.epsilon <= 4
    assert pays.remaining.epsilon == pytest.approx(0, abs=0.01)
    card = result.card.to_json()
    assert card["Data"]["unit of privacy"] == "example"
    assert card["Data"]["dataset"] == "ward 7"
    assert card["Privacy"]["event"]["count"] == 20
    assert "by proof" in card["Privacy"]["an example's gradient depends on it alone"]
    assert "one example (a row)" in result.card.to_markdown()
    assert json.loads(json.dumps(card)) == card


def test_the_ledger_verifies_and_says_that_our_sampler_ran(ward, budget, tmp_path):
    plan = plan_of()
    result = train_in_silo(net, ward, budget(plan, tmp_path / "budget.db"), plan)
    assert fa.verify(tmp_path / "budget.db").budgets["ward"].open == ()
    [entry] = [e for e in fa.Ledger(tmp_path / "budget.db").entries() if e.body["type"] == "commit"]
    assert entry.body["sampled"] == plan.sampling_rate
    assert result.reservation.hash in result.card.to_markdown()


def test_the_event_in_the_ledger_is_enough_for_any_accountant(ward, budget, tmp_path):
    """From what stands in the file, and nothing else: dp_accounting's losses give the epsilon of the plan."""
    from dp_accounting.pld import privacy_loss_distribution as losses

    plan = plan_of()
    train_in_silo(net, ward, budget(plan, tmp_path / "budget.db"), plan)
    [body] = [e.body for e in fa.Ledger(tmp_path / "budget.db").entries() if e.body["type"] == "reserve"]
    event = body["event"]
    step = event["of"]
    one = losses.from_gaussian_mechanism(step["of"]["noise_multiplier"], sampling_prob=step["rate"])
    epsilon = one.self_compose(event["count"]).get_epsilon_for_delta(1e-5)
    assert epsilon == pytest.approx(plan.epsilon, rel=2e-3)
    assert body["question"]["unit"] == body["unit"] == "example"
    assert body["relation"] == "add-or-remove-one"


def test_a_commit_without_a_sampler_does_not_verify(ward, budget, tmp_path, monkeypatch):
    """The fault is planted where the run commits; verify sees it in what the ledger holds."""
    from dataclasses import replace

    plan, commit = plan_of(), Budget.commit
    monkeypatch.setattr(
        Budget, "commit", lambda self, answers: commit(self, [replace(a, sampling_rate=1.0) for a in answers])
    )
    train_in_silo(net, ward, budget(plan, tmp_path / "budget.db"), plan)
    with pytest.raises(LedgerCorrupt, match="no cohort was sampled"):
        fa.verify(tmp_path / "budget.db")


def test_every_row_in_every_step_needs_no_sampler_and_may_be_paid_in_gdp(ward, budget):
    plan = plan_of(batch=1000, steps=5)
    pays = budget(plan, filter="gdp")
    train_in_silo(net, ward, pays, plan)
    assert pays.epsilon_spent.epsilon == pytest.approx(4, rel=1e-3)


@pytest.mark.parametrize("terms", [{"filter": "renyi", "epsilon": 8.0}, {"relation": "zero-out"}, {"unit": None}])
def test_other_budgets_that_count_examples_pay_too(ward, budget, terms):
    plan = plan_of()
    pays = budget(plan, **terms)
    train_in_silo(net, ward, pays, plan)
    assert pays.unit == "example"


def test_seeded_noise_is_called_insecure_and_repeats(ward, budget):
    plan = plan_of()
    one, two = (train_in_silo(net, ward, budget(plan), plan, keystream=Keystream.insecure(1)) for _ in range(2))
    assert np.array_equal(one.parameters, two.parameters)
    assert one.card.to_json()["Privacy"]["trust model"] == "central, INSECURE: seeded noise"
    three = train_in_silo(net, ward, budget(plan), plan)
    assert not np.array_equal(one.parameters, three.parameters)


def test_a_run_that_diverges_is_delivered_as_it_is(ward, budget):
    plan = plan_of()
    pays = budget(plan)
    result = train_in_silo(net, ward, pays, plan, optimizer=Sgd(1e300))
    assert not np.isfinite(result.parameters).all()
    again = train_in_silo(net, ward, pays, plan, optimizer=Sgd(1e300))
    assert np.array_equal(result.parameters, again.parameters, equal_nan=True)


# ---------------------------------------------------------------- keys, and runs that stop


def test_the_same_key_replays_and_another_question_is_refused(ward, budget):
    plan = plan_of()
    pays = budget(plan)
    result = train_in_silo(net, ward, pays, plan)
    spent = pays.spent.units
    again = train_in_silo(net, ward, pays, plan)
    assert again.reservation.replayed
    assert np.array_equal(again.parameters, result.parameters)
    assert again.history == result.history
    assert pays.spent.units == spent
    with pytest.raises(KeyReused, match=r"question.clip was 1.0, now 2.0"):
        train_in_silo(net, ward, pays, plan, clip=2.0)
    with pytest.raises(BudgetExceeded):
        train_in_silo(net, ward, pays, plan, key="another")


class Stopped(Exception):
    """What a power cut is."""


def _stop_at(step):
    def progress(made):
        if made == step:
            raise Stopped

    return progress


def test_a_run_that_stops_stays_paid_and_goes_on_from_its_checkpoint(ward, budget, tmp_path, monkeypatch):
    plan, ledger = plan_of(), tmp_path / "budget.db"
    with pytest.raises(Stopped):
        train_in_silo(
            net, ward, budget(plan, ledger), plan, checkpoint=tmp_path / "kept", every=5, progress=_stop_at(13)
        )
    assert (tmp_path / "kept" / NAME).exists()
    assert len(fa.verify(ledger).budgets["ward"].open) == 1
    assert budget(plan, ledger).remaining.epsilon == pytest.approx(0, abs=0.01)
    seen, drawn = [], []
    from fedanalytics.learning.silo import releases

    draw = releases.rounded_gaussian
    monkeypatch.setattr(releases, "rounded_gaussian", lambda *a, **k: drawn.append(0) or draw(*a, **k))
    result = train_in_silo(
        net, ward, budget(plan, ledger), plan, checkpoint=tmp_path / "kept", every=5, progress=seen.append
    )
    assert seen == list(range(11, 21))
    assert len(drawn) == 10
    assert [row.round for row in result.history] == [10, 20]
    assert not (tmp_path / "kept" / NAME).exists()
    assert result.reservation.replayed
    assert fa.verify(ledger).budgets["ward"].open == ()
    assert accuracy(result.model, ward) > 0.85


def test_a_checkpoint_that_outlived_its_commit_goes_with_the_next_call(ward, budget, tmp_path, monkeypatch):
    """The process dies between the commit and the deletion."""
    plan, ledger, kept = plan_of(), tmp_path / "budget.db", tmp_path / "kept"
    commit = Budget.commit

    def dying(self, answers):
        commit(self, answers)
        raise Stopped

    monkeypatch.setattr(Budget, "commit", dying)
    with pytest.raises(Stopped):
        train_in_silo(net, ward, budget(plan, ledger), plan, checkpoint=kept, every=5)
    monkeypatch.undo()
    assert (kept / NAME).exists()
    spent, seen = budget(plan, ledger).spent.units, []
    result = train_in_silo(net, ward, budget(plan, ledger), plan, checkpoint=kept, every=5, progress=seen.append)
    assert seen == []
    assert result.reservation.replayed
    assert budget(plan, ledger).spent.units == spent > 0
    assert not (kept / NAME).exists()


KILLED = """
import os, signal, sys
import numpy as np, torch
from torch import nn
import fedanalytics as fa
from fedanalytics.learning.silo import SiloPlan, train_in_silo

def net():
    torch.manual_seed(0)
    return nn.Linear(4, 2)

x = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)
plan = SiloPlan(*map(float, sys.argv[2:4]), steps=20, examples=1000, batch=100, noise_multiplier=float(sys.argv[4]))
budget = fa.Ledger(sys.argv[1] + "/budget.db").budget("ward", epsilon=4, delta=1e-5, filter="pld", unit="example")
train_in_silo(
    net, (x, (x[:, 0] > 0).astype(int)), budget, plan, checkpoint=sys.argv[1] + "/kept", every=5,
    progress=lambda made: os.kill(os.getpid(), signal.SIGKILL) if made == 13 else None,
)
"""


def test_a_killed_process_stays_paid_once_and_another_goes_on(ward, budget, tmp_path):
    plan = plan_of()
    asked = [str(tmp_path), repr(plan.target_epsilon), repr(plan.delta), repr(plan.noise_multiplier)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *asked], capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    spent, seen = budget(plan, tmp_path / "budget.db").spent.units, []
    train_in_silo(
        net, ward, budget(plan, tmp_path / "budget.db"), plan, checkpoint=tmp_path / "kept", progress=seen.append
    )
    assert seen == list(range(11, 21))
    assert budget(plan, tmp_path / "budget.db").spent.units == spent > 0
    assert fa.verify(tmp_path / "budget.db").budgets["ward"].open == ()


def test_a_run_that_stops_without_a_checkpoint_begins_anew_under_its_own_reservation(ward, budget, tmp_path):
    plan, ledger, seen = plan_of(), tmp_path / "budget.db", []
    with pytest.raises(Stopped):
        train_in_silo(net, ward, budget(plan, ledger), plan, progress=_stop_at(13))
    train_in_silo(net, ward, budget(plan, ledger), plan, progress=seen.append)
    assert seen == list(range(1, 21))
    assert fa.verify(ledger).budgets["ward"].open == ()


def test_of_two_runs_that_race_both_deliver_the_one_that_was_committed(ward, budget):
    """The second commits while the first is at its last step."""
    plan, found = plan_of(), []
    pays = budget(plan)

    def rival(made):
        if made == 20:
            found.append(train_in_silo(net, ward, pays, plan))

    result = train_in_silo(net, ward, pays, plan, progress=rival)
    assert np.array_equal(result.parameters, found[0].parameters)


def test_a_checkpoint_of_another_run_is_refused_before_anything_is_paid(ward, budget, tmp_path):
    plan = plan_of()
    with pytest.raises(Stopped):
        train_in_silo(net, ward, budget(plan), plan, checkpoint=tmp_path, every=5, progress=_stop_at(6))
    pays = budget(plan)
    with pytest.raises(BadArgument, match="belongs to another run"):
        train_in_silo(net, ward, pays, plan, clip=3.0, checkpoint=tmp_path)
    with pytest.raises(BadArgument, match="was paid under the key 'training', not 'b'"):
        train_in_silo(net, ward, pays, plan, key="b", checkpoint=tmp_path)
    assert pays.spent.units == 0


def test_a_module_that_branches_on_values_stops_without_saying_why(ward, budget):
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.out = nn.Linear(4, 2)

        def forward(self, x):
            if float(x.detach().max()) > 4.9:
                raise ValueError(f"a patient has {float(x.max())}")
            return self.out(x) if float(x.detach().sum()) > -1e9 else x

    x = np.clip(ward[0], -1, 1)
    x[3, 0] = 5.0
    plan = plan_of(batch=900)
    pays = budget(plan)
    with pytest.raises(FedAnalyticsError, match="must not branch on the values") as caught:
        train_in_silo(Branching, (x, ward[1]), pays, plan)
    assert "patient" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert pays.spent.units > 0


# ---------------------------------------------------------------- bad input


def nan_in(data, value=math.nan):
    x = data[0].copy()
    x[::10, 1] = value
    return x, data[1]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_rows_that_are_not_finite_count_for_nothing_and_training_goes_on(ward, budget, value):
    plan = plan_of()
    result = train_in_silo(net, nan_in(ward, value), budget(plan), plan, optimizer=Sgd(1.0))
    assert np.isfinite(result.parameters).all()
    assert accuracy(result.model, ward) > 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"data": lambda w: (w[0], w[1] + 1)},
            "labels from 0 to 1, since the model has 2 outputs; they range from 1 to 2",
        ),
        ({"data": lambda w: (w[0], w[1] - 1)}, "they range from -1 to 0"),
        ({"data": lambda w: (w[0][:0], w[1][:0])}, "data= has no rows"),
        ({"data": lambda w: (w[0], w[1][:-1])}, "one label per row of features"),
        ({"data": lambda w: (w[0][:, :3], w[1])}, "data= does not fit the model"),
        ({"data": lambda w: (w[0], w[1].astype(float))}, "loss_fn= does not take"),
        ({"data": lambda w: w[0]}, "must be a pair"),
        ({"data": lambda w: (["a"] * 1000, w[1])}, "data= must be numbers"),
        ({"data": lambda w: (w[0][:99], w[1][:99])}, "batches of 100 examples, and data= has 99 rows"),
        ({"clip": 0}, "clip= must be a positive"),
        ({"clip": math.nan}, "clip= must be a positive"),
        ({"key": ""}, "key= must be a string"),
        ({"every": 0}, "every= must be a whole"),
        ({"engine": "fast"}, "engine='fast' is unknown"),
        ({"model_fn": lambda: nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))}, "use GroupNorm"),
        ({"model_fn": net()}, "model_fn= must be a function"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_paid(ward, budget, change, message):
    plan = plan_of()
    pays = budget(plan)
    asked = {"model_fn": net, **change}
    data = asked.pop("data", lambda w: w)(ward)
    with pytest.raises(BadArgument, match=message):
        train_in_silo(asked.pop("model_fn"), data, pays, plan, **asked)
    assert pays.spent.units == 0


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"unit": "patient"}, "counts the loss of each 'patient', and what is clipped here is an example"),
        ({"relation": "replace-one"}, "counts under replace-one, for which sampled batches have no price"),
        ({"filter": "gdp"}, 'open one with filter="pld"'),
        ({"filter": "zcdp"}, 'open one with filter="pld"'),
    ],
)
def test_budgets_that_count_something_else_are_refused(ward, budget, terms, message):
    plan = plan_of()
    pays = budget(plan, **terms)
    with pytest.raises(BadArgument, match=message):
        train_in_silo(net, ward, pays, plan)
    assert pays.spent.units == 0


def test_a_budget_that_is_too_small_says_what_is_left(ward, budget):
    plan = plan_of()
    pays = budget(plan, epsilon=1.0)
    with pytest.raises(BudgetExceeded, match=r"requested epsilon=.*remaining epsilon=1.0"):
        train_in_silo(net, ward, pays, plan)
    assert pays.spent.units == 0
