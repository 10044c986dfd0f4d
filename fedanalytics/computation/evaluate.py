"""What a graph computes from data: each node once, in order, columns for what differs between clients.

The same evaluator serves a simulation (everything is known, aggregates are exact), a client's local work (parameters
and broadcast values are known), and the server's side of a session (released values are known).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from fedanalytics.computation import exact
from fedanalytics.computation.bounds import each_leaf
from fedanalytics.computation.local import LocalComputation
from fedanalytics.computation.outcomes import Outcome
from fedanalytics.computation.values import Value
from fedanalytics.computation.vectorise import vectorised
from fedanalytics.computation.views import Argument, built, by_field, presented, repeated, rows
from fedanalytics.errors import BadArgument
from fedanalytics.types import CLIENTS, StructType, TensorType, Type, conform

GROUP = 64  # clients whose values `federated_aggregate` accumulates before it merges


@dataclass(frozen=True)
class Run:
    """One evaluation: how many clients, and what becomes of one that fails."""

    n: int
    outcome: Outcome


def order(results: Iterable[Value], stop: Callable[[Value], bool] = lambda _: False) -> list[Value]:
    """The nodes that the results depend on, arguments first, nothing behind one where `stop` says so."""
    done: dict[Value, None] = {}
    todo = [(value, False) for value in reversed(list(results))]  # graphs may be deeper than the interpreter's stack
    while todo:
        value, entered = todo.pop()
        if entered:
            done[value] = None
        elif value not in done:
            todo.append((value, True))
            if not stop(value):
                todo += [(argument, False) for argument in reversed(value.args)]
    return list(done)


def evaluate(results: Iterable[Value], known: Mapping[Value, Any], run: Run) -> dict[Value, Any]:
    """Values and columns of the results, of what they depend on, and of what is known."""
    values = dict(known)
    for value in order(results, known.__contains__):
        if value not in values:
            values[value] = _OPERATIONS[value.op](value, [values[argument] for argument in value.args], run)
    return values


def place(value: Value) -> str:
    """An operation and where it was written, for messages."""
    return f"federated_{value.op} at {value.line}"


# ---------------------------------------------------------------- client by client, and at the server


def _constant(value: Value, _arguments: list[Any], _run: Run) -> Any:
    return value.attrs["value"]


def _passed_on(_value: Value, arguments: list[Any], _run: Run) -> Any:
    return arguments[0]


def _zipped(value: Value, arguments: list[Any], run: Run) -> Any:
    member = cast("StructType", value.type.member)
    if value.type.all_equal:
        return built(member, arguments)
    return built(member, [_spread(a, c, run.n) for a, c in zip(value.args, arguments, strict=True)])


def _picked(value: Value, arguments: list[Any], _run: Run) -> Any:
    member = cast("StructType", value.args[0].type.member)
    return by_field(arguments[0], member)[value.attrs["position"]][0]


def _mapped(value: Value, arguments: list[Any], run: Run) -> Any:
    function: LocalComputation = value.attrs["function"]
    kind, what = value.type.member, f"{function.__name__} at {value.line}"
    given = [
        Argument(data, a.type.member, bool(a.type.all_equal)) for a, data in zip(value.args, arguments, strict=True)
    ]
    if value.type.all_equal:
        with np.errstate(all="ignore"):
            result = function.function(*(presented(data, member) for data, member, _ in given))
        return conform(result, kind, what=f"the result of {what}")
    if run.n and not function.indiscreet:
        columns = vectorised(function.function, given, run.n, kind)
        if columns is not None:
            return _conformed(columns, kind, run, what)
    with np.errstate(all="ignore"):
        return run.outcome.one_by_one(
            function.function, zip(*(argument.each(run.n) for argument in given), strict=True), kind, what
        )


def _conformed(columns: Any, kind: Type, run: Run, what: str) -> Any:
    if isinstance(kind, StructType):
        return built(kind, [_conformed(column, member, run, what) for column, member in by_field(columns, kind)])
    return run.outcome.columns(columns, kind, what)


def _clipped(value: Value, arguments: list[Any], _run: Run) -> Any:
    bound, kind = value.attrs["bound"], value.type.member
    if not value.type.all_equal:
        return bound.clipped(arguments[0], kind)
    one = bound.clipped(repeated(arguments[0], kind, 1), kind)
    return each_leaf(lambda leaf: leaf[0], one, kind)


# ---------------------------------------------------------------- from the clients to the server


def _sum(value: Value, arguments: list[Any], run: Run) -> Any:
    return _aggregated(value, exact.total, _spread(value.args[0], arguments[0], run.n))


def _mean(value: Value, arguments: list[Any], run: Run) -> Any:
    _needs_clients(value, run)
    columns = _spread(value.args[0], arguments[0], run.n)
    if len(value.args) == 1:
        return _aggregated(value, exact.mean, columns)
    weight = np.asarray(_spread(value.args[1], arguments[1], run.n))
    if np.any(weight < 0):
        client = int(np.argmax(weight < 0))
        raise BadArgument(f"{place(value)}: weight= must not be negative, client {client} has {weight[client]}")
    if not np.any(weight):
        raise BadArgument(f"{place(value)}: the weights of all {run.n} clients are 0, so the mean does not exist")
    return _aggregated(value, lambda leaf: exact.weighted_mean(leaf, weight), columns)


def _extreme(function: Callable[..., Any]) -> Callable[[Value, list[Any], Run], Any]:
    def operate(value: Value, arguments: list[Any], run: Run) -> Any:
        _needs_clients(value, run)
        columns = _spread(value.args[0], arguments[0], run.n)
        return _aggregated(value, lambda leaf: function(leaf, axis=0), columns)

    return operate


def _folded(value: Value, arguments: list[Any], run: Run) -> Any:
    """Groups of clients, accumulated from zero and merged in order: as sub-aggregators of a fleet would."""
    zero, kind, attrs = value.attrs["zero"], value.attrs["accumulator"], value.attrs
    member = value.args[0].type.member
    clients = rows(_spread(value.args[0], arguments[0], run.n), member, run.n)

    def step(function: LocalComputation, *parts: Any) -> Any:
        return conform(function.function(*parts), kind, what=f"{function.__name__} at {value.line}")

    merged, group = None, presented(zero, kind)
    for i, client in enumerate(clients, 1):
        group = presented(step(attrs["accumulate"], group, client), kind)
        if i % GROUP == 0 or i == run.n:
            merged = group if merged is None else presented(step(attrs["merge"], merged, group), kind)
            group = presented(zero, kind)
    report: LocalComputation = attrs["report"]
    result = report.function(group if merged is None else merged)
    return conform(result, value.type.member, what=f"{report.__name__} at {value.line}")


def _aggregated(value: Value, function: Callable[[Any], Any], columns: Any) -> Any:
    """Field by field, in the type of the node."""
    try:
        result = each_leaf(function, columns, value.args[0].type.member)
    except BadArgument as error:
        raise BadArgument(f"{place(value)}: {error}") from None
    return _retyped(result, value.type.member)


def _retyped(result: Any, kind: Type) -> Any:
    """A noised sum is real: simulated, an exact integer becomes a float."""
    if isinstance(kind, StructType):
        return built(kind, [_retyped(part, member) for part, member in by_field(result, kind)])
    return np.asarray(result, cast("TensorType", kind).dtype)[()]


def _spread(value: Value, data: Any, n: int) -> Any:
    """The columns of client values; of one that all share, n times the same."""
    shared = value.type.all_equal and value.type.placement is CLIENTS
    return repeated(data, value.type.member, n) if shared else data


def _needs_clients(value: Value, run: Run) -> None:
    if run.n == 0:
        raise BadArgument(f"{place(value)}: there is no client, and a {value.op} over none does not exist")


_Operation: TypeAlias = Callable[[Value, list[Any], Run], Any]
_OPERATIONS: dict[str, _Operation] = {
    "value": _constant,
    "broadcast": _passed_on,
    "zip": _zipped,
    "field": _picked,
    "map": _mapped,
    "clip": _clipped,
    "sum": _sum,
    "mean": _mean,
    "min": _extreme(np.min),
    "max": _extreme(np.max),
    "aggregate": _folded,
}
