"""Deal examples out by number alone: equal shares, given ones, or shares that grow from client to client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics._validate import whole
from fedanalytics.datasets.seeds import seeded
from fedanalytics.errors import BadArgument

Parts: TypeAlias = list[npt.NDArray[np.int64]]


def iid(n: int, clients: int, seed: int = 0) -> Parts:
    """Shuffled examples in equal shares, which differ by at most one.

    Args:
        n: how many examples there are.
        clients: how many clients.
        seed: which examples go where.

    Returns:
        Per client the indices of its examples, sorted; disjoint, and together ``0..n-1``.

    Raises:
        BadArgument: fewer examples than clients.

    Example:
        >>> [len(part) for part in iid(10, clients=3)]
        [4, 3, 3]
    """
    n, clients = whole(n=n), whole(clients=clients)
    return by_sizes([n // clients + (k < n % clients) for k in range(clients)], seed)


def linear(n: int, clients: int, seed: int = 0) -> Parts:
    """As `iid`, with shares in the ratio 1 : 2 : 3 : ..., rounded down; the last client takes what is left.

    Raises:
        BadArgument: a client would get nothing.

    Example:
        >>> [len(part) for part in linear(100, clients=4)]
        [10, 20, 30, 40]
    """
    return _growing(n, clients, seed, np.arange(1.0, whole(clients=clients) + 1), "linear")


def square(n: int, clients: int, seed: int = 0) -> Parts:
    """As `linear`, with shares in the ratio 1 : 4 : 9 : ...

    Example:
        >>> [len(part) for part in square(300, clients=4)]
        [10, 40, 90, 160]
    """
    return _growing(n, clients, seed, np.arange(1.0, whole(clients=clients) + 1) ** 2, "square")


def exponential(n: int, clients: int, seed: int = 0) -> Parts:
    """As `linear`, with shares in the ratio 1 : e : e^2 : ...; ten clients need 14,000 examples.

    Example:
        >>> [len(part) for part in exponential(100, clients=4)]
        [3, 8, 23, 66]
    """
    return _growing(n, clients, seed, np.exp(np.arange(1.0 - whole(clients=clients), 1)), "exponential")


def by_sizes(sizes: Sequence[int], seed: int = 0) -> Parts:
    """Shuffled examples ``0..sum(sizes)-1`` in shares of these sizes.

    Raises:
        BadArgument: no sizes, or one is no whole number of at least 1.

    Example:
        >>> [len(part) for part in by_sizes([5, 1, 2])]
        [5, 1, 2]
    """
    counts = [whole(0, size=size) for size in sizes]
    if not counts or min(counts) < 1:
        got = f"client {counts.index(min(counts))} would have {min(counts)}" if counts else "there are none"
        raise BadArgument(f"every client needs at least 1 example, but {got}; ask for fewer clients")
    order = seeded(whole(0, seed=seed), "partition by size").permutation(sum(counts)).astype(np.int64)
    return [np.sort(part) for part in np.split(order, np.cumsum(counts)[:-1])]


def _growing(n: int, clients: int, seed: int, shares: npt.NDArray[Any], name: str) -> Parts:
    sizes = (shares / shares.sum() * whole(n=n)).astype(np.int64)
    sizes[-1] += n - sizes.sum()
    if sizes.min() < 1:
        raise BadArgument(
            f"{name}: n={n} examples leave client 0 of clients={clients} with none; ask for fewer clients"
        )
    return by_sizes(sizes.tolist(), seed)
