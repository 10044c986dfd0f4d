"""What an attack on single outputs cannot see: noise that comes again in the next call.

A fixed seed passes every test of one call's outputs. So calls are compared with each other: with the same input, which
must not repeat, and with different inputs, which must not rise and fall together. Both tests are exact: under
independent calls, which outputs stand beside each other is a uniformly random matching.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from fedanalytics.auditing.bounds import Floats
from fedanalytics.auditing.reports import Check
from fedanalytics.auditing.runs import Runs
from fedanalytics.auditing.views import lowest_set_bit

CHANCE = 1e-9  # of a false alarm, for each check
_COLUMNS = 64


def checks(runs: Runs, count: int) -> tuple[Check, ...]:
    """Compares three calls of `count` outputs each: two with the record, one without it.

    From 64 outputs on, noise that comes again is found; with 16, calls that are the same.
    """
    first, second = runs.draw(count, record=True), runs.draw(count, record=True)
    other = runs.draw(count, record=False)
    return repeated(first, second), reused(second, other), low_bits(first, other, runs.dtype or first.dtype)


def repeated(first: Floats, second: Floats) -> Check:
    """Whether two calls with the same input, of shape (n, d), gave the same outputs.

    Given both calls' outputs as one bag, in which the value v is n_v times, independent calls agree in every place with
    probability n! prod(n_v!) / ((2n)! prod((n_v/2)!)): 1 for a constant, which tells nothing.
    """
    name = "replay"
    if first.tobytes() != second.tobytes():
        return Check(name, passed=True, finding="two calls with the same input differ")
    halves = Counter(row.tobytes() for row in first).values()
    log_chance = math.lgamma(len(first) + 1) - math.lgamma(2 * len(first) + 1)
    log_chance += sum(math.lgamma(2 * half + 1) - math.lgamma(half + 1) for half in halves)
    if log_chance > math.log(CHANCE):
        return Check(name, passed=None, finding="two calls agree, as so few values may by chance")
    finding = f"two calls with the same input gave the same {len(first)} outputs: a fixed seed"
    return Check(name, passed=False, finding=finding)


def reused(one: Floats, other: Floats) -> Check:
    """Whether two calls with different inputs, of shape (n, d), share noise: whether they rise and fall together.

    Of each coordinate (the first 64) and of the sum: how often both calls are above their medians in the same place.
    Its law under independence is hypergeometric (Blomqvist 1950).
    """
    name = "reuse"
    columns = [(one[:, j], other[:, j]) for j in range(min(one.shape[1], _COLUMNS))]
    with np.errstate(over="ignore", invalid="ignore"):
        columns += [(one.sum(axis=1), other.sum(axis=1))] if one.shape[1] > 1 else []
    chance = min(len(columns) * min(_concordance(a, b) for a, b in columns), 1.0)
    if chance > CHANCE:
        return Check(name, passed=True, finding="the noise of two calls is not related")
    return Check(
        name,
        passed=False,
        finding=f"calls with different inputs rise and fall together (chance {chance:.1e}): they share noise",
    )


def _concordance(one: Floats, other: Floats) -> float:
    """The chance that places above both medians are as many, or as few, as seen; exact, two-sided."""
    high_one, high_other = (column > np.sort(column)[(len(column) - 1) // 2] for column in (one, other))
    n, a, b = len(one), int(high_one.sum()), int(high_other.sum())
    seen = int((high_one & high_other).sum())
    ways = [math.comb(a, k) * math.comb(n - a, b - k) if b >= k else 0 for k in range(a + 1)]
    rarer = min(sum(ways[seen:]), sum(ways[: seen + 1]))
    return min(2 * rarer / math.comb(n, b), 1.0)


def low_bits(ins: Floats, outs: Floats, kind: np.dtype[Any]) -> Check:
    """Evidence, not judged: whether outputs use every bit of a float, as noise drawn in floating point does.

    Which floats can be reached then depends on the data (Mironov 2012). It becomes a verdict where the audit certifies
    an event of the lowest bits.
    """
    name = "low bits"
    values = np.concatenate((ins, outs)).ravel()
    values = values[np.isfinite(values) & (values != 0)]
    if kind.kind != "f" or not len(values):
        finding = "outputs are whole numbers" if kind.kind in "biu" else "there are none to look at"
        return Check(name, passed=None, finding=finding)
    used = np.frexp(values)[1] - lowest_set_bit(values)
    share = float((used >= np.finfo(kind).nmant).mean())
    if share > 0.5:
        finding = "outputs use every bit of a float: round to a grid that does not depend on the data"
        return Check(name, passed=None, finding=finding)
    return Check(name, passed=None, finding=f"outputs are multiples of 2^{int(lowest_set_bit(values).min())}")
