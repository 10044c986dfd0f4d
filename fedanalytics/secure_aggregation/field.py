"""Arithmetic modulo p = 2**31 - 1, element by element over int64 arrays; a product of two elements is below 2**62.

Reduction uses 2**31 = 1 (mod p): the high bits are added to the low ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedanalytics.privacy.keystream import Keystream

BITS = 31
P = 2**BITS - 1

Elements = npt.NDArray[np.int64]


def reduce(values: Elements) -> Elements:
    """The values, in [0, 2**62), modulo p. One folding leaves at most 2**32 - 2, a second at most p.

    Example:
        >>> reduce(np.array([P, P + 1, (P - 1) ** 2]))
        array([0, 1, 1])
    """
    folded: Elements = (values & P) + (values >> BITS)
    folded = (folded & P) + (folded >> BITS)
    folded[folded == P] = 0
    return folded


def uniform(count: int) -> Elements:
    """Independent uniform elements, shape (count,), from the operating system's randomness, by rejection.

    Example:
        >>> bool((uniform(1000) < P).all())
        True
    """
    stream, kept = Keystream(), np.empty(0, np.int64)
    while len(kept) < count:
        words = stream.words(-(-(count - len(kept)) // 2) + 4).view(np.uint32).astype(np.int64) & P
        kept = np.concatenate([kept, words[words != P]])
    return kept[:count]


def inverse(values: Elements) -> Elements:
    """The inverse of nonzero elements, as value**(p - 2) (Fermat).

    Example:
        >>> reduce(inverse(np.array([2, 3, P - 1])) * np.array([2, 3, P - 1]))
        array([1, 1, 1])
    """
    power, result = values, np.ones_like(values)
    for bit in reversed(f"{P - 2:b}"):
        if bit == "1":
            result = reduce(result * power)
        power = reduce(power * power)
    return result
