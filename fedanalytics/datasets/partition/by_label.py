"""Deal examples out so that clients differ in their mix of classes: Dirichlet, or a few classes each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from fedanalytics._validate import positive, whole
from fedanalytics.datasets.arrays import as_classes
from fedanalytics.datasets.partition.by_size import Parts
from fedanalytics.datasets.seeds import seeded
from fedanalytics.errors import BadArgument

_ATTEMPTS = 10
_EQUAL = 1e12  # from here on all shares are equal to six digits, and far beyond it sums overflow


def dirichlet(
    labels: npt.ArrayLike,
    clients: int,
    alpha: float,
    *,
    min_size: int = 10,
    balanced: bool = True,
    seed: int = 0,
) -> Parts:
    """Each class is dealt out in proportions from a symmetric Dirichlet(alpha) distribution over the clients.

    Small alpha: a class lies with few clients; large alpha: nearly `iid` in labels. Drawn anew, up to ten times, until
    every client has `min_size` examples.

    Source: Yurochkin et al. 2019 (arXiv:1905.12022, section 4) and their code, of which `balanced` is part.

    Args:
        labels: integer classes, shape (n,).
        clients: how many clients.
        alpha: concentration, positive.
        min_size: the least examples a client may have, at least 1.
        balanced: a client with more than ``n / clients`` examples gets none of the classes that follow.
        seed: which examples go where.

    Returns:
        Per client the indices of its examples, sorted; disjoint, and together ``0..n-1``.

    Raises:
        BadArgument: labels are no classes, an argument is out of range, or no draw honours `min_size`.

    Example:
        >>> labels = np.arange(1000) % 10
        >>> sum(len(part) for part in dirichlet(labels, clients=5, alpha=0.5))
        1000
    """
    classes, clients = _classes(labels), whole(clients=clients)
    positive(alpha=alpha)
    whole(min_size=min_size)
    if clients * min_size > len(classes):
        raise BadArgument(
            f"min_size={min_size} for clients={clients} needs {clients * min_size} examples, labels= has {len(classes)}"
        )
    random = seeded(whole(0, seed=seed), "partition by dirichlet")
    largest = 0
    for _ in range(_ATTEMPTS):
        parts = _dirichlet_draw(classes, clients, min(alpha, _EQUAL), random, balanced=balanced)
        smallest = min(map(len, parts))
        if smallest >= min_size:
            return parts
        largest = max(largest, smallest)
    raise BadArgument(
        f"dirichlet: in {_ATTEMPTS} draws the smallest client had at most {largest} examples, min_size={min_size}; "
        f"raise alpha={alpha:g}, lower min_size= or clients={clients}, or try another seed="
    )


def pathological(labels: npt.ArrayLike, clients: int, classes_per_client: int, *, seed: int = 0) -> Parts:
    """Each client has exactly so many classes; each class is dealt out evenly among the clients that have it.

    Which classes is random, with each class held by about as many clients as any other, so that none is left out.

    Source: the setting of McMahan et al. 2017 (arXiv:1602.05629, section 3), in the form of Li et al. 2021
    (arXiv:2102.02079, "#C = k").

    Args:
        labels: integer classes, shape (n,).
        clients: how many clients.
        classes_per_client: from 1 to the number of classes in `labels`.
        seed: which classes and examples go where.

    Returns:
        Per client the indices of its examples, sorted; disjoint, and together ``0..n-1``.

    Raises:
        BadArgument: labels are no classes, an argument is out of range, clients * classes_per_client is below the
            number of classes, or a class has fewer examples than clients that want it.

    Example:
        >>> labels = np.arange(1000) % 10
        >>> [len(np.unique(labels[part])) for part in pathological(labels, clients=5, classes_per_client=2)]
        [2, 2, 2, 2, 2]
    """
    classes, clients = _classes(labels), whole(clients=clients)
    present = np.unique(classes)
    each = whole(classes_per_client=classes_per_client)
    if each > len(present):
        raise BadArgument(f"classes_per_client={each}, but labels= has only {len(present)} classes")
    if clients * each < len(present):
        raise BadArgument(
            f"clients={clients} with classes_per_client={each} leave some of the {len(present)} classes with nobody"
        )
    random = seeded(whole(0, seed=seed), "partition by pathological")
    holders = _holders(len(present), clients, each, random)
    shares: list[list[npt.NDArray[np.int64]]] = [[] for _ in range(clients)]
    for label, having in zip(present, holders, strict=True):
        rows = random.permutation(np.flatnonzero(classes == label))
        if len(rows) < len(having):
            raise BadArgument(
                f"class {label} has {len(rows)} examples for {len(having)} clients; "
                f"lower clients={clients} or classes_per_client={each}"
            )
        for client, share in zip(having, np.array_split(rows, len(having)), strict=True):
            shares[client].append(share)
    return [np.sort(np.concatenate(share)) for share in shares]


def _classes(labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
    array = np.asarray(labels)
    if array.ndim != 1 or not array.size:
        raise BadArgument(f"labels= must be a list of classes with something in it, got shape {array.shape}")
    return as_classes(array, None, "labels=")


def _dirichlet_draw(
    classes: npt.NDArray[np.int64], clients: int, alpha: float, random: Generator, *, balanced: bool
) -> Parts:
    """One draw, class by class."""
    owner = np.empty(len(classes), dtype=np.int64)
    sizes = np.zeros(clients, dtype=np.int64)
    for label in np.unique(classes):
        rows = random.permutation(np.flatnonzero(classes == label))
        shares = random.dirichlet(np.full(clients, alpha))
        if balanced:
            shares = _renormalised(shares, sizes <= len(classes) / clients)
        ends = (np.cumsum(shares) * len(rows)).astype(np.int64)
        ends[-1] = len(rows)
        counts = np.diff(ends, prepend=0)
        owner[rows] = np.repeat(np.arange(clients), counts)
        sizes += counts
    order = np.argsort(owner, kind="stable")
    return np.split(order, np.cumsum(sizes)[:-1])


def _renormalised(shares: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The shares of those who are allowed, equal ones where alpha is so small that they were drawn as zeros."""
    kept = np.where(allowed, shares, 0.0)
    base: npt.NDArray[np.float64] = kept if kept.any() else allowed.astype(np.float64)
    renormalised: npt.NDArray[np.float64] = base / base.sum()
    return renormalised


def _holders(classes: int, clients: int, each: int, random: Generator) -> list[list[int]]:
    """For each class the clients that hold it: each takes those that fewest hold, in random order."""
    holders: list[list[int]] = [[] for _ in range(classes)]
    held = np.zeros(classes, dtype=np.int64)
    for client in range(clients):
        chosen = np.lexsort((random.random(classes), held))[:each]
        held[chosen] += 1
        for label in chosen:
            holders[label].append(client)
    return holders
