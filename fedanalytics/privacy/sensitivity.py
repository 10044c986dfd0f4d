"""Sensitivity as a fact about integers: by how much one client can move an integer sum.

| a client's vector v                              | add-or-remove-one, zero-out | replace-one                       |
|--------------------------------------------------|-----------------------------|-----------------------------------|
| any v in the bound (`bounded`)                   | L1, L2                      | 2 L1, 2 L2                        |
| v >= 0, e.g. one-hot, record counts (`counting`) | L1, L2                      | 2 L1, sqrt(2) L2                  |
| (z, w), |z_i| <= s_i, w public (`weighted`)      | sqrt(|s|^2 + w^2)           | max(2 |s|, sqrt(|s|^2 + w^2))     |

Adding a client adds v; zeroing one out removes v: both move the sum by v. Replacing v by v' moves it by v' - v, where
either may be the null vector (no row matches, no finite value). For `counting`, <v, v'> >= 0, so |v' - v|^2 <=
|v|^2 + |v'|^2. For `weighted`, w cancels between two clients that both contribute.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fedanalytics.privacy.relations import Relation


@dataclass(frozen=True)
class Sensitivity:
    """The largest change of the sum between neighbours, in grid steps.

    Attributes:
        l1: in the L1 norm, exact.
        l2_squared: the square of the L2 norm, exact (an integer, so that no root is ever rounded down).
        relation: the neighbouring relation that it holds under.

    Example:
        >>> counting(l1=1, l2_squared=1, relation=Relation.REPLACE_ONE).l2
        1.4142135623730954
    """

    l1: int
    l2_squared: int
    relation: Relation

    @property
    def l2(self) -> float:
        """The L2 norm as a float, rounded up."""
        root = math.sqrt(self.l2_squared)
        return root if math.isqrt(self.l2_squared) ** 2 == self.l2_squared < 2**53 else math.nextafter(root, math.inf)


def bounded(l1: int, l2_squared: int, relation: Relation) -> Sensitivity:
    """Of vectors in a ball around 0."""
    replace = relation is Relation.REPLACE_ONE
    return Sensitivity(2 * l1, 4 * l2_squared, relation) if replace else Sensitivity(l1, l2_squared, relation)


def counting(l1: int, l2_squared: int, relation: Relation) -> Sensitivity:
    """Of vectors without negative coordinates."""
    replace = relation is Relation.REPLACE_ONE
    return Sensitivity(2 * l1, 2 * l2_squared, relation) if replace else Sensitivity(l1, l2_squared, relation)


def weighted(sides: Sequence[int], weight: int, relation: Relation) -> Sensitivity:
    """Of (z, weight) with ``|z_i| <= sides[i]``, or null."""
    l1, l2_squared = sum(sides), sum(s * s for s in sides)
    with_weight = Sensitivity(l1 + weight, l2_squared + weight * weight, relation)
    if relation is not Relation.REPLACE_ONE:
        return with_weight
    return Sensitivity(max(2 * l1, with_weight.l1), max(4 * l2_squared, with_weight.l2_squared), relation)
