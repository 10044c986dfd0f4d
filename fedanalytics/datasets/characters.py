"""Windows of text as numbers: each character's place in a vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics.errors import BadArgument

LEAF_CHARACTERS = "\n !\"&'(),-.0123456789:;>?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]abcdefghijklmnopqrstuvwxyz}"
"""The 80 characters of LEAF's Shakespeare, in its order (``ALL_LETTERS`` of its models/utils/language_utils.py)."""


def characters(windows: npt.ArrayLike, vocabulary: str = LEAF_CHARACTERS, what: str = "windows=") -> npt.NDArray[Any]:
    """Texts of one length -> int64, shape (n, length): places in the vocabulary, from 0.

    A character that is not in the vocabulary becomes ``len(vocabulary)``, so that an embedding needs one row more
    (LEAF's own code gives it -1, which Python takes for the last character).

    Args:
        windows: n texts.
        vocabulary: each character once.
        what: whose they are, for messages.

    Raises:
        BadArgument: the texts differ in length or are empty, or the vocabulary has a character twice.

    Example:
        >>> characters(["to b", "e or"])
        array([[72, 67,  1, 54],
               [57,  1, 67, 70]])
    """
    texts = np.asarray(windows)
    if texts.ndim != 1 or texts.dtype.kind != "U" or not texts.size:
        raise BadArgument(f"{what} must be a list of texts with something in it")
    if not vocabulary or len(set(vocabulary)) < len(vocabulary):
        raise BadArgument("vocabulary= must hold each of its characters once, and at least one")
    lengths = np.strings.str_len(texts)
    if lengths.min() != lengths.max() or not lengths.min():
        raise BadArgument(f"{what} are ragged: texts of {lengths.min()} to {lengths.max()} characters; pad or cut them")
    points = np.ascontiguousarray(texts).view(np.uint32).reshape(len(texts), -1)
    known = np.array([ord(character) for character in vocabulary], dtype=np.uint32)
    order = np.argsort(known)
    near = order[np.minimum(np.searchsorted(known, points, sorter=order), len(known) - 1)]
    return np.where(known[near] == points, near, len(known))
