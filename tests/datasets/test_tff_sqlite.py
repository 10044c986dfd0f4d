"""TFF's SQLite files: as TFF writes them, read client by client; and what a stranger's file may hold."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from fedanalytics.datasets import encode_example, from_clients, from_tff_sqlite, write_tff_sqlite
from fedanalytics.errors import BadArgument


def images(*sizes, start=0):
    random = np.random.default_rng(start)
    return from_clients(
        {f"f{i:04d}_14": (random.random((n, 4, 4)), random.integers(0, 10, n)) for i, n in enumerate(sizes)}
    )


@pytest.fixture
def path(tmp_path):
    write_tff_sqlite(tmp_path / "emnist.sqlite", {"train": images(3, 1, 2), "test": images(1, 1, 1, start=1)})
    return tmp_path / "emnist.sqlite"


@pytest.fixture
def change(path):
    """Run SQL on the file."""

    def run(statement, *parameters):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement, parameters)
        return path

    return run


def test_a_round_trip_changes_nothing(path):
    for split, original in (("train", images(3, 1, 2)), ("test", images(1, 1, 1, start=1))):
        source = from_tff_sqlite(path, split=split, shape=(4, 4))
        assert (source.client_ids, source.sizes) == (original.client_ids, original.sizes)
        for (x, y), (u, v) in zip(source.pairs(), original.pairs(), strict=True):
            np.testing.assert_array_equal(x, u)
            np.testing.assert_array_equal(y, v)
            assert (x.dtype, y.dtype) == (u.dtype, v.dtype)


def test_examples_are_flat_without_a_shape(path):
    assert from_tff_sqlite(path, split="train").dataset("f0000_14")[0].shape == (3, 16)


def test_a_file_as_tff_documents_it(tmp_path):
    # Written here by the documented tables, with one client's examples apart, and a client of another split between.
    path = tmp_path / "data.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE examples (split_name TEXT, client_id TEXT, serialized_example_proto BLOB)")
        connection.execute("CREATE TABLE client_metadata (client_id TEXT, split_name TEXT, num_examples INTEGER)")
        rows = [("train", "b", 1), ("train", "a", 2), ("test", "b", 3), ("train", "b", 4)]
        blobs = [(s, c, encode_example({"x": np.array([k]), "y": np.array([0.5 * k])})) for s, c, k in rows]
        connection.executemany("INSERT INTO examples VALUES (?, ?, ?)", blobs)
        connection.executemany(
            "INSERT INTO client_metadata VALUES (?, ?, ?)", [("b", "train", 2), ("a", "train", 1), ("b", "test", 1)]
        )
    source = from_tff_sqlite(path, split="train", features="x", label="y")
    assert source.client_ids == ("a", "b")
    assert [(x.tolist(), y.tolist()) for x, y in source.pairs()] == [([[2]], [1.0]), ([[1], [4]], [0.5, 2.0])]
    assert [x.dtype.name for x, _ in source.pairs()] == ["int64", "int64"]


def test_one_split_needs_no_name(tmp_path):
    write_tff_sqlite(tmp_path / "one.sqlite", {"all": images(2)}, features="image", label="digit")
    assert len(from_tff_sqlite(tmp_path / "one.sqlite", features="image", label="digit").pairs()) == 1


def test_names_are_parameters_never_sql(tmp_path):
    name = "it's; DROP TABLE examples; --"
    source = from_clients({name: ([[1.0]], [0])})
    write_tff_sqlite(tmp_path / "odd'name?x=1#.sqlite", {name: source})
    again = from_tff_sqlite(tmp_path / "odd'name?x=1#.sqlite", split=name)
    assert again.dataset(name)[1].tolist() == [0]


def test_clients_are_read_when_asked_for(change):
    path = change("UPDATE examples SET serialized_example_proto = x'0aff' WHERE client_id = 'f0001_14'")
    source = from_tff_sqlite(path, split="train")
    assert len(source.dataset("f0000_14")[1]) == 3
    with pytest.raises(BadArgument, match=r"client 'f0001_14', example 0: not a tf.train.Example: it is cut off"):
        source.pairs()


def test_the_file_is_never_written(path):
    path.chmod(0o444)
    before = path.read_bytes()
    from_tff_sqlite(path, split="train").pairs()
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_clients_of_other_shapes_are_not_pooled(change):
    path = change(
        "UPDATE examples SET serialized_example_proto = ? WHERE client_id = 'f0001_14'", blob(pixels=[0.5], label=3)
    )
    source = from_tff_sqlite(path, split="train")
    assert source.dataset("f0001_14")[0].shape == (1, 1)
    with pytest.raises(BadArgument, match=r"the clients' features differ in shape: \[\(1,\), \(16,\)\]"):
        source.pooled()


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "trian"}, r"split='trian', did you mean 'train'.*: the splits of .* are 'test', 'train'"),
        ({"split": None}, r"split=None: the splits of .* are 'test', 'train'"),
    ],
)
def test_splits_that_are_not_there(path, arguments, message):
    with pytest.raises(BadArgument, match=message):
        from_tff_sqlite(path, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": "pixel"}, r"client 'f0000_14', example 0 has no 'pixel', did you mean 'pixels'.*label, pixels"),
        ({"label": "pixels"}, r"'pixels' holds 16 numbers; a label is one"),
        ({"shape": (28, 28)}, r"'pixels' holds 16 numbers, shape=\(28, 28\) needs others"),
    ],
)
def test_features_that_are_not_there(path, arguments, message):
    with pytest.raises(BadArgument, match=message):
        from_tff_sqlite(path, split="train", **arguments).dataset("f0000_14")


def blob(**features):
    return encode_example(features)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (b"\x0a\x7f", r"not a tf.train.Example: it is cut off"),
        (b"", r"has no 'pixels'; it has $"),
        ("text", r"example 0 is str, not a blob"),
        (7, r"example 0 is int, not a blob"),
        (blob(pixels=b"png", label=3), r"'pixels' holds bytes"),
        (blob(pixels=[0.5]), r"has no 'label'"),
        (blob(pixels=[0.5], label=[]), r"'label' holds 0 numbers"),
        (blob(pixels=[0.5], label=-1), r"label -1 is below 0"),
    ],
)
def test_examples_that_are_refused(change, stored, message):
    path = change("UPDATE examples SET serialized_example_proto = ? WHERE client_id = 'f0001_14'", stored)
    with pytest.raises(BadArgument, match=rf"client 'f0001_14'.*{message}"):
        from_tff_sqlite(path, split="train").dataset("f0001_14")


def test_examples_that_differ_in_shape(change):
    path = change("UPDATE examples SET serialized_example_proto = ? WHERE rowid = 1", blob(pixels=[0.5, 0.5], label=3))
    with pytest.raises(BadArgument, match=r"client 'f0000_14': features are ragged"):
        from_tff_sqlite(path, split="train").dataset("f0000_14")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE client_metadata SET num_examples = 0", r"client 'f0000_14' has 0 examples"),
        ("UPDATE client_metadata SET num_examples = 'many'", r"client 'f0000_14' has 'many' examples"),
        ("UPDATE client_metadata SET client_id = ''", r"client ids must be texts that are not empty"),
        ("UPDATE client_metadata SET client_id = x'00'", r"client ids must be texts that are not empty"),
        ("UPDATE client_metadata SET client_id = 'f0000_14'", r"lists client 'f0000_14' twice in split 'train'"),
        ("DELETE FROM client_metadata WHERE split_name = 'train'", r"split='train'.*: the splits of .* are 'test'"),
        ("DROP TABLE client_metadata", r"is no TFF SQLite file: no such table: client_metadata"),
        ("ALTER TABLE client_metadata RENAME client_id TO id", r"is no TFF SQLite file: no such column"),
        ("UPDATE client_metadata SET client_id = CAST(x'ff' AS TEXT)", r"is no TFF SQLite file: Could not decode"),
    ],
)
def test_metadata_that_are_refused(change, statement, message):
    with pytest.raises(BadArgument, match=message):
        from_tff_sqlite(change(statement), split="train")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE client_metadata SET num_examples = 9", r"client 'f0000_14' has 3 examples, client_metadata says 9"),
        ("DELETE FROM examples", r"client 'f0000_14' has 0 examples, client_metadata says 3"),
        ("DROP TABLE examples", r"is no TFF SQLite file: no such table: examples"),
    ],
)
def test_examples_that_are_not_there(change, statement, message):
    source = from_tff_sqlite(change(statement), split="train")
    with pytest.raises(BadArgument, match=message):
        source.dataset("f0000_14")


def test_what_is_no_file_of_sqlite(tmp_path, path):
    with pytest.raises(BadArgument, match=r"'.*nowhere' is no file"):
        from_tff_sqlite(tmp_path / "nowhere")
    with pytest.raises(BadArgument, match=r"is no file"):
        from_tff_sqlite(tmp_path)
    (tmp_path / "text").write_text("no database at all, but long enough for a header of one hundred bytes" * 3)
    with pytest.raises(BadArgument, match=r"is no TFF SQLite file: file is not a database"):
        from_tff_sqlite(tmp_path / "text")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(BadArgument, match=r"is no TFF SQLite file: no such table"):
        from_tff_sqlite(tmp_path / "empty")
    damaged = bytearray(path.read_bytes())
    damaged[100:4096] = bytes(3996)
    path.write_bytes(damaged)
    with pytest.raises(BadArgument, match=r"is no TFF SQLite file"):
        from_tff_sqlite(path, split="train").pairs()


# ---------------------------------------------------------------- writing


def test_a_file_that_exists_is_kept(path):
    before = path.read_bytes()
    with pytest.raises(BadArgument, match=r"must be a new file in a folder that exists"):
        write_tff_sqlite(path, {"train": images(1)})
    assert path.read_bytes() == before
    with pytest.raises(BadArgument, match=r"must be a new file in a folder that exists"):
        write_tff_sqlite(path.parent / "no" / "file", {"train": images(1)})


@pytest.mark.parametrize("splits", [{}, {"": None}, {3: None}])
def test_splits_need_names(tmp_path, splits):
    with pytest.raises(BadArgument, match=r"splits= must map at least one name to clients"):
        write_tff_sqlite(tmp_path / "new", splits)


def test_a_write_that_fails_leaves_nothing(tmp_path):
    texts = from_clients({"a": (["some", "text"], [0, 1])})
    with pytest.raises(BadArgument, match=r"feature 'pixels' holds str"):
        write_tff_sqlite(tmp_path / "new", {"train": images(1), "test": texts})
    assert list(tmp_path.iterdir()) == []
