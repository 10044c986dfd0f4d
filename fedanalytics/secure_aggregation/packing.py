"""Vectors on the wire: value i takes bits i b ... i b + b - 1 of a little-endian bit stream, and nothing else is sent.

64 values of b bits fill b words of 64 bits exactly, so all groups of 64 are packed at once, one value of each at a
time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fedanalytics.errors import BadArgument
from fedanalytics.secure_aggregation.outcomes import Reason, demand

Lanes = npt.NDArray[np.unsignedinteger]

_GROUP = 64


def lanes(bits: int) -> type[np.uint32 | np.uint64]:
    """The type that a value of so many bits is added in; a sum in it, modulo its own power of two, loses nothing.

    Example:
        >>> lanes(20), lanes(33)
        (<class 'numpy.uint32'>, <class 'numpy.uint64'>)
    """
    return np.uint32 if bits <= 32 else np.uint64


def reduced(values: Lanes, bits: int) -> Lanes:
    """The values modulo 2**bits, in place."""
    values &= values.dtype.type((1 << bits) - 1)
    return values


def checked_vector(vector: npt.NDArray[np.integer], bits: int) -> Lanes:
    """A copy of the vector in lanes, modulo 2**bits.

    Raises:
        BadArgument: it is not a one-dimensional array of integers.

    Example:
        >>> checked_vector(np.array([-1, 300]), 8)
        array([255,  44], dtype=uint32)
    """
    found = vector if isinstance(vector, np.ndarray) else np.asarray(vector)
    if not np.issubdtype(found.dtype, np.integer):
        raise BadArgument(f"vector= must hold integers, got dtype {found.dtype}; clip and round it onto a grid first")
    if found.ndim != 1 or not found.size:
        raise BadArgument(f"vector= must have shape (length,), got {found.shape}")
    return reduced(found.astype(lanes(bits)), bits)


def packed_size(count: int, bits: int) -> int:
    """The bytes that `count` values take."""
    return -(-count * bits // 8)


def pack(values: Lanes, bits: int) -> bytes:
    """The values, each below 2**bits, as a bit stream.

    Example:
        >>> pack(np.array([1, 2, 3], np.uint32), 8).hex(), pack(np.array([1, 2, 3], np.uint32), 12).hex()
        ('010203', '0120000300')
    """
    groups = -(-len(values) // _GROUP)
    table = np.pad(values, (0, groups * _GROUP - len(values))).reshape(groups, _GROUP)
    words = np.zeros((groups, bits), "<u8")
    for i, word, low, spill in _places(bits):
        column = table[:, i].astype(np.uint64)
        words[:, word] |= column << low
        if spill:
            words[:, word + 1] |= column >> spill
    return words.tobytes()[: packed_size(len(values), bits)]


def unpack(data: bytes, count: int, bits: int) -> Lanes:
    """The values of a bit stream.

    Raises:
        Stop: the stream is not as long as `count` values, or the bits that fill up its last byte are not 0.

    Example:
        >>> unpack(bytes.fromhex("0120000300"), 3, 12)
        array([1, 2, 3], dtype=uint32)
    """
    demand(len(data) == packed_size(count, bits), Reason.MALFORMED, "the vector has another length")
    demand(not count * bits % 8 or not data[-1] >> count * bits % 8, Reason.MALFORMED, "a bit beyond the vector")
    groups = -(-count // _GROUP)
    words = np.frombuffer(data.ljust(groups * bits * 8, b"\0"), "<u8").reshape(groups, bits)
    table = np.empty((groups, _GROUP), lanes(bits))
    for i, word, low, spill in _places(bits):
        column = words[:, word] >> low
        if spill:
            column |= words[:, word + 1] << spill
        table[:, i] = column & np.uint64((1 << bits) - 1)
    return table.reshape(-1)[:count]


def _places(bits: int) -> Iterator[tuple[int, int, np.uint64, np.uint64]]:
    """For each of 64 values: its word, its lowest bit there, and how far to shift what spills into the next word."""
    for i in range(_GROUP):
        word, low = divmod(i * bits, 64)
        yield i, word, np.uint64(low), np.uint64(64 - low if low + bits > 64 else 0)
