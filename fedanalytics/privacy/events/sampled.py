"""A cohort that nobody sees: Poisson sampling of clients."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.events.additive import Gaussian, Skellam
from fedanalytics.privacy.events.combined import checked
from fedanalytics.privacy.events.event import Atoms, Event, Pure, round_down
from fedanalytics.privacy.relations import Relation

_ALL = 1 - 2.0**-30  # a rate above which nothing is gained by sampling, but for roundings: it counts as none


@dataclass(frozen=True)
class PoissonSampled(Event):
    """The event `of` ran on a cohort that every client of the roster joined with probability `rate`, independently.

    Holds only if such a sampler ran, over the whole roster, and only against those who do not learn who took part.
    Under zero-out or add-or-remove-one the two neighbours are the same pair: with the client's coin, and null. Under
    replace-one they are not, and no bound is given.

    Attributes:
        of: Gaussian noise (also of several blocks on the one cohort), a pure event, or scalar Skellam noise.
        rate: in (0, 1].

    Raises:
        BadArgument: another event, relation or rate.
    """

    kind: ClassVar[str] = "poisson-sampled"
    of: Event
    rate: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", _validate.rate(rate=self.rate))
        checked(self.of)
        if Relation.REPLACE_ONE in self.of.relations:
            raise BadArgument(
                "Poisson sampling is accounted for under add-or-remove-one or zero-out, and this event holds under "
                "replace-one"
            )
        if self._atom() is None and any(True for _ in self.of.atoms()):
            raise BadArgument(f"no bound is known for Poisson sampling before {self.of!r}")

    @property
    def rho(self) -> Fraction:
        """That of the event without sampling: mixing both neighbours with the same law brings them no further apart.

        (Every Renyi divergence is quasi-convex: van Erven and Harremoes 2014, Theorem 13.)
        """
        return self.of.rho

    @property
    def relations(self) -> frozenset[Relation]:
        return self.of.relations

    def part(self, share: Fraction) -> PoissonSampled:
        """Less noise for each; the log of each moment is convex in the inverse variance, and 0 at 0."""
        return replace(self, of=self.of.part(share))

    def atoms(self) -> Atoms:
        atom = self._atom()
        if atom is not None:
            yield (atom if self.rate > _ALL else PoissonSampled(atom, self.rate)), 1

    def _atom(self) -> Event | None:
        """The one event that ran on the cohort; Gaussian releases on one cohort are one Gaussian release."""
        inside = list(self.of.atoms())
        if inside and all(isinstance(event, Gaussian) for event, _ in inside):
            if inside[0][1] == len(inside) == 1:
                return inside[0][0]
            (relation,) = self.of.relations
            return Gaussian(round_down(math.sqrt(1 / (2 * sum(e.rho * n for e, n in inside)))), relation)
        known = len(inside) == 1 and inside[0][1] == 1
        if known and (isinstance(inside[0][0], Pure) or (isinstance(inside[0][0], Skellam) and inside[0][0].scalar)):
            return inside[0][0]
        return None
