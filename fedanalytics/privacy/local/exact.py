"""An exact interval for a count from few reports: no law is taken for normal."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fedanalytics.privacy.local.coins import Flags, Integers

_WIDE, _EXTRA = 10, 40  # standard deviations, and more: outside is less than 1e-20 of a binomial law


def ends(supports: Integers, reports: int, true: float, false: float, alpha: float) -> tuple[Integers, Integers]:
    """The least and the greatest count that either tail of the law of what was seen does not refute at `alpha`.

    S is a sum of a binomial (c, true) and a binomial (n - c, false), whose tails are monotone in c as true > false. So
    each end is wrong with probability at most alpha, whatever the count (Clopper and Pearson 1934).

    Args:
        supports: S, shape (bins,), from 0 to n.
        reports: n.
        true: the probability of a support by a holder.
        false: that by any other.
        alpha: of each end.
    """
    seen, where = np.unique(supports, return_inverse=True)  # of many rare bins, most have seen the same

    def possible(held: Integers) -> Flags:
        return _tail(held, seen, reports, true, false) > alpha

    def too_many(held: Integers) -> Flags:
        return _tail(reports - held, reports - seen, reports, 1 - false, 1 - true) <= alpha

    low = _first(possible, seen.shape, reports)
    high = np.maximum(_first(too_many, seen.shape, reports + 1) - 1, 0)
    return low[where], high[where]


def _first(holds: Callable[[Integers], Flags], shape: tuple[int, ...], end: int) -> Integers:
    """By bisection, the first count below `end` from which on it holds; `end` if none."""
    low, high = np.zeros(shape, dtype=np.int64), np.full(shape, end)
    while (low < high).any():
        middle = np.minimum((low + high) // 2, end - 1)
        yes = holds(middle) | (low == high)
        low, high = np.where(yes, low, middle + 1), np.where(yes & (low < high), middle, high)
    return low


def _tail(held: Integers, supports: Integers, reports: int, true: float, false: float) -> npt.NDArray[np.float64]:
    """P(S >= supports), shape (bins,)."""
    from scipy.stats import binom  # noqa: PLC0415  # a third of a second

    reach = min(math.ceil(_WIDE * math.sqrt(reports * true * (1 - true))) + _EXTRA, reports)
    of_holders = np.rint(held * true)[:, None] + np.arange(-reach, reach + 1)
    of_others = supports[:, None] - 1 - of_holders
    terms = binom.pmf(of_holders, held[:, None], true) * binom.sf(of_others, (reports - held)[:, None], false)
    return np.asarray(np.sum(np.asarray(terms), axis=1))
