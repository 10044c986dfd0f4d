"""Structs of tensors as one vector per client, and back: what a ball bounds and a noisy sum carries."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics.computation.views import built, by_field
from fedanalytics.types import StructType, TensorType, Type


def size_of(kind: Type) -> int:
    """How many numbers a value has.

    >>> from fedanalytics.types import parse_type
    >>> size_of(parse_type("<weights=float32[784,10],bias=float32[10]>"))
    7850
    """
    return sum(math.prod(extent or 0 for extent in leaf.shape) for leaf in leaves(kind))


def leaves(kind: Type) -> Iterator[TensorType]:
    """The tensors of a struct, in order."""
    if isinstance(kind, StructType):
        for member in kind.types:
            yield from leaves(member)
    elif isinstance(kind, TensorType):
        yield kind


def flattened(columns: Any, kind: Type) -> npt.NDArray[np.float64]:
    """Columns of n clients -> float64 of shape (n, size)."""
    sizes = (math.prod(array.shape[1:]) for array in _arrays(columns, kind))
    parts = [
        np.asarray(array, dtype=np.float64, order="C").reshape(len(array), size)
        for array, size in zip(_arrays(columns, kind), sizes, strict=True)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def unflattened(vector: npt.NDArray[Any], kind: Type) -> Any:
    """One vector of shape (size,) -> the value of the type; numbers beyond a leaf's dtype become infinite."""
    if isinstance(kind, StructType):
        ends = np.cumsum([0, *map(size_of, kind.types)])
        parts = [vector[a:b] for a, b in itertools.pairwise(ends)]
        return built(kind, [unflattened(part, member) for part, member in zip(parts, kind.types, strict=True)])
    (leaf,) = leaves(kind)
    with np.errstate(over="ignore"):
        return np.asarray(vector).reshape(tuple(extent or 0 for extent in leaf.shape)).astype(leaf.dtype)[()]


def _arrays(columns: Any, kind: Type) -> Iterator[Any]:
    if isinstance(kind, StructType):
        for column, member in by_field(columns, kind):
            yield from _arrays(column, member)
    else:
        yield columns
