"""What a session hands out: numbers that are paid for, with their uncertainty, cost and receipt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fedanalytics.errors import BadArgument
from fedanalytics.privacy import units
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.events import Event
from fedanalytics.round.canonical import canonical

if TYPE_CHECKING:
    import pandas as pd  # a third of a second; only `to_pandas` needs it


@dataclass(frozen=True)
class Price:
    """What one query cost.

    Attributes:
        units: charged, in 1e-12 of what the budget's filter counts.
        event: what it was spent on.
        delta: the budget's delta, None if it has none.
        counts: "rho" or "epsilon".
    """

    units: int
    event: Event
    delta: float | None
    counts: str = "rho"

    @property
    def rho(self) -> float:
        """The zCDP cost charged; where the budget counts epsilon, that of the event.

        Raises:
            NotPrivate: the event has no finite rho.
        """
        return units.rho(self.units) if self.counts == "rho" else float(self.event.rho)

    @property
    def epsilon(self) -> float | None:
        """The tight epsilon of this release alone, at the budget's delta; the one charged where epsilon is counted."""
        if self.counts == "epsilon":
            return units.rho(self.units)
        return None if self.delta is None else Accountant().compose(self.event).epsilon(self.delta)

    def __repr__(self) -> str:
        charged = f"{self.counts}={units.rho(self.units):.6g}"
        if self.counts == "epsilon" or self.epsilon is None:
            return f"Price({charged})"
        return f"Price({charged}, epsilon={self.epsilon:.4g} at delta={self.delta:g})"


@dataclass(frozen=True)
class Receipt:
    """What was done, for the record: public parameters only, never a realised count.

    Attributes:
        query: the query's canonical form.
        sql: what ran on each client, as it was printed from the checked tree.
        entry, hash: number and hash of the ledger entry that reserved the cost.
        sampling: None, or how the cohort of each round was drawn, and what the release costs against those who see who
            was drawn: the claimed event holds only against those who do not.
        group: (column, value) that all clients of the fleet have; None for the whole of the dataset.
        replayed: whether the answer had been stored before, so that nothing was spent now.
    """

    query: Any
    key: str
    budget: str
    unit: str | None
    dataset: str | None
    relation: str
    trust: str
    event: dict[str, Any]
    sampling: dict[str, Any] | None
    guarantee: Mapping[str, Any] | None
    group: tuple[str, str | float] | None
    sql: Any
    entry: int
    hash: str
    replayed: bool
    version: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {k: v for k, v in canonical(self).items() if k != "is"}


@dataclass(frozen=True, eq=False)
class Release:
    """The noisy answer to one query.

    Attributes:
        result: what the query returned: an estimate, or a computation's value.
        cost: what was charged.
        receipt: the proof.
        labels: names of the numbers, per axis; empty for a single number.
    """

    result: Any = field(repr=False)
    cost: Price
    receipt: Receipt = field(repr=False)
    labels: tuple[tuple[Any, ...], ...] = field(default=(), repr=False)

    @cached_property
    def value(self) -> Any:
        """The estimate: a float, or an array of them; a computation's own result otherwise."""
        return _plain(getattr(self.result, "value", self.result))

    @cached_property
    def standard_error(self) -> Any:
        """Of the noise, same shape as `value`; None for a computation whose result is not an estimate."""
        return _plain(getattr(self.result, "standard_error", None))

    def interval(self, confidence: float = 0.95) -> tuple[Any, Any]:
        """(lower, upper) that cover the noise with this probability, each number by itself.

        Raises:
            BadArgument: the result is not an estimate, or confidence is not in (0, 1).
        """
        if not hasattr(self.result, "interval"):
            raise BadArgument("this computation's result is not an estimate: it has no interval of its own")
        low, high = self.result.interval(confidence)
        return _plain(low), _plain(high)

    def to_pandas(self, confidence: float = 0.95) -> pd.DataFrame:
        """A row per number: its labels, value, standard_error, lower, upper.

        Raises:
            BadArgument: a computation's result is several values; take them from `value`.
        """
        import pandas as pd  # noqa: PLC0415  # slow to import

        if not _numeric(self.value):
            raise BadArgument("this computation's result is several values; take each from release.value")

        values = np.atleast_1d(self.value)
        table = pd.DataFrame({"value": values.ravel()}, index=self._index(values.shape))
        if self.standard_error is not None:
            low, high = self.interval(confidence)
            for name, numbers in (("standard_error", self.standard_error), ("lower", low), ("upper", high)):
                table[name] = np.ravel(numbers)
        return table

    def _index(self, shape: tuple[int, ...]) -> pd.Index[Any]:
        import pandas as pd  # noqa: PLC0415  # slow to import

        axes: Sequence[Iterable[Any]] = self.labels or [range(n) for n in shape]
        levels = [list(axis) for axis in axes]
        return pd.Index(levels[0]) if len(levels) == 1 else pd.MultiIndex.from_product(levels)

    def __repr__(self) -> str:
        numeric = _numeric(self.value)
        text = np.array2string(np.asarray(self.value), precision=6, threshold=20) if numeric else repr(self.value)
        error = "" if self.standard_error is None else f" ± {_range(self.standard_error)}"
        return f"Release({text}{error}, cost {self.cost.counts}={units.rho(self.cost.units):.6g})"


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.ndarray | np.generic) and value.ndim == 0 else value


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float | np.ndarray | np.generic)


def _range(errors: Any) -> str:
    low, high = np.min(errors), np.max(errors)
    return f"{low:.3g}" if low == high else f"{low:.3g}..{high:.3g}"
