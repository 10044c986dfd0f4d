"""What a noised release offers to pay, and what several of them cost together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from fedanalytics.errors import BadArgument
from fedanalytics.privacy import costs, units
from fedanalytics.privacy.costs import Cost
from fedanalytics.privacy.events import Gaussian, round_up
from fedanalytics.privacy.relations import Relation


@dataclass(frozen=True)
class Offer:
    """The cost of one release as it was written: exactly one form of `privacy.costs.cost`.

    Raises:
        BadArgument: several forms, or a number that is not positive and finite.
    """

    rho: float | None = None
    epsilon: float | None = None
    delta: float | None = None
    noise_multiplier: float | None = None

    def __post_init__(self) -> None:
        self.cost(Relation.ADD_OR_REMOVE_ONE)

    def cost(self, relation: Relation) -> Cost:
        """The price, with the event under this relation."""
        return costs.cost(
            rho=self.rho,
            epsilon=self.epsilon,
            delta=self.delta,
            noise_multiplier=self.noise_multiplier,
            relation=relation,
        )

    @property
    def gaussian(self) -> bool:
        """Whether it buys Gaussian noise; geometric noise otherwise."""
        return isinstance(self.cost(Relation.ADD_OR_REMOVE_ONE).mechanism, Gaussian)

    def __repr__(self) -> str:
        forms = [(name, getattr(self, name)) for name in ("rho", "epsilon", "delta", "noise_multiplier")]
        return ", ".join(f"{name}={value!r}" for name, value in forms if value is not None)


def shares(offers: Sequence[Offer]) -> tuple[Fraction, ...]:
    """Each offer's part of the whole, exact: of the units (Gaussian noise), of the epsilon (pure, geometric noise)."""
    parts = [
        Fraction(offer.cost(Relation.ADD_OR_REMOVE_ONE).units) if offer.gaussian else Fraction(offer.epsilon or 0)
        for offer in offers
    ]
    return tuple(part / sum(parts) for part in parts)


def together(offers: Sequence[Offer], relation: Relation) -> Cost:
    """The cost of offers of one mechanism.

    Gaussian: the units of rho add up (zCDP composes, Bun and Steinke 2016, Lemma 1.7). Geometric: the epsilons add up,
    so that the whole is pure, as when a session splits ``epsilon=`` among queries.
    The noise of the whole is such that the part of each offer (`shares`) is at least as noisy as the offer alone.

    Raises:
        BadArgument: both mechanisms.
    """
    prices = [offer.cost(relation) for offer in offers]
    if len(prices) == 1:
        return prices[0]
    if len({offer.gaussian for offer in offers}) > 1:
        raise BadArgument("one computation adds one kind of noise")
    parts, pure = shares(offers), not offers[0].gaussian
    if pure:
        paid = units.floored(sum(Fraction(offer.epsilon or 0) for offer in offers), "epsilon")
    else:
        paid = sum(price.units for price in prices)
    alone = [
        price.mechanism.noise_multiplier * (float(share) if pure else math.sqrt(share))
        for price, share in zip(prices, parts, strict=True)
    ]
    bought = costs.multiplier(paid, pure=pure)
    return Cost(paid, replace(prices[0].mechanism, noise_multiplier=max(bought, *map(round_up, alone))))
