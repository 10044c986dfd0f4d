"""Money without rounding faults: privacy is paid in whole units of 1e-12, of rho (zCDP) or of epsilon (pure budgets).

A float stands for all reals that round to it. A cost is floored, after granting half a unit in its last place (so that
0.3 means 300,000,000,000 units); a cap is floored after granting two. Hence k costs of ``cap / k`` always fit: each is
at most cap/k * (1 + 2^-52) (division and reading), so that k of them are at most cap * (1 + 2^-51), and being whole
they are at most its floor.
"""

from __future__ import annotations

import math
from fractions import Fraction

from fedanalytics.errors import BadArgument

PER_RHO = 10**12  # units in one rho, or in one epsilon
PER_UNIT = Fraction(1, PER_RHO)
_HALF_ULP = 1 + Fraction(1, 2**53)
_TWO_ULP = 1 + Fraction(1, 2**51)


def floored(amount: float | Fraction, name: str = "rho") -> int:
    """The units of a cost: never more than was asked.

    Raises:
        BadArgument: the cost is below one unit.

    Example:
        >>> floored(0.3), floored(Fraction(1, 3))
        (300000000000, 333333333333)
    """
    units = math.floor(Fraction(amount) * _HALF_ULP * PER_RHO)
    if units < 1:
        raise BadArgument(f"a cost of {name}={float(amount):.3g} is below the ledger's unit of 1e-12; ask for more")
    return units


def cap(amount: float | Fraction, name: str = "rho") -> int:
    """The units of a cap.

    Raises:
        BadArgument: the cap is below one unit.
    """
    units = math.floor(Fraction(amount) * _TWO_ULP * PER_RHO)
    if units < 1:
        raise BadArgument(f"a cap of {name}={float(amount):.3g} is below the ledger's unit of 1e-12; ask for more")
    return units


def ceiled(amount: float | Fraction) -> int:
    """The units that surely pay for an event."""
    return math.ceil(Fraction(amount) * PER_RHO)


def rho(units: int) -> float:
    """Units as a float, for display."""
    return units / PER_RHO
