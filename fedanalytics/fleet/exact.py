r"""Sums of floats that are exact, hence the same in every order, with any number of threads, next to any other client.

Float addition rounds, so a plain ``avg`` depends on the order of the rows, and the order depends on how the engine
split the work, which depends on *other* clients' rows. Here every summand is first rounded onto a grid on which
addition does not round at all.

**Lemma.** Let g be a power of two, C = 1.5 * 2^52 * g, and |x| <= 2^51 g. Then ``h = (x + C) - C`` is a multiple of g
with |x - h| <= g/2, and ``r = x - h`` is exact.
*Proof.* x + C lies in [2^52 g, 2^53 g], where neighbouring doubles are g apart: the addition rounds x to a multiple of
g (ties to even). Both operands of the subtraction are multiples of g, their difference is at most 2^51 g: it is
representable, so the subtraction is exact. For r: if |x| < g/2 then h = 0 and r = x. Otherwise let u be the unit in the
last place of x. If u > g then x is a multiple of g, h = x and r = 0. If not, x and h are both multiples of u, and so is
r, with |r| <= g/2 <= |x|: it is representable. ∎ (The idea is ExtractScalar of Rump, Ogita and Oishi, Accurate
floating-point summation part I, SIAM J. Sci. Comput. 31(1), 2008.)

**Corollary.** If |h| <= 2^30 g for each of at most 2^23 rows, every partial sum, of any rows in any order, is a whole
number of at most 2^53 steps of g. Doubles hold those exactly, so each addition is exact. ∎

A client of more than `ROWS` = 2^23 rows therefore has no value (`select.py` sees to it).

`total` and `mean` take |x| up to 2^59 in four levels, on the grids 2^30, 1, 2^-30, 2^-60, each taking what the level
before left over. First level: 2^59 = 2^29 steps. After a level of grid g at most g/2 is left, 2^29 steps of the next
grid g * 2^-30. So every level satisfies the corollary, and what the last leaves, 2^-61 a row, is dropped: a rule, the
same for every client. The four exact sums are then added in a fixed order.

With a magnitude M (a power of two, from the query's public bounds) `mean` needs one level: readings clamped to
+-2^8 M on the grid 2^-22 M, 2^30 steps. The error of a mean is at most half a step, 2^-23 M. The error of a *sum* would
grow with its rows, so `total` takes a second level on 2^-52 M (2^29 steps are left by the first).

Not finite (NaN, an infinity) is NULL, which aggregates skip. Beyond the clamp is the clamp.
"""

from __future__ import annotations

import functools
import math

from fedanalytics.fleet.schema import double
from fedanalytics.fleet.steps import Steps

ROWS = 2**23
_GRIDS = tuple(2.0**k for k in (30, 0, -30, -60))
_CLAMP = 2.0**59
_SQUARE_CLAMP = 2.0**29
_MAGNITUDES = (2.0**-900, 2.0**900)  # far enough from the ends of the range that no constant below leaves it


def total(x: str, keep: str, steps: Steps, magnitude: float | None = None) -> str:
    """The SQL of an exact sum of `x`, NULL over no values.

    Args:
        x: SQL of type DOUBLE; may be NaN or infinite.
        keep: a FILTER clause for each aggregate, or nothing.
        steps: where what is needed in every row is written down.
        magnitude: a power of two in units of which readings matter, or None.
    """
    if magnitude is None:
        return _levels(_clamped(x, _CLAMP, steps), _GRIDS, keep, steps)
    values = _clamped(x, magnitude * 2.0**8, steps)
    return _levels(values, (magnitude * 2.0**-22, magnitude * 2.0**-52), keep, steps)


def mean(x: str, keep: str, steps: Steps, magnitude: float | None = None) -> str:
    """The SQL of an exact mean: one rounding, that of the division, after an exact sum. As `total` otherwise."""
    if magnitude is not None:
        return f"avg({_snapped(_clamp(x, magnitude * 2.0**8), magnitude * 2.0**-22)}){keep}"
    values = _clamped(x, _CLAMP, steps)
    return f"({_levels(values, _GRIDS, keep, steps)} / count({values}){keep})"


def variance(x: str, keep: str, steps: Steps, *, sample: bool) -> str:
    r"""The SQL of the variance (q - s^2/n) / (n - 1), or / n, from exact sums s of x and q of x^2.

    Readings are clamped to +-2^29, so that their squares stay within the clamp of a sum. The relative error is about
    2^-51 (1 + mean^2/variance): use readings that are not far from 0 compared with their spread.
    """
    values = _clamped(x, _SQUARE_CLAMP, steps)
    squares = steps.named(f"{values} * {values}", 3)
    n = f"count({values}){keep}"
    s = _levels(values, _GRIDS, keep, steps)
    q = _levels(squares, _GRIDS, keep, steps)
    least, below = (1, f"({n} - 1)") if sample else (0, n)
    return f"(CASE WHEN {n} > {least} THEN greatest({q} - power({s}, 2e0) / {n}, 0e0) / {below} END)"


def power_of_two(magnitude: float | None) -> float | None:
    """The least power of two not below `magnitude`; None where there is none, or no room for its grids.

    >>> power_of_two(110), power_of_two(0.25), power_of_two(1e300)
    (128.0, 0.25, None)
    """
    if magnitude is None or not _MAGNITUDES[0] <= magnitude <= _MAGNITUDES[1]:
        return None
    fraction, exponent = math.frexp(magnitude)
    return math.ldexp(1.0, exponent - 1 if fraction == 0.5 else exponent)


def _clamp(x: str, bound: float) -> str:
    # Finite first, in both branches: alone, abs(x) <= limit is folded to TRUE by Parquet's statistics, which may not
    # count NaN, and a NaN of one client would pass or not by the rows of others.
    limit = double(bound)
    return f"CASE WHEN isfinite({x}) AND abs({x}) <= {limit} THEN {x} WHEN isfinite({x}) THEN sign({x}) * {limit} END"


def _clamped(x: str, bound: float, steps: Steps) -> str:
    return steps.named(_clamp(steps.named(x, 1), bound), 2)


def _snapped(x: str, grid: float) -> str:
    constant = double(1.5 * 2.0**52 * grid)
    return f"((({x}) + {constant}) - {constant})"


def _levels(x: str, grids: tuple[float, ...], keep: str, steps: Steps) -> str:
    """The sums of the levels, added from the finest to the coarsest: the smallest rounding comes first."""
    rest, sums = x, []
    for i, grid in enumerate(grids):
        level = _snapped(rest, grid)
        sums.append(f"sum({level}){keep}")
        rest = steps.named(f"{rest} - {level}", 4 + i) if grid != grids[-1] else rest
    return functools.reduce(lambda finer, coarser: f"({finer} + {coarser})", reversed(sums))
