"""Synthetic writers: thousands of clients, each with a hand of its own, made of real digits on demand.

A hand is a slant, a size, a place on the paper and a thickness of the pen. Slant, size and place are one linear map
from the 8x8 pixels of a digit to those of the page; thickness is the level of ink from which a pixel counts as black.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from fedanalytics._validate import one_of, positive, whole
from fedanalytics.datasets.arrays import Examples
from fedanalytics.datasets.clients import ClientDatasets
from fedanalytics.datasets.digits import BLOCKS, images_of_digits
from fedanalytics.datasets.seeds import seeded

_TRAINING_BLOCKS = 11  # of the 14: the other three are seen in the test set only
_SPREAD = 0.4  # standard deviation of the logarithm of a writer's number of examples; FEMNIST's varies as much
_WIDTH = {8: 0.5, 28: 0.25}  # ink between white and black: a page of few pixels needs its grey levels


@dataclass(frozen=True)
class _Hand:
    """How one writer differs: all in widths of the original image, but for `slant` and `level`."""

    slant: float
    scale: float
    right: float
    down: float
    level: float


def synthetic_writers(
    clients: int = 3_400, examples: float = 25, *, test_clients: int = 340, side: Literal[8, 28] = 8, seed: int = 0
) -> tuple[ClientDatasets, ClientDatasets]:
    """(train, test): writers of digits, and writers who are not in training.

    Each writer takes digits of one of scikit-learn's inferred writer blocks (`digits`), no image twice before all were
    taken, and writes them slanted, scaled, shifted, thicker or thinner in a way of its own, with a little variation of
    thickness between examples. Training and test writers take from different blocks, so that no image of the test was
    seen. Needs scikit-learn.

    The classes are nearly balanced at each writer: clients differ in features, not in labels. A writer's examples are
    made when they are asked for and depend on the seed and the writer's number alone: more writers, or other
    `examples` of others, change nothing about it. ``test.pooled()`` is one test set for all.

    Args:
        clients: writers in the training set; their ids are "writer-000000" and so on.
        examples: per writer on average; the numbers are lognormal with standard deviation 0.4 of the logarithm, at
            least 1 (of 25: half of the writers have 18 to 30, one in a hundred more than 58).
        test_clients: writers in the test set; their ids are "unseen-000000" and so on.
        side: pixels a side, 8 (the original resolution) or 28 (as MNIST has, interpolated: smoother, no more detail).
        seed: which writers these are.

    Returns:
        Two `ClientDatasets`: features float32 in 0..1 (1.0 is ink), shape (n, side, side); labels int64, 0 to 9.

    Raises:
        FedAnalyticsError: scikit-learn is not installed.
        BadArgument: an argument is out of range.

    Example:
        >>> train, test = synthetic_writers(clients=100, examples=20, test_clients=10)
        >>> len(train), len(test), train.dataset("writer-000042")[0].shape[1:]
        (100, 10, (8, 8))
    """
    whole(clients=clients)
    whole(test_clients=test_clients)
    positive(examples=examples)
    one_of(map(str, _WIDTH), side=str(side))
    whole(0, seed=seed)
    images, labels = images_of_digits("synthetic_writers")
    training, testing = range(_TRAINING_BLOCKS), range(_TRAINING_BLOCKS, len(BLOCKS) - 1)
    made = (("writer", clients, training), ("unseen", test_clients, testing))
    train, test = (
        _sources(_Page(name, images, labels, blocks, side, seed), count, examples) for name, count, blocks in made
    )
    return train, test


@dataclass(frozen=True)
class _Page:
    """What all writers of a set have in common."""

    name: str
    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    blocks: range
    side: int
    seed: int


def _sources(page: _Page, clients: int, mean: float) -> ClientDatasets:
    # The mean of a lognormal is exp(mu + spread^2 / 2).
    middle = np.log(mean) - _SPREAD**2 / 2
    drawn = seeded(page.seed, page.name, "sizes").lognormal(middle, _SPREAD, clients)
    sizes = {f"{page.name}-{i:06d}": max(1, round(size)) for i, size in enumerate(drawn.tolist())}
    return ClientDatasets(tuple(sizes), tuple(sizes.values()), partial(_written, page, sizes))


def _written(page: _Page, sizes: dict[str, int], client_id: str) -> Examples:
    random, count = seeded(page.seed, client_id), sizes[client_id]
    block = random.integers(page.blocks.start, page.blocks.stop)
    hand = _hand(random)
    rows = np.resize(random.permutation(np.arange(BLOCKS[block], BLOCKS[block + 1])), count)
    ink = page.images[rows].reshape(count, -1) @ _map(hand, page.side).T
    width = _WIDTH[page.side]
    level = np.maximum(hand.level + random.normal(0, 0.03, (count, 1)), width / 2)  # no ink is white
    shade = np.clip((ink - level) / width + 0.5, 0, 1)
    return shade.astype(np.float32).reshape(count, page.side, page.side), page.labels[rows]


def _hand(random: Generator) -> _Hand:
    return _Hand(
        slant=random.normal(0, 0.2),
        scale=random.uniform(0.8, 1.0),
        right=random.normal(0, 0.03),
        down=random.normal(0, 0.03),
        level=random.uniform(0.25, 0.5),
    )


def _map(hand: _Hand, side: int) -> npt.NDArray[np.float32]:
    """The linear map from an image's 64 pixels to the page's: where each of its pixels comes from, interpolated.

    Shape (side * side, 64). White lies around the image.
    """
    centre = (np.arange(side) + 0.5) / side - 0.5
    down, right = np.meshgrid(centre, centre, indexing="ij")
    row = (down - hand.down) / hand.scale
    column = (right - hand.right + hand.slant * down) / hand.scale
    weights = _tent(row)[:, :, :, None] * _tent(column)[:, :, None, :]
    return weights.reshape(side * side, 64).astype(np.float32)


def _tent(place: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Linear interpolation between the centres of 8 pixels: the weight of each, shape (..., 8)."""
    pixel = (place + 0.5) * 8 - 0.5
    return np.maximum(0.0, 1.0 - np.abs(pixel[..., None] - np.arange(8)))
