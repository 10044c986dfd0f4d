"""What is claimed of the answers, for whom and against whom, and the evidence beside each claim."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedanalytics.ledger.entries import Entry
from fedanalytics.report.spends import Spend

_NOISE = {
    "gaussian": "Gaussian noise",
    "laplace": "Laplace noise",
    "discrete-laplace": "two-sided geometric noise",
    "skellam": "Skellam noise, a share from each client",
    "local-pure": "each client randomises its report",
    "randomized-response": "randomised response",
    "tree-aggregation": "Gaussian noise in a tree over time",
    "matrix-factorization": "Gaussian noise correlated over time",
    "exact": "an exact value, without noise",
    "no-op": "nothing about the data",
}
_TRUST = {
    "central": ("The server sees every value and adds the noise.", "whoever sees the answers"),
    "secure aggregation": (
        "The server sees sums of many clients only; each client adds a share of the noise.",
        "the server too, as long as the stated part of the clients is honest",
    ),
    "local": ("Nobody sees a value; every client randomises its own report.", "everybody"),
}
_RELATIONS = {
    "add-or-remove-one": "with or without any one client, which also hides how many there are",
    "replace-one": "with any one client's data replaced by other data; how many there are is public",
    "zero-out": "with any one client's contribution replaced by nothing; who takes part is public",
}
PROMISES = {
    "add-or-remove-one": ("in the data", "without"),
    "replace-one": ("'s own data", "with any other data in their place"),
    "zero-out": ("'s contribution", "without it"),
}


@dataclass(frozen=True)
class Evidence:
    """One audit: an attempt to refute a claim.

    Attributes:
        seq: of its entry.
        verdict: "violated" or "consistent", never "proved".
        bound: the least loss that was certified, in words; "" if it says none.
        trials: of the attack; 0 if it does not say.
        trust, relation, noise: of what was attacked; "" where it does not say.
    """

    seq: int
    time: str
    budget: str
    verdict: str
    claim: str
    bound: str
    trials: int
    trust: str = ""
    relation: str = ""
    noise: str = ""

    def speaks_of(self, claim: Claim) -> bool:
        """Whether this claim may be what was attacked: nothing that both say differs."""
        said = ((self.trust, _model(claim.trust)), (self.relation, claim.relation), (self.noise, claim.noise))
        return all(mine in {"", theirs} for mine, theirs in said)


@dataclass(frozen=True)
class Claim:
    """What questions have in common that makes one claim.

    Attributes:
        trust, relation: as they stand in the ledger.
        noise: in words.
        strength: the range of the noise multipliers, in words; "" where there is none.
        questions, units: how many, and what they cost.
        insecure: the noise came from a seed, or no cryptography ran: the claim is worth nothing.
    """

    trust: str
    relation: str
    noise: str
    strength: str
    questions: int
    units: int

    @property
    def insecure(self) -> bool:
        """Whether the trust model itself says that it is for tests."""
        return "INSECURE" in self.trust or "SIMULATED" in self.trust

    @property
    def sees(self) -> str:
        """Who sees what."""
        return _TRUST.get(_model(self.trust), ("A trust model that this version does not know.", ""))[0]

    @property
    def against(self) -> str:
        """Against whom it holds."""
        return _TRUST.get(_model(self.trust), ("", "unknown"))[1]

    @property
    def neighbours(self) -> str:
        """Which fleets must be hard to tell apart."""
        return _RELATIONS.get(self.relation, "by a relation that this version does not know")


def claims(spends: Iterable[Spend]) -> tuple[Claim, ...]:
    """The claims of these questions, the costliest first; what was given back claims nothing.

    Example:
        >>> import datetime as dt
        >>> now, event = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), {"event": "gaussian", "noise_multiplier": 7.0711}
        >>> spend = Spend(1, now, "b", "ada", "k", "Mean", (), 5, "central", "replace-one", event, {})
        >>> [(claim.noise, claim.strength, claim.against) for claim in claims([spend])]
        [('Gaussian noise', 'multiplier 7.07', 'whoever sees the answers')]
    """
    groups: dict[tuple[str, str, str], list[Spend]] = {}
    for spend in spends:
        if spend.paid:
            groups.setdefault((spend.trust, spend.relation, noise_of(spend.event)), []).append(spend)
    found = [
        Claim(*key, _strength(several), len(several), sum(spend.paid for spend in several))
        for key, several in groups.items()
    ]
    return tuple(sorted(found, key=lambda claim: -claim.units))


def noise_of(event: Any) -> str:
    """The noise of an event, in words.

    >>> noise_of({"event": "repeated", "count": 3, "of": {"event": "gaussian", "noise_multiplier": 2.0}})
    'Gaussian noise, 3 times'
    """
    match event:
        case {"event": "poisson-sampled", "of": inner}:
            return f"{noise_of(inner)}, on a secret sample of the clients"
        case {"event": "repeated", "of": inner, "count": count}:
            return f"{noise_of(inner)}, {count} times"
        case {"event": "composed"}:
            parts = next((part for name, part in event.items() if name != "event" and isinstance(part, list)), [])
            return " and ".join(dict.fromkeys(map(noise_of, parts))) or "nothing about the data"
        case {"event": str(kind)}:
            return _NOISE.get(kind, kind)
    return "unknown"


def evidence(entries: Iterable[Entry]) -> tuple[Evidence, ...]:
    """What audit entries say, the newest first; fields that an entry lacks are left out."""
    found = [
        Evidence(
            entry.seq,
            entry.time,
            str(entry.body.get("budget") or ""),
            str(report["verdict"]),
            name or _claimed(report.get("claim")),
            _bound(report),
            trials if isinstance(trials := report.get("trials"), int) else 0,
            _model(str(report.get("trust") or "")),
            str(report.get("relation") or ""),
            _noise(report.get("claim")),
        )
        for entry in entries
        for name, report in _reports(entry.body)
    ]
    return tuple(reversed(found))


def _noise(claim: Any) -> str:
    """Of a claim that is an event's."""
    event = claim.get("event") if isinstance(claim, Mapping) else None
    return noise_of(event) if isinstance(event, Mapping) else ""


def _model(trust: str) -> str:
    """The trust model itself, without its parameters."""
    return trust.partition(",")[0]


def _reports(value: Any, name: str = "", depth: int = 4) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Wherever a report stands in an entry: one, or a family of them by name."""
    if not isinstance(value, Mapping) or not depth:
        return
    family = value.get("audits")
    if isinstance(family, Mapping):
        for each, report in family.items():
            yield from _reports(report, str(each), depth - 1)
    elif "verdict" in value:
        yield name, value
    else:
        for inner in value.values():
            yield from _reports(inner, name, depth - 1)


def _claimed(claim: Any) -> str:
    if not isinstance(claim, Mapping):
        return str(claim or "")
    event = claim.get("event")
    if isinstance(event, Mapping):
        kind, stated = noise_of(event), {**event, **claim}
    else:
        kind, stated = claim.get("claim") or noise_of(claim), dict(claim)
    numbers = [
        f"{name.replace('_', ' ')} = {value:.4g}" for name, value in stated.items() if type(value) in {float, int}
    ]
    return ", ".join([str(kind), *numbers])


def _bound(report: Mapping[str, Any]) -> str:
    bound, limit, unit = report.get("lower_bound"), report.get("limit"), report.get("unit", "")
    if not (isinstance(bound, float | int) and isinstance(limit, float | int) and math.isfinite(bound)):
        return ""
    return f"{unit} ≥ {bound:.3g}; the claim admits {limit:.3g}"


def _strength(spends: Sequence[Spend]) -> str:
    found = [m for spend in spends if isinstance(m := spend.event.get("noise_multiplier"), float | int)]
    if not found:
        return ""
    low, high = (f"{end:.3g}" for end in (min(found), max(found)))
    return f"multiplier {low}" if low == high else f"multipliers {low} to {high}"
