"""Budgets that spend on the same people: what these lose in all is more than any one of them says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fedanalytics.ledger.terms import Group, Terms


@dataclass(frozen=True)
class Shared:
    """Several budgets of one unit of one dataset.

    Attributes:
        budgets: their names.
        epsilon, delta: of all together, by basic composition; None where no one figure holds.
        why: there is none.
    """

    unit: str
    dataset: str
    budgets: tuple[str, ...]
    epsilon: float | None
    delta: float | None
    why: str = ""


def shared(budgets: Iterable[Terms]) -> tuple[Shared, ...]:
    """The people on whom more than one budget spends.

    (epsilon, delta) add up under basic composition, for whatever each of them admits; budgets of different values of
    one public column are for different people, who lose no more than those of them that lose most.

    Example:
        >>> from fedanalytics.ledger import Ledger
        >>> with Ledger(":memory:") as ledger:
        ...     people = {"unit": "tailnum", "dataset": "2013", "overlap": True}
        ...     a = ledger.budget("a", epsilon=1.0, delta=1e-6, **people)
        ...     b = ledger.budget("b", epsilon=2.0, **people)
        ...     from fedanalytics.report.spends import accounts
        ...     [found] = shared(account.terms for account in accounts(ledger.entries()).by_name.values())
        >>> found.budgets, found.epsilon, found.delta
        (('a', 'b'), 3.0, 1e-06)
    """
    people: dict[tuple[str, str], list[Terms]] = defaultdict(list)
    for terms in budgets:
        if terms.unit is not None and terms.dataset is not None:
            people[terms.unit, terms.dataset].append(terms)
    return tuple(_together(*key, several) for key, several in people.items() if len(several) > 1)


def _together(unit: str, dataset: str, several: Sequence[Terms]) -> Shared:
    names = tuple(terms.name for terms in several)
    if len({terms.relation for terms in several}) > 1:
        return Shared(unit, dataset, names, None, None, "they hold under different neighbouring relations")
    if any(terms.epsilon is None for terms in several):
        return Shared(unit, dataset, names, None, None, "not all of them are capped in ε")
    if any(terms.window for terms in several):
        return Shared(unit, dataset, names, None, None, "not all of them are capped for good: windows add up")
    epsilon = _added([(terms.group, terms.epsilon or 0.0) for terms in several])
    return Shared(unit, dataset, names, epsilon, _added([(terms.group, terms.delta or 0.0) for terms in several]))


def _added(losses: Sequence[tuple[Group | None, float]]) -> float:
    """Sums, but for disjoint groups, of which the one that loses most counts."""
    total = 0.0
    by_column: dict[str, dict[object, float]] = defaultdict(lambda: defaultdict(float))
    for group, loss in losses:
        if group is None:
            total += loss
        else:
            by_column[group[0]][group[1]] += loss
    return total + sum(max(values.values()) for values in by_column.values())
