"""The black-box audit: run a mechanism on two neighbours and look for an event that its claim rules out.

Three tenths of the trials choose the event, the others certify it: exact bounds on its two probabilities hold together
at the confidence, whatever the choice was (Ding, Wang, Wang, Zhang, Kifer 2018, arXiv 1805.10559; Jagielski, Ullman,
Oprea 2020, arXiv 2006.07709).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fedanalytics import _validate
from fedanalytics.auditing import certify, replay, telling, views
from fedanalytics.auditing.claims import Claim
from fedanalytics.auditing.performed import claimed
from fedanalytics.auditing.reports import AuditReport, Check, Count
from fedanalytics.auditing.runs import Mechanism, Runs
from fedanalytics.auditing.telling import OutputSet
from fedanalytics.auditing.views import Attack
from fedanalytics.privacy.events import Event

LEAST = 16
_CHOOSING = 0.3
_ENOUGH = 2**17  # outputs to choose by, in memory
_PILOT = 2**23  # numbers, in memory
_REPLAYED = 256


def audit(
    mechanism: Mechanism,
    neighbours: tuple[Any, Any],
    *,
    claim: Claim | Event,
    trials: int = 65_536,
    confidence: float = 0.95,
    attack: Attack | None = None,
) -> AuditReport:
    """Try to refute a mechanism's claim by what it returns.

    Formal guarantee: if outputs are independent and the claim holds for these neighbours, the verdict is "violated"
    with probability at most 1 - confidence + 2e-9. "consistent" proves nothing: a better attack, other neighbours or
    more trials may tell.

    | a mechanism that | is treated so |
    |---|---|
    | returns NaN | "is NaN" is an event like any other; elsewhere NaN counts as infinite |
    | returns whole numbers beyond 2^53 | they are read as floats, which is post-processing |
    | returns a constant | consistent: a constant tells nothing |
    | stores answers and returns them again | fails the replay check: audit what it does when it draws noise |
    | raises | the error reaches the caller |

    Args:
        mechanism: ``mechanism(data, n)`` returns n independent outputs on `data`, numbers of shape (n,) or (n, d).
        neighbours: (data, data_with_one_more): two inputs that are neighbours in the claim's relation. Take the worst
            ones: the added record is an outlier.
        claim: a privacy event, or `Gdp`, `Zcdp`, `Dp`. Say as much as is known: (epsilon, delta) alone is nearly blind.
        trials: on each neighbour, at least 16; three calls of at most 256 more look for noise that comes again.
        confidence: 1 - the risk of a false alarm.
        attack: a score of your own, as one more view: takes outputs (n, d), returns (n,).

    Raises:
        BadArgument: an argument is not as above, or the mechanism returned something else.

    Example:
        >>> from fedanalytics.privacy import Gaussian, samplers
        >>> noisy = lambda data, n: sum(data) + samplers.rounded_gaussian(1.0, n)
        >>> report = audit(noisy, ([1, 1], [1, 1, 3]), claim=Gaussian(1.0), trials=1024)  # 3 was not clipped to 1
        >>> report.verdict, report.lower_bound > 2
        ('violated', True)
    """
    begun = time.perf_counter()
    claim = claimed(claim)
    trials = _validate.whole(LEAST, trials=trials)
    confidence = _validate.probability(confidence=confidence)
    runs = Runs(mechanism, neighbours)
    checks = replay.checks(runs, min(trials, _REPLAYED))
    choosing = min(round(_CHOOSING * trials), _ENOUGH)
    event = _chosen(runs, choosing, claim, attack)
    hits = np.zeros(2, dtype=np.int64)
    for pair in runs.pieces(trials - choosing):
        hits += [int(event.holds(outputs).sum()) for outputs in pair]
    with_, without = (
        Count(where, int(count), trials - choosing)
        for where, count in zip(("with the record", "without it"), hits, strict=True)
    )
    true, false = (with_, without) if event.more_likely_in else (without, with_)
    weigh = certify.weight(claim, event.expected, (trials - choosing,) * 2, 1 - confidence)
    found = certify.bound(claim, true, false, 1 - confidence, weigh)
    return AuditReport(
        claim=claim,
        unit=claim.unit,
        lower_bound=found.measure,
        limit=found.limit,
        mu=found.mu,
        epsilon=found.epsilon,
        event=str(event),
        direction="in -> out" if event.more_likely_in else "out -> in",
        counts=(with_, without),
        trials=trials,
        confidence=confidence,
        checks=(*checks, _timing(runs)),
        seconds=time.perf_counter() - begun,
    )


def _chosen(runs: Runs, count: int, claim: Claim, attack: Attack | None) -> OutputSet:
    """The event that tells most on `count` outputs of each neighbour; of vectors, a third pilot."""
    pilot = count if runs.width == 1 else min(max(count // 3, 1), max(_PILOT // runs.width, 1))
    pieces = list(runs.pieces(pilot))
    ins, outs = map(np.concatenate, zip(*pieces, strict=True))
    looked = views.fit(ins, outs, attack)
    chosen = pieces if runs.width == 1 else runs.pieces(count - pilot)
    seen = [[[view(outputs) for view in looked] for outputs in pair] for pair in chosen]
    with_, without = ([np.concatenate(parts) for parts in zip(*side, strict=True)] for side in zip(*seen, strict=True))
    return telling.choose(looked, with_, without, claim)


def _timing(runs: Runs) -> Check:
    """Evidence, not judged: clocks are noisy, and constant time is not promised."""
    without, with_ = (1e6 * spent / runs.outputs for spent in runs.seconds)
    finding = f"{with_:.3g} microseconds an output with the record, {without:.3g} without it"
    return Check("timing", passed=None, finding=finding)
