"""Affine maps of many clients side by side, in two forms: with weights of their own, or in the span of the examples."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fedanalytics.learning.local import LocalTraining


class Stacked:
    """One parameter of k clients, shape (k, rows, columns), and what descent remembers of it."""

    def __init__(self, start: torch.Tensor, k: int, local: LocalTraining) -> None:
        """All start at `start`, shape (rows, columns)."""
        self.start, self.local = start, local
        self.value = start.expand(k, -1, -1).clone()
        self.velocity = torch.zeros_like(self.value) if local.momentum else None

    def descend(self, left: torch.Tensor, right: torch.Tensor) -> None:
        """A step of the first clients along ``left @ right``, their gradients: see `LocalTraining`."""
        k = len(left)
        if self.velocity is None:
            self.pull(k).baddbmm_(left, right, alpha=-self.local.learning_rate)
        else:
            self.velocity[:k].baddbmm_(left, right, beta=self.local.momentum)
            self.follow(k)

    def descend_rows(self, rows: torch.Tensor, gradient: torch.Tensor) -> None:
        """The same along a gradient that is given for some rows, and 0 elsewhere.

        Args:
            rows: shape (clients * count,): which, counted through all clients' rows.
            gradient: shape (clients, count, columns).
        """
        k, flat = len(gradient), gradient.flatten(0, 1)
        if self.velocity is None:
            self.pull(k).flatten(0, 1).index_add_(0, rows, flat, alpha=-self.local.learning_rate)
        else:
            self.velocity[:k].mul_(self.local.momentum).flatten(0, 1).index_add_(0, rows, flat)
            self.follow(k)

    def pull(self, k: int) -> torch.Tensor:
        """The value of the first clients, drawn to the start by the proximal term."""
        value = self.value[:k]
        rate = self.local.learning_rate * self.local.proximal
        return value.lerp_(self.start, rate) if rate else value

    def follow(self, k: int) -> None:
        """Moves the first clients by their velocity, in which the gradient already is."""
        value, velocity = self.value[:k], self.velocity
        if velocity is not None:
            if self.local.proximal:
                velocity[:k].add_(value - self.start, alpha=self.local.proximal)
            value.add_(velocity[:k], alpha=-self.local.learning_rate)

    def write(self, update: torch.Tensor, clients: slice) -> None:
        """How far some clients have gone, into a tensor of shape (clients, rows, columns)."""
        torch.sub(self.value[clients], self.start, out=update)


class Affine:
    """``x -> x W^T + b`` with each client's own W, shape (k, out, in), and b; x has shape (clients, rows, in)."""

    def __init__(self, weight: Stacked, bias: Stacked | None) -> None:
        """`weight` as the class has it; `bias` of shape (k, 1, out), or none."""
        self.weight, self.bias = weight, bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the first clients."""
        product = self._product(x)
        return product if self.bias is None else product.add_(self.bias.value[: len(x)])

    def backward(self, gradient: torch.Tensor, x: torch.Tensor, *, below: bool) -> torch.Tensor | None:
        """Descends, given the gradient of the outputs; returns that of x if somebody `below` needs it."""
        found = torch.bmm(gradient, self.weight.value[: len(x)]) if below else None
        self._descend(gradient, x)
        if self.bias is not None:
            self.bias.descend(gradient.new_ones(len(x), 1, x.shape[1]), gradient)
        return found

    def write(self, weight: torch.Tensor, bias: torch.Tensor | None, clients: slice) -> None:
        """The updates of some clients' weight and bias, into tensors of shape (clients, out, in) and (clients, out)."""
        self._write(weight, clients)
        if self.bias is not None and bias is not None:
            self.bias.write(bias.unsqueeze(1), clients)

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        return torch.bmm(x, self.weight.value[: len(x)].transpose(1, 2))

    def _descend(self, gradient: torch.Tensor, x: torch.Tensor) -> None:
        self.weight.descend(gradient.transpose(1, 2), x)

    def _write(self, weight: torch.Tensor, clients: slice) -> None:
        self.weight.write(weight, clients)


class Spanned(Affine):
    """The same map as the first layer of a model, without ever forming W.

    A gradient of W is a combination of the examples it was computed on. With a client's n examples X, shape (n, in),
    its weights are thus ``W_0 + C^T X`` throughout, whatever the momentum and the proximal term (both are linear), and
    ``X W^T = X W_0^T + (X X^T) C``. Steps move C, shape (n, out), and read two products that are made once: where n is
    small against `in`, they touch far less memory than W. An x names examples, counted through all clients' blocks of m
    rows, to which C and the products are padded with zeros.
    """

    def __init__(
        self, weight: torch.Tensor, bias: Stacked | None, features: Sequence[torch.Tensor], m: int, local: LocalTraining
    ) -> None:
        """`features` of each client, shape (n, in) with n at most m."""
        k, out = len(features), len(weight)
        super().__init__(Stacked(weight.new_zeros(m, out), k, local), bias)
        self.features = features
        fixed, gram = weight.new_zeros(k, m, out), weight.new_zeros(k, m, m)
        flipped = weight.t().contiguous()
        for x, to_start, to_own in zip(features, fixed, gram, strict=True):
            n = len(x)
            torch.mm(x, flipped, out=to_start[:n])
            torch.mm(x, x.t(), out=to_own[:n, :n])
        self.fixed, self.gram = fixed.flatten(0, 1), gram.flatten(0, 1)

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        fixed, gram = (part.index_select(0, x.flatten()).view(*x.shape, -1) for part in (self.fixed, self.gram))
        return fixed.baddbmm_(gram, self.weight.value[: len(x)])

    def _descend(self, gradient: torch.Tensor, x: torch.Tensor) -> None:
        self.weight.descend_rows(x.flatten(), gradient)

    def _write(self, weight: torch.Tensor, clients: slice) -> None:
        for x, c, update in zip(self.features[clients], self.weight.value[clients], weight, strict=True):
            torch.mm(c[: len(x)].t(), x, out=update)
