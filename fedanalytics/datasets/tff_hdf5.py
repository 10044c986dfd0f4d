"""TFF's older HDF5 files: ``/examples/<client>/<feature>``, an array per client and feature."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedanalytics._validate import did_you_mean
from fedanalytics.datasets.arrays import Examples, examples
from fedanalytics.datasets.clients import ClientDatasets, checked_id
from fedanalytics.datasets.extras import required
from fedanalytics.errors import BadArgument

_GROUP = "examples"


def from_tff_hdf5(path: str | os.PathLike[str], *, features: str = "pixels", label: str = "label") -> ClientDatasets:
    """The clients of a TFF HDF5 file, each read when it is asked for. Needs h5py.

    Source: the layout of ``tff.simulation.datasets`` before it moved to SQLite. Links and
    storage outside the file are refused, because a stranger's file could name any other.

    Args:
        path: the file; opened for reading only.
        features: the name of the feature that is learned from.
        label: the name of the feature that is predicted, one number per example.

    Raises:
        FedAnalyticsError: h5py is not installed.
        BadArgument: there is no such file, it is no TFF HDF5 file, or a client lacks a feature. On reading a client:
            its features are no numbers, or do not fit its labels.

    Example:
        >>> import h5py, tempfile
        >>> path = Path(tempfile.mkdtemp(), "tiny.h5")
        >>> with h5py.File(path, "w") as file:
        ...     file["examples/f0/pixels"], file["examples/f0/label"] = [[0.0, 1.0], [0.5, 0.5]], [3, 7]
        >>> from_tff_hdf5(path).dataset("f0")
        (array([[0. , 1. ],
               [0.5, 0.5]], dtype=float32), array([3, 7]))
    """
    wanted = _Wanted(Path(path), features, label)
    if not wanted.file.is_file():
        raise BadArgument(f"path={str(path)!r} is no file")
    with wanted.opened() as group:
        sizes = {checked_id(client_id): wanted.size(group, client_id) for client_id in sorted(group)}
    if not sizes:
        raise BadArgument(f"{wanted.file}: /{_GROUP} has no clients")
    return ClientDatasets(tuple(sizes), tuple(sizes.values()), wanted.read)


@dataclass(frozen=True)
class _Wanted:
    """What is read of each client."""

    file: Path
    features: str
    label: str

    def read(self, client_id: str) -> Examples:
        with self.opened() as group:
            arrays = [self._array(group, client_id, name)[()] for name in (self.features, self.label)]
        return examples(arrays[0], arrays[1], f"{self.file}: client {client_id!r}")

    def size(self, group: Any, client_id: str) -> int:
        """How many labels the client has."""
        self._array(group, client_id, self.features)
        shape = self._array(group, client_id, self.label).shape
        if len(shape) != 1 or not shape[0]:
            raise BadArgument(f"{self.file}: client {client_id!r} has labels of shape {shape}; it needs (n,), n >= 1")
        return int(shape[0])

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """The group of all clients."""
        h5py = required("h5py", "h5py", "from_tff_hdf5")
        try:
            with h5py.File(self.file, "r") as file:
                yield self._inside(file, _GROUP, h5py.Group, "it")
        except (OSError, RuntimeError, KeyError) as error:  # what h5py makes of damage
            raise BadArgument(f"{self.file} is no TFF HDF5 file: {error}") from None

    def _array(self, group: Any, client_id: str, name: str) -> Any:
        h5py = required("h5py", "h5py", "from_tff_hdf5")
        client = self._inside(group, client_id, h5py.Group, "it")
        array = self._inside(client, name, h5py.Dataset, f"client {client_id!r}")
        if array.is_virtual or array.external:
            raise BadArgument(f"{self.file}: {array.name} is stored in another file")
        return array

    def _inside(self, group: Any, name: str, kind: type, what: str) -> Any:
        """What lies under a name in this file itself."""
        h5py = required("h5py", "h5py", "from_tff_hdf5")
        if name not in group:
            known = ", ".join(sorted(group)[:5]) or "nothing"
            raise BadArgument(f"{self.file}: {what} has no {name!r}{did_you_mean(name, group)}; it has {known}")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise BadArgument(f"{self.file}: {group.name}/{name} is a link")
        found = group[name]
        if not isinstance(found, kind):
            raise BadArgument(f"{self.file}: {found.name} is no {kind.__name__.lower()}")
        return found
