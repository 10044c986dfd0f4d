"""What a computation returns: one placed value, or a tuple or dict of them, also nested."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fedanalytics.computation.values import Value
from fedanalytics.types import StructType, Type


def parts(structure: Any) -> Iterator[Any]:
    """The leaves, in order."""
    if isinstance(structure, dict | tuple | list):
        for part in structure.values() if isinstance(structure, dict) else structure:
            yield from parts(part)
    else:
        yield structure


def rebuilt(structure: Any, function: Callable[[Value], Any]) -> Any:
    """The same structure with the function of each leaf; a list becomes a tuple, a named tuple keeps its class."""
    if isinstance(structure, dict):
        return {name: rebuilt(part, function) for name, part in structure.items()}
    if isinstance(structure, tuple | list):
        inner = [rebuilt(part, function) for part in structure]
        return structure._make(inner) if hasattr(structure, "_make") else tuple(inner)
    return function(structure)


def type_of_structure(structure: Any) -> Type:
    """The placed type, or a struct of placed types.

    Raises:
        BadType: a dict's key is no name.
    """
    if isinstance(structure, dict):
        return StructType({name: type_of_structure(part) for name, part in structure.items()})
    if isinstance(structure, tuple | list):
        names = getattr(structure, "_fields", (None,) * len(structure))
        return StructType(tuple((n, type_of_structure(p)) for n, p in zip(names, structure, strict=True)))
    value: Value = structure
    return value.type
