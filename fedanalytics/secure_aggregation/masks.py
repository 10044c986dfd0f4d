"""Masks: AES in counter mode under keys of full entropy, each used for one mask.

A mask is uniform in the ring for whoever cannot tell AES from a random permutation: a counter under one key does not
repeat, and the lowest b bits of a uniform lane are uniform.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedanalytics.secure_aggregation.packing import Lanes

_BLOCK = 1 << 18  # bytes: the lanes and their keystream stay in the second-level cache
_ZEROS = bytes(_BLOCK)
_BATCH = 256  # ciphers that are open at a time


def add_masks(total: Lanes, plus: Sequence[bytes], minus: Sequence[bytes] = ()) -> Lanes:
    """Adds a mask for each key in `plus`, and subtracts one for each in `minus`, in place, modulo the lanes' own range.

    Args:
        total: uint32 or uint64, shape (length,), contiguous.
        plus: AES keys, 16 or 32 bytes each.
        minus: likewise.

    Returns:
        The same array.

    Example:
        >>> add_masks(np.zeros(2, np.uint32), [bytes(16)])
        array([3561744742,  992774895], dtype=uint32)
        >>> add_masks(_, [], [bytes(16)])
        array([0, 0], dtype=uint32)
    """
    for keys, combine in ((plus, np.add), (minus, np.subtract)):
        for start in range(0, len(keys), _BATCH):
            _combine(total, keys[start : start + _BATCH], combine)
    return total


def _combine(total: Lanes, keys: Sequence[bytes], combine: np.ufunc) -> None:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415  # not at import

    streams = [Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor() for key in keys]
    buffer = bytearray(_BLOCK + 15)  # the cipher asks for a block's room beyond the text
    stream = np.frombuffer(buffer, total.dtype.newbyteorder("<"), _BLOCK // total.itemsize)
    zeros = memoryview(_ZEROS)
    for start in range(0, len(total), len(stream)):
        part = total[start : start + len(stream)]
        words, text = stream[: len(part)], zeros[: part.nbytes]
        for cipher in streams:
            cipher.update_into(text, buffer)
            combine(part, words, out=part)
