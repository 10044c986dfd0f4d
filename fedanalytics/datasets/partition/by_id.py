"""Deal examples out by the id that each already has."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedanalytics.datasets.partition.by_size import Parts
from fedanalytics.errors import BadArgument


def natural(ids: npt.ArrayLike) -> Parts:
    """The examples of each id, in the order of the sorted ids.

    Args:
        ids: integers or texts, shape (n,).

    Returns:
        Per id the indices of its examples, sorted; disjoint, and together ``0..n-1``.

    Raises:
        BadArgument: the ids are empty, missing, or fractions, of which rounding may have made one of two.

    Example:
        >>> natural(["b", "a", "b"])
        [array([1]), array([0, 2])]
    """
    array = np.asarray(ids)
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.ravel()):
        array = array.astype(str)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iuU":
        raise BadArgument(
            f"ids= must be a list of integers or texts with something in it, got {array.dtype.name} {array.shape}"
        )
    _, owner, counts = np.unique(array, return_inverse=True, return_counts=True)
    return np.split(np.argsort(owner, kind="stable"), np.cumsum(counts)[:-1])
