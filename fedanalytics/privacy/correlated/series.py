"""Lower-triangular Toeplitz matrices as power series: products are products of series, inverses are quotients."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

_DIRECT = 1 << 24  # multiplications that are still done one by one: exact to the last digits also where 1/c grows


def product(a: Floats, b: Floats, size: int) -> Floats:
    """The first `size` coefficients of a(x) b(x), shape (size,); missing ones are 0.

    Example:
        >>> product(np.array([1.0, 1.0]), np.array([1.0, 2.0]), 4).round(12)
        array([1., 3., 2., 0.])
    """
    from scipy.fft import irfft, next_fast_len, rfft  # noqa: PLC0415  # scipy is slow to import

    a, b = a[:size], b[:size]
    length = next_fast_len(max(len(a) + len(b) - 1, size), real=True)
    found: Floats = irfft(rfft(a, length) * rfft(b, length), length)[:size]
    return found


def quotient(a: Floats, c: Floats) -> Floats:
    """The first len(a) coefficients of a(x) / c(x), for c[0] != 0, shape of a.

    Example:
        >>> quotient(np.array([1.0, 0.0, 0.0]), np.array([1.0, -0.5]))
        array([1.  , 0.5 , 0.25])
    """
    from scipy.signal import lfilter  # noqa: PLC0415  # scipy is slow to import

    c = c[: len(a)]
    if len(a) * len(c) <= _DIRECT:
        found: Floats = lfilter([1.0], c, a)
        return found
    return product(_reciprocal(c, len(a)), a, len(a))


def correlation(a: Floats, b: Floats, size: int) -> Floats:
    """The sums of a[i] b[i - j] over i, for j = 0, ..., size - 1; a and b are of one length, shape (size,).

    Example:
        >>> correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0, 100.0]), 2)
        array([321.,  32.])
    """
    if len(a) * size <= _DIRECT:
        return np.array([a[j:] @ b[: len(b) - j] for j in range(size)])
    return product(a[::-1], b, len(a))[::-1][:size]


def _reciprocal(c: Floats, size: int) -> Floats:
    """1 / c(x) by Newton's iteration r <- r (2 - c r), which doubles the number of coefficients that are right."""
    found, known = np.array([1 / c[0]]), 1
    while known < size:
        known = min(2 * known, size)
        rest = -product(c, found, known)
        rest[0] += 2
        found = product(found, rest, known)
    return found
