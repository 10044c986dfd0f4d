"""A loss per example: what makes a batch's mean, a mask and a client's figures out of one function."""

from __future__ import annotations

import copy
import functools
import inspect
import warnings
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import nn
from torch.nn import functional

from fedanalytics.errors import BadArgument

Loss: TypeAlias = Callable[..., torch.Tensor]
cross_entropy = functional.cross_entropy


def per_example(loss_fn: Loss) -> Loss:
    """The same loss as a function (outputs, labels) -> one number per example, shape (rows,).

    A function with a `reduction` argument, as all of torch's, and a loss module are asked for reduction="none"; any
    other must return one loss per example itself. What has more dimensions (a loss per pixel or token) is averaged over
    them. A batch's loss is the plain mean over its examples: class weights do not change the denominator.
    """
    if isinstance(loss_fn, nn.Module):
        raw: Loss = copy.copy(loss_fn)
        raw.reduction = "none"  # type: ignore[attr-defined]  # a module without one does not read it
    elif "reduction" in inspect.signature(loss_fn).parameters:
        raw = functools.partial(loss_fn, reduction="none")
    else:
        raw = loss_fn

    def losses(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        found = raw(outputs, labels)
        return found.flatten(1).mean(1) if found.ndim > 1 else found

    return losses


def check_loss(loss_fn: Loss, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The losses, if the function takes these outputs and labels.

    Raises:
        BadArgument: it raises, warns (torch warns of shapes that broadcast), does not give one number per example, or
            chooses among classes of which the outputs have one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            losses = per_example(loss_fn)(outputs, labels)
            shape = tuple(losses.shape)
        except Exception as error:  # the user's function may raise anything
            raise BadArgument(
                f"loss_fn= does not take outputs of shape {tuple(outputs.shape)} ({outputs.dtype}) with labels of "
                f"shape {tuple(labels.shape)} ({labels.dtype}): {error}"
            ) from error
    if shape != (len(outputs),):
        raise BadArgument(
            f"loss_fn= must give one loss per example, or take reduction='none'; for {len(outputs)} examples it gave "
            f"shape {shape}"
        )
    if outputs.ndim > 1 and outputs.shape[1] == 1 and _chooses(loss_fn, outputs, labels):
        name = getattr(loss_fn, "__name__", type(loss_fn).__name__)
        raise BadArgument(
            f"loss_fn={name} chooses among a model's outputs, and model_fn= builds one with 1 output per example: no "
            "label but 0 fits it, and it learns nothing. Give the model one output per class (2 for the labels 0 and "
            "1), or take a loss of a single number, such as the binary cross entropy with logits of outputs[:, 0]"
        )
    return losses


def _chooses(loss_fn: Loss, outputs: torch.Tensor, labels: torch.Tensor) -> bool:
    """Whether a loss reads labels as places among the outputs, of which there is one: then it has no place 1."""
    if isinstance(loss_fn, nn.CrossEntropyLoss) or loss_fn is cross_entropy:
        return True
    if labels.is_floating_point():
        return False
    try:
        per_example(loss_fn)(outputs, torch.ones_like(labels))
    except Exception:  # noqa: BLE001  # torch's own and the user's functions raise many types
        return True
    return False


def is_cross_entropy(loss_fn: Loss) -> bool:
    """Whether a loss is the plain cross entropy, whose gradient is known in closed form."""
    if isinstance(loss_fn, nn.CrossEntropyLoss):
        plain = loss_fn.weight is None and loss_fn.label_smoothing == 0 and loss_fn.ignore_index == -100
        return plain and type(loss_fn) is nn.CrossEntropyLoss
    return loss_fn is cross_entropy


def classes(outputs: torch.Tensor, labels: torch.Tensor) -> int | None:
    """How many classes the labels choose from, if they are classes: whole numbers, with one output for each.

    Outputs have shape (rows, classes, ...), labels (rows, ...).
    """
    whole = not labels.is_floating_point()
    scored = outputs.ndim == labels.ndim + 1 and outputs.shape[2:] == labels.shape[1:]
    return outputs.shape[1] if whole and scored and outputs.shape[1] > 1 else None


def hits(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Which examples are classified rightly, or what fraction of each: floats, shape (rows,); 0 without classes."""
    if classes(outputs, labels) is None:
        return outputs.new_zeros(len(labels))
    right = (outputs.argmax(1) == labels).to(outputs.dtype)
    return right.flatten(1).mean(1) if right.ndim > 1 else right
