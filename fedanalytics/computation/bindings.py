"""What a session gives to a computation's parameters: SQL text for the clients', a value for all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedanalytics import _validate
from fedanalytics._validate import did_you_mean
from fedanalytics.computation.fingerprints import fingerprint
from fedanalytics.computation.values import Value
from fedanalytics.computation.views import is_real
from fedanalytics.errors import BadArgument, BadType
from fedanalytics.round.work import Sql, identifier
from fedanalytics.types import CLIENTS, conform


def at_clients(parameters: Sequence[Value]) -> tuple[Value, ...]:
    """The parameters of which each client has its own value."""
    return tuple(p for p in parameters if p.type.placement is CLIENTS and not p.type.all_equal)


def checked(parameters: Sequence[Value], bindings: Mapping[str, Any]) -> dict[str, Any]:
    """What `on` was given, by parameter.

    Raises:
        BadArgument: an unknown name, or a value that does not suit the parameter.
    """
    known = {p.attrs["name"]: p for p in parameters}
    for name in bindings:
        if name not in known:
            raise BadArgument(
                f"on(): there is no parameter {name!r}{did_you_mean(name, known)}; there are {_list(known)}"
            )
    return {name: _one(known[name], name, value) for name, value in bindings.items()}


def columns(parameters: Sequence[Value], bindings: Mapping[str, Any]) -> dict[Value, Sql]:
    """The SQL of each of the clients' parameters; ``avg("name")`` where nothing was said.

    Raises:
        BadArgument: a parameter that no SQL expression can feed.
    """
    found = {}
    for parameter in at_clients(parameters):
        _check_number(parameter)
        text = bindings.get(parameter.attrs["name"], parameter.attrs["name"])
        found[parameter] = Sql(_average(text) if text.isidentifier() else text)
    return found


def public(parameters: Sequence[Value], bindings: Mapping[str, Any]) -> dict[Value, Any]:
    """The value of each parameter that is no client's own.

    Raises:
        BadArgument: one has none.
    """
    own = at_clients(parameters)
    others = [p for p in parameters if p not in set(own)]
    for parameter in others:
        name = parameter.attrs["name"]
        if name not in bindings:
            raise BadArgument(f"the parameter {name!r} is {parameter.type}: give its value, .on({name}=...)")
    return {parameter: bindings[parameter.attrs["name"]] for parameter in others}


def resolved(parameters: Sequence[Value], bindings: Mapping[str, Any], available: Sequence[str]) -> dict[str, Any]:
    """The bindings on a fleet with these columns: names become SQL text, and what is obvious is filled in.

    Raises:
        BadArgument: a parameter is neither bound nor called like a column, or bound to a name that is no column.
    """
    public(parameters, bindings)
    own = at_clients(parameters)
    result = dict(bindings)
    for parameter in own:
        _check_number(parameter)
        name = parameter.attrs["name"]
        text = bindings.get(name, name)
        column = _column(text, available)
        if column is not None:
            result[name] = _average(column)
        elif name in bindings:
            if text.isidentifier():
                raise BadArgument(
                    f"on(): {name}={text!r} is no column{did_you_mean(text, available)}; there are {_list(available)}"
                )
        elif len(own) == len(available) == 1:
            result[name] = _average(available[0])
        else:
            raise BadArgument(
                f"the parameter {name!r} is called like no column of {_list(available)}; say what it is on a client:"
                f" .on({name}={_example(available)})"
            )
    return result


def described(parameters: Sequence[Value], bindings: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical form: the SQL of each client's number, and the values that were given."""
    own = {p.attrs["name"] for p in at_clients(parameters)}
    sql = columns([p for p in parameters if is_real(p.type.member)], bindings)
    values = {name: fingerprint(value) for name, value in bindings.items() if name not in own}
    return {**values, **{parameter.attrs["name"]: column.per_client for parameter, column in sql.items()}}


def _one(parameter: Value, name: str, value: Any) -> Any:
    if parameter in set(at_clients([parameter])):
        _check_number(parameter)
        return _validate.text(**{name: value})
    try:
        return conform(value, parameter.type.member, what=f"on(): {name}=")
    except BadType as error:
        raise BadArgument(str(error)) from None


def _check_number(parameter: Value) -> None:
    member = parameter.type.member
    if not is_real(member):
        raise BadArgument(
            f"a session gives each client's parameter one real number, and {parameter.attrs['name']!r} is"
            f" {parameter.type}; call the computation directly to simulate it"
        )


def _column(text: str, available: Sequence[str]) -> str | None:
    """The column of this name; SQL names differ not by their case."""
    exact = [column for column in available if column == text]
    return next(iter(exact or [column for column in available if column.casefold() == text.casefold()]), None)


def _average(column: str) -> str:
    return f"avg({identifier(column)})"


def _example(available: Sequence[str]) -> str:
    return repr(_average(available[0])) if available else '"avg(column)"'


def _list(names: Any) -> str:
    return ", ".join(map(repr, names)) or "none"
