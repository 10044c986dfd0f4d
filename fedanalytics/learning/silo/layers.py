"""Gradients of single examples from what goes into the layers of a module and what comes back out of them.

For modules whose trained parameters belong to Linear and Conv2d layers, each run once; around them may stand whatever
torch differentiates. One pass forwards and one back for all examples, as without privacy; then a layer's gradient for
an example is a product of two small matrices: the layer's inputs (for a convolution, its patches) and the gradients of
its outputs.

That an example's gradient is the same beside any other examples is not proven here, as it is for dense stacks: torch's
kernels would have to promise it. With examples padded to multiples of 32 (`TILE`) they do keep it, bit for bit; it is
what the tests of this package look at. What an example can add to the sum at most is proven all the same (`pieces`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from fedanalytics.errors import BadArgument
from fedanalytics.learning.clients import Pair
from fedanalytics.learning.losses import Loss, per_example
from fedanalytics.learning.model import Model
from fedanalytics.learning.sequential import laid_out
from fedanalytics.learning.silo.gradients import block_of, trained
from fedanalytics.learning.silo.memory import Memory
from fedanalytics.learning.silo.pieces import Arrange, Full, Outer, Piece
from fedanalytics.learning.silo.whole import Whole

_Taped = tuple[nn.Module, torch.Tensor, torch.Tensor, int]


class Layers:
    """See the top of the file."""

    proven = False

    def __init__(self, model: Model, loss_fn: Loss, layout: torch.memory_format) -> None:
        """Prepares a module of its own.

        Args:
            model: what to take apart.
            loss_fn: see `losses.per_example`.
            layout: of images in memory.

        Raises:
            BadArgument: a trained parameter is in no Linear or plain Conv2d layer, or in several.
        """
        self.model, self.losses_of, self.layout = model, per_example(loss_fn), layout
        self.module = laid_out(trained(model), layout)
        self.owners = _owners(self.module, model.names)
        self._parameters = model.parameters(self.module)
        self.block = block_of(model.size)
        self._tape: list[_Taped] = []
        self._memory = Memory()
        for parameter in self._parameters:
            parameter.requires_grad = False
        for part in self.owners:
            part.register_forward_hook(self._keep)

    def load(self, parameters: torch.Tensor) -> None:
        with torch.no_grad():
            for parameter, value in zip(self._parameters, self.model.split(parameters), strict=True):
                parameter.copy_(value)

    def pieces(self, examples: Pair) -> Sequence[Piece]:
        x, y = examples
        self._tape.clear()
        x = x.contiguous(memory_format=self.layout) if x.ndim == 4 else x
        losses = self.losses_of(self.module(x), y)
        if len(self._tape) != len(self.owners) or any(out._version != version for *_, out, version in self._tape):  # noqa: SLF001  # the one way to see it
            raise BadArgument("a layer runs more or less than once, or its output is overwritten")
        gradients = torch.autograd.grad(losses.sum(), [output for *_, output, _ in self._tape])
        found: dict[str, Piece] = {}
        with torch.no_grad():
            for (layer, given, _, _), gradient in zip(self._tape, gradients, strict=True):
                found |= self._of(layer, given.detach(), gradient)
        self._tape.clear()
        return [found[name] for name in self.model.names]

    def _keep(self, layer: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if not output.requires_grad:
            output.requires_grad_()
        self._tape.append((layer, given[0], output, output._version))  # noqa: SLF001  # see above

    def _of(self, layer: Any, given: torch.Tensor, gradient: torch.Tensor) -> dict[str, Piece]:
        """The pieces of one layer, by parameter."""
        weight, bias = self.owners[layer]
        if isinstance(layer, nn.Linear) and given.ndim == 2:
            left = Whole.of(gradient)
            whole: dict[str, Piece] = {weight: Outer(left, Whole.of(given)), bias: Full(left.values.clone(), left.unit)}
            return {name: piece for name, piece in whole.items() if name}
        arrange: Arrange | None = None
        if isinstance(layer, nn.Linear):
            right, left_ = given.flatten(1, -2), gradient.flatten(1, -2)
        else:
            right, left_ = self._patches(layer, given), gradient.permute(0, 2, 3, 1).flatten(1, 2)
            filters = (layer.out_channels, *layer.kernel_size, layer.in_channels)
            arrange = lambda total: total.view(filters).permute(0, 3, 1, 2)  # noqa: E731  # channels come first again
        found: dict[str, Piece] = {}
        if weight:
            shape = (len(right), left_.shape[2], right.shape[2])
            product = self._memory.take(f"{weight}, as computed", shape, right.dtype)
            torch.bmm(left_.transpose(1, 2), right, out=product)
            found[weight] = Full(self._memory.copy(weight, product), arrange=arrange)
        if bias:
            found[bias] = Full(left_.sum(1).to(torch.float64))
        return found

    def _patches(self, layer: nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
        """What a convolution multiplies its weights with: shape (n, positions, height * width * channels)."""
        high, wide = layer.kernel_size
        down, right = layer.stride
        x = nn.functional.pad(images, _padding(layer)).permute(0, 2, 3, 1).contiguous()
        n, rows, columns, channels = x.shape
        shape = (n, (rows - high) // down + 1, (columns - wide) // right + 1, high, wide * channels)
        strides = (rows * columns * channels, down * columns * channels, right * channels, columns * channels, 1)
        found = self._memory.take(f"patches of {self.owners[layer]}", shape, x.dtype)
        return found.copy_(x.as_strided(shape, strides)).view(n, shape[1] * shape[2], -1)


def _owners(module: nn.Module, names: Sequence[str]) -> dict[nn.Module, tuple[str, str]]:
    """The layers that hold trained parameters, with the names of weight and bias ("" if it is not trained)."""
    of_parameter = {id(p): name for name, p in module.named_parameters() if name in names}
    found: dict[nn.Module, tuple[str, str]] = {}
    held: list[int] = []
    for part in module.modules():
        own = {id(p): local for local, p in part.named_parameters(recurse=False) if id(p) in of_parameter}
        if not own:
            continue
        if not _plain(part):
            raise BadArgument(f"{type(part).__name__} is no Linear or plain Conv2d layer")
        local = {local: of_parameter[i] for i, local in own.items()}
        found[part] = (local.get("weight", ""), local.get("bias", ""))
        held += own
    if len(set(held)) < len(held):
        raise BadArgument("a parameter belongs to several layers")
    return found


def _plain(part: nn.Module) -> bool:
    if type(part) is nn.Conv2d:
        return part.groups == 1 and part.dilation == (1, 1) and part.padding_mode == "zeros"
    return type(part) is nn.Linear


def _padding(layer: nn.Conv2d) -> tuple[int, int, int, int]:
    """Left, right, top, bottom."""
    if layer.padding == "same":
        (top, left), (height, width) = ((size - 1) // 2 for size in layer.kernel_size), layer.kernel_size
        return left, width - 1 - left, top, height - 1 - top
    if isinstance(layer.padding, str):
        return 0, 0, 0, 0
    top, left = layer.padding
    return left, left, top, top
