"""What a client computes over its own data: SQL text, a function applied to such values, or code registered there.

A work is evaluated by a fleet into an array with one row per client; NaN (None for text) marks a client that does
not contribute. The value of a client depends on that client's rows only, bit for bit (a law of every fleet).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Column: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Sql:
    """One SQL expression over the client's own rows: a number (or a text) per client, shape (n,).

    Attributes:
        per_client: an aggregate expression such as ``avg("temp")``.
        where: which of the client's rows count; a client without such a row does not contribute.
        magnitude: the largest value that matters, from the query's public bounds. A bare ``avg(column)`` or
            ``sum(column)`` then sums exactly on one grid instead of several, which is faster.
    """

    per_client: str
    where: str | None = None
    magnitude: float | None = None


@dataclass(frozen=True)
class Stack:
    """Several expressions side by side: shape (n, len(parts)). Clients are aligned."""

    parts: tuple[Sql, ...]


class LocalFunction(Protocol):
    """A pure function of one client's values, evaluated for all clients at once."""

    def values(self, columns: tuple[Column, ...]) -> npt.NDArray[np.float64]:
        """Values of shape (n,) or (n, d) from columns of shape (n,); NaN where a client does not contribute."""
        ...


@dataclass(frozen=True)
class Apply:
    """A function over the values of several expressions."""

    inputs: tuple[Sql, ...]
    function: LocalFunction


class Code(Protocol):
    """What cannot be data, such as a training step: registered on the clients by name, and told what it needs.

    Its `describe` is what digests and receipts hold: the name, and a digest of what the server sends.
    """

    @property
    def name(self) -> str:
        """As clients know it."""
        ...

    def describe(self) -> dict[str, Any]:
        """The canonical form."""
        ...

    def load(self, data: Any) -> Any:
        """Data as the code reads it: checked once, and kept by the fleet for codes of this name with equal `reads`.

        What `reads` says (a hashable value, such as the model and the loss) is all that this depends on; a code
        without it has its data loaded for itself alone.

        Raises:
            BadArgument: the data cannot be read; what is wrong with it is its operator's to know.
        """
        ...

    def values(self, loaded: Any, clients: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.int64], Column]]:
        """Some of the clients, by position, and their values, shape (k, d), until all that hold a value had theirs."""
        ...


@dataclass(frozen=True)
class Registered:
    """Registered code over the clients' data sets: shape (n, d)."""

    code: Code


Work: TypeAlias = Sql | Stack | Apply | Registered


def identifier(name: str) -> str:
    """A column's name as SQL text: quoted, so that any name works."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | float) -> str:
    """A public value as SQL text."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value.item() if isinstance(value, np.generic) else value)
