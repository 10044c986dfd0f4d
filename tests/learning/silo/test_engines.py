"""Which engine takes what; that each agrees with torch, with Opacus and with itself; what is refused, and the fix."""

import warnings

import numpy as np
import pytest
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import nn

from fedanalytics.errors import BadArgument
from fedanalytics.learning.losses import cross_entropy
from fedanalytics.learning.model import Model
from fedanalytics.learning.optimizers import Sgd
from fedanalytics.learning.probing import Shapes
from fedanalytics.learning.silo.dense import Dense
from fedanalytics.learning.silo.engines import choose
from fedanalytics.learning.silo.gradients import TILE
from fedanalytics.learning.silo.layers import Layers
from fedanalytics.learning.silo.opacus_gradients import OpacusGradients
from fedanalytics.learning.silo.pieces import LONGEST, clipped
from fedanalytics.learning.silo.planning import SiloPlan
from fedanalytics.learning.silo.releases import Release
from fedanalytics.learning.silo.rows import Rows
from fedanalytics.learning.silo.runs import Run
from fedanalytics.privacy.keystream import Keystream

DENSE = ("one layer", "relu", "tanh without bias", "activation first and last")
LAYERS = ("residual", "frozen", "sequence", "sigmoid", "in place", "convolution", "padded and strided")
OPACUS = ("layer norm", "group norm", "grouped", "tied", "unused")
KINDS = dict.fromkeys(DENSE, Dense) | dict.fromkeys(LAYERS, Layers) | dict.fromkeys(OPACUS, OpacusGradients)
SHAPES = Shapes((12,), torch.float32, (), torch.int64)


def test_the_lists_are_those_of_the_zoo(zoo):
    assert set(KINDS) == set(zoo.dense) | set(zoo.layers) | set(zoo.opacus)


# ---------------------------------------------------------------- against others


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_engine_for_a_module_gives_the_clipped_sum_of_autograd(zoo, name, dtype):
    model = zoo.model(name, dtype)
    rows = Rows.of(zoo.examples(64), dtype)
    engine = choose(model, cross_entropy, rows.shapes)
    assert type(engine) is KINDS[name]
    engine.load(model.tensor(model.initial))
    wanted = zoo.by_definition(model, rows.features, rows.labels)
    clip = float(wanted.norm(dim=1).median())
    found = clipped(engine.pieces((rows.features, rows.labels)), clip, 64) * (clip / LONGEST)
    assert (found - zoo.clipped_by_definition(wanted, clip)).abs().max() < 64 * 1e-7 * clip


@pytest.mark.parametrize("engine", ["dense", "layers", "opacus"])
def test_all_engines_agree_where_all_of_them_can(zoo, engine):
    model, rows = zoo.model("relu"), zoo.rows(64)
    found = choose(model, cross_entropy, rows.shapes, engine)
    found.load(model.tensor(model.initial))
    wanted = zoo.clipped_by_definition(zoo.by_definition(model, rows.features, rows.labels), 0.5)
    assert (clipped(found.pieces((rows.features, rows.labels)), 0.5, 64) * (0.5 / LONGEST) - wanted).abs().max() < 2e-6


@pytest.mark.parametrize("name", [name for name in KINDS if name != "unused"])  # which Opacus' optimizer does not take
def test_a_step_is_the_step_of_opacus_hooks_on_the_same_batch(zoo, name):
    """Without noise worth the name, one update of the parameters, within 1e-6."""
    model, rows = zoo.model(name), zoo.rows(64)
    release = Release.of(clip=0.5, size=model.size, noise_multiplier=2.0**-20, sampling_rate=1.0, batch=64)
    plan = SiloPlan(1.0, 1e-6, steps=1, examples=64, batch=64, noise_multiplier=2.0**-20)
    run = Run(model, rows, plan, release, Sgd(0.5), cross_entropy, None)
    ours = run.after(run.start, choose(model, cross_entropy, rows.shapes)).state.parameters
    module = zoo.seeded((zoo.dense | zoo.layers | zoo.opacus)[name])().train()
    for part in module.modules():
        if hasattr(part, "inplace"):
            part.inplace = False  # which Opacus does not take
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = GradSampleModule(module)
        optimizer = DPOptimizer(
            torch.optim.SGD(model.parameters(module), lr=0.5),
            noise_multiplier=0.0,
            max_grad_norm=0.5,
            expected_batch_size=64,
        )
        nn.functional.cross_entropy(wrapped(rows.features), rows.labels).backward()
        optimizer.step()
    assert np.abs(ours - model.flatten(module)).max() < 1e-6
    assert np.abs(ours - model.initial).max() > 1e-3


@pytest.mark.parametrize(
    ("loss_fn", "labels"),
    [
        (nn.functional.mse_loss, lambda y: torch.eye(3)[y]),
        (nn.CrossEntropyLoss(label_smoothing=0.1), lambda y: y),
        (nn.functional.binary_cross_entropy_with_logits, lambda y: torch.eye(3)[y]),
    ],
)
def test_other_losses_are_taken_apart_too(zoo, loss_fn, labels):
    model, (x, y) = zoo.model("relu"), zoo.examples(32)
    rows = Rows.of((x, labels(torch.from_numpy(y))))
    engine = choose(model, loss_fn, rows.shapes)
    assert type(engine) is Layers
    engine.load(model.tensor(model.initial))
    wanted = zoo.clipped_by_definition(
        zoo.by_definition(
            model, rows.features, rows.labels.double() if rows.labels.is_floating_point() else rows.labels, loss_fn
        ),
        0.1,
    )
    assert (clipped(engine.pieces((rows.features, rows.labels)), 0.1, 32) * (0.1 / LONGEST) - wanted).abs().max() < 1e-6


def test_token_ids_go_to_opacus(zoo):
    model = Model.of(zoo.seeded(zoo.embedded))
    rows = Rows.of((np.random.default_rng(0).integers(0, 5, (32, 6)), np.arange(32) % 3))
    engine = choose(model, cross_entropy, rows.shapes)
    assert type(engine) is OpacusGradients
    engine.load(model.tensor(model.initial))
    wanted = zoo.clipped_by_definition(zoo.by_definition(model, rows.features, rows.labels), 0.1)
    assert (clipped(engine.pieces((rows.features, rows.labels)), 0.1, 32) * (0.1 / LONGEST) - wanted).abs().max() < 1e-6


# ---------------------------------------------------------------- a row's gradient is its own


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", KINDS)
def test_a_row_adds_the_same_integers_in_any_company(zoo, name, threads):
    """Bit for bit: at any place, beside any others, in blocks of any number of tiles."""
    _check_company(zoo.model(name), zoo.rows(5 * TILE), threads, (*range(TILE, 5 * TILE + 1, TILE), 4, 33, 101))


def _check_company(model, rows, threads, sizes):
    engine = choose(model, cross_entropy, rows.shapes)
    engine.load(model.tensor(model.initial))
    rng, before = np.random.default_rng(0), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = []
        for size in sizes:
            company = rng.permutation(5 * TILE)[:size]
            place = int(rng.integers(size))
            company[place] = 7
            [(block, count)] = rows.blocks(company, 5 * TILE, TILE)
            steps = _steps(engine.pieces(block), count)
            found.append(torch.cat([step[place].flatten() for step in steps]))
        assert all(torch.equal(found[0], other) for other in found[1:])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_image_adds_the_same_integers_in_any_company(zoo, threads):
    """The same of a network of the size that people train."""
    model = Model.of(
        zoo.seeded(
            lambda: nn.Sequential(
                nn.Conv2d(1, 16, 8, 2, padding=3),
                nn.ReLU(),
                nn.MaxPool2d(2, 1),
                nn.Conv2d(16, 32, 4, 2),
                nn.ReLU(),
                nn.MaxPool2d(2, 1),
                nn.Flatten(),
                nn.Linear(512, 10),
            )
        )
    )
    rng = np.random.default_rng(0)
    rows = Rows.of((rng.normal(size=(5 * TILE, 1, 28, 28)).astype(np.float32), rng.integers(0, 10, 5 * TILE)))
    _check_company(model, rows, threads, (TILE, 2 * TILE, 3 * TILE, 4 * TILE, 5 * TILE, 77))


def _steps(pieces, count):
    """What each example adds, by the pieces' own arithmetic."""
    from fedanalytics.learning.silo.pieces import together

    lengths = together([piece.lengths for piece in pieces])
    factor = (0.3 / lengths).clamp(max=1.0) * LONGEST
    factor[count:] = 0
    steps = [piece.rounded(factor) for piece in pieces]
    return [
        torch.einsum("no,ni->noi", step.left, step.right) if hasattr(step, "left") else step.values for step in steps
    ]


def _once(run, engine):
    """The parameters after a step by whoever has seeded torch."""
    torch.manual_seed(0)
    state = torch.get_rng_state()
    found = run.after(run.start, engine).state.parameters
    assert torch.equal(state, torch.get_rng_state())
    return found


def test_masks_of_dropout_are_secret_and_leave_the_callers_generator_alone(zoo):
    """A model function seeds torch: nobody who knows the seed may know the masks."""
    model, rows = Model.of(lambda: zoo.dropout), zoo.rows(64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = torch.get_rng_state()
        engine = choose(model, cross_entropy, rows.shapes)
        assert torch.equal(state, torch.get_rng_state())
        assert type(engine) is Layers
        plan = SiloPlan(1.0, 1e-6, steps=1, examples=64, batch=64, noise_multiplier=2.0**-20)
        release = Release.of(clip=0.5, size=model.size, noise_multiplier=2.0**-20, sampling_rate=1.0, batch=64)
        secret, again, seeded, repeated = (
            _once(Run(model, rows, plan, release, Sgd(0.5), cross_entropy, stream()), engine)
            for stream in (lambda: None, lambda: None, *[lambda: Keystream.insecure(1)] * 2)
        )
    assert np.abs(secret - again).max() > 1e-3
    assert np.array_equal(seeded, repeated)


# ---------------------------------------------------------------- what is refused


class _Mixing(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(12, 3)

    def forward(self, x):
        return self.out(x - x.mean(0))


class _Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.out = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(self.inner(x.view(-1, 3, 4))[0][:, -1])


class _Overwriting(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.out = nn.Linear(12, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.out(torch.relu_(self.first(x)))


class _Unseen(nn.Module):
    """Uses a layer's weights where no hook looks."""

    def __init__(self):
        super().__init__()
        self.first, self.out = nn.Linear(12, 12), nn.Linear(12, 3)

    def forward(self, x):
        return self.out(torch.tanh(self.first(x)) @ self.first.weight)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential(nn.Linear(12, 3), nn.BatchNorm1d(3, track_running_stats=False)), "use nn.GroupNorm"),
        (_Mixing, "depends on the other examples"),
        (_Recurrent, "use opacus.layers.DPLSTM"),
        (_Overwriting, "must not be overwritten"),
        (_Unseen, "run each layer as a module"),
    ],
)
def test_a_module_that_cannot_be_taken_apart_is_refused_with_the_fix(zoo, make, message):
    with pytest.raises(BadArgument, match=message):
        choose(Model.of(zoo.seeded(make)), cross_entropy, SHAPES)


def test_a_loss_that_mixes_examples_is_refused(zoo):
    def contrastive(outputs, labels):
        return nn.functional.cross_entropy(outputs - outputs.mean(0), labels, reduction="none")

    with pytest.raises(BadArgument, match="the loss of an example depends on the other examples"):
        choose(zoo.model("relu"), contrastive, SHAPES)


def test_token_ids_that_see_each_other_are_refused(zoo):
    class Mixing(zoo.embedded):
        def forward(self, x):
            return super().forward(x) - super().forward(x).mean(0)

    with pytest.raises(BadArgument, match="the loss of an example depends on the other examples"):
        choose(Model.of(zoo.seeded(Mixing)), cross_entropy, Shapes((6,), torch.int64, (), torch.int64))


def test_a_module_that_raises_on_ordinary_features_is_refused(zoo):
    class Raising(nn.Linear):
        def forward(self, x):
            if x.detach().max() > 0.5:
                raise ValueError("too large")
            return super().forward(x)

    with pytest.raises(BadArgument, match=r"raises for features from 0 to 1 \(ValueError"):
        choose(Model.of(zoo.seeded(lambda: Raising(12, 3))), cross_entropy, SHAPES)


def test_a_batch_norm_with_running_statistics_is_refused_with_the_fix(zoo):
    with pytest.raises(BadArgument, match=r"BatchNorm1d.*use GroupNorm"):
        Model.of(zoo.seeded(lambda: nn.Sequential(nn.Linear(12, 3), nn.BatchNorm1d(3))))


def test_an_engine_that_cannot_is_refused(zoo):
    with pytest.raises(BadArgument, match="engine='dense' takes a chain"):
        choose(zoo.model("sigmoid"), cross_entropy, SHAPES, "dense")
    with pytest.raises(BadArgument, match="engine='layers' cannot take this model apart: LayerNorm is no Linear"):
        choose(zoo.model("layer norm"), cross_entropy, SHAPES, "layers")
    with pytest.raises(BadArgument, match="engine='ghost' is unknown"):
        choose(zoo.model("relu"), cross_entropy, SHAPES, "ghost")
