"""Which mechanism has the least variance at a given epsilon."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

from fedanalytics import _validate
from fedanalytics.privacy.events.local import hiding_values
from fedanalytics.privacy.local.frequencies import FrequencyMechanism
from fedanalytics.privacy.local.hadamard import HadamardResponse
from fedanalytics.privacy.local.k_ary import KaryResponse
from fedanalytics.privacy.local.mechanism import in_range, least_noise
from fedanalytics.privacy.local.piecewise import Null, PiecewiseResponse
from fedanalytics.privacy.local.subsets import SubsetResponse
from fedanalytics.privacy.local.unary import UnaryResponse
from fedanalytics.privacy.relations import Relation

_POINTS = 64  # the most points that are tried: up to epsilon 5, more take at most 1.5 % off the variance


def for_bins(
    epsilon: float, bins: int, *, relation: Relation = Relation.REPLACE_ONE, short: bool = False
) -> FrequencyMechanism:
    """The frequency mechanism of least variance, the mean over the bins, whose epsilon is at most the one given.

    Under replace-one that is subset selection, which for few bins or a large epsilon is k-ary randomised response;
    under zero-out symmetric unary encoding.

    Args:
        epsilon: from 2^-20 to 64.
        bins: k >= 2 bins of which a client holds one, or none.
        relation: replace-one, no two values told apart; or zero-out, no value from null.
        short: only mechanisms whose report is one index: k-ary and Hadamard response.

    Raises:
        BadArgument: an argument is not as above.

    Example:
        >>> for_bins(3.0, 4)
        KaryResponse(bins=4, noise=0.207...)
    """
    return _for_bins(in_range(epsilon), _validate.whole(2, bins=bins), hiding_values(relation), bool(short))


def for_count(epsilon: float) -> FrequencyMechanism:
    """Binary randomised response: does a client count, or not (null)? The same under both relations.

    Raises:
        BadArgument: epsilon is not from 2^-20 to 64.

    Example:
        >>> for_count(1.0)
        KaryResponse(bins=1, noise=0.537...)
    """
    return _k_ary(in_range(epsilon), 1, Relation.REPLACE_ONE)


def for_numbers(
    epsilon: float, *, counted: bool = False, relation: Relation = Relation.REPLACE_ONE
) -> PiecewiseResponse:
    """The mechanism for numbers in [-1, 1] of least variance at the worst number, with at most this epsilon.

    Under replace-one it has no more than that of Duchi et al. and of the piecewise mechanism, and from epsilon 1.7
    on less than their hybrid (Wang et al. 2019), which between 0.61 and 1.7 would have up to 11 % less.

    Args:
        epsilon: from 2^-20 to 64.
        counted: whether the number of clients that hold one is wanted too, for a mean.
        relation: replace-one, no two values told apart; or zero-out, no value from null.

    Raises:
        BadArgument: an argument is not as above.

    Example:
        >>> for_numbers(1.0)
        PiecewiseResponse(points=2, window=1, noise=0.537..., null='zero')
    """
    uniform = hiding_values(relation) is Relation.ZERO_OUT
    return _for_numbers(in_range(epsilon), "counted" if counted else "uniform" if uniform else "zero", relation)


@functools.lru_cache(maxsize=256)
def _for_bins(epsilon: float, bins: int, relation: Relation, short: bool) -> FrequencyMechanism:  # noqa: FBT001
    tried = [_k_ary, _hadamard] if short else [_k_ary, _unary, _subset]
    return min((make(epsilon, bins, relation) for make in tried), key=lambda m: m.variance)


@functools.lru_cache(maxsize=256)
def _for_numbers(epsilon: float, null: Null, relation: Relation) -> PiecewiseResponse:
    shapes = ((points, window) for points in range(2, _POINTS + 1) for window in range(1, points))
    tried = (PiecewiseResponse(m, w, _random(epsilon, m, w, null), null) for m, w in shapes)
    best = min(tried, key=lambda m: m.variance)
    return least_noise(lambda noise: replace(best, noise=noise), best.noise, epsilon, relation)


def _random(epsilon: float, points: int, window: int, null: Null) -> float:
    """The noise at which the odds of `PiecewiseResponse` are e^epsilon: under zero-out if null is uniform."""
    if null == "uniform":
        return max((points / window - math.exp(epsilon)) / (points / window - 1), math.exp(-epsilon))
    ratio = (points + window * (null == "counted")) / window
    return ratio / (ratio + math.expm1(epsilon))


def _k_ary(epsilon: float, bins: int, relation: Relation) -> FrequencyMechanism:
    columns = bins + 1
    return least_noise(
        lambda noise: KaryResponse(bins, noise), columns / (columns + math.expm1(epsilon)), epsilon, relation
    )


def _unary(epsilon: float, bins: int, relation: Relation) -> FrequencyMechanism:
    other = 1 / (1 + math.exp(epsilon))
    if relation is Relation.ZERO_OUT:
        return least_noise(lambda q: UnaryResponse(bins, q, q), other, epsilon, relation)
    return least_noise(lambda q: UnaryResponse(bins, 0.5, q), other, epsilon, relation)


def _hadamard(epsilon: float, bins: int, relation: Relation) -> FrequencyMechanism:
    noise = 2 / (1 + math.exp(epsilon)) if relation is Relation.REPLACE_ONE else math.exp(-epsilon)
    return least_noise(lambda noise: HadamardResponse(bins, noise), noise, epsilon, relation)


def _subset(epsilon: float, bins: int, relation: Relation) -> FrequencyMechanism:
    """The variance has one minimum in the size, near d / (1 + e^epsilon): the whole numbers about it are tried."""
    near = (bins + 1) / (1 + math.exp(epsilon))
    sizes = {min(max(round(near) + off, 2), bins) for off in (-1, 0, 1)}  # 1 is k-ary response
    return min((_of_size(size, epsilon, bins, relation) for size in sorted(sizes)), key=lambda m: m.variance)


def _of_size(size: int, epsilon: float, bins: int, relation: Relation) -> SubsetResponse:
    others = bins + 1 - size
    miss = others / (others + size * math.exp(epsilon))
    return least_noise(lambda miss: SubsetResponse(bins, size, miss), miss, epsilon, relation)
