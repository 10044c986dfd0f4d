"""Functions of one client's values (or of the server's): what `federated_map` applies.

A local computation is pure: its result is a function of its arguments. It sees plain numpy values (`views`), draws no
random numbers, and changes nothing; another local computation may call it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np

from fedanalytics.computation import abstract
from fedanalytics.computation.annotations import annotated
from fedanalytics.computation.fingerprints import code_objects
from fedanalytics.computation.lines import user_line
from fedanalytics.computation.vectorise import Clients
from fedanalytics.computation.views import presented, recorded
from fedanalytics.errors import BadType
from fedanalytics.types import FunctionType, Type, conform, to_type

# A stand-in for many clients has another class and identity than one client's value; only these can see that.
_TELLING = frozenset({"type", "id"})


class Placed:
    """What has a placement. A local computation sees plain values only; here it can tell."""


@dataclass(frozen=True, eq=False)
class LocalComputation:
    """A Python function with what is declared of its types.

    Attributes:
        function: the Python function, a ufunc, or any other callable.
        parameters: the declared types of its arguments; None: any.
        result: the declared type of its result; None: found by an abstract run (`abstract`).

    Example:
        >>> @local_computation(np.float32)
        ... def to_fahrenheit(celsius):
        ...     return celsius * 9 / 5 + 32
        >>> to_fahrenheit.type_signature, to_fahrenheit(100)
        ((float32 -> float32), np.float32(212.0))
    """

    function: Callable[..., Any]
    parameters: tuple[Type, ...] | None = None
    result: Type | None = None

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.function

    @property
    def __name__(self) -> str:
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    @property
    def declared(self) -> str:
        """The declared types as text, for digests."""
        return f"local_computation({self.parameters}, returns={self.result})"

    @property
    def type_signature(self) -> FunctionType:
        """The type, if the argument types are declared.

        Raises:
            BadType: they are not.
        """
        if self.parameters is None:
            raise BadType(f"{self.__name__} takes values of any type; declare them, @local_computation(np.float32)")
        names = inspect.signature(self.function).parameters
        return FunctionType.of(zip(names, self.parameters, strict=False), self.typed(self.parameters))

    @cached_property
    def indiscreet(self) -> bool:
        """Whether it may look at the class or identity of its arguments: then it runs client by client."""
        return any(not _TELLING.isdisjoint(code.co_names) for code in code_objects(self.function))

    def accepts(self, count: int) -> bool:
        """Whether it can be called with `count` positional arguments, as far as is known."""
        if self.parameters is not None:
            return len(self.parameters) == count
        if isinstance(self.function, np.ufunc):
            return self.function.nin == count
        try:
            inspect.signature(self.function).bind(*(None,) * count)
        except TypeError:
            return False
        except ValueError:  # a builtin without a signature: the abstract run will tell
            return True
        return True

    def typed(self, types: Sequence[Type]) -> Type:
        """The type of its result for arguments of these types: the declared one, or that of an abstract run.

        Raises:
            BadType: the abstract run failed, or contradicts the declaration.
        """
        try:
            results = abstract.outcomes(self.function, types)
        except BadType:
            raise
        except Exception as error:
            if self.result is not None:
                return self.result
            found = ", ".join(map(str, types))
            raise BadType(
                f"it raised {type(error).__name__} ({error}) when run on zeros of type {found} to find what it returns;"
                " mend it, or declare the result: @local_computation(returns=...)"
            ) from error
        if any(isinstance(result, Placed) for result in results):
            raise BadType(
                "it uses a placed value from outside; give it as one more argument: federated_map(f, [x, y]), and if"
                " it is the server's, federated_broadcast(y)"
            )
        if self.result is None:
            return abstract.inferred(results)
        abstract.agrees(results, self.result)
        return self.result

    def __call__(self, *arguments: Any) -> Any:
        """Its result for plain values; the declared types are checked.

        Raises:
            BadType: a value does not fit, or is placed.
        """
        if any(map(_stands_for_many, arguments)):
            return self.function(*arguments)
        if any(isinstance(a, Placed) for a in arguments):
            raise BadType(
                f"{self.__name__} is a local computation: it runs on one client's plain values;"
                f" write federated_map({self.__name__}, x) (at {user_line()})"
            )
        if self.parameters is not None:
            if len(arguments) != len(self.parameters):
                raise BadType(f"{self.__name__} takes {len(self.parameters)} arguments, {len(arguments)} were given")
            arguments = tuple(
                presented(conform(value, kind, what=f"argument {i} of {self.__name__}"), kind)
                for i, (value, kind) in enumerate(zip(arguments, self.parameters, strict=True))
            )
        result = self.function(*map(recorded, arguments))
        return recorded(
            result if self.result is None else conform(result, self.result, what=f"the result of {self.__name__}")
        )


@overload
def local_computation(function: Callable[..., Any], /) -> LocalComputation: ...


@overload
def local_computation(*types: Any, returns: Any = None) -> Callable[[Callable[..., Any]], LocalComputation]: ...


def local_computation(*types: Any, returns: Any = None) -> Any:
    """Declares a function of plain values, for `federated_map` and for other local computations.

    Bare, its result type is that of its annotation (``-> np.float32``), or found by running it on zeros and ones of
    its argument types where it is mapped. Annotations of parameters are not read: the function takes what it is given.

    Args:
        types: the argument types, checked wherever it is used.
        returns: the result type; results are converted to it, if that changes no meaning (`fedanalytics.types`).

    Raises:
        BadType: something that is not a type, or a result that does not have the declared type.

    Example:
        >>> @local_computation(returns=np.float32)
        ... def hottest(readings):
        ...     return max(readings)
        >>> hottest([68.5, 70.25])
        np.float32(70.25)
    """
    if len(types) == 1 and returns is None and _is_function(types[0]):
        return as_local(types[0])
    parameters = tuple(map(to_type, types)) or None
    result = None if returns is None else to_type(returns)

    def declare(function: Callable[..., Any]) -> LocalComputation:
        local = as_local(function)
        declared = LocalComputation(local.function, parameters, result or local.result)
        if parameters is not None:
            _ = declared.type_signature
        return declared

    return declare


def as_local(function: Callable[..., Any]) -> LocalComputation:
    """The function as a local computation, with the result type of its annotation if that is a type.

    Raises:
        BadType: it is not callable.
    """
    if isinstance(function, LocalComputation):
        return function
    if not callable(function):
        raise BadType(f"a function is needed, got {function!r} ({type(function).__name__})")
    try:
        return LocalComputation(function, None, annotated(function, "return"))
    except BadType:  # Any, np.ndarray, a class of the user's: an annotation for readers, not for us
        return LocalComputation(function)


def _is_function(candidate: Any) -> bool:
    return callable(candidate) and not isinstance(candidate, type | Type | np.dtype)


def _stands_for_many(argument: Any) -> bool:
    if type(argument) is Clients:
        return True
    parts = argument.values() if isinstance(argument, dict) else argument if isinstance(argument, tuple) else ()
    return any(map(_stands_for_many, parts))
