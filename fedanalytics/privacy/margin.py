"""What floats may decide: inversion in float64 with a margin, and a check that this build of scipy keeps it.

For the cell of all q that share their first 63 bits k, the float quantile y at the cell's centre is off by

* its rounding errors: at most ``RELATIVE / 2**8 * (y + spread + 1)`` in every measurement (docs/exact-noise.md), and
* the cell's width: the quantile moves by at most ``1.26 spread |ln(q / centre)|``, and for k >= 1 the logarithm is at
  most ``1/(2k) <= 0.75 / (k + 1/2)``; together below ``2 (spread + 1) / (k + 1/2)``. For k = 0, where q may be as
  small as it likes, that term exceeds 2, so that nothing is decided.

If y is further than both from every integer, all q of the cell have the same m = floor(y), and m is proven.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.errors import FedAnalyticsError
from fedanalytics.privacy.laws import Floats, Law

BITS = 63  # of q in the first word; its last bit is the sign
RELATIVE = 2.0**-42  # 2**8 times the largest error measured
CHECKED = 2.0**-46  # what the self-check insists on: other builds may be a little worse than the measured one
_CHECK_BITS = 128  # resolves CHECKED at the smallest q, 2**-64

Indices: TypeAlias = npt.NDArray[np.intp]


def inverted(law: Law, k: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], Indices]:
    """(m, where it is not proven) for the cells k; there m is a guess. Shapes (n,) and (unproven,).

    The first use of a law in a process runs `check`.
    """
    check(type(law))
    centre, y = _quantile(law, k)
    m = np.floor(y)
    reach = law.spread + 1
    off = np.abs(y - m - 0.5)  # 1/2 - off is the distance to the nearest integer
    off += RELATIVE * (y + reach)
    off += (2 * reach) / centre
    return m.astype(np.int64), np.flatnonzero(~(off < 0.5))


@functools.cache
def check(kind: type[Law]) -> None:
    """Compares the float quantile with the proven tail at points over its whole range; once per process.

    Raises:
        FedAnalyticsError: numpy or scipy was built with worse functions than the margin allows for.
    """
    law, cells = kind(1.0), _points()
    for k, y in zip(cells.tolist(), _quantile(law, cells)[1].tolist(), strict=True):
        if not _close(law, k, y):
            raise FedAnalyticsError(
                f"no exact noise with this build of numpy and scipy: the float quantile of {kind.__name__} is {y!r} in"
                f" cell {k} of 2**{BITS}, off by more than the margin allows; install another build"
            )


def _close(law: Law, k: int, y: float) -> bool:
    """Whether S surely falls through the centre of cell k within the checked distance of y."""
    if not math.isfinite(y):
        return False
    off = Fraction(CHECKED * (y + law.spread + 1))
    centre = (2 * k + 1) << (_CHECK_BITS - BITS - 1)
    before, after = (law.survival(Fraction(y) + side, _CHECK_BITS) for side in (-off, off))
    return after[1] <= centre <= before[0]


def _quantile(law: Law, k: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The centre of each cell in units of cells, and y there."""
    centre = k.astype(np.float64) + 0.5
    return centre, law.quantile(centre * 2.0**-BITS)


def _points() -> npt.NDArray[np.int64]:
    """Both ends, the octaves between, and both sides of where scipy's ndtri changes formula: q/2 = e**-2 and e**-32."""
    tail = [0, 1, *(3 << i for i in range(0, BITS - 2, 3))]
    centre = [(1 << BITS) - (1 << i) for i in range(0, BITS, 6)]
    seams = [round(2 * np.exp(-at) * 2.0**BITS) for at in (1.999, 2.001, 31.99, 32.01)]
    return np.array([*tail, *centre, *seams], np.int64)
