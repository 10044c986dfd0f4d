"""Renyi divergences of integer order, and what they say in (epsilon, delta).

A Renyi filter holds the sum of divergences of ONE order under a cap; for a plan that was fixed in advance, any of many
orders may be taken. Orders are whole numbers of at least 2: there the sums below are exact, and the bound on Skellam
noise is proven.

**Rounded up.** A logarithm of a moment is raised by 2^-48 times the sizes of all that was added up to it, far above
its roundings; what follows from it, which loses a few units in the last place, by the factor 1 + 2^-40.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

from fedanalytics import _validate
from fedanalytics.errors import BadArgument, NotPrivate
from fedanalytics.privacy import skellam_divergence
from fedanalytics.privacy.events import Event, Gaussian, Laplace, PoissonSampled, Pure, RandomizedResponse, Skellam
from fedanalytics.privacy.relations import Relation

_UP = 1 + 2.0**-40
_LOG_UP = 2.0**-48
_TINY = 2.0**-1000  # more than what underflow can lose
_MOST = 2**12  # orders that are looked at
_LARGEST = 2**53  # up to which floats hold whole numbers

Outcomes: TypeAlias = list[tuple[float, float]]
"""All outcomes whose likelihoods differ, as (ln Q, ln P/Q)."""


def divergence(event: Event, order: int) -> float:
    """An upper bound on the Renyi divergence of `order` between neighbours, both ways, of all that the event did.

    Divergences of adaptively composed mechanisms add up when their bounds are fixed (Mironov 2017, arXiv 1702.07476,
    Proposition 1).

    Raises:
        BadArgument: `order` is not a whole number from 2 to 2^53.
        NotPrivate: the loss is infinite, or beyond any float.

    Example:
        >>> divergence(Gaussian(2.0), order=8)
        1.0000000000...
        >>> divergence(Gaussian(1.0).poisson_sampled(0.01), order=8) < 0.005
        True
    """
    order = _order(order)
    total = sum((_float(count) * _atom(atom, order) for atom, count in event.atoms()), 0.0)
    if not math.isfinite(total):
        raise NotPrivate(f"the Renyi divergence of order {order} exceeds any float: far more noise is needed")
    return total * _UP


def cap(epsilon: float, delta: float, order: int) -> float:
    """The largest divergence of `order` that implies (epsilon, delta)-DP, rounded down; 0 where there is none.

    epsilon - ln(1 - 1/order) + ln(delta order) / (order - 1) (Canonne, Kamath, Steinke 2020, arXiv 2004.00010,
    Proposition 12; Balle et al. 2020, arXiv 1905.09982, Theorem 21).

    Raises:
        BadArgument: epsilon is not positive and finite, delta not in (0, 1), or the order no whole number above 1.

    Example:
        >>> cap(1.0, 1e-6, order=32)
        0.6978...
    """
    return max(_worth(epsilon, delta, order), 0.0)


def epsilon_of(total: float, order: int, delta: float) -> float:
    """The epsilon at `delta` that a divergence of `order` implies, rounded up; 0 for a divergence of 0.

    Raises:
        BadArgument: the total is negative or no number, or the others are not as above.

    Example:
        >>> epsilon_of(cap(1.0, 1e-6, order=32), order=32, delta=1e-6)
        1.0000000000...
    """
    if not (_validate.real(total) and total >= 0):
        raise BadArgument(f"total= must be a divergence, a number of at least 0, got {total!r}")
    constant = _constant(_order(order), delta)
    return max(total + constant, 0.0) * _UP + _LOG_UP * (abs(constant) + total) if total else 0.0


@lru_cache(maxsize=256)
def best_order(epsilon: float, delta: float) -> int:
    """The order up to 2^12 whose cap holds most Gaussian noise, the divergence of which is order * rho.

    Raises:
        BadArgument: epsilon is not positive and finite, or delta not in (0, 1).

    Example:
        >>> best_order(1.0, 1e-6), best_order(8.0, 1e-6)
        (22, 4)
    """
    return max(range(2, _MOST + 1), key=lambda order: _worth(epsilon, delta, order) / order)


def _order(order: int) -> int:
    if _validate.whole(2, order=order) > _LARGEST:
        raise BadArgument(f"order= must be at most 2**53, got {order!r}")
    return int(order)


def _worth(epsilon: float, delta: float, order: int) -> float:
    """The cap, which may be negative."""
    constant = _constant(_order(order), delta)
    return float(_validate.positive(epsilon=epsilon)) - constant - _LOG_UP * (epsilon + abs(constant))


def _constant(order: int, delta: float) -> float:
    """What is added to a divergence to make an epsilon."""
    own, tail = math.log1p(-1 / order), (math.log(_validate.probability(delta=delta)) + math.log(order)) / (order - 1)
    return own - tail + _LOG_UP * (abs(own) + 40 / (order - 1))


def _float(number: int | Fraction) -> float:
    """The nearest float, or infinity."""
    try:
        return float(number)
    except OverflowError:
        return math.inf


@lru_cache(maxsize=4096)
def _atom(atom: Event, order: int) -> float:
    if isinstance(atom, Gaussian):
        return _float(order * atom.rho) * _UP + _TINY
    if isinstance(atom, Laplace):
        return _laplace(_float(atom.epsilon), order) * _UP + _TINY
    if isinstance(atom, Skellam):
        return _skellam(atom, order) * _UP + _TINY
    if isinstance(atom, Pure):
        return _of_outcomes(_outcomes(atom), order)
    if isinstance(atom, PoissonSampled):
        return min(_sampled(atom, order), _atom(atom.of, order))
    raise NotPrivate("an exact release has no finite privacy loss")


def _laplace(epsilon: float, order: int) -> float:
    """ln(a/(2a-1) e^((a-1) e) + (a-1)/(2a-1) e^(-a e)) / (a-1) (Mironov 2017, Table II).

    The weights sum to 1 and the first-order terms cancel, so what is summed is e^x - 1 - x, which does not.
    """
    odds, grown = 2 * order - 1, (order - 1) * epsilon
    if grown > 30:
        return epsilon + (math.log(order / odds) + math.exp(-grown)) / (order - 1)
    excess = order / odds * _beyond_line(grown) + (order - 1) / odds * _beyond_line(-order * epsilon)
    return math.log1p(excess) / (order - 1)


def _skellam(event: Skellam, order: int) -> float:
    """The bound for vectors; of one number, what is summed from the exact law, up to a variance of 10^4."""
    exact = skellam_divergence.divergence(event.variance, int(event.l1), order) if event.scalar else None
    bound = skellam_bound(event, order)
    return bound if exact is None else min(bound, exact)


def skellam_bound(event: Skellam, order: int) -> float:
    """At order a: a l2^2/(2V) + min(((2a - 1) l2^2 + 6 l1) / (4 V^2), 3 l1 / (2V)), for whole a; to a few units.

    Agarwal, Kairouz, Liu 2021, arXiv 2110.04995, Theorem 3.1 and Corollary 3.1.
    """
    variance, l1, squared = event.variance, event.l1, event.l2 * event.l2
    more = min(((2 * order - 1) * squared + 6 * l1) / 4 / variance / variance, 1.5 * l1 / variance)
    return order * squared / 2 / variance + more


def _sampled(event: PoissonSampled, order: int) -> float:
    """Of the mixture (1 - q) Q + q P against Q, and back: the greater of both.

    For Gaussian noise the first is exactly ln(sum over k of binomial(a, k) (1-q)^(a-k) q^k e^(k (k-1) rho)) / (a-1),
    and never below the second (Mironov, Talwar, Zhang 2019, arXiv 1908.10530, Sections 3.1 and 3.3). Pure events have
    finitely many outcomes, or are post-processings of such. What else there is stands as without sampling, and so do
    Gaussian events at orders above 2^12, where the sum gets long.
    """
    inner, rate = event.of, event.rate
    if isinstance(inner, Gaussian) and order <= _MOST:
        return _of_moment(*_gaussian_excess(rate, _float(inner.rho), order), order)
    if not isinstance(inner, Pure):
        return math.inf
    return _of_outcomes([(log_q, _mixed(rate, log_odds)) for log_q, log_odds in _outcomes(inner)], order)


def _gaussian_excess(rate: float, rho: float, order: int) -> tuple[float, float]:
    """ln(moment - 1) and the size of what was added up to it.

    The k-th term is freed of its share of the binomial's 1, so that nothing cancels; of k = 0, 1 nothing is left.
    """
    stays, joins, ways, logs = math.log1p(-rate), math.log(rate), order, []
    for k in range(2, order + 1):
        ways = ways * (order - k + 1) // k  # exact
        logs.append(math.log(ways) + (order - k) * stays + k * joins + _log_expm1(k * (k - 1) * rho))
    return _log_sum(logs), order * (1 - stays - joins) + order * order * rho


def _outcomes(event: Pure) -> Outcomes:
    """Of k-ary randomised response; of any other pure event, what it is a post-processing of.

    That is binary randomised response (Kairouz, Oh, Viswanath 2015, Theorem 2).
    """
    if not isinstance(event, RandomizedResponse):
        epsilon = _float(event.epsilon)
        likely = -math.log1p(math.exp(-epsilon))
        return [(likely - epsilon, epsilon), (likely, -epsilon)]
    noise, k = event.noise_parameter, _float(event.num_buckets)
    if event.relation is not Relation.REPLACE_ONE:  # against null, which answers uniformly: the client's, any other
        return [(-math.log(k), math.log1p((1 - noise) * (k - 1))), (math.log1p(-1 / k), math.log(noise))]
    own, log_other = math.log((1 - noise) + noise / k), math.log(noise) - math.log(k)
    loss = own - log_other if noise < 0.5 else math.log1p((1 - noise) / noise * k)
    return [(log_other, loss), (own, -loss)]  # the client's and the neighbour's; of the rest neither tells


def _mixed(rate: float, log_odds: float) -> float:
    """The log of (1 - rate) + rate P/Q."""
    joined = math.log(rate) + log_odds
    if joined > 500:
        return joined
    gain = rate * math.expm1(log_odds) if log_odds < 600 else math.exp(joined) - rate
    return math.log1p(gain) if gain > -0.5 else math.log((1 - rate) + math.exp(joined))


def _of_outcomes(outcomes: Outcomes, order: int) -> float:
    """Of P against Q, and of Q against P: the greater."""
    back = [(log_q + log_odds, -log_odds) for log_q, log_odds in outcomes]
    return max(_one_way(outcomes, order), _one_way(back, order))


def _one_way(outcomes: Outcomes, order: int) -> float:
    """The moment E_Q[e^(a l)], l = ln P/Q, is 1 plus the mean of e^(a l) - 1 - a (e^l - 1), which is never negative."""
    if any(math.isinf(log_q) or math.isinf(log_odds) for log_q, log_odds in outcomes):
        return math.inf
    logs = [log_q + _log_excess(log_odds, order) for log_q, log_odds in outcomes]
    return _of_moment(_log_sum(logs), 8 + max(abs(log_q) + order * abs(odds) for log_q, odds in outcomes), order)


def _of_moment(log_excess: float, size: float, order: int) -> float:
    """ln(1 + e^x) / (a - 1), rounded up; `size` says how large what was added up to x was."""
    x = log_excess + _LOG_UP * size
    grown = math.log1p(math.exp(x)) if x < 500 else x + math.exp(-x)
    return grown / (order - 1) * _UP + _TINY


def _log_excess(x: float, order: int) -> float:
    """ln(e^(a x) - 1 - a (e^x - 1)), by the series of (a^j - a) x^j / j! where it would cancel."""
    grown = order * x
    if grown > 40:
        return grown
    if abs(grown) > 0.01:
        excess = math.expm1(grown) - order * math.expm1(x)
    else:  # j! times the terms of e^(a x) - e^x a
        excess = sum((grown**j - order * x**j) / math.factorial(j) for j in range(8, 1, -1))
    return math.log(excess) if excess > 0 else -math.inf


def _beyond_line(x: float) -> float:
    """e^x - 1 - x, by its series where it would cancel."""
    if abs(x) > 0.01:
        return math.expm1(x) - x
    return x * x / 2 * (1 + x / 3 * (1 + x / 4 * (1 + x / 5 * (1 + x / 6 * (1 + x / 7)))))


def _log_expm1(x: float) -> float:
    if x == 0:
        return -math.inf
    return math.log(math.expm1(x)) if x < 500 else x


def _log_sum(logs: list[float]) -> float:
    """The log of a sum of exponentials."""
    top = max(logs)
    return top if math.isinf(top) else top + math.log(math.fsum(math.exp(x - top) for x in logs))
