"""Who pays: a budget of a ledger, from the ``[budget]`` of a study or the options of a command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedanalytics import _validate
from fedanalytics.cli import reading
from fedanalytics.cli.reading import Table
from fedanalytics.errors import BadArgument
from fedanalytics.ledger import Budget, Ledger
from fedanalytics.privacy.relations import Relation

_CAPS = ("epsilon", "delta", "rho")
_RULES = ("relation", "overlap", "filter", "order", "group", "window", "actor_caps")
_KEYS = ("name", *_CAPS, *_RULES, "ledger")


@dataclass(frozen=True)
class Funds:
    """The terms of a budget, as ``ledger.budget`` takes them; None where nothing was said.

    Attributes:
        ledger: the ledger's file, relative to the current directory, if it was named.
        table: for messages.
    """

    name: str
    epsilon: float | None
    delta: float | None
    rho: float | None
    relation: Relation | None
    overlap: bool
    filter: str | None
    order: int | None
    group: tuple[str, str | float] | None
    window: str | None
    actor_caps: Mapping[str, Any] | None
    ledger: str | None
    table: Table

    def open(self, ledger: Ledger) -> Budget:
        """Opens the budget, or finds it.

        Raises:
            BadArgument: it has other terms, or no cap; or it shares its people with another.
        """
        with self.table.blamed(
            "epsilon", "delta", "rho", "overlap", "filter", "order", "group", "window", "actor_caps"
        ):
            return ledger.budget(
                self.name,
                epsilon=self.epsilon,
                delta=self.delta,
                rho=self.rho,
                relation=self.relation,
                overlap=self.overlap,
                filter=self.filter,
                order=self.order,
                group=self.group,
                window=self.window,
                actor_caps=self.actor_caps,
            )


def funds(table: Table, name: str) -> Funds:
    """The funds that a table names; the budget is called `name` unless it says otherwise.

    Raises:
        BadArgument: a key is unknown, or its value cannot be meant.
    """
    table.only(_KEYS)
    numbers = {key: table.find(key, reading.number) for key in _CAPS}
    found = Funds(
        name=table.find("name", reading.text) or name,
        **numbers,
        relation=table.find("relation", _relation),
        overlap=table.find("overlap", reading.truth) or False,
        filter=table.find("filter", reading.text),
        order=table.find("order", reading.whole),
        group=table.find("group", reading.member),
        window=table.find("window", reading.text),
        actor_caps=table.find("actor_caps", reading.mapping),
        ledger=table.find("ledger", reading.text),
        table=table,
    )
    if any(value is not None for value in numbers.values()):
        with Ledger(":memory:") as ledger:  # the ledger's own rules, before its file is touched
            found.open(ledger)
    return found


def _relation(value: Any) -> Relation:
    if value not in list(Relation):
        near = _validate.did_you_mean(value, Relation)
        raise BadArgument(f"must be one of {', '.join(Relation)}, got {value!r}{near}")
    return Relation(value)
