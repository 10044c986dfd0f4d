"""What clients hold: anything that makes arrays, checked at the door, the client named."""

import numpy as np
import pytest
import torch
from torch import nn

from fedanalytics.errors import BadArgument
from fedanalytics.learning import Clients, LocalTraining, Model, evaluate
from fedanalytics.learning.training import train


def test_arrays_tensors_and_lists():
    read_only = np.ones((2, 3))
    read_only.flags.writeable = False
    clients = Clients.of(
        [
            (read_only[:, ::-1], [0, 1]),
            (torch.ones(1, 3, dtype=torch.float16), torch.tensor([1], dtype=torch.uint8)),
            ([[1.0, 2.0, 3.0]], np.array([True])),
            ([], []),
        ]
    )
    assert clients.sizes.tolist() == [2, 1, 1, 0]
    assert {x.dtype for x, y in clients.examples} == {torch.float32}
    assert [y.dtype for x, y in clients.examples[:3]] == [torch.int64] * 3
    assert clients.labels.tolist() == [[0, 1], [1, 1], [1, 1], [0, 0]]


def test_tensors_are_not_copied():
    x, y = torch.ones(3, 2), torch.zeros(3, dtype=torch.int64)
    [(kept, labels)] = Clients.of([(x, y)]).examples
    assert (kept.data_ptr(), labels.data_ptr()) == (x.data_ptr(), y.data_ptr())


def test_subsets_and_parts():
    data = [(np.arange(2 * n).reshape(n, 2) / 1, np.arange(n)) for n in (5, 0, 1, 4)]
    clients = Clients.of(data)
    some = clients.take([3, 0])
    assert (some.ids.tolist(), some.sizes.tolist(), len(some)) == ([3, 0], [4, 5], 2)
    first, rest = clients.split(0.5)
    assert (first.sizes.tolist(), rest.sizes.tolist()) == ([2, 0, 0, 2], [3, 0, 1, 2])
    for (x, _), (a, _), (b, _) in zip(clients.examples, first.examples, rest.examples, strict=True):
        assert torch.equal(torch.cat([a, b]), x) or not len(x)
    with pytest.raises(BadArgument, match="fraction="):
        clients.split(1)


def test_what_trains_is_named_by_its_id_not_by_its_place():
    """Shuffling follows the client, so that a cohort drawn from many trains as it would with all."""
    model = Model.of(lambda: nn.Linear(2, 3))
    draw = np.random.default_rng(0)
    clients = Clients.of([(draw.normal(size=(9, 2)), draw.integers(0, 3, 9)) for _ in range(4)])
    local = LocalTraining(0.5, batch_size=2)
    everyone = train(model, model.initial, clients, local).values
    assert train(model, model.initial, clients.take([2]), local).values[0].tobytes() == everyone[2].tobytes()
    assert train(model, model.initial, clients, local, training_round=1).values[2].tobytes() != everyone[2].tobytes()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "got no clients"),
        (np.ones((3, 2)), "a list with one pair .* per client, got ndarray"),
        ("text", "got str"),
        ([(np.ones((3, 2)), [0, 1, 1]), np.ones(3)], "client 1 has ndarray"),
        ([(np.ones((3, 2)), [0, 1])], r"client 0 has features of shape \(3, 2\) and labels of shape \(2,\)"),
        ([(np.float64(1), 1)], "client 0 has features of shape"),
        (
            [(np.ones((1, 2)), [0]), (np.ones((1, 3)), [0])],
            r"client 1 has rows of shape \(3,\).*client 0 of shape \(2,\)",
        ),
        ([(np.ones((1, 2)), [0]), (np.ones((1, 2), dtype=int), [0])], "same features everywhere; client 1"),
        ([(np.ones((1, 2)), [0]), (np.ones((1, 2)), [0.5])], "same labels everywhere; client 1"),
        ([(np.array([["a", "b"]]), [0])], "features of client 0 make no array"),
        ([([[1, 2], [3]], [0, 1])], "features of client 0 make no array"),
        ([(np.ones((1, 2)), [None])], "labels of client 0 make no array"),
        ([(torch.ones(1, 2, dtype=torch.complex64), [0])], "dense real tensors"),
        ([(torch.eye(2).to_sparse(), [0, 1])], "torch.sparse_coo"),
    ],
)
def test_data_that_does_not_fit(data, says):
    with pytest.raises(BadArgument, match=says):
        Clients.of(data)


@pytest.mark.parametrize("engine", ["sequential", "vmap", "dense"])
@pytest.mark.parametrize("label", [3, -1, -100])
def test_labels_out_of_range_name_the_client(engine, label):
    model = Model.of(lambda: nn.Linear(2, 3))
    clients = Clients.of([(np.ones((2, 2)), [0, 2]), (np.ones((0, 2)), []), (np.ones((2, 2)), [1, label])])
    for ask in (
        lambda: train(model, model.initial, clients, LocalTraining(), engine=engine),
        lambda: evaluate(model, model.initial, clients),
    ):
        with pytest.raises(
            BadArgument, match="from 0 to 2, since the model has 3 outputs; those of client 2 range from"
        ):
            ask()


@pytest.mark.parametrize(
    ("make", "data", "loss_fn", "says"),
    [
        (
            lambda: nn.Linear(4, 3),
            [(np.ones((2, 5)), [0, 1])],
            None,
            r"features of shape \(2, 5\).* it raises RuntimeError",
        ),
        (lambda: nn.Linear(4, 3), [(np.ones((2, 4), dtype=np.uint8), [0, 1])], None, r"\(torch.uint8\) it raises"),
        (
            lambda: nn.Sequential(nn.Linear(4, 3), nn.Flatten(0)),
            [(np.ones((2, 4)), [0, 1])],
            None,
            "one output per example",
        ),
        (lambda: nn.LSTM(4, 3), [(np.ones((2, 4)), [0, 1])], None, "one output per example; for 2 it gives tuple"),
        (lambda: nn.Linear(4, 3), [(np.ones((2, 4)), [[0, 1], [0, 1]])], None, "labels of shape .2, 2. .torch.int64.:"),
        (lambda: nn.Linear(4, 1), [(np.ones((2, 4)), [0.0, 1.0])], nn.functional.mse_loss, "target size"),
        (lambda: nn.Linear(4, 3), [(np.ones((2, 4)), [0, 1])], lambda o, y: o.sum(), r"it gave shape \(\)"),
    ],
)
def test_a_model_or_a_loss_that_does_not_take_the_data(make, data, loss_fn, says):
    local = LocalTraining() if loss_fn is None else LocalTraining(loss_fn=loss_fn)
    model = Model.of(make)
    with pytest.raises(BadArgument, match=says):
        train(model, model.initial, Clients.of(data), local)


@pytest.mark.parametrize("engine", ["auto", "sequential", "vmap"])
def test_clients_without_examples_contribute_nothing(engine):
    model = Model.of(lambda: nn.Linear(2, 3))
    found = train(
        model, model.initial, Clients.of([([], []), (np.ones((0, 2)), [])]), LocalTraining(steps=3), engine=engine
    )
    assert not found.values.any()
    assert np.isnan(found.losses).all()
    assert not found.diverged.any()
