"""Exact randomness for local mechanisms: coins of a float's exact probability, whole numbers, orders, roundings.

Everything random in this package comes through these four functions, from the words of a keystream.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.sampling import poisson_sample

Integers: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

FINE = 40  # a number in [-1, 1] is meant to 2^-40
_WORDS = 1 << 64


def flips(rate: float, size: int, stream: Keystream) -> Flags:
    """Independent coins, each True with probability exactly `rate` in (0, 1], shape (size,)."""
    return poisson_sample(size, rate, keystream=stream)


def below(limit: int, size: int, stream: Keystream) -> Integers:
    """Independent whole numbers, uniform on 0 .. limit - 1, shape (size,).

    A word is reduced modulo the limit; words at or above the largest multiple of it are drawn again.
    """
    words = stream.words(size)
    excess = _WORDS % limit
    if excess:
        last = np.uint64(_WORDS - excess)
        while len(again := np.flatnonzero(words >= last)):
            words = words.copy()
            words[again] = stream.words(len(again))
    return (words % np.uint64(limit)).astype(np.int64)


def keys(rows: int, columns: int, stream: Keystream) -> npt.NDArray[np.uint64]:
    """Words whose order within a row, where no two of a row are equal, is uniform; shape (rows, columns)."""
    return stream.words(rows * columns).reshape(rows, columns).copy()


def snapped(values: npt.NDArray[np.float64]) -> Integers:
    """Numbers clipped to [-1, 1], in steps of 2^-40, to the nearest; what is not finite is 0."""
    finite = np.where(np.isfinite(values), values, 0.0)
    return np.rint(np.clip(finite, -1.0, 1.0) * 2.0**FINE).astype(np.int64)


def rounded(steps: Integers, cells: int, stream: Keystream) -> Integers:
    """Numbers in steps of 2^-40 -> points 0 .. cells of a grid over [-1, 1], unbiased: to one neighbour or the other.

    The point is floor(u), or one more with probability exactly u - floor(u), for u = (x + 1) / 2 * cells; all in whole
    numbers, while cells < 2^22. A point of the grid is itself.
    """
    scaled = (steps + (1 << FINE)) * cells
    rest = (scaled & ((1 << FINE + 1) - 1)).astype(np.uint64)
    up = stream.words(len(steps)) >> np.uint64(63 - FINE) < rest
    return (scaled >> FINE + 1) + up
