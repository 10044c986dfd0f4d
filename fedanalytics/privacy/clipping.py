"""Clip, round, check: from floats that may be anything to integers whose norm is a fact.

Formal guarantee: every row of the result is a vector of integers k with ``norm(k) <= steps``, checked in exact integer
arithmetic after rounding, whatever the floats did (float32 clipping has been seen to overshoot by 2.9e-7). A row that
held a NaN or an infinity is the null vector.

| a client's row              | becomes                                       |
|-----------------------------|-----------------------------------------------|
| inside the ball             | the nearest grid point                        |
| outside                     | scaled onto the sphere, then rounded          |
| rounded out of the ball     | truncated towards 0 instead; then null        |
| NaN or infinite anywhere    | the null vector                               |
| 1e308 in every coordinate   | scaled by its largest coordinate first        |
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.sensitivity import Sensitivity, bounded

Norm: TypeAlias = Literal["l1", "l2", "linf"]
NORMS: tuple[Norm, ...] = ("l1", "l2", "linf")
Integers: TypeAlias = npt.NDArray[np.int64]
_EXACT = 2**26  # steps: whose square is below 2^53


@np.errstate(all="ignore")  # a warning about a client's value would tell
def clip(rows: npt.NDArray[Any], norm: Norm, steps: int) -> Integers:
    """Vectors in units of the bound -> integers in the ball of radius `steps`.

    Args:
        rows: shape (n, d); 1.0 is the bound.
        norm: "l1", "l2" or "linf".
        steps: grid steps in the bound; at least ``least_steps(norm, d)``, so that rounding costs nothing.

    Returns:
        int64, shape (n, d).

    Raises:
        BadArgument: `steps` is too small for the dimension, or so large that a sum of squares could leave int64.

    Example:
        >>> clip(np.array([[3.0, 4.0], [0.3, float("nan")]]), "l2", 1024)
        array([[614, 819],
               [  0,   0]])
    """
    check_steps(norm, rows.shape[1], steps)
    scaled = _in_l2(rows, steps) if norm == "l2" and steps <= _EXACT else _scaled(_finite(rows), norm) * steps
    nearest = np.rint(scaled)
    outside = _excess(nearest, norm, steps)
    if outside.any():
        nearest[outside] = np.trunc(scaled[outside])
        nearest[_excess(nearest, norm, steps)] = 0.0
    return nearest.astype(np.int64)


def sensitivity(norm: Norm, dimension: int, steps: int, relation: Relation) -> Sensitivity:
    """Of a sum of vectors that `clip` made: exact, and in the other norm by Cauchy-Schwarz."""
    if norm == "l1":
        return bounded(steps, steps**2, relation)
    if norm == "l2":
        return bounded(math.isqrt(dimension * steps**2), steps**2, relation)
    return bounded(dimension * steps, dimension * steps**2, relation)


def least_steps(norm: Norm, dimension: int) -> int:
    """The coarsest grid on which rounding stays below 0.1 % of the bound: 500 sqrt(d) steps for L2, 500 d for L1."""
    return math.ceil(500 * {"l1": dimension, "l2": math.sqrt(dimension), "linf": 1}[norm])


def check_steps(norm: Norm, dimension: int, steps: int) -> None:
    """Refuses a grid on which the guarantee, or the accuracy, would fail."""
    if not least_steps(norm, dimension) <= steps <= 2**30 or dimension * steps**2 >= 2**62:
        raise BadArgument(
            f"steps={steps} does not suit {dimension} coordinates in the {norm} norm: at least"
            f" {least_steps(norm, dimension)} are needed, and at most 2^31 / sqrt(d)"
        )


def _finite(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Rows that are not finite become null."""
    return np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, 0.0).astype(np.float64, order="C")


def _in_l2(rows: npt.NDArray[Any], steps: int) -> npt.NDArray[np.float64]:
    """`_scaled` in L2, times the steps, in fewer passes. Rows whose squares overflow or are NaN go the long way."""
    values = rows.astype(np.float64, order="C")
    squares = np.square(values).sum(axis=1)  # pairwise, in an order that depends on the length of a row alone
    strange = ~np.isfinite(squares)
    if strange.any():
        values[strange] = _scaled(_finite(values[strange]), "l2")
        squares[strange] = 1.0
    values *= (steps / np.maximum(np.sqrt(squares), 1.0))[:, None]
    return values


def _scaled(values: npt.NDArray[np.float64], norm: Norm) -> npt.NDArray[np.float64]:
    if norm == "linf":
        return np.clip(values, -1.0, 1.0)
    largest = np.abs(values).max(axis=1, keepdims=True, initial=0.0)
    units = np.maximum(largest, 1.0)
    reduced = values / units
    size = np.abs(reduced).sum(axis=1) if norm == "l1" else np.sqrt(np.square(reduced).sum(axis=1))
    on_sphere: npt.NDArray[np.float64] = reduced / np.maximum(size[:, None], 1.0 / units)
    return on_sphere


def _excess(integers: npt.NDArray[np.float64], norm: Norm, steps: int) -> npt.NDArray[np.bool_]:
    """Of whole numbers: whose norm is above the bound.

    Exact in float64 as well: sums of magnitudes, and of squares for at most `_EXACT` steps, are whole and below 2^53 up
    to the bound; a sum that would be above comes out at no less than 2^53, since rounding keeps the order.
    """
    if norm == "l2":
        exact = integers if steps <= _EXACT else integers.astype(np.int64)
        return np.asarray(np.einsum("ij,ij->i", exact, exact) > steps**2, dtype=np.bool_)
    sizes = np.abs(integers)
    return np.asarray((sizes.sum(axis=1) if norm == "l1" else sizes.max(axis=1, initial=0)) > steps, dtype=np.bool_)
