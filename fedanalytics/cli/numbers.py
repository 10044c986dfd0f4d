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


def percent(part: float, whole: float) -> str:
    """A part of a whole.

    >>> percent(1, 3), percent(1, 300), percent(1, 10**9), percent(1, 1)
    ('33.3 %', '0.33 %', 'under 0.001 %', '100 %')
    """
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 0.001:
        return "under 0.001 %"
    return f"{share:.1f}".removesuffix(".0") + " %" if share >= 10 else f"{share:.2g} %"
