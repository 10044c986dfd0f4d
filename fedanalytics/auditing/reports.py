"""What an audit found: a verdict that is "consistent" or "violated", never "proved".

An audit looks for one event that a claim rules out. Finding none says that this attack, on these neighbours, with this
many trials, found none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from fedanalytics.auditing.claims import Claim
from fedanalytics.round.canonical import canonical


@dataclass(frozen=True)
class Count:
    """How many of how many: `hits` of the `trials` that are called `of`."""

    of: str
    hits: int
    trials: int

    def __str__(self) -> str:
        return f"{self.hits:,} of {self.trials:,} {self.of}"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at beside the event.

    Attributes:
        name: of the check.
        passed: False contradicts the claim; None is evidence that is reported and not judged.
        finding: in words.
    """

    name: str
    passed: bool | None
    finding: str

    def __str__(self) -> str:
        verdict = {True: "passed", False: "FAILED", None: "seen"}[self.passed]
        return f"{self.name}: {verdict}; {self.finding}"


@dataclass(frozen=True)
class AuditReport:
    """What one audit found.

    Attributes:
        claim: that was tried.
        unit: of the next two: "mu", "rho" or "epsilon" (at the claim's delta).
        lower_bound: no mechanism with a smaller parameter does what was seen, but for a chance of 1 - confidence.
        limit: the greatest parameter that the claim admits, at this event.
        mu, epsilon: the same bound as mu-GDP, and as epsilon at the claim's delta.
        event: the set of outputs that tells most, in words.
        direction: "in -> out" where it speaks for the record's presence, "out -> in" where for its absence.
        counts: how often the event was seen.
        trials: of the mechanism, on each neighbour; for a trained model, its canaries.
        confidence: of the bounds.
        checks: what else was looked at.
        seconds: that it all took.
    """

    claim: Claim
    unit: str
    lower_bound: float
    limit: float
    mu: float
    epsilon: float
    event: str
    direction: str
    counts: tuple[Count, ...]
    trials: int
    confidence: float
    checks: tuple[Check, ...] = ()
    seconds: float = math.nan

    @property
    def verdict(self) -> str:
        """Whether the bound exceeds the claim, or a check contradicts it: "violated"; else "consistent"."""
        refuted = self.lower_bound > self.limit or any(check.passed is False for check in self.checks)
        return "violated" if refuted else "consistent"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; what is not finite becomes text."""
        return {
            "verdict": self.verdict,
            "claim": self.claim.to_json(),
            "unit": self.unit,
            "lower_bound": canonical(self.lower_bound),
            "limit": canonical(self.limit),
            "mu": canonical(self.mu),
            "epsilon": canonical(self.epsilon),
            "delta": self.claim.delta,
            "event": self.event,
            "direction": self.direction,
            "counts": [{"of": count.of, "hits": count.hits, "trials": count.trials} for count in self.counts],
            "trials": self.trials,
            "confidence": self.confidence,
            "checks": [{"name": c.name, "passed": c.passed, "finding": c.finding} for c in self.checks],
            "seconds": canonical(self.seconds),
        }

    def __str__(self) -> str:
        delta = self.claim.delta
        said = {"violated": "the claim does not hold", "consistent": "nothing found against it, which is no proof"}
        bound = f"{self.unit} >= {self.lower_bound:.4g}, at {self.confidence:.6g}; the claim admits {self.limit:.4g}"
        stated = f"epsilon >= {self.epsilon:.4g} at delta = {delta:.4g}; the claim says {self.claim.quoted:.4g}"
        rows = [
            ("claim", str(self.claim)),
            ("bound", bound),
            ("", stated),
            ("event", f"{self.event} ({self.direction})"),
            ("seen", ", ".join(map(str, self.counts))),
            ("trials", f"{self.trials:,} in {self.seconds:.2g} s"),
            *(("check", str(check)) for check in self.checks),
        ]
        return "\n".join([f"{self.verdict}: {said[self.verdict]}", *(f"  {name:<7} {text}" for name, text in rows)])
