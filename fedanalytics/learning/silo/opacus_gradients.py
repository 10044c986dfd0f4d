"""Gradients of single examples by Opacus, for every module that is no stack of Linear and Conv2d layers.

Its hooks know embeddings, normalisations, grouped and one-dimensional convolutions, its own recurrent and attention
layers, and take what they do not know apart by torch.func; each parameter's gradients are formed for every example. On
convolutions its ExpandedWeights and torch.func modes came out within 10 % of the hooks (benchmarks/silo.py), and its
ghost mode gives norms and float sums, of which no bound on integers can be had: so hooks it is. Only these gradients
are taken from it; sampling, clipping, noise and accounting are ours.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from opacus.grad_sample import GradSampleModule  # type: ignore[import-untyped]  # ships no types
from opacus.validators import ModuleValidator  # type: ignore[import-untyped]  # likewise
from torch import nn

from fedanalytics.errors import BadArgument
from fedanalytics.learning.clients import Pair
from fedanalytics.learning.losses import Loss, per_example
from fedanalytics.learning.model import Model
from fedanalytics.learning.silo.gradients import block_of, trained
from fedanalytics.learning.silo.pieces import Full, Piece

_INSTEAD = {
    nn.LSTM: "opacus.layers.DPLSTM",
    nn.GRU: "opacus.layers.DPGRU",
    nn.RNN: "opacus.layers.DPRNN",
    nn.MultiheadAttention: "opacus.layers.DPMultiheadAttention",
}


class OpacusGradients:
    """See the top of the file."""

    proven = False

    def __init__(self, model: Model, loss_fn: Loss) -> None:
        """Prepares a module of its own.

        Raises:
            BadArgument: a layer that Opacus cannot take apart; the message names what to use instead.
        """
        self.model, self.losses_of = model, per_example(loss_fn)
        module = trained(model)
        _check(module)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self.module = GradSampleModule(module, batch_first=True, loss_reduction="sum", strict=True)
            except Exception as error:  # its refusals have several types
                raise BadArgument(f"model_fn= builds a module that Opacus refuses: {error}") from error
        self.block = block_of(model.size)
        self._parameters = model.parameters(self.module)

    def load(self, parameters: torch.Tensor) -> None:
        with torch.no_grad():
            for parameter, value in zip(self._parameters, self.model.split(parameters), strict=True):
                parameter.copy_(value)

    def pieces(self, examples: Pair) -> Sequence[Piece]:
        x, y = examples
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that inputs need no gradient is so by design
            self.losses_of(self.module(x), y).sum().backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        found = [self._taken(parameter, len(y)) for parameter in self._parameters]
        self.module.zero_grad(set_to_none=True)
        return found

    def _taken(self, parameter: nn.Parameter, count: int) -> Piece:
        gradients = parameter.grad_sample  # type: ignore[attr-defined]  # set by its hooks
        if gradients is None:  # a parameter that the loss does not reach
            gradients = parameter.new_zeros(count, *parameter.shape)
        return Full(gradients.to(torch.float64))


def _check(module: nn.Module) -> None:
    for name, part in module.named_modules():
        for kind, instead in _INSTEAD.items():
            if type(part) is kind:
                raise BadArgument(
                    f"model_fn= builds {type(part).__name__} ({name or 'the module'}), which Opacus cannot take apart "
                    f"into examples: use {instead}"
                )
    refused = ModuleValidator.validate(module, strict=False)
    if refused:
        raise BadArgument(f"model_fn= builds a module that Opacus refuses: {refused[0]}")
