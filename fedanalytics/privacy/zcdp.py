"""From zCDP to (epsilon, delta) and back: what a budget's cap means.

rho-zCDP implies, for every alpha > 1, (epsilon, delta)-DP with

    epsilon = rho alpha + ln(1 - 1/alpha) - ln(delta alpha) / (alpha - 1)

(Canonne, Kamath, Steinke 2020, arXiv 2004.00010, Proposition 7 with the Renyi bound of zCDP). The sum of zCDP costs may
be held under a fixed cap by a filter even when each query is chosen after the earlier answers (Whitehouse, Ramdas,
Rogers, Wu 2022, arXiv 2203.05481, Theorem 1), so a ledger that refuses what exceeds ``rho_cap(epsilon, delta)`` keeps
(epsilon, delta) under adaptive use. Every alpha gives a valid figure: the search for the best one may stop early
without harm.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from fedanalytics import _validate

_LOWEST, _HIGHEST = math.log(1e-9), math.log(1e12)  # of alpha - 1
_SHRINK = 1 - 2.0**-40  # covers the rounding of a dozen float operations


def rho_cap(epsilon: float, delta: float) -> float:
    """The largest rho that implies (epsilon, delta)-DP by this conversion, rounded down.

    Raises:
        BadArgument: epsilon is not positive and finite, or delta not in (0, 1).

    Example:
        >>> round(rho_cap(1.0, 1e-6), 6), round(rho_cap(8.0, 1e-6), 6)
        (0.024356, 1.052358)
    """
    _validate.positive(epsilon=epsilon)
    _validate.probability(delta=delta)

    def rho(log_a: float) -> float:
        a = math.exp(log_a)
        return (epsilon - _constant(a, delta)) / (1 + a)

    return max(rho(_best(lambda u: -rho(u))), 0.0) * _SHRINK


def epsilon_of(rho: float, delta: float) -> float:
    """The smallest epsilon of this conversion, rounded up; 0 for rho = 0.

    Example:
        >>> epsilon_of(rho_cap(1.0, 1e-6), 1e-6)
        1.000000000...
    """
    _validate.probability(delta=delta)
    if rho == 0:
        return 0.0

    def epsilon(log_a: float) -> float:
        a = math.exp(log_a)
        return rho * (1 + a) + _constant(a, delta)

    return max(epsilon(_best(epsilon)), 0.0) / _SHRINK


def _constant(a: float, delta: float) -> float:
    """What is left of epsilon without rho alpha, for alpha = 1 + a."""
    return -math.log1p(1 / a) - (math.log(delta) + math.log1p(a)) / a


def _best(cost: Callable[[float], float]) -> float:
    """Where a function of log(alpha - 1) is least: a coarse grid, then golden sections around its best point."""
    grid = [_LOWEST + (_HIGHEST - _LOWEST) * i / 200 for i in range(201)]
    at = min(range(201), key=lambda i: cost(grid[i]))
    low, high = grid[max(at - 1, 0)], grid[min(at + 1, 200)]
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if cost(left) < cost(right) else (left, high)
    return (low + high) / 2
