"""What every engine does, the gradients of single examples in pieces, and what engines have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import nn

from fedanalytics.learning.clients import Pair
from fedanalytics.learning.model import Model
from fedanalytics.learning.silo.pieces import Piece

TILE = 32  # rows: kernels of this build treat all rows of a multiple of it alike, which the tests look at
_ROWS = 160  # at a time; more gain nothing
_HELD = 2**26  # numbers of gradients that are formed at a time, if that makes a tile


def block_of(size: int) -> int:
    """How many examples to take at a time where gradients of `size` numbers are formed.

    Example:
        >>> block_of(26_010), block_of(1_000_000), block_of(10_000_000)
        (160, 64, 32)
    """
    return max(min(_HELD // size // TILE * TILE, _ROWS), TILE)


def trained(model: Model) -> nn.Module:
    """A module of its own in training mode, whose layers do not overwrite what other layers gave."""
    module = model.module().train()
    for part in module.modules():
        if hasattr(part, "inplace"):
            setattr(part, "inplace", False)  # noqa: B010  # torch declares attributes of modules as modules
    return module


class Gradients(Protocol):
    """The gradients of a model's losses on single examples."""

    @property
    def proven(self) -> bool:
        """Whether a row's gradient is a function of that row by proof; else by tests of this build's kernels."""
        ...

    @property
    def block(self) -> int:
        """How many examples it takes at a time: a multiple of `TILE`, at most `pieces.MOST`."""
        ...

    def load(self, parameters: torch.Tensor) -> None:
        """Sets the parameters, shape (size,)."""
        ...

    def pieces(self, examples: Pair) -> Sequence[Piece]:
        """One per parameter, in the order of `Model.names`; good until the next call."""
        ...
