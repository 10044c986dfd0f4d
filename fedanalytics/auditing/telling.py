"""The most telling event: the set of outputs that, by what was seen so far, contradicts a claim most.

Looked at are thresholds of every view, and sets of its values, by their likelihood ratio, where some come again. The
choice may be as greedy as it likes: the outputs that certify are others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedanalytics.auditing import bounds
from fedanalytics.auditing.bounds import Floats
from fedanalytics.auditing.claims import Claim
from fedanalytics.auditing.views import View

_THRESHOLDS = 200
_ATOMS = 256
_SLOPE, _MOST = 0.4, 3.0  # deviations that candidates are compared at: the more outputs, the less luck may decide


@dataclass(frozen=True, eq=False)
class OutputSet:
    """An event: outputs of which a view is "at least", "below" or "one of" some values.

    Attributes:
        more_likely_in: whether it speaks for the record's presence.
        expected: its rates where it speaks for and where it speaks against, among the outputs it was chosen by.
    """

    view: View
    kind: str
    values: tuple[float, ...]
    more_likely_in: bool
    expected: tuple[float, float]

    def holds(self, outputs: Floats) -> npt.NDArray[np.bool_]:
        """For each output, of shape (n, d)."""
        seen = self.view(outputs)
        if self.kind == "one of":
            return np.isin(seen, self.values)
        return seen >= self.values[0] if self.kind == "at least" else seen < self.values[0]

    def __str__(self) -> str:
        some = ", ".join("infinite or NaN" if value == math.inf else f"{value:.6g}" for value in self.values[:4])
        more = f" and {len(self.values) - 4} more" if len(self.values) > 4 else ""
        return f"{self.view.name} is {self.kind} {some}{more}"


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Events of one kind on one view: how often each was seen with and without the record, and its values."""

    kind: str
    ins: npt.NDArray[np.int64]
    outs: npt.NDArray[np.int64]
    trials: int
    values: Callable[[int], tuple[float, ...]]


def choose(views: tuple[View, ...], ins: list[Floats], outs: list[Floats], claim: Claim) -> OutputSet:
    """The event whose rates, bounded from what was seen, exceed what the claim admits by most.

    Args:
        views: that are looked at, at least one.
        ins: what each view saw with the record, shape (n,) each.
        outs: what it saw without it.
        claim: that is to be contradicted.
    """
    ranked = []
    for view, seen_in, seen_out in zip(views, ins, outs, strict=True):
        for found in _candidates(seen_in, seen_out):
            for more_likely_in in (True, False):
                hits, false = (found.ins, found.outs) if more_likely_in else (found.outs, found.ins)
                excess = _excess(hits, false, found.trials, claim)
                i = int(excess.argmax())
                expected = (_rate(hits[i], found.trials), _rate(false[i], found.trials))
                ranked.append((float(excess[i]), view, found.kind, found.values(i), more_likely_in, expected))
    _, view, kind, values, more_likely_in, expected = max(ranked, key=lambda one: one[0])
    return OutputSet(view, kind, values, more_likely_in, expected)


def _excess(hits: npt.NDArray[np.int64], false: npt.NDArray[np.int64], trials: int, claim: Claim) -> Floats:
    deviations = min(_SLOPE * math.log(trials), _MOST)
    tpr, _ = bounds.near(hits, trials, deviations)
    _, fpr = bounds.near(false, trials, deviations)
    return claim.excess(tpr, fpr)


def _rate(hits: np.int64, trials: int) -> float:
    return (float(hits) + 0.5) / (trials + 1)


def _candidates(ins: Floats, outs: Floats) -> list[_Candidates]:
    both = np.sort(np.concatenate((ins, outs)))
    distinct, counts = np.unique(both, return_counts=True)
    at = distinct if len(distinct) <= _ATOMS else np.unique(both[_ranks(len(both))])
    below_in, below_out = (np.searchsorted(np.sort(part), at) for part in (ins, outs))
    found = [
        _Candidates("at least", len(ins) - below_in, len(outs) - below_out, len(ins), lambda i: (float(at[i]),)),
        _Candidates("below", below_in, below_out, len(ins), lambda i: (float(at[i]),)),
    ]
    again = counts > 1
    if len(distinct) > 2 and again.any():
        frequent = np.argsort(-counts[again], kind="stable")[:_ATOMS]
        found.append(_by_ratio(np.sort(distinct[again][frequent]), ins, outs))
    return found


def _by_ratio(atoms: Floats, ins: Floats, outs: Floats) -> _Candidates:
    """The atom of the greatest likelihood ratio, the two greatest, and so on.

    Every other output ranks them and the rest counts them: a ranking is fitted to what it was made from.
    """
    half_in, half_out = (_times(atoms, part[::2]) for part in (ins, outs))
    order = np.argsort(-(half_in + 0.5) / (half_out + 0.5), kind="stable")
    rest_in, rest_out = (np.cumsum(_times(atoms, part[1::2])[order]) for part in (ins, outs))
    ranked = atoms[order]
    return _Candidates("one of", rest_in, rest_out, len(ins) // 2, lambda i: tuple(ranked[: i + 1].tolist()))


def _times(atoms: Floats, part: Floats) -> npt.NDArray[np.int64]:
    """How often each of the sorted `atoms` is in a part."""
    part = np.sort(part)
    return np.searchsorted(part, atoms, side="right") - np.searchsorted(part, atoms, side="left")


def _ranks(size: int) -> npt.NDArray[np.int64]:
    """Evenly spread, and doubling from both ends: telling events may be rare."""
    even = np.linspace(0, size - 1, _THRESHOLDS).astype(np.int64)
    tail = 2 ** np.arange(int(size).bit_length() - 1)
    return np.concatenate((even, tail, size - 1 - tail))
