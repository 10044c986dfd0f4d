"""From two counts to what they certify: what no smaller parameter of a claim admits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedanalytics.auditing import bounds, curves
from fedanalytics.auditing.claims import Claim
from fedanalytics.auditing.reports import Count

_WEIGHTS: tuple[float, ...] = tuple(np.sin(np.linspace(0.1, np.pi / 2 - 0.1, 9)).tolist())


@dataclass(frozen=True)
class Bound:
    """Lower bounds that hold together: they are taken over the same region of rates.

    Attributes:
        measure: in the claim's unit; `limit` is what the claim admits there.
        mu: as Gaussian differential privacy.
        epsilon: at the claim's delta.
    """

    measure: float
    limit: float
    mu: float
    epsilon: float

    @property
    def excess(self) -> float:
        """By how much the claim is exceeded; at most 0 where it is not."""
        return self.measure - self.limit


def bound(claim: Claim, true: Count, false: Count, alpha: float, weight: float) -> Bound:
    """What an event shows that was seen `true` times where it speaks for, and `false` times where it speaks against.

    The claim is exceeded only if it is at every pair of rates that `bounds.frontier` leaves.

    Example:
        >>> from fedanalytics.auditing.claims import Gdp
        >>> round(bound(Gdp(1.0), Count("with", 11, 11), Count("without", 0, 11), 0.05, 0.7).mu, 2)
        1.83
    """
    tpr, fpr = bounds.frontier((true.hits, true.trials), (false.hits, false.trials), alpha, weight)
    at = int(claim.excess(tpr, fpr).argmin())
    return Bound(
        measure=float(claim.measure(tpr, fpr)[at]),
        limit=float(claim.limit(fpr)[at]),
        mu=float(curves.gap(tpr, fpr).min()),
        epsilon=float(curves.log_ratio(tpr, fpr, claim.delta).min()),
    )


def weight(claim: Claim, expected: tuple[float, float], trials: tuple[int, int], alpha: float) -> float:
    """The weight that would certify most, were the rates as expected; from expectations, never from the counts."""
    true, false = (Count("", round(rate * n), n) for rate, n in zip(expected, trials, strict=True))
    certified = [(bound(claim, true, false, alpha, w).excess, w) for w in _WEIGHTS]
    return max(certified)[1]
