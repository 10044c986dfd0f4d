"""Handwritten digits with the writers that their order gives away."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics.datasets.clients import ClientDatasets, from_clients
from fedanalytics.datasets.extras import required

# Where the hand changes; found from the order of the labels and the look of the digits.
BLOCKS = (0, 130, 256, 386, 516, 646, 776, 915, 1029, 1157, 1287, 1415, 1545, 1667, 1797)


def digits() -> ClientDatasets:
    """1,797 handwritten digits of 8x8 pixels from 14 inferred writer blocks. Needs scikit-learn.

    Features are float32 in 0..1 (1.0 is ink), shape (n, 8, 8); labels are int64, 0 to 9. The clients are called
    "block-00" to "block-13", with 114 to 139 examples each.

    The data do not say who wrote what: these are inferred writer blocks, runs of rows that look like one hand (the
    data set was collected from 43 people, and this is its test set, from 13 of them). With a linear model,
    accuracy on shuffled examples is 0.97, on a block that was left out 0.93.

    Source: UCI, Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998), from
    ``sklearn.datasets.load_digits``.

    Raises:
        FedAnalyticsError: scikit-learn is not installed.

    Example:
        >>> digits()
        ClientDatasets(14 clients, 1,797 examples)
    """
    images, labels = images_of_digits("digits")
    blocks = enumerate(pairwise(BLOCKS))
    return from_clients({f"block-{i:02d}": (images[a:b], labels[a:b]) for i, (a, b) in blocks})


def images_of_digits(what: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """All images, shape (1797, 8, 8), and their labels, in the order of the data set."""
    bunch: Any = required("sklearn.datasets", "scikit-learn", what).load_digits()
    return bunch.images.astype(np.float32) / 16, bunch.target.astype(np.int64)
