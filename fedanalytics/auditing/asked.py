"""A query under a trust model, at a price, as a mechanism: what a session would collect, so many times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedanalytics.auditing.bounds import Floats
from fedanalytics.auditing.neighbours import Neighbours
from fedanalytics.auditing.remembered import Remembered
from fedanalytics.ledger import Ledger
from fedanalytics.privacy.events import Event
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.blocks import Query, Round
from fedanalytics.round.together import lockstep
from fedanalytics.session import Session
from fedanalytics.session.orders import Order, in_all
from fedanalytics.trust import Central, Local, Priced, Trust

_PLENTY = 1e6  # rho or epsilon of a budget that nothing is spent from
_DELTA = 1e-6


@dataclass(frozen=True)
class Asked:
    """Queries with a price on them.

    The price is the session's own, through its own door, on a budget that nobody keeps; what is run is the trust
    model's `collect` on the rounds as they were priced, the queries in lock step, as a session's driver runs them.

    Attributes:
        trust: who collects.
        orders: one for each query.
        roster: how many clients there are, where that is public.
    """

    trust: Trust
    orders: tuple[Order, ...]
    roster: int | None

    @classmethod
    def of(
        cls, query: Query | Sequence[Query], trust: Trust, fleet: Any, relation: Relation, offer: dict[str, Any]
    ) -> Asked:
        """What a session over this fleet would be asked.

        Raises:
            BadArgument: what a session refuses at its door.
        """
        with Ledger(":memory:") as ledger:
            session = Session(fleet, ledger.budget("audit", relation=relation, **_terms(trust, offer)), trust)
            placed = tuple(order for order, _ in session.rehearsed(query, None, **offer))
        return cls(trust, placed, fleet.roster if trust.clients_add_noise else None)

    @property
    def event(self) -> Event:
        """What the ledger would be told: of all queries together."""
        return in_all([order.event for order in self.orders])

    def __call__(self, fleet: Remembered, n: int) -> Floats:
        """So many independent runs: every number that the trust model hands out, shape (n, d)."""
        return np.array([_numbers(list(self._answers(fleet))) for _ in range(n)])

    def difference(self, pair: Neighbours) -> Floats | None:
        """By how much the exact sums differ, over the variance of the noise, in the places of an output.

        None where outputs are no noisy sums, or there are several rounds.
        """
        if self._rounds > 1:
            return None
        parts = self._first.parts
        blocks, steps = [part.block for part in parts], [part.steps for part in parts]
        without, with_ = (fleet.sums(blocks, steps) for fleet in (pair.without, pair.with_))
        shaped: list[Any] = []
        for part, less, more, answer in zip(parts, without, with_, self._answer(pair.without), strict=True):
            weights = ((more - less) / part.steps / part.assumed(1.0).noise.deviation ** 2).tolist()
            values = answer.get("values") if isinstance(answer, dict) else answer
            if values is None or len(values) != len(weights):
                return None
            shaped.append({**answer, "survivors": 0, "values": weights} if isinstance(answer, dict) else weights)
        return np.array(_numbers(shaped))

    def sums(self, fleet: Remembered) -> bytes:
        """What tells two fleets apart, to the first round: each client's vector in any order, and their sum."""
        blocks, steps = ([getattr(part, name) for part in self._first.parts] for name in ("block", "steps"))
        rows = fleet.messages(blocks, steps)
        return b"".join(
            np.concatenate([part[np.lexsort(part.T)].ravel(), total]).tobytes()
            for part, total in zip(rows, fleet.sums(blocks, steps), strict=True)
        )

    def _answers(self, fleet: Remembered) -> Iterator[Any]:
        """The answers of all rounds."""
        if self._rounds == 1:
            yield from self.trust.collect(fleet, self._first)
            return
        steps = lockstep([order.query for order in self.orders])
        asked, index = next(steps), 0
        try:
            while True:
                priced = {i: self._priced(i, round_, index) for i, round_ in asked.items()}
                answers = self.trust.collect(fleet, Priced(tuple(p for one in priced.values() for p in one.parts)))
                yield from answers
                left = iter(answers)
                sent = {i: one.noisy([next(left) for _ in one.parts]) for i, one in priced.items()}
                asked, index = steps.send(sent), index + 1
        except StopIteration:
            return

    def _answer(self, fleet: Remembered) -> tuple[Any, ...]:
        return self.trust.collect(fleet, self._first)

    def _priced(self, query: int, round_: Round, index: int) -> Priced:
        order = self.orders[query]
        same = order.rounds[index] if index < len(order.rounds) else None
        if same is not None and [part.block for part in same.parts] == list(round_.blocks):
            return same
        return self.trust.price(round_, order.due(index), self.roster)

    @property
    def _rounds(self) -> int:
        return max(len(order.rounds) for order in self.orders)

    @property
    def _first(self) -> Priced:
        return Priced(tuple(part for order in self.orders for part in order.rounds[0].parts))


def relation_of(trust: Trust, asked: Relation | str | None) -> Relation:
    """The neighbouring relation: the one asked for, or the one that a trust model's budgets have first."""
    if asked is not None:
        return Relation(asked)
    if isinstance(trust, Central):
        return Relation.ADD_OR_REMOVE_ONE
    return Relation.REPLACE_ONE if isinstance(trust, Local) else Relation.ZERO_OUT


def others_of(trust: Trust) -> int:
    """How many clients stand beside the audited one: as few as the trust model takes, so that nothing hides it."""
    if isinstance(trust, Central):
        return 2
    return 0 if isinstance(trust, Local) else 9


def _terms(trust: Trust, offer: dict[str, Any]) -> dict[str, Any]:
    """Of a budget that such a session can be opened on."""
    if not trust.clients_add_noise:
        return {"rho": _PLENTY}
    if isinstance(trust, Local):
        return {"epsilon": _PLENTY}
    return {"epsilon": _PLENTY, "delta": offer.get("delta") or _DELTA, "filter": "renyi"}


def _numbers(answer: Any) -> list[float]:
    """Every number in an answer, in an order that does not change."""
    if isinstance(answer, dict):
        return [number for key in sorted(answer) for number in _numbers(answer[key])]
    if isinstance(answer, list | tuple):
        return [number for one in answer for number in _numbers(one)]
    return [float(answer)]
