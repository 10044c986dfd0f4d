"""What the caller offers to pay -> whole units of 1e-12, and the noise that these units buy.

Gaussian noise is paid in rho, pure noise in epsilon. The offer is floored to units first and the noise calibrated from
the units, rounded up: what is charged always covers what is done. Only ``noise_multiplier=`` goes the other way, and
its units are rounded up. What a budget charges for it is up to the budget's filter (`fedanalytics.privacy.filters`).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from fractions import Fraction

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy import gdp, units
from fedanalytics.privacy.events import DiscreteLaplace, Event, Gaussian, round_up
from fedanalytics.privacy.relations import Relation

FORMS = "rho=, epsilon= (pure), epsilon= with delta=, or noise_multiplier="
_ROOM = 1 + 1e-9  # of noise in a release calibrated to (epsilon, delta): room for the roundings of who checks it


@dataclass(frozen=True)
class Cost:
    """What a query may do to the data.

    Attributes:
        units: the offer, in 1e-12 of rho for Gaussian noise, of epsilon for pure noise.
        mechanism: what they buy: Gaussian noise with ``rho <= units * 1e-12``, or two-sided geometric noise with
            ``epsilon <= units * 1e-12``, exactly.
        sampling_rate: of the cohort that it is done to.
        target: (epsilon, delta) where they were offered, for noise of another kind that holds them more tightly.
        share: how much of the offer it is.
        order: the Renyi order at which it is charged, where the budget's filter has one.
    """

    units: int
    mechanism: Gaussian | DiscreteLaplace
    sampling_rate: float = 1.0
    target: tuple[float, float] | None = None
    share: Fraction = Fraction(1)
    order: int | None = None

    @property
    def pure(self) -> bool:
        """Whether it is paid in epsilon."""
        return isinstance(self.mechanism, DiscreteLaplace)

    @property
    def event(self) -> Event:
        """What is done, to an accountant."""
        return self.mechanism if self.sampling_rate == 1 else self.mechanism.poisson_sampled(self.sampling_rate)

    def part(self, share: Fraction) -> Cost:
        """The share of it: units floored, noise from the units alone, so that equal prices are equal values.

        Shares of a Gaussian cost are shares of its rho, shares of a pure cost of its epsilon.
        """
        if share == 1:
            return self
        paid = units.floored(units.PER_UNIT * self.units * share)
        mechanism = replace(self.mechanism, noise_multiplier=multiplier(paid, pure=self.pure))
        return replace(self, units=paid, mechanism=mechanism, share=self.share * share)

    def of_round(self, share: Fraction) -> Cost:
        """What one round of a query may do that is paid as a whole: the same units, the share of the mechanism."""
        return self if share == 1 else replace(self, mechanism=self.mechanism.part(share), share=self.share * share)


def cost(
    *,
    rho: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    noise_multiplier: float | None = None,
    relation: Relation = Relation.ADD_OR_REMOVE_ONE,
    sampling_rate: float = 1.0,
) -> Cost:
    """The cost of one call, from exactly one form.

    * ``rho``: zCDP; Gaussian noise of multiplier sqrt(1 / (2 rho)).
    * ``epsilon``: pure; two-sided geometric noise.
    * ``epsilon, delta``: Gaussian noise by the analytic calibration (`gdp.mu_of`).
    * ``noise_multiplier``: Gaussian noise of standard deviation `noise_multiplier` times the L2 sensitivity.

    On a cohort sampled at a `sampling_rate` below 1, only the last form is plain; `calibrate` finds the multiplier.

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
    sampling_rate = _validate.rate(sampling_rate=sampling_rate)
    plain = _cost(rho, epsilon, delta, noise_multiplier, relation)
    if sampling_rate == 1:
        return plain
    if noise_multiplier is None:
        raise BadArgument(
            f"what a sampled cohort costs depends on how often it is drawn: give noise_multiplier=, for example "
            f"fa.privacy.calibrate(epsilon=1, delta=1e-6, sampling_rate={sampling_rate!r}, rounds=1)"
        )
    return replace(plain, sampling_rate=sampling_rate)


@functools.lru_cache(maxsize=256)
def _cost(
    rho: float | None, epsilon: float | None, delta: float | None, noise_multiplier: float | None, relation: Relation
) -> Cost:
    match (rho, epsilon, delta, noise_multiplier):
        case (_, None, None, None) if rho is not None:
            return _bought(Gaussian, Fraction(rho), relation)
        case (None, _, None, None) if epsilon is not None:
            return _bought(DiscreteLaplace, Fraction(epsilon), relation)
        case (None, _, _, None) if epsilon is not None and delta is not None:
            bought = _bought(Gaussian, Fraction(gdp.mu_of(epsilon, delta) / _ROOM) ** 2 / 2, relation)
            return replace(bought, target=(float(epsilon), float(delta)))
        case (None, None, None, _) if noise_multiplier is not None:
            event = Gaussian(noise_multiplier, relation)
            return Cost(units.ceiled(event.rho), event)
    offered = {"rho": rho, "epsilon": epsilon, "delta": delta, "noise_multiplier": noise_multiplier}
    found = ", ".join(f"{name}={value!r}" for name, value in offered.items() if value is not None) or "none"
    raise BadArgument(f"give the cost in exactly one form: {FORMS}; found {found}")


def _bought(mechanism: type[Gaussian | DiscreteLaplace], amount: Fraction, relation: Relation) -> Cost:
    paid = units.floored(amount, "rho" if mechanism is Gaussian else "epsilon")
    return Cost(paid, mechanism(multiplier(paid, pure=mechanism is DiscreteLaplace), relation))


def multiplier(paid: int, *, pure: bool) -> float:
    """Of pure noise 1/epsilon, of Gaussian noise 1/sqrt(2 rho), rounded up."""
    return round_up(units.PER_RHO / paid if pure else math.sqrt(units.PER_RHO / (2 * paid)))
