"""Lazily refined inversion: exact integer noise from as few random bits as prove it.

Every draw owns a sign bit and an infinite string of uniform bits, the binary expansion of q. Only as many are read as
are needed to prove which m it is that q inverts to, so the law of ``sign * m`` is exactly the one named, given ideal
bits: no float error reaches it. The proof is docs/exact-noise.md.
"""

from __future__ import annotations

import bisect
import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.laws import Law
from fedanalytics.privacy.margin import BITS, Cells, Indices, inverted
from fedanalytics.privacy.thresholds import worthwhile

_CHUNK = 1 << 14  # draws per pass, so that the passes stay in cache
_WORD = 64  # bits by which a draw is refined
_GUARD = 16  # further bits of S in a comparison, so that seldom a draw is refined because S was too coarse


def draw(law: Law, size: int, stream: Keystream) -> npt.NDArray[np.int64]:
    """`size` independent draws, shape (size,)."""
    table = worthwhile(law, size)
    invert = functools.partial(inverted, law) if table is None else table.inverted
    out = np.empty(size, np.int64)
    for start in range(0, size, _CHUNK):
        _fill(out[start : start + _CHUNK], law, invert, stream)
    return out


def settle(law: Law, k: int, bits: int, guess: int, more: Callable[[], int]) -> int:
    """The m of the q that begins with the `bits` bits of k, by integer comparisons alone.

    Args:
        law: whose S is compared with q.
        k: q lies in [k, k + 1) * 2**-bits.
        bits: how many bits of q are known.
        guess: where to look first; the result does not depend on it.
        more: gives the next 64 bits of q.
    """

    def reaches(j: int) -> bool:
        """Whether q < S(j). Ends with probability one, as q is S(j) with probability zero."""
        nonlocal k, bits
        while True:
            low, high = law.survival(j, bits + _GUARD)
            if (k + 1) << _GUARD <= low:
                return True
            if k << _GUARD >= high:
                return False
            k, bits = k << _WORD | more(), bits + _WORD

    return _last(reaches, guess)


def _fill(out: Cells, law: Law, invert: Callable[[Cells], tuple[Cells, Indices]], stream: Keystream) -> None:
    words = stream.words(len(out))
    m, unproven = invert((words >> 1).view(np.int64))
    for i in unproven.tolist():
        m[i] = settle(law, int(words[i] >> 1), BITS, int(m[i]), lambda: int(stream.words(1)[0]))
    signs = (words & 1).view(np.int64)
    np.negative(signs, out=signs)
    m ^= signs  # with the next line: -m where the sign is set
    np.subtract(m, signs, out=out)


def _last(holds: Callable[[int], bool], guess: int) -> int:
    """The largest j with holds(j), true up to some j >= 0 and false beyond: growing strides from `guess`, bisection."""
    low, high, stride = guess, guess + 1, 1
    while not holds(low):
        low, high, stride = max(low - stride, 0), low, 2 * stride
    while holds(high):
        low, high, stride = high, high + stride, 2 * stride
    return low + bisect.bisect_left(range(low + 1, high), x=True, key=lambda j: not holds(j))
