"""The announced interface, on real digits whose clients are blocks of consecutive writers."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from fedanalytics import learning
from fedanalytics.errors import BadArgument
from fedanalytics.learning import Clients, LocalTraining, Trainer, build_federated_averaging_process, fed_adam, fed_avg

datasets = pytest.importorskip("sklearn.datasets")


def mlp():
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def cnn():
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


@pytest.fixture(scope="module")
def digits():
    """50 clients of 30 consecutive images each to train on, and the next 5 of each held out."""
    images, labels = datasets.load_digits(return_X_y=True)
    starts = range(0, 1750, 35)
    train = [(images[i : i + 30] / 16, labels[i : i + 30]) for i in starts]
    return train, [(images[i + 30 : i + 35] / 16, labels[i + 30 : i + 35]) for i in starts]


def seeded(make):
    def model_fn():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return make()

    return model_fn


@pytest.mark.parametrize(("make", "rounds"), [(mlp, 10), (cnn, 5)])
def test_digits_are_learnt(digits, make, rounds):
    train_data, held_out = digits
    trainer = build_federated_averaging_process(
        seeded(make), client_optimizer=learning.Sgd(0.1, momentum=0.9), epochs=5, batch_size=10
    )
    state = trainer.initialize()
    losses = []
    for _ in range(rounds):
        state, metrics = trainer.next(state, train_data)
        losses.append(metrics.loss)
    assert losses[-1] < losses[0] / 3
    assert (metrics.examples, metrics.clients, metrics.diverged) == (1500, 50, 0)
    assert metrics.accuracy > 0.9
    assert trainer.evaluate(state, held_out).accuracy > 0.9
    with torch.no_grad():
        guesses = trainer.model(state)(torch.tensor(held_out[7][0], dtype=torch.float32)).argmax(1).numpy()
    assert trainer.evaluate(state, held_out).correct[7] == (guesses == held_out[7][1]).sum()


def test_an_adaptive_server_learns_too(digits):
    train_data, held_out = digits
    local = LocalTraining(0.1, epochs=2, batch_size=10)
    trainer = Trainer.of(seeded(mlp), fed_adam(local, learning_rate=0.03))
    state, clients = trainer.initialize(), Clients.of(train_data)
    for _ in range(25):
        state, _ = trainer.next(state, clients)
    assert trainer.evaluate(state, held_out).accuracy > 0.9


def test_rounds_are_repeatable_and_states_are_not_changed(digits):
    trainer = build_federated_averaging_process(seeded(mlp), batch_size=10)
    start = trainer.initialize()
    kept = start.parameters.tobytes()
    runs = []
    for _ in range(2):
        state = start
        for _ in range(2):
            state, metrics = trainer.next(state, digits[0])
        runs.append((state.parameters.tobytes(), metrics))
    assert runs[0] == runs[1]
    assert start.parameters.tobytes() == kept
    assert (start.round, state.round) == (0, 2)


def test_metrics_are_means_over_examples():
    """Nothing moves with a tiny learning rate: loss and accuracy are those of the start."""
    draw = np.random.default_rng(0)
    data = [(draw.normal(size=(n, 64)), draw.integers(0, 10, n)) for n in (3, 0, 40)]
    trainer = build_federated_averaging_process(seeded(mlp), client_optimizer=learning.Sgd(1e-12), batch_size=7)
    state = trainer.initialize()
    _, metrics = trainer.next(state, data)
    found = trainer.evaluate(state, data)
    assert metrics.loss == pytest.approx(found.loss, rel=1e-5)
    assert metrics.accuracy == pytest.approx(found.accuracy)
    assert (metrics.examples, metrics.clients) == (43, 2)
    assert np.isnan(found.losses[1])
    assert found.examples.tolist() == [3, 0, 40]


def test_a_client_that_diverges_is_counted_and_left_out_of_the_loss():
    draw = np.random.default_rng(0)
    data = [(draw.normal(size=(5, 64)), draw.integers(0, 10, 5)) for _ in range(2)]
    trainer = build_federated_averaging_process(seeded(mlp))
    alone, metrics_alone = trainer.next(trainer.initialize(), [data[0], ([], [])])
    data[1][0][0, 0] = np.nan
    state, metrics = trainer.next(trainer.initialize(), data)
    assert metrics.diverged == 1
    assert metrics.loss == metrics_alone.loss
    half = (alone.parameters - trainer.initialize().parameters) / 2  # a zero update still has its weight
    np.testing.assert_allclose(state.parameters - trainer.initialize().parameters, half, atol=1e-7)


def test_a_round_with_nobody():
    trainer = build_federated_averaging_process(seeded(mlp))
    state, metrics = trainer.next(trainer.initialize(), [([], [])])
    assert (metrics.examples, metrics.clients, metrics.accuracy) == (0, 0, None)
    assert math.isnan(metrics.loss)
    assert state.parameters.tobytes() == trainer.initialize().parameters.tobytes()


def test_personalised_evaluation(digits):
    """Clients who know two classes each gain by tuning; before and after are on the same held-out examples."""
    images, labels = datasets.load_digits(return_X_y=True)
    data = [(images[part] / 16, labels[part]) for part in (np.flatnonzero(labels // 2 == k) for k in range(5))]
    trainer = Trainer.of(seeded(mlp), fed_avg(LocalTraining(0.1, epochs=3, batch_size=10)))
    state = trainer.initialize()
    found = trainer.personalise(state, data, held_out=0.25)
    sizes = np.array([len(y) for _, y in data])
    assert found.before.examples.tolist() == (sizes - np.rint(0.75 * sizes)).tolist()
    assert found.after.accuracy > 0.9 > found.before.accuracy
    clients = trainer.clients(data)
    tuning, rest = clients.split(0.75)
    assert found.before.losses.tolist() == trainer.evaluate(state, rest).losses.tolist()
    updates = trainer.algorithm.client_updates(trainer.architecture, state, tuning).values
    own = type(state)(0, state.parameters + updates[3], {})
    assert found.after.losses[3] == trainer.evaluate(own, rest.take([3])).losses[0]


def test_personalised_evaluation_of_who_has_little():
    trainer = build_federated_averaging_process(seeded(mlp))
    data = [(np.ones((1, 64)), [1]), ([], []), (np.ones((2, 64)), [1, 2])]
    found = trainer.personalise(trainer.initialize(), data, held_out=0.6)
    assert found.before.examples.tolist() == [1, 0, 1]
    assert found.before.losses[0] == found.after.losses[0]
    assert np.isnan([found.before.losses[1], found.after.losses[1]]).all()
    assert found.before.losses[2] != found.after.losses[2]
    with pytest.raises(BadArgument, match="held_out="):
        trainer.personalise(trainer.initialize(), data, held_out=1.0)


def test_regression_has_no_accuracy():
    draw = np.random.default_rng(0)
    data = [(draw.normal(size=(20, 3)), draw.normal(size=(20, 1))) for _ in range(3)]
    trainer = build_federated_averaging_process(seeded(lambda: nn.Linear(3, 1)), loss_fn=nn.functional.mse_loss)
    state, metrics = trainer.next(trainer.initialize(), data)
    assert metrics.accuracy is None
    assert trainer.evaluate(state, data).accuracy is None
    assert trainer.personalise(state, data).after.correct is None


def test_an_unknown_engine_is_refused_at_once():
    with pytest.raises(BadArgument, match="did you mean 'dense'"):
        build_federated_averaging_process(seeded(mlp), engine="dens")


def test_a_state_of_another_model():
    trainer = build_federated_averaging_process(seeded(mlp))
    other = build_federated_averaging_process(seeded(lambda: nn.Linear(64, 10))).initialize()
    with pytest.raises(
        BadArgument, match=r"parameters= must be a finite vector of shape \(2410,\), got shape \(650,\)"
    ):
        trainer.next(other, [(np.ones((1, 64)), [1])])


def test_everything_public_is_documented():
    for name in learning.__all__:
        assert (getattr(learning, name).__doc__ or "").strip(), name
