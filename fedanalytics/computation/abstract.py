"""What type a Python function returns, by running it on zeros.

It runs twice: on zeros with one element in every sequence and open extent, and on ones with two. What differs in
length between the runs is open in the result's type; a result whose type differs needs an annotation. So a function
whose result depends on more than its arguments' types is found where it is written, not at the millionth client.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fedanalytics.computation.views import presented, sample
from fedanalytics.errors import BadType
from fedanalytics.types import SequenceType, StructType, TensorType, Type, conform, type_of


def outcomes(function: Callable[..., Any], types: Sequence[Type]) -> tuple[Any, Any]:
    """What the function returns on two samples of its argument types.

    Raises:
        Exception: whatever the function raises on zeros.
    """

    def run(fill: int, length: int) -> Any:
        return function(*(presented(sample(kind, fill, length), kind) for kind in types))

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 0 / 0 says nothing about the user's data
        first = run(0, 1)
        try:
            return first, run(1, 2)
        except Exception:  # noqa: BLE001  # ones may be outside what the function is for; zeros were not
            return first, run(0, 2)


def inferred(results: tuple[Any, Any]) -> Type:
    """The one type that both results have.

    Raises:
        BadType: a result is None or has no type, or the two have different ones.
    """
    if any(result is None for result in results):
        raise BadType("it returns nothing; did you forget the return?")
    first, second = map(type_of, results)
    both = _joined(first, second)
    if both is None:
        raise BadType(f"its result is {first} on zeros and {second} on ones, so its type depends on the values")
    return both


def agrees(results: tuple[Any, Any], declared: Type) -> None:
    """Checks results against the declared type.

    Raises:
        BadType: a result does not fit.
    """
    for result in results:
        conform(result, declared, what="its result")


def _joined(first: Type, second: Type) -> Type | None:
    match first, second:
        case TensorType(), TensorType() if first.dtype == second.dtype and len(first.shape) == len(second.shape):
            extents = zip(first.shape, second.shape, strict=True)
            return TensorType(first.dtype, tuple(a if a == b else None for a, b in extents))
        case SequenceType(), SequenceType():
            element = _joined(first.element, second.element)
            return None if element is None else SequenceType(element)
        case StructType(), StructType() if first.names == second.names:
            members = [_joined(a, b) for a, b in zip(first, second, strict=True)]
            return None if None in members else StructType(tuple(zip(first.names, members, strict=True)))
        case _:
            return None
