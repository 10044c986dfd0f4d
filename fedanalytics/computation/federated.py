"""`@federated_computation`: traced once, where it is written; run exactly by a call, privately by a session."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any, overload

from fedanalytics.computation import bindings as bound_to
from fedanalytics.computation import plans
from fedanalytics.computation.annotations import annotated
from fedanalytics.computation.disclosures import Disclosures, disclosures
from fedanalytics.computation.evaluate import Run, evaluate, order, place
from fedanalytics.computation.graphs import describe_graph
from fedanalytics.computation.lines import user_line
from fedanalytics.computation.outcomes import Strict
from fedanalytics.computation.structures import parts, rebuilt, type_of_structure
from fedanalytics.computation.values import Value, bad_argument, bad_type, found, node
from fedanalytics.computation.views import listed, owned
from fedanalytics.errors import BadArgument, BadType
from fedanalytics.privacy.costs import Cost
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.blocks import Rounds
from fedanalytics.types import FederatedType, FunctionType, Type, check_assignable, conform, conform_clients, to_type


@dataclass(frozen=True, eq=False, repr=False)
class FederatedComputation:
    """A traced computation: a typed graph; and, bound to a fleet's columns, a query.

    Calling it with data is an exact simulation: nothing is noised and nothing is paid, whatever costs it states.
    A `Session` runs it if every value that reaches the server is noised.

    Attributes:
        function: the Python function that was traced.
        parameters: the graph's inputs.
        result: the placed value, or a tuple or dict of them.
        bindings: what `on` said, by parameter.

    Example:
        >>> import numpy as np
        >>> from fedanalytics.computation import federated_computation, federated_mean
        >>> from fedanalytics.types import CLIENTS, FederatedType
        >>> @federated_computation(FederatedType(np.float32, CLIENTS))
        ... def get_average_temperature(sensor_readings):
        ...     return federated_mean(sensor_readings)
        >>> get_average_temperature.type_signature
        ({float32}@CLIENTS -> float32@SERVER)
        >>> get_average_temperature([68.5, 70.25, 69.75])
        np.float32(69.5)
    """

    function: Callable[..., Any]
    parameters: tuple[Value, ...]
    result: Any
    bindings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def __name__(self) -> str:
        return str(getattr(self.function, "__name__", "computation"))

    @property
    def type_signature(self) -> FunctionType:
        """From the parameters to the result, in the notation of `fedanalytics.types`."""
        return FunctionType.of([(p.attrs["name"], p.type) for p in self.parameters], type_of_structure(self.result))

    def __repr__(self) -> str:
        return f"<{self.__name__}: {self.type_signature}>"

    # ---------------------------------------------------------------- a simulation

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The exact result: for the clients' parameters sequences with one entry per client, for the server's a value.

        Inside another computation, with placed values, its operations become part of that one.

        Raises:
            BadType: a value is not of its parameter's type.
            BadArgument: different numbers of clients; a mean over no client; a sum beyond its type.
        """
        arguments = self._arguments(args, kwargs)
        if any(isinstance(argument, Value) for argument in arguments):
            return self.function(*(_inlined(p, a) for p, a in zip(self.parameters, arguments, strict=True)))
        known: dict[Value, Any] = {}
        counts: dict[str, int] = {}
        for parameter, argument in zip(self.parameters, arguments, strict=True):
            name = parameter.attrs["name"]
            if parameter.type.all_equal:
                known[parameter] = conform(argument, parameter.type.member, what=f"argument {name!r}")
            else:
                known[parameter] = conform_clients(argument, parameter.type.member, what=f"argument {name!r}")
                counts[name] = len(argument)
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{name!r} has {count}" for name, count in counts.items())
            raise BadArgument(f"every client has one value of each parameter, so their numbers must agree: {listed}")
        run = Run(next(iter(counts.values()), 0), Strict())
        values = evaluate(parts(self.result), known, run)
        return rebuilt(self.result, lambda value: _finished(value, values[value], run.n))

    def _arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sequence[Any]:
        if not kwargs and len(args) == len(self.parameters):
            return args
        try:
            return inspect.signature(self.function).bind(*args, **kwargs).args
        except TypeError as error:
            raise BadType(f"{self.__name__}: {error}; its type is {self.type_signature}") from None

    # ---------------------------------------------------------------- privacy

    @property
    def privacy(self) -> Disclosures:
        """A row for each value that reaches the server: exact, or noised with its bound, sensitivity and event."""
        return disclosures(self._results)

    @property
    def _results(self) -> list[Value]:
        return list(parts(self.result))

    # ---------------------------------------------------------------- a query

    @property
    def shares(self) -> tuple[Fraction, ...]:
        """Each round's part of the computation's own cost.

        Raises:
            NotPrivate: an exact value reaches the server.
        """
        return plans.private(self._results).shares

    def own_cost(self, relation: Relation) -> Cost:
        """What all its releases cost together.

        Raises:
            NotPrivate: an exact value reaches the server.
        """
        return plans.private(self._results).cost(relation)

    def rounds(self) -> Rounds:
        """Yields rounds, is sent their noisy sums, returns the result.

        That is an estimate if the result is one released tensor, else plain values of the declared types.

        Raises:
            NotPrivate: an exact value reaches the server.
            BadArgument: a parameter that is not bound, or that a session cannot feed.
        """
        plans.private(self._results)
        return plans.conversation(
            self.result,
            bound_to.columns(self.parameters, self.bindings),
            bound_to.public(self.parameters, self.bindings),
        )

    def on(self, **bindings: Any) -> FederatedComputation:
        """A copy that says where a session finds its parameters.

        A parameter at the clients takes SQL text over the client's own rows, such as ``"avg(temp)"``; a bare column
        name stands for its average. Any other parameter takes its value.

        Raises:
            BadArgument: an unknown parameter, or a value that does not suit it.
        """
        found_ = {**self.bindings, **bound_to.checked(self.parameters, bindings)}
        return replace(self, bindings=MappingProxyType(found_))

    def bound(self, columns: Sequence[str]) -> FederatedComputation:
        """The query on a fleet with these columns: itself, if nothing is left to say.

        A parameter that is not bound is the average of the column of its name; a single one at the clients is the
        average of the only column.

        Raises:
            BadArgument: what a parameter is on a client cannot be told.
        """
        plans.private(self._results)
        resolved = bound_to.resolved(self.parameters, self.bindings, columns)
        bound = replace(self, bindings=MappingProxyType(resolved))
        own, same = (bound_to.columns(self.parameters, b) for b in (self.bindings, resolved))
        return self if own == same else bound

    def describe(self) -> Any:
        """The canonical form, for digests and receipts: types, operations, functions, costs, bindings; no lines."""
        results = self._results
        number = iter(range(len(results)))
        return {
            "is": "FederatedComputation",
            "name": self.__name__,
            "type": str(self.type_signature),
            **describe_graph(results, {}),
            "structure": rebuilt(self.result, lambda _: next(number)),
            "bindings": bound_to.described(self.parameters, self.bindings),
        }


@overload
def federated_computation(function: Callable[..., Any], /) -> FederatedComputation: ...


@overload
def federated_computation(*types: Any) -> Callable[[Callable[..., Any]], FederatedComputation]: ...


def federated_computation(*types: Any) -> Any:
    """Traces a function of placed values into a `FederatedComputation`.

    Args:
        types: the type of each parameter, such as ``FederatedType(np.float32, CLIENTS)`` or ``"{float32}@CLIENTS"``.
            Bare, they stand in the function's annotations; an annotated result is checked.

    The function runs once, now, on `Value`s: what it does with them is checked, and is the computation.

    Raises:
        BadType: types or placements that do not fit; a parameter without a placed type; a result that is not placed.
        BadArgument: a bound or a cost that cannot be meant.

    Example:
        >>> from fedanalytics.computation import federated_map, federated_max
        >>> @federated_computation
        ... def hottest(celsius: "{float32}@CLIENTS"):
        ...     return federated_max(federated_map(lambda x: x * 9 / 5 + 32, celsius))
        >>> hottest, hottest([20, 30])
        (<hottest: ({float32}@CLIENTS -> float32@SERVER)>, np.float32(86.0))
    """
    if len(types) == 1 and inspect.isroutine(types[0]):
        return _traced(types[0], None)
    return lambda function: _traced(function, types)


def _traced(function: Callable[..., Any], types: Sequence[Any] | None) -> FederatedComputation:
    name = getattr(function, "__name__", repr(function))
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        raise bad_type(name, "a computation is a plain function that returns; it cannot yield or await")
    parameters = tuple(
        Value("parameter", kind, (), MappingProxyType({"name": parameter, "index": i}), user_line())
        for i, (parameter, kind) in enumerate(_parameter_types(name, function, types))
    )
    result = function(*parameters)
    _check_result(name, result, parameters)
    _check_costs(list(parts(result)))
    _check_declared(name, function, result)
    computation = FederatedComputation(function, parameters, result)
    object.__setattr__(computation, "__doc__", function.__doc__)  # for help(); the class's is about the class
    return computation


def _parameter_types(
    name: str, function: Callable[..., Any], types: Sequence[Any] | None
) -> list[tuple[str, FederatedType]]:
    parameters = list(inspect.signature(function).parameters.values())
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise bad_type(
                name, f"a computation takes a fixed number of values, *args and keywords cannot be: {parameter}"
            )
    if types and len(types) != len(parameters):
        raise bad_type(name, f"{len(types)} types were given for {len(parameters)} parameters")
    result = []
    for i, parameter in enumerate(parameters):
        try:
            kind = to_type(types[i]) if types else annotated(function, parameter.name)
        except BadType as error:
            raise bad_type(name, f"parameter {parameter.name!r}: {error}") from None
        if not isinstance(kind, FederatedType):
            has = "no type" if kind is None else f"the type {kind}, which has no placement"
            raise bad_type(
                name,
                f"parameter {parameter.name!r} has {has}; write FederatedType({kind or 'np.float32'}, CLIENTS) or (...,"
                " SERVER), in the decorator or as annotation",
            )
        result.append((parameter.name, kind))
    return result


def _check_result(name: str, result: Any, parameters: Sequence[Value]) -> None:
    results = list(parts(result))
    if result is None:
        raise bad_type(name, "it returns nothing; did you forget the return?")
    for value in results:
        if not isinstance(value, Value):
            raise bad_type(
                name,
                f"it returns {found(value)}, which is not placed; return placed values, or a tuple or dict of them;"
                " a constant is federated_value(x, SERVER)",
            )
    if not results:
        raise bad_type(name, "it returns an empty structure; return at least one placed value")
    own = set(parameters)
    clients = bool(bound_to.at_clients(parameters))
    for value in order(results):
        if value.op == "parameter" and value not in own:
            raise bad_type(
                name, f"it uses {value.attrs['name']!r}, a value of another computation; take it as a parameter"
            )
        if value.op in plans.AGGREGATES and not clients:
            raise bad_type(
                name, f"{place(value)} aggregates, but no parameter is at the clients, so their number is not known"
            )


def _check_costs(results: Sequence[Value]) -> None:
    noised = [value for value in order(results) if "cost" in value.attrs]
    other = next((value for value in noised if value.attrs["cost"].gaussian != noised[0].attrs["cost"].gaussian), None)
    if other is not None:
        first = noised[0]
        raise BadArgument(
            f"{first.attrs['cost']} at {first.line} and {other.attrs['cost']} at {other.line}: one computation adds one"
            " kind of noise; give all costs as rho=, noise_multiplier= or epsilon= with delta= (Gaussian), or all as"
            f" epsilon= alone (geometric) (at {user_line()})"
        )


def _check_declared(name: str, function: Callable[..., Any], result: Any) -> None:
    try:
        declared: Type | None = annotated(function, "return")
    except BadType:  # fa.Value, Any: an annotation for readers
        return
    if declared is not None:
        try:
            check_assignable(type_of_structure(result), declared, what="the result")
        except BadType as error:
            raise bad_type(name, str(error)) from None


def _inlined(parameter: Value, argument: Any) -> Value:
    """An argument of a nested call: a placed value, or a constant where all holders have the same."""
    name = f"argument {parameter.attrs['name']!r}"
    if isinstance(argument, Value):
        try:
            check_assignable(argument.type, parameter.type, what=name)
        except BadType as error:
            raise bad_type("a nested call", str(error)) from None
        return argument
    if not parameter.type.all_equal:
        raise bad_argument("a nested call", f"{name} must be a placed value like the others, got {found(argument)}")
    try:
        return node("value", parameter.type, value=conform(argument, parameter.type.member, what=name))
    except BadType as error:
        raise bad_type("a nested call", str(error)) from None


def _finished(value: Value, data: Any, n: int) -> Any:
    """What the caller gets: arrays of their own; the clients' values as an array, or a list of n."""
    if value.type.all_equal:
        return owned(data)
    return owned(listed(data, value.type.member, n))
