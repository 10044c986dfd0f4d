"""Noise added to a sum."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar, Self

from fedanalytics import _validate
from fedanalytics.errors import BadArgument, NotPrivate
from fedanalytics.privacy.events.event import Event, Pure, round_up
from fedanalytics.privacy.relations import Relation


@dataclass(frozen=True)
class Scaled(Event):
    """Noise whose scale is `noise_multiplier` times the sensitivity under `relation`.

    Raises:
        BadArgument: `noise_multiplier` is not a positive finite number, or `relation` is none.
    """

    noise_multiplier: float
    relation: Relation = Relation.ADD_OR_REMOVE_ONE

    def __post_init__(self) -> None:
        _validate.positive(noise_multiplier=self.noise_multiplier)
        object.__setattr__(self, "noise_multiplier", float(self.noise_multiplier))
        object.__setattr__(self, "relation", Relation(self.relation))


@dataclass(frozen=True)
class Gaussian(Scaled):
    """The Gaussian mechanism: noise N(0, (noise_multiplier * D2)^2) on a sum of L2 sensitivity D2.

    Rounding a noisy sum onto its own grid is post-processing, so this is also the event of the rounded Gaussian.
    rho = 1 / (2 noise_multiplier^2) (Bun and Steinke 2016, Proposition 1.6); exactly 1/noise_multiplier-GDP (Dong,
    Roth, Su 2019, Theorem 1).
    """

    kind: ClassVar[str] = "gaussian"

    @property
    def rho(self) -> Fraction:
        return 1 / (2 * Fraction(self.noise_multiplier) ** 2)

    def part(self, share: Fraction) -> Gaussian:
        return Gaussian(round_up(self.noise_multiplier / math.sqrt(share)), self.relation)


@dataclass(frozen=True)
class _LaplaceLike(Scaled, Pure):
    """Pure: epsilon = 1 / noise_multiplier; parts are shares of epsilon."""

    @property
    def epsilon(self) -> Fraction:
        return 1 / Fraction(self.noise_multiplier)

    def part(self, share: Fraction) -> Self:
        return replace(self, noise_multiplier=round_up(self.noise_multiplier / float(share)))


@dataclass(frozen=True)
class Laplace(_LaplaceLike):
    """Continuous Laplace noise of scale b = noise_multiplier * D1 on a number of L1 sensitivity D1.

    Pure: epsilon = 1 / noise_multiplier (Dwork, McSherry, Nissim, Smith 2006, Theorem 2 of the journal version).
    """

    kind: ClassVar[str] = "laplace"


@dataclass(frozen=True)
class DiscreteLaplace(_LaplaceLike):
    """Two-sided geometric noise of scale b = noise_multiplier * D1 on an integer sum of L1 sensitivity D1.

    Pure: epsilon = 1 / noise_multiplier (Ghosh, Roughgarden, Sundararajan 2009). How its loss is distributed below
    that bound depends on D1; for D1 = 1 it is that of randomised response, the worst that a pure epsilon allows
    (Kairouz, Oh, Viswanath 2015), and that one is accounted for.
    """

    kind: ClassVar[str] = "discrete-laplace"


@dataclass(frozen=True)
class Skellam(Event):
    """Noise Poisson(variance/2) - Poisson(variance/2) on every coordinate of an integer sum.

    Attributes:
        variance: of the noise, in squared grid steps.
        l1, l2: the sensitivities in grid steps, under `relation`.
        scalar: whether one coordinate alone can change, by a whole number of at most l1 = l2 steps. Then the loss is
            known exactly; it is so without being said when l1 = 1.

    Raises:
        BadArgument: a number is not positive and finite; l2 > l1; or scalar with l1 != l2 or a fraction of a step.
    """

    kind: ClassVar[str] = "skellam"
    variance: float
    l1: float
    l2: float
    relation: Relation = Relation.ADD_OR_REMOVE_ONE
    scalar: bool = False

    def __post_init__(self) -> None:
        for name in ("variance", "l1", "l2"):
            _validate.positive(**{name: getattr(self, name)})
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "relation", Relation(self.relation))
        object.__setattr__(self, "scalar", bool(self.scalar) or self.l1 == 1)
        if self.l2 > self.l1:
            raise BadArgument(f"l2={self.l2!r} exceeds l1={self.l1!r}: no vector has a longer L2 than L1 norm")
        if self.scalar and not (self.l1 == self.l2 and self.l1.is_integer()):
            raise BadArgument(
                f"one coordinate that moves by whole steps has l1 = l2, a whole number; got {self.l1!r}, {self.l2!r}"
            )

    @property
    def rho(self) -> Fraction:
        raise NotPrivate(
            "Skellam noise has a bound on its Renyi divergence, not a zCDP rho: open the budget with filter='renyi'"
        )

    def part(self, share: Fraction) -> Skellam:
        return replace(self, variance=round_up(self.variance / float(share)))
