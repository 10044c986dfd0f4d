"""The one kind of node: a value of a federated computation, while it is being traced.

A computation runs once, at its decoration, on `Value`s instead of data. Each operation checks types and placements,
and returns a new node that points at its arguments: in the end the result points at the whole graph.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from fedanalytics.computation.abstract import outcomes
from fedanalytics.computation.fingerprints import fingerprint
from fedanalytics.computation.lines import user_line
from fedanalytics.computation.local import LocalComputation, Placed
from fedanalytics.errors import BadArgument, BadType
from fedanalytics.types import CLIENTS, SERVER, FederatedType, Placement, StructType

_SYMBOLS: dict[Any, str] = {
    np.add: "+",
    np.subtract: "-",
    np.multiply: "*",
    np.divide: "/",
    np.floor_divide: "//",
    np.remainder: "%",
    np.power: "**",
    np.less: "<",
    np.less_equal: "<=",
    np.greater: ">",
    np.greater_equal: ">=",
    np.equal: "==",
    np.not_equal: "!=",
    np.bitwise_and: "&",
    np.bitwise_or: "|",
    np.bitwise_xor: "^",
}


class _NoField(BadType, AttributeError):
    """A missing field: for `hasattr` an attribute that is not there, for the reader a bad type."""


def _refusing(use: str) -> Callable[..., NoReturn]:
    """A method that says why a placed value cannot be used so."""

    def refuse(value: Value, *_args: Any, **_named: Any) -> NoReturn:
        raise bad_type(
            use,
            f"{shown(value)} is {value.type}, a placed value: it has no number while the computation is traced;"
            " use federated_map for what happens to each value",
        )

    return refuse


@dataclass(frozen=True, eq=False, repr=False)
class Value(Placed, np.lib.mixins.NDArrayOperatorsMixin):
    """A placed value, as a node of the graph.

    ``+ - * / // % **``, comparisons and all other true ufuncs of numpy make new values, element by element; ``x.a``,
    ``x["a"]`` and ``x[0]`` pick fields of structs. Fields called like an attribute below need ``x["..."]``.

    Attributes:
        op: parameter, value, broadcast, zip, field, map, clip, sum, mean, min, max or aggregate.
        type: member type and placement.
        args: the values it is computed from.
        attrs: what else it depends on: a function, a bound, a cost, a constant.
        line: ``file:line`` of the call; for people, never in a digest.
    """

    op: str
    type: FederatedType
    args: tuple[Value, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)
    line: str = "?"

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<{self.op}: {self.type}>"

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **named: Any) -> Value:
        # `x += 1` arrives as out=(x,); a value never changes, so this is x = x + 1
        in_place = len(named.get("out", ())) == 1 and named["out"][0] is inputs[0]
        symbol = _SYMBOLS.get(ufunc, f"np.{ufunc.__name__}")
        if method != "__call__" or ufunc.signature or set(named) - ({"out"} if in_place else set()):
            raise bad_type(symbol, "only plain element-by-element use works on placed values; use federated_map")
        function = Elementary(ufunc, tuple(None if isinstance(x, Value) else x for x in inputs))
        values = [x for x in inputs if isinstance(x, Value)]
        together(symbol, values)
        try:
            outcomes(function, [value.type.member for value in values])
        except Exception as error:
            types = " and ".join(str(x.type) if isinstance(x, Value) else found(x) for x in inputs)
            raise bad_type(symbol, f"it has no meaning for {types}: {error}; write federated_map") from error
        return mapped(symbol, LocalComputation(function), values)

    def __getattr__(self, name: str) -> Value:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._field(name, f".{name}")

    def __getitem__(self, key: Any) -> Value:
        return self._field(key, f"[{key!r}]")

    def _field(self, key: Any, written: str) -> Value:
        member = self.type.member
        if not isinstance(member, StructType):
            raise _NoField(
                f"{written}: {self.type} is not a struct, so it has no fields; to look inside each value write"
                f" federated_map(lambda x: x{written}, {shown(self)}) (at {user_line()})"
            )
        try:
            picked = member[key]
        except BadType as error:
            raise _NoField(f"{written}: {error} (at {user_line()})") from None
        position = member.names.index(key) if isinstance(key, str) else range(len(member))[key]
        return node("field", _like(self.type, picked), (self,), position=position)

    __bool__ = _refusing("a truth value (if, and, or, not)")
    __float__ = _refusing("float()")
    __int__ = _refusing("int()")
    __complex__ = _refusing("complex()")
    __index__ = _refusing("an index")
    __len__ = _refusing("len()")
    __iter__ = _refusing("iteration")
    __round__ = _refusing("round()")
    __array__ = _refusing("a numpy array")

    def __array_function__(self, function: Any, *_args: Any) -> NoReturn:
        name = f"np.{function.__name__}"
        raise bad_type(
            name,
            f"a placed value ({self.type}) is no array; over the clients use federated_mean, federated_sum, ...;"
            f" inside each value federated_map({name}, {shown(self)})",
        )


@dataclass(frozen=True, eq=False)
class Elementary:
    """A ufunc with some operands given: what an operator between a placed value and a constant maps.

    Attributes:
        operands: None where a placed value goes, else the constant.
    """

    ufunc: np.ufunc
    operands: tuple[Any, ...]

    def __call__(self, *values: Any) -> Any:
        given = iter(values)
        return self.ufunc(*(next(given) if operand is None else operand for operand in self.operands))

    def describe(self) -> Any:
        """The canonical form, for digests."""
        return {"ufunc": self.ufunc.__name__, "operands": [fingerprint(operand) for operand in self.operands]}


def node(op: str, type_: FederatedType, args: tuple[Value, ...] = (), **attrs: Any) -> Value:
    """A new node, with the line of the user's call."""
    return Value(op, type_, args, MappingProxyType(attrs), user_line())


def mapped(op: str, function: LocalComputation, values: Sequence[Value]) -> Value:
    """The function of values that live in one place: applied at each client, or at the server.

    Values that all clients share give a value that all clients share.

    Raises:
        BadType: values of different places, or types that do not suit the function.
    """
    together(op, values)
    try:
        member = function.typed([value.type.member for value in values])
    except (BadType, TypeError, ValueError) as error:
        types = " and ".join(str(value.type) for value in values)
        raise bad_type(op, f"{function.__name__} of {types}: {error}") from error
    all_equal = all(value.type.all_equal for value in values)
    return node("map", FederatedType(member, values[0].type.placement, all_equal), tuple(values), function=function)


def together(op: str, values: Sequence[Value]) -> None:
    """Checks that all values live in one place.

    Raises:
        BadType: they do not.
    """
    at_server = [value for value in values if value.type.placement is SERVER]
    at_clients = [value for value in values if value.type.placement is CLIENTS]
    if at_server and at_clients:
        server, client = at_server[0], at_clients[0]
        raise bad_type(
            op,
            f"{shown(client)} is {client.type} and {shown(server)} is {server.type}: they live in different places;"
            f" broadcast the server value first: federated_broadcast({shown(server)})",
        )


def bad_type(op: str, problem: str) -> BadType:
    """The error of an operator: what is wrong, the fix, and where it was written."""
    return BadType(f"{op}: {problem} (at {user_line()})")


def bad_argument(op: str, problem: str) -> BadArgument:
    """Likewise, for a value that cannot be meant."""
    return BadArgument(f"{op}: {problem} (at {user_line()})")


def shown(value: Value) -> str:
    """A parameter by its name, any other value as x."""
    return str(value.attrs["name"]) if value.op == "parameter" else "x"


def _like(type_: FederatedType, member: Any) -> FederatedType:
    return FederatedType(member, type_.placement, type_.all_equal)


def placed(op: str, value: Any, placement: Placement, fix: str, argument: str = "value") -> None:
    """Checks that an operator's argument is a placed value, and in the right place.

    Raises:
        BadType: it is not; the message ends in `fix`, with the value's name for ``{}``.
    """
    if not isinstance(value, Value):
        raise bad_type(
            op,
            f"{argument}= must be a placed value, got {found(value)}; operators work inside a @federated_computation,"
            " on its arguments; for a constant there is federated_value(x, placement)",
        )
    if value.type.placement is not placement:
        wanted = FederatedType(value.type.member, placement)
        raise bad_type(op, f"{shown(value)} is {value.type} where {wanted} is needed; {fix.format(shown(value))}")


def found(value: Any) -> str:
    """What somebody gave, for messages."""
    return f"{reprlib.repr(value)} ({type(value).__name__})"
