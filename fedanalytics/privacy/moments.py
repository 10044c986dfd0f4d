"""What moments say of a composition whose losses no grid holds: Renyi divergences, zCDP, and the sum of pure epsilons.

Each gives a bound for parameters that were fixed in advance, so the best of them is one. They are looser than a loss
distribution, and finite for every event but an exact release.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction

from fedanalytics.errors import NotPrivate
from fedanalytics.privacy import renyi, zcdp
from fedanalytics.privacy.events import Composed, Event, PoissonSampled, Pure

_ORDERS = (*range(2, 33), *(round(2 ** (5 + i / 4)) for i in range(1, 29)))
_UP = 1 + 2.0**-40


def epsilon(counts: Mapping[Event, int], delta: float) -> float:
    """The least epsilon at delta that one of the three gives; infinite if none does."""
    found = [pure(counts)]
    found += _refined(counts, lambda order, total: renyi.epsilon_of(total, order, delta))
    rho = _rho(counts)
    found += [zcdp.epsilon_of(rho, delta)] if math.isfinite(rho) else []
    return min(found)


def delta(counts: Mapping[Event, int], epsilon: float) -> float:
    """The least delta at epsilon that one of the three gives; 1 if none does.

    The conversion of order a: ln delta = (a - 1) (divergence + ln(1 - 1/a) - epsilon) - ln a (Canonne, Kamath, Steinke
    2020, arXiv 2004.00010, Proposition 12), for zCDP also of any real order.
    """
    if pure(counts) <= epsilon:
        return 0.0

    def log_delta(order: float, total: float) -> float:
        return (order - 1) * (total + math.log1p(-1 / order) - epsilon) - math.log(order)

    logs = _refined(counts, log_delta)
    rho = _rho(counts)
    if 0 < rho < math.inf:
        near = min((1.5**i for i in range(-80, 81)), key=lambda a: log_delta(1 + a, rho * (1 + a)))
        logs += [log_delta(1 + a, rho * (1 + a)) for a in (near * 1.01**i for i in range(-50, 51))]
    return min(math.exp(min(min(logs, default=0.0), 0.0)) * _UP + 2.0**-1000, 1.0)


def _refined(counts: Mapping[Event, int], bound: Callable[[int, float], float]) -> list[float]:
    """What a divergence of each order implies: of a ladder of orders, then of those around its best rung."""
    rungs = [(bound(order, total), order) for order, total in _divergences(counts, _ORDERS)]
    if not rungs:
        return []
    least, best = min(rungs)
    between = range(max(best * 5 // 6, 2), best * 6 // 5 + 1, max(best // 64, 1))
    return [least, *(bound(order, total) for order, total in _divergences(counts, between))]


def pure(counts: Mapping[Event, int]) -> float:
    """The sum of the pure epsilons, rounded up (Dwork, McSherry, Nissim, Smith 2006); infinite if one has none.

    Sampled: ln(1 + rate (e^epsilon - 1)) (Li, Qardaji, Su 2012, Theorem 1).
    """
    total = 0.0
    for atom, count in counts.items():
        inner = atom.of if isinstance(atom, PoissonSampled) else atom
        if not isinstance(inner, Pure):
            return math.inf
        one = _float(inner.epsilon)
        if isinstance(atom, PoissonSampled) and one < 600:
            one = math.log1p(atom.rate * math.expm1(one))
        total += count * one
    return total * _UP


def _divergences(counts: Mapping[Event, int], orders: Iterable[int]) -> Iterator[tuple[int, float]]:
    whole = Composed(tuple(atom.repeated(count) for atom, count in counts.items()))
    for order in orders:
        try:
            yield order, renyi.divergence(whole, order)
        except NotPrivate:  # beyond any float at this order
            continue


def _rho(counts: Mapping[Event, int]) -> float:
    try:
        return _float(sum((atom.rho * count for atom, count in counts.items()), Fraction(0))) * _UP
    except NotPrivate:
        return math.inf


def _float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
