"""An amount of privacy, in every unit that people ask for, with the queries that make it up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fedanalytics.privacy import units, zcdp

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("seq", "key", "time", "actor", "query", "units", "rho", "state")


@dataclass(frozen=True)
class Amount:
    """What was spent, or what is left.

    Attributes:
        units: exact, in 1e-12 rho; what admission counts.
        rho: the same as a float.
        epsilon: the epsilon that `rho` alone implies at `delta`; None without a delta. Epsilons do not add up: what is
            left is not the cap's epsilon minus the spent one, but the epsilon of the rho that is left.
        delta: the budget's delta, or None.

    Example:
        >>> amount(10**10, delta=1e-6)
        Amount(rho=0.01, epsilon=0.6217, delta=1e-06)
    """

    units: int
    rho: float
    epsilon: float | None
    delta: float | None
    _rows: Callable[[], tuple[dict[str, Any], ...]] = field(default=tuple, compare=False)

    @cached_property
    def queries(self) -> tuple[dict[str, Any], ...]:
        """A row per query: seq, key, time, actor, query, units, rho, state ('open', or 'committed' once answered).

        Empty for what is left. Read from the ledger when first asked for, which must then be open.
        """
        return self._rows()

    def to_pandas(self) -> pd.DataFrame:
        """The queries as a table; pandas is imported here, because few programs need it."""
        import pandas as pd  # noqa: PLC0415

        return pd.DataFrame(list(self.queries), columns=list(COLUMNS))

    def __repr__(self) -> str:
        parts = [f"rho={self.rho:.6g}"]
        if self.epsilon is not None:
            parts += [f"epsilon={self.epsilon:.4g}", f"delta={self.delta:g}"]
        return f"Amount({', '.join(parts)})"


def amount(total: int, delta: float | None, rows: Callable[[], tuple[dict[str, Any], ...]] = tuple) -> Amount:
    """An amount of `total` units."""
    rho = units.rho(total)
    return Amount(total, rho, None if delta is None else zcdp.epsilon_of(rho, delta), delta, rows)
