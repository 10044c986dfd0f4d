"""The door: a query and what it may cost go in, a release with its receipt comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, cast

from fedanalytics._version import __version__
from fedanalytics.errors import BadArgument
from fedanalytics.ledger import Budget, Reservation
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.sampling import if_seen
from fedanalytics.round.blocks import Block, Query, Resumed, Round
from fedanalytics.session.driver import Driver, Fleet
from fedanalytics.session.orders import Order, orders
from fedanalytics.session.preview import Preview, error_of, rehearsed
from fedanalytics.session.release import Price, Receipt, Release
from fedanalytics.trust import Central, Priced, Trust


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
        placed = [order for order, _ in self.rehearsed(query, key, weights, **offer)]
        reservations = self._driver.reserved(placed)
        results = self._driver.driven(placed, reservations)
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
        rehearsed = self.rehearsed(query, None, weights, **offer)
        left = self.budget.remaining
        fits = sum(order.units for order, _ in rehearsed) <= left.units
        of = "value" if self._driver.clients is not None else "sum"
        previews = [
            Preview(error_of(result), of, self._price(order), left, fits, len(order.rounds))
            for order, result in rehearsed
        ]
        return previews if _several(query) else previews[0]

    def rehearsed(
        self, query: Query | Sequence[Query], key: str | Sequence[str] | None, weights: Any = None, **offer: Any
    ) -> list[tuple[Order, Any]]:
        """The orders that `run` would place, each with its result over an assumed fleet.

        Prices the whole plan and checks all work at the door. Sees no data, but how many clients there are where that
        is public; spends nothing.

        Raises:
            BadArgument: anything that the caller wrote and cannot be meant.
        """
        placed = orders(
            cast("Sequence[Query]", query if _several(query) else (query,)),
            key=key,
            weights=weights,
            columns=tuple(name for name, kind in self.fleet.columns.items() if kind == "DOUBLE"),
            trust=self.trust.name,
            relation=self.budget.relation,
            rule=self.budget.filter,
            asked_of=self._asked_of,
            own=self.trust.clients_add_noise,
            offer=offer,
        )
        return [self._rehearsed(order) for order in placed]

    def _rehearsed(self, order: Order) -> tuple[Order, Any]:
        def price(round_: Round, index: int) -> Priced:
            for block in round_.blocks:
                self.fleet.check(block.work, text=block.encoder.reads_text)
            return self._driver.priced(order, round_, index)

        whole = order.query.beginning() if isinstance(order.query, Resumed) else order.query
        result, rounds = rehearsed(whole, price, self._driver.clients)
        return replace(order, rounds=rounds), result

    @property
    def _asked_of(self) -> dict[str, Any]:
        group = {} if self.fleet.group is None else {"group": list(self.fleet.group)}
        return {**group, **self.trust.asked_of(self._driver.roster)}

    @property
    def _driver(self) -> Driver:
        return Driver(self.fleet, self.budget, self.trust)

    def _price(self, order: Order) -> Price:
        return Price(order.units, order.event, self.budget.delta, self.budget.filter.counts)

    def _release(self, order: Order, reservation: Reservation, result: Any) -> Release:
        budget = self.budget
        receipt = Receipt(
            query=order.plan.question["query"],
            key=reservation.key,
            budget=budget.name,
            unit=budget.unit,
            dataset=budget.dataset,
            relation=budget.relation.value,
            trust=self.trust.name,
            event=order.event.to_json(),
            sampling=self._sampling(order),
            guarantee=self.trust.guarantee(order.rounds, budget.delta),
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


def _several(query: Query | Sequence[Query]) -> bool:
    return isinstance(query, list | tuple)


def _labels(query: Any) -> tuple[tuple[Any, ...], ...]:
    axes = (getattr(query, "groups", None), getattr(query, "labels", None))
    return tuple(tuple(axis) for axis in axes if axis is not None)
