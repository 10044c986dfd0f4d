"""What a budget promises, written once in its ``open`` entry: cap, filter, relation, unit and dataset.

The cap is held by a zCDP filter: the costs of all queries, each chosen after the earlier answers, sum to at most rho
(Whitehouse, Ramdas, Rogers, Wu 2022, arXiv 2203.05481, Theorem 1). A cap stated as (epsilon, delta) is the largest rho
that implies it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

from fedanalytics import _validate
from fedanalytics.errors import BadArgument, LedgerCorrupt
from fedanalytics.privacy import units, zcdp
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.canonical import canonical

FILTER = "zcdp"


@dataclass(frozen=True)
class Terms:
    """A budget's terms.

    Attributes:
        cap: in units of 1e-12 rho.
        epsilon, delta, rho: as given; `rho` is a number, or a fraction as text.
        overlap: whether another budget may spend on the same unit of the same dataset.
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
    filter: str = FILTER

    @property
    def label(self) -> str:
        """The cap as it was given."""
        given = {"epsilon": self.epsilon, "delta": self.delta, "rho": self.rho}
        return ", ".join(f"{k}={v}" for k, v in given.items() if v is not None)

    def to_json(self) -> dict[str, Any]:
        """The fields of the ``open`` entry; the name stands there already."""
        return {k: v for k, v in asdict(self).items() if k != "name"}

    @classmethod
    def from_json(cls, name: str, data: dict[str, Any]) -> Terms:
        """What `to_json` wrote; other keys of an entry are passed over."""
        return cls(name, **{f.name: data[f.name] for f in fields(cls) if f.name != "name"})


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
        if self.epsilon is not None and self.delta is None:
            raise BadArgument(
                f"budget {self.name!r}: epsilon= without delta= would be a pure budget, which a later version brings; "
                f"write ledger.budget({self.name!r}, epsilon={self.epsilon!r}, delta=1e-6), delta below 1 / clients"
            )
        relation = self.relation
        if relation is not None:
            relation = Relation(_validate.one_of([r.value for r in Relation], relation=relation))
        return replace(
            self,
            epsilon=None if self.epsilon is None else float(_validate.positive(epsilon=self.epsilon)),
            delta=None if self.delta is None else _validate.probability(delta=self.delta),
            rho=None if self.rho is None else _plain(_validate.positive(rho=self.rho)),
            relation=relation,
            overlap=bool(self.overlap),
        )

    def terms(self, existing: Iterable[str]) -> Terms:
        """The terms of a new budget.

        Raises:
            BadArgument: no cap was given.
        """
        if self.epsilon is not None and self.delta is not None:
            cap = units.cap(zcdp.rho_cap(self.epsilon, self.delta))
        elif self.rho is not None:
            cap = units.cap(self.rho)
        else:
            near = _validate.did_you_mean(self.name, existing)
            raise BadArgument(
                f"this ledger has no budget {self.name!r}{near}; to open it, give its cap: epsilon= and delta=, or rho="
            )
        relation = (self.relation or Relation.ADD_OR_REMOVE_ONE).value
        return Terms(
            self.name,
            cap,
            self.epsilon,
            self.delta,
            canonical(self.rho),
            relation,
            self.unit,
            self.dataset,
            self.overlap,
        )


def _plain(rho: Any) -> float | Fraction:
    return rho if isinstance(rho, Fraction) else float(rho)


def agreed(terms: Terms, asked: Asked) -> Terms:
    """The terms of an existing budget, with the unit and dataset that `asked` fills in.

    Raises:
        BadArgument: what was asked differs from what was opened; both are named.
    """
    for name in ("epsilon", "rho", "delta", "relation", "unit", "dataset"):
        new, old = canonical(getattr(asked, name)), getattr(terms, name)
        fillable = name in {"unit", "dataset"} and old is None
        if new is None or new == old or fillable:
            continue
        opened = f"{name}={old!r}" if name in {"relation", "unit", "dataset"} else terms.label
        raise BadArgument(
            f"budget {terms.name!r} was opened with {opened}, not {name}={new!r}; a budget never changes: leave "
            f"{name}= out to go on with it, or open one under another name"
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
        BadArgument: another budget has the same dataset and unit, and neither was opened with ``overlap=True``.
    """
    if terms.unit is None or terms.dataset is None or terms.overlap:
        return
    for other in others:
        same = (other.unit, other.dataset) == (terms.unit, terms.dataset)
        if same and other.name != terms.name and not other.overlap:
            raise BadArgument(
                f"budget {terms.name!r} shares the data of budget {other.name!r} (dataset {terms.dataset!r}, unit "
                f"{terms.unit!r}): both spend on the same people, whose loss is the sum of both; go on with "
                f"{other.name!r}, or pass overlap=True to ledger.budget({terms.name!r}, ...) if that is meant"
            )


@lru_cache(maxsize=256)
def parsed(name: str, text: str) -> Terms:
    """Terms from their row; read on every spend, and hardly ever new."""
    try:
        return Terms.from_json(name, json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise LedgerCorrupt(f"the terms of budget {name!r} cannot be read ({error!r}): verify the ledger") from error
