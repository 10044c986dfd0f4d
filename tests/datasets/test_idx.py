"""IDX files: as MNIST has them, gzipped or not; and headers that do not tell the truth."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from fedanalytics.datasets import fashion_mnist, from_idx, from_partition, partition
from fedanalytics.errors import BadArgument, FedAnalyticsError


def header(*shape, kind=8):
    return bytes((0, 0, kind, len(shape))) + struct.pack(f">{len(shape)}I", *shape)


@pytest.fixture(params=["", ".gz"])
def written(request, tmp_path):
    """A folder, and the pixels and classes that are in its files."""
    random, truth = np.random.default_rng(0), {}
    for name, n in (("train", 20), ("t10k", 5)):
        pixels, classes = random.integers(0, 256, (n, 28, 28), np.uint8), random.integers(0, 10, n, np.uint8)
        truth[name] = pixels, classes
        for file, content in (
            (f"{name}-images-idx3-ubyte", header(n, 28, 28) + pixels.tobytes()),
            (f"{name}-labels-idx1-ubyte", header(n) + classes.tobytes()),
        ):
            (tmp_path / (file + request.param)).write_bytes(gzip.compress(content) if request.param else content)
    return tmp_path, truth


@pytest.mark.parametrize("read", [from_idx, fashion_mnist])
def test_images_and_labels(read, written):
    folder, truth = written
    for (images, labels), (pixels, classes) in zip(read(folder), truth.values(), strict=True):
        assert (images.dtype, labels.dtype) == (np.float32, np.int64)
        np.testing.assert_array_equal(images, pixels.astype(np.float32) / np.float32(255))
        np.testing.assert_array_equal(labels, classes)


def test_they_can_be_dealt_out(written):
    (images, labels), _ = from_idx(written[0])
    source = from_partition(images, labels, partition.iid(len(labels), clients=4))
    assert source.sizes == (5, 5, 5, 5)


GOOD = {
    "train-images-idx3-ubyte": header(2, 1, 2) + bytes(4),
    "train-labels-idx1-ubyte": header(2) + bytes(2),
    "t10k-images-idx3-ubyte": header(1, 1, 2) + bytes(2),
    "t10k-labels-idx1-ubyte": header(1) + bytes(1),
}


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train-images-idx3-ubyte", None, r"has no file train-images-idx3-ubyte or train-images-idx3-ubyte\.gz"),
        ("t10k-labels-idx1-ubyte", None, r"has no file t10k-labels-idx1-ubyte"),
        ("train-images-idx3-ubyte", b"", r"is no IDX file of bytes in 3 dimensions: it starts $"),
        ("train-images-idx3-ubyte", header(2, 1, 2)[:9], r"is no IDX file"),
        ("train-images-idx3-ubyte", header(2) + bytes(2), r"is no IDX file of bytes in 3 dim.*starts 00000801"),
        ("train-images-idx3-ubyte", header(2, 1, 2, kind=13) + bytes(16), r"is no IDX file .*starts 00000d03"),
        ("train-images-idx3-ubyte", b"\x89PNG" + bytes(16), r"is no IDX file .*starts 89504e47"),
        ("train-images-idx3-ubyte", header(2, 1, 2) + bytes(3), r"its header says 4 values \(2, 1, 2\), it has 3"),
        ("train-images-idx3-ubyte", header(2, 1, 2) + bytes(5), r"its header says 4 values \(2, 1, 2\), it has 5"),
        ("train-images-idx3-ubyte", header(*[2**32 - 1] * 3), r"says 79,228,162,458,924,105,385,300,197,375 values"),
        ("train-images-idx3-ubyte", header(2**31, 2**31, 4), r"says 18,446,744,073,709,551,616 values"),
        ("train-images-idx3-ubyte", header(0, 28, 28), r"says 0 values"),
        ("train-labels-idx1-ubyte", header(3) + bytes(3), r"train has 2 images and 3 labels"),
        ("train-labels-idx1-ubyte.gz", b"no gzip", r"labels-idx1-ubyte.gz cannot be read: Not a gzipped file"),
        ("train-labels-idx1-ubyte.gz", gzip.compress(header(2) + bytes(2))[:-9], r"ubyte.gz cannot be read"),
        ("train-labels-idx1-ubyte.gz", gzip.compress(bytes(99))[:10] + b"\xff" * 20, r"ubyte.gz cannot be read"),
    ],
)
def test_files_that_are_refused(tmp_path, file, content, message):
    for name, good in GOOD.items():
        if not file.startswith(name):
            (tmp_path / name).write_bytes(good)
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(BadArgument, match=message):
        from_idx(tmp_path)


def test_what_is_no_folder(tmp_path):
    with pytest.raises(BadArgument, match=r"folder='.*nowhere' is no folder"):
        from_idx(tmp_path / "nowhere")
    with pytest.raises(BadArgument, match=r"folder='.*nowhere' is no folder"):
        fashion_mnist(tmp_path / "nowhere")


def test_without_debians_package_the_message_names_it(monkeypatch):
    monkeypatch.setattr(Path, "is_dir", lambda _: False)
    with pytest.raises(FedAnalyticsError, match=r"apt install dataset-fashion-mnist"):
        fashion_mnist()
