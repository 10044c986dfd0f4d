"""Where values are and what happens to each of them there: map, broadcast, zip, constants.

Each operator checks its arguments where it is called and returns a node. Nothing here crosses from the clients to the
server; that is for the aggregates alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fedanalytics.computation.local import LocalComputation, as_local
from fedanalytics.computation.values import Value, bad_type, found, mapped, node, placed, shown, together
from fedanalytics.errors import BadType
from fedanalytics.types import (
    CLIENTS,
    SERVER,
    FederatedType,
    Placement,
    StructType,
    check_assignable,
    conform,
    type_of,
)


def federated_map(fn: Callable[..., Any], value: Any) -> Value:
    """Applies a function to each client's value; to the server's, if the value is there.

    Args:
        fn: a Python function, a `local_computation` or a ufunc, of plain values (see `local_computation`). It must be
            pure, and it never sees two clients.
        value: a placed value; or a list (tuple, dict) of them, which the function takes as several arguments, or as
            one struct if it takes one. A struct likewise.

    Raises:
        BadType: values in different places, or types that do not suit the function.
    """
    op = "federated_map"
    if isinstance(fn, Value) or not callable(fn) or hasattr(fn, "rounds"):
        raise bad_type(op, f"fn= must be a function of plain values, got {found(fn)}; call a computation directly")
    function = as_local(fn)
    values = _spread(op, function, value)
    if function.parameters is not None:
        for i, (given, wanted) in enumerate(zip(values, function.parameters, strict=True)):
            try:
                check_assignable(given.type.member, wanted, what=f"argument {i} of {function.__name__}")
            except BadType as error:
                raise bad_type(op, str(error)) from None
    return mapped(op, function, values)


def federated_broadcast(value: Value) -> Value:
    """Gives the server's value to all clients.

    Raises:
        BadType: the value is not at the server.
    """
    placed("federated_broadcast", value, SERVER, "aggregate it first, such as federated_mean({})")
    return node("broadcast", FederatedType(value.type.member, CLIENTS, all_equal=True), (value,))


def federated_value(value: Any, placement: Placement) -> Value:
    """A constant, known to all clients or to the server; its type is `type_of(value)`.

    Raises:
        BadType: the value has no type, or the placement is none.
    """
    op = "federated_value"
    if isinstance(value, Value):
        raise bad_type(op, f"value= is placed already, as {value.type}")
    if not isinstance(placement, Placement):
        raise bad_type(op, f"placement= must be CLIENTS or SERVER, got {placement!r}")
    try:
        kind = type_of(value)
        return node("value", FederatedType(kind, placement, all_equal=True), value=conform(value, kind, what="value="))
    except BadType as error:
        raise bad_type(op, str(error)) from None


def federated_zip(*values: Any) -> Value:
    """Several values of one place as one struct.

    Args:
        values: placed values, one list of them, or one dict, which names the fields: ``federated_zip({"a": x})``.

    Raises:
        BadType: no value, or values of different places.
    """
    op = "federated_zip"
    parts: Any = values[0] if len(values) == 1 and isinstance(values[0], Mapping | list | tuple) else values
    names = tuple(parts) if isinstance(parts, Mapping) else (None,) * len(parts)
    members = tuple(parts.values() if isinstance(parts, Mapping) else parts)
    for i, value in enumerate(members):
        if not isinstance(value, Value):
            raise bad_type(op, f"argument {i} must be a placed value, got {found(value)}")
    if not members:
        raise bad_type(op, "give at least one placed value")
    together(op, members)
    try:
        struct = StructType(tuple((name, value.type.member) for name, value in zip(names, members, strict=True)))
    except BadType as error:
        raise bad_type(op, str(error)) from None
    all_equal = all(value.type.all_equal for value in members)
    return node("zip", FederatedType(struct, members[0].type.placement, all_equal), members)


def _spread(op: str, function: LocalComputation, value: Any) -> list[Value]:
    """The values that become the function's arguments."""
    if isinstance(value, Mapping):
        value = federated_zip(value)
    if isinstance(value, list | tuple):
        for i, part in enumerate(value):
            if not isinstance(part, Value):
                raise bad_type(
                    op, f"value {i} must be a placed value, got {found(part)}; federated_value(x, CLIENTS) places it"
                )
        if not value:
            raise bad_type(op, "give at least one placed value")
        together(op, value)
        if function.accepts(len(value)):
            return list(value)
        if function.accepts(1):
            return [federated_zip(*value)]
        raise bad_type(op, f"{function.__name__} cannot be called with {len(value)} arguments")
    if not isinstance(value, Value):
        raise bad_type(op, f"value= must be a placed value or a list of them, got {found(value)}")
    member = value.type.member
    if function.accepts(1):
        return [value]
    if isinstance(member, StructType) and function.accepts(len(member)):
        return [value[i] for i in range(len(member))]
    raise bad_type(op, f"{function.__name__} cannot be called with one argument, {shown(value)} of type {value.type}")
