"""The same events by four accountings: what each says, and why one says nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fedanalytics.errors import NotPrivate
from fedanalytics.privacy import renyi, zcdp
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.events import Composed, Pure

NAMES = ("PLD", "GDP", "Rényi", "zCDP", "basic")
_ORDERS = (*range(2, 65), *(2**k for k in range(7, 13)))


@dataclass(frozen=True)
class Figure:
    """What one accounting says of epsilon.

    Attributes:
        name: of the accounting.
        epsilon: an upper bound; None where there is none.
        lower: a lower bound on the true epsilon, where one is known.
        why: there is none.
    """

    name: str
    epsilon: float | None
    lower: float | None = None
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        extra = {"lower": self.lower, "why": self.why or None}
        return {"accounting": self.name, "epsilon": self.epsilon} | {k: v for k, v in extra.items() if v is not None}


def figures(accountant: Accountant, delta: float) -> tuple[Figure, ...]:
    """One figure for each of `NAMES`, at one delta.

    Example:
        >>> from fedanalytics.privacy.events import Gaussian
        >>> for figure in figures(Accountant().compose(Gaussian(5.0)), delta=1e-6):
        ...     print(figure.name, figure.epsilon and round(figure.epsilon, 4), figure.why)
        PLD 0.8341
        GDP 0.8341
        Rényi 0.8999
        zCDP 0.8999
        basic None Gaussian noise has no epsilon at delta 0
    """
    if accountant.method == "infinite":
        return tuple(Figure(name, None, why="an exact value was released: the loss is infinite") for name in NAMES)
    return _pld(accountant, delta), _gdp(accountant, delta), *(_bound(name, accountant, delta) for name in NAMES[2:])


def _pld(accountant: Accountant, delta: float) -> Figure:
    if accountant.method == "renyi":
        return Figure("PLD", None, why="how the loss of Skellam noise on vectors is distributed is not known")
    lower, upper = accountant.bounds(delta)
    return _figure("PLD", upper, lower)


def _gdp(accountant: Accountant, delta: float) -> Figure:
    if accountant.method == "gdp":
        return _figure("GDP", accountant.epsilon(delta))
    return Figure("GDP", None, why="exact for Gaussian noise that is not sampled, and for nothing else")


def _bound(name: str, accountant: Accountant, delta: float) -> Figure:
    ways: dict[str, Callable[[Accountant, float], float]] = {"Rényi": _renyi, "zCDP": _zcdp, "basic": _basic}
    try:
        return _figure(name, ways[name](accountant, delta))
    except (NotPrivate, OverflowError) as error:
        return Figure(name, None, why=str(error).split(":")[0])


def _figure(name: str, epsilon: float, lower: float | None = None) -> Figure:
    if math.isfinite(epsilon):
        return Figure(name, epsilon, lower)
    return Figure(name, None, why="beyond any float")


def _renyi(accountant: Accountant, delta: float) -> float:
    """The best of many orders: valid, as the events are fixed."""
    return min(renyi.epsilon_of(_divergence(tuple(accountant.counts.items()), a), a, delta) for a in _ORDERS)


@lru_cache(maxsize=1024)
def _divergence(counts: Any, order: int) -> float:
    try:
        return renyi.divergence(Composed(tuple(event.repeated(count) for event, count in counts)), order)
    except NotPrivate:  # beyond any float at this order
        return math.inf


def _zcdp(accountant: Accountant, delta: float) -> float:
    return zcdp.epsilon_of(float(accountant.rho), delta)


def _basic(accountant: Accountant, delta: float) -> float:  # noqa: ARG001  # for every delta
    """The sum of the pure epsilons; sampling is not refunded here."""
    total = 0.0
    for event, count in accountant.counts.items():
        inner = getattr(event, "of", event)
        if not isinstance(inner, Pure):
            raise NotPrivate(f"{inner.kind.capitalize()} noise has no epsilon at delta 0")
        total += float(inner.epsilon * count)
    return total * (1 + 2.0**-40)
