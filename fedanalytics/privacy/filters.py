"""Filters: what a budget may admit when each query is chosen after the earlier answers.

A filter turns a cap of (epsilon, delta) into whole units, and an event into the units that pay for it; a ledger admits
while the sum stays below the cap. It is fixed before the first release. The rules:

* **gdp**: the sum of mu^2 / 2 is at most that of the mu whose Gaussian trade-off is (epsilon, delta)-DP. Valid under
  full adaptivity (Smith and Thakurta 2022, arXiv 2210.17520; Koskela, Tobaben, Honkela 2022, arXiv 2209.15596), and as
  tight as if all had been fixed in advance: the best for Gaussian noise. A pure event costs the mu whose trade-off lies
  below that of randomised response.
* **zcdp**: the sum of rho is at most `zcdp.rho_cap` (Whitehouse, Ramdas, Rogers, Wu 2022, arXiv 2203.05481, Theorem 1).
  The better one when much of the noise is pure.
* **renyi**: the sum of the Renyi divergences of ONE order, fixed beforehand, is at most `renyi.cap` (Feldman and Zrnic
  2020, arXiv 2008.11193, Theorem 3.1; Lecuyer 2021, arXiv 2103.01379). The one for sampled cohorts and Skellam noise.
* **pure**: the sum of pure epsilons is at most epsilon, delta is 0.
* **pld**: whole plans only, each declared before its first output and then fixed (what is asked may adapt; noise,
  sampling and counts may not). A plan takes a share s of the budget, the least for which its privacy loss distribution
  is (s epsilon, s delta)-DP; the shares sum to at most 1. Its parameters may depend on earlier plans: basic
  composition holds with adaptively chosen parameters. (By induction on the plans: after the first output y, the rest
  is (E - e, D - d)-DP for every y, so P(S) = E_P[P(S_y)] <= E_P[min(1, e^(E-e) Q(S_y))] + D - d <= e^E Q(S) + D.)

The first three count a Gaussian release at its rho, whatever the cap is worth; so a cost means the same under each.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist
from typing import Any, ClassVar

from fedanalytics import _validate
from fedanalytics.errors import BadArgument, NotPrivate
from fedanalytics.privacy import gdp, renyi, units, zcdp
from fedanalytics.privacy.costs import Cost
from fedanalytics.privacy.events import DiscreteLaplace, Event, Gaussian, PoissonSampled, Pure, Skellam, round_up

_UP = 1 + 2.0**-30  # relative: far above the roundings of what is bounded by it


@dataclass(frozen=True)
class Filter(ABC):
    """One rule of admission.

    Attributes:
        name: as ledgers call it.
        rule: what it is, for people.
        counts: what its units are 1e-12 of, "rho" or "epsilon".
        native: the events whose offers are in this unit already.
    """

    name: ClassVar[str]
    rule: ClassVar[str]
    counts: ClassVar[str] = "rho"
    native: ClassVar[tuple[type[Event], ...]] = (Gaussian,)

    @abstractmethod
    def cap(self, epsilon: float, delta: float) -> int:
        """The units that a cap of (epsilon, delta) is worth, floored."""

    @abstractmethod
    def price(self, event: Event) -> int:
        """The units that surely pay for an event.

        Raises:
            BadArgument: this filter has no price for such noise.
            NotPrivate: its loss is infinite.
        """

    @abstractmethod
    def epsilon_of(self, total: int, delta: float) -> float:
        """The epsilon at `delta` of whatever was paid with `total` units, rounded up."""

    def charge(self, cost: Cost) -> int:
        """What an offer is charged: exactly what was offered, where this filter counts in the offer's own unit."""
        return cost.units if isinstance(cost.event, self.native) else self.price(cost.event)

    def to_json(self) -> dict[str, Any]:
        """The fields that stand in a budget's terms."""
        return {"filter": self.name}


@dataclass(frozen=True)
class Gdp(Filter):
    """Gaussian differential privacy: see the top of the file."""

    name: ClassVar[str] = "gdp"
    rule: ClassVar[str] = "Gaussian DP filter: exact for Gaussian noise, also when queries are chosen adaptively"

    def cap(self, epsilon: float, delta: float) -> int:
        return units.cap(Fraction(gdp.mu_of(epsilon, delta)) ** 2 / 2)

    def price(self, event: Event) -> int:
        return units.ceiled(sum((_gdp_rho(atom) * count for atom, count in event.atoms()), Fraction(0)))

    def epsilon_of(self, total: int, delta: float) -> float:
        return gdp.epsilon_of(round_up(math.sqrt(2 * units.rho(total))), delta) if total else 0.0


@dataclass(frozen=True)
class Zcdp(Filter):
    """Zero-concentrated differential privacy: see the top of the file."""

    name: ClassVar[str] = "zcdp"
    rule: ClassVar[str] = "zCDP filter: for Gaussian and pure noise, also when queries are chosen adaptively"

    def cap(self, epsilon: float, delta: float) -> int:
        return units.cap(zcdp.rho_cap(epsilon, delta))

    def price(self, event: Event) -> int:
        return units.ceiled(event.rho)

    def epsilon_of(self, total: int, delta: float) -> float:
        return zcdp.epsilon_of(units.rho(total), delta)


@dataclass(frozen=True)
class Renyi(Filter):
    """Renyi divergence at one order: see the top of the file. Its units are of divergence / order.

    Attributes:
        order: the one order, a whole number of at least 2.
    """

    name: ClassVar[str] = "renyi"
    rule: ClassVar[str] = "Renyi filter of one order: for sampled cohorts and Skellam noise too, chosen adaptively"
    order: int

    def cap(self, epsilon: float, delta: float) -> int:
        bound = renyi.cap(epsilon, delta, self.order)
        if bound <= 0:
            best = renyi.best_order(epsilon, delta)
            better = f"order={best} holds most Gaussian noise, and is taken when order= is left out"
            if renyi.cap(epsilon, delta, best) <= 0:
                better = "nor is any other: take a greater epsilon, or filter='gdp'"
            raise BadArgument(f"order={self.order} is worth nothing at epsilon={epsilon!r}, delta={delta!r}; {better}")
        return units.cap(Fraction(bound) / self.order)

    def price(self, event: Event) -> int:
        total = Fraction(0)
        for atom, count in event.atoms():
            rho = atom.rho if isinstance(atom, Gaussian) else Fraction(renyi.divergence(atom, self.order)) / self.order
            total += rho * count
        return units.ceiled(total)

    def epsilon_of(self, total: int, delta: float) -> float:
        return renyi.epsilon_of(round_up(units.rho(total) * self.order), self.order, delta) if total else 0.0

    def to_json(self) -> dict[str, Any]:
        return {"filter": self.name, "order": self.order}


@dataclass(frozen=True)
class Basic(Filter):
    """Pure differential privacy: see the top of the file."""

    name: ClassVar[str] = "pure"
    rule: ClassVar[str] = "pure epsilons add up, delta is 0, also when queries are chosen adaptively"
    counts: ClassVar[str] = "epsilon"
    native: ClassVar[tuple[type[Event], ...]] = (DiscreteLaplace,)

    def cap(self, epsilon: float, delta: float) -> int:  # noqa: ARG002  # there is none
        return units.cap(epsilon, "epsilon")

    def price(self, event: Event) -> int:
        return units.ceiled(sum((_pure(atom) * count for atom, count in event.atoms()), Fraction(0)))

    def epsilon_of(self, total: int, delta: float) -> float:  # noqa: ARG002  # for every delta
        return units.rho(total)


@dataclass(frozen=True)
class Declared(Filter):
    """Whole plans by their privacy loss distribution: see the top of the file. Its units are of the cap's epsilon.

    Attributes:
        epsilon, delta: of the whole budget, which plans take shares of.
    """

    name: ClassVar[str] = "pld"
    rule: ClassVar[str] = "declared plans, each by its privacy loss distribution, fixed before its first output"
    counts: ClassVar[str] = "epsilon"
    native: ClassVar[tuple[type[Event], ...]] = ()
    epsilon: float
    delta: float

    def cap(self, epsilon: float, delta: float) -> int:  # noqa: ARG002  # shared in proportion
        return units.cap(epsilon, "epsilon")

    def price(self, event: Event) -> int:
        return units.ceiled(Fraction(_share(event, self.epsilon, self.delta)) * Fraction(self.epsilon))

    def epsilon_of(self, total: int, delta: float) -> float:  # noqa: ARG002  # at the same share of delta
        return units.rho(total)


def filter_of(terms: Mapping[str, Any]) -> Filter:
    """The filter that a budget's terms name.

    Raises:
        BadArgument: this version knows none of that name.
    """
    name = _validate.one_of(NAMES, filter=terms.get("filter"))
    if name == Renyi.name:
        return Renyi(_validate.whole(2, order=terms.get("order")))
    if name == Declared.name:
        return Declared(terms["epsilon"], terms["delta"])
    return _SIMPLE[name]


_SIMPLE: dict[str, Filter] = {each.name: each for each in (Gdp(), Zcdp(), Basic())}
NAMES = (*_SIMPLE, Renyi.name, Declared.name)


def _gdp_rho(atom: Event) -> Fraction:
    """mu^2 / 2 of an atom; sampling brings neighbours no further apart, and is not refunded here."""
    if isinstance(atom, PoissonSampled):
        return _gdp_rho(atom.of)
    if isinstance(atom, Gaussian):
        return atom.rho
    if isinstance(atom, Pure):
        return Fraction(_mu_of_pure(float(atom.epsilon))) ** 2 / 2
    if isinstance(atom, Skellam):
        raise BadArgument("Skellam noise has no Gaussian trade-off: open the budget with filter='renyi'")
    raise NotPrivate("an exact release has no finite privacy loss")


def _mu_of_pure(epsilon: float) -> float:
    """The mu of an epsilon-DP mechanism, 2 Phi^-1(e^epsilon / (1 + e^epsilon)), rounded up.

    The trade-off of such a mechanism lies above the two chords through (0, 1), (a, a), (1, 0), a = 1/(1 + e^epsilon)
    (Wasserman and Zhou 2010; Dong, Roth, Su 2019, Equation 4). That of mu-GDP is convex and passes through the same
    three points for this mu, so it lies below the chords. (mu = epsilon does not.) For small epsilon, where the
    quantile would cancel, mu <= sqrt(pi/2) epsilon: the derivative is 2 p (1 - p) / phi(Phi^-1(p)), greatest at
    p = 1/2. For large ones mu <= sqrt(8 epsilon), as Phi(-x) <= e^(-x^2/2) / 2.
    """
    if epsilon < 1e-2:
        return math.sqrt(math.pi / 2) * epsilon * _UP
    if epsilon > 500:
        return math.sqrt(8 * epsilon) * _UP
    return -2 * NormalDist().inv_cdf(1 / (1 + math.exp(epsilon))) * _UP


def _pure(atom: Event) -> Fraction:
    if isinstance(atom, PoissonSampled):  # ln(1 + q (e^e - 1)) (Li, Qardaji, Su 2012, Theorem 1)
        epsilon = float(_pure(atom.of))
        return Fraction((math.log1p(atom.rate * math.expm1(epsilon)) if epsilon < 700 else epsilon) * _UP)
    if isinstance(atom, Pure):
        return atom.epsilon
    raise BadArgument(
        f"the budget is pure (epsilon without delta) and pays for pure noise only, not for {atom.kind} noise: give the "
        "cost as epsilon= alone, or open a budget with a delta"
    )


@lru_cache(maxsize=256)
def _share(event: Event, epsilon: float, delta: float) -> float:
    """The least s with event (s epsilon, s delta)-DP, from above: the fixed point of a function that hardly falls."""
    from fedanalytics.privacy.accountant import Accountant  # noqa: PLC0415  # dp_accounting is slow to import

    accountant = Accountant().compose(event)

    def spent(share: float) -> float:
        return accountant.epsilon(share * delta) / epsilon

    low = spent(1.0)
    if not math.isfinite(low):
        raise NotPrivate(f"{event!r} has no finite privacy loss at delta={delta!r}")
    if low > 1:
        return low  # more than there is: how much more matters to no one
    low = max(low, 1e-12)
    high = min(spent(low), 1.0)  # spent falls, so that its values at either side of the share lie at the other
    for _ in range(30):
        if high <= low * (1 + 1e-12):
            break
        low, high = spent(high), min(spent(spent(high)), high)
    while spent(high) > high:
        high *= 1 + 1e-12
    return high
