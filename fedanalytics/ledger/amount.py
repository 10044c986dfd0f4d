"""An amount of privacy, in every unit that people ask for, with the queries that make it up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fedanalytics.privacy import units
from fedanalytics.privacy.filters import Filter

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("seq", "key", "time", "actor", "query", "units", "rho", "epsilon", "state")


@dataclass(frozen=True)
class Amount:
    """What was spent, or what is left.

    Attributes:
        units: exact, in 1e-12 of what the budget's filter counts; what admission counts.
        rho: the same as a float where the filter counts rho, else None.
        epsilon: the epsilon that it alone implies at `delta`; None without a delta, where rho is counted. Such epsilons
            do not add up: what is left is not the cap's epsilon minus the spent one, but the epsilon of what is left.
        delta: the budget's delta, or None.

    Example:
        >>> from fedanalytics.privacy.filters import Zcdp
        >>> amount(10**10, 1e-6, Zcdp())
        Amount(rho=0.01, epsilon=0.6217, delta=1e-06)
    """

    units: int
    rho: float | None
    epsilon: float | None
    delta: float | None
    _rows: Callable[[], tuple[dict[str, Any], ...]] = field(default=tuple, compare=False)

    @cached_property
    def queries(self) -> tuple[dict[str, Any], ...]:
        """A row per query: seq, key, time, actor, query, units, rho or epsilon, state.

        The state is 'open', or 'committed' once answered. Empty for what is left. Read from the ledger when first asked
        for, which must then be open.
        """
        return self._rows()

    def to_pandas(self) -> pd.DataFrame:
        """The queries as a table; pandas is imported here, because few programs need it."""
        import pandas as pd  # noqa: PLC0415

        return pd.DataFrame(list(self.queries), columns=list(COLUMNS))

    def __repr__(self) -> str:
        numbers = (("rho", self.rho, ".6g"), ("epsilon", self.epsilon, ".4g"), ("delta", self.delta, "g"))
        parts = [f"{name}={value:{form}}" for name, value, form in numbers if value is not None]
        return f"Amount({', '.join(parts)})"


@dataclass(frozen=True)
class EpsilonSpent:
    """What a budget has spent, and by which rule that figure holds; ``float(spent)`` is the epsilon.

    Attributes:
        epsilon: as if all that was asked had been fixed in advance. Where queries were chosen after earlier answers,
            the guarantee is the cap.
        delta: of the budget; 0 for a pure one.
        filter: the name of the rule that admits.
        rule: the rule in words.
        cap: the epsilon that the budget was opened with, None if it was opened in rho.
    """

    epsilon: float
    delta: float
    filter: str
    rule: str
    cap: float | None

    def __float__(self) -> float:
        return self.epsilon

    def __str__(self) -> str:
        cap = "" if self.cap is None else f", cap {self.cap:g}"
        return f"epsilon={self.epsilon:.4g} at delta={self.delta:g}{cap} ({self.rule})"


def amount(
    total: int, delta: float | None, rule: Filter, rows: Callable[[], tuple[dict[str, Any], ...]] = tuple
) -> Amount:
    """An amount of `total` units under a filter."""
    counted = units.rho(total)
    if rule.counts == "epsilon":
        return Amount(total, None, counted, delta, rows)
    return Amount(total, counted, None if delta is None else rule.epsilon_of(total, delta), delta, rows)
