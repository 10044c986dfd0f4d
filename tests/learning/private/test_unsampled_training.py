"""Training without sampling: noise that belongs together, paid as one Gaussian mechanism, over cohorts in turn."""

import contextlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import fedanalytics as fa
from fedanalytics.errors import BadArgument
from fedanalytics.learning import Algorithm, LocalTraining, Model, Sgd
from fedanalytics.learning.private import AdaptiveClip, FixedClip, Training, train, unsampled_plan
from fedanalytics.privacy import Accountant
from fedanalytics.privacy.costs import Cost
from fedanalytics.privacy.events import Gaussian
from fedanalytics.privacy.keystream import Keystream

ASKED = {"target_epsilon": 4.0, "delta": 1e-5, "rounds": 12, "population": 200, "participations": 3}
UNIFORM = Algorithm(LocalTraining(0.5, batch_size=3), Sgd(1.0), weighting="uniform")
FAMILIES = ["blt", "banded", "tree", "independent"]


def net():
    torch.manual_seed(0)
    return nn.Linear(4, 2)


@pytest.fixture
def pay(clients):
    def make(states=None, keystream=None, data=None, **terms):
        budget = fa.Ledger(":memory:").budget("t", **{"epsilon": 4.0, "delta": 1e-5, **terms})
        fleet = fa.Fleet.from_datasets(data or clients, population=200)
        return fa.Session(fleet, budget, fa.Central(keystream, states or fa.NoiseStates()))

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plan_keeps_its_target_and_a_gaussian_budget_pays_for_it(pay, family):
    found = unsampled_plan(**ASKED, family=family)
    assert 0.999 * 4 < found.epsilon <= 4
    assert Accountant().compose(Gaussian(found.offer)).epsilon(1e-5) == pytest.approx(found.epsilon, rel=1e-9)
    session = pay()
    result = train(net, session, found, algorithm=UNIFORM, clip=0.5)
    assert len(result.history) == 12
    assert 3.98 < session.budget.epsilon_spent.epsilon <= 4
    assert result.release.receipt.sampling is None
    assert result.release.receipt.query["plan"]["is"] == "UnsampledPlan"


def test_each_family_has_less_noise_in_the_model_than_independent_noise(pay):
    silent = [(np.zeros((0, 4), np.float32), np.zeros(0, int))] * 200
    asked = {**ASKED, "rounds": 30, "participations": 1}

    start = Model.of(lambda: (torch.manual_seed(0), nn.Linear(60, 50))[1]).initial
    errors = {}
    for family in FAMILIES:
        found = unsampled_plan(**asked, family=family)
        session = pay(keystream=Keystream.insecure(3), data=silent)
        result = train(
            lambda: (torch.manual_seed(0), nn.Linear(60, 50))[1], session, found, algorithm=UNIFORM, clip=1.0
        )
        noise = (result.progress.state.parameters - start) * found.cohort
        errors[family] = float(np.sqrt(np.mean(np.square(noise))))
        assert errors[family] == pytest.approx(found.noise.errors[-1], rel=6 / math.sqrt(2 * 3050))
    assert errors["blt"] < errors["tree"] < errors["independent"]


def test_cohorts_are_groups_by_name_and_everybody_has_as_many_turns(clients):
    fleet = fa.Fleet.from_datasets(clients)
    groups = fleet.assigned(4)
    assert groups.shape == (200,)
    assert (np.bincount(groups, minlength=4) > 30).all()
    one_less = fa.Fleet.from_datasets(clients[:-1])
    assert (one_less.assigned(4) == groups[:-1]).all()
    assert (fa.Fleet.from_datasets(clients[1:]).assigned(4) == groups[1:]).all()  # wherever the one less stood
    named = fa.datasets.from_clients({f"w{i}": pair for i, pair in enumerate(clients)})
    assert (fa.Fleet.from_datasets(named).assigned(4) != groups).any()
    found = unsampled_plan(**ASKED)
    training = Training.of(Model.of(net), UNIFORM, found, FixedClip(1.0))
    turns, rounds, progress = np.zeros(200), training.rounds(), training.start
    round_ = next(rounds)
    for _ in range(12):
        [part] = fa.Central().price(round_, Cost(0, Gaussian(found.offer * math.sqrt(12)))).parts
        turns += part.cohort(fleet)(200)
        with contextlib.suppress(StopIteration):
            round_ = rounds.send((part.assumed(1),))
    assert (turns == 3).all()
    assert progress.state.round == 0


@pytest.mark.parametrize("kept", [False, True])
def test_a_run_goes_on_where_its_states_are(pay, tmp_path, kept):
    """Stopped between two rounds and in the middle of one; a state that is lost ends the run."""
    found, states = unsampled_plan(**ASKED), fa.NoiseStates(tmp_path / "noise")
    session = pay(states)
    options = {"algorithm": UNIFORM, "clip": 0.5, "checkpoint": tmp_path / "ck" if kept else None, "every": 2}

    class Stop(Exception):
        pass

    def stop(row):
        if row.round in {3, 8} and row.round not in stopped:
            stopped.append(row.round)
            raise Stop

    stopped = []
    for _ in range(2):
        with pytest.raises(Stop):
            train(net, session, found, **options, progress=stop)
    result = train(net, session, found, **options, progress=stop)
    assert len(result.history) == 12
    assert len(session.budget.spent.queries) == 1
    assert len(list((tmp_path / "noise").iterdir())) <= 2
    assert ((tmp_path / "noise").stat().st_mode & 0o077) == 0
    replayed = train(net, session, found, **{**options, "checkpoint": None})
    assert (replayed.progress.state.parameters == result.progress.state.parameters).all()


def test_a_lost_or_damaged_state_ends_the_run_with_its_reason(pay, tmp_path):
    found = unsampled_plan(**ASKED)
    session = pay(fa.NoiseStates(tmp_path / "noise"))

    class Stop(Exception):
        pass

    def stop(row):
        if row.round == 2:
            raise Stop

    with pytest.raises(Stop):
        train(net, session, found, algorithm=UNIFORM, progress=stop)
    elsewhere = fa.Session(session.fleet, session.budget, fa.Central())
    with pytest.raises(BadArgument, match="before round 3 is not in memory"):
        train(net, elsewhere, found, algorithm=UNIFORM)
    for file in (tmp_path / "noise").iterdir():
        file.write_bytes(b"nothing")
    with pytest.raises(BadArgument, match="is damaged: this run cannot go on"):
        train(net, session, found, algorithm=UNIFORM)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"participations": 5}, "participations=5 must divide rounds=12"),
        ({"family": "wavelet"}, "family="),
        ({"delta": 0.1}, "no less than one in the population"),
        ({"momentum": 1.0}, "momentum="),
        ({"rounds": 0}, "rounds="),
    ],
)
def test_plans_that_cannot_be_are_refused(change, message):
    with pytest.raises(BadArgument, match=message):
        unsampled_plan(**{**ASKED, **change})


def test_what_does_not_go_with_correlated_noise_is_refused(pay, clients):
    found = unsampled_plan(**ASKED)
    with pytest.raises(BadArgument, match="clip= must be fixed"):
        train(net, pay(), found, algorithm=UNIFORM, clip=AdaptiveClip())
    with pytest.raises(BadArgument, match="planned under add-or-remove-one, the budget counts zero-out"):
        train(net, pay(relation="zero-out"), found, algorithm=UNIFORM)
    training = Training.of(Model.of(net), UNIFORM, found, FixedClip(1.0))
    round_ = next(training.rounds())
    with pytest.raises(BadArgument, match="pay for the plan that is run"):
        fa.Central().price(round_, Cost(0, Gaussian(found.offer * 1.01 * math.sqrt(12))))
    zero_out = Cost(0, Gaussian(5.0, fa.privacy.Relation.ZERO_OUT))
    with pytest.raises(BadArgument, match=r"run this under fa.Central"):
        fa.SecureAggregation().price(round_, zero_out, 200)
    table = fa.Fleet.from_values(np.ones(10))
    with pytest.raises(BadArgument, match="are in no groups"):
        table.assigned(3)
    assert replace(found, delta=1e-6).epsilon > found.epsilon
