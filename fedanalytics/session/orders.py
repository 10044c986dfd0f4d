"""What the caller asked, with a price and a name on it: checked whole before anything is reserved."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.ledger import Plan
from fedanalytics.privacy.costs import Cost, cost
from fedanalytics.privacy.events import Event
from fedanalytics.privacy.filters import Filter, Renyi
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.blocks import Query, first_of, rate_of
from fedanalytics.round.canonical import canonical
from fedanalytics.round.together import fractions_of
from fedanalytics.trust.priced import Priced, composed


@runtime_checkable
class OwnCost(Protocol):
    """A query in which its cost stands, such as a traced computation whose releases are noised."""

    def own_cost(self, relation: Relation) -> Cost:
        """The sum of what its releases cost."""
        ...


@runtime_checkable
class Bindable(Protocol):
    """A query with parameters that numeric columns of the fleet may fill."""

    def bound(self, columns: tuple[str, ...]) -> Query:
        """The query with each parameter bound, or BadArgument naming the one that is not."""
        ...


@dataclass(frozen=True)
class Order:
    """One query, its cost and its key.

    Attributes:
        key: what makes the run idempotent, unique within a budget.
        trust: the name of the trust model: another one is another question.
        rule: the budget's filter, which says what it charges.
        asked_of: what narrows the clients, for the record: a group.
        rounds: as they were rehearsed.
        own: whether the events are those of the rounds, because the noise is not the mechanism that was offered.
    """

    query: Query
    cost: Cost
    key: str
    trust: str
    rule: Filter
    asked_of: Mapping[str, Any] = field(default_factory=dict)
    rounds: tuple[Priced, ...] = ()
    own: bool = False

    @cached_property
    def offers(self) -> tuple[Cost, ...]:
        """What each round may cost, by the query's shares."""
        return tuple(self.cost.of_round(Fraction(share)) for share in self.query.shares)

    @cached_property
    def event(self) -> Event:
        """All that is done: the cost's event; on sampled cohorts, or with noise of other kinds, those of the rounds."""
        if self.own:
            return in_all([priced.event for priced in self.rounds])
        whole = self.cost.sampling_rate == 1 or len(self.offers) == 1
        return self.cost.event if whole else in_all([offer.event for offer in self.offers])

    def due(self, index: int) -> Cost:
        """What round `index` may cost.

        Raises:
            BadArgument: the query has no share for it.
        """
        if index >= len(self.offers):
            raise BadArgument(f"{type(self.query).__name__} asks for more rounds than its {len(self.offers)} shares")
        return self.offers[index]

    def covers(self, index: int, priced: Priced) -> bool:
        """Whether a round, in the light of earlier answers, is what was reserved for it."""
        return not self.own or (index < len(self.rounds) and priced.event == self.rounds[index].event)

    @cached_property
    def units(self) -> int:
        """What the budget charges."""
        return self.rule.charge(self.cost) if self.event == self.cost.event else self.rule.price(self.event)

    @cached_property
    def plan(self) -> Plan:
        """What the ledger is asked to reserve."""
        question = {"query": canonical(self.query), "shares": [str(share) for share in self.query.shares]}
        return Plan(self.key, {**question, **self.asked_of}, self.event, self.units, self.trust)

    def again(self, index: int) -> Plan:
        """What pays for one round once more."""
        event = self.rounds[index].event
        question = {**self.plan.question, "round": index + 1}
        return Plan(f"{self.key} (round {index + 1})", question, event, self.rule.price(event), self.trust)


def in_all(events: Sequence[Event]) -> Event:
    """What rounds are together: one event so many times, where they are alike."""
    alike = len(events) > 1 and all(event == events[0] for event in events)
    return events[0].repeated(len(events)) if alike else composed(tuple(events))


def orders(
    queries: Sequence[Query],
    *,
    key: str | Sequence[str] | None,
    weights: Sequence[float | Fraction] | None,
    columns: tuple[str, ...],
    trust: str,
    relation: Relation,
    rule: Filter,
    asked_of: Mapping[str, Any],
    own: bool,
    offer: dict[str, Any],
) -> tuple[Order, ...]:
    """One order per query. The offered cost is split, by `weights`, among the queries that carry none of their own.

    Raises:
        BadArgument: not a query; no cost, two costs, a cost for queries that carry their own, or that
            the budget's filter has no price for; bad weights or keys.
        NotPrivate: an event has no finite loss.
    """
    for query in queries:
        if not isinstance(query, Query):
            raise BadArgument(f"expected a query such as fa.mean(...) or a traced computation, got {query!r}")
    if not queries:
        raise BadArgument("there is no query: give one, or a list of at least one")
    queries = [query.bound(columns) if isinstance(query, Bindable) else query for query in queries]
    for query in queries:
        _check_shares(query)
        if first_of(query) and len(queries) > 1:
            raise BadArgument("a query that goes on from a checkpoint is run alone, not in a list")
    order = rule.order if isinstance(rule, Renyi) else None
    costs = [replace(price, order=order) for price in _costs(queries, weights, relation, offer)]
    return tuple(
        Order(query, price, name, trust, rule, asked_of, own=own)
        for query, price, name in zip(queries, costs, _keys(key, len(queries)), strict=True)
    )


def _check_shares(query: Query) -> None:
    """The shares are what holds a query of many rounds to its cost."""
    shares = query.shares
    if not (isinstance(shares, tuple) and shares and all(isinstance(s, Fraction | int) and s > 0 for s in shares)):
        raise BadArgument(f"{type(query).__name__}.shares must be positive fractions, one per round, got {shares!r}")
    if sum(shares) != 1:
        raise BadArgument(f"{type(query).__name__}.shares must sum to 1, got {sum(shares)}")


def _costs(
    queries: Sequence[Query], weights: Sequence[float | Fraction] | None, relation: Relation, offer: dict[str, Any]
) -> list[Cost]:
    own = {i: query.own_cost(relation) for i, query in enumerate(queries) if isinstance(query, OwnCost)}
    if len(own) == len(queries):
        if any(value is not None for value in offer.values()):
            raise BadArgument("the cost stands in the computation already: leave out rho=, epsilon=, noise_multiplier=")
        return list(own.values())
    rates = {rate_of(query) for i, query in enumerate(queries) if i not in own}
    if len(rates) > 1:
        raise BadArgument(f"queries that share a cost sample their clients at one rate, got {sorted(rates)}")
    total = cost(**offer, relation=relation, sampling_rate=rates.pop())
    parts = iter(fractions_of(weights, len(queries) - len(own)))
    return [own[i] if i in own else total.part(next(parts)) for i in range(len(queries))]


def _keys(key: str | Sequence[str] | None, count: int) -> list[str]:
    """A key for each query: the given ones, `key` (numbered from the second on), or fresh random ones."""
    if key is None:
        return [os.urandom(16).hex() for _ in range(count)]
    if isinstance(key, str):
        _validate.text(key=key)
        return [key if i == 0 else f"{key}#{i + 1}" for i in range(count)]
    if len(key) != count or len(set(key)) < count:
        raise BadArgument(f"key= must be one text, or {count} different ones (one for each query), got {key!r}")
    return [_validate.text(key=one) for one in key]
