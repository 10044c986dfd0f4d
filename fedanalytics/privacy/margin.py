"""What floats may decide: inversion in float64 with a margin, and a check that this build of scipy keeps it.

For the cell of all q that share their first 63 bits k, the float quantile y at the cell's centre may differ from any
whole j with S(j) in the cell by

* its own errors: at most ``RELATIVE / 2**8 * (y + spread + 1)`` in every measurement (docs/exact-noise.md), and
* the cell's width: the quantile moves by at most ``1.26 spread |ln(q / centre)|``, and for k >= 1 the logarithm is at
  most ``1/(2k) <= 0.75 / (k + 1/2)``; together below ``2 (spread + 1) / (k + 1/2)``. For k = 0, where q may be as
  small as it likes, that term exceeds 2, so that nothing is decided.

If y is further than both from every integer, no S(j) is in the cell, all its q have the same m = floor(y), and m is
proven.
"""

from __future__ import annotations

import functools
import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.errors import FedAnalyticsError
from fedanalytics.privacy.laws import Floats, Law

BITS = 63  # of q in the first word; its last bit is the sign
RELATIVE = 2.0**-42  # 2**8 times the largest error measured
CHECKED = 2.0**-46  # what the self-check insists on: other builds may be a little worse than the measured one
_CHECK_BITS = 128  # resolves CHECKED at the smallest q, 2**-64
_ASIDE = 1 - 1.2345e-7  # worse floats are not asked for just those numbers that they can hold

Cells: TypeAlias = npt.NDArray[np.int64]
Indices: TypeAlias = npt.NDArray[np.intp]


def inverted(law: Law, k: Cells) -> tuple[Cells, Indices]:
    """(m, where it is not proven) for the cells k; there m is a guess. Shapes (n,) and (unproven,).

    The first use of a law in a process runs `check`.
    """
    check(type(law))
    centre, y = _quantile(law, k)
    m = np.floor(y)
    off = y - m
    off -= 0.5
    np.abs(off, out=off)  # 1/2 - off is the distance to the nearest integer
    reach = law.spread + 1
    y *= RELATIVE
    off += y
    np.divide(2 * reach, centre, out=centre)
    off += centre
    return m.astype(np.int64), np.flatnonzero(~(off < 0.5 - RELATIVE * reach))


@functools.cache
def check(kind: type[Law]) -> None:
    """Compares the float quantile with proven thresholds over its whole range; once per process.

    Raises:
        FedAnalyticsError: numpy or scipy was built with worse functions than the margin allows for.
    """
    for law in kind.probes():
        guesses = _quantile(law, _points())[1] * _ASIDE
        for guess in sorted(set(np.maximum(np.rint(guesses), 1.0).tolist())):
            _compare(law, guess)


def _compare(law: Law, guess: float) -> None:
    """Raises if the float quantile at S(j) is not j, for the j guessed (NaN and infinity are no whole numbers)."""
    j = int(guess) if math.isfinite(guess) else 1
    low, high = law.survival(j, _CHECK_BITS)
    [y] = law.quantile(np.array([math.ldexp(low + high, -_CHECK_BITS - 1)])).tolist()  # S(j) is lost by 2**-53 of it
    if not (math.isfinite(guess) and abs(y - j) <= CHECKED * (j + law.spread + 1)):
        raise FedAnalyticsError(
            f"no exact noise with this build of numpy and scipy: the float quantile of {type(law).__name__} is {y!r}"
            f" where it should be {j}, or {guess!r}, off by more than the margin allows; install another build"
        )


def _quantile(law: Law, k: Cells) -> tuple[Floats, Floats]:
    """The centre of each cell in units of cells, and y there."""
    centre = k.astype(np.float64) + 0.5
    return centre, law.quantile(centre * 2.0**-BITS)


def _points() -> Cells:
    """Both ends, the octaves between, and both sides of where scipy's ndtri changes formula: q/2 = e**-2 and e**-32."""
    tail = [0, 1, *(3 << i for i in range(0, BITS - 2, 3))]
    centre = [(1 << BITS) - (1 << i) for i in range(0, BITS, 6)]
    seams = [round(2 * np.exp(-at) * 2.0**BITS) for at in (1.999, 2.001, 31.99, 32.01)]
    return np.array([*tail, *centre, *seams], np.int64)
