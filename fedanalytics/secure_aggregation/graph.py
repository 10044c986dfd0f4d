"""The neighbour graph: the clients on a circle in an order that the committed keys decide, each with the k nearest.

The seed of the order is the hash of all committed keys, which each client checks: whoever wants another order has to
draw it by chance. A server that leaves out advertisers, or whose clients try many keys, draws anew: m draws multiply
the probabilities in `parameters` by m, which a larger security level makes up for. The circle spans the whole roster;
who did not advertise is a neighbour that has dropped out.

**Connected.** Remove any set of clients from a circle where each is joined to the h = k/2 nearest on both sides. If the
rest falls apart, walk around the circle: two that follow each other in the rest and lie at most h steps apart are
joined, so one part is left and another entered only across h or more removed clients in a row, and this happens at
least twice. So the honest survivors are connected unless there are two disjoint windows of h clients without any of
them. `scattered` looks for two such windows that hold few enough survivors that all of them may be corrupt.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from fedanalytics.privacy.keystream import Keystream
from fedanalytics.secure_aggregation.wire import Flags

Order = npt.NDArray[np.int64]


@functools.lru_cache(maxsize=8)
def circle(seed: bytes, clients: int) -> Order:
    """The clients in their order on the circle: sorted by the words of AES-256-CTR under the seed, read-only.

    Args:
        seed: 32 bytes.
        clients: how many.

    Example:
        >>> circle(bytes(32), 5)
        array([4, 1, 0, 3, 2])
    """
    order = np.argsort(Keystream(seed).words(clients), kind="stable")
    order.flags.writeable = False
    return order


def neighbours(order: Order, degree: int, client: int) -> list[int]:
    """The `degree` nearest on the circle, half on either side, ascending; all others where the degree is n - 1.

    Example:
        >>> neighbours(circle(bytes(32), 5), 2, 4)
        [1, 2]
    """
    if degree == len(order) - 1:
        return [other for other in range(len(order)) if other != client]
    half, at = degree // 2, int(np.flatnonzero(order == client)[0])
    near = order[(at + np.delete(np.arange(-half, half + 1), half)) % len(order)]
    return sorted(near.tolist())


def table(order: Order, degree: int) -> list[list[int]]:
    """The neighbours of every client."""
    clients = len(order)
    if degree == clients - 1:
        return [neighbours(order, degree, client) for client in range(clients)]
    half = degree // 2
    steps = np.delete(np.arange(-half, half + 1), half)
    near = np.empty((clients, degree), np.int64)
    near[order] = order[(np.arange(clients)[:, None] + steps) % clients]
    return np.sort(near, axis=1).tolist()  # type: ignore[no-any-return]  # numpy cannot say how deep


def scattered(order: Order, degree: int, survivors: Flags, corrupt: int) -> bool:
    """Whether corrupt clients could keep the honest survivors apart.

    Args:
        order: of the circle.
        degree: k; with n - 1 nobody is ever apart.
        survivors: one flag per client of the roster.
        corrupt: the most corrupt clients that two disjoint windows of k/2 hold together.

    Example:
        >>> order = circle(bytes(32), 8)
        >>> scattered(order, 2, np.ones(8, bool), 1), scattered(order, 2, np.ones(8, bool), 2)
        (False, True)
    """
    half, clients = degree // 2, len(order)
    if degree == clients - 1:
        return False
    ring = np.concatenate([survivors[order], survivors[order[: half - 1]]]).astype(np.int64)
    held = np.convolve(ring, np.ones(half, np.int64), "valid")  # in the window of `half` that starts at each place
    for start in np.flatnonzero(held <= corrupt // 2).tolist():  # one of the two holds at most half of them
        disjoint = np.roll(held, -start)[half : clients - half + 1]
        if held[start] + disjoint.min() <= corrupt:
            return True
    return False
