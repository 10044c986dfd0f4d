"""A module as a flat vector and back; what cannot be one is refused with the fix."""

import numpy as np
import pytest
import torch
from torch import nn

from fedanalytics.errors import BadArgument
from fedanalytics.learning import Clients, LocalTraining, Model
from fedanalytics.learning.training import train


class Tied(nn.Module):
    """One matrix as a table on the way in and as weights on the way out."""

    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)
        self.out.weight = self.table.weight

    def forward(self, x):
        return self.out(self.table(x).mean(1))


class Scaled(nn.Module):
    """A parameter without dimensions, one that is unused, and a constant."""

    def __init__(self):
        super().__init__()
        self.scale, self.unused = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.ones(3))
        self.constant = nn.Parameter(torch.arange(3.0), requires_grad=False)
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        return self.scale * self.out(x) + self.constant


def test_there_and_back():
    model = Model.of(lambda: nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1, bias=False)))
    assert model.names == ("0.weight", "0.bias", "2.weight")
    assert model.shapes == ((2, 3), (2,), (1, 2))
    vector = np.arange(10, dtype=np.float32)
    module = model.module(vector)
    assert module[0].weight.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert module[2].weight.tolist() == [[8, 9]]
    assert model.flatten(module).tobytes() == vector.tobytes()
    assert not module.training


def test_every_module_is_its_own():
    model = Model.of(lambda: nn.Linear(2, 1))
    before = model.initial
    module = model.module()
    with torch.no_grad():
        module.weight += 1
    assert model.initial.tobytes() == before.tobytes()
    vector = model.initial
    vector[:] = 7
    assert model.initial.tobytes() == before.tobytes()


def test_a_shared_parameter_stands_once_and_is_trained_as_one():
    model = Model.of(Tied)
    assert (model.names, model.size) == (("table.weight",), 20)
    module = model.module(np.arange(20))
    assert module.out.weight is module.table.weight
    clients = Clients.of([(np.array([[0, 1], [2, 2], [4, 0]]), [0, 1, 2])])
    one, other = (
        train(model, model.initial, clients, LocalTraining(0.5), engine=e).values for e in ("sequential", "vmap")
    )
    np.testing.assert_allclose(one, other, atol=1e-6)
    module = model.module(model.initial)
    loss = nn.functional.cross_entropy(module(clients.examples[0][0]), clients.examples[0][1])
    [gradient] = torch.autograd.grad(loss, [module.table.weight])
    np.testing.assert_allclose(one[0], -0.5 * gradient.flatten(), atol=1e-6)


@pytest.mark.parametrize("engine", ["sequential", "vmap"])
def test_scalars_constants_and_what_the_loss_does_not_reach(engine):
    model = Model.of(Scaled)
    assert model.names == ("scale", "unused", "out.weight", "out.bias")
    assert model.size == 1 + 3 + 12 + 3
    clients = Clients.of([(np.ones((3, 4)), [0, 1, 1])])
    local = LocalTraining(0.1, momentum=0.5, proximal=0.1, steps=3)
    [update] = train(model, model.initial, clients, local, engine=engine).values
    assert update[0] != 0
    assert not update[1:4].any()
    assert model.module(model.initial + update).constant.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), r"BatchNorm1d \(1\).*use GroupNorm"),
        (lambda: nn.Sequential(nn.InstanceNorm1d(2, affine=True, track_running_stats=True)), "InstanceNorm1d"),
        (lambda: nn.BatchNorm2d(3), "BatchNorm2d"),
        (lambda: None, "must return a torch.nn.Module, got NoneType"),
        (nn.ReLU, "without trained parameters"),
        (lambda: nn.Linear(2, 2).requires_grad_(requires_grad=False), "without trained parameters"),
        (lambda: nn.Linear(2, 2).half(), r"float16; make them float32 \(module.float\(\)\)"),
        (lambda: nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()), "torch.float32, torch.float64"),
        (lambda: nn.LazyLinear(2), "weight without a shape"),
        (lambda: nn.Linear(2, 2, device="meta"), "on meta; training runs on the CPU"),
    ],
)
def test_what_cannot_be_trained_is_refused(make, says):
    with pytest.raises(BadArgument, match=says):
        Model.of(make)


def test_a_module_instead_of_a_function_is_refused():
    with pytest.raises(BadArgument, match=r"a function that builds a module, as lambda: Net\(\)"):
        Model.of(nn.Linear(2, 2))


def test_buffers_are_refused_and_a_constant_parameter_does_the_same():
    def with_buffer():
        module = nn.Linear(2, 2)
        module.register_buffer("mean", torch.zeros(2))
        return module

    with pytest.raises(BadArgument, match=r"buffers \(mean\).*nn.Parameter\(value, requires_grad=False\)"):
        Model.of(with_buffer)


def test_overlapping_memory_is_refused():
    def views():
        module = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
        module[1].weight = nn.Parameter(module[0].weight.data.t())
        return module

    with pytest.raises(BadArgument, match=r"overlap in memory; tie layers by one nn.Parameter"):
        Model.of(views)


def test_another_architecture_on_the_second_call():
    widths = iter([2, 3])
    with pytest.raises(BadArgument, match=r"second call made weight \(3, 2\) where the first made weight \(2, 2\)"):
        Model.of(lambda: nn.Linear(2, next(widths)))
    depths = iter([1, 2])
    with pytest.raises(BadArgument, match=r"second call made 1.weight \(2, 2\) where the first made nothing"):
        Model.of(lambda: nn.Sequential(*[nn.Linear(2, 2) for _ in range(next(depths))]))


def test_frozen_parameters_must_be_the_same_every_time():
    def random_features():
        return nn.Sequential(nn.Linear(2, 2).requires_grad_(requires_grad=False), nn.Linear(2, 2))

    with pytest.raises(BadArgument, match=r"builds another 0.weight every time, and it is frozen"):
        Model.of(random_features)


def test_another_initialisation_on_the_second_call_is_fine():
    assert Model.of(lambda: nn.Linear(2, 2)).size == 6


@pytest.mark.parametrize(
    ("vector", "says"),
    [(np.zeros(5), r"shape \(6,\), got shape \(5,\)"), (np.full(6, np.nan), "numbers that are not finite")],
)
def test_a_vector_that_does_not_fit(vector, says):
    with pytest.raises(BadArgument, match=says):
        Model.of(lambda: nn.Linear(2, 2)).module(vector)


def test_double_precision_throughout():
    model = Model.of(lambda: nn.Linear(2, 2).double())
    assert model.initial.dtype == np.float64
    clients = Clients.of([(np.ones((3, 2)), [0, 1, 1])])  # made for float32; cast
    assert train(model, model.initial, clients, LocalTraining()).values.dtype == np.float64
