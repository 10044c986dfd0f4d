"""The hypergeometric tail, exact, in integers: how many of a client's neighbours are corrupt or drop out."""

from __future__ import annotations

import functools
from math import comb


@functools.cache
def rare(population: int, marked: int, drawn: int, above: int, *, trials: int, bits: int) -> bool:
    """Whether ``trials * P(X > above) <= 2**-bits``, X hypergeometric: the marked among `drawn` of the population.

    Exact. By the union bound, then, the chance that any of so many draws, however dependent, exceeds `above` is at
    most 2**-bits.

    Example:
        >>> rare(999, 50, 52, above=20, trials=1000, bits=40), rare(999, 50, 52, above=19, trials=1000, bits=40)
        (True, False)
    """
    most = min(marked, drawn)
    ways = sum(comb(marked, j) * comb(population - marked, drawn - j) for j in range(above + 1, most + 1))
    return trials * ways << bits <= comb(population, drawn)


@functools.cache
def most(population: int, marked: int, drawn: int, *, trials: int, bits: int) -> int:
    """The least m with ``trials * P(X > m) <= 2**-bits``.

    Example:
        >>> most(999, 50, 52, trials=1000, bits=40)
        20
    """
    return next(m for m in range(drawn + 1) if rare(population, marked, drawn, m, trials=trials, bits=bits))
