"""Local training of many clients of any module: `torch.func.vmap` of the gradient over stacked parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from fedanalytics.learning.clients import Pair
from fedanalytics.learning.local import LocalTraining
from fedanalytics.learning.losses import hits, per_example

Tensors: TypeAlias = dict[str, torch.Tensor]


class Vectorised:
    """The models of k clients, and their examples."""

    def __init__(self, module: nn.Module, start: Tensors, examples: Sequence[Pair], local: LocalTraining) -> None:
        """`start` maps the parameters' names to what the server sent; `module` is in training mode."""
        self.start, self.local = start, local
        self.values = {name: value.expand(len(examples), *value.shape).clone() for name, value in start.items()}
        self.velocity = {name: torch.zeros_like(v) for name, v in self.values.items()} if local.momentum else {}
        self.examples = [torch.cat(parts) for parts in zip(*examples, strict=True)]
        self.starts = torch.tensor([0, *(len(y) for _, y in examples)]).cumsum(0)[:-1, None]
        self._gradients: Callable[..., Any] = vmap(grad(_objective(module, local), has_aux=True))

    def step(self, rows: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step of the first clients; see `Dense.step`."""
        flat = (rows + self.starts[: len(rows)]).flatten()
        x, y = (part.index_select(0, flat).view(*rows.shape, *part.shape[1:]) for part in self.examples)
        values = {name: value[: len(rows)] for name, value in self.values.items()}
        gradients, (losses, right) = self._gradients(values, x, y, weights)
        for name, value in values.items():
            self._descend(name, value, gradients[name])
        return losses.detach(), right.detach()

    def write(self, updates: Tensors, clients: slice) -> None:
        """How far some clients' parameters have gone, into tensors by name: (clients, ...)."""
        for name, value in self.values.items():
            torch.sub(value[clients], self.start[name], out=updates[name])

    def _descend(self, name: str, value: torch.Tensor, gradient: torch.Tensor) -> None:
        local = self.local
        if local.proximal:
            gradient = gradient.add(value - self.start[name], alpha=local.proximal)
        if self.velocity:
            gradient = self.velocity[name][: len(value)].mul_(local.momentum).add_(gradient)
        value.add_(gradient, alpha=-local.learning_rate)


def _objective(module: nn.Module, local: LocalTraining) -> Callable[..., Any]:
    losses_of = per_example(local.loss_fn)

    def objective(
        parameters: Tensors, x: torch.Tensor, y: torch.Tensor, weights: torch.Tensor
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        outputs = functional_call(module, parameters, (x,))
        losses = losses_of(outputs, y)
        return (losses * weights).sum(), (losses, hits(outputs, y))

    return objective
