"""What is computed from the stream of sums, and has to be accurate: prefix sums, with momentum or decay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.correlated.series import Floats, product, quotient


@dataclass(frozen=True)
class Workload:
    """s_t = decay * s_(t-1) + m_t, with m_t = momentum * m_(t-1) + x_t: what a step of SGD makes of the sums x_t.

    Plain, these are the prefix sums x_0 + ... + x_t: the model after t steps of gradient descent. As a power series,
    1 / ((1 - decay x) (1 - momentum x)).

    Attributes:
        momentum: heavy ball, in [0, 1).
        decay: weight decay, 1 - rate * lambda, in (0, 1].

    Raises:
        BadArgument: a number out of its range.

    Example:
        >>> Workload(momentum=0.5).coefficients(4)
        array([1.   , 1.5  , 1.75 , 1.875])
    """

    momentum: float = 0.0
    decay: float = 1.0

    def __post_init__(self) -> None:
        _validate.rate(decay=self.decay)
        if not (_validate.real(self.momentum) and 0 <= self.momentum < 1):
            raise BadArgument(f"momentum= must lie in [0, 1), got {self.momentum!r}")
        object.__setattr__(self, "momentum", float(self.momentum))
        object.__setattr__(self, "decay", float(self.decay))

    def coefficients(self, rounds: int) -> Floats:
        """How much of x_(t-i) is in s_t, for i = 0, 1, ...; shape (rounds,)."""
        return quotient(_powers(self.decay, rounds), np.array([1.0, -self.momentum]))

    def square_root(self, rounds: int) -> Floats:
        """The series whose square it is, shape (rounds,).

        (1 - a x)^(-1/2) has the coefficients binomial(2i, i) (a/4)^i. With this C, B = C is the factorisation A = B C
        of Fichtenberger, Henzinger, Upadhyay 2023 (arXiv 2202.11205) for prefix sums, and of Kalinin and Lampert 2024
        (arXiv 2405.13763) with momentum and decay.
        """
        i = np.arange(1, rounds)
        central = np.cumprod(np.concatenate([[1.0], (2 * i - 1) / (2 * i)]))
        root = central * _powers(self.decay, rounds)
        return product(root, central * _powers(self.momentum, rounds), rounds) if self.momentum else root


def _powers(base: float, count: int) -> Floats:
    found: Floats = np.power(base, np.arange(count, dtype=np.float64))
    return found


PREFIX_SUMS = Workload()
