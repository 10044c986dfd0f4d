"""Trade-off curves: the greatest true-positive rate that privacy leaves to any attack at a false-positive rate.

The attack is an event: a set of outputs, of probability p (the true-positive rate) on one neighbour and q (the
false-positive rate) on the other. Each notion of privacy bounds p by a concave, increasing function of q (one minus
the trade-off function of Dong, Roth, Su 2019, arXiv 1905.02383, Definition 2.1).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from fedanalytics.auditing.bounds import Floats
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.events import Event

_LINES = 96
_LEAST = 1e-12  # the delta beyond which no audit sees anything
_MOST = 700.0  # e^epsilon must stay a float
_GRID = 1e-3  # of the accountant: its bounds hold on every grid

_ABOVE_ONE = np.geomspace(1e-2, 1e3, 129)  # Renyi orders, less 1; a bound by some of the orders is a bound


def gaussian(mu: float, fpr: Floats) -> Floats:
    """Phi(Phi^-1(q) + mu): exact for Gaussian noise (Dong, Roth, Su 2019, Definition 2.6)."""
    from scipy.special import ndtr, ndtri  # noqa: PLC0415  # slow to import

    return np.asarray(ndtr(ndtri(fpr) + mu), dtype=np.float64)


def lines(epsilons: Floats, deltas: Floats, fpr: Floats) -> Floats:
    """What every (epsilon, delta) of a list admits: p <= e^epsilon q + delta, for the event and for its complement.

    (Wasserman and Zhou 2010, Theorem 2.4; Kairouz, Oh, Viswanath 2015, Theorem 2.1.)
    """
    q = np.asarray(fpr, dtype=np.float64)[..., None]
    with np.errstate(divide="ignore", over="ignore"):
        event = np.exp(epsilons + np.log(q)) + deltas
    complement = 1 - np.exp(-epsilons) * (1 - q - deltas)
    admitted: Floats = np.clip(np.minimum(event, complement).min(axis=-1), 0.0, 1.0)
    return admitted


def of_event(event: Event) -> tuple[Floats, Floats]:
    """(epsilons, deltas) that hold for an event, by its accountant; denser where epsilon is small.

    All that two neighbours' laws allow is in delta as a function of epsilon (Dong, Roth, Su 2019, Proposition 2.12);
    some of its points allow a little more. They hold for both orders of the neighbours.
    """
    epsilons, deltas = _of_event(event)
    return np.array(epsilons), np.array(deltas)


@lru_cache(maxsize=64)
def _of_event(event: Event) -> tuple[tuple[float, ...], tuple[float, ...]]:
    spent = Accountant(grid=_GRID).compose(event)
    most = min(spent.epsilon(_LEAST), _MOST)
    epsilons = tuple(most * (i / _LINES) ** 2 for i in range(_LINES + 1))
    return epsilons, tuple(map(spent.delta, epsilons))


def least_rho(tpr: Floats, fpr: Floats) -> Floats:
    """The smallest rho whose zCDP admits the two rates, or less; 0 where p <= q.

    An event is the output of a mechanism itself, so its two Bernoulli laws keep D_a(p || q) <= rho a for every order
    a >= 1, and with the neighbours exchanged (Bun and Steinke 2016, arXiv 1605.02065, Definition 1.1, Lemma 2.2).
    """
    p, q = np.broadcast_arrays(np.asarray(tpr, dtype=np.float64), np.asarray(fpr, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        both = np.maximum(_rho(p, q), _rho(q, p))
    return np.where(p > q, np.nan_to_num(both, nan=0.0, posinf=np.inf), 0.0)


def zcdp(rho: float, fpr: Floats) -> Floats:
    """The greatest p that rho-zCDP admits, by bisection, rounded up; concave, as Renyi divergences are quasi-convex."""
    low = np.asarray(fpr, dtype=np.float64)
    high = np.ones_like(low)
    for _ in range(60):
        middle = (low + high) / 2
        fits = least_rho(middle, fpr) <= rho
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return high


def _rho(p: Floats, q: Floats) -> Floats:
    """The greatest D_a(p || q) / a over the orders, of two Bernoulli laws; the order 1 is the Kullback-Leibler one."""
    from scipy.special import rel_entr  # noqa: PLC0415  # slow to import

    first = np.asarray(rel_entr(p, q) + rel_entr(1 - p, 1 - q), dtype=np.float64)
    a, p, q = _ABOVE_ONE, p[..., None], q[..., None]
    log_moments = np.logaddexp((1 + a) * np.log(p) - a * np.log(q), (1 + a) * np.log1p(-p) - a * np.log1p(-q))
    return np.fmax(first, np.fmax.reduce(log_moments / (a * (1 + a)), axis=-1))


def gap(tpr: Floats, fpr: Floats) -> Floats:
    """Phi^-1(p) - Phi^-1(q): the mu of the Gaussian curve through the two rates; 0 where p <= q."""
    from scipy.special import ndtri  # noqa: PLC0415  # slow to import

    p, q = np.asarray(tpr, dtype=np.float64), np.asarray(fpr, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(p > q, ndtri(p) - ndtri(q), 0.0)


def log_ratio(tpr: Floats, fpr: Floats, delta: float) -> Floats:
    """The smallest epsilon that admits the two rates at `delta`, by the event or by its complement; at least 0."""
    p, q = np.asarray(tpr, dtype=np.float64), np.asarray(fpr, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        event = np.log(np.maximum(p - delta, 0.0) / q)
        complement = np.log(np.maximum(1 - q - delta, 0.0) / (1 - p))
    found: Floats = np.fmax(np.fmax(event, complement), 0.0)
    return found


def epsilon_at(event: Event, delta: float) -> float:
    """What an event's accountant says at `delta`; at 0, the sum of its pure epsilons (infinite if one has none)."""
    from fedanalytics.privacy import moments  # noqa: PLC0415  # rarely

    spent = Accountant(grid=_GRID).compose(event)
    if delta:
        return spent.epsilon(delta)
    return math.inf if spent.method == "infinite" else moments.pure(spent.counts)
