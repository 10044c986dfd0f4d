"""Gradients of single examples through dense stacks, exact between roundings: by proof nobody else's row matters.

Chains of Linear, ReLU and Tanh layers under the plain cross entropy, forwards and backwards by hand. Before each
product the numbers of an example are rounded to 22 bits of its own scale (`Whole`), and the product is exact. This is
about as precise as float32, whose products round to 24 bits along the way. The gradient of a layer's weights is an
outer product: it is never formed for an example, neither for its norm nor for the sum (ghost clipping: Goodfellow 2015,
arXiv 1510.01799; Li et al. 2022, arXiv 2110.05679), and the rounded factors make the sum one exact product of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fedanalytics.learning.chains import Layer
from fedanalytics.learning.clients import Pair
from fedanalytics.learning.model import Model
from fedanalytics.learning.silo.memory import Memory
from fedanalytics.learning.silo.pieces import MOST, Full, Outer, Piece
from fedanalytics.learning.silo.whole import Weights, Whole, softmax, tanh


class Dense:
    """See the top of the file."""

    proven = True
    block = MOST

    def __init__(self, model: Model, layers: Sequence[Layer]) -> None:
        """`layers` as `learning.chains.chain` found them."""
        self.model, self.layers = model, tuple(layers)
        self.weights: dict[str, Weights] = {}
        self.biases: dict[str, torch.Tensor] = {}
        self._memory = Memory()

    def load(self, parameters: torch.Tensor) -> None:
        given = dict(zip(self.model.names, self.model.split(parameters), strict=True))
        maps = [layer for layer in self.layers if layer.kind == "affine"]
        self.weights = {layer.weight: Weights.of(given[layer.weight]) for layer in maps}
        self.biases = {layer.bias: given[layer.bias].to(torch.float64) for layer in maps if layer.bias}

    def pieces(self, examples: Pair) -> Sequence[Piece]:
        features, labels = examples
        inputs, scores = self._forward(features.flatten(1))
        gradient = softmax(scores.to(torch.float64))
        gradient[torch.arange(len(labels)), labels] -= 1
        return self._backward(inputs, gradient)

    def _forward(self, x: torch.Tensor) -> tuple[list[Whole | torch.Tensor], torch.Tensor]:
        """What each layer needs on the way back, and the scores."""
        kept: list[Whole | torch.Tensor] = []
        for layer in self.layers:
            if layer.kind == "affine":
                held = Whole.of(x, self._memory.take(layer.weight, tuple(x.shape), torch.float64))
                kept.append(held)
                x = held.times(self.weights[layer.weight], transposed=True)
                x = x.add_(self.biases[layer.bias]) if layer.bias else x
            else:
                x = x.clamp(min=0) if layer.kind == "relu" else tanh(x.to(torch.float64))
                kept.append(x)
        return kept, x

    def _backward(self, kept: list[Whole | torch.Tensor], gradient: torch.Tensor) -> Sequence[Piece]:
        found: dict[str, Piece] = {}
        for layer, value in zip(reversed(self.layers), reversed(kept), strict=True):
            if isinstance(value, Whole):
                held = Whole.of(gradient)
                found[layer.weight] = Outer(held, value)
                if layer.bias:
                    found[layer.bias] = Full(held.values.clone(), held.unit)
                if len(found) == len(self.model.names):
                    break
                gradient = held.times(self.weights[layer.weight])
            elif layer.kind == "relu":
                gradient = gradient * (value > 0)
            else:
                gradient = gradient * (1 - value * value)
        return [found[name] for name in self.model.names]
