"""The event of a local mechanism that is more than randomised response."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.events.event import Pure
from fedanalytics.privacy.relations import Relation


@dataclass(frozen=True)
class LocalPure(Pure):
    """A client randomised its own report: no output is more than e^loss times likelier for one neighbour's value.

    Between the two values of a neighbouring pair the losses are no worse distributed than those of binary randomised
    response with the same epsilon (Kairouz, Oh, Viswanath 2015).

    Attributes:
        loss: epsilon, rounded up from the exact probabilities.
        relation: zero-out (a value and null) or replace-one (any two values, null among them). It does not hide that
            a client answered.

    Raises:
        BadArgument: `loss` is not a positive finite number, or the relation is add-or-remove-one.

    Example:
        >>> LocalPure(0.5).epsilon
        Fraction(1, 2)
    """

    kind: ClassVar[str] = "local-pure"
    loss: float
    relation: Relation = Relation.REPLACE_ONE

    def __post_init__(self) -> None:
        _validate.positive(loss=self.loss)
        object.__setattr__(self, "loss", float(self.loss))
        object.__setattr__(self, "relation", hiding_values(self.relation))

    @property
    def epsilon(self) -> Fraction:
        return Fraction(self.loss)

    def part(self, share: Fraction) -> LocalPure:
        whole = self.epsilon * share
        near = float(whole)
        return replace(self, loss=near if Fraction(near) <= whole else math.nextafter(near, 0.0))


def hiding_values(relation: Relation) -> Relation:
    """The relation itself.

    Raises:
        BadArgument: it is add-or-remove-one, or none.
    """
    if relation not in (Relation.REPLACE_ONE, Relation.ZERO_OUT):
        raise BadArgument(
            f"relation={relation!r}: a local mechanism hides what a client answered, not that it did; it holds under "
            "replace-one or zero-out"
        )
    return Relation(relation)
