"""Views: outputs of any width as one number each, on which an attack looks for something that tells.

A view is post-processing that was fixed before the outputs it is used on, so whatever it shows is the mechanism's own
doing. Which coordinates, which direction and what lies in the middle comes from a pilot: outputs that are not used to
certify anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.auditing.bounds import Floats
from fedanalytics.errors import BadArgument

Attack: TypeAlias = Callable[[Floats], npt.ArrayLike]
"""Outputs of shape (n, d) -> a score each, shape (n,); it should differ where the record is there."""

_COORDINATES = 4
_WIDEST = 64  # the dimension up to which the pilot's covariance is used as a whole
_NONE = 2048.0  # the lowest set bit of zero, and of what is not finite


@dataclass(frozen=True, eq=False)
class View:
    """What it is called, and outputs of shape (n, d) -> numbers of shape (n,)."""

    name: str
    of: Callable[[Floats], Floats]

    def __call__(self, outputs: Floats) -> Floats:
        """Shape (n,); what is not a number counts as infinite."""
        with np.errstate(invalid="ignore", over="ignore"):
            seen = self.of(outputs)
        return np.where(np.isnan(seen), np.inf, seen)


def fit(ins: Floats, outs: Floats, attack: Attack | None = None) -> tuple[View, ...]:
    """The views that a pilot suggests: outputs with the record and without it, shape (n, d) each."""
    ins, outs = (np.where(np.isfinite(part), part, 0.0) for part in (ins, outs))
    middle = len(ins) - 1
    centre = np.partition(np.concatenate((ins, outs)), middle, axis=0)[middle]
    strongest, directions = _apart(ins, outs)
    if ins.shape[1] == 1:
        views = [
            View("the output", lambda outputs: outputs[:, 0]),
            View("the distance from the middle", lambda outputs: np.abs(outputs[:, 0] - centre[0])),
        ]
    else:
        views = [_coordinate(j) for j in strongest]
        views += [_projection(name, direction) for name, direction in directions.items()]
        views += [
            View("the sum", lambda outputs: outputs.sum(axis=1)),
            View("the L2 norm", _norm),
            View("the distance from the middle", lambda outputs: _norm(outputs - centre)),
        ]
    first, name = strongest[0], views[0].name
    views += [
        View(f"the lowest set bit of {name}", lambda outputs: _bits(outputs[:, first])[0]),
        View(f"the exponent and lowest set bit of {name}", lambda outputs: _bits(outputs[:, first])[1]),
        View("how much is NaN", lambda outputs: np.isnan(outputs).sum(axis=1).astype(np.float64)),
    ]
    return (*views, View("the attack's score", lambda outputs: _scored(attack, outputs))) if attack else tuple(views)


def lowest_set_bit(values: Floats) -> npt.NDArray[np.int64]:
    """The exponent of the last binary digit that is not 0, shape (n,); 2048 for zero and what is not finite.

    Example:
        >>> lowest_set_bit(np.array([0.75, 6.0, 0.1])).tolist()
        [-2, 1, -55]
    """
    return _bits(values)[0].astype(np.int64)


def _apart(ins: Floats, outs: Floats) -> tuple[list[int], dict[str, Floats]]:
    """Which coordinates differ most between two samples, and the directions in which they do, by their names.

    Relative to the noise of each coordinate; and, where they are few, to the noise that they share (Fisher 1936).
    """
    scale = max(float(np.abs(ins).max()), float(np.abs(outs).max())) or 1.0
    ins, outs = ins / scale, outs / scale
    difference = ins.mean(axis=0) - outs.mean(axis=0)
    variance = (ins.var(axis=0) + outs.var(axis=0)) / 2
    variance += 1e-9 * variance.mean() or 1.0
    strongest = np.argsort(-np.abs(difference) / np.sqrt(variance), kind="stable")[:_COORDINATES]
    directions = {"the projection on the difference of the means": difference / variance}
    width = len(difference)
    if 1 < width <= min(_WIDEST, len(ins) // 2):
        spread = (np.cov(ins.T) + np.cov(outs.T)) / 2 + 1e-9 * np.diag(variance)
        directions["the projection free of shared noise"] = np.linalg.solve(spread, difference)
    return strongest.tolist(), directions


def _coordinate(j: int) -> View:
    return View(f"coordinate {j}", lambda outputs: outputs[:, j])


def _projection(name: str, direction: Floats) -> View:
    return View(name, lambda outputs: outputs @ direction)


def _norm(outputs: Floats) -> Floats:
    return np.asarray(np.sqrt(np.square(outputs).sum(axis=1)))


def _bits(values: Floats) -> tuple[Floats, Floats]:
    """The lowest set bit of each value, and the pair of its exponent and that, as one number."""
    finite = np.isfinite(values) & (values != 0)
    mantissa, exponent = np.frexp(np.where(finite, values, 0.5))
    digits = np.abs(mantissa * 2.0**53).astype(np.int64)
    last = np.frexp((digits & -digits).astype(np.float64))[1] - 1  # of 53 digits, counted from the right
    lowest = np.where(finite, exponent - 53.0 + last, _NONE)
    return lowest, np.where(finite, exponent * 4096.0 + lowest, _NONE)


def _scored(attack: Attack, outputs: Floats) -> Floats:
    scores = np.asarray(attack(outputs), dtype=np.float64)
    if scores.shape != (len(outputs),):
        raise BadArgument(
            f"attack= must give one number for each of {len(outputs)} outputs, got an array of shape {scores.shape}"
        )
    return scores
