"""A second accountant: what a ledger's events lose, found another way than they were charged.

The first one, `fedanalytics.privacy`, has closed forms and privacy loss distributions on grids, by way of
dp_accounting. This one shares no figure with it: it tabulates the laws of outcomes (`outcomes`) and integrates. It asks
two questions of a replayed ledger, and `verify` refuses one that fails either by more than `TOLERANCE`:

* Is each reservation's price enough, in the filter's own currency? For "gdp" the least mu whose trade-off lies below
  that of the outcomes; for "zcdp" the greatest Renyi divergence over its order; for "renyi" that of the budget's
  order; for "pure" the greatest loss; for "pld" the epsilon at the plan's share of delta.
* Is all that was spent, had it been fixed in advance, within the cap? By the integral of `contour`.

Skellam noise on vectors has no table: its bound (Agarwal, Kairouz, Liu 2021) is evaluated again, and what was spent is
found from Renyi divergences, as it is where more than `MANY` different laws meet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from fedanalytics.errors import LedgerCorrupt
from fedanalytics.ledger import contour
from fedanalytics.ledger.accounts import Account, Stretch, event_of
from fedanalytics.ledger.outcomes import known, outcomes
from fedanalytics.ledger.terms import Terms
from fedanalytics.privacy import units
from fedanalytics.privacy.events import Event, Gaussian, PoissonSampled, Skellam
from fedanalytics.privacy.filters import Basic, Declared, Filter, Gdp, Renyi, Zcdp

TOLERANCE = 1e-3
"""Relative: how much more than was paid the second accountant may find. It is right to a ten thousandth."""

MANY = 24
_ORDERS = (*range(2, 65), *(round(2 ** (6 + i / 4)) for i in range(1, 25)))
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Loss:
    """What was spent, as one accountant finds it.

    Attributes:
        amount: epsilon or rho.
        counts: which of both.
        delta: of an epsilon.
        method: how it was found.
    """

    amount: float
    counts: str
    delta: float | None
    method: str

    def __str__(self) -> str:
        at = f" at delta={self.delta:g}" if self.delta else ""
        return f"{self.counts}={self.amount:.4g}{at} ({self.method})"


# ---------------------------------------------------------------- one release


def check_prices(account: Account) -> None:
    """Hold every reservation against its price.

    Raises:
        LedgerCorrupt: one did not pay for its event.
    """
    for (event, paid), seq in account.first.items():
        enough, price = _price(event_of(event), account.terms.rule, paid)
        if not enough:
            counted = account.terms.rule.counts
            raise LedgerCorrupt(
                f"entry {seq} paid {counted}={units.rho(paid)!r} for {event}, and a second accountant finds that it "
                f"costs {counted}={price!r}"
            )


@lru_cache(maxsize=1024)
def _price(event: Event, rule: Filter, paid: int) -> tuple[bool, float]:
    """Whether an event was paid for, and its price."""
    if isinstance(rule, Declared):
        share = units.rho(paid) / rule.epsilon
        counts = dict(event.atoms())
        found = total(counts, share * rule.delta) if counts else contour.Figure(0.0)
        return found.value - found.excess <= units.rho(paid) * (1 + TOLERANCE), found.value
    price = math.fsum(count * _of_atom(atom, rule) for atom, count in event.atoms())
    return price <= units.rho(paid) * (1 + TOLERANCE), price


def _of_atom(atom: Event, rule: Filter) -> float:
    inner = atom.of if isinstance(atom, PoissonSampled) else atom  # of which only Renyi and pure filters know sampling
    if isinstance(rule, Renyi):
        return divergence(atom, rule.order) / rule.order
    if isinstance(rule, Basic):
        return max(float(outcomes(atom, back=back).losses.max()) for back in (False, True))
    if isinstance(rule, Zcdp) or isinstance(inner, Gaussian):  # whose rho is mu^2 / 2
        return _rho(inner)
    if isinstance(rule, Gdp):
        return _mu(inner) ** 2 / 2
    raise LedgerCorrupt(f"the second accountant does not know the filter {rule.name!r}")


@lru_cache(maxsize=1024)
def divergence(atom: Event, order: float) -> float:
    """The Renyi divergence of an order above 1: the greater of both directions."""
    if not known(atom):
        return _vectors(atom, order)
    return max(outcomes(atom, order - 1.0, back=back).moments(order - 1.0)[0] / (order - 1) for back in (False, True))


@lru_cache(maxsize=1024)
def _rho(atom: Event) -> float:
    """The greatest divergence over its order."""
    return max(divergence(atom, order) / order for order in (1.001, 1.25, 1.5, 2, 3, 4, 6, 8, 16, 32, 64))


@lru_cache(maxsize=1024)
def _mu(atom: Event) -> float:
    """The least mu of a Gaussian trade-off below that of the outcomes, at epsilons between none and all of the loss."""
    table = outcomes(atom)
    greatest = float(table.losses.max())
    return max(_gaussian(epsilon, table.beyond(epsilon)) for epsilon in (i * greatest / 16 for i in range(16)))


def _gaussian(epsilon: float, delta: float) -> float:
    """The mu whose delta at epsilon is this (Balle and Wang 2018, Theorem 8); 0 where it is beyond floats."""
    if not 1e-12 < delta < 1 - 1e-12:
        return 0.0
    low, high = 0.0, 100.0
    for _ in range(60):
        mu = (low + high) / 2
        far = _NORMAL.cdf(-epsilon / mu - mu / 2)
        low, high = (mu, high) if _NORMAL.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * far < delta else (low, mu)
    return low


def _vectors(atom: Event, order: float) -> float:
    """Skellam noise on vectors (Agarwal, Kairouz, Liu 2021, arXiv 2110.04995, Theorem 3.1)."""
    if not isinstance(atom, Skellam):
        return math.inf
    square, variance = atom.l2**2, atom.variance
    excess = min(((2 * order - 1) * square + 6 * atom.l1) / (4 * variance**2), 3 * atom.l1 / (2 * variance))
    return order * square / (2 * variance) + excess


# ---------------------------------------------------------------- all that was spent


def check_cap(account: Account) -> None:
    """Hold what each window spent, or all time, against the cap that it paid under last.

    Raises:
        LedgerCorrupt: it was more.
    """
    for window, stretch in account.stretches.items():
        terms, counts = stretch.terms or account.terms, stretch.events()
        if terms.epsilon is None:
            found, cap = _sum_of_rho(counts), units.rho(terms.cap)
        elif terms.delta is None:
            found, cap = _sum_of_losses(counts), terms.epsilon
        else:
            found, cap = _least_that_matters(counts, terms.delta, terms.epsilon), terms.epsilon
        if found > cap * (1 + TOLERANCE):
            when = f" in the window from {window}" if window else ""
            raise LedgerCorrupt(
                f"budget {terms.name!r} ({terms.label}) has spent {found!r}{when} by a second accountant: more than "
                f"its cap of {cap!r}"
            )


def loss(terms: Terms, stretches: Mapping[str, Stretch], delta: float | None) -> Loss:
    """What some windows spent together."""
    merged = Stretch()
    for stretch in stretches.values():
        merged.charges.update(stretch.charges)
    counts = merged.events()
    if terms.rule.counts == "epsilon" and terms.delta is None:
        return Loss(_sum_of_losses(counts), "epsilon", None, "sum of the greatest losses")
    if delta is None:
        return Loss(_sum_of_rho(counts), "rho", None, "Renyi divergences of tabulated outcomes")
    method = "contour integral over tabulated outcomes" if _integrable(counts) else "Renyi divergences"
    return Loss(total(counts, delta).value, "epsilon", delta, method)


def total(counts: Mapping[Event, int], delta: float) -> contour.Figure:
    """The epsilon of a composition that was fixed in advance."""
    if _integrable(counts):
        return _integral(frozenset(counts.items()), delta)
    return contour.Figure(_by_divergence(counts, delta))


@lru_cache(maxsize=1024)
def _integral(counts: frozenset[tuple[Event, int]], delta: float) -> contour.Figure:
    return contour.epsilon(dict(counts), delta)


def _integrable(counts: Mapping[Event, int]) -> bool:
    return all(map(known, counts)) and sum(not isinstance(atom, Gaussian) for atom in counts) <= MANY


def _by_divergence(counts: Mapping[Event, int], delta: float) -> float:
    """The least epsilon of many orders (Canonne, Kamath, Steinke 2020, arXiv 2004.00010, Proposition 12)."""

    def of_order(order: int) -> float:
        spent = math.fsum(count * divergence(atom, order) for atom, count in counts.items())
        return spent + math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)

    return max(min(map(of_order, _ORDERS)), 0.0) if counts else 0.0


def _least_that_matters(counts: Mapping[Event, int], delta: float, cap: float) -> float:
    """An epsilon that is below the cap if and only if the least one is: a moment's bound, where it is enough."""
    if not _integrable(counts):
        return _by_divergence(counts, delta)
    bound = contour.bound(counts, delta)
    if bound <= cap:
        return bound
    found = total(counts, delta)
    return found.value - found.excess


def _sum_of_losses(counts: Mapping[Event, int]) -> float:
    return math.fsum(n * _of_atom(atom, Basic()) for atom, n in counts.items())


def _sum_of_rho(counts: Mapping[Event, int]) -> float:
    return math.fsum(n * _of_atom(atom, Zcdp()) for atom, n in counts.items())
