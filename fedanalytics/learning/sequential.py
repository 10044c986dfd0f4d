"""Local training of one client in plain torch: the definition that the other engines must agree with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from fedanalytics.learning.clients import Pair
from fedanalytics.learning.local import LocalTraining
from fedanalytics.learning.losses import hits, per_example
from fedanalytics.learning.model import Model


class Sequential:
    """A model that trains on one client's examples after another's."""

    def __init__(self, model: Model, local: LocalTraining, layout: torch.memory_format) -> None:
        """`layout` is that of images in memory."""
        self.model, self.local, self.layout = model, local, layout
        self.module = laid_out(model.module().train(), layout)
        self.parameters = model.parameters(self.module)
        self.losses_of = per_example(local.loss_fn)

    def train(
        self, start: torch.Tensor, examples: Pair, batches: Sequence[torch.Tensor], update: torch.Tensor
    ) -> tuple[float, float]:
        """One client's training.

        Args:
            start: the parameters that the server sent, shape (size,).
            examples: the client's features and labels.
            batches: the rows of each step.
            update: shape (size,): becomes how far the parameters have gone.

        Returns:
            the sums of losses and hits over all examples that it read, each before the step that it took part in.
        """
        self.model.load(self.module, start)
        descent = Descent(self.parameters, self.local)
        loss = right = 0.0
        for rows in batches:
            x, y = (part.index_select(0, rows) for part in examples)
            outputs = self.module(x.contiguous(memory_format=self.layout) if x.ndim == 4 else x)
            losses = self.losses_of(outputs, y)
            descent.step(losses.mean())
            loss += float(losses.detach().sum())
            right += float(hits(outputs.detach(), y).sum())
        for parameter, *ends in zip(self.parameters, *map(self.model.split, (start, update)), strict=True):
            torch.sub(parameter.detach(), ends[0], out=ends[1])
        return loss, right


class Descent:
    """Stochastic gradient descent as `LocalTraining` says it."""

    def __init__(self, parameters: list[nn.Parameter], local: LocalTraining) -> None:
        """Starts at the parameters' values."""
        self.parameters, self.local = parameters, local
        self.start = [p.detach().clone() for p in parameters] if local.proximal else []
        self.velocity = [torch.zeros_like(p) for p in parameters] if local.momentum else []

    def step(self, loss: torch.Tensor) -> None:
        """Changes the parameters in place."""
        gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        for i, (parameter, gradient) in enumerate(zip(self.parameters, gradients, strict=True)):
            if gradient is not None:  # a parameter that the loss does not reach stays where it is
                self._descend(i, parameter.detach(), gradient)

    def _descend(self, i: int, value: torch.Tensor, gradient: torch.Tensor) -> None:
        if self.start:
            gradient = gradient.add(value - self.start[i], alpha=self.local.proximal)
        if self.velocity:
            gradient = self.velocity[i].mul_(self.local.momentum).add_(gradient)
        value.add_(gradient, alpha=-self.local.learning_rate)


def laid_out(module: nn.Module, layout: torch.memory_format) -> nn.Module:
    """The module, with its parameters in that layout."""
    found: nn.Module = module.to(memory_format=layout)  # type: ignore[call-overload]  # its stubs do not know it
    return found
