"""Audits of one training run, by canaries: records of which a fair coin each decided whether they were trained on.

Afterwards every canary gets a score, greater where it seems to have been there; scores may use the model, never the
coins. Two bounds follow: by guesses (`guesses`), which holds however canaries influence each other, and the pooled one,
which takes their scores for independent runs of one mechanism. That is nearly so where each canary has a direction of
its own in the model (Nasr, Hayes, Steinke, Balle, Tramer, Jagielski, Carlini, Terzis 2023, arXiv 2302.07956).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.auditing import certify, guesses
from fedanalytics.auditing.bounds import Floats
from fedanalytics.auditing.certify import Bound
from fedanalytics.auditing.claims import Claim
from fedanalytics.auditing.performed import claimed
from fedanalytics.auditing.reports import AuditReport, Count
from fedanalytics.errors import BadArgument
from fedanalytics.privacy import gdp
from fedanalytics.privacy.events import Event

_UNFAIR = 1e-9


def audit_canaries(
    inside: npt.ArrayLike,
    outside: npt.ArrayLike,
    *,
    claim: Claim | Event,
    confidence: float = 0.95,
    independent: bool = False,
) -> AuditReport:
    """Try to refute a training run's claim by the scores of its canaries.

    Formal guarantee: if a fair coin decided for each canary whether it was trained on, and the claim holds for the
    whole run, the verdict is "violated" with probability at most 1 - confidence; with `independent`, if moreover the
    scores are those of independent runs.

    Args:
        inside: scores of the canaries that were trained on, shape (m1,).
        outside: scores of those that were not, shape (m2,).
        claim: of the whole run, for one canary. By guesses, its epsilon at its delta is tried; pooled, all of it.
        confidence: 1 - the risk of a false alarm.
        independent: whether to take scores for independent runs. The bound is tighter, and as true as that.

    Raises:
        BadArgument: fewer than 8 scores on a side, one that is no number, shares that no fair coin gives (at a chance
            of 1e-9), or another argument that is not as above.

    Example:
        >>> from fedanalytics.auditing.claims import Dp
        >>> report = audit_canaries(np.linspace(2, 3, 500), np.linspace(0, 1, 500), claim=Dp(3.0, 1e-5))
        >>> report.verdict, round(report.lower_bound, 1)
        ('violated', 4.7)
    """
    begun = time.perf_counter()
    claim = claimed(claim)
    alpha = 1 - _validate.probability(confidence=confidence)
    ins, outs = _scores(inside=inside), _scores(outside=outside)
    event, counts, found = (_pooled if independent else _guessed)(ins, outs, claim, alpha)
    return AuditReport(
        claim=claim,
        unit=claim.unit if independent else "epsilon",
        lower_bound=found.measure,
        limit=found.limit,
        mu=found.mu,
        epsilon=found.epsilon,
        event=event,
        direction="in -> out",
        counts=counts,
        trials=len(ins) + len(outs),
        confidence=confidence,
        seconds=time.perf_counter() - begun,
    )


def _guessed(ins: Floats, outs: Floats, claim: Claim, alpha: float) -> tuple[str, tuple[Count, ...], Bound]:
    """The best of some ways to guess; each has its share of the risk, fixed beforehand."""
    _fair(len(ins), len(outs))
    canaries, best, least = len(ins) + len(outs), None, -1.0
    for way in guesses.ways(ins, outs):
        sure = 1 - alpha * way.share
        if best and guesses.epsilon_bound(way.correct, way.made, canaries, confidence=sure) <= least:
            continue  # a greater delta does not help
        epsilon = guesses.epsilon_bound(way.correct, way.made, canaries, delta=claim.delta, confidence=sure)
        if epsilon > least:
            best, least = way, epsilon
    if best is None:
        return "all scores are equal", (Count("guesses correct", 0, 0),), Bound(0.0, claim.quoted, 0.0, 0.0)
    mu = gdp.mu_of(least, claim.delta) if least and claim.delta else 0.0
    return best.words, (Count("guesses correct", best.correct, best.made),), Bound(least, claim.quoted, mu, least)


def _pooled(ins: Floats, outs: Floats, claim: Claim, alpha: float) -> tuple[str, tuple[Count, ...], Bound]:
    """The best of some thresholds: the k-th greatest score without the record, for k fixed beforehand.

    The rate of scores above it is at most Beta(k, m2 - k + 1), of which k - 1 false positives give the Clopper-Pearson
    bounds; given the threshold, the true positives are binomial.
    """
    falling = np.sort(outs)[::-1]
    ranks = [len(outs) // 2 // 4**i for i in range(16) if len(outs) // 2 // 4**i]
    found = []
    for k in ranks:
        true = Count("in", int((ins > falling[k - 1]).sum()), len(ins))
        false = Count("out", k - 1, len(outs))
        rate = np.array([k / len(outs)])
        expected = float(claim.power(rate)[0]), float(rate[0])
        weight = certify.weight(claim, expected, (true.trials, false.trials), alpha / len(ranks))
        bound = certify.bound(claim, true, false, alpha / len(ranks), weight)
        found.append((f"the score exceeds {falling[k - 1]:.6g}", (true, false), bound))
    return max(found, key=lambda one: one[2].excess)


def _scores(**argument: Any) -> Floats:
    ((name, given),) = argument.items()
    try:
        scores = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadArgument(f"{name}= must be numbers, one score a canary: {error}") from error
    if scores.ndim != 1 or len(scores) < guesses.FEWEST or np.isnan(scores).any():
        raise BadArgument(
            f"{name}= must be at least {guesses.FEWEST} scores, none of them NaN, got an array of shape {scores.shape} "
            f"with {int(np.isnan(scores).sum())} NaN"
        )
    return scores


def _fair(ins: int, outs: int) -> None:
    from scipy.special import bdtr  # noqa: PLC0415  # slow to import

    if 2 * bdtr(min(ins, outs), ins + outs, 0.5) < _UNFAIR:
        raise BadArgument(
            f"{ins} canaries inside and {outs} outside are not what a fair coin for each gives, on which the bound by "
            "guesses rests; toss one for each, or pass independent=True if their scores are independent"
        )
