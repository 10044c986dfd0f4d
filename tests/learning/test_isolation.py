"""A client's update is its own: the same bit for bit whoever else is in the cohort, whatever they hold."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import PCG64, Generator
from torch import nn

from fedanalytics.learning import Clients, LocalTraining, Model, evaluate, train_in_chunks
from fedanalytics.learning.engines import choose
from fedanalytics.learning.probing import Shapes
from fedanalytics.learning.training import train

MODELS = {
    "wide": (784, lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))),
    "narrow": (20, lambda: nn.Sequential(nn.Linear(20, 33), nn.Tanh(), nn.Linear(33, 9), nn.ReLU(), nn.Linear(9, 5))),
    "sigmoid": (20, lambda: nn.Sequential(nn.Linear(20, 33), nn.Sigmoid(), nn.Linear(33, 5))),
    "convolution": (
        64,
        lambda: nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 6, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(54, 5),
        ),
    ),
}


@contextmanager
def threads(number):
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cohort(sizes, features, seed):
    draw = Generator(PCG64(seed))
    return Clients.of([(draw.normal(size=(n, features)), draw.integers(0, 5, n)) for n in sizes])


@given(
    st.sampled_from(sorted(MODELS)),
    st.lists(st.sampled_from([0, 1, 3, 7, 10, 25, 50, 50, 50, 51, 200]), min_size=2, max_size=30),
    st.data(),
)
@settings(max_examples=40)
@pytest.mark.parametrize("number", [1, 2, 8])
def test_a_client_moves_no_other(number, name, sizes, data):
    features, make = MODELS[name]
    model = Model.of(make)
    local = LocalTraining(
        0.1,
        momentum=data.draw(st.sampled_from([0.0, 0.9])),
        proximal=data.draw(st.sampled_from([0.0, 0.1])),
        batch_size=data.draw(st.sampled_from([1, 10, 32, None])),
        epochs=data.draw(st.integers(1, 2)),
    )
    clients = cohort(sizes, features, seed=data.draw(st.integers(0, 9)))
    kept = data.draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, unique=True))
    with threads(number):
        everyone = train(model, model.initial, clients, local, isolated=True)
        some = train(model, model.initial, clients.take(kept), local, isolated=True)
    assert some.values.tobytes() == everyone.values[kept].tobytes()
    assert some.losses.tobytes() == everyone.losses[kept].tobytes()


@pytest.mark.parametrize("make", [MODELS["narrow"][1], MODELS["sigmoid"][1]])
@pytest.mark.parametrize("engine", ["sequential", "vmap", "auto"])
def test_a_client_that_diverges_is_alone_in_that(make, engine):
    """NaN, infinities and overflow give a zero update to who holds them, and nothing to the others."""
    model, local = Model.of(make), LocalTraining(0.1, epochs=2, batch_size=4)
    clients = cohort([6, 6, 6, 6, 6], 20, seed=1)
    clean = train(model, model.initial, clients, local, engine=engine)
    for row, value in enumerate([np.nan, np.inf, 3e38]):
        clients.examples[row][0][2, 3] = value
    found = train(model, model.initial, clients, local, engine=engine)
    assert found.diverged.tolist()[:2] == [True, True]
    assert not found.values[found.diverged].any()
    assert np.isnan(found.losses[found.diverged]).all()
    assert np.isfinite(found.values).all()
    assert found.values[3:].tobytes() == clean.values[3:].tobytes()


@pytest.mark.parametrize("engine", ["sequential", "vmap", "dense"])
def test_an_update_whose_norm_overflows_when_squared_is_zero(engine):
    """Its coordinates are finite, and so is its loss; 1e20 squared is not in float32."""
    model = Model.of(lambda: nn.Linear(2, 2))
    clients = Clients.of([(np.full((1, 2), size, np.float32), [0]) for size in (1e20, 1e18)])
    found = train(model, np.zeros(6), clients, LocalTraining(1.0), engine=engine)
    assert found.diverged.tolist() == [True, False]
    assert not found.values[0].any()
    assert np.isnan(found.losses[0])
    assert found.values[1].any()


@pytest.mark.parametrize("engine", ["sequential", "vmap", "dense"])
def test_what_nobody_reads_does_not_count(engine):
    """One step of a client that could take three: a row that is not finite matters only where it is read."""
    model = Model.of(MODELS["wide"][1])
    clients = cohort([30, 30], 784, seed=2)
    local = LocalTraining(0.1, steps=1, batch_size=10, shuffle=False)
    clean = train(model, model.initial, clients, local, engine=engine)
    clients.examples[0][0][25] = np.nan
    found = train(model, model.initial, clients, local, engine=engine)
    assert not found.diverged.any()
    assert found.values.tobytes() == clean.values.tobytes()


def test_the_figures_of_an_evaluation_are_a_clients_own():
    model = Model.of(MODELS["sigmoid"][1])
    clients = cohort([7, 30, 1, 2000], 20, seed=3)
    everyone = evaluate(model, model.initial, clients)
    alone = [evaluate(model, model.initial, clients.take([i])).losses[0] for i in range(4)]
    assert everyone.losses.tolist() == alone


def test_who_trains_with_whom_is_seen_in_vmap():
    """The reason why vmap is not isolated; if this no longer holds, it may become so."""
    model, local = Model.of(MODELS["sigmoid"][1]), LocalTraining(0.1, epochs=2, batch_size=10)
    clients = cohort([50] * 12, 20, seed=4)
    everyone = train(model, model.initial, clients, local, engine="vmap").values
    changed = 0
    for i in range(12):
        alone = train(model, model.initial, clients.take([i]), local, engine="vmap").values
        np.testing.assert_allclose(alone[0], everyone[i], atol=1e-6)
        changed += alone.tobytes() != everyone[i].tobytes()
    assert changed


def test_one_client_with_a_hundred_times_the_data_does_not_widen_the_others():
    """Padding follows from a client's own size: chunks are bounded, and the large client pads nobody."""
    model = Model.of(MODELS["wide"][1])
    clients = cohort([50] * 40 + [5000], 784, seed=5)
    local = LocalTraining(0.1, epochs=1, batch_size=10)
    shapes = Shapes.of(clients)
    engine = choose(model, local, shapes, "auto", isolated=False)
    blocks = engine.blocks(local, clients.sizes)
    assert blocks.tolist() == [64] * 40 + [0]
    parts = list(train_in_chunks(model, model.initial, clients, local))
    assert sorted(np.concatenate([part.positions for part in parts]).tolist()) == list(range(41))
    small = train(model, model.initial, clients.take(range(40)), local)
    for part in parts:
        for position, update in zip(part.positions, part.values, strict=True):
            if position < 40:
                assert update.tobytes() == small.values[position].tobytes()


def test_threads_are_given_back():
    model = Model.of(MODELS["narrow"][1])
    with threads(2):
        train(model, model.initial, cohort([5, 5], 20, seed=6), LocalTraining())
        assert torch.get_num_threads() == 2
        parts = train_in_chunks(model, model.initial, cohort([5] * 60, 20, seed=6), LocalTraining())
        next(parts)
        parts.close()
        assert torch.get_num_threads() == 2
