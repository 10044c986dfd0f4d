"""Audits of what sessions do: a query under a trust model at a cost, on neighbours that are sought for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from fedanalytics import _validate
from fedanalytics.auditing import black_box
from fedanalytics.auditing.asked import Asked, others_of, relation_of
from fedanalytics.auditing.bounds import Floats
from fedanalytics.auditing.claims import Claim
from fedanalytics.auditing.neighbours import CLIENT, Neighbours, given, made
from fedanalytics.auditing.reports import AuditReport
from fedanalytics.auditing.runs import Mechanism
from fedanalytics.auditing.sketch import columns
from fedanalytics.auditing.views import Attack
from fedanalytics.errors import BadArgument
from fedanalytics.ledger import Budget
from fedanalytics.privacy.events import Event
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.blocks import Query
from fedanalytics.session.orders import Bindable
from fedanalytics.trust import Central, Trust

_FIRST = 8  # of the trials, the part by which one pair of neighbours is chosen from several
_COLUMN = "value"


@dataclass(frozen=True)
class QueryReport(AuditReport):
    """What the audit of a query found: the fields of the worst of its audits, and all of them.

    Attributes:
        neighbours: on which the worst was found: what the client is like.
        trust: the trust model that collected.
        relation: under which they are neighbours.
        all: (neighbours, report), in the order in which they were run.
    """

    neighbours: str = ""
    trust: str = ""
    relation: str = ""
    all: tuple[tuple[str, AuditReport], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        tried = [{"neighbours": name, **report.to_json()} for name, report in self.all]
        asked = {"neighbours": self.neighbours, "trust": self.trust, "relation": self.relation}
        return {**super().to_json(), **asked, "all": tried}

    def __str__(self) -> str:
        tried = ", ".join(dict.fromkeys(name for name, _ in self.all))
        return f"{super().__str__()}\n  client  {self.neighbours}\n  tried   {tried}"


def audit(
    target: Mechanism | Query | Sequence[Query],
    neighbours: Any = None,
    claim: Claim | Event | None = None,
    trials: int = 65_536,
    confidence: float = 0.95,
    *,
    trust: Trust | None = None,
    relation: Relation | str | None = None,
    client: str = CLIENT,
    attack: Attack | None = None,
    rho: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    noise_multiplier: float | None = None,
    budget: Budget | None = None,
) -> AuditReport:
    """Try to refute the claim of a mechanism, or that of a query as a session would run it.

    A query is priced once, at the door of a session, and then collected by the trust model itself, `trials` times on
    each of two neighbouring fleets. What it outputs is everything that the trust model hands out, before any estimate;
    what it claims is the event that a ledger would be told. Of several pairs of neighbours each gets an eighth of the
    trials, and the one that told most and the one whose exact sums differ most get all of them anew; those that no
    client's vector tells apart are run once.

    Formal guarantee: as `fedanalytics.auditing.black_box.audit`; the risk of a false alarm is divided among the pairs.

    Args:
        target: ``mechanism(data, n)``, or a query, or a list of them.
        neighbours: of a mechanism, (data, data_with_one_more). Of a query, a pair of data frames or fleets, or several
            by name; None for pairs that are made for it (`fedanalytics.auditing.neighbours.made`), which suits queries
            that compare their columns with numbers and texts.
        claim: of a mechanism, what it claims; of a query, None for what it is priced at.
        trials: on each neighbour.
        confidence: 1 - the risk of a false alarm.
        trust: of a query; `fa.Central()` if not given.
        relation: of a query; if not given, add-or-remove-one under central trust, zero-out under secure aggregation,
            replace-one under local trust.
        client: the column that names a client, in data frames.
        attack: of a mechanism, a score of your own. A query's is the difference of the exact sums.
        rho: what a query may cost, as for `fa.Session.run`: in zCDP.
        epsilon: pure, or with `delta`.
        delta: goes with `epsilon`.
        noise_multiplier: as noise over sensitivity.
        budget: whose ledger keeps the report, as evidence about its claims; nothing is spent. None to keep it nowhere.

    Raises:
        BadArgument: an argument is not as above, or the session would refuse the query.
        LedgerError: the report could not be written into the budget's ledger.

    Example:
        >>> import fedanalytics as fa
        >>> report = audit(fa.mean("temp", bounds=(0, 110)), trials=512, rho=0.5)
        >>> report.verdict, report.limit, len(report.all) > 2
        ('consistent', 1.0, True)
    """
    if not isinstance(budget, Budget | None):
        raise BadArgument(f"budget= must be a budget of a ledger, ledger.budget(name), got {budget!r}")
    offer = {"rho": rho, "epsilon": epsilon, "delta": delta, "noise_multiplier": noise_multiplier}
    report = _report(target, neighbours, claim, trials, confidence, trust, relation, client, attack, offer)
    if budget is not None:
        budget.record_audit(report)
    return report


def _report(  # noqa: PLR0917  # as `audit` was called
    target: Mechanism | Query | Sequence[Query],
    neighbours: Any,
    claim: Claim | Event | None,
    trials: int,
    confidence: float,
    trust: Trust | None,
    relation: Relation | str | None,
    client: str,
    attack: Attack | None,
    offer: dict[str, float | None],
) -> AuditReport:
    asks = isinstance(target, Query) or (isinstance(target, list | tuple) and len(target) > 0)
    if not asks:
        return _of_mechanism(target, neighbours, claim, trials, confidence, attack, {**offer, "trust": trust})
    if attack is not None:
        raise BadArgument("attack= belongs to a mechanism; of a query the difference of the exact sums is used")
    model = Central() if trust is None else trust
    held = relation_of(model, relation)
    query: Any = target
    if neighbours is None:
        pairs = list(made(_columns(query), held, others_of(model)))
        priced = [Asked.of(query, model, pairs[0].fleet, held, offer)] * len(pairs)  # their public facts are the same
    else:
        pairs = given(neighbours, client)
        priced = [Asked.of(query, model, pair.fleet, held, offer) for pair in pairs]
    found = _worst(_different(zip(pairs, priced, strict=True)), claim, trials, confidence)
    return replace(found, trust=model.name, relation=held.value)


def _of_mechanism(  # noqa: PLR0917  # as `audit` was called
    target: Any,
    neighbours: Any,
    claim: Claim | Event | None,
    trials: int,
    confidence: float,
    attack: Attack | None,
    strange: dict[str, Any],
) -> AuditReport:
    if wrong := [name for name, value in strange.items() if value is not None]:
        raise BadArgument(f"{wrong[0]}= belongs to a query; a mechanism(data, n) is audited by its claim=")
    if neighbours is None or claim is None:
        raise BadArgument(
            "a mechanism(data, n) is audited on neighbours=(data, data_with_one_more), against a claim=; or give a "
            f"query such as fa.mean(...) and what it costs, got {target!r}"
        )
    return black_box.audit(target, neighbours, claim=claim, trials=trials, confidence=confidence, attack=attack)


def _worst(
    asked: Sequence[tuple[Neighbours, Asked]], claim: Claim | Event | None, trials: int, confidence: float
) -> QueryReport:
    """A few trials for each pair; all of them for the one that told most and the one whose sums differ most."""
    trials = _validate.whole(black_box.LEAST, trials=trials)
    several = len(asked) > 1
    alpha = (1 - _validate.probability(confidence=confidence)) / (len(asked) + (2 if several else 0))
    found: list[tuple[str, AuditReport]] = []

    def run(index: int, count: int) -> AuditReport:
        pair, mechanism = asked[index]
        report = black_box.audit(
            mechanism,
            (pair.without, pair.with_),
            claim=mechanism.event if claim is None else claim,
            trials=count,
            confidence=1 - alpha,
            attack=_attack(mechanism.difference(pair)),
        )
        found.append((pair.name, report))
        return report

    if several:
        first = [run(index, max(trials // _FIRST, black_box.LEAST)) for index in range(len(asked))]
        worst = max(range(len(asked)), key=lambda index: _suspicion(first[index]))
        report = first[worst]
        if report.verdict != "violated":
            strongest = max(range(len(asked)), key=lambda index: _strength(*asked[index]))
            again = {index: run(index, trials) for index in dict.fromkeys((strongest, worst))}
            worst, report = max(again.items(), key=lambda one: _suspicion(one[1]))
    else:
        worst, report = 0, run(0, trials)
    name = asked[worst][0].name
    return QueryReport(**{f.name: getattr(report, f.name) for f in fields(report)}, neighbours=name, all=tuple(found))


def _suspicion(report: AuditReport) -> tuple[bool, float]:
    """A violation first; then how much of what the claim admits was reached."""
    return report.verdict == "violated", report.lower_bound / max(report.limit, 1e-12)


def _strength(pair: Neighbours, mechanism: Asked) -> float:
    """By how much the exact sums differ: what to go by where few trials tell nothing."""
    difference = mechanism.difference(pair)
    return 0.0 if difference is None else float(np.sqrt(np.square(difference).sum()))


def _attack(difference: Floats | None) -> Attack | None:
    return None if difference is None or not difference.any() else lambda outputs: outputs @ difference


def _different(asked: Iterable[tuple[Neighbours, Asked]]) -> list[tuple[Neighbours, Asked]]:
    """Without the pairs that differ from an earlier one in no client's vector."""
    found: dict[tuple[bytes, bytes], tuple[Neighbours, Asked]] = {}
    for pair, mechanism in asked:
        found.setdefault((mechanism.sums(pair.without), mechanism.sums(pair.with_)), (pair, mechanism))
    return list(found.values())


def _columns(query: Any) -> Any:
    queries = query if isinstance(query, list | tuple) else (query,)
    for one in queries:
        if not isinstance(one, Query):
            raise BadArgument(f"expected a query such as fa.mean(...) or a traced computation, got {one!r}")
    known = [one.bound((_COLUMN,)) if isinstance(one, Bindable) else one for one in queries]
    return columns([block for one in known for block in next(one.rounds()).blocks])
