"""The data of many clients: who they are, how many examples each has, and the arrays of any one of them when asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics._validate import did_you_mean, one_of, probability, whole
from fedanalytics.datasets.arrays import Examples, as_classes, as_features, as_labels, examples
from fedanalytics.datasets.seeds import coin, seeded
from fedanalytics.errors import BadArgument

Reader = Callable[[str], Examples]


@dataclass(frozen=True, eq=False)
class ClientDatasets:
    """Clients and their examples; readers such as `from_leaf` make it.

    Reading a client may open a file, and raise what is wrong with that client's part of it. `pairs` reads all: call it
    before a session, in which nothing that a client holds may raise.

    Attributes:
        client_ids: who they are, sorted as texts.
        sizes: how many examples each has, in the order of `client_ids`.

    Example:
        >>> source = from_clients({"b": ([[1.0], [2.0]], [0, 1]), "a": ([[3.0]], [1])})
        >>> source
        ClientDatasets(2 clients, 3 examples)
        >>> source.client_ids, source.sizes
        (('a', 'b'), (1, 2))
        >>> features, labels = source.dataset("b")
        >>> features.shape, features.dtype, labels
        ((2, 1), dtype('float32'), array([0, 1]))
    """

    client_ids: tuple[str, ...]
    sizes: tuple[int, ...]
    _read: Reader = field(repr=False)

    def __len__(self) -> int:
        return len(self.client_ids)

    def __repr__(self) -> str:
        return f"ClientDatasets({len(self):,} clients, {sum(self.sizes):,} examples)"

    def dataset(self, client_id: str) -> Examples:
        """A client's features, shape (n, ...), and labels, shape (n,): int64 classes or float32 targets.

        The arrays may be the source's own: change a copy.

        Raises:
            BadArgument: there is no such client, or its examples cannot be read.
        """
        self._size(client_id)
        return self._read(client_id)

    def pairs(self) -> list[Examples]:
        """Every client's (features, labels), in the order of `client_ids`."""
        return [self._read(client_id) for client_id in self.client_ids]

    def pooled(self) -> Examples:
        """All examples as if they lay in one place: what a test set, or a baseline without federation, is made of.

        Raises:
            BadArgument: the clients' features differ in shape.
        """
        features, labels = zip(*self.pairs(), strict=True)
        if len(shapes := {x.shape[1:] for x in features}) > 1:
            raise BadArgument(f"pooled: the clients' features differ in shape: {sorted(shapes)}")
        return np.concatenate(features), np.concatenate(labels)

    def only(self, ids: Iterable[str]) -> ClientDatasets:
        """These clients, in the order of `client_ids`.

        Raises:
            BadArgument: none is named, one is unknown, or named twice.
        """
        if isinstance(ids, str):
            raise BadArgument(f"ids= must be several ids, such as [{ids!r}], got a single text")
        named = list(ids)
        sizes = {client_id: self._size(client_id) for client_id in named}
        if not named:
            raise BadArgument("ids= names no client")
        if twice := [client_id for client_id, times in Counter(named).items() if times > 1]:
            raise BadArgument(f"ids= names {twice[0]!r} twice")
        kept = tuple(sorted(sizes))
        return replace(self, client_ids=kept, sizes=tuple(sizes[client_id] for client_id in kept))

    def with_classes(self, classes: int) -> ClientDatasets:
        """The same, whose labels are held to 0..classes-1 whenever a client is read.

        Raises:
            BadArgument: on reading, with the client's name: its labels are floats, or one is outside.
        """
        return replace(self, _read=partial(_held_to, self._read, whole(2, classes=classes)))

    def split(self, by: str = "sample", *, test: float = 0.2, seed: int = 0) -> tuple[ClientDatasets, ClientDatasets]:
        """(train, test): disjoint, and together all of it.

        Args:
            by: "sample": of each client's n examples, ``test * n`` rounded are for testing, but never all, so that a
                client with few examples only trains; "client": each client is for testing with probability ``test``,
                and then never seen in training.
            test: the fraction for testing, strictly between 0 and 1.
            seed: which ones. By sample, a client's choice depends on nothing but the seed, its id and its size; by
                client, on nothing but the seed, ``test`` and its id: one client more or less moves no other, so that
                what is promised to each holds for training and evaluation together. To split by client twice at the
                same ``test``, take another seed.

        Raises:
            BadArgument: an argument is out of range, or nothing would be left for one of the two.

        Example:
            >>> source = from_clients({"a": ([[1.0]] * 10, [0] * 10), "b": ([[2.0]], [1])})
            >>> source.split(test=0.3)
            (ClientDatasets(2 clients, 8 examples), ClientDatasets(1 clients, 3 examples))
        """
        one_of(("sample", "client"), by=by)
        probability(test=test)
        whole(0, seed=seed)
        return self._by_client(test, seed) if by == "client" else self._by_sample(test, seed)

    def _by_client(self, test: float, seed: int) -> tuple[ClientDatasets, ClientDatasets]:
        held = {c for c in self.client_ids if coin(seed, "split by client", float(test), c) < test}
        if len(held) in {0, len(self)}:
            raise BadArgument(
                f"test={test:g}: the split by client leaves nobody to train, or nobody to evaluate on; take another "
                "test= or seed=, or by='sample'"
            )
        return self.only(set(self.client_ids) - held), self.only(held)

    def _by_sample(self, test: float, seed: int) -> tuple[ClientDatasets, ClientDatasets]:
        held = {c: min(_rounded(test * n), n - 1) for c, n in zip(self.client_ids, self.sizes, strict=True)}
        tested = {client_id: count for client_id, count in held.items() if count}
        if not tested:
            raise BadArgument(
                f"test={test:g} of at most {max(self.sizes)} examples a client is none; raise it, or split by='client'"
            )
        trained = tuple(n - held[c] for c, n in zip(self.client_ids, self.sizes, strict=True))
        read = partial(_part, self._read, held, seed)
        train = replace(self, sizes=trained, _read=partial(read, test=False))
        return train, ClientDatasets(tuple(tested), tuple(tested.values()), partial(read, test=True))

    @cached_property
    def _sizes(self) -> dict[str, int]:
        return dict(zip(self.client_ids, self.sizes, strict=True))

    def _size(self, client_id: str) -> int:
        try:
            return self._sizes[client_id]
        except (KeyError, TypeError):
            near = did_you_mean(client_id, self.client_ids)
            raise BadArgument(f"no client {client_id!r} among {len(self):,}{near}; ids are texts") from None


def from_clients(clients: Mapping[str, tuple[Any, Any]]) -> ClientDatasets:
    """Arrays in memory as clients: id -> (features, labels).

    Features are float32 for all clients if they are for one.

    Raises:
        BadArgument: no clients, an id that is no text or empty, examples that `fedanalytics.datasets.arrays` refuses,
            or clients whose features or labels differ in kind or shape.

    Example:
        >>> from_clients({"007": ([[36.6], [37.1]], [0, 1])}).client_ids
        ('007',)
    """
    if not isinstance(clients, Mapping) or not clients:
        raise BadArgument("clients= must map at least one id to (features, labels)")
    data: dict[str, Examples] = {}
    for client_id, pair in clients.items():
        what = f"client {checked_id(client_id)!r}"
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise BadArgument(f"{what} must have (features, labels), got {type(pair).__name__}")
        data[client_id] = examples(*pair, what)
    return _in_memory(data)


def from_partition(
    features: npt.ArrayLike, labels: npt.ArrayLike, parts: Sequence[npt.NDArray[np.integer[Any]]]
) -> ClientDatasets:
    """Pooled arrays dealt out to clients, as `fedanalytics.datasets.partition` says; ids are numbers like '03'.

    Args:
        features: shape (n, ...).
        labels: shape (n,).
        parts: for each client the indices of its examples.

    Raises:
        BadArgument: the arrays do not fit; a part is empty, has an index outside, or one that another has too.

    Example:
        >>> from fedanalytics.datasets import partition
        >>> from_partition(np.eye(6), np.arange(6) % 2, partition.iid(6, clients=3))
        ClientDatasets(3 clients, 6 examples)
    """
    x, y = as_features(features, "features="), as_labels(labels, "labels=")
    if len(x) != len(y):
        raise BadArgument(f"features= has {len(x)} rows and labels= {len(y)}")
    if not len(parts):
        raise BadArgument("parts= has no clients")
    data, width = {}, len(str(len(parts) - 1))
    seen = np.zeros(len(y), dtype=bool)
    for number, part in enumerate(parts):
        rows = _rows(part, len(y), f"parts[{number}]")
        if seen[rows].any() or np.unique(rows).size < rows.size:
            raise BadArgument(f"parts[{number}] has an example twice, or one that an earlier part has")
        seen[rows] = True
        data[f"{number:0{width}d}"] = x[rows], y[rows]
    return _in_memory(data)


def checked_id(client_id: object) -> str:
    """The id, if it is a text that is not empty."""
    if not isinstance(client_id, str) or not client_id:
        raise BadArgument(f"client ids must be texts that are not empty, got {client_id!r}")
    return client_id


def _in_memory(data: Mapping[str, Examples]) -> ClientDatasets:
    ids = tuple(sorted(data))
    kinds = {client_id: (x.dtype.kind, y.dtype.kind, x.shape[1:]) for client_id, (x, y) in data.items()}
    floats = any(x == "f" for x, _, _ in kinds.values())
    merged = {c: ("f" if x == "i" and floats else x, y, shape) for c, (x, y, shape) in kinds.items()}
    odd = next((c for c in ids if merged[c] != merged[ids[0]]), None)
    if odd is not None:
        raise BadArgument(
            f"clients {ids[0]!r} and {odd!r} differ: (features, labels, shape of an example) are "
            f"{_kind(merged[ids[0]])} and {_kind(merged[odd])}"
        )
    if floats:
        data = {c: (x.astype(np.float32, copy=False), y) for c, (x, y) in data.items()}
    return ClientDatasets(ids, tuple(len(data[c][1]) for c in ids), dict(data).__getitem__)


def _kind(kind: tuple[str, str, tuple[int, ...]]) -> str:
    words = {"f": "floats", "i": "integers", "U": "texts"}
    return f"({words[kind[0]]}, {words[kind[1]]}, {kind[2]})"


def _rows(part: npt.ArrayLike, total: int, what: str) -> npt.NDArray[np.integer[Any]]:
    rows = np.asarray(part)
    if rows.ndim != 1 or not rows.size or rows.dtype.kind not in "iu":
        raise BadArgument(f"{what} must be a list of indices with something in it, got {part!r}")
    if rows.min() < 0 or rows.max() >= total:
        raise BadArgument(f"{what} has an index outside 0..{total - 1}")
    return rows


def _part(read: Reader, held: Mapping[str, int], seed: int, client_id: str, *, test: bool) -> Examples:
    features, labels = read(client_id)
    order = seeded(seed, "split by sample", client_id).permutation(len(labels))
    rows = np.sort(order[: held[client_id]] if test else order[held[client_id] :])
    return features[rows], labels[rows]


def _held_to(read: Reader, classes: int, client_id: str) -> Examples:
    features, labels = read(client_id)
    return features, as_classes(labels, classes, f"client {client_id!r}")


def _rounded(value: float) -> int:
    return int(value + 0.5)
