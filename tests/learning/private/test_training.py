"""Private training through a session: paid before it starts, bounded per client, resumed without paying twice."""

import contextlib
import json
import math
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import fedanalytics as fa
from fedanalytics.errors import BadArgument, BudgetExceeded
from fedanalytics.learning import Adam, Algorithm, LocalTraining, Model, Sgd
from fedanalytics.learning import training as engines
from fedanalytics.learning.private import (
    AdaptiveClip,
    Checkpoint,
    FixedClip,
    Plan,
    Progress,
    Row,
    Training,
    evaluation,
    plan,
    train,
)
from fedanalytics.learning.private.checkpoints import NAME
from fedanalytics.learning.private.training import LocalUpdate
from fedanalytics.ledger.budget import Budget
from fedanalytics.privacy import Accountant, Gaussian
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.round.work import Sql

SMALL = {"delta": 1e-5, "rounds": 4, "population": 200, "cohort": 50}
UNIFORM = Algorithm(LocalTraining(0.5, batch_size=3), Sgd(1.0), weighting="uniform")


# ---------------------------------------------------------------- the plan


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0])
@pytest.mark.parametrize("cohort", [20, 200])
def test_a_plan_keeps_its_target_and_wastes_nothing(epsilon, cohort):
    found = plan(target_epsilon=epsilon, **{**SMALL, "cohort": cohort})
    event = Gaussian(found.noise_multiplier).poisson_sampled(cohort / 200)
    assert Accountant().compose(event, count=4).epsilon(1e-5) == pytest.approx(found.epsilon)
    assert 0.999 * epsilon < found.epsilon <= epsilon
    series = [found.epsilon_after(t) for t in range(5)]
    assert series == sorted(series)
    assert series[0] == 0
    assert found.epsilon_if_seen >= found.epsilon * (1 - 1e-9)


def test_the_notes_reference_setting():
    found = plan(target_epsilon=4, delta=1e-6, rounds=200, population=3400, cohort=300)
    assert found.noise_multiplier == pytest.approx(1.745, abs=1e-3)
    assert found.epsilon_if_seen == pytest.approx(70.6, abs=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cohort": 201}, "cohort=201 is larger than population=200"),
        ({"delta": 0.01}, "delta=0.01 is no less than one in the population"),
        ({"target_epsilon": 0}, "target_epsilon="),
        ({"rounds": 0}, "rounds="),
        ({"population": 1.5}, "population="),
        ({"delta": 1.0}, "delta="),
        ({"target_epsilon": 1e-12, "delta": 1e-30}, "noise|epsilon"),
    ],
)
def test_plans_that_cannot_be_are_refused(change, message):
    with pytest.raises(BadArgument, match=message):
        plan(**{"target_epsilon": 1.0, **SMALL, **change})


# ---------------------------------------------------------------- a run


def test_a_run_is_paid_whole_learns_and_says_so(pay, model_fn, clients):
    found = plan(target_epsilon=8, **{**SMALL, "rounds": 20, "cohort": 100})
    session, rows = pay(found, trust=fa.Central(Keystream.insecure(1))), []
    result = train(model_fn, session, found, algorithm=UNIFORM, clip=1.0, progress=rows.append)
    assert session.budget.remaining.epsilon == pytest.approx(0, abs=0.01)
    assert [row.round for row in rows] == list(range(1, 21)) == [row.round for row in result.history]
    assert result.history[-1].epsilon == found.epsilon <= 8
    x, y = (torch.tensor(np.concatenate(part)) for part in zip(*clients, strict=True))
    assert (result.model(x).argmax(1) == y).float().mean() > 0.9
    assert not result.model.training
    receipt = result.release.receipt
    assert receipt.sampling["sampler"] == "poisson"
    assert receipt.sampling["epsilon_if_cohort_seen"] == pytest.approx(found.epsilon_if_seen, rel=0.01)
    assert receipt.event["count"] == 20
    markdown, card = result.card.to_markdown(), result.card.to_json()
    assert card["Privacy"]["delta"] == 1e-5
    assert card["Training"]["rounds"] == 20
    assert "trust model | central" in markdown
    assert json.loads(json.dumps(card)) == card
    assert "accuracy" in result.card.with_metrics({"accuracy": 0.9}).to_markdown()


def test_a_budget_pays_for_one_run_and_refuses_the_next(pay, model_fn):
    found = plan(target_epsilon=2, **SMALL)
    session = pay(found)
    train(model_fn, session, found, algorithm=UNIFORM, key="a")
    spent = session.budget.spent.units
    with pytest.raises(BudgetExceeded):
        train(model_fn, session, found, algorithm=UNIFORM, key="b")
    again = train(model_fn, session, found, algorithm=UNIFORM, key="a")
    assert again.release.receipt.replayed
    assert session.budget.spent.units == spent


def test_a_renyi_budget_pays_for_sampled_rounds_and_a_gaussian_one_is_refused(pay, model_fn):
    found = plan(target_epsilon=4, **SMALL)
    train(model_fn, pay(found, epsilon=8.0, filter="renyi"), found, algorithm=UNIFORM)
    with pytest.raises(BadArgument, match='filter="pld"'):
        train(model_fn, pay(found, filter="gdp"), found, algorithm=UNIFORM)


def test_the_server_divides_by_the_expected_cohort_and_noise_has_its_size(pay, model_fn):
    """Clients whose updates are all zero: what moves is noise over the cohort; 6 standard errors, a fixed seed."""
    found = plan(target_epsilon=2, **{**SMALL, "rounds": 1})
    silent = [(np.zeros((0, 4), np.float32), np.zeros(0, int))] * 200
    result = train(
        lambda: nn.Linear(100, 30),
        pay(found, data=silent, trust=fa.Central(Keystream.insecure(2))),
        found,
        algorithm=UNIFORM,
        clip=2.0,
    )
    torch.manual_seed(0)
    moved = result.history[0].step / math.sqrt(100 * 30 + 30)
    expected = found.noise_multiplier * 2.0 / 50
    assert moved == pytest.approx(expected, rel=6 / math.sqrt(2 * 3030))


def test_no_client_moves_the_sum_by_more_than_its_clip(model_fn, clients):
    """An outlier, ten thousand rows, NaN and a label's flip: each moves the integer sum by the clip at most."""
    model = Model.of(model_fn)
    training = Training.of(model, UNIFORM, Plan(1.0, 1e-5, 1, 200, 200, 1.0), AdaptiveClip(0.01))
    block = training.block(training.start)
    steps = block.encoder.finest
    bound = block.encoder.sensitivity(steps, fa.privacy.Relation.ADD_OR_REMOVE_ONE).l2_squared
    base = fa.Fleet.from_datasets(clients[:20]).sums([block], [steps])[0].astype(object)
    rng = np.random.default_rng(1)
    strange = [
        (np.full((2, 4), 1e18, np.float32), np.array([0, 1])),
        (rng.normal(size=(10_000, 4)).astype(np.float32), np.ones(10_000, int)),
        (np.full((3, 4), np.nan, np.float32), np.array([0, 1, 1])),
        (np.zeros((0, 4), np.float32), np.zeros(0, int)),
    ]
    moves = []
    for client in strange:
        one_more = fa.Fleet.from_datasets([*clients[:20], client]).sums([block], [steps])[0].astype(object)
        moves.append(sum((one_more - base) ** 2))
        assert moves[-1] <= bound
    assert moves[1] > bound * 0.9  # a client with much to say is cut, not ignored
    assert moves[2] == moves[3] == 0


@pytest.mark.parametrize("place", [0, 7, 20])
def test_one_client_more_changes_nobody_elses_row_wherever_it_stands(model_fn, clients, place):
    """Not its place but its own data seeds a client's shuffling: else one more would move every other update."""
    model = Model.of(model_fn)
    training = Training.of(model, UNIFORM, Plan(1.0, 1e-5, 1, 200, 200, 1.0), FixedClip(1.0))
    block, steps = training.block(training.start), 1 << 20
    base = clients[:20]
    more = [*base[:place], clients[100], *base[place:]]
    [rows] = fa.Fleet.from_datasets(base).messages([block], [steps])
    [others] = fa.Fleet.from_datasets(more).messages([block], [steps])
    assert (np.delete(others, place, axis=0) == rows).all()


def test_the_row_of_a_client_is_its_own_bit_for_bit(model_fn, clients):
    model = Model.of(model_fn)
    training = Training.of(model, UNIFORM, Plan(1.0, 1e-5, 1, 200, 200, 1.0), FixedClip(0.1))
    block, steps = training.block(training.start), 1 << 20
    [all_rows] = fa.Fleet.from_datasets(clients).messages([block], [steps])
    for i in (0, 57, 199):
        chosen = [lambda n, i=i: np.arange(n) == i]
        [alone] = fa.Fleet.from_datasets(clients).sums([block], [steps], chosen)
        assert (alone == all_rows[i]).all()


def test_secure_aggregation_trains_too(pay, model_fn, clients):
    """Simulated, with everybody in every round: the event is that of the shares, within the budget."""
    found = plan(target_epsilon=8, **{**SMALL, "rounds": 3, "cohort": 200})
    trust = fa.SecureAggregation(dropout=0.1, corrupt=0.0, simulate=True, keystream=Keystream.insecure(3))
    session = pay(found, trust=trust, epsilon=20.0, relation="zero-out", filter="renyi")
    result = train(lambda: nn.Linear(4, 20), session, found, algorithm=UNIFORM, clip=AdaptiveClip(0.5))
    assert result.release.receipt.event["event"] == "repeated"
    assert result.release.receipt.guarantee["floor"] == 180
    assert result.release.receipt.guarantee["central"]["epsilon"] < 9
    assert all(-0.4 <= row.unclipped <= 1.4 for row in result.history)  # its noise deviates by about 0.05
    assert "secure aggregation" in result.card.to_markdown()


def test_an_adaptive_clip_finds_the_quantile(pay, model_fn, clients):
    """With hardly any noise it settles where half of the norms are below."""
    found = Plan(1e4, 1e-5, 40, 200, 200, noise_multiplier=0.02)
    session = pay(found, epsilon=1e6)
    result = train(model_fn, session, found, algorithm=replace(UNIFORM, server=Sgd(1e-9)), clip=AdaptiveClip(0.1))
    model = Model.of(model_fn)
    updates = engines.train(model, model.initial, engines.Clients.of(clients), UNIFORM.local, training_round=39)
    median = np.median(np.linalg.norm(updates.values, axis=1))
    assert result.progress.clip == pytest.approx(median, rel=0.1)
    settled = [row.unclipped for row in result.history[-12:]]  # each deviates by 0.05, the mean by 0.015
    assert np.mean(settled) == pytest.approx(0.5, abs=0.08)


def test_the_card_says_what_audits_found(pay, model_fn):
    found = plan(target_epsilon=4, **{**SMALL, "rounds": 2})
    session = pay(found)
    first = train(model_fn, session, found, algorithm=UNIFORM)
    assert "none yet" in first.card.to_json()["Limits"]["audit"]
    for bound in (0.1, 0.2, 0.3, 0.45):
        report = {"verdict": "consistent", "claim": "epsilon 4", "unit": "epsilon", "lower_bound": bound, "limit": 4.0}
        session.budget.record_audit(report)
    session.budget.record_audit({"verdict": "violated", "claim": "of several", "audits": {}, "note": '"type":"audit"'})
    again = train(model_fn, session, found, algorithm=UNIFORM).card.to_json()["Limits"]["audit"]
    assert re.fullmatch(
        r"violated \(entry \d+\); consistent \(entry \d+\): epsilon >= 0\.45 was certified, the claim admits 4; "
        r"consistent \(entry \d+\): epsilon >= 0\.3 was certified, the claim admits 4",
        again,
    )


# ---------------------------------------------------------------- stopping and going on


class Stop(Exception):
    pass


def stop_after(rounds):
    def progress(row):
        if row.round == rounds:
            raise Stop

    return progress


def small_net():
    torch.manual_seed(0)
    return nn.Linear(4, 2)


def small_data():
    features = np.random.default_rng(0).normal(size=(200, 6, 4)).astype(np.float32)
    return [(x, (x[:, 0] > 0).astype(int)) for x in features]


@settings(max_examples=12, deadline=None)
@given(stops=st.lists(st.integers(1, 6), max_size=3), every=st.integers(1, 4), kept=st.booleans())
def test_a_run_that_stops_anywhere_ends_as_one_that_did_not(stops, every, kept):
    """Whatever the stops, with or without a checkpoint: the answers of the ledger make the model, and are paid once."""
    found = plan(target_epsilon=4, **{**SMALL, "rounds": 6})
    with tempfile.TemporaryDirectory() as folder, fa.Ledger(Path(folder) / "b.db") as ledger:
        budget = ledger.budget("t", epsilon=4, delta=1e-5, filter="pld")
        session = fa.Session(fa.Fleet.from_datasets(small_data(), population=200), budget)
        options = {"algorithm": replace(UNIFORM, server=Adam(0.1)), "clip": AdaptiveClip(0.2), "every": every}
        if kept:
            options["checkpoint"] = Path(folder) / "ck"
        for at in stops:
            with contextlib.suppress(Stop):
                train(small_net, session, found, **options, progress=stop_after(at))
        result = train(small_net, session, found, **options)
        replayed = train(small_net, session, found, **{**options, "checkpoint": None})
        assert [row.round for row in result.history] == list(range(1, 7)) == [row.round for row in replayed.history]
        assert (result.progress.state.parameters == replayed.progress.state.parameters).all()
        assert result.progress.clip == replayed.progress.clip
        assert result.history == replayed.history
        assert len(budget.spent.queries) == 1
        assert budget.spent.epsilon <= 4


def test_a_killed_process_goes_on_without_paying_or_asking_twice(tmp_path, clients):
    """SIGKILL between commit and checkpoint, and in the middle of a round."""
    np.savez(tmp_path / "data.npz", x=np.stack([x for x, _ in clients]), y=np.stack([y for _, y in clients]))
    program = textwrap.dedent(
        """
        import os, signal, sys
        import numpy as np, torch
        from torch import nn
        import fedanalytics as fa
        from fedanalytics.learning import Algorithm, LocalTraining, Sgd
        from fedanalytics.learning.private import plan, train
        from fedanalytics.ledger.budget import Budget

        when, at = sys.argv[1], int(sys.argv[2])
        data = np.load("data.npz")
        pairs = list(zip(data["x"], data["y"]))
        found = plan(target_epsilon=4, delta=1e-5, rounds=5, population=200, cohort=50)
        budget = fa.Ledger("b.db").budget("t", epsilon=4, delta=1e-5, filter="pld")
        session = fa.Session(fa.Fleet.from_datasets(pairs, population=200), budget)
        commit, commits = Budget.commit, 0

        def killing(self, answers):
            global commits
            commits += 1
            if when == "before" and commits == at:
                os.kill(os.getpid(), signal.SIGKILL)
            kept = commit(self, answers)
            if when == "after" and commits == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return kept

        Budget.commit = killing

        def net():
            torch.manual_seed(0)
            return nn.Linear(4, 2)

        algorithm = Algorithm(LocalTraining(0.5, batch_size=3), Sgd(1.0), weighting="uniform")
        result = train(net, session, found, algorithm=algorithm, checkpoint="ck", every=2)
        print(len(result.history), len(budget.spent.queries), result.progress.state.parameters.tobytes().hex())
        """
    )

    def run(when, at):
        return subprocess.run(
            [sys.executable, "-c", program, when, str(at)], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    assert run("before", 2).returncode == -signal.SIGKILL
    assert run("after", 1).returncode == -signal.SIGKILL  # that is round 2, after its checkpoint would be due
    assert run("after", 2).returncode == -signal.SIGKILL
    ended = run("never", 0)
    assert ended.returncode == 0, ended.stderr
    rounds, paid, parameters = ended.stdout.split()
    assert (rounds, paid) == ("5", "1")
    again = run("never", 0)
    assert again.stdout.split()[2] == parameters
    entries = fa.Ledger(tmp_path / "b.db").entries()
    commits = [entry.body for entry in entries if entry.body["type"] == "commit"]
    assert [body["index"] for body in commits] == list(range(5))
    assert len({body["result"] for body in commits}) == 5
    fa.verify(tmp_path / "b.db")


def test_a_checkpoint_of_another_run_key_or_ledger_is_refused(pay, model_fn, tmp_path):
    found = plan(target_epsilon=4, **SMALL)
    options = {"algorithm": UNIFORM, "checkpoint": tmp_path / "ck", "every": 1}
    session = pay(found)
    train(model_fn, session, found, **options)
    with pytest.raises(BadArgument, match="belongs to another run"):
        train(model_fn, session, found, **{**options, "algorithm": replace(UNIFORM, server=Sgd(0.5))})
    with pytest.raises(BadArgument, match="belongs to another run"):
        train(model_fn, session, replace(found, cohort=49), **options)
    with pytest.raises(BadArgument, match="under the key 'training'"):
        train(model_fn, session, found, **options, key="other")
    fresh = pay(found)
    with pytest.raises(BadArgument, match="checkpoint has answers that the ledger does not hold"):
        train(model_fn, fresh, found, **options)
    file = tmp_path / "ck" / NAME
    for damage in (file.read_bytes()[:100], b"", b"\0" * 64, file.read_bytes()[:-7]):
        file.write_bytes(damage)
        with pytest.raises(BadArgument, match="is damaged: remove it"):
            train(model_fn, session, found, **options)
    file.unlink()
    assert train(model_fn, session, found, **options).release.receipt.replayed


def test_a_checkpoint_that_cannot_be_written_is_named(pay, model_fn, tmp_path):
    found = plan(target_epsilon=4, **SMALL)
    (tmp_path / "ck").write_text("a file")
    with pytest.raises(BadArgument, match=r"checkpoint=.* cannot be written"):
        train(model_fn, pay(found), found, algorithm=UNIFORM, checkpoint=tmp_path / "ck")


def test_a_checkpoint_comes_back_as_it_was(tmp_path, model_fn):
    model = Model.of(model_fn)
    algorithm = replace(UNIFORM, server=Adam(0.1))
    training = Training.of(model, algorithm, Plan(1.0, 1e-5, 3, 200, 50, 1.0), FixedClip(1.0))
    progress = training.start
    kept = Checkpoint(training.fingerprint, "k", progress, ())
    assert kept.save(tmp_path).name == NAME
    found = Checkpoint.load(tmp_path, training.fingerprint, "k")
    assert found.progress.state.round == 0
    assert (found.progress.state.parameters == progress.state.parameters).all()
    assert {n: v.tolist() for n, v in found.progress.state.memory.items()} == {
        n: v.tolist() for n, v in progress.state.memory.items()
    }
    assert {v.shape for v in found.progress.state.memory.values()} == {v.shape for v in progress.state.memory.values()}


# ---------------------------------------------------------------- the door


def test_weights_by_examples_are_refused_with_the_reason(pay, model_fn):
    found = plan(target_epsilon=4, **SMALL)
    with pytest.raises(BadArgument, match='use weighting="uniform"'):
        train(model_fn, pay(found), found, algorithm=Algorithm(weighting="examples"))


def test_a_population_that_is_not_the_fleets_is_refused(pay, model_fn):
    found = plan(target_epsilon=4, **SMALL)
    with pytest.raises(BadArgument, match="for a population of 200, and the fleet declares 300"):
        train(model_fn, pay(found, population=300), found, algorithm=UNIFORM)


def test_data_that_does_not_fit_is_refused_before_anything_is_paid(pay, model_fn):
    found = plan(target_epsilon=4, **SMALL)
    wrong = [(np.zeros((2, 4), np.float32), np.array([0, 7]))] * 3
    for data, message in ((wrong, "client 0"), ([(np.zeros((2, 5), np.float32), np.array([0, 1]))], "client 0|model")):
        session = pay(found, data=data)
        with pytest.raises(BadArgument, match=message):
            train(model_fn, session, found, algorithm=UNIFORM)
        assert session.budget.spent.units == 0


def detached(outputs, labels):
    return nn.functional.cross_entropy(outputs.detach(), labels, reduction="none")


def counting(outputs, labels):
    return (outputs.argmax(1) != labels).float()


def negative_likelihood(outputs, labels):
    return nn.functional.nll_loss(outputs.log_softmax(1), labels, reduction="none")


@pytest.mark.parametrize(
    ("outputs", "loss_fn", "message"),
    [
        (1, None, r"loss_fn=cross_entropy chooses .* 1 output per example.*\(2 for the labels 0 and 1"),
        (1, nn.CrossEntropyLoss(), "loss_fn=CrossEntropyLoss chooses"),
        (1, negative_likelihood, "loss_fn=negative_likelihood chooses"),
        (2, detached, "loss_fn= has no gradient"),
        (2, counting, "loss_fn= has no gradient"),
    ],
)
def test_training_in_which_every_update_would_be_null_is_refused_before_anything_is_paid(
    pay, outputs, loss_fn, message
):
    found = plan(target_epsilon=4, **SMALL)
    local = LocalTraining() if loss_fn is None else LocalTraining(loss_fn=loss_fn)
    session = pay(found)
    with pytest.raises(BadArgument, match=message):
        train(lambda: nn.Linear(4, outputs), session, found, algorithm=replace(UNIFORM, local=local))
    assert session.budget.spent.units == 0


def test_a_single_output_trains_by_a_loss_of_one_number(pay, clients):
    def logistic(outputs, labels):
        return nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], labels, reduction="none")

    found = plan(target_epsilon=4, **SMALL)
    floats = [(x, y.astype(np.float32)) for x, y in clients]
    local = LocalTraining(loss_fn=logistic)
    session = pay(found, data=floats, epsilon=20.0)
    train(lambda: nn.Linear(4, 1), session, found, algorithm=replace(UNIFORM, local=local))
    model, spent = Model.of(lambda: nn.Linear(4, 1)), session.budget.spent.units
    for ask in (session.preview, session.run):
        with pytest.raises(BadArgument, match=r"metric='accuracy' needs labels that are classes.* metric='loss'"):
            ask(evaluation(model, np.zeros(5), loss_fn=logistic), epsilon=1.0, delta=1e-6)
    assert session.budget.spent.units == spent
    loss = evaluation(model, np.zeros(5), "loss", bounds=(0, 2), loss_fn=logistic)
    assert session.run(loss, epsilon=10.0, delta=1e-6).value == pytest.approx(np.log(2), abs=0.3)


def test_a_second_model_over_the_same_fleet_is_checked_as_the_first_was(pay, model_fn, clients):
    """What was loaded for one model is not what another reads: other labels, another precision."""
    found = plan(target_epsilon=4, **SMALL)
    session = pay(found, epsilon=20.0, data=[(x.astype(np.float64) + 1e-12, y + 1) for x, y in clients])
    train(lambda: nn.Linear(4, 3), session, found, algorithm=UNIFORM, key="three classes")
    spent = session.budget.spent.units
    with pytest.raises(BadArgument, match="labels from 0 to 1, since the model has 2 outputs"):
        train(model_fn, session, found, algorithm=UNIFORM, key="two classes")
    assert session.budget.spent.units == spent
    double = Model.of(lambda: nn.Linear(4, 3).double())
    code = Training.of(double, UNIFORM, found, FixedClip(1.0)).block(Progress(UNIFORM.start(double.initial), 1.0)).work
    session.fleet.check(code)
    _, kept = session.fleet._loaded["local training"]
    assert kept.examples[0][0].dtype == torch.float64
    assert (kept.examples[0][0].numpy() == clients[0][0].astype(np.float64) + 1e-12).all()


def test_what_is_read_alike_is_read_once(pay, model_fn, monkeypatch):
    found, loads = plan(target_epsilon=4, **SMALL), []
    session = pay(found, epsilon=20.0)
    load = LocalUpdate.load
    monkeypatch.setattr(LocalUpdate, "load", lambda self, data: loads.append(1) or load(self, data))
    train(model_fn, session, found, algorithm=UNIFORM)
    assert len(loads) == 1


def test_progress_has_the_parameters_and_the_history_does_not_keep_them(pay, model_fn):
    found, rows = plan(target_epsilon=4, **SMALL), []
    result = train(model_fn, pay(found), found, algorithm=UNIFORM, progress=rows.append)
    assert (rows[-1].parameters == result.progress.state.parameters).all()
    assert (rows[0].parameters != rows[1].parameters).any()
    with pytest.raises(ValueError, match="read-only"):
        rows[0].parameters[0] = 1.0
    assert [type(row) for row in result.history] == [Row] * len(rows)
    assert [(row.round, row.step) for row in rows] == [(row.round, row.step) for row in result.history]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_preview_of_an_evaluation_bounds_its_error_wherever_the_mean_lies(pay, clients, share):
    """By no more than 1.41 times, which is what the place of the mean can matter."""
    found = plan(target_epsilon=4, **SMALL)
    flipped = [(x, y if i < 200 * share else 1 - y) for i, (x, y) in enumerate(clients)]
    session = pay(found, data=flipped, trust=fa.Central(Keystream.insecure(4)), epsilon=50.0, filter="gdp")
    query = evaluation(Model.of(lambda: nn.Linear(4, 2)), np.array([-5, 0, 0, 0, 5, 0, 0, 0, 0, 0], np.float32))
    expected, release = session.preview(query, rho=5.0), session.run(query, rho=5.0)
    assert release.value == pytest.approx(share, abs=0.05)
    assert release.standard_error == pytest.approx(
        expected.standard_error * (1 if share != 0.5 else 0.5**0.5), rel=0.02
    )


def test_sql_and_code_each_have_their_fleet(pay, clients):
    found = plan(target_epsilon=4, **SMALL)
    with pytest.raises(BadArgument, match="for statistics over columns make a fleet of a table"):
        pay(found).run(fa.count(), rho=0.01)
    table = fa.Fleet.from_values([1.0, 2.0])
    query = evaluation(Model.of(lambda: nn.Linear(4, 2)), np.zeros(10))
    session = fa.Session(table, fa.Ledger(":memory:").budget("b", rho=1.0))
    with pytest.raises(BadArgument, match="evaluation is code that reads data sets"):
        session.run(query, rho=0.1)
    with pytest.raises(BadArgument, match="registered code"):
        fa.Fleet.from_datasets(clients).check(Sql("avg(x)"))
    with pytest.raises(BadArgument, match="at least one"):
        fa.Fleet.from_datasets([])


def test_code_that_breaks_contributes_nothing_and_says_nothing(model_fn, clients, monkeypatch):
    model = Model.of(model_fn)
    training = Training.of(model, UNIFORM, Plan(1.0, 1e-5, 1, 200, 200, 1.0), FixedClip(0.1))
    block, fleet = training.block(training.start), fa.Fleet.from_datasets(clients)
    fleet.check(block.work)

    def breaking(self, loaded, chosen):
        yield chosen[:1], np.ones((1, model.size))
        raise RuntimeError("client 7 holds 42")

    monkeypatch.setattr(type(block.work.code), "values", breaking)
    assert not fleet.sums([block], [1 << 20])[0].any()
    assert not fleet.sums([block], [1 << 20], everyone=True)[0].any()
    assert not fleet.messages([block], [1 << 20])[0].any()


def test_an_evaluation_is_a_mean_with_a_price(pay, model_fn, clients):
    found = plan(target_epsilon=4, **SMALL)
    session = pay(found, trust=fa.Central(Keystream.insecure(4)), epsilon=20.0, filter="gdp")
    model = Model.of(lambda: nn.Linear(4, 2))
    right = np.array([[-5, 0, 0, 0], [5, 0, 0, 0]], np.float32)
    parameters = np.concatenate([right.ravel(), [0, 0]])
    release = session.run(evaluation(model, parameters), rho=0.5)
    assert abs(release.value - 1) < 6 * release.standard_error
    assert release.interval()[1] == 1
    loss = session.run(evaluation(model, parameters, "loss", bounds=(0, 5)), rho=0.5)
    assert 0 <= loss.value < 0.5
    assert session.budget.spent.rho == pytest.approx(1.0, abs=1e-9)
    with pytest.raises(BadArgument, match="bounds= of a loss must be given"):
        evaluation(model, parameters, "loss")
    with pytest.raises(BadArgument, match="metric="):
        evaluation(model, parameters, "f1")


def test_a_crash_in_a_round_under_secure_aggregation_pays_that_round_again(pay, model_fn, monkeypatch):
    found = plan(target_epsilon=8, **{**SMALL, "rounds": 3, "cohort": 200})
    trust = fa.SecureAggregation(dropout=0.1, corrupt=0.0, simulate=True)
    session = pay(found, trust=trust, epsilon=50.0, relation="zero-out", filter="renyi")
    commit, calls = Budget.commit, []

    def crash(self, answers):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return commit(self, answers)

    with monkeypatch.context() as patched:
        patched.setattr(Budget, "commit", crash)
        with pytest.raises(KeyboardInterrupt):
            train(model_fn, session, found, algorithm=UNIFORM)
    whole = session.budget.spent.units
    result = train(model_fn, session, found, algorithm=UNIFORM)
    assert [row.round for row in result.history] == [1, 2, 3]
    assert session.budget.spent.units - whole == pytest.approx(whole / 3, rel=1e-6)
    keys = [row["key"] for row in session.budget.spent.queries]
    assert keys == ["training", "training (round 2), attempt 2"]
