"""MNIST's IDX files: images and labels that lie in one place, for partitioners to deal out."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics.datasets.arrays import Examples
from fedanalytics.errors import BadArgument, FedAnalyticsError

_BYTES = 8  # the code of unsigned bytes, the only type that images and labels have
_FASHION = "/usr/share/datasets/fashion-mnist"


def from_idx(folder: str | os.PathLike[str]) -> tuple[Examples, Examples]:
    """(train, test) of a folder with MNIST's or Fashion-MNIST's four files, each as (images, labels).

    Images are float32 in 0..1, shape (n, rows, columns); labels are int64, shape (n,). Files may be gzipped.

    Source: the format as described at http://yann.lecun.com/exdb/mnist: two zero bytes, the type, the number of
    dimensions, each dimension as a big-endian 32-bit integer, then the values, the last dimension fastest.

    Args:
        folder: where ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the same with ``t10k`` lie, with or
            without ``.gz``.

    Raises:
        BadArgument: there is no such folder or file; a file's header or length is wrong; there are more or fewer labels
            than images.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for part in ("train", "t10k"):
        ...     image = bytes.fromhex("00000803 00000001 00000001 00000002 ff00")
        ...     _ = (folder / f"{part}-images-idx3-ubyte").write_bytes(image)
        ...     _ = (folder / f"{part}-labels-idx1-ubyte").write_bytes(bytes.fromhex("00000801 00000001 07"))
        >>> train, test = from_idx(folder)
        >>> train
        (array([[[1., 0.]]], dtype=float32), array([7]))
    """
    place = Path(folder)
    if not place.is_dir():
        raise BadArgument(f"folder={str(folder)!r} is no folder")
    return _part(place, "train"), _part(place, "t10k")


def fashion_mnist(folder: str | os.PathLike[str] = _FASHION) -> tuple[Examples, Examples]:
    """(train, test) of Fashion-MNIST, 60,000 and 10,000 images of clothes in 10 classes, each as (images, labels).

    The files are those of Debian's package dataset-fashion-mnist, or of https://github.com/zalandoresearch/fashion-mnist.
    There are no clients in it: deal it out with `fedanalytics.datasets.partition` and `from_partition`.

    Args:
        folder: where the files lie; by default where Debian puts them.

    Raises:
        FedAnalyticsError: they are not where Debian puts them.
        BadArgument: see `from_idx`.
    """
    if os.fspath(folder) == _FASHION and not Path(_FASHION).is_dir():
        raise FedAnalyticsError(
            f"{_FASHION} is not there: apt install dataset-fashion-mnist, or name a folder with its files: "
            f"fashion_mnist(folder)"
        )
    return from_idx(folder)


def _part(folder: Path, name: str) -> Examples:
    images = _values(_file(folder, f"{name}-images", 3), 3)
    labels = _values(_file(folder, f"{name}-labels", 1), 1)
    if len(images) != len(labels):
        raise BadArgument(f"{folder}: {name} has {len(images):,} images and {len(labels):,} labels")
    return images.astype(np.float32) / np.float32(255), labels.astype(np.int64)


def _file(folder: Path, name: str, dimensions: int) -> Path:
    wanted = f"{name}-idx{dimensions}-ubyte"
    for ending in (wanted, f"{wanted}.gz"):
        if (folder / ending).is_file():
            return folder / ending
    raise BadArgument(f"folder={str(folder)!r} has no file {wanted} or {wanted}.gz")


def _values(file: Path, dimensions: int) -> npt.NDArray[Any]:
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise BadArgument(f"{file} cannot be read: {error}") from None
    start = 4 + 4 * dimensions
    if len(content) < start or content[:4] != bytes((0, 0, _BYTES, dimensions)):
        raise BadArgument(f"{file} is no IDX file of bytes in {dimensions} dimensions: it starts {content[:4].hex()}")
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], dtype=">u4"))
    claimed = int(np.prod(shape, dtype=object))
    if len(content) - start != claimed or not claimed:
        raise BadArgument(f"{file}: its header says {claimed:,} values {shape}, it has {len(content) - start:,}")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
