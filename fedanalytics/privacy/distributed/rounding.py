"""From a real vector to whole steps, with a norm that is a fact about integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics.privacy.distributed.rotation import Floats
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.sensitivity import Sensitivity

Integers = npt.NDArray[np.int64]

FINEST = 2.0**30  # steps in the clip: a sum of squares stays below 2^62
_TRIES = 64
_COIN = 2.0**-32


def norm_bound(steps: float, size: int) -> int:
    """The largest sum of squares of a vector of norm at most `steps` that was rounded by `rounded`.

    With beta = e^(-1/2), so that sqrt(2 ln(1/beta)) = 1, it is the square of

        min(steps + sqrt(d), sqrt(steps^2 + d/4 + steps + sqrt(d)/2)),    d = size

    (conditional randomised rounding: Kairouz, Liu, Steinke 2021, arXiv 2102.06387). Rounding to either neighbour moves
    no coordinate by more than 1, hence the first. The second is exceeded with probability at most beta by one try: a
    coordinate's square has the mean x^2 + p (1 - p) <= x^2 + 1/4, and takes two values that differ by
    abs(2 x + 1 - 2 p) <= 2 (abs(x) + 1/2), so by Hoeffding's inequality (1963, Theorem 2) the sum exceeds its mean by
    sqrt(2 ln(1/beta)) times the norm of (abs(x) + 1/2), at most (steps + sqrt(d)/2), with probability at most beta.
    Privacy does not rest on that: `rounded` compares integers with this integer.

    Example:
        >>> norm_bound(4160.0, 1024) ** 0.5 / 4160.0
        1.000128...
    """
    always = (steps + math.sqrt(size)) ** 2
    mostly = steps**2 + size / 4 + steps + math.sqrt(size) / 2
    bound = math.floor(min(always, mostly))
    return bound if size > 1 else math.isqrt(bound) ** 2  # one whole number alone


def rounded_sensitivity(steps: float, size: int) -> Sensitivity:
    """Of a sum of such vectors, under zero-out: L1 <= sqrt(d) L2, and L1 <= L2^2, because k^2 >= abs(k) for whole k."""
    bound = norm_bound(steps, size)
    return Sensitivity(min(math.isqrt(size * bound), bound), bound, Relation.ZERO_OUT)


@np.errstate(all="ignore")  # a warning about a client's value would tell
def clipped(rows: npt.NDArray[Any], clip: float) -> Floats:
    """Rows in units of `clip`, scaled into the unit ball where they lie outside; shape (n, d).

    A row with NaN or an infinity anywhere becomes the null vector, and one with 1e308 everywhere a unit vector.

    Example:
        >>> clipped(np.array([[3.0, 4.0], [0.5, float("nan")]]), clip=1.0)
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    values = np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, 0.0).astype(np.float64)
    largest = np.abs(values).max(axis=1, keepdims=True, initial=0.0)
    units = np.maximum(largest, clip)
    reduced = values / units
    lengths = np.sqrt(np.square(reduced).sum(axis=1, keepdims=True))
    unit: Floats = reduced / np.maximum(lengths, clip / units)
    return unit


def rounded(rows: Floats, bound: int, keystream: Keystream) -> Integers:
    """Each coordinate to one of its two neighbours, up with the probability of its fraction, until the norm fits.

    Formal guarantee: every row of the result has a sum of squares of at most `bound`, compared in exact integers.

    One try is unbiased (but for 2^-32 of a step: the coins are of 32 bits) with a variance of p (1 - p) <= 1/4 for the
    fraction p. A row whose norm exceeds the bound is tried again, which happens with probability at most e^(-1/2)
    (`norm_bound`). What is kept is then conditioned on an event A of probability at least 1 - e^(-1/2), and that
    moves the mean by at most sqrt(ln(1/P(A)) / 2) <= 0.69 steps *in L2 norm*: the error of one try is sub-Gaussian
    of proxy 1/4 in every direction u (Hoeffding's lemma), and E[<u, e> | A] <= (ln(1/P(A)) + h^2/8) / h for all h > 0
    (Donsker and Varadhan). After 64 tries (e^-32) the row is rounded towards 0, and if the bound were exceeded still,
    it is the null vector.

    Args:
        rows: shape (n, d), finite; of norm below 2^31.
        bound: of a row's sum of squares, at most 2^61.
        keystream: of the coins. They have no secret to keep: privacy is that of the noise, whatever they show.
    """
    lower = np.floor(np.clip(rows, -(2.0**31), 2.0**31))
    fractions = rows - lower
    whole = lower.astype(np.int64)
    result, open_ = np.zeros_like(whole), np.arange(len(rows))
    for _ in range(_TRIES):
        tried = whole[open_]
        tried += _coins(fractions[open_], keystream)
        fits = within(tried, bound)
        result[open_[fits]] = tried[fits]
        open_ = open_[~fits]
        if not len(open_):
            return result
    last = np.trunc(rows[open_]).astype(np.int64)
    last[~within(last, bound)] = 0
    result[open_] = last
    return result


def within(integers: Integers, bound: int) -> npt.NDArray[np.bool_]:
    """Which rows have a sum of squares of at most `bound` <= 2^61: exactly, without overflow, whatever is in them."""
    # floats are off by less than a half, and tell rows whose exact sum could wrap around from those whose cannot
    small = np.square(integers.astype(np.float64)).sum(axis=1) < 1.25 * bound + 1
    exact = np.square(integers).sum(axis=1) <= bound
    return np.asarray(small & exact, dtype=np.bool_)


def _coins(chances: Floats, keystream: Keystream) -> npt.NDArray[np.bool_]:
    words = keystream.words(-(-chances.size // 2)).view(np.uint32)[: chances.size]
    up: npt.NDArray[np.bool_] = words.reshape(chances.shape) * _COIN < chances
    return up
