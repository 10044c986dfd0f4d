"""What becomes of a client whose function raises or returns what it must not: an error, or no contribution."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fedanalytics.errors import BadType
from fedanalytics.types import Type, conform, conform_clients, zeros


class Outcome(Protocol):
    """How the results of clients become columns of the declared type."""

    def one_by_one(self, function: Callable[..., Any], rows: Iterable[tuple[Any, ...]], kind: Type, what: str) -> Any:
        """Runs the function on each client's arguments."""
        ...

    def columns(self, results: Any, kind: Type, what: str) -> Any:
        """Results of all clients -> columns."""
        ...


@dataclass(frozen=True)
class Strict:
    """For a simulation: the first client's error is raised, with a note that says whose it is."""

    def one_by_one(self, function: Callable[..., Any], rows: Iterable[tuple[Any, ...]], kind: Type, what: str) -> Any:
        results: list[Any] = []
        try:
            for row in rows:
                results.append(function(*row))  # noqa: PERF401  # the length says which client raised
        except Exception as error:
            error.add_note(f"in {what}, client {len(results)}; a function sees values read-only, and copies to change")
            raise
        return self.columns(results, kind, what)

    def columns(self, results: Any, kind: Type, what: str) -> Any:
        try:
            return conform_clients(results, kind, what=f"the result of {what}")
        except BadType as error:
            raise BadType(f"{error}; declare another result: @local_computation(returns=...)") from None


@dataclass(frozen=True, eq=False)
class Tolerant:
    """For a session: whatever goes wrong with a client's value, that client contributes nothing, and nobody learns.

    Attributes:
        missing: shape (n,), set to True for such clients.
    """

    missing: npt.NDArray[np.bool_]

    def one_by_one(self, function: Callable[..., Any], rows: Iterable[tuple[Any, ...]], kind: Type, what: str) -> Any:
        def one(i: int, row: tuple[Any, ...]) -> Any:
            return self._kept(i, lambda: conform(function(*row), kind, what=what), kind)

        return conform_clients([one(i, row) for i, row in enumerate(rows)], kind, what=what)

    def columns(self, results: Any, kind: Type, what: str) -> Any:
        try:
            return conform_clients(results, kind, what=what)
        except BadType:  # some do not fit; those that do get the same bits one by one
            return self.one_by_one(lambda value: value, ((value,) for value in results), kind, what)

    def _kept(self, i: int, compute: Callable[[], Any], kind: Type) -> Any:
        try:
            return compute()
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001  # exit() in a client's function is that client's problem as well
            self.missing[i] = True
            return zeros(kind)
