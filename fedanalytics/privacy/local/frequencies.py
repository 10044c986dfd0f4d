"""How many clients hold each of k bins: what all frequency mechanisms share, and the estimate from their sum.

Every one of them comes down to reports that support a bin with probability p when the client holds it, and q when it
holds another or none: a "pure protocol" (Wang, Blocki, Li, Jha 2017, USENIX Security, Definition 1). Of n reports, c
from holders, the number S that support the bin has mean c p + (n - c) q, so (S - n q) / (p - q) is unbiased, and
variance c p (1 - p) + (n - c) q (1 - q), as the reports are independent.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.local import exact
from fedanalytics.privacy.local.coins import Integers
from fedanalytics.privacy.local.mechanism import Mechanism

Floats: TypeAlias = npt.NDArray[np.float64]
Bins: TypeAlias = npt.NDArray[np.integer[Any]] | Sequence[int]

NULL = -1  # the bin of a client that holds none
_CHUNK = 1 << 22  # numbers per block of clients
_NORMAL = 25.0  # the variance of a sum from which its law is taken for normal


@dataclass(frozen=True, eq=False)
class Frequencies:
    """Counts of clients per bin, from the number of reports that support each.

    Attributes:
        supports: shape (bins,).
        reports: n, of all clients, also of those that hold nothing.
        true, false: p and q, as above.
    """

    supports: Integers
    reports: int
    true: Fraction
    false: Fraction

    @property
    def value(self) -> Floats:
        """Unbiased, hence not clamped: it may be negative. Shape (bins,)."""
        return np.asarray((self.supports - self.reports * float(self.false)) / float(self.true - self.false))

    @property
    def variance(self) -> Floats:
        """Of the value, at the estimated count; unbiased until that is clamped to [0, n]. Shape (bins,)."""
        held = np.clip(self.value, 0, self.reports)
        return np.asarray(self._spread(held) / float(self.true - self.false) ** 2)

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """(lower, upper) for the counts, each of shape (bins,) and within [0, n].

        Where the supports' variance is at least 25, all c that are within the normal quantile, and half a report, of
        what was seen, with the variance that c implies (Wilson 1927); elsewhere by the exact law (`exact.ends`).

        Raises:
            BadArgument: the confidence is not strictly between 0 and 1.
        """
        _validate.probability(confidence=confidence)
        low, high = self._wilson(NormalDist().inv_cdf((1 + confidence) / 2))
        few = np.flatnonzero(self._spread(np.clip(self.value, 0, self.reports)) < _NORMAL)
        if len(few):
            seen = np.clip(self.supports[few], 0, self.reports)
            low[few], high[few] = exact.ends(
                seen, self.reports, float(self.true), float(self.false), (1 - confidence) / 2
            )
        return np.clip(low, 0, self.reports), np.clip(high, 0, self.reports)

    def _spread(self, held: Floats) -> Floats:
        """The variance of the supports, were so many clients holders."""
        p, q = float(self.true), float(self.false)
        return held * (p * float(1 - self.true)) + (self.reports - held) * (q * float(1 - self.false))

    def _wilson(self, quantile: float) -> tuple[Floats, Floats]:
        p, q, gap = float(self.true), float(self.false), float(self.true - self.false)
        at_none, slope = self.reports * q * (1 - q), p * (1 - p) - q * (1 - q)
        ends = []
        for side in (-1, 1):
            seen = self.supports + side / 2 - self.reports * q
            middle = 2 * gap * seen + quantile**2 * slope
            root = np.sqrt(np.maximum(middle**2 - 4 * gap**2 * (seen**2 - quantile**2 * at_none), 0.0))
            ends.append((middle + side * root) / (2 * gap**2))
        return ends[0], ends[1]


@dataclass(frozen=True)
class FrequencyMechanism(Mechanism):
    """A client holds one of `bins` bins, or none; its report is a row of `columns` whole numbers.

    Raises:
        BadArgument: `bins` is not a whole number >= 1, or another field not as its class says.
    """

    bins: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "bins", _validate.whole(bins=self.bins))

    @property
    @abstractmethod
    def columns(self) -> int:
        """Numbers in a report."""

    @property
    @abstractmethod
    def true(self) -> Fraction:
        """p: that a report supports the bin that the client holds."""

    @property
    @abstractmethod
    def false(self) -> Fraction:
        """That it supports any other: q < p."""

    @property
    def variance(self) -> float:
        """Of one client's estimate, the mean over the bins, for a client that holds one; nulls add less where q < p."""
        p, q = self.true, self.false
        return float((p * (1 - p) + (self.bins - 1) * q * (1 - q)) / (self.bins * (p - q) ** 2))

    def reports(self, bins: Bins, keystream: Keystream | None = None) -> npt.NDArray[np.uint8]:
        """What clients send, each on its own, as 0 and 1; shape (n, columns).

        Args:
            bins: whole numbers, shape (n,): which bin each client holds, or NULL.
            keystream: None, the default, keys one afresh; a test may pass `Keystream.insecure(seed)`.

        Raises:
            BadArgument: `bins` are not as above.
        """
        return self._reports(self._checked(bins), keystream or Keystream())

    def sums(self, bins: Bins, keystream: Keystream | None = None) -> Integers:
        """The sum of such reports over the clients, shape (columns,), without holding them all.

        Raises:
            BadArgument: `bins` are not as above.
        """
        held, stream = self._checked(bins), keystream or Keystream()
        total = np.zeros(self.columns, dtype=np.int64)
        clients = max(_CHUNK // self.columns, 1)
        for start in range(0, len(held), clients):
            total += self._sums(held[start : start + clients], stream)
        return total

    def estimate(self, sums: npt.ArrayLike, reports: int) -> Frequencies:
        """How many clients hold each bin.

        Args:
            sums: of the reports of all clients, shape (columns,).
            reports: how many there were.

        Raises:
            BadArgument: an argument is not as above.
        """
        total = column_sums(sums, self.columns)
        n = _validate.whole(0, reports=reports)
        return Frequencies(self._supports(total, n), n, self.true, self.false)

    @abstractmethod
    def _reports(self, held: Integers, stream: Keystream) -> npt.NDArray[np.uint8]: ...

    def _sums(self, held: Integers, stream: Keystream) -> Integers:
        total: Integers = self._reports(held, stream).sum(axis=0, dtype=np.int64)
        return total

    def _supports(self, sums: Integers, reports: int) -> Integers:  # noqa: ARG002  # one of them needs it
        return sums[: self.bins]

    def _checked(self, bins: Bins) -> Integers:
        held = whole_numbers("bins", bins)
        wrong = (held < NULL) | (held >= self.bins)
        if held.ndim != 1 or wrong.any():
            raise BadArgument(
                f"bins= must be whole numbers from 0 to {self.bins - 1}, or NULL = {NULL}, of shape (n,); "
                f"got shape {held.shape}" + (f" with {int(wrong.sum())} outside" if wrong.any() else "")
            )
        return held


def one_hot(columns: int, at: Integers) -> npt.NDArray[np.uint8]:
    """Rows with a single 1, shape (len(at), columns)."""
    rows = np.zeros((len(at), columns), dtype=np.uint8)
    rows[np.arange(len(at)), at] = 1
    return rows


def column_sums(sums: npt.ArrayLike, columns: int) -> Integers:
    """Sums of reports, shape (columns,).

    Raises:
        BadArgument: they have another shape, or are not whole numbers.
    """
    total = whole_numbers("sums", sums)
    if total.shape != (columns,):
        raise BadArgument(f"sums= must have shape ({columns},), one sum per column; got {total.shape}")
    return total


def whole_numbers(name: str, values: npt.ArrayLike) -> Integers:
    """An array of whole numbers.

    Raises:
        BadArgument: they are of another kind.
    """
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(array.shape, dtype=np.int64)
    if array.dtype.kind not in "iu":
        raise BadArgument(f"{name}= must be whole numbers, got an array of {array.dtype}")
    return array.astype(np.int64)
