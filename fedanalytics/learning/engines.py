"""Which engine trains: chosen by the architecture, the loss and the shapes of examples, never by what clients hold."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import nn

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.learning.chains import Layer, chain
from fedanalytics.learning.local import Integers, LocalTraining
from fedanalytics.learning.losses import is_cross_entropy
from fedanalytics.learning.model import Model
from fedanalytics.learning.probing import Shapes, probe
from fedanalytics.learning.schedule import Chunk, rounded, widths
from fedanalytics.learning.sequential import laid_out
from fedanalytics.learning.vectorised import Vectorised

EngineName: TypeAlias = Literal["auto", "sequential", "vmap", "dense"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)

_CONVOLUTIONS = nn.modules.conv._ConvNd  # noqa: SLF001  # the common base of all convolutions
_LARGE = 1_000_000  # parameters from which memory traffic decides, and stacking no longer pays (measured)
_TRAFFIC = 32  # multiplications that take as long as reading and writing a weight (measured)
_MIB = 1 << 20


@dataclass(frozen=True)
class Engine:
    """How to train.

    Attributes:
        name: "sequential", "vmap" or "dense".
        random: whether training draws random numbers: from torch's global generator, hence by one client at a time.
        layers: the chain of dense layers, for "dense".
        outputs: of the first of them that is affine.
        layout: of images in memory, for "sequential".
    """

    name: str
    random: bool
    layers: tuple[Layer, ...]
    outputs: int
    layout: torch.memory_format

    def blocks(self, local: LocalTraining, sizes: Integers) -> Integers:
        """Which clients better hold the first layer in the span of their examples: shape (n,), see `Chunk.block`.

        Counted in multiplications per input: three products of n rows against two per step and reading and writing the
        weights. Every example must be read, lest one that is not finite counts though nobody read it.
        """
        if self.name != "dense" or self.layers[0].kind != "affine":
            return np.zeros_like(sizes)
        steps = local.steps_of(sizes)
        spanned = sizes * (2 * self.outputs + sizes)
        stacked = ((steps + 1) * _TRAFFIC + 2 * steps * widths(sizes, local)) * self.outputs
        return np.where((spanned < stacked) & (steps >= local.batches_of(sizes)), rounded(sizes), 0)

    def capacity(self, model: Model, local: LocalTraining, shapes: Shapes, chunk: Chunk) -> int:
        """How many clients a chunk holds at most: as many as fit a cache, or as make calls worth their overhead."""
        row = torch.Size(shapes.row).numel() * shapes.row_type.itemsize
        vector = model.size * model.dtype.itemsize
        if self.name == "sequential":
            return 4 * _MIB // vector  # nothing is stacked but the updates, which wait for who sums them
        if self.name == "vmap":
            return 64 * _MIB // (3 * vector + 8 * chunk.width * row)
        if chunk.block:
            return 16 * _MIB // vector
        return 4 * _MIB // ((1 + bool(local.momentum)) * vector + 2 * chunk.width * row)


@functools.lru_cache(maxsize=64)
def choose(model: Model, local: LocalTraining, shapes: Shapes, engine: str, *, isolated: bool) -> Engine:
    """The engine for such a model, such training and such examples; see `train_in_chunks`.

    Raises:
        BadArgument: an unknown engine, one that cannot train this, or one that is not isolated.
    """
    name = _validate.one_of(ENGINES, engine=engine)
    random = probe(model, local.loss_fn, shapes).random
    layers = () if random else _layers(model, local, shapes)
    if name == "auto":
        name = "dense" if layers else _automatic(model, local, shapes, alone=random or isolated)
    if name == "dense" and not layers:
        raise BadArgument(
            "engine='dense' takes a chain of Linear, ReLU, Tanh and Flatten layers, every trained parameter in one of "
            "them, with the plain cross entropy over classes; use engine='auto'"
        )
    if name == "vmap" and isolated:
        raise BadArgument("engine='vmap' rounds a client's update differently in other company; use engine='auto'")
    refusal = _refusal(model, local, shapes) if name == "vmap" else ""
    if refusal:
        raise BadArgument(f"engine='vmap' cannot train this model: {refusal}; use engine='auto'")
    outputs = next((model.shape(layer.weight)[0] for layer in layers if layer.kind == "affine"), 0)
    return Engine(name, random, layers, outputs, _layout(model, shapes))


def _automatic(model: Model, local: LocalTraining, shapes: Shapes, *, alone: bool) -> str:
    convolutional = any(isinstance(part, _CONVOLUTIONS) for part in model.template.modules())
    one_by_one = alone or convolutional or model.size >= _LARGE or _refusal(model, local, shapes)
    return "sequential" if one_by_one else "vmap"


def _layers(model: Model, local: LocalTraining, shapes: Shapes) -> tuple[Layer, ...]:
    classes = probe(model, local.loss_fn, shapes).classes
    if not is_cross_entropy(local.loss_fn) or classes is None or shapes.label or shapes.row_type != model.dtype:
        return ()
    return chain(model.module().train(), shapes.row, model.names) or ()


def _layout(model: Model, shapes: Shapes) -> torch.memory_format:
    """Channels last where the model takes it: torch pools and convolves faster then. A `view` of an image does not."""
    images = any(isinstance(part, nn.Conv2d) for part in model.template.modules())
    if not images or len(shapes.row) != 3:
        return torch.contiguous_format
    x = shapes.zeros(1)[0].contiguous(memory_format=torch.channels_last)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            laid_out(model.module().train(), torch.channels_last)(x)
    except RuntimeError:
        return torch.contiguous_format
    return torch.channels_last


@functools.lru_cache(maxsize=64)
def _refusal(model: Model, local: LocalTraining, shapes: Shapes) -> str:
    """Why vmap does not train the model, or nothing: tried on two clients with zeros."""
    if probe(model, local.loss_fn, shapes).random:
        return "it draws random numbers, as dropout does"
    start = dict(zip(model.names, model.split(model.tensor(model.initial)), strict=True))
    rows, weights = torch.tensor([[0, 1], [0, 1]]), torch.full((2, 2), 0.5, dtype=model.dtype)
    try:
        Vectorised(model.module().train(), start, [shapes.zeros(2)] * 2, local).step(rows, weights)
    except Exception as error:  # noqa: BLE001  # control flow on values, operators without a rule: many types
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return ""
