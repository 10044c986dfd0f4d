"""Table mode: where a law has few values, the first word of a draw is compared with whole-number thresholds.

No float takes part. A table holds for every j an integer within 1 of ``2**63 S(j)``, from the proven bounds: the cells
at and beside it are left to `settle`, every other cell has the m that the table says. That is what floats with a
margin prove too, and what is left over is settled by the same comparisons, so both paths turn the same words into the
same integers (docs/exact-noise.md).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedanalytics.privacy.laws import Law
from fedanalytics.privacy.margin import BITS, Cells, Indices

_GUARD = 16  # bits of S(j) beyond the cells
_GUIDE = 16  # bits of q by which most draws are found at once
_SHIFT = BITS - _GUIDE


@dataclass(frozen=True)
class Table:
    """The thresholds of a law.

    Attributes:
        edges: 0, the thresholds ascending, 2**63 - 1; shape (thresholds + 2,), int64.
        guide: m by the first 16 bits of q, -1 where they do not tell; shape (2**16,), int16.
    """

    edges: Cells
    guide: npt.NDArray[np.int16]

    def inverted(self, k: Cells) -> tuple[Cells, Indices]:
        """(m, where it is not proven) for the cells k; there m is a guess. Shapes (n,) and (unproven,)."""
        m = self.guide.take(k >> _SHIFT).astype(np.int64)
        rest = np.flatnonzero(m < 0)
        if not len(rest):
            return m, rest
        k = k.take(rest)
        last = len(self.edges) - 1
        at = np.minimum(self.edges.searchsorted(k, "right"), last)  # edges[at - 1] <= k < edges[at]
        m[rest] = last - at
        near = (self.edges.take(at) - k <= 1) | (k - self.edges.take(at - 1) <= 1)
        return m, rest[near]


def worthwhile(law: Law, size: int) -> Table | None:
    """The table of the law, if there is one or it is worth making for `size` more draws: whichever path is faster.

    It is made once the draws wanted so far are so many that a table would have paid for itself. What is remembered is
    public (the law and how many draws), and holds no lock that a fork could copy: threads that make the same table at
    the same time make equal ones.
    """
    pays_after = law.table_pays_after
    if pays_after == math.inf:
        return None
    slot = _slot(law)
    slot.wanted += size
    if slot.table is None and slot.wanted >= pays_after:
        slot.table = build(law)
    return slot.table


@dataclass
class _Slot:
    wanted: int = 0
    table: Table | None = None


@functools.lru_cache(maxsize=16)  # at most 0.2 MB each
def _slot(law: Law) -> _Slot:  # noqa: ARG001  # the key
    return _Slot()


def build(law: Law) -> Table:
    """The table of a law; the work is that of a proven bound for every j with S(j) > 2**-64."""
    thresholds = []
    for low, _ in law.column(BITS + _GUARD):
        if (nearest := (low >> _GUARD - 1) + 1 >> 1) == 0:
            break
        thresholds.append(nearest)
    inner = np.array(thresholds[::-1], np.int64)
    falls = np.cumsum(np.bincount(inner >> _SHIFT, minlength=1 << _GUIDE))
    guide = (len(inner) - falls).astype(np.int16)  # how many thresholds lie above the sixteen bits
    for beside in (-2, 0, 2):  # those whose cells are all proven keep their m
        guide[(inner + beside).clip(0) >> _SHIFT] = -1
    guide[[0, -1]] = -1
    return Table(np.array([0, *inner, (1 << BITS) - 1], np.int64), guide)
