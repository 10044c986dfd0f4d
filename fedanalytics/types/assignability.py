"""Which type may stand where another is expected.

A source fits a target, written source <= target, when:

| target | source | rule |
|---|---|---|
| tensor | tensor | same dtype, exactly; same rank; each extent equal, or unknown in the target |
| struct | struct | same length; each field fits; each name equal, or missing in the source |
| sequence | sequence | the element fits |
| function | function | both or neither have a parameter; the *target's* parameter fits the source's; the result fits |
| federated | federated | same placement; the member fits; values that may differ do not fit where all are equal |
| anything else | | never |

This is a partial order: reflexive, transitive, and two types that fit each other are equal. The rules are those of
TensorFlow Federated (`is_assignable_from` of its types).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fedanalytics.errors import BadType
from fedanalytics.types.base import Type, to_type
from fedanalytics.types.dtypes import name_of
from fedanalytics.types.kinds import FederatedType, FunctionType, SequenceType, StructType, TensorType


def is_assignable(source: Any, target: Any) -> bool:
    """Whether a value of type `source` may stand where `target` is expected.

    >>> is_assignable("float32@CLIENTS", "{float32}@CLIENTS"), is_assignable("{float32}@CLIENTS", "float32@CLIENTS")
    (True, False)
    >>> is_assignable("<int32,float32[3]>", "<a=int32,b=float32[?]>")
    True
    """
    return _difference(to_type(source), to_type(target)) is None


def check_assignable(source: Any, target: Any, *, what: str) -> None:
    """Does nothing if `source` fits `target`.

    Args:
        source: the type that was found.
        target: the type that is expected.
        what: names the value in the message, such as ``"argument 'x'"``.

    Raises:
        BadType: it does not fit; the message has both types and the first place where they differ.

    >>> check_assignable("<a=int32,b=float32>", "<a=int32,b=float64>", what="the model")
    Traceback (most recent call last):
    ...
    fedanalytics.errors.BadType: the model: <a=int32,b=float32> does not fit <a=int32,b=float64>:
    at field 'b', float32 is not float64
    """
    source, target = to_type(source), to_type(target)
    difference = _difference(source, target)
    if difference is not None:
        place = f"at {', '.join(difference.path)}, " if difference.path else ""
        raise BadType(f"{what}: {source} does not fit {target}: {place}{difference.reason}")


@dataclass(frozen=True)
class _Difference:
    path: tuple[str, ...]
    reason: str

    def under(self, step: str) -> _Difference:
        return _Difference((step, *self.path), self.reason)


def _difference(source: Type, target: Type) -> _Difference | None:
    match source, target:
        case TensorType(), TensorType():
            return _tensors(source, target)
        case StructType(), StructType():
            return _structs(source, target)
        case SequenceType(), SequenceType():
            return _inside("the element", source.element, target.element)
        case FunctionType(), FunctionType():
            return _functions(source, target)
        case FederatedType(), FederatedType():
            return _placed(source, target)
        case _:
            return _Difference((), f"{_KINDS[type(source)]} is not {_KINDS[type(target)]}")


_KINDS: dict[type[Type], str] = {
    TensorType: "a tensor",
    StructType: "a struct",
    SequenceType: "a sequence",
    FunctionType: "a function",
    FederatedType: "a placed value",
}


def _inside(step: str, source: Type, target: Type) -> _Difference | None:
    difference = _difference(source, target)
    return None if difference is None else difference.under(step)


def _tensors(source: TensorType, target: TensorType) -> _Difference | None:
    if source.dtype != target.dtype:
        return _Difference((), f"{name_of(source.dtype)} is not {name_of(target.dtype)}")
    same_rank = len(source.shape) == len(target.shape)
    if not same_rank or any(t not in (None, s) for s, t in zip(source.shape, target.shape, strict=True)):
        return _Difference((), f"the shape of {source} is not that of {target}")
    return None


def _structs(source: StructType, target: StructType) -> _Difference | None:
    if len(source) != len(target):
        return _Difference((), f"{len(source)} fields are not {len(target)}")
    for i, ((name, found), (wanted, expected)) in enumerate(zip(source.fields, target.fields, strict=True)):
        if name not in (None, wanted):
            called = "has no name" if wanted is None else f"is called {wanted!r}"
            return _Difference((), f"field {i} is called {name!r}, the expected one {called}")
        difference = _inside(f"field {i if wanted is None else repr(wanted)}", found, expected)
        if difference is not None:
            return difference
    return None


def _functions(source: FunctionType, target: FunctionType) -> _Difference | None:
    if source.parameter is not None and target.parameter is not None:
        # The function will be given what the target promises, so here the target is the source.
        difference = _inside("the parameter", target.parameter, source.parameter)
        return difference or _inside("the result", source.result, target.result)
    if source.parameter is not target.parameter:
        return _Difference((), f"one of them has no parameter: {source}, {target}")
    return _inside("the result", source.result, target.result)


def _placed(source: FederatedType, target: FederatedType) -> _Difference | None:
    if source.placement is not target.placement:
        return _Difference((), f"a value at {source.placement} is not at {target.placement}")
    if target.all_equal and not source.all_equal:
        return _Difference((), "each client has its own value, where one value that all share is expected")
    return _inside("the member", source.member, target.member)
