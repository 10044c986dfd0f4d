"""The driver: price the whole plan, reserve, collect, commit, send in. All that is released goes through here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from fedanalytics.errors import BadArgument
from fedanalytics.ledger import Answer, Budget, Reservation
from fedanalytics.round.blocks import Answers, Resumed, Round, first_of
from fedanalytics.round.canonical import digest
from fedanalytics.round.together import lockstep
from fedanalytics.round.work import Work
from fedanalytics.session.orders import Order
from fedanalytics.trust import Priced, Trust
from fedanalytics.trust.priced import Fleet as Summing


class Fleet(Summing, Protocol):
    """Where clients are, as a session needs it."""

    @property
    def client(self) -> str:
        """The column that names a client: the unit of privacy."""
        ...

    @property
    def dataset(self) -> str:
        """The declared identity of the data."""
        ...

    @property
    def population(self) -> int | None:
        """The declared number of clients, public; None if not declared."""
        ...

    @property
    def roster(self) -> int:
        """How many clients there are; read only where who takes part is public."""
        ...

    @property
    def group(self) -> tuple[str, str | float] | None:
        """(column, value) that all its clients have; None if it is the whole of the dataset."""
        ...

    @property
    def columns(self) -> Mapping[str, str]:
        """Names and types of the data columns."""
        ...

    def check(self, work: Work, *, text: bool | None = None) -> None:
        """Refuses work that cannot run, or whose values the encoder cannot read, before anything is reserved."""
        ...

    def describe(self, work: Work) -> Any:
        """What will run, as public text."""
        ...


@dataclass(frozen=True)
class Driver:
    """Drives the queries of orders over a fleet, paid from a budget, under a trust model."""

    fleet: Fleet
    budget: Budget
    trust: Trust

    @property
    def roster(self) -> int | None:
        """How many clients there are, where that is public."""
        return self.fleet.roster if self.trust.clients_add_noise else None

    @property
    def clients(self) -> int | None:
        """About how many clients there are, as far as it is public: counted, or declared."""
        return self.fleet.population if self.roster is None else self.roster

    def priced(self, order: Order, round_: Round, index: int) -> Priced:
        """The round as it will be collected.

        Raises:
            BadArgument: the query has no share for it, or the trust model cannot collect it at this cost.
        """
        return self.trust.price(round_, order.due(index), self.roster)

    def reserved(self, placed: Sequence[Order]) -> Sequence[Reservation]:
        """Pays for all orders.

        Where clients add the noise, what an earlier run asked and did not commit may have been seen. It is not drawn
        anew for nothing: a round that is asked again is paid again, under a key of its own.

        Raises:
            BadArgument: a checkpoint is ahead of the ledger.
        """
        reservations = self.budget.reserve([order.plan for order in placed])
        for order, reservation in zip(placed, reservations, strict=True):
            if not set(range(first_of(order.query))) <= reservation.answers.keys():
                raise BadArgument(
                    f"the checkpoint has answers that the ledger does not hold under the key {order.key!r}: it belongs "
                    "to another key or ledger, or the ledger was restored from an older backup"
                )
        if not self.trust.clients_add_noise:
            return reservations
        return [self._paid_again(*row) for row in zip(placed, reservations, strict=True)]

    def _paid_again(self, order: Order, reservation: Reservation) -> Reservation:
        """The reservation, to go on with; with another beside it for a round that may have been seen."""
        torn = self._torn(order, reservation)
        if torn is None:
            return reservation
        again = order.again(torn)
        attempt = 2
        while self.budget.reserve([replace(again, key=f"{again.key}, attempt {attempt}")])[0].replayed:
            attempt += 1
        return replace(reservation, replayed=False)

    def driven(self, placed: Sequence[Order], reservations: Sequence[Reservation]) -> tuple[Any, ...]:
        """The results of the queries, their rounds asked together."""
        steps = lockstep([order.query for order in placed])
        [index] = {first_of(order.query) for order in placed}
        try:
            asked = next(steps)
            while True:
                asked, index = steps.send(self._answered(asked, placed, reservations, index)), index + 1
        except StopIteration as stop:
            results: tuple[Any, ...] = stop.value
            return results

    def _answered(
        self, asked: Mapping[int, Round], placed: Sequence[Order], reservations: Sequence[Reservation], index: int
    ) -> dict[int, Answers]:
        """Stored answers where there are any; the others collected in one pass and committed in one transaction."""
        priced = {i: self._covered(placed[i], round_, index) for i, round_ in asked.items()}
        names = {i: _name(asked[i], priced[i]) for i in asked}
        answers = {i: _stored(reservations[i], index, names[i], priced[i]) for i in asked}
        fresh = [i for i in asked if answers[i] is None]
        if fresh:
            collected = iter(self.trust.collect(self.fleet, Priced(tuple(p for i in fresh for p in priced[i].parts))))
            bodies = {i: [next(collected) for _ in priced[i].parts] for i in fresh}
            kept = self.budget.commit(
                [Answer(reservations[i], index, names[i], bodies[i], asked[i].sampling_rate) for i in fresh]
            )
            answers.update({i: priced[i].noisy(body) for i, body in zip(fresh, kept, strict=True)})
        return {i: answer for i, answer in answers.items() if answer is not None}

    def _covered(self, order: Order, round_: Round, index: int) -> Priced:
        priced = self.priced(order, round_, index)
        if not order.covers(index, priced):
            raise BadArgument(
                f"round {index + 1} of {type(order.query).__name__} is {priced.event!r}, which was not rehearsed: "
                "where a query looks may depend on earlier answers, the noise of its rounds may not"
            )
        return priced

    def _torn(self, order: Order, reservation: Reservation) -> int | None:
        """The round that an earlier run may have asked and did not store; None if there is none."""
        if not reservation.replayed:
            return None
        whole = order.query.beginning() if isinstance(order.query, Resumed) else order.query
        rounds, index = whole.rounds(), 0
        try:
            asked = next(rounds)
            while answers := self._earlier(order, reservation, asked, index):
                asked, index = rounds.send(answers), index + 1
        except StopIteration:
            return None
        return index

    def _earlier(self, order: Order, reservation: Reservation, round_: Round, index: int) -> Answers | None:
        priced = self.priced(order, round_, index)
        return _stored(reservation, index, _name(round_, priced), priced)


def _name(round_: Round, priced: Priced) -> str:
    """What an answer is stored under: what was asked, and what was done to it."""
    return digest({"round": round_, "event": priced.event})


def _stored(reservation: Reservation, index: int, name: str, priced: Priced) -> Answers | None:
    stored = reservation.answers.get(index)
    if stored is None:
        return None
    if stored.digest != name:
        raise BadArgument(
            f"round {index + 1} differs from the stored one: a resumed query must ask what it asked before"
        )
    return priced.noisy(stored.body)
