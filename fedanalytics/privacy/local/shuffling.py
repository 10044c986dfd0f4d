"""What local reports would cost if someone mixed them: a figure under an assumption, never an event.

No shuffler runs here. The figure holds against those who see the reports of all clients in an order that a trusted
party drew at random and told nobody; against the collector of reports that arrive under names it is worth nothing. So
it is no `Event`, and no ledger takes it.

The bound (Feldman, McMillan, Talwar 2021, arXiv 2012.12803): let e = e^epsilon, and R0, R1 the laws of one client's
report for two values. Q0 = (e R0 - R1) / (e - 1) and Q1, with 0 and 1 exchanged, are laws; R0 = (e Q0 + Q1) / (e + 1),
R1 likewise, and Q0 + Q1 = R0 + R1. Any other client's law R is at least R0 / e and R1 / e, hence at least
(Q0 + Q1) / (2 e): with probability 1 / e its report is one from Q0 or Q1, by a fair coin. Given how many reports come
from each of the two, and those of the rest, the mixed reports have the same law for either value. So they are no
further apart than (A + D, C + 1 - A - D) and (A + 1 - D, C - A + D), where C is binomial (n - 1, 1 / e), A binomial
(C, 1/2), and D is 1 with probability e / (e + 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fedanalytics import _validate
from fedanalytics.privacy.events import round_up
from fedanalytics.privacy.local.mechanism import in_range

ASSUMPTION = "assumes a trusted shuffler between clients and collector; none runs here, and no budget is charged by it"
_FORGOTTEN = 1e-4  # of delta: what unlikely numbers of clones are taken to add
_SLACK = 1e-6  # of delta: roundings
_HALVINGS = 40


@dataclass(frozen=True)
class Shuffled:
    """(epsilon, delta) of the reports of a round under replace-one, had they been shuffled.

    Attributes:
        epsilon, delta: the guarantee.
        local: the epsilon of each report by itself, which holds without any assumption.
        reports: n.
        closed_form: Theorem 3.1's larger epsilon; `local` outside its range.
        assumption: what has to be true for it; print it with the figure.
    """

    epsilon: float
    delta: float
    local: float
    reports: int
    closed_form: float
    assumption: str = ASSUMPTION


def if_shuffled(epsilon: float, reports: int, delta: float) -> Shuffled:
    """What n reports of local loss `epsilon` under replace-one would cost together, behind a shuffler.

    Found numerically from the reduction above (Theorem 3.2 there); an upper bound, never above `epsilon`.

    Args:
        epsilon: of each report, under replace-one, from 2^-20 to 64.
        reports: n, of clients that answered independently.
        delta: in (0, 1).

    Raises:
        BadArgument: an argument is not as above.

    Example:
        >>> if_shuffled(4.0, 100_000, 1e-6).epsilon
        0.169...
    """
    local, n = in_range(epsilon), _validate.whole(reports=reports)
    _validate.probability(delta=delta)
    pair = _Clones.of(local, n, delta)
    low, high = 0.0, local
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if pair.delta(middle) <= delta else (middle, high)
    return Shuffled(high, delta, local, n, closed_form(local, n, delta))


def closed_form(epsilon: float, reports: int, delta: float) -> float:
    """Theorem 3.1: ln(1 + (e - 1)/(e + 1) (8 sqrt(e ln(4/delta) / n) + 8 e / n)), e = e^epsilon, rounded up.

    For epsilon <= ln(n / (16 ln(4/delta))), the narrower of the ranges in circulation; otherwise `epsilon` itself.

    Example:
        >>> closed_form(4.0, 100_000, 1e-6)
        0.534...
    """
    if epsilon > math.log(reports / (16 * math.log(4 / delta))):
        return epsilon
    share = math.exp(epsilon) / reports
    bound = math.log1p(math.tanh(epsilon / 2) * 8 * (math.sqrt(share * math.log(4 / delta)) + share))
    return min(round_up(bound), epsilon)


@dataclass(frozen=True, eq=False)
class _Clones:
    """The pair of the reduction: how many clones there are, with their probabilities, and what is left out."""

    counts: np.ndarray[tuple[int], np.dtype[np.float64]]
    weights: np.ndarray[tuple[int], np.dtype[np.float64]]
    forgotten: float
    truth: float

    @classmethod
    def of(cls, epsilon: float, reports: int, delta: float) -> _Clones:
        from scipy.stats import binom  # noqa: PLC0415  # a third of a second

        law = binom(reports - 1, math.exp(-epsilon))
        tail = _FORGOTTEN * delta / 2
        counts = np.arange(max(law.ppf(tail), 0.0), law.isf(tail) + 1)
        return cls(counts, law.pmf(counts), 2 * tail, 1 / (1 + math.exp(-epsilon)))

    def delta(self, epsilon: float) -> float:
        """The least delta for epsilon, from above; the same in both directions, as the pair's coordinates swap.

        With c clones the likelihood ratio grows with the first number x: it exceeds e^epsilon for
        x (2 a - 1) (1 + e^epsilon) > (c + 1) (a e^epsilon - (1 - a)), a = P(D = 1).
        """
        from scipy.stats import binom  # noqa: PLC0415  # a third of a second

        a, b, odds = self.truth, 1 - self.truth, math.exp(epsilon)
        least = np.floor((self.counts + 1) * (a * odds - b) / ((2 * a - 1) * (1 + odds))) + 1
        fewer, more = binom.sf(least - 2, self.counts, 0.5), binom.sf(least - 1, self.counts, 0.5)
        gaps = a * fewer + b * more - odds * (b * fewer + a * more)
        return float(self.weights @ np.maximum(gaps, 0.0)) * (1 + _SLACK) + self.forgotten
