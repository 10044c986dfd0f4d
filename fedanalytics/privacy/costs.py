"""What the caller offers to pay -> whole units of the ledger, and the noise that these units buy.

The cost is floored to units first and the noise calibrated from the units, rounded up: what is charged always covers
what is done. Only ``noise_multiplier=`` goes the other way, and its units are rounded up.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from fractions import Fraction

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy import gdp, units
from fedanalytics.privacy.events import DiscreteLaplace, Gaussian, round_up
from fedanalytics.privacy.relations import Relation

FORMS = "rho=, epsilon= (pure), epsilon= with delta=, or noise_multiplier="


@dataclass(frozen=True)
class Cost:
    """A price that the ledger understands.

    Attributes:
        units: what is charged, in 1e-12 rho.
        event: what may be done for it; ``event.rho <= units * 1e-12``, exactly.
    """

    units: int
    event: Gaussian | DiscreteLaplace

    def part(self, share: Fraction) -> Cost:
        """The share of it: units floored, noise from the units alone, so that equal prices are equal values.

        Shares of a Gaussian cost are shares of its rho; shares of a pure cost are shares of its epsilon, whose square
        is charged: the parts of a pure cost are together as pure as the whole.
        """
        if share == 1:
            return self
        fraction = share if isinstance(self.event, Gaussian) else share**2
        paid = units.floored(units.PER_UNIT * self.units * fraction)
        return Cost(paid, replace(self.event, noise_multiplier=_multiplier(paid)))


def cost(
    *,
    rho: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    noise_multiplier: float | None = None,
    relation: Relation = Relation.ADD_OR_REMOVE_ONE,
) -> Cost:
    """The cost of one call, from exactly one form.

    * ``rho``: zCDP; Gaussian noise of multiplier sqrt(1 / (2 rho)).
    * ``epsilon``: pure; two-sided geometric noise. Charged as rho = epsilon^2 / 2.
    * ``epsilon, delta``: Gaussian noise by the analytic calibration (`gdp.mu_of`). Charged as rho = mu^2 / 2.
    * ``noise_multiplier``: Gaussian noise of standard deviation `noise_multiplier` times the L2 sensitivity.

    Raises:
        BadArgument: none or several forms, or a number that is not positive and finite.

    Example:
        >>> cost(rho=0.01).event
        Gaussian(noise_multiplier=7.0710678118654...)
        >>> cost(noise_multiplier=5.0).units
        20000000000
    """
    offer = {"rho": rho, "epsilon": epsilon, "delta": delta, "noise_multiplier": noise_multiplier}
    for name, value in offer.items():
        if value is not None:
            _validate.positive(**{name: value})
    return _cost(rho, epsilon, delta, noise_multiplier, relation)


@functools.lru_cache(maxsize=256)
def _cost(
    rho: float | None, epsilon: float | None, delta: float | None, noise_multiplier: float | None, relation: Relation
) -> Cost:
    match (rho, epsilon, delta, noise_multiplier):
        case (_, None, None, None) if rho is not None:
            return _bought(Gaussian, Fraction(rho), relation)
        case (None, _, None, None) if epsilon is not None:
            return _bought(DiscreteLaplace, Fraction(epsilon) ** 2 / 2, relation)
        case (None, _, _, None) if epsilon is not None and delta is not None:
            return _bought(Gaussian, Fraction(gdp.mu_of(epsilon, delta)) ** 2 / 2, relation)
        case (None, None, None, _) if noise_multiplier is not None:
            event = Gaussian(noise_multiplier, relation)
            return Cost(units.ceiled(event.rho), event)
    offered = {"rho": rho, "epsilon": epsilon, "delta": delta, "noise_multiplier": noise_multiplier}
    found = ", ".join(f"{name}={value!r}" for name, value in offered.items() if value is not None) or "none"
    raise BadArgument(f"give the cost in exactly one form: {FORMS}; found {found}")


def _bought(mechanism: type[Gaussian | DiscreteLaplace], rho: Fraction, relation: Relation) -> Cost:
    """Both mechanisms cost rho = 1 / (2 multiplier^2)."""
    paid = units.floored(rho)
    return Cost(paid, mechanism(_multiplier(paid), relation))


def _multiplier(paid: int) -> float:
    return round_up(math.sqrt(units.PER_RHO / (2 * paid)))
