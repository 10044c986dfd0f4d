"""Who sees what: a trust model, from the ``[trust]`` of a study or the options of a command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedanalytics import _validate
from fedanalytics.cli import reading
from fedanalytics.cli.reading import Table
from fedanalytics.errors import BadArgument
from fedanalytics.fleet import Fleet
from fedanalytics.ledger import Budget
from fedanalytics.privacy.relations import Relation
from fedanalytics.trust import Central, Local, SecureAggregation, Trust

SECURE = "secure aggregation"
MODELS = ("central", SECURE, "local")
KEYS = ("threshold", "dropout", "corrupt", "simulate")  # of secure aggregation


@dataclass(frozen=True)
class Terms:
    """What a budget must be like to pay under a trust model; the first of each is the one to take.

    Attributes:
        relations: one of these.
        filters: one of these; any, if there are none.
    """

    relations: tuple[Relation, ...]
    filters: tuple[str, ...] = ()


_TERMS: Mapping[str, Terms] = {
    SECURE: Terms((Relation.ZERO_OUT,), ("renyi", "pld")),
    "local": Terms((Relation.REPLACE_ONE, Relation.ZERO_OUT)),
}


@dataclass(frozen=True)
class Trusted:
    """A trust model.

    Attributes:
        name: as studies call it.
        model: the strategy.
        table: for messages.
    """

    name: str
    model: Trust
    table: Table

    @property
    def terms(self) -> Terms:
        """What a budget must be like."""
        return _TERMS.get(self.name, Terms(tuple(Relation)))

    def check(self, budget: Budget, funds: Table, fleet: Fleet) -> None:
        """Refuses a budget that cannot pay under this trust model, and a threshold that the fleet cannot meet.

        Args:
            budget: as it was opened, on a ledger that nobody keeps.
            funds: for messages, where its terms were written.
            fleet: how many clients it has is read only where that is public.

        Raises:
            BadArgument: it names the keys and the fix.
        """
        terms = self.terms
        if budget.relation not in terms.relations or (terms.filters and budget.filter.name not in terms.filters):
            raise BadArgument(self._refusal(budget, funds))
        if isinstance(self.model, SecureAggregation) and fleet.roster >= 3:  # fewer are refused in better words
            with self.table.blamed(*KEYS):
                self.model.quorum(fleet.roster)

    def _refusal(self, budget: Budget, funds: Table) -> str:
        relation, *others = (f'"{each.value}"' for each in self.terms.relations)
        needed, found = [f"{funds.at('relation')} = {' or '.join([relation, *others])}"], [f'"{budget.relation.value}"']
        if self.terms.filters:
            needed.append(f'{funds.at("filter")} = "{self.terms.filters[0]}"')
            found.append(f'"{budget.filter.name}"')
        return (
            f"{self.table.at('model')} = {self.name!r} needs {' and '.join(needed)}, and budget {budget.name!r} has "
            f"{' and '.join(found)}: write so; a budget that is open already never changes, so name another by "
            f"{funds.at('name')}"
        )


def trusted(table: Table) -> Trusted:
    """The trust model that a table names; central if it names none.

    Raises:
        BadArgument: a key is unknown or belongs to another model, or its value cannot be meant.
    """
    table.only(("model", *KEYS))
    name = table.find("model", _model) or "central"
    given = [key for key in KEYS if key in table.values]
    if name != SECURE:
        if given:
            raise BadArgument(f"{table.at(given[0])} belongs to {table.at('model')} = {SECURE!r}, not to {name!r}")
        return Trusted(name, Local() if name == "local" else Central(), table)
    fields = {key: table.get(key, _READERS[key]) for key in given}
    with table.blamed(*KEYS):
        return Trusted(name, SecureAggregation(**fields), table)


def _model(value: Any) -> str:
    if value not in MODELS:
        near = _validate.did_you_mean(value, MODELS)
        raise BadArgument(f"must be one of {', '.join(MODELS)}, got {value!r}{near}")
    return str(value)


def _threshold(value: Any) -> float:
    """As it was written: a number of clients stays a whole one."""
    number = reading.number(value)
    return int(number) if number.is_integer() else number


_READERS: Mapping[str, reading.Reader[Any]] = {
    "threshold": _threshold,
    "dropout": reading.number,
    "corrupt": reading.number,
    "simulate": reading.truth,
}
