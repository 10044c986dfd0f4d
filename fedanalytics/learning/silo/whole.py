"""Whole numbers held in float64: sums and products that are exact, hence the same in whatever order they are taken.

A float sum depends on its order, and a batch decides about the order: who else is in it, how many they are, how many
threads share the work. So an example's gradient would depend on other examples, in its last bits and, where a ReLU
switches, in more than those; no sensitivity would hold exactly. Here every sum is one of whole numbers below 2^53,
which float64 adds without rounding. What is left are operations on single numbers (+, -, *, /, square root, rounding)
that IEEE 754 defines to the last bit. Together: what is computed for a row is a function of that row and the weights,
on every machine, beside any other rows.

(Making a product exact by scaled whole parts is due to Ozaki, Ogita, Oishi, Rump 2012, Numerical Algorithms 59.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

_EXACT = 53  # bits of float64
_LARGEST = 22  # bits of an entry of `Whole`
_WEIGHTS = _EXACT - _LARGEST  # bits of the L1 norm of a row or column of `Weights`
_SMALLEST = 900  # numbers below 2^-878 are held more coarsely, so that powers of two stay finite

_LOG2_E = 1 / math.log(2)
_LN2_HIGH = 355 / 512  # ln 2 in two parts: multiples of the first are exact
_LN2_LOW = -2.121944400546905827679e-4
_TAYLOR = tuple(1 / math.factorial(n) for n in range(13, -1, -1))


@dataclass(frozen=True, eq=False)
class Whole:
    """Rows of numbers as ``values * unit``.

    Attributes:
        values: shape (n, d), whole numbers of at most 2^22 in magnitude whose squares sum to at most 2^53 in a row.
        unit: shape (n,), powers of two; NaN for a row that held something that is not finite: its values are zero.

    Example:
        >>> held = Whole.of(torch.tensor([[1.0, -0.25], [float("nan"), 1.0]]))
        >>> held.real().tolist(), held.lengths().tolist()
        ([[1.0, -0.25], [nan, nan]], [1.0307764064044151, nan])
    """

    values: torch.Tensor
    unit: torch.Tensor

    @classmethod
    def of(cls, numbers: torch.Tensor, into: torch.Tensor | None = None) -> Whole:
        """The nearest multiples of a unit of each row's own, shape (n, d); held in `into` if that is given."""
        bits = min(_LARGEST, (_EXACT - (numbers.shape[1] - 1).bit_length()) // 2)
        peak = torch.maximum(numbers.amax(1), numbers.amin(1).neg_()).double().numpy()
        finite = np.isfinite(peak)
        exponents = np.minimum(bits - np.frexp(np.where(finite, peak, 0.0))[1].astype(np.int64), _SMALLEST)
        scale = torch.from_numpy(np.ldexp(1.0, exponents))
        values = torch.empty_like(numbers, dtype=torch.float64) if into is None else into
        values.copy_(numbers).mul_(scale[:, None])
        if not finite.all():
            values[torch.from_numpy(~finite)] = 0
        unit = np.where(finite, np.ldexp(1.0, -exponents), np.nan)
        return cls(values.round_(), torch.from_numpy(unit))

    def real(self) -> torch.Tensor:
        """As they are meant, shape (n, d)."""
        return self.values * self.unit[:, None]

    def lengths(self) -> torch.Tensor:
        """The L2 norm of each row, shape (n,): the root of an exact sum."""
        roots: torch.Tensor = torch.linalg.vector_norm(self.values, dim=1)
        return roots * self.unit

    def times(self, weights: Weights, *, transposed: bool = False) -> torch.Tensor:
        """``rows @ weights``, or with their transpose; exact but for overflow, shape (n, ...)."""
        product = self.values @ (weights.values.t() if transposed else weights.values)
        return product.mul_((self.unit * weights.unit)[:, None])


@dataclass(frozen=True, eq=False)
class Weights:
    """A matrix as ``values * unit``: whole numbers; no row or column has an L1 norm above 2^31.

    With entries of `Whole` of at most 2^22, every partial sum of a product is below 2^53 (Hoelder).
    """

    values: torch.Tensor
    unit: float

    @classmethod
    def of(cls, matrix: torch.Tensor) -> Weights:
        """The nearest; NaN where the matrix is not finite, so that no row has a finite product with it."""
        wide = matrix.to(torch.float64)
        size = max(float(wide.abs().sum(axis).max()) for axis in (0, 1))
        if not math.isfinite(size):
            return cls(torch.zeros_like(wide), math.nan)
        exponent = min(_WEIGHTS - 1 - math.frexp(size)[1], _SMALLEST)  # a bit is left for what rounding adds
        return cls((wide * 2.0**exponent).round_(), 2.0**-exponent)


def softmax(scores: torch.Tensor) -> torch.Tensor:
    """The softmax of each row of float64 numbers, shape (n, classes), from an exact sum."""
    classes = scores.shape[1]
    bits = _EXACT - 1 - (classes - 1).bit_length()
    parts = exponential(scores - scores.amax(1, keepdim=True)).mul_(2.0**bits).round_()
    return parts / parts.sum(1, keepdim=True)


def tanh(x: torch.Tensor) -> torch.Tensor:
    """The hyperbolic tangent of float64 numbers."""
    decay = exponential(x.abs().mul_(-2))
    return torch.copysign((1 - decay) / (1 + decay), x)


def exponential(x: torch.Tensor) -> torch.Tensor:
    """``e^x`` of float64 numbers of at most 0, to within 2^-50; below -700 that of -700.

    Written out in operations that IEEE 754 defines: library functions round differently at the end of an array than
    within.
    """
    x = x.clamp(min=-700.0)
    powers = (x * _LOG2_E).round_()
    rest = (x - powers * _LN2_HIGH) - powers * _LN2_LOW
    total = torch.full_like(x, _TAYLOR[0])
    for coefficient in _TAYLOR[1:]:
        total = total.mul_(rest).add_(coefficient)
    return total.mul_(((powers.to(torch.int64) + 1023) << 52).view(torch.float64))
