"""Numbers as people read them: as many digits as the error leaves meaning in."""

from __future__ import annotations

import math


def decimals(error: float) -> int:
    """So many that the error shows two significant digits.

    >>> decimals(22.4), decimals(0.31), decimals(0.0123)
    (0, 2, 3)
    """
    if not 0 < error < math.inf:
        return 2
    return min(max(1 - math.floor(math.log10(error)), 0), 12)


def shown(value: float, error: float) -> str:
    """A value with the digits that its error leaves it.

    >>> shown(4051.7, 22.4), shown(57.1183, 0.31), shown(-0.2, 22.4), shown(3e20, 1.0)
    ('4,052', '57.12', '0', '3e+20')
    """
    if not math.isfinite(value) or abs(value) >= 1e15:
        return f"{value:g}"
    text = f"{value:,.{decimals(error)}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


def interval(lower: float, upper: float, error: float) -> str:
    """An interval.

    >>> interval(56.512, 57.7, 0.31)
    '56.51 … 57.70'
    """
    return f"{shown(lower, error)} … {shown(upper, error)}"
