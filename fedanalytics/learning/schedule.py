"""Which examples a client reads in which step, and which clients train side by side.

Everything about a client's own batches follows from its own examples and the public settings; what others hold only
decides whom it shares a chunk with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from fedanalytics.learning.clients import Clients
from fedanalytics.learning.local import Integers, LocalTraining


@dataclass(frozen=True, eq=False)
class Chunk:
    """Clients that train side by side.

    Attributes:
        positions: shape (k,): theirs in the cohort, by falling number of steps.
        width: rows of a padded batch.
        block: rows to which products of a client's examples are padded, where a layer is `Spanned` by them; else 0.
    """

    positions: Integers
    width: int
    block: int


@dataclass(frozen=True, eq=False)
class Packed:
    """The batches of a chunk, step by step: as the steps fall, the clients that still train are the first ones.

    Attributes:
        rows: shape (batches, width): which of its examples a client reads; a batch is padded with its own first row, so
            that padding is finite where the batch is.
        weights: shape (batches, width): 1 / size of the batch, 0 where padded.
        active: shape (steps,): how many clients train in each step.
        owners: shape (batches,): whose a batch is, by place in the chunk.
    """

    rows: torch.Tensor
    weights: torch.Tensor
    active: Integers
    owners: Integers

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The steps: rows and weights, each of shape (active clients, width)."""
        first = 0
        for k in self.active.tolist():
            yield self.rows[first : first + k], self.weights[first : first + k]
            first += k

    def totals(self, values: list[torch.Tensor]) -> npt.NDArray[np.float64]:
        """Sums over all that a client read, shape (k,), of one value per row and step; padding does not count."""
        counted = torch.where(self.weights > 0, torch.cat(values), 0).sum(1, dtype=torch.float64).numpy()
        return np.bincount(self.owners, counted).astype(np.float64, copy=False)


def batches(size: int, steps: int, width: int, seeds: Iterator[int] | None, generator: torch.Generator) -> Integers:
    """Which of its examples a client reads: shape (steps, width), padded with the first row of the batch.

    Args:
        size: how many examples it has, at least 1.
        steps: how many batches it takes, over as many passes as that needs.
        width: rows of a batch, from `widths`.
        seeds: of the order in each pass; None for the order as given.
        generator: to be seeded with them.
    """
    per_epoch = -(-size // width)
    epochs = -(-steps // per_epoch)
    rows = np.empty((epochs, per_epoch * width), dtype=np.int64)
    for order in rows:
        order[:size] = np.arange(size) if seeds is None else _shuffled(size, generator.manual_seed(next(seeds)))
        order[size:] = order[(per_epoch - 1) * width]
    return rows.reshape(-1, width)[:steps]


def counts(size: npt.ArrayLike, step: npt.ArrayLike, width: int) -> Integers:
    """How many rows of that batch are real: all, but in the last of a pass."""
    size = np.asarray(size)
    found: Integers = np.minimum(size - width * (step % -(-size // width)), width)
    return found


def _shuffled(size: int, generator: torch.Generator) -> Integers:
    order: Integers = torch.randperm(size, generator=generator).numpy()
    return order


def widths(sizes: Integers, local: LocalTraining) -> Integers:
    """To how many rows the batches of clients with that many examples are padded, shape (n,).

    The batch size, or the next power of two where a client has fewer examples: few different widths, each decided by
    the client's own size.
    """
    return rounded(sizes) if local.batch_size is None else np.minimum(rounded(sizes), local.batch_size)


def rounded(sizes: Integers) -> Integers:
    """The next power of two, shape (n,)."""
    return np.int64(1) << np.ceil(np.log2(np.maximum(sizes, 1))).astype(np.int64)


def chunks(
    clients: Clients, local: LocalTraining, blocks: Integers, capacity: Callable[[Chunk], int], workers: int
) -> list[Chunk]:
    """All clients that take a step, in chunks of one width and block with at most `capacity` clients each.

    Clients with similarly many steps stand together, the longest first; `workers` chunks at a time are of like size.
    """
    steps = local.steps_of(clients.sizes)
    order = np.argsort(-steps, kind="stable")[: np.count_nonzero(steps)]
    kinds = np.stack([widths(clients.sizes, local), blocks], axis=1)[order]
    found = []
    for kind in np.unique(kinds, axis=0)[::-1]:
        group = Chunk(order[(kinds == kind).all(1)], *kind.tolist())
        parts = -(-len(group.positions) // max(capacity(group), 1))
        parts = min(-(-parts // workers) * workers, len(group.positions))
        found += [replace(group, positions=part) for part in np.array_split(group.positions, parts)]
    return found


def pack(clients: Clients, chunk: Chunk, local: LocalTraining, training_round: int, dtype: torch.dtype) -> Packed:
    """The batches of a chunk."""
    sizes, ids = clients.sizes[chunk.positions], clients.ids[chunk.positions].tolist()
    steps = local.steps_of(sizes)
    active = np.searchsorted(-steps, -np.arange(steps[0]))
    first = np.cumsum(active) - active
    rows = np.empty((int(steps.sum()), chunk.width), dtype=np.int64)
    generator = torch.Generator()
    for j, (size, taken) in enumerate(zip(sizes.tolist(), steps.tolist(), strict=True)):
        orders = local.orders(training_round, ids[j])
        rows[first[:taken] + j] = batches(size, taken, chunk.width, orders, generator)
    owners = np.concatenate([np.arange(k) for k in active])
    real = counts(sizes[owners], np.repeat(np.arange(len(active)), active), chunk.width)[:, None]
    weights = np.where(np.arange(chunk.width) < real, 1 / real, 0)
    return Packed(torch.from_numpy(rows), torch.from_numpy(weights).to(dtype), active, owners)
