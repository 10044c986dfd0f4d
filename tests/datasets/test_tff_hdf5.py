"""TFF's HDF5 files, client by client; links out of the file, damage, and a machine without h5py."""

import importlib

import h5py
import numpy as np
import pytest

from fedanalytics.datasets import from_tff_hdf5
from fedanalytics.errors import BadArgument, FedAnalyticsError


@pytest.fixture
def path(tmp_path):
    random = np.random.default_rng(0)
    with h5py.File(tmp_path / "emnist.h5", "w") as file:
        for client, n in (("f0001_41", 2), ("f0000_14", 3)):
            file[f"examples/{client}/pixels"] = random.random((n, 28, 28), np.float32)
            file[f"examples/{client}/label"] = np.arange(n, dtype=np.int32)
    return tmp_path / "emnist.h5"


def test_clients_are_groups(path):
    source = from_tff_hdf5(path)
    assert source.client_ids == ("f0000_14", "f0001_41")
    assert source.sizes == (3, 2)
    features, labels = source.dataset("f0000_14")
    with h5py.File(path) as file:
        np.testing.assert_array_equal(features, file["examples/f0000_14/pixels"][()])
    assert labels.tolist() == [0, 1, 2]
    assert (features.dtype, labels.dtype) == (np.float32, np.int64)
    assert [len(y) for _, y in source.pairs()] == [3, 2]


def test_other_names(path):
    with h5py.File(path, "a") as file:
        for client in file["examples"].values():
            client["age"] = np.full(client["label"].shape, 40.5)
    features, labels = from_tff_hdf5(path, features="label", label="age").dataset("f0001_41")
    assert features.tolist() == [0, 1]
    assert labels.tolist() == [40.5, 40.5]


def test_without_h5py_the_message_names_the_extra(path, monkeypatch):
    def gone(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", gone)
    with pytest.raises(FedAnalyticsError, match=r'needs the package h5py.*pip install "fedanalytics\[data\]"'):
        from_tff_hdf5(path)


def replaced(path, name, make):
    with h5py.File(path, "a") as file:
        if name in file:
            del file[name]
        make(file, name)
    return path


def linked(target):
    return lambda file, name: file.__setitem__(name, target)


def stored(value):
    return lambda file, name: file.__setitem__(name, value)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("examples", stored([1]), r"/examples is no group"),
        ("examples", lambda file, name: file.create_group(name), r"/examples has no clients"),
        ("examples", lambda file, name: None, r"it has no 'examples'; it has nothing"),
        ("examples/f0000_14", stored([1]), r"/examples/f0000_14 is no group"),
        ("examples/f0000_14/pixels", lambda file, name: None, r"client 'f0000_14' has no 'pixels'; it has label"),
        ("examples/f0000_14/label", lambda file, name: file.create_group(name), r"f0000_14/label is no dataset"),
        ("examples/f0000_14/label", stored([[1], [2]]), r"client 'f0000_14' has labels of shape \(2, 1\)"),
        ("examples/f0000_14/label", stored(3), r"client 'f0000_14' has labels of shape \(\)"),
        ("examples/f0000_14/label", stored(np.zeros(0)), r"client 'f0000_14' has labels of shape \(0,\)"),
        ("examples/f0000_14", linked(h5py.ExternalLink("other.h5", "/secret")), r"has no 'f0000_14'|is a link"),
        ("examples/f0000_14/label", linked(h5py.SoftLink("/examples/f0001_41/label")), r"label is a link"),
    ],
)
def test_files_that_are_refused(path, name, make, message):
    with pytest.raises(BadArgument, match=message):
        from_tff_hdf5(replaced(path, name, make))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("label", [-1, 0, 1], r"client 'f0000_14': label -1 is below 0"),
        ("label", [0, 1], r"client 'f0000_14': 3 rows of features and 2 labels"),
        ("label", ["a", "b", "c"], r"client 'f0000_14': labels hold object"),
        ("pixels", ["a", "b", "c"], r"client 'f0000_14': features hold object"),
    ],
)
def test_clients_that_are_refused(path, name, value, message):
    source = from_tff_hdf5(replaced(path, f"examples/f0000_14/{name}", stored(value)))
    assert len(source.dataset("f0001_41")[1]) == 2
    with pytest.raises(BadArgument, match=message):
        source.dataset("f0000_14")


def test_links_to_other_files_are_refused_though_they_are_there(path, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["pixels"], file["label"] = np.zeros((3, 2)), [0, 1, 2]
    link = linked(h5py.ExternalLink("secret.h5", "/"))
    with pytest.raises(BadArgument, match=r"/examples/f0000_14 is a link"):
        from_tff_hdf5(replaced(path, "examples/f0000_14", link))


def test_storage_in_other_files_is_refused(path, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(24))

    def outside(file, name):
        file.create_dataset(name, (3,), "i8", external=[(str(tmp_path / "secret"), 0, 24)])

    with pytest.raises(BadArgument, match=r"f0000_14/label is stored in another file"):
        from_tff_hdf5(replaced(path, "examples/f0000_14/label", outside))

    def virtual(file, name):
        layout = h5py.VirtualLayout((3,), "i8")
        layout[:] = h5py.VirtualSource("secret.h5", "label", (3,))
        file.create_virtual_dataset(name, layout)

    with pytest.raises(BadArgument, match=r"f0000_14/label is stored in another file"):
        from_tff_hdf5(replaced(path, "examples/f0000_14/label", virtual))


def test_what_is_no_file_of_hdf5(tmp_path, path):
    with pytest.raises(BadArgument, match=r"'.*nowhere' is no file"):
        from_tff_hdf5(tmp_path / "nowhere")
    (tmp_path / "text").write_text("no")
    with pytest.raises(BadArgument, match=r"text is no TFF HDF5 file"):
        from_tff_hdf5(tmp_path / "text")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadArgument, match=r"emnist.h5 is no TFF HDF5 file"):
        from_tff_hdf5(path)
