"""One training run, by guesses: which canaries were trained on, and how well that can be guessed under a claim.

A fair coin each decided which of m canaries were trained on. Someone who sees the result guesses some of the coins and
abstains from the others. If training is (epsilon, delta)-DP, the correct ones among r guesses are dominated by
Binomial(r, e^epsilon / (1 + e^epsilon)), but for a term in delta (Steinke, Nasr, Jagielski 2023, arXiv 2305.08846; the
p-value is that of its Appendix D). Canaries may influence each other in any way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fedanalytics import _validate
from fedanalytics.auditing.bounds import Floats
from fedanalytics.errors import BadArgument

FEWEST = 8
_BOTH_ENDS = 0.75  # the share of the risk that goes to guesses of both kinds


@dataclass(frozen=True)
class Guesses:
    """One way to guess.

    Attributes:
        correct, made: guesses.
        words: what was guessed.
        share: of the risk, which all ways split between them.
    """

    correct: int
    made: int
    words: str
    share: float


def epsilon_bound(correct: int, guesses: int, canaries: int, *, delta: float = 0.0, confidence: float = 0.95) -> float:
    """A lower bound on a training run's epsilon at `delta`, from its correct guesses; 0 where they show nothing.

    Args:
        correct: guesses.
        guesses: that were made, not counting abstentions.
        canaries: that had a coin, guessed or not.
        delta: at which. For 0 the bound is ln(p / (1 - p)), with p of Clopper and Pearson.
        confidence: that the bound holds.

    Raises:
        BadArgument: not 0 <= correct <= guesses <= canaries, or another argument out of its range.

    Example:
        >>> round(epsilon_bound(90, 100, 1000), 4), round(epsilon_bound(90, 100, 1000, delta=1e-5), 4)
        (1.6308, 1.6261)
    """
    _validate.whole(canaries=canaries)
    if not 0 <= _validate.whole(0, correct=correct) <= _validate.whole(0, guesses=guesses) <= canaries:
        raise BadArgument(f"expected correct <= guesses <= canaries, got {correct}, {guesses} and {canaries}")
    if not (_validate.real(delta) and 0 <= delta < 1):
        raise BadArgument(f"delta= must be at least 0 and below 1, got {delta!r}")
    alpha = 1 - _validate.probability(confidence=confidence)
    low, high = 0.0, 1.0
    if chance(correct, guesses, canaries, low, delta) > alpha:
        return 0.0
    while chance(correct, guesses, canaries, high, delta) <= alpha:
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        rare = chance(correct, guesses, canaries, middle, delta) <= alpha
        low, high = (middle, high) if rare else (low, middle)
    return low


def chance(correct: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """The probability of so many correct guesses under (epsilon, delta)-DP, or more: it is a p-value.

    P(W >= v) + 2 m delta max_i P(v > W >= v - i) / i, for v correct ones and W ~ Binomial(r, 1 / (1 + e^-epsilon)).
    """
    from scipy.special import betainc, gammaln  # noqa: PLC0415  # slow to import

    if not correct:
        return 1.0
    log_right, log_wrong = -math.log1p(math.exp(-epsilon)), -epsilon - math.log1p(math.exp(-epsilon))
    found = float(betainc(correct, guesses - correct + 1.0, math.exp(log_right)))
    if delta:
        fewer = np.arange(correct - 1, -1, -1.0)
        log_ways = gammaln(guesses + 1.0) - gammaln(fewer + 1) - gammaln(guesses - fewer + 1)
        masses = np.exp(log_ways + fewer * log_right + (guesses - fewer) * log_wrong)
        found += 2 * canaries * delta * float((np.cumsum(masses) / np.arange(1, correct + 1)).max())
    return min(found, 1.0)


def ways(ins: Floats, outs: Floats) -> Iterator[Guesses]:
    """Guess the greatest scores in, or these in and the least out; half of them all, an eighth, and so on.

    How many are guessed depends on all scores together, which say nothing of the coins; equal ones are guessed alike.
    """
    scores = np.sort(np.concatenate((ins, outs)))
    sizes = [len(scores) // 2 // 4**i for i in range(16) if len(scores) // 2 // 4**i >= FEWEST]
    for size in sizes or [len(scores)]:
        for least, share in ((size // 2, _BOTH_ENDS), (0, 1 - _BOTH_ENDS)):
            top, bottom = scores[least - size], scores[least - 1] if least else -math.inf
            if bottom < top:
                correct = int((ins >= top).sum() + (outs <= bottom).sum())
                made = int((scores >= top).sum() + (scores <= bottom).sum())
                words = f"in for scores of at least {top:.6g}"
                words += f", out for those of at most {bottom:.6g}" if least else ""
                yield Guesses(correct, made, words, share / len(sizes or [0]))
