"""A query with a cost of its own: many of them are one round, and each costs the same alone or among others."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.costs import Cost, cost
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.blocks import Block, Rounds
from fedanalytics.statistics.statistic import Statistic

FORMS = ("rho", "epsilon", "delta", "noise_multiplier")


@dataclass(frozen=True)
class Offer:
    """A cost in one of the forms of `fedanalytics.privacy.costs.cost`, or a share of it.

    Example:
        >>> Offer((("rho", 0.01),), Fraction(1, 10)).cost(Relation.ADD_OR_REMOVE_ONE).units
        1000000000
    """

    form: tuple[tuple[str, float], ...]
    share: Fraction | None = None  # None: all of it is this query's own

    def cost(self, relation: Relation) -> Cost:
        """In the ledger's units; exact, and the same in every run.

        Raises:
            BadArgument: it is in no form, in several, not positive, or below the ledger's unit.
        """
        whole = cost(**dict(self.form), relation=relation)
        return whole if self.share is None else whole.part(self.share)


@dataclass(frozen=True)
class Costed:
    """A query, to a session, that carries its cost. In all else it is the query itself, in the ledger too."""

    query: Statistic
    offer: Offer

    def own_cost(self, relation: Relation) -> Cost:
        """What a session charges."""
        return self.offer.cost(relation)

    def describe(self) -> Any:
        """The canonical form: the key of a study's query and of the same query in Python stand for one question."""
        return self.query

    @property
    def shares(self) -> tuple[Fraction, ...]:
        """The query's."""
        return self.query.shares

    @property
    def block(self) -> Block:
        """The query's."""
        return self.query.block

    @property
    def groups(self) -> tuple[str | float, ...] | None:
        """The query's."""
        return self.query.groups

    @property
    def labels(self) -> tuple[str | float, ...] | None:
        """The query's."""
        return self.query.labels

    def rounds(self) -> Rounds:
        """The query's."""
        return self.query.rounds()


def offered(values: dict[str, float], share: Fraction | None = None) -> Offer:
    """An offer, if a cost can be made of it.

    Raises:
        BadArgument: as `Offer.cost`.
    """
    if not values:
        raise BadArgument("there is no cost")
    offer = Offer(tuple(values.items()), share)
    offer.cost(Relation.ADD_OR_REMOVE_ONE)
    return offer
