"""The algorithms where their result is known otherwise: pooled gradient descent, closed forms, plain averages."""

import numpy as np
import pytest
import torch
from torch import nn

from fedanalytics.errors import BadArgument
from fedanalytics.learning import (
    LocalTraining,
    Model,
    Sgd,
    Trainer,
    build_federated_averaging_process,
    fed_adagrad,
    fed_adam,
    fed_avg,
    fed_prox,
    fed_sgd,
    fed_yogi,
)


def data(sizes, features=4, classes=3, seed=0):
    draw = np.random.default_rng(seed)
    return [(draw.normal(size=(n, features)), draw.integers(0, classes, n)) for n in sizes]


def double(make):
    def model_fn():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return make().double()

    return model_fn


@pytest.mark.parametrize(
    "make", [lambda: nn.Linear(4, 3), lambda: nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 3))]
)
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_fed_sgd_is_gradient_descent_on_all_examples_together(make, momentum):
    pairs = data([5, 0, 17, 1])
    trainer = Trainer.of(double(make), fed_sgd(0.3, momentum=momentum))
    state = trainer.initialize()
    module = trainer.model(state)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.3, momentum=momentum)
    x, y = (torch.from_numpy(np.concatenate(part)) for part in zip(*pairs, strict=True))
    for _ in range(4):
        state, metrics = trainer.next(state, pairs)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(module(x), y)
        loss.backward()
        optimizer.step()
        assert metrics.loss == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(state.parameters, trainer.architecture.flatten(module), atol=1e-12)


@pytest.mark.parametrize("weighting", ["examples", "uniform"])
def test_fed_avg_is_the_mean_of_what_clients_arrive_at(weighting):
    pairs = data([5, 0, 20])
    local = LocalTraining(0.2, epochs=2, batch_size=4)
    trainer = Trainer.of(double(lambda: nn.Linear(4, 3)), fed_avg(local, weighting=weighting))
    state, _ = trainer.next(trainer.initialize(), pairs)
    weights = [0.2, 0.0, 0.8] if weighting == "examples" else [0.5, 0.0, 0.5]
    expected = 0.0
    for i, weight in enumerate(weights):
        alone = [pair if i == j else ([], []) for j, pair in enumerate(pairs)]
        expected += weight * trainer.next(trainer.initialize(), alone)[0].parameters
    np.testing.assert_allclose(state.parameters, expected, atol=1e-12)


def test_fed_prox_reaches_the_proximal_point():
    """With mean loss ||w - a||^2 / 2 the proximal point is (a + mu w_0) / (1 + mu)."""

    class Point(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor([1.0, -2.0]))

        def forward(self, x):
            return self.w.expand(len(x), 2) + 0 * x

    def half_square(outputs, labels):
        return ((outputs - labels) ** 2).sum(1) / 2

    local = LocalTraining(0.1, steps=400, loss_fn=half_square)
    target = np.array([[3.0, 5.0]])
    for engine in ("sequential", "vmap"):
        trainer = Trainer.of(lambda: Point().double(), fed_prox(local, mu=0.7), engine=engine)
        state, metrics = trainer.next(trainer.initialize(), [(np.zeros((1, 2)), target)])
        np.testing.assert_allclose(state.parameters, (target[0] + 0.7 * np.array([1.0, -2.0])) / 1.7, atol=1e-9)
        assert metrics.accuracy is None


@pytest.mark.parametrize("make", [fed_adam, fed_yogi, fed_adagrad])
def test_fed_opt_takes_the_mean_update_as_its_gradient(make):
    pairs, local = data([6, 9]), LocalTraining(0.2)
    averaging = Trainer.of(double(lambda: nn.Linear(4, 3)), fed_avg(local))
    start = averaging.initialize()
    update = averaging.next(start, pairs)[0].parameters - start.parameters
    trainer = Trainer.of(double(lambda: nn.Linear(4, 3)), make(local, learning_rate=0.05))
    state, _ = trainer.next(trainer.initialize(), pairs)
    server = trainer.algorithm.server
    expected, _ = server.step(server.start(start.parameters), start.parameters, update)
    np.testing.assert_allclose(state.parameters, expected, atol=1e-9)


def test_the_two_functions_of_an_algorithm():
    """What a private round does in their middle: clients' updates here, a mean from anywhere there."""
    model, algorithm = Model.of(double(lambda: nn.Linear(4, 3))), fed_avg(LocalTraining(0.2))
    trainer = Trainer(model, algorithm)
    pairs = data([6, 9])
    state = trainer.initialize()
    updates = algorithm.client_updates(model, state, trainer.clients(pairs))
    mean = algorithm.weights(np.array([6, 9])) @ updates.values
    np.testing.assert_allclose(
        algorithm.server_update(state, mean).parameters, trainer.next(state, pairs)[0].parameters, atol=1e-12
    )


def test_dropout_is_trained_with_the_clients_own_randomness_and_evaluated_without():
    def model_fn():
        return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3))

    trainer = Trainer.of(double(model_fn), fed_avg(LocalTraining(0.2, epochs=3, batch_size=4)))
    pairs, state = data([8, 8]), trainer.initialize()
    before = torch.get_rng_state()
    first = trainer.next(state, pairs)[0].parameters
    assert torch.equal(torch.get_rng_state(), before)
    assert trainer.next(state, pairs)[0].parameters.tobytes() == first.tobytes()
    model, algorithm = trainer.architecture, trainer.algorithm
    clients = trainer.clients(pairs)
    both = algorithm.client_updates(model, state, clients).values
    assert algorithm.client_updates(model, state, clients.take([1])).values[0].tobytes() == both[1].tobytes()
    assert trainer.evaluate(state, pairs).loss == trainer.evaluate(state, pairs).loss
    other = Trainer(model, fed_avg(LocalTraining(0.2, epochs=3, batch_size=4, seed=1))).next(state, pairs)[0]
    assert other.parameters.tobytes() != first.tobytes()


def test_the_client_optimizer_is_sgd():
    with pytest.raises(BadArgument, match="client_optimizer= must be Sgd: adaptive optimizers are the server's"):
        build_federated_averaging_process(lambda: nn.Linear(2, 2), client_optimizer=fed_adam().server)
    trainer = build_federated_averaging_process(lambda: nn.Linear(2, 2), client_optimizer=Sgd(0.3, momentum=0.5))
    assert (trainer.algorithm.local.learning_rate, trainer.algorithm.local.momentum) == (0.3, 0.5)


def test_mu_must_be_positive():
    with pytest.raises(BadArgument, match="mu= must be a positive"):
        fed_prox(mu=0)
