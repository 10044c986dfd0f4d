"""How wrong an answer is: its standard error, computed again from the stored answer and what was asked.

The question is made anew from its canonical form, and priced anew under its trust model. The result is believed only if
it has the digest under which the ledger stored the answer: then it is that round, with that noise. Of anything else (a
traced computation, several rounds, a cost that the entry does not hold) no error is shown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from fedanalytics.errors import FedAnalyticsError
from fedanalytics.privacy import events
from fedanalytics.privacy.costs import Cost, multiplier
from fedanalytics.privacy.events import DiscreteLaplace, Gaussian, Skellam
from fedanalytics.privacy.relations import Relation
from fedanalytics.report.spends import Spend
from fedanalytics.round.blocks import Block, Noisy, Round
from fedanalytics.round.canonical import canonical
from fedanalytics.round.canonical import digest as name_of
from fedanalytics.round.estimates import Estimate, Noise
from fedanalytics.statistics import Count, Histogram, Mean, Sum, Variance
from fedanalytics.statistics.statistic import Statistic
from fedanalytics.trust.central import Central
from fedanalytics.trust.local import Local
from fedanalytics.trust.priced import PricedBlock

_STATISTICS = {kind.__name__: kind for kind in (Count, Histogram, Mean, Sum, Variance)}
_MALFORMED = (FedAnalyticsError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
_TINY = 1e-12


@dataclass(frozen=True)
class Stored:
    """A stored answer: the digest of its round with its noise, and its JSON text."""

    digest: str
    body: str


@dataclass(frozen=True)
class Precision:
    """The error of an answer.

    Attributes:
        low, high: the least and the greatest standard error of its numbers, in the question's own unit.
        relative: the root mean square of the errors over that of the answers; infinite where these are 0.
        numbers: how many there are.
    """

    low: float
    high: float
    relative: float
    numbers: int


def precision(spend: Spend, stored: Stored | None) -> Precision | None:
    """The error of an answer; None where it cannot be told.

    Example:
        >>> import fedanalytics as fa
        >>> from fedanalytics.ledger import Plan
        >>> from fedanalytics.report.spends import accounts
        >>> with fa.Ledger(":memory:") as ledger:
        ...     budget = ledger.budget("sensors", rho=1.0)
        ...     session = fa.Session(fa.Fleet.from_values([68.5, 70.3] * 50), budget)
        ...     release = session.run(fa.count(), rho=0.5, key="monday")
        ...     [spend] = accounts(ledger.entries()).spends
        ...     again = Plan("monday", spend.question, release.cost.event, spend.units, "central")
        ...     answer = budget.reserve([again])[0].answers[0]
        >>> precision(spend, Stored(answer.digest, json.dumps(answer.body))).low == release.standard_error
        True
    """
    if stored is None:
        return None
    try:
        question, event = (json.dumps(part, sort_keys=True) for part in (spend.question, spend.event))
        estimate = _estimator(_Asked(question, event, spend.units, spend.trust, spend.relation, stored.digest))
        return None if estimate is None else _measured(estimate(json.loads(stored.body)))
    except _MALFORMED:
        return None


def _measured(estimate: Estimate) -> Precision | None:
    errors, values = np.ravel(estimate.standard_error), np.ravel(estimate.value)
    if not (len(errors) and np.all(np.isfinite(errors)) and np.all(np.isfinite(values))):
        return None
    size, error = (float(np.sqrt(np.mean(np.square(part)))) for part in (values, errors))
    relative = error / size if size > _TINY * error else math.inf
    return Precision(float(errors.min()), float(errors.max()), relative, len(errors))


@dataclass(frozen=True)
class _Asked:
    """What an error depends on, besides the answer; question and event as text."""

    question: str
    event: str
    units: int
    trust: str
    relation: str
    digest: str


@lru_cache(maxsize=1024)
def _estimator(asked: _Asked) -> Callable[[Any], Estimate] | None:
    """What makes an estimate of an answer's body; few questions differ."""
    query = _query(json.loads(asked.question)["query"])
    if query is None:
        return None
    round_ = next(query.rounds())
    for part in _parts(round_.blocks[0], asked):
        if name_of({"round": round_, "event": part.event}) == asked.digest:
            return lambda body: part.block.estimate(part.noisy(body[0]))
    return None


def _query(data: Mapping[str, Any]) -> Statistic | None:
    """The statistic that a canonical form names, if it comes back to that form."""
    kind: Any = _STATISTICS.get(data.get("is", ""))
    if kind is None:
        return None
    query: Statistic = kind(**{name: _plain(value) for name, value in data.items() if name != "is"})
    return query if canonical(query) == data else None


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(float(one) if one in {"inf", "-inf"} else one for one in value)
    return value


def _parts(block: Block, asked: _Asked) -> Iterator[PricedBlock]:
    """The block as its trust model may have priced it."""
    model, question, event = asked.trust.partition(",")[0], json.loads(asked.question), json.loads(asked.event)
    match model, events.from_json(event):
        case "central", (Gaussian() | DiscreteLaplace()) as mechanism:
            yield from Central().price(Round((block,)), Cost(asked.units, mechanism)).parts
        case "local", _:
            paid = DiscreteLaplace(multiplier(asked.units, pure=True), Relation(asked.relation))
            yield from Local().price(Round((block,)), Cost(asked.units, paid), int(question["clients"])).parts
        case "secure aggregation", Skellam() as shares:
            _, floor, corrupt = question["quorum"]
            yield from _shares(block, shares, floor - corrupt)


@dataclass(frozen=True)
class _Shares:
    """A sum with a share of the noise from each survivor; its event counts those of the honest at the floor."""

    block: Block
    event: Skellam
    honest: int
    steps: int

    def noisy(self, answer: Any) -> Noisy:
        deviation = math.sqrt(self.event.variance / self.honest * answer["survivors"]) / self.steps
        return Noisy(np.array(answer["values"], dtype=float), Noise(deviation, "skellam", 1 / self.steps))

    def assumed(self, clients: float) -> Noisy:
        return self.noisy({"survivors": clients, "values": self.block.encoder.assumed(clients)})


def _shares(block: Block, event: Skellam, honest: int) -> Iterator[_Shares]:
    """On the grid on which the event's sensitivity is that of the encoder."""
    steps = block.encoder.coarsest
    while steps <= block.encoder.finest:
        if block.encoder.sensitivity(steps, Relation.ZERO_OUT).l2 == event.l2:
            yield _Shares(block, event, honest, steps)
        steps *= 2
