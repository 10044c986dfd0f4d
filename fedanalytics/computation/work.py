"""The local work of a noised release: the clients' side of the graph, as a function of numbers per client.

It is what `round.work.Apply` holds. Formal guarantee: the value of a client is a function of that client's numbers and
of public values only, bit for bit, and nothing about it raises: a client whose function raises, or whose result is not
finite or has another shape, has a NaN, which every encoder maps to the null vector.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics.computation.evaluate import Run, evaluate, order
from fedanalytics.computation.graphs import describe_graph
from fedanalytics.computation.outcomes import Tolerant
from fedanalytics.computation.values import Value
from fedanalytics.computation.vectors import flattened
from fedanalytics.computation.views import is_number, repeated
from fedanalytics.types import TensorType

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClientWork:
    """A client-placed value as a function of the clients' parameters.

    Attributes:
        result: the value; made of numbers of fixed shape.
        parameters: the parameters at the clients that it reads, in the order of the columns.
        given: what it depends on at the server or is told to all clients: public or released, hence paid for.
    """

    result: Value
    parameters: tuple[Value, ...]
    given: tuple[tuple[Value, Any], ...] = ()

    def values(self, columns: tuple[npt.NDArray[Any], ...]) -> Floats:
        """One number, shape (n,), or one vector, shape (n, d), per client.

        Args:
            columns: per parameter one float64 array of shape (n,); NaN where the client has no value. A parameter of
                whole numbers has no value either where the number is not whole or does not fit.
        """
        fits = np.ones(len(columns[0]), dtype=np.bool_)
        for column, parameter in zip(columns, self.parameters, strict=True):
            fits &= _fitting(column, parameter)
        chosen = columns if fits.all() else tuple(column[fits] for column in columns)
        computed = self._computed(chosen)
        if computed.shape[0] == len(fits):
            return computed
        result = np.full((len(fits), *computed.shape[1:]), np.nan)
        result[fits] = computed
        return result

    def _computed(self, columns: Sequence[npt.NDArray[Any]]) -> Floats:
        n, member = len(columns[0]), self.result.type.member
        missing = np.zeros(n, dtype=np.bool_)
        known = dict(self.given)
        with np.errstate(all="ignore"):
            for column, parameter in zip(columns, self.parameters, strict=True):
                known[parameter] = column.astype(_dtype(parameter))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a warning says may be about a client's value
            found = evaluate([self.result], known, Run(n, Tolerant(missing)))[self.result]
        found = repeated(found, member, n) if self.result.type.all_equal else found
        result = np.asarray(found, np.float64) if is_number(member) else flattened(found, member)
        missing |= ~np.isfinite(result).all(axis=_member_axes(result))
        return np.where(missing.reshape(-1, *(1,) * (result.ndim - 1)), np.nan, result) if missing.any() else result

    def describe(self) -> Any:
        """The canonical form, for digests."""
        known = dict(self.given)
        return {
            "is": "ClientWork",
            "parameters": [parameter.attrs["name"] for parameter in self.parameters],
            **describe_graph([self.result], known),
        }


@dataclass(frozen=True, eq=False)
class Contributes:
    """A zero from every client for whom the other work has a value, for counting them."""

    work: ClientWork

    def values(self, columns: tuple[npt.NDArray[Any], ...]) -> Floats:
        """Shape (n,): 0, or NaN."""
        vectors = self.work.values(columns)
        return np.where(np.isnan(vectors).any(axis=_member_axes(vectors)), np.nan, 0.0)

    def describe(self) -> Any:
        """The canonical form, for digests."""
        return {"is": "Contributes", "work": self.work.describe()}


def on_a_client(result: Value) -> list[Value]:
    """What a client computes for a value, up to what it is told by a broadcast."""
    return order([result], lambda value: value.op == "broadcast")


def read_by(result: Value, parameters: Sequence[Value]) -> tuple[Value, ...]:
    """The clients' parameters that a value depends on; the first one if it depends on none, for who takes part."""
    behind = set(on_a_client(result))
    return tuple(parameter for parameter in parameters if parameter in behind) or tuple(parameters[:1])


def _member_axes(values: Floats) -> tuple[int, ...]:
    return tuple(range(1, values.ndim))


def _dtype(parameter: Value) -> np.dtype[Any]:
    member = parameter.type.member
    return member.dtype if isinstance(member, TensorType) else np.dtype(np.float64)


def _fitting(column: npt.NDArray[Any], parameter: Value) -> npt.NDArray[np.bool_]:
    """Where a float64 is a value of the parameter's type."""
    dtype = _dtype(parameter)
    with np.errstate(all="ignore"):
        if dtype.kind == "f":
            return np.asarray(np.isfinite(column.astype(dtype)))
        low, high = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
        below = float(high) if float(high) <= high else np.nextafter(float(high), 0)
        return np.asarray((column >= low) & (column <= below) & (np.rint(column) == column), dtype=np.bool_)
