"""The two examples of the TensorFlow Federated announcement, and the contract of the design."""

import itertools

import numpy as np
import pytest

from fedanalytics.computation import (
    FederatedComputation,
    federated_average,
    federated_broadcast,
    federated_computation,
    federated_map,
    federated_mean,
    local_computation,
)
from fedanalytics.privacy.events import Exact, Gaussian
from fedanalytics.types import CLIENTS, SERVER, FederatedType, SequenceType, to_type

READINGS_TYPE = FederatedType(np.float32, CLIENTS)


# ---------------------------------------------------------------- the average temperature over sensors


@federated_computation(READINGS_TYPE)
def get_average_temperature(sensor_readings):
    """The average over all sensors."""
    return federated_mean(sensor_readings)


@federated_computation(READINGS_TYPE)
def private_average_temperature(sensor_readings):
    return federated_mean(sensor_readings, bounds=(0, 110), rho=0.01)


def test_the_average_temperature():
    assert str(get_average_temperature.type_signature) == "({float32}@CLIENTS -> float32@SERVER)"
    result = get_average_temperature([68.5, 70.3, 69.8])
    assert result == pytest.approx(np.mean([68.5, 70.3, 69.8]))
    assert result.dtype == np.float32
    assert get_average_temperature(np.array([68.5, 70.3, 69.8])) == result
    assert get_average_temperature(sensor_readings=(68.5, 70.3, 69.8)) == result
    assert federated_average is federated_mean
    assert get_average_temperature.__name__ == "get_average_temperature"
    assert get_average_temperature.__doc__ == "The average over all sensors."


def test_its_privacy_is_a_table():
    [row] = get_average_temperature.privacy
    assert (row.op, row.release, row.bound, row.event) == ("federated_mean", "exact", None, Exact())
    [row] = private_average_temperature.privacy
    assert (row.release, row.bound) == ("noised", "[0, 110]")
    assert isinstance(row.event, Gaussian)
    assert row.event.noise_multiplier == pytest.approx(np.sqrt(1 / 0.02))
    assert "test_announced_examples.py:" in row.line
    table = repr(private_average_temperature.privacy)
    assert [word in table for word in ("noised", "[0, 110]", "gaussian", "7.071", "sensitivity")] == [True] * 5


def test_a_cost_does_not_noise_a_simulation():
    assert private_average_temperature([68.5, 70.25, 69.75]) == 69.5
    assert private_average_temperature([-50.0, 500.0]) == 55.0, "but its values are clipped as a session would"


def test_types_by_annotation():
    @federated_computation
    def by_object(x: READINGS_TYPE):
        return federated_mean(x)

    @federated_computation
    def by_text(x: "{float32}@CLIENTS") -> "float32@SERVER":  # noqa: F821  # the compact notation of a type
        return federated_mean(x)

    signatures = {by_object.type_signature, by_text.type_signature, get_average_temperature.type_signature}
    assert len(signatures) == 1


# ---------------------------------------------------------------- federated training

BATCH = to_type("<x=float32[?,784],y=int32[?]>")
MODEL = to_type("<weights=float32[784,10],bias=float32[10]>")
DATA = FederatedType(SequenceType(BATCH), CLIENTS)


def log_softmax(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def loss(model, batches):
    losses = [-log_softmax(b["x"] @ model["weights"] + model["bias"])[np.arange(len(b["y"])), b["y"]] for b in batches]
    return float(np.mean(np.concatenate(losses)))


@local_computation
def batch_train(model, batch, learning_rate):
    gradient = np.exp(log_softmax(batch.x @ model.weights + model.bias))
    gradient[np.arange(len(batch.y)), batch.y] -= 1
    gradient /= np.float32(len(batch.y))
    return {
        "weights": model.weights - learning_rate * (batch.x.T @ gradient),
        "bias": model.bias - learning_rate * gradient.sum(axis=0),
    }


@local_computation
def local_train(batches, model, learning_rate):
    for batch in batches:
        model = batch_train(model, batch, learning_rate)
    return model


@federated_computation(DATA, FederatedType(MODEL, SERVER), FederatedType(np.float32, SERVER))
def federated_train(client_data, server_model, learning_rate):
    return federated_mean(
        federated_map(local_train, [client_data, federated_broadcast(server_model), federated_broadcast(learning_rate)])
    )


def synthetic_clients(count=5, batches=2, size=30):
    """Clients that hold the digits of two classes each, as in the tutorial's non-IID split."""
    random = np.random.default_rng(7)
    prototypes = random.normal(size=(10, 784)).astype(np.float32)

    def batch(classes):
        y = random.choice(classes, size).astype(np.int32)
        return {"x": prototypes[y] * 0.2 + random.normal(size=(size, 784)).astype(np.float32) * 0.1, "y": y}

    return [[batch([2 * i, 2 * i + 1]) for _ in range(batches)] for i in range(count)]


def test_training_lowers_the_loss():
    assert str(federated_train.type_signature) == (
        "(<client_data={<x=float32[?,784],y=int32[?]>*}@CLIENTS,"
        "server_model=<weights=float32[784,10],bias=float32[10]>@SERVER,learning_rate=float32@SERVER>"
        " -> <weights=float32[784,10],bias=float32[10]>@SERVER)"
    )
    clients = synthetic_clients()
    model = {"weights": np.zeros((784, 10), np.float32), "bias": np.zeros(10, np.float32)}
    losses = []
    for _ in range(4):
        losses.append(np.mean([loss(model, batches) for batches in clients]))
        model = federated_train(clients, model, 0.1)
    losses.append(np.mean([loss(model, batches) for batches in clients]))
    assert losses[0] == pytest.approx(np.log(10), rel=1e-5)
    assert all(later < earlier for earlier, later in itertools.pairwise(losses))
    assert losses[-1] < 0.5 * losses[0]
    assert model["weights"].dtype == model["bias"].dtype == np.float32
    assert model["weights"].flags.writeable


def test_a_round_of_training_is_the_mean_of_local_models():
    clients = synthetic_clients(count=2)
    model = {"weights": np.zeros((784, 10), np.float32), "bias": np.zeros(10, np.float32)}
    trained = [local_train(batches, model, np.float32(0.1)) for batches in clients]
    together = federated_train(clients, model, 0.1)
    np.testing.assert_allclose(together["bias"], (trained[0].bias + trained[1].bias) / 2, rtol=1e-5)
    np.testing.assert_allclose(together["weights"], (trained[0].weights + trained[1].weights) / 2, rtol=1e-5, atol=1e-8)


def test_training_releases_an_exact_model():
    [row] = federated_train.privacy
    assert (row.op, row.release) == ("federated_mean", "exact")
    assert isinstance(federated_train, FederatedComputation)
