"""The examples of many clients: a tensor of features and one of labels for each, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.learning.local import Integers

Pair: TypeAlias = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Clients:
    """Examples of n clients. Tensors and arrays of the right type are not copied.

    Attributes:
        examples: a pair of each client: features, shape (rows, ...), floats or whole numbers such as token ids; labels,
            shape (rows, ...), int64 for classes, floats otherwise.
        sizes: shape (n,): how many rows a client has; it may have none.
        ids: shape (n,): whole numbers that seed a client's randomness; its position, if not taken from elsewhere.
        labels: shape (n, 2): a client's lowest and highest label, where they are whole numbers.

    Example:
        >>> clients = Clients.of([(np.zeros((3, 2)), [0, 1, 1]), (np.ones((1, 2)), [1])])
        >>> len(clients), clients.sizes.tolist(), clients.take([1]).ids.tolist()
        (2, [3, 1], [1])
    """

    examples: tuple[Pair, ...]
    sizes: Integers
    ids: Integers
    labels: Integers

    @classmethod
    def of(cls, data: Sequence[tuple[Any, Any]], dtype: torch.dtype = torch.float32) -> Clients:
        """From one pair (features, labels) per client: arrays, tensors or lists with equally many rows.

        Floats become `dtype`, whole numbers of labels int64. NaN and infinities are let through: such a client's update
        is zero (see `train_in_chunks`).

        Raises:
            BadArgument: no clients, or a client (named by its index) whose pair does not fit.
        """
        if not isinstance(data, Sequence) or isinstance(data, str) or not data:
            found = "no clients" if isinstance(data, list | tuple) else type(data).__name__
            raise BadArgument(f"data= must be a list with one pair (features, labels) per client, got {found}")
        examples = tuple(_pair(entry, i, dtype) for i, entry in enumerate(data))
        sizes = np.array([len(labels) for _, labels in examples], dtype=np.int64)
        filled = np.flatnonzero(sizes).tolist()
        for i in filled:
            _alike(examples[i], examples[filled[0]], i, filled[0])
        return cls(examples, sizes, np.arange(len(sizes)), _ranges([labels for _, labels in examples]))

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def typical(self) -> Pair:
        """The pair of the first client that has examples, or else of the first."""
        return self.examples[int(np.argmax(self.sizes > 0))]

    def take(self, clients: npt.ArrayLike) -> Clients:
        """These clients, by position; they keep their ids."""
        chosen = np.asarray(clients, dtype=np.int64)
        examples = tuple(self.examples[i] for i in chosen)
        return Clients(examples, self.sizes[chosen], self.ids[chosen], self.labels[chosen])

    def split(self, fraction: float) -> tuple[Clients, Clients]:
        """The first `fraction` of every client's rows (rounded to nearest), and the rest.

        Raises:
            BadArgument: `fraction` does not lie strictly between 0 and 1.
        """
        first = np.rint(self.sizes * _validate.probability(fraction=fraction)).astype(np.int64)
        cuts = list(zip(self.examples, first.tolist(), strict=True))
        head = tuple((x[:cut], y[:cut]) for (x, y), cut in cuts)
        tail = tuple((x[cut:], y[cut:]) for (x, y), cut in cuts)
        return replace(self, examples=head, sizes=first), replace(self, examples=tail, sizes=self.sizes - first)

    def to(self, dtype: torch.dtype) -> Clients:
        """The same, floats in another precision."""
        if all(not t.is_floating_point() or t.dtype == dtype for t in self.typical):
            return self
        return replace(self, examples=tuple((_cast(x, dtype), _cast(y, dtype)) for x, y in self.examples))


def _ranges(labels: list[torch.Tensor]) -> Integers:
    """The lowest and highest of each client's labels that are whole numbers, shape (n, 2)."""
    found = np.zeros((len(labels), 2), dtype=np.int64)
    sizes = np.array([0 if y.is_floating_point() else y.numel() for y in labels])
    [filled] = np.nonzero(sizes)
    if len(filled):
        flat = torch.cat([labels[i].reshape(-1) for i in filled]).numpy()
        first = np.cumsum(sizes[filled]) - sizes[filled]
        found[filled] = np.stack([np.minimum.reduceat(flat, first), np.maximum.reduceat(flat, first)], axis=1)
    return found


def _pair(entry: Any, client: int, dtype: torch.dtype) -> Pair:
    if not isinstance(entry, Sequence) or isinstance(entry, str) or len(entry) != 2:
        raise BadArgument(f"data= must hold pairs (features, labels); client {client} has {type(entry).__name__}")
    features, labels = _tensor(entry[0], "features", client), _tensor(entry[1], "labels", client)
    if not features.ndim or not labels.ndim or len(features) != len(labels):
        raise BadArgument(
            f"data= must have one label per row of features; client {client} has features of shape "
            f"{tuple(features.shape)} and labels of shape {tuple(labels.shape)}"
        )
    return _cast(features, dtype), _cast(labels, dtype) if labels.is_floating_point() else labels.to(torch.int64)


def _cast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _tensor(value: Any, what: str, client: int) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_complex():
            raise BadArgument(
                f"data= must be dense real tensors on the CPU; {what} of client {client} are {value.dtype}, "
                f"{value.layout}, on {value.device}"
            )
        return value.detach().contiguous()
    try:
        return torch.from_numpy(np.require(np.asarray(value), requirements=["C", "W"]))
    except (TypeError, ValueError) as error:  # text, objects, ragged lists
        raise BadArgument(f"data= must be numbers; {what} of client {client} make no array ({error})") from error


def _alike(pair: Pair, first: Pair, i: int, j: int) -> None:
    for what, one, other in zip(("features", "labels"), pair, first, strict=True):
        if one.shape[1:] != other.shape[1:] or one.dtype != other.dtype:
            raise BadArgument(
                f"data= must have the same {what} everywhere; client {i} has rows of shape {tuple(one.shape[1:])} "
                f"({one.dtype}), client {j} of shape {tuple(other.shape[1:])} ({other.dtype})"
            )
