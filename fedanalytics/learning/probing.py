"""What a model makes of examples of some shape, found on two examples of zeros: no client's data decides here."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fedanalytics.errors import BadArgument
from fedanalytics.learning.clients import Clients, Pair
from fedanalytics.learning.losses import Loss, check_loss, classes
from fedanalytics.learning.model import Model


@dataclass(frozen=True)
class Shapes:
    """What clients hold: the shape and type of one example, and of its label."""

    row: tuple[int, ...]
    row_type: torch.dtype
    label: tuple[int, ...]
    label_type: torch.dtype

    @classmethod
    def of(cls, clients: Clients) -> Shapes:
        """Of these clients."""
        x, y = clients.typical
        return cls(tuple(x.shape[1:]), x.dtype, tuple(y.shape[1:]), y.dtype)

    def zeros(self, count: int) -> Pair:
        """Examples of zeros."""
        x = torch.zeros(count, *self.row, dtype=self.row_type)
        return x, torch.zeros(count, *self.label, dtype=self.label_type)


@dataclass(frozen=True)
class Answer:
    """What the model gives for them.

    Attributes:
        classes: how many classes the labels choose from; None if they are not classes.
        random: whether training draws random numbers, as dropout does.
        descends: whether the loss has a gradient in the trained parameters.
    """

    classes: int | None
    random: bool
    descends: bool


@functools.lru_cache(maxsize=64)
def probe(model: Model, loss_fn: Loss, shapes: Shapes) -> Answer:
    """Runs the model in training mode, and the loss on its outputs.

    Raises:
        BadArgument: the model does not take such examples, or does not give one output for each; or the loss does not
            take the outputs with such labels, or chooses among classes of which there is one.
    """
    x, y = shapes.zeros(2)
    module = model.module().train()
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        before = torch.get_rng_state()
        outputs = _outputs(module, x)
        random = not torch.equal(before, torch.get_rng_state())
        losses = check_loss(loss_fn, outputs, y)
    return Answer(classes(outputs, y), random, losses.requires_grad)


def answer(model: Model, loss_fn: Loss, clients: Clients) -> Answer | None:
    """What `probe` finds for these clients, their labels checked; None if nobody has examples.

    Raises:
        BadArgument: as `probe` and `check_labels`.
    """
    if not clients.sizes.any():
        return None
    found = probe(model, loss_fn, Shapes.of(clients))
    check_labels(clients, found)
    return found


def _outputs(module: Any, x: torch.Tensor) -> torch.Tensor:
    try:
        outputs = module(x)
    except Exception as error:  # the user's module may raise anything
        raise BadArgument(
            f"data= does not fit the model: for features of shape {tuple(x.shape)} ({x.dtype}) it raises {error!r}"
        ) from error
    if not isinstance(outputs, torch.Tensor) or not outputs.ndim or len(outputs) != len(x):
        found = f"shape {tuple(outputs.shape)}" if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise BadArgument(f"model_fn= must build a module with one output per example; for {len(x)} it gives {found}")
    return outputs


def check_descends(found: Answer) -> None:
    """Whether there is anything to train by.

    Raises:
        BadArgument: the loss has no gradient: every step would fail.
    """
    if not found.descends:
        raise BadArgument(
            "loss_fn= has no gradient in the trained parameters of the model, so that nothing can be learnt: it counts "
            "(argmax, a comparison), or the model detaches its outputs; take a loss that changes with them, such as "
            "the cross entropy"
        )


def check_labels(clients: Clients, found: Answer) -> None:
    """Whether all labels are among the classes.

    Raises:
        BadArgument: one is not; the message names the client.
    """
    if found.classes is None:
        return
    [wrong] = np.nonzero((clients.labels[:, 0] < 0) | (clients.labels[:, 1] >= found.classes))
    if len(wrong):
        client, (low, high) = clients.ids[wrong[0]], clients.labels[wrong[0]]
        raise BadArgument(
            f"data= must have labels from 0 to {found.classes - 1}, since the model has {found.classes} outputs; those "
            f"of client {client} range from {low} to {high}"
        )
