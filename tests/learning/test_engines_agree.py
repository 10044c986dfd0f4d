"""All engines give what the definition gives: torch's own optimizer, one client after the other."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fedanalytics.errors import BadArgument
from fedanalytics.learning import Clients, LocalTraining, Model
from fedanalytics.learning.engines import choose
from fedanalytics.learning.probing import Shapes
from fedanalytics.learning.training import train

TRAININGS = st.builds(
    LocalTraining,
    learning_rate=st.floats(0.01, 0.2),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    proximal=st.sampled_from([0.0, 0.1, 1.0]),
    batch_size=st.none() | st.integers(1, 12),
    shuffle=st.booleans(),
    seed=st.integers(0, 9),
)
LENGTHS = st.one_of(
    st.builds(dict, epochs=st.integers(1, 2)),
    st.builds(dict, steps=st.integers(1, 7)),
)
SIZES = st.lists(st.integers(0, 20), min_size=1, max_size=9)
DENSE = ["one layer", "relu", "tanh without bias", "deep", "activation first", "functions"]
OTHER = ["sigmoid", "gelu and norm", "convolution"]


def with_length(local, length):
    return LocalTraining(**{**vars(local), "epochs": None, "steps": None, **length})


@given(st.sampled_from(DENSE), SIZES, TRAININGS, LENGTHS, st.integers(0, 3))
@settings(max_examples=40)
@pytest.mark.parametrize("engine", ["sequential", "vmap", "dense"])
def test_dense_models_in_double_precision(zoo, engine, name, sizes, local, length, training_round):
    agree(zoo, zoo.built(name, torch.float64), engine, sizes, with_length(local, length), training_round, 1e-9)


@given(st.sampled_from(OTHER), SIZES, TRAININGS, LENGTHS, st.integers(0, 3))
@settings(max_examples=20)
@pytest.mark.parametrize("engine", ["sequential", "vmap"])
def test_other_models_in_double_precision(zoo, engine, name, sizes, local, length, training_round):
    agree(zoo, zoo.built(name, torch.float64), engine, sizes, with_length(local, length), training_round, 1e-9)


@given(st.sampled_from(["one layer", "tanh without bias", "functions"]), SIZES, TRAININGS, LENGTHS)
@settings(max_examples=25)
@pytest.mark.parametrize("engine", ["sequential", "vmap", "dense"])
def test_single_precision_within_a_millionth(zoo, engine, name, sizes, local, length):
    agree(zoo, zoo.built(name), engine, sizes, with_length(local, length), 0, 1e-6)


def agree(zoo, model, engine, sizes, local, training_round, tolerance):
    clients = Clients.of(zoo.cohort(sizes), model.dtype)
    updates, losses = zoo.defined(model, clients, local, training_round)
    found = train(model, model.initial, clients, local, training_round=training_round, engine=engine)
    scale = max(1.0, float(np.abs(updates).max()))
    assert np.abs(found.values - updates).max() <= tolerance * scale
    np.testing.assert_allclose(found.losses, losses, rtol=100 * tolerance, atol=100 * tolerance)
    assert not found.diverged.any()


@pytest.mark.parametrize("spans", [True, False])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_both_forms_of_the_first_layer_are_used_and_agree(zoo, spans, momentum):
    """Few examples of many features: the weights stay in the span; many of few: they do not."""
    features = 300 if spans else 4
    model = Model.of(zoo.seeded(lambda: nn.Sequential(nn.Linear(features, 8), nn.Tanh(), nn.Linear(8, 3))))
    sizes = [11, 3, 17] if spans else [400, 350, 3]
    clients = Clients.of(zoo.cohort(sizes, features=features))
    local = LocalTraining(0.05, momentum=momentum, proximal=0.1, epochs=2, batch_size=4)
    blocks = choose(model, local, Shapes.of(clients), "dense", isolated=True).blocks(local, clients.sizes)
    assert (blocks[:2] > 0).all() == spans
    updates, _ = zoo.defined(model, clients, local)
    found = train(model, model.initial, clients, local, engine="dense")
    np.testing.assert_allclose(found.values, updates, atol=2e-6)


def test_token_ids_and_embeddings(zoo):
    model = Model.of(zoo.seeded(zoo.embedded))
    draw = np.random.default_rng(0)
    data = [(draw.integers(0, 5, (n, 6)), draw.integers(0, 3, n)) for n in (3, 8, 1)]
    clients, local = Clients.of(data), LocalTraining(0.3, epochs=3, batch_size=4)
    updates, _ = zoo.defined(model, clients, local)
    for engine in ("sequential", "vmap"):
        np.testing.assert_allclose(
            train(model, model.initial, clients, local, engine=engine).values, updates, atol=1e-6
        )


def test_a_loss_per_pixel_and_regression(zoo):
    """Outputs with more dimensions, labels that are floats: the mean over all is what is trained."""
    model = Model.of(zoo.seeded(lambda: nn.Linear(12, 4), torch.float64))
    draw = np.random.default_rng(0)
    data = [(draw.normal(size=(n, 12)), draw.normal(size=(n, 4))) for n in (3, 8)]
    clients = Clients.of(data, torch.float64)
    local = LocalTraining(0.1, batch_size=3, loss_fn=nn.functional.mse_loss, shuffle=False)
    for engine in ("sequential", "vmap"):
        found = train(model, model.initial, clients, local, engine=engine)
        for (x, y), update in zip(clients.examples, found.values, strict=True):
            module = model.module(model.initial)
            optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
            for a, b in zip(x.split(3), y.split(3), strict=True):
                optimizer.zero_grad()
                nn.functional.mse_loss(module(a), b).backward()
                optimizer.step()
            np.testing.assert_allclose(update, model.flatten(module) - model.initial, atol=1e-13)
        assert np.isnan(found.accuracies).all()


def chosen(zoo, make, local=None, row=(12,), dtype=torch.float32, *, isolated=False):
    model = Model.of(zoo.seeded(make, dtype))
    shapes = Shapes(row, dtype, (), torch.int64)
    return choose(model, local or LocalTraining(), shapes, "auto", isolated=isolated).name


class Sigmoid(nn.Linear):
    def __init__(self):
        super().__init__(12, 3)

    def forward(self, x):
        return torch.sigmoid(super().forward(x))


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(12, 3), nn.Linear(12, 3)

    def forward(self, x):
        return self.a(x) if x.sum() > 0 else self.b(x)


class Dropped(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(12, 3)

    def forward(self, x):
        return self.a(nn.functional.dropout(x, 0.5, self.training))


class Twice(nn.Module):
    """A layer that is used twice: no chain of different layers."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(12, 12), nn.Linear(12, 3)

    def forward(self, x):
        return self.b(self.a(torch.relu(self.a(x))))


class Residual(Twice):
    def forward(self, x):
        return self.b(x + self.a(x))


def test_the_automatic_choice(zoo):
    assert {name: chosen(zoo, make) for name, make in zoo.dense.items()} == dict.fromkeys(DENSE, "dense")
    assert chosen(zoo, zoo.other["sigmoid"]) == chosen(zoo, zoo.other["gelu and norm"]) == "vmap"
    assert chosen(zoo, zoo.other["sigmoid"], isolated=True) == "sequential"
    assert chosen(zoo, zoo.other["convolution"]) == "sequential"
    assert chosen(zoo, zoo.dense["relu"], isolated=True) == "dense"
    assert chosen(zoo, Branching) == "sequential"  # vmap cannot follow control flow on values
    assert chosen(zoo, Dropped) == "sequential"
    assert chosen(zoo, lambda: nn.Sequential(nn.Dropout(0.1), nn.Linear(12, 3))) == "sequential"
    assert chosen(zoo, Twice) == chosen(zoo, Residual) == "vmap"
    assert chosen(zoo, lambda: nn.Sequential(nn.Linear(12, 1000), nn.GELU(), nn.Linear(1000, 1000))) == "sequential"


def test_what_is_no_chain_of_dense_layers(zoo):
    assert chosen(zoo, zoo.dense["relu"], LocalTraining(loss_fn=nn.CrossEntropyLoss())) == "dense"
    assert chosen(zoo, zoo.dense["relu"], LocalTraining(loss_fn=nn.CrossEntropyLoss(label_smoothing=0.1))) == "vmap"


def hooked():
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3))
    module[1].register_forward_hook(lambda part, args, out: 2 * out)
    return module


def frozen():
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3))
    module[1].weight.requires_grad_(requires_grad=False)
    return module


def test_hooks_and_frozen_layers_are_not_overlooked(zoo):
    assert chosen(zoo, hooked) == chosen(zoo, frozen) == "vmap"
    for make in (hooked, frozen):
        model = Model.of(zoo.seeded(make, torch.float64))
        clients, local = Clients.of(zoo.cohort([3, 8]), torch.float64), LocalTraining(0.3, epochs=2, batch_size=4)
        updates, _ = zoo.defined(model, clients, local)
        for engine in ("sequential", "vmap"):
            found = train(model, model.initial, clients, local, engine=engine)
            np.testing.assert_allclose(found.values, updates, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "engine", "why"),
    [
        (Sigmoid, "dense", "a chain of Linear"),
        (Branching, "vmap", "data-dependent control flow"),
        (Dropped, "vmap", "dropout"),
        (Twice, "vmpa", "did you mean 'vmap'"),
    ],
)
def test_an_engine_that_cannot_says_why(zoo, make, engine, why):
    model = Model.of(zoo.seeded(make))
    with pytest.raises(BadArgument, match=why):
        train(model, model.initial, Clients.of(zoo.cohort([4])), LocalTraining(), engine=engine)


def test_vmap_is_not_isolated_and_says_so(zoo, small):
    model, clients = small
    with pytest.raises(BadArgument, match="in other company"):
        train(model, model.initial, clients, LocalTraining(), engine="vmap", isolated=True)
