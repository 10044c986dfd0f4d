"""What a budget promises, written once in its ``open`` entry: cap, filter, relation, unit, dataset, group, windows.

The cap is held by a filter (`fedanalytics.privacy.filters`), which is valid when each query is chosen after the earlier
answers. A cap stated as (epsilon, delta) is the most of the filter's units that imply it. The cap alone may be changed,
by an entry that says so (`amending`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

from fedanalytics import _validate
from fedanalytics.errors import BadArgument, LedgerCorrupt
from fedanalytics.ledger import actors
from fedanalytics.ledger.actors import ActorCap
from fedanalytics.ledger.windows import Window, window
from fedanalytics.privacy import filters, renyi, units
from fedanalytics.privacy.filters import Filter
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.canonical import canonical

Group: TypeAlias = tuple[str, str | float]
_OPTIONAL = frozenset({"order", "group", "window", "actor_caps", "amended"})  # absent where there are none
_CAPS = frozenset({"epsilon", "delta", "rho"})


@dataclass(frozen=True)
class Terms:
    """A budget's terms.

    Attributes:
        cap: in units of 1e-12 of what the filter counts.
        epsilon, delta, rho: as given; `rho` is a number, or a fraction as text.
        overlap: whether another budget may spend on the same unit of the same dataset.
        filter: its name.
        order: of a Renyi filter.
        group: (column, value) of the clients that it is for, None for all.
        window: the length of the windows that each have the cap, None for all time.
        actor_caps: what each actor may spend of it, as it was given.
        amended: how often the cap was changed.
    """

    name: str
    cap: int
    epsilon: float | None
    delta: float | None
    rho: float | str | None
    relation: str
    unit: str | None
    dataset: str | None
    overlap: bool
    filter: str
    order: int | None = None
    group: Group | None = None
    window: str | None = None
    actor_caps: Mapping[str, Any] | None = field(default=None, hash=False)
    amended: int | None = None

    @cached_property
    def windows(self) -> Window | None:
        """The windows themselves."""
        return window(self.window) if self.window else None

    @cached_property
    def rule(self) -> Filter:
        """The filter itself."""
        return filters.filter_of(asdict(self))

    @property
    def label(self) -> str:
        """The cap as it was given."""
        given = {"epsilon": self.epsilon, "delta": self.delta, "rho": self.rho}
        each = f" in each window of {self.window}" if self.window else ""
        return ", ".join(f"{k}={v}" for k, v in given.items() if v is not None) + each

    def to_json(self) -> dict[str, Any]:
        """The fields of the ``open`` entry; the name stands there already."""
        own = {k: v for k, v in asdict(self).items() if k != "name" and not (k in _OPTIONAL and v is None)}
        return canonical(own)  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, name: str, data: dict[str, Any]) -> Terms:
        """What `to_json` wrote; other keys of an entry are passed over."""
        found = {f.name: data[f.name] for f in fields(cls) if f.name != "name" and f.name not in _OPTIONAL}
        group = data.get("group")
        optional: dict[str, Any] = {key: data.get(key) for key in _OPTIONAL - {"group"}}
        return cls(name, **found, **optional, group=group and (group[0], group[1]))


@dataclass(frozen=True)
class Asked:
    """The arguments of ``ledger.budget(name, ...)``: None where nothing was said."""

    name: str
    epsilon: float | None = None
    delta: float | None = None
    rho: float | Fraction | None = None
    unit: str | None = None
    dataset: str | None = None
    relation: Relation | None = None
    overlap: bool = False
    filter: str | None = None
    order: int | None = None
    group: Group | None = None
    window: str | None = None
    actor_caps: Mapping[str, ActorCap] | None = None

    def checked(self) -> Asked:
        """The same, in plain types.

        Raises:
            BadArgument: an argument cannot be meant, or the cap is given in two forms or half of one.
        """
        _validate.text(name=self.name)
        for name in ("unit", "dataset"):
            if getattr(self, name) is not None:
                _validate.text(**{name: getattr(self, name)})
        if self.epsilon is not None and self.rho is not None:
            raise BadArgument(f"budget {self.name!r}: give epsilon= and delta=, or rho=, not both")
        relation = self.relation
        if relation is not None:
            relation = Relation(_validate.one_of([r.value for r in Relation], relation=relation))
        return replace(
            self,
            epsilon=None if self.epsilon is None else float(_validate.positive(epsilon=self.epsilon)),
            delta=None if self.delta is None else _validate.probability(delta=self.delta),
            rho=None if self.rho is None else plain_rho(_validate.positive(rho=self.rho)),
            relation=relation,
            overlap=bool(self.overlap),
            filter=None if self.filter is None else _validate.one_of(filters.NAMES, filter=self.filter),
            order=None if self.order is None else _validate.whole(2, order=self.order),
            group=None if self.group is None else checked_group(self.group),
            window=None if self.window is None else str(window(self.window)),
            actor_caps=None if self.actor_caps is None else actors.checked(self.actor_caps),
        )

    def terms(self, existing: Iterable[str]) -> Terms:
        """The terms of a new budget.

        Raises:
            BadArgument: no cap was given.
        """
        if self.epsilon is None and self.rho is None:
            near = _validate.did_you_mean(self.name, existing)
            raise BadArgument(
                f"this ledger has no budget {self.name!r}{near}; to open it, give its cap: epsilon= and delta=, "
                "epsilon= alone (pure noise), or rho="
            )
        name = self._filter()
        order = self.order
        if name == filters.Renyi.name and order is None and self.epsilon and self.delta:
            order = renyi.best_order(self.epsilon, self.delta)
        rule = filters.filter_of({"filter": name, "order": order, "epsilon": self.epsilon, "delta": self.delta})
        cap = units.cap(self.rho or 0) if self.epsilon is None else rule.cap(self.epsilon, self.delta or 0.0)
        relation = (self.relation or Relation.ADD_OR_REMOVE_ONE).value
        given = (self.unit, self.dataset, self.overlap, name, order, self.group, self.window, self.actor_caps)
        made = Terms(self.name, cap, self.epsilon, self.delta, canonical(self.rho), relation, *given)
        for actor in self.actor_caps or ():
            actors.limit(made, actor)
        return made

    def _filter(self) -> str:
        """The filter that was asked for, or the one that suits the form of the cap."""
        forms = {"rho": ("zcdp",), "epsilon": ("pure",), "epsilon and delta": ("gdp", "zcdp", "renyi", "pld")}
        form = "rho" if self.epsilon is None else "epsilon" if self.delta is None else "epsilon and delta"
        name = self.filter or forms[form][0]
        if name not in forms[form]:
            needs = " or ".join(given for given, names in forms.items() if name in names)
            raise BadArgument(f"budget {self.name!r}: filter={name!r} holds a cap in {needs}, got one in {form}")
        if self.order is not None and name != filters.Renyi.name:
            raise BadArgument(f"budget {self.name!r}: order= belongs to filter='renyi', not to {name!r}")
        return name


def plain_rho(rho: Any) -> float | Fraction:
    """A cap as it is written down."""
    return rho if isinstance(rho, Fraction) else float(rho)


def agreed(terms: Terms, asked: Asked) -> Terms:
    """The terms of an existing budget, with the unit and dataset that `asked` fills in.

    Raises:
        BadArgument: what was asked differs from what was opened; both are named.
    """
    held = ("relation", "unit", "dataset", "filter", "order", "group", "window", "actor_caps")
    for name in ("epsilon", "rho", "delta", *held):
        new, old = canonical(getattr(asked, name)), canonical(getattr(terms, name))
        fillable = name in {"unit", "dataset"} and old is None
        if new is None or new == old or fillable:
            continue
        opened = terms.label if name in _CAPS else f"{name}={old!r}"
        was, fix = "opened with", "a budget never changes"
        if terms.amended and name in _CAPS:
            was, fix = "amended to", "whoever asks for another cap must know"
        raise BadArgument(
            f"budget {terms.name!r} was {was} {opened}, not {name}={new!r}; {fix}: leave {name}= out to go on with it, "
            "or open one under another name"
        )
    return replace(
        terms,
        unit=terms.unit or asked.unit,
        dataset=terms.dataset or asked.dataset,
        overlap=terms.overlap or asked.overlap,
    )


def check_alone(terms: Terms, others: Iterable[Terms]) -> None:
    """Refuse a second budget for the same people, unless it is meant.

    Raises:
        BadArgument: another budget has the same dataset and unit, neither was opened with ``overlap=True``, and they
            are not for disjoint groups.
    """
    if terms.unit is None or terms.dataset is None or terms.overlap:
        return
    for other in others:
        same = (other.unit, other.dataset) == (terms.unit, terms.dataset)
        if same and other.name != terms.name and not other.overlap and not disjoint(terms.group, other.group):
            raise BadArgument(
                f"budget {terms.name!r} shares the data of budget {other.name!r} (dataset {terms.dataset!r}, unit "
                f"{terms.unit!r}): both spend on the same people, whose loss is the sum of both; go on with "
                f"{other.name!r}, or pass overlap=True to ledger.budget({terms.name!r}, ...) if that is meant"
            )


def disjoint(one: Group | None, other: Group | None) -> bool:
    """Whether no client is in both: two values of one public column, of which every client has one for good.

    Parallel composition (McSherry 2009, Theorem 4): a client changes what is released about its own group only, so all
    groups together lose no more than the group that lost most.
    """
    return one is not None and other is not None and one[0] == other[0] and one[1] != other[1]


def checked_group(group: Any) -> Group:
    """A group as (column, value).

    Raises:
        BadArgument: it is none.
    """
    match group:
        case (str(column), str(value)) if column:
            return column, value
        case (str(column), value) if column and _validate.real(value):
            return column, float(value)
    raise BadArgument(f"group= must be (column, value), as fleet.group says, got {group!r}")


@lru_cache(maxsize=256)
def parsed(name: str, text: str) -> Terms:
    """Terms from their row; read on every spend, and hardly ever new."""
    try:
        return Terms.from_json(name, json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise LedgerCorrupt(f"the terms of budget {name!r} cannot be read ({error!r}): verify the ledger") from error
