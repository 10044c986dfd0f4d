"""The integers modulo 2^b: what masked vectors are made of, and how likely a sum does not fit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument

NARROWEST, WIDEST = 8, 62


@dataclass(frozen=True)
class Ring:
    """The integers modulo 2^bits, as 0 ... 2^bits - 1 in uint32 (uint64 above 32 bits).

    A sum of integers in [-2^(bits-1), 2^(bits-1)) is found from the sum of their residues exactly; any other comes back
    off by a multiple of 2^bits. Reduction is post-processing: it costs no privacy, whatever wraps.

    Raises:
        BadArgument: bits is not a whole number from 8 to 62.

    Example:
        >>> ring = Ring(8)
        >>> ring.unwrap(ring.sum(ring.wrap(np.array([[-3, 100], [1, 27], [1, 1]]))))
        array([  -1, -128])
    """

    bits: int

    def __post_init__(self) -> None:
        if not _validate.whole(NARROWEST, bits=self.bits) <= WIDEST:
            raise BadArgument(f"bits= must be at most {WIDEST}, got {self.bits!r}")
        object.__setattr__(self, "bits", int(self.bits))

    @property
    def half(self) -> int:
        """The sums from -half to half - 1 come back as they are."""
        return 1 << (self.bits - 1)

    @property
    def dtype(self) -> type[np.unsignedinteger[Any]]:
        """Of the residues."""
        return np.uint32 if self.bits <= 32 else np.uint64

    def wrap(self, integers: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Integers -> residues, any shape."""
        return (integers & np.int64(2 * self.half - 1)).astype(self.dtype)

    def sum(self, residues: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The sum over the first axis: what secure aggregation computes."""
        total = residues.sum(axis=0, dtype=np.uint64) & np.uint64(2 * self.half - 1)
        return np.asarray(total.astype(self.dtype))

    def unwrap(self, residues: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Residues -> the integers nearest to 0.

        Raises:
            BadArgument: not unsigned integers below 2^bits.
        """
        if residues.dtype.kind != "u" or (residues.size and int(residues.max()) >= 2 * self.half):
            raise BadArgument(f"residues= must be unsigned integers below 2^{self.bits}, got {residues.dtype} values")
        return (residues.astype(np.int64) + self.half & np.int64(2 * self.half - 1)) - self.half


@dataclass(frozen=True)
class Spread:
    """How far each coordinate of a sum may be from 0.

    A coordinate is X + Y + Z: ``|X| <= shift`` always, Y is sub-Gaussian (``E e^(hY) <= e^(h^2 proxy / 2)``), and Z is
    Skellam (``E e^(hZ) = e^(variance (cosh h - 1))``), independent of Y. All bounds are by Chernoff: for every h > 0,

        P(|X + Y + Z| >= x) <= 2 e^(h^2 proxy / 2 + variance (cosh h - 1) - h (x - shift)).

    The best h makes the derivative of the exponent 0; any other gives a bound too, so that nothing rests on how well it
    is found.

    Example:
        >>> Spread(shift=1000.0, proxy=0.0, variance=20.0).overflow(Ring(12), size=1) < 1e-100
        True
    """

    shift: float
    proxy: float
    variance: float

    def overflow(self, ring: Ring, size: int) -> float:
        """A bound on the probability that any of `size` coordinates leaves a ring: the sum of theirs."""
        chance, _ = self._tail(ring.half)
        return min(1.0, size * chance)

    def wrapped(self, ring: Ring) -> float:
        """A bound on the mean square of what `unwrap` is off by, in one coordinate.

        It is off by k 2^b only where |X + Y + Z| >= (2k - 1) 2^(b-1). Summing by parts, the mean square is at most 4^b
        times the sum of (2k - 1) P(|X + Y + Z| >= (2k - 1) 2^(b-1)) over k >= 1, and with the h of k = 1 the bounds on
        these fall by r = e^(-h 2^b) from one k to the next: the sum is the first times (1 + r) / (1 - r)^2.
        """
        chance, h = self._tail(ring.half)
        r = math.exp(-h * 2 * ring.half)
        return math.inf if r == 1 else (2.0 * ring.half) ** 2 * chance * (1 + r) / (1 - r) ** 2

    def _tail(self, x: float) -> tuple[float, float]:
        """The bound on P(|X + Y + Z| >= x), and its h."""
        room = x - self.shift
        if room <= 0:
            return 1.0, 0.0
        low, high = 0.0, math.asinh(room / self.variance)
        for _ in range(60):
            middle = (low + high) / 2
            falling = self.proxy * middle + self.variance * math.sinh(middle) < room
            low, high = (middle, high) if falling else (low, middle)
        exponent = self.proxy * low**2 / 2 + 2 * self.variance * math.sinh(low / 2) ** 2 - low * room
        return 2 * math.exp(min(exponent, 0.0)), low
