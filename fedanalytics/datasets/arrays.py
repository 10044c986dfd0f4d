"""What a client's examples are: an array of features and an array of labels, one row and one label per example.

| given                                | becomes                                                               |
|--------------------------------------|-----------------------------------------------------------------------|
| features: floats, booleans           | float32; NaN and infinities are kept                                  |
| features: integers (tokens, pixels)  | int64                                                                 |
| features: texts                      | kept as texts                                                         |
| labels: integers, booleans           | int64 classes; below 0 is refused                                     |
| labels: floats                       | float32 targets; NaN and infinities are kept                          |
| ragged rows, lengths that differ     | refused                                                               |
| no example                           | refused                                                               |

NaN is kept because what a client holds must not raise while a session runs: a client whose update is not finite is the
null vector there (`fedanalytics.privacy.clipping`). Nothing is guessed from values: integers are classes, floats are
targets, whether they are whole or not.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.errors import BadArgument

Features: TypeAlias = npt.NDArray[Any]
Labels: TypeAlias = npt.NDArray[Any]
Examples: TypeAlias = tuple[Features, Labels]


def examples(features: Any, labels: Any, what: str) -> Examples:
    """Both arrays, if they fit each other.

    Args:
        features: shape (n, ...), or what numpy makes one of.
        labels: shape (n,), likewise.
        what: whose they are, for messages.

    Raises:
        BadArgument: a row of the table above.

    Example:
        >>> examples([[0.5], [1.0]], [3, 7], "client 'a'")
        (array([[0.5],
               [1. ]], dtype=float32), array([3, 7]))
    """
    x, y = as_features(features, what), as_labels(labels, what)
    if len(x) != len(y):
        raise BadArgument(f"{what}: {len(x)} rows of features and {len(y)} labels; each example needs one of both")
    if not len(y):
        raise BadArgument(f"{what} has no examples; leave it out")
    return x, y


def as_features(values: Any, what: str) -> Features:
    """The features as float32, int64 or texts.

    Raises:
        BadArgument: they are ragged, a single value, or neither numbers nor texts.
    """
    array = _array(values, f"{what}: features")
    if array.dtype.kind in "fb":
        return _float32(array)
    if array.dtype.kind in "iu":
        return _int64(array, f"{what}: features")
    if array.dtype.kind == "U":
        return array
    raise BadArgument(f"{what}: features hold {array.dtype.name}; they must be numbers or texts")


def as_labels(values: Any, what: str) -> Labels:
    """The labels as int64 classes or float32 targets.

    Raises:
        BadArgument: they are not a list of numbers, or a class is below 0.
    """
    array = _array(values, f"{what}: labels")
    if array.ndim != 1:
        raise BadArgument(f"{what}: labels have shape {array.shape}; they must be one number per example")
    if array.dtype.kind == "f":
        return _float32(array)
    if array.dtype.kind in "iub":
        return as_classes(array, None, what)
    raise BadArgument(f"{what}: labels hold {array.dtype.name}; number the classes from 0")


def as_classes(labels: npt.NDArray[Any], classes: int | None, what: str) -> npt.NDArray[np.int64]:
    """The labels as int64, if they are integers from 0 to classes - 1 (or from 0 on).

    Raises:
        BadArgument: they are floats or texts, or one is outside.
    """
    if labels.dtype.kind not in "iub":
        raise BadArgument(f"{what}: labels hold {labels.dtype.name}; classes are integers from 0: astype('int64')")
    numbers = _int64(labels, f"{what}: labels")
    if numbers.size and numbers.min() < 0:
        raise BadArgument(f"{what}: label {numbers.min()} is below 0; number the classes from 0 (targets are floats)")
    if classes is not None and numbers.size and numbers.max() >= classes:
        raise BadArgument(f"{what}: label {numbers.max()} is outside 0..{classes - 1} of classes={classes}")
    return numbers


def _array(values: Any, what: str) -> npt.NDArray[Any]:
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):
        raise BadArgument(f"{what} are ragged: rows differ in shape; pad or cut them to one") from None
    if not array.ndim:
        raise BadArgument(f"{what} are a single value; they must be one row per example")
    if array.dtype.kind == "U" and not isinstance(values, np.ndarray) and not _all_texts(values):
        raise BadArgument(f"{what} mix texts and numbers")  # of which numpy would silently make texts
    return array


def _all_texts(values: Any) -> bool:
    return isinstance(values, str) or (isinstance(values, list | tuple) and all(map(_all_texts, values)))


@np.errstate(over="ignore")  # beyond float32 is infinite: a warning about a client's value would tell
def _float32(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return array.astype(np.float32, copy=False)


def _int64(array: npt.NDArray[Any], what: str) -> npt.NDArray[np.int64]:
    if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise BadArgument(f"{what} go beyond 64-bit integers")
    return array.astype(np.int64, copy=False)
