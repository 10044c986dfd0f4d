"""A source of clients: what it holds, how it splits, and what it refuses."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.datasets import ClientDatasets, from_clients, from_partition, partition
from fedanalytics.errors import BadArgument

SIZES = st.dictionaries(st.text(min_size=1, max_size=4), st.integers(1, 12), min_size=1, max_size=8)
FRACTIONS = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 2**70)


def numbered(sizes):
    """Clients whose examples can all be told apart: feature = position among all, label = position in the client."""
    start, clients = 0, {}
    for client_id, n in sizes.items():
        clients[client_id] = (np.arange(start, start + n, dtype=np.float32)[:, None], np.arange(n))
        start += n
    return from_clients(clients)


def contents(source):
    return {c: source.dataset(c)[0][:, 0].astype(int).tolist() for c in source.client_ids}


def test_clients_are_sorted_and_pairs_follow():
    source = from_clients({"10": ([[1.0]], [1]), "2": ([[2.0], [3.0]], [0, 1]), "1": ([[4.0]], [0])})
    assert source.client_ids == ("1", "10", "2")
    assert source.sizes == (1, 1, 2)
    assert len(source) == 3
    assert [x.tolist() for x, _ in source.pairs()] == [[[4.0]], [[1.0]], [[2.0], [3.0]]]
    assert repr(source) == "ClientDatasets(3 clients, 4 examples)"


def test_pooled_is_all_of_it():
    features, labels = numbered({"b": 3, "a": 2}).pooled()
    assert features[:, 0].tolist() == [3, 4, 0, 1, 2]
    assert labels.tolist() == [0, 1, 0, 1, 2]


def test_it_is_frozen():
    with pytest.raises(AttributeError):
        numbered({"a": 1}).client_ids = ()


# ---------------------------------------------------------------- splits


@given(SIZES, FRACTIONS, SEEDS)
def test_a_split_by_sample_is_disjoint_and_covers(sizes, test, seed):
    source = numbered(sizes)
    if all(min(int(test * n + 0.5), n - 1) == 0 for n in source.sizes):
        with pytest.raises(BadArgument, match="is none; raise it"):
            source.split("sample", test=test, seed=seed)
        return
    train, held = source.split("sample", test=test, seed=seed)
    together, trained, tested = contents(source), contents(train), contents(held)
    assert train.client_ids == source.client_ids
    for client_id, whole in together.items():
        parts = trained[client_id], tested.get(client_id, [])
        assert sorted(parts[0] + parts[1]) == whole
        assert len(parts[1]) == min(int(test * len(whole) + 0.5), len(whole) - 1)
        assert [sorted(part) for part in parts] == list(parts)
    assert [len(y) for _, y in train.pairs()] == list(train.sizes)
    assert [len(y) for _, y in held.pairs()] == list(held.sizes)


def sides(source, test, seed):
    """(train, test) of a split by client as sets; None where it is refused since one of them would be empty."""
    try:
        return tuple(set(part.client_ids) for part in source.split("client", test=test, seed=seed))
    except BadArgument:
        return None


@given(SIZES, FRACTIONS, SEEDS)
def test_a_split_by_client_is_disjoint_and_covers(sizes, test, seed):
    source = numbered(sizes)
    if sides(source, test, seed) is None:
        return
    train, held = source.split("client", test=test, seed=seed)
    assert sorted([*train.client_ids, *held.client_ids]) == list(source.client_ids)
    assert contents(train) | contents(held) == contents(source)


@given(st.lists(st.text(min_size=1), min_size=2, max_size=30, unique=True), FRACTIONS, st.integers(0, 5))
def test_a_client_more_moves_no_other_between_training_and_test(ids, test, seed):
    """Else the model and its figures on neighbouring data would differ by more than one client."""
    whole, fewer = (sides(numbered(dict.fromkeys(names, 1)), test, seed) for names in (ids, ids[1:]))
    if whole and fewer:
        assert fewer == tuple(part - {ids[0]} for part in whole)


def test_a_split_by_client_holds_the_fraction_and_ids_that_utf8_does_not_hold():
    source = numbered(dict.fromkeys([f"{i}" for i in range(2_000)] + ["\ud800"], 1))
    for test in (0.1, 0.5, 0.9):
        _, held = source.split("client", test=test)
        assert abs(len(held) - 2_001 * test) < 4 * np.sqrt(2_001 * test * (1 - test))


def test_a_split_by_client_of_a_split_by_client_is_one_more_or_refused():
    """One coin for both would hold 0.05 of 0.8 back instead of a quarter."""
    rest, _ = numbered(dict.fromkeys([f"{i}" for i in range(2_000)], 1)).split("client", test=0.2)
    _, validation = rest.split("client", test=0.25)
    assert 0.2 < len(validation) / len(rest) < 0.3
    with pytest.raises(BadArgument, match="leaves nobody to train, or nobody to evaluate on; take another test= or"):
        rest.split("client", test=0.2)
    assert 0.15 < len(rest.split("client", test=0.2, seed=1)[1]) / len(rest) < 0.25


@given(SIZES, SEEDS)
def test_a_clients_split_depends_on_the_seed_and_itself_alone(sizes, seed):
    source = numbered(sizes | {"other": 10})
    train, held = source.split(test=0.5, seed=seed)
    alone_train, alone_held = source.only(["other"]).split(test=0.5, seed=seed)
    assert contents(alone_train)["other"] == contents(train)["other"]
    assert contents(alone_held)["other"] == contents(held)["other"]


def test_clients_of_one_size_are_split_differently():
    _, held = numbered({"a": 20, "b": 20}).split(test=0.5)
    features = contents(held)
    assert features["a"] != [row - 20 for row in features["b"]]


@pytest.mark.parametrize("by", ["sample", "client"])
def test_a_seed_repeats_and_another_differs(by):
    source = numbered({f"{i:02d}": 20 for i in range(20)})
    first, again, other = (contents(source.split(by, test=0.5, seed=seed)[1]) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_split_of_a_split_is_one_more():
    source = numbered({"a": 100})
    rest, test = source.split(test=0.2, seed=0)
    train, validation = rest.split(test=0.25, seed=0)
    assert (train.sizes, validation.sizes, test.sizes) == ((60,), (20,), (20,))
    rows = [row for part in (train, validation, test) for row in contents(part)["a"]]
    assert sorted(rows) == list(range(100))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "sampel"}, r"by='sampel' is unknown, did you mean 'sample'"),
        ({"test": 0.0}, r"test= must lie strictly between 0 and 1, got 0.0"),
        ({"test": 1}, r"test= must lie strictly"),
        ({"test": float("nan")}, r"test= must lie strictly"),
        ({"seed": -1}, r"seed= must be a whole number of at least 0"),
        ({"seed": 1.5}, r"seed= must be a whole number"),
        ({"test": 0.1}, r"test=0.1 of at most 3 examples a client is none"),
    ],
)
def test_splits_that_cannot_be_meant(arguments, message):
    with pytest.raises(BadArgument, match=message):
        numbered({"a": 3, "b": 1}).split(**arguments)


def test_one_client_cannot_be_split_by_client():
    with pytest.raises(BadArgument, match=r"leaves nobody .* or by='sample'"):
        numbered({"a": 3}).split("client")


# ---------------------------------------------------------------- one client, some clients


def test_only_keeps_the_order_and_the_data():
    source = numbered({"a": 1, "b": 2, "c": 3})
    some = source.only(["c", "a"])
    assert some.client_ids == ("a", "c")
    assert some.sizes == (1, 3)
    assert contents(some) == {"a": [0], "c": [3, 4, 5]}
    with pytest.raises(BadArgument, match="no client 'b' among 2"):
        some.dataset("b")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["sensor-O1"], r"no client 'sensor-O1' among 2, did you mean 'sensor-01'\?; ids are texts"),
        ([1], r"no client 1 among 2; ids are texts"),
        ([["sensor-01"]], r"no client \['sensor-01'\] among 2"),
        (["sensor-01", "sensor-01"], r"ids= names 'sensor-01' twice"),
        ("sensor-01", r"ids= must be several ids, such as \['sensor-01'\]"),
        ([], r"ids= names no client"),
    ],
)
def test_ids_that_cannot_be_meant(ids, message):
    with pytest.raises(BadArgument, match=message):
        numbered({"sensor-01": 1, "sensor-02": 1}).only(ids)


def test_an_unknown_client_is_answered_with_the_nearest():
    with pytest.raises(BadArgument, match="no client 'sensor-3' among 1, did you mean 'sensor-03'"):
        numbered({"sensor-03": 1}).dataset("sensor-3")


# ---------------------------------------------------------------- what examples may be


def test_kinds_of_numbers():
    def kinds(features, labels):
        x, y = from_clients({"a": (features, labels)}).dataset("a")
        return x.dtype.name, y.dtype.name

    assert kinds(np.zeros((2, 3)), [0, 1]) == ("float32", "int64")
    assert kinds(np.zeros((2, 3), bool), np.array([True, False])) == ("float32", "int64")
    assert kinds(np.zeros((2, 3), np.uint8), np.zeros(2, np.uint16)) == ("int64", "int64")
    assert kinds([[1], [2]], [0.5, 1.0]) == ("int64", "float32")
    assert kinds(["ab", "cd"], [0, 1]) == ("str64", "int64")


def test_integers_of_one_client_are_floats_where_another_has_floats():
    source = from_clients({"a": ([[1]], [0]), "b": ([[0.5]], [0])})
    assert [x.dtype.name for x, _ in source.pairs()] == ["float32", "float32"]


def test_not_a_number_is_kept_and_too_large_is_infinite():
    features, labels = from_clients({"a": ([[np.nan, 1e300, -np.inf]], [np.nan])}).dataset("a")
    np.testing.assert_array_equal(features, np.array([[np.nan, np.inf, -np.inf]], np.float32))
    assert np.isnan(labels).all()


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        ([[1.0], [1.0, 2.0]], [0, 1], r"client 'a': features are ragged"),
        ([[1.0], [2.0]], [0], r"client 'a': 2 rows of features and 1 labels"),
        ([[1.0]], [[0]], r"client 'a': labels have shape \(1, 1\); they must be one number per example"),
        ([[1.0]], [-1], r"client 'a': label -1 is below 0"),
        ([[1.0]], ["cat"], r"client 'a': labels hold str\d+; number the classes from 0"),
        ([[1.0]], [None], r"client 'a': labels hold object"),
        ([[1.0]], [2**64], r"client 'a': labels hold object"),
        ([[1.0]], np.array([2**63], np.uint64), r"client 'a': labels go beyond 64-bit integers"),
        ([[1j]], [0], r"client 'a': features hold complex128; they must be numbers or texts"),
        ([["a", 1]], [0], r"client 'a': features mix texts and numbers"),
        ([[{}]], [0], r"client 'a': features hold object"),
        (np.zeros((0, 2)), np.zeros(0), r"client 'a' has no examples; leave it out"),
        (3.0, [0], r"client 'a': features are a single value"),
        ([[1.0]], 0, r"client 'a': labels are a single value"),
    ],
)
def test_examples_that_are_refused(features, labels, message):
    with pytest.raises(BadArgument, match=message):
        from_clients({"a": (features, labels)})


@pytest.mark.parametrize(
    ("clients", "message"),
    [
        ({}, r"clients= must map at least one id"),
        ([("a", ([[1.0]], [0]))], r"clients= must map at least one id"),
        ({7: ([[1.0]], [0])}, r"client ids must be texts that are not empty, got 7"),
        ({"": ([[1.0]], [0])}, r"client ids must be texts that are not empty, got ''"),
        ({"a": [[1.0]]}, r"client 'a' must have \(features, labels\), got list"),
        ({"a": "xy"}, r"client 'a' must have \(features, labels\), got str"),
        (
            {"a": ([[1.0]], [0]), "b": ([[1.0, 2.0]], [0])},
            r"clients 'a' and 'b' differ: .* \(floats, integers, \(1,\)\) and \(floats, integers, \(2,\)\)",
        ),
        ({"a": ([[1.0]], [0]), "b": ([[1.0]], [0.5])}, r"\(floats, integers, \(1,\)\) and \(floats, floats, \(1,\)\)"),
        ({"a": ([[1.0]], [0]), "b": ([["x"]], [0])}, r"\(floats, .* and \(texts, "),
    ],
)
def test_clients_that_are_refused(clients, message):
    with pytest.raises(BadArgument, match=message):
        from_clients(clients)


def test_labels_are_held_to_their_classes_when_read():
    source = from_clients({"a": ([[1.0]], [9]), "b": ([[1.0]], [10])}).with_classes(10)
    assert source.dataset("a")[1].tolist() == [9]
    with pytest.raises(BadArgument, match=r"client 'b': label 10 is outside 0\.\.9 of classes=10"):
        source.pairs()
    with pytest.raises(BadArgument, match=r"client 'a': labels hold float32; classes are integers"):
        from_clients({"a": ([[1.0]], [1.0])}).with_classes(2).dataset("a")
    with pytest.raises(BadArgument, match=r"classes= must be a whole number of at least 2"):
        source.with_classes(1)
    train, _ = source.split("client", test=0.5)
    assert isinstance(train, ClientDatasets)


# ---------------------------------------------------------------- dealt out


def test_a_partition_is_dealt_out_under_ids_that_sort():
    features, labels = np.arange(24.0).reshape(12, 2), np.arange(12)
    parts = partition.iid(12, clients=11, seed=5)
    source = from_partition(features, labels, parts)
    assert source.client_ids == tuple(f"{i:02d}" for i in range(11))
    for part, (x, y) in zip(parts, source.pairs(), strict=True):
        np.testing.assert_array_equal(x, features[part])
        np.testing.assert_array_equal(y, labels[part])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], r"parts= has no clients"),
        ([[0], []], r"parts\[1\] must be a list of indices with something in it"),
        ([[0.0]], r"parts\[0\] must be a list of indices"),
        ([[0], [3]], r"parts\[1\] has an index outside 0\.\.2"),
        ([[-1]], r"parts\[0\] has an index outside"),
        ([[0, 1], [1]], r"parts\[1\] has an example twice, or one that an earlier part has"),
        ([[1, 1]], r"parts\[0\] has an example twice"),
    ],
)
def test_parts_that_are_refused(parts, message):
    with pytest.raises(BadArgument, match=message):
        from_partition(np.zeros((3, 1)), [0, 1, 2], parts)


def test_pooled_arrays_that_do_not_fit():
    with pytest.raises(BadArgument, match="features= has 3 rows and labels= 2"):
        from_partition(np.zeros((3, 1)), [0, 1], [[0]])


def test_the_import_is_cheap():
    script = "import sys, json, fedanalytics.datasets; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert not {"torch", "pandas", "sklearn", "h5py", "scipy"} & set(json.loads(run.stdout))
