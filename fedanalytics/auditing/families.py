"""Several audits at once: each false alarm shares one risk, so that a nightly run of hundreds stays quiet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fedanalytics import _validate
from fedanalytics.auditing.reports import AuditReport
from fedanalytics.errors import BadArgument


@dataclass(frozen=True)
class FamilyReport:
    """What several audits found.

    Attributes:
        reports: (name, report), in the order of the audits.
        alpha: the risk that any of them is a false alarm.
    """

    reports: tuple[tuple[str, AuditReport], ...]
    alpha: float

    @property
    def violated(self) -> tuple[str, ...]:
        """The names of those whose claims do not hold."""
        return tuple(name for name, report in self.reports if report.verdict == "violated")

    @property
    def verdict(self) -> str:
        """Whether one is "violated"; else "consistent"."""
        return "violated" if self.violated else "consistent"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        audits = {name: report.to_json() for name, report in self.reports}
        return {"verdict": self.verdict, "alpha": self.alpha, "audits": audits}

    def __str__(self) -> str:
        head = f"{self.verdict}: {len(self.violated)} of {len(self.reports)} claims, at a risk of {self.alpha:g} in all"
        return "\n\n".join([head, *(f"{name}\n{report}" for name, report in self.reports)])


def family(audits: Mapping[str, Callable[[float], AuditReport]], *, alpha: float = 1e-3) -> FamilyReport:
    """Run m audits, each at a risk of alpha / m (Bonferroni).

    Args:
        audits: by name: functions that take a confidence and return a report.
        alpha: the risk of any false alarm. At m = 200 it takes about three times the trials of one audit at 5 %.

    Raises:
        BadArgument: there are no audits, or alpha is not in (0, 1).

    Example:
        >>> from fedanalytics.auditing.black_box import audit
        >>> from fedanalytics.privacy import Gaussian, samplers
        >>> def noisy(data, n):
        ...     return sum(data) + samplers.rounded_gaussian(2.0, n)
        >>> def one(confidence):
        ...     return audit(noisy, ([1], [1, 1]), claim=Gaussian(1.0), trials=4096, confidence=confidence)
        >>> family({"sum": one, "again": one}).verdict
        'consistent'
    """
    if not audits:
        raise BadArgument("audits= is empty: give at least one, as name: function of a confidence")
    confidence = 1 - _validate.probability(alpha=alpha) / len(audits)
    return FamilyReport(tuple((name, run(confidence)) for name, run in audits.items()), alpha)
