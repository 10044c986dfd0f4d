"""TFF's SQLite files: a row per example, found by client; read one client at a time, and written."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics._validate import did_you_mean
from fedanalytics.datasets.arrays import Examples, examples
from fedanalytics.datasets.clients import ClientDatasets, checked_id
from fedanalytics.datasets.tf_examples import Value, decode_example, encode_example
from fedanalytics.errors import BadArgument

_TABLES = """
    CREATE TABLE examples (
        split_name TEXT NOT NULL, client_id TEXT NOT NULL, serialized_example_proto BLOB NOT NULL);
    CREATE INDEX idx_examples_client_id ON examples (client_id);
    CREATE INDEX idx_examples_client_id_split ON examples (split_name, client_id);
    CREATE TABLE client_metadata (
        client_id TEXT NOT NULL, split_name TEXT NOT NULL, num_examples INTEGER NOT NULL);
    CREATE INDEX idx_metadata_client_id ON client_metadata (client_id);
"""
_SPLITS = "SELECT DISTINCT split_name FROM client_metadata ORDER BY split_name"
_CLIENTS = "SELECT client_id, num_examples FROM client_metadata WHERE split_name = ?"
_EXAMPLES = """
    SELECT serialized_example_proto FROM examples WHERE split_name = ? AND client_id = ? ORDER BY rowid
"""


def from_tff_sqlite(
    path: str | os.PathLike[str],
    *,
    split: str | None = None,
    features: str = "pixels",
    label: str = "label",
    shape: Sequence[int] | None = None,
) -> ClientDatasets:
    """The clients of a split of a TFF SQLite file, each read when it is asked for.

    Source: the tables that ``tff.simulation.datasets`` and FedJAX document. Without their index over split and client
    every read of a client looks at the whole file.

    Args:
        path: the file; opened for reading only.
        split: its name, such as "train"; may be left out if the file has one.
        features: the name of the feature that is learned from; of EMNIST "pixels", in which 1.0 is the background.
        label: the name of the feature that is predicted, one number.
        shape: of one example's features, which the file holds flat, such as (28, 28); as they are by default.

    Raises:
        BadArgument: there is no such file, it is no TFF SQLite file, or has no such split. On reading a client, with
            its name: an example is malformed, lacks a feature or differs in shape, or there are more or fewer of them
            than the table client_metadata says.

    Example:
        >>> import tempfile
        >>> from fedanalytics.datasets import from_clients
        >>> path = Path(tempfile.mkdtemp(), "tiny.sqlite")
        >>> write_tff_sqlite(path, {"train": from_clients({"f0": ([[0.0, 0.5], [1.0, 1.0]], [3, 7])})})
        >>> from_tff_sqlite(path, split="train").dataset("f0")
        (array([[0. , 0.5],
               [1. , 1. ]], dtype=float32), array([3, 7]))
    """
    file = Path(path)
    if not file.is_file():
        raise BadArgument(f"path={str(path)!r} is no file")
    with _opened(file) as connection:
        splits = [name for (name,) in connection.execute(_SPLITS)]
        chosen = _chosen(file, split, splits)
        rows = connection.execute(_CLIENTS, (chosen,)).fetchall()
    sizes = dict(sorted((checked_id(client_id), _size(file, client_id, size)) for client_id, size in rows))
    if len(sizes) < len(rows):
        [(twice, _)] = Counter(client_id for client_id, _ in rows).most_common(1)
        raise BadArgument(f"{file}: client_metadata lists client {twice!r} twice in split {chosen!r}")
    wanted = _Wanted(file, chosen, features, label, None if shape is None else tuple(shape), sizes)
    return ClientDatasets(tuple(sizes), tuple(sizes.values()), wanted.read)


def write_tff_sqlite(
    path: str | os.PathLike[str],
    splits: Mapping[str, ClientDatasets],
    *,
    features: str = "pixels",
    label: str = "label",
) -> None:
    """A new TFF SQLite file, which TFF, FedJAX and `from_tff_sqlite` read; features are written flat.

    Args:
        path: the file, which must not exist yet; all or nothing.
        splits: a split's name -> its clients, such as ``{"train": train, "test": test}``.
        features: what the features are called in it.
        label: what the labels are called in it.

    Raises:
        BadArgument: the file exists, its folder does not, there is no split, or features are texts.
    """
    file = Path(path)
    if file.exists() or not file.parent.is_dir():
        raise BadArgument(f"path={str(path)!r} must be a new file in a folder that exists")
    if not splits or not all(isinstance(name, str) and name for name in splits):
        raise BadArgument("splits= must map at least one name to clients, such as {'train': train}")
    with tempfile.TemporaryDirectory(dir=file.parent, prefix="building-") as building:
        built = Path(building, file.name)
        with closing(sqlite3.connect(built)) as connection, connection:
            connection.executescript(_TABLES)
            for name, source in splits.items():
                _write_split(connection, name, source, features, label)
        built.replace(file)


@dataclass(frozen=True)
class _Wanted:
    """What is read of each client."""

    file: Path
    split: str
    features: str
    label: str
    shape: tuple[int, ...] | None
    sizes: Mapping[str, int]

    def read(self, client_id: str) -> Examples:
        what = f"{self.file}: client {client_id!r}"
        with _opened(self.file) as connection:
            blobs = [blob for (blob,) in connection.execute(_EXAMPLES, (self.split, client_id))]
        if len(blobs) != self.sizes[client_id]:
            raise BadArgument(f"{what} has {len(blobs)} examples, client_metadata says {self.sizes[client_id]}")
        pairs = [self._example(blob, f"{what}, example {number}") for number, blob in enumerate(blobs)]
        return examples([x for x, _ in pairs], [y for _, y in pairs], what)

    def _example(self, blob: object, what: str) -> tuple[npt.NDArray[Any], Any]:
        if not isinstance(blob, bytes):
            raise BadArgument(f"{what} is {type(blob).__name__}, not a blob")
        try:
            decoded = decode_example(blob)
        except BadArgument as error:
            raise BadArgument(f"{what}: {error}") from None
        x, y = (_numbers(decoded, name, what) for name in (self.features, self.label))
        if y.size != 1:
            raise BadArgument(f"{what}: {self.label!r} holds {y.size} numbers; a label is one")
        if self.shape is None:
            return x, y[0]
        if x.size != np.prod(self.shape):
            raise BadArgument(f"{what}: {self.features!r} holds {x.size} numbers, shape={self.shape} needs others")
        return x.reshape(self.shape), y[0]


def _numbers(decoded: Mapping[str, Value], name: str, what: str) -> npt.NDArray[Any]:
    if name not in decoded:
        raise BadArgument(f"{what} has no {name!r}{did_you_mean(name, decoded)}; it has {', '.join(sorted(decoded))}")
    value = decoded[name]
    if isinstance(value, tuple):
        raise BadArgument(f"{what}: {name!r} holds bytes; features and labels are numbers")
    return value


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")  # a view in a stranger's file calls no functions
            yield connection
    except sqlite3.Error as error:
        raise BadArgument(f"{file} is no TFF SQLite file: {error}") from None


def _chosen(file: Path, split: str | None, splits: list[str]) -> str:
    if split is None and len(splits) == 1:
        return splits[0]
    if split not in splits:
        listed = ", ".join(map(repr, splits)) or "none"
        raise BadArgument(f"split={split!r}{did_you_mean(split, splits)}: the splits of {file} are {listed}")
    return split


def _size(file: Path, client_id: str, size: object) -> int:
    if not isinstance(size, int) or size < 1:
        raise BadArgument(f"{file}: client_metadata says that client {client_id!r} has {size!r} examples")
    return size


def _write_split(connection: sqlite3.Connection, name: str, source: ClientDatasets, features: str, label: str) -> None:
    for client_id in source.client_ids:
        xs, ys = source.dataset(client_id)
        blobs = [encode_example({features: x, label: y}) for x, y in zip(xs, ys, strict=True)]
        connection.executemany("INSERT INTO examples VALUES (?, ?, ?)", [(name, client_id, blob) for blob in blobs])
        connection.execute("INSERT INTO client_metadata VALUES (?, ?, ?)", (client_id, name, len(blobs)))
