"""The driver: price the whole plan, reserve, collect, commit, send in. All that is released goes through here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from fedanalytics._version import __version__
from fedanalytics.errors import BadArgument
from fedanalytics.ledger import Answer, Budget, Reservation
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.sampling import if_seen
from fedanalytics.round.blocks import Answers, Block, Noisy, Query, Round
from fedanalytics.round.canonical import digest
from fedanalytics.round.together import lockstep
from fedanalytics.round.work import Work
from fedanalytics.session.orders import Order, orders
from fedanalytics.session.preview import Preview, error_of, rehearsed
from fedanalytics.session.release import Price, Receipt, Release
from fedanalytics.trust import Central, Priced, Trust
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
class Session:
    """A fleet, a budget that pays, and a trust model: the only way to an answer.

    The first session binds the budget to the fleet's unit of privacy and dataset; later ones must agree.

    Raises:
        BadArgument: the budget belongs to another dataset or unit.

    Example:
        >>> import fedanalytics as fa
        >>> budget = fa.Ledger(":memory:").budget("sensors", epsilon=3.0, delta=1e-6)
        >>> session = fa.Session(fa.Fleet.from_values([68.5, 70.3, 69.8] * 1000, population=3000), budget)
        >>> release = session.run(fa.mean("value", bounds=(0, 110)), rho=0.01)
        >>> bool(release.interval(0.999999)[0] < 69.6 < release.interval(0.999999)[1]), release.cost.rho
        (True, 0.01)
    """

    fleet: Fleet
    budget: Budget
    trust: Trust = field(default_factory=Central)

    def __post_init__(self) -> None:
        if self.budget.group is not None and self.budget.group != self.fleet.group:
            raise BadArgument(
                f"budget {self.budget.name!r} is for the group {self.budget.group!r} only, and the fleet is "
                f"{self.fleet.group or 'of all clients'!r}: narrow it with fleet.only{self.budget.group!r}"
            )
        self.budget.bind(unit=self.fleet.client, dataset=self.fleet.dataset)

    def run(
        self,
        query: Query | Sequence[Query],
        *,
        key: str | Sequence[str] | None = None,
        weights: Sequence[float | Fraction] | None = None,
        rho: float | None = None,
        epsilon: float | None = None,
        delta: float | None = None,
        noise_multiplier: float | None = None,
    ) -> Any:
        """Asks, pays and returns a `Release`; a list of queries gives a list of them, in one pass over the data.

        The cost is the total of the call, in exactly one form; it is split equally, or by `weights`, among the queries
        that carry no cost of their own. With a `key` (or a list, one for each query) the run is idempotent: the same
        key and question return the stored result and spend nothing.

        Raises:
            BadArgument: anything that the caller wrote and cannot be meant; nothing is reserved.
            BudgetExceeded: the budget cannot pay; nothing is reserved.
            KeyReused: the key stands for another question.
            LedgerError: the ledger cannot be read or written.
        """
        offer = {"rho": rho, "epsilon": epsilon, "delta": delta, "noise_multiplier": noise_multiplier}
        placed = self._orders(query, key, weights, offer)
        for order in placed:
            self._rehearsed(order)
        reservations = self.budget.reserve([order.plan for order in placed])
        results = self._driven(placed, reservations)
        releases = [self._release(*row) for row in zip(placed, reservations, results, strict=True)]
        return releases if _several(query) else releases[0]

    def preview(
        self,
        query: Query | Sequence[Query],
        *,
        weights: Sequence[float | Fraction] | None = None,
        rho: float | None = None,
        epsilon: float | None = None,
        delta: float | None = None,
        noise_multiplier: float | None = None,
    ) -> Any:
        """What `run` would cost and be worth: a `Preview`, or a list. Sees no data, spends nothing."""
        offer = {"rho": rho, "epsilon": epsilon, "delta": delta, "noise_multiplier": noise_multiplier}
        placed = self._orders(query, None, weights, offer)
        left = self.budget.remaining
        fits = sum(order.units for order in placed) <= left.units
        of = "value" if self.fleet.population is not None else "sum"
        previews = [
            Preview(error_of(result), of, self._price(order), left, fits, len(asked))
            for order in placed
            for result, asked in [self._rehearsed(order)]
        ]
        return previews if _several(query) else previews[0]

    def _orders(self, query: Any, key: Any, weights: Any, offer: dict[str, Any]) -> tuple[Order, ...]:
        queries = tuple(query) if _several(query) else (query,)
        return orders(
            queries,
            key=key,
            weights=weights,
            columns=tuple(name for name, kind in self.fleet.columns.items() if kind == "DOUBLE"),
            trust=self.trust.name,
            relation=self.budget.relation,
            rule=self.budget.filter,
            asked_of={} if self.fleet.group is None else {"group": list(self.fleet.group)},
            offer=offer,
        )

    def _rehearsed(self, order: Order) -> tuple[Any, tuple[Round, ...]]:
        """The query driven over an assumed fleet: prices the whole plan and checks all work at the door."""

        def price(round_: Round, index: int) -> Priced:
            for block in round_.blocks:
                self.fleet.check(block.work, text=block.encoder.reads_text)
            return self.trust.price(round_, order.events[index])

        return rehearsed(order.query, price, self.fleet.population)

    def _driven(self, placed: Sequence[Order], reservations: Sequence[Reservation]) -> tuple[Any, ...]:
        steps = lockstep([order.query for order in placed])
        asked, index = next(steps), 0
        while True:
            answers = self._answered(asked, placed, reservations, index)
            try:
                asked, index = steps.send(answers), index + 1
            except StopIteration as stop:
                results: tuple[Any, ...] = stop.value
                return results

    def _answered(
        self, asked: dict[int, Round], placed: Sequence[Order], reservations: Sequence[Reservation], index: int
    ) -> dict[int, Answers]:
        """Stored answers where there are any; the others collected in one pass and committed in one transaction."""
        priced = {i: self.trust.price(round_, _due(placed[i], index)) for i, round_ in asked.items()}
        names = {i: digest({"round": asked[i], "event": priced[i].event}) for i in asked}
        answers = {i: _stored(reservations[i], index, names[i], priced[i]) for i in asked}
        fresh = [i for i in asked if answers[i] is None]
        if fresh:
            collected = iter(self.trust.collect(self.fleet, Priced(tuple(p for i in fresh for p in priced[i].parts))))
            drawn = {i: [next(collected).values.tolist() for _ in priced[i].parts] for i in fresh}
            kept = self.budget.commit(
                [Answer(reservations[i], index, names[i], drawn[i], asked[i].sampling_rate) for i in fresh]
            )
            answers.update({i: _noisy(body, priced[i]) for i, body in zip(fresh, kept, strict=True)})
        return {i: answer for i, answer in answers.items() if answer is not None}

    def _price(self, order: Order) -> Price:
        return Price(order.units, order.event, self.budget.delta, self.budget.filter.counts)

    def _release(self, order: Order, reservation: Reservation, result: Any) -> Release:
        budget = self.budget
        receipt = Receipt(
            query=order.plan.question["query"],
            key=order.key,
            budget=budget.name,
            unit=budget.unit,
            dataset=budget.dataset,
            relation=budget.relation.value,
            trust=self.trust.name,
            event=order.event.to_json(),
            sampling=self._sampling(order),
            group=self.fleet.group,
            sql=self._described(order.query),
            entry=reservation.seq,
            hash=reservation.hash,
            replayed=reservation.replayed,
            version=__version__,
        )
        return Release(result, self._price(order), receipt, _labels(order.query))

    def _sampling(self, order: Order) -> dict[str, Any] | None:
        if order.cost.sampling_rate == 1:
            return None
        seen = None
        if self.budget.delta is not None:
            seen = Accountant().compose(if_seen(order.event)).epsilon(self.budget.delta)
        return {"rate": order.cost.sampling_rate, "sampler": "poisson", "epsilon_if_cohort_seen": seen}

    def _described(self, query: Query) -> Any:
        block = getattr(query, "block", None)
        return self.fleet.describe(block.work) if isinstance(block, Block) else None


def _several(query: Any) -> bool:
    return isinstance(query, list | tuple)


def _due(order: Order, index: int) -> Any:
    if index >= len(order.events):
        raise BadArgument(f"{type(order.query).__name__} asks for more rounds than its {len(order.events)} shares")
    return order.events[index]


def _stored(reservation: Reservation, index: int, name: str, priced: Priced) -> Answers | None:
    stored = reservation.answers.get(index)
    if stored is None:
        return None
    if stored.digest != name:
        raise BadArgument(
            f"round {index + 1} differs from the stored one: a resumed query must ask what it asked before"
        )
    return _noisy(stored.body, priced)


def _noisy(body: Any, priced: Priced) -> Answers:
    return tuple(
        Noisy(np.array(values, dtype=float), part.noise) for values, part in zip(body, priced.parts, strict=True)
    )


def _labels(query: Any) -> tuple[tuple[Any, ...], ...]:
    axes = (getattr(query, "groups", None), getattr(query, "labels", None))
    return tuple(tuple(axis) for axis in axes if axis is not None)
