"""A random rotation that takes log2(d) additions a coordinate: Walsh-Hadamard after random signs.

It spreads any vector evenly over its coordinates, so that a sum fits into few bits. It plays no part in privacy: a seed
that was chosen badly, or known to everybody (it is), costs accuracy at most.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.keystream import Keystream

Floats: TypeAlias = npt.NDArray[np.float64]


def padded(size: int) -> int:
    """The least power of two that is at least `size`."""
    return 1 << (size - 1).bit_length()


def rotate(rows: npt.NDArray[Any], seed: bytes) -> Floats:
    """Rows x -> H diag(signs) x / sqrt(D), padded with zeros, with H the Hadamard matrix; shape (n, D).

    An isometry: H H^T = D. Each coordinate of a rotated x is ``sum(+-x_j) / sqrt(D)`` with independent signs: mean 0,
    and sub-Gaussian of proxy |x|^2 / D (Hoeffding 1963, Section 2: E e^(h s) = cosh h <= e^(h^2/2) for one sign).

    Raises:
        BadArgument: the seed is no bytes, or empty.

    Example:
        >>> bool(np.isclose(np.linalg.norm(rotate(np.array([[3.0, 0.0, 4.0]]), b"round 7")), 5.0))
        True
    """
    size = padded(rows.shape[1])
    out = np.zeros((len(rows), size))
    np.multiply(rows, _signs(seed, size)[: rows.shape[1]], out=out[:, : rows.shape[1]])
    hadamard(out)
    out /= math.sqrt(size)
    return out


def unrotate(vector: npt.NDArray[Any], size: int, seed: bytes) -> Floats:
    """The inverse for one vector of shape (D,), without the padding: shape (size,)."""
    out = np.array(vector, dtype=np.float64)[None, :]
    hadamard(out)
    back: Floats = out[0, :size] * _signs(seed, out.shape[1])[:size] / math.sqrt(out.shape[1])
    return back


def hadamard(rows: Floats) -> None:
    """Multiplies each row by the Hadamard matrix, in place.

    With D = A B, H_D = (H_A x I)(I x H_B): one pass over the high bits of the index, one over the low ones after a
    transposition, so that the additions always run over at least sqrt(D/2) neighbours in memory. A row's result does
    not depend on the other rows, to the last bit.
    """
    clients, size = rows.shape
    low = 1 << (size.bit_length() - 1) // 2
    table = rows.reshape(clients, size // low, low)
    _butterflies(table)
    turned = np.ascontiguousarray(table.transpose(0, 2, 1))
    _butterflies(turned)
    table[...] = turned.transpose(0, 2, 1)


def _butterflies(tables: Floats) -> None:
    """Hadamard along axis 1."""
    clients, height, width = tables.shape
    step = 1
    while step < height:
        pairs = tables.reshape(clients, height // (2 * step), 2, step * width)
        above, below = pairs[:, :, 0], pairs[:, :, 1]
        difference = above - below
        above += below
        below[...] = difference
        step *= 2


def _signs(seed: bytes, size: int) -> npt.NDArray[np.int8]:
    """Public signs: a keystream under the hash of the seed, the same on every platform."""
    if not isinstance(seed, bytes) or not seed:
        raise BadArgument(f"seed= must be the round's public bytes, at least one, got {seed!r}")
    words = Keystream(hashlib.sha256(b"fedanalytics rotation " + seed).digest()).words(-(-size // 64))
    bits = np.unpackbits(words.view(np.uint8), count=size)
    return 1 - 2 * bits.astype(np.int8)
