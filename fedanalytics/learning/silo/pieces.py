"""Gradients of single examples in pieces, one per parameter: clipped and rounded onto a grid of whole numbers, summed.

Formal guarantee of `clipped`: what an example adds to the sum is a vector of integers whose L2 norm is at most
`LONGEST` steps, whatever the floats did. It is scaled into the ball, rounded towards zero, so that no norm grows, and
its norm is computed again from the integers; who exceeds the ball even so (which no correct code lets happen), or holds
a number that is not finite, adds nothing. The integers of at most `MOST` examples add up exactly in float64.

(Norms are roots of sums of squares in float64. For fewer than `PARAMETERS` numbers such a sum is off by less than 2^-27
of itself in whatever order, less than the 2^-26 that the check leaves for it, and the target for the check.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from fedanalytics.learning.silo.whole import Whole

MOST = 512  # examples in a sum
PARAMETERS = 2**26  # no vector is as long
LONGEST = 2**44  # steps in the clip: MOST * LONGEST = 2^53
_TARGET = 1 - 2.0**-24  # of the clip: room for the rounding of factors and norms
_CHECKED = 1 - 2.0**-26  # of LONGEST

Arrange = Callable[[torch.Tensor], torch.Tensor]


class Steps(Protocol):
    """A piece in grid steps."""

    @property
    def lengths(self) -> torch.Tensor:
        """The L2 norm of each example's integers, shape (n,)."""
        ...

    def total(self, dropped: torch.Tensor | None) -> torch.Tensor:
        """Their sum without the dropped examples, exact: shape (size of the parameter,)."""
        ...


class Piece(Protocol):
    """The gradients of n examples by one parameter."""

    @property
    def lengths(self) -> torch.Tensor:
        """The L2 norm of each, shape (n,); not finite where a number of it is not."""
        ...

    def rounded(self, factor: torch.Tensor) -> Steps:
        """``gradient * factor``, towards zero; nothing where the length is not finite. The piece may be used up."""
        ...


class Outer:
    """Gradients ``left (x) right``, as those of a dense layer's weights: their norms without forming them.

    (For one row per example the norm of an outer product is the product of norms: Goodfellow 2015, arXiv 1510.01799.)
    """

    def __init__(self, left: Whole, right: Whole) -> None:
        """`left` of shape (n, out), `right` of shape (n, in)."""
        self.left, self.right = left, right
        self.lengths = left.lengths() * right.lengths()

    def rounded(self, factor: torch.Tensor) -> Steps:
        scale = _finite(factor * self.left.unit * self.right.unit)
        return _Products((self.left.values * scale[:, None]).trunc_(), self.right.values)


class Full:
    """Gradients as they are, any shape (n, ...): whole numbers times units, or plain floats.

    Attributes:
        arrange: brings their sum into the shape of the parameter.
    """

    def __init__(self, values: torch.Tensor, unit: torch.Tensor | None = None, arrange: Arrange | None = None) -> None:
        """`values` in float64."""
        self.values, self.unit, self.arrange = values.flatten(1), unit, arrange
        self.shape = values.shape[1:]
        self.lengths = _norms(self.values) if unit is None else _norms(self.values) * unit

    def rounded(self, factor: torch.Tensor) -> Steps:
        lost = ~self.lengths.isfinite()
        if lost.any():
            self.values[lost] = 0
        scale = factor if self.unit is None else _finite(factor * self.unit)
        return _Vectors(self.values.mul_(scale[:, None]).trunc_(), self.shape, self.arrange)


@dataclass(frozen=True, eq=False)
class _Products:
    left: torch.Tensor
    right: torch.Tensor

    @property
    def lengths(self) -> torch.Tensor:
        return _norms(self.left) * _norms(self.right)

    def total(self, dropped: torch.Tensor | None) -> torch.Tensor:
        if dropped is not None:
            self.left[dropped] = 0
        product: torch.Tensor = self.left.t() @ self.right
        return product.flatten()


@dataclass(frozen=True, eq=False)
class _Vectors:
    values: torch.Tensor
    shape: torch.Size
    arrange: Arrange | None

    @property
    def lengths(self) -> torch.Tensor:
        return _norms(self.values)

    def total(self, dropped: torch.Tensor | None) -> torch.Tensor:
        if dropped is not None:
            self.values[dropped] = 0
        found = self.values.sum(0)
        return found if self.arrange is None else self.arrange(found.view(self.shape)).flatten()


def clipped(pieces: Sequence[Piece], clip: float, count: int) -> torch.Tensor:
    """The sum of clipped gradients in steps of ``clip / LONGEST``: integers in float64, shape (parameters,).

    Args:
        pieces: of at most `MOST` examples, in the order of the parameters.
        clip: the L2 bound.
        count: how many of the examples are real; those after them are padding and add nothing.
    """
    lengths = together([piece.lengths for piece in pieces])
    factor = (_TARGET * clip / lengths).clamp_(max=1.0).mul_(LONGEST / clip)
    lost = ~lengths.isfinite()
    lost[count:] = True
    factor[lost] = 0
    steps = [piece.rounded(factor) for piece in pieces]
    beyond = ~(together([step.lengths for step in steps]) <= _CHECKED * LONGEST)
    dropped = beyond if beyond.any() else None
    return torch.cat([step.total(dropped) for step in steps])


def together(lengths: Sequence[torch.Tensor]) -> torch.Tensor:
    """The norm of what has these norms in parts: added one after the other, number by number."""
    total: torch.Tensor = torch.zeros_like(lengths[0])
    for part in lengths:
        total.add_(part * part)
    return total.sqrt_()


def _norms(rows: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = torch.linalg.vector_norm(rows, dim=1)
    return found


def _finite(scale: torch.Tensor) -> torch.Tensor:
    """A scale of rows whose values are zero where it is not finite."""
    return scale.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
