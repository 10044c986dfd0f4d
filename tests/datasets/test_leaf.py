"""LEAF's JSON: what a user of LEAF has in a folder, and what does not agree with itself."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.datasets import LEAF_CHARACTERS, characters, from_leaf
from fedanalytics.errors import BadArgument

EXAMPLE = st.tuples(st.lists(st.floats(width=32), min_size=3, max_size=3), st.integers(0, 61))
EXAMPLES = st.lists(EXAMPLE, min_size=1, max_size=5)
USERS = st.dictionaries(st.text(min_size=1, max_size=6), EXAMPLES, min_size=1, max_size=5)


def content(users, **more):
    return {
        "users": list(users),
        "num_samples": [len(y) for _, y in users.values()],
        "user_data": {user: {"x": x, "y": y} for user, (x, y) in users.items()},
        **more,
    }


def written(folder, name="data.json", **parts):
    (folder / name).write_text(json.dumps(parts))
    return folder / name


@pytest.fixture
def folder(tmp_path):
    """Two files as LEAF's FEMNIST has them: writers, their pixels in 0..1, classes 0..61."""
    random = np.random.default_rng(0)
    for number, writers in enumerate((["f0000_14", "f0001_41"], ["f0002_01"])):
        users = {w: (random.random((3, 784)).round(3).tolist(), random.integers(0, 62, 3).tolist()) for w in writers}
        written(tmp_path, f"all_data_{number}.json", **content(users, hierarchies=["bin1"] * len(users)))
    (tmp_path / "README.md").write_text("not data")
    return tmp_path


def test_the_files_of_a_folder_are_one_source(folder):
    source = from_leaf(folder)
    assert source.client_ids == ("f0000_14", "f0001_41", "f0002_01")
    assert source.sizes == (3, 3, 3)
    features, labels = source.dataset("f0002_01")
    assert (features.shape, features.dtype, labels.dtype) == ((3, 784), np.float32, np.int64)
    raw = json.loads((folder / "all_data_1.json").read_text())["user_data"]["f0002_01"]
    np.testing.assert_array_equal(features, np.array(raw["x"], np.float32))
    assert labels.tolist() == raw["y"]


def test_a_file_and_several_files(folder):
    assert len(from_leaf(folder / "all_data_0.json")) == 2
    assert len(from_leaf([folder / "all_data_0.json", str(folder / "all_data_1.json")])) == 3


@given(users=USERS)
def test_a_round_trip_changes_nothing(tmp_path_factory, users):
    folder = tmp_path_factory.mktemp("leaf")
    source = from_leaf(
        written(folder, **content({u: ([x for x, _ in rows], [y for _, y in rows]) for u, rows in users.items()}))
    )
    assert source.client_ids == tuple(sorted(users))
    for user, rows in users.items():
        features, labels = source.dataset(user)
        np.testing.assert_array_equal(features, np.array([x for x, _ in rows], np.float32))
        assert labels.tolist() == [y for _, y in rows]


# ---------------------------------------------------------------- texts


def test_windows_of_shakespeare_are_places_in_leafs_vocabulary(tmp_path):
    window, following = ["to be, or not", "o be, or not "], [" ", "t"]
    users = {"HAMLET": (window, following)}
    features, labels = from_leaf(written(tmp_path, **content(users))).dataset("HAMLET")
    assert len(LEAF_CHARACTERS) == len(set(LEAF_CHARACTERS)) == 80
    assert features.tolist() == [[LEAF_CHARACTERS.index(c) for c in text] for text in window]
    assert labels.tolist() == [LEAF_CHARACTERS.index(c) for c in following]
    assert (features.dtype, labels.dtype) == (np.int64, np.int64)


def test_another_vocabulary_and_none(tmp_path):
    file = written(tmp_path, **content({"u": (["ab", "bz"], ["b", "a"])}))
    features, labels = from_leaf(file, vocabulary="ba").dataset("u")
    assert features.tolist() == [[1, 0], [0, 2]]
    assert labels.tolist() == [0, 1]
    with pytest.raises(BadArgument, match=r"user 'u': labels hold str"):
        from_leaf(file, vocabulary=None)
    with pytest.raises(BadArgument, match=r"vocabulary= must hold each of its characters once"):
        from_leaf(file, vocabulary="aba")


def test_other_texts_stay_texts(tmp_path):
    # CelebA names images; Sent140 has six fields a tweet.
    images, _ = from_leaf(written(tmp_path, **content({"7": (["000001.jpg", "2.jpg"], [0, 1])}))).dataset("7")
    assert images.tolist() == ["000001.jpg", "2.jpg"]
    tweets = [["1", "Mon", "NO_QUERY", "me", "so sad", "x"], ["2", "Tue", "NO_QUERY", "me", "nice", "x"]]
    texts, labels = from_leaf(written(tmp_path, **content({"me": (tweets, [0, 1])}))).dataset("me")
    assert texts.tolist() == tweets
    assert labels.tolist() == [0, 1]


@given(st.lists(st.text(min_size=4, max_size=4).filter(lambda t: "\0" not in t), min_size=1, max_size=5))
def test_each_character_is_its_place_or_one_past_the_last(texts):
    expected = [[LEAF_CHARACTERS.index(c) if c in LEAF_CHARACTERS else 80 for c in text] for text in texts]
    assert characters(texts).tolist() == expected


@given(st.permutations("abcdefg!Z"))
def test_a_vocabulary_may_have_any_order(letters):
    vocabulary = "".join(letters)
    assert characters([vocabulary, "?" * 9], vocabulary).tolist() == [list(range(9)), [9] * 9]


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        (["ab", "abc"], "ragged: texts of 2 to 3 characters"),
        ([""], "ragged: texts of 0 to 0"),
        ([], "must be a list of texts"),
        ([1], "must be a list of texts"),
        ("ab", "must be a list of texts"),
    ],
)
def test_windows_that_are_refused(windows, message):
    with pytest.raises(BadArgument, match=message):
        characters(windows)


# ---------------------------------------------------------------- numbers


def test_whole_numbers_are_classes_only_if_all_users_have_them(tmp_path):
    whole = from_leaf(written(tmp_path, **content({"a": ([[1]], [3.0]), "b": ([[2]], [4])})))
    assert [y.dtype.name for _, y in whole.pairs()] == ["int64", "int64"]
    mixed = from_leaf(written(tmp_path, **content({"a": ([[1]], [3.0]), "b": ([[2]], [4.5])})))
    assert [(y.dtype.name, y.tolist()) for _, y in mixed.pairs()] == [("float32", [3.0]), ("float32", [4.5])]
    missing = from_leaf(written(tmp_path, **content({"a": ([[1]], [float("nan")]), "b": ([[2]], [4])})))
    assert [y.dtype.name for _, y in missing.pairs()] == ["float32", "float32"]


def test_not_a_number_is_kept(tmp_path):
    features, _ = from_leaf(written(tmp_path, **content({"a": ([[float("nan"), 1.0]], [0])}))).dataset("a")
    assert np.isnan(features[0, 0])


# ---------------------------------------------------------------- what does not agree


ONE = {"u": ([[1.0]], [0])}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (content({"u": ([[1.0]], [0, 1])}), r"data.json: user 'u': 1 rows of features and 2 labels"),
        (content({"u": ([[1.0], [1.0, 2.0]], [0, 1])}), r"user 'u': features are ragged"),
        (content({"u": (["ab", "abc"], ["x", "y"])}), r"user 'u': x are ragged: texts of 2 to 3 characters"),
        (content({"u": ([[1.0]], [-1])}), r"user 'u': label -1 is below 0"),
        (content({"u": ([[1.0]], ["cat"])}), r"user 'u': labels hold str"),
        (content({"u": ([[None]], [0])}), r"user 'u': features hold object"),
        (content({"u": ([["a", 1]], [0])}), r"user 'u': features mix texts and numbers"),
        (content({"u": ([], [])}), r"user 'u' has no examples"),
        (content({"": ([[1.0]], [0])}), r"client ids must be texts that are not empty"),
        (content({}), r"clients= must map at least one id"),
        ({**content(ONE), "num_samples": [2]}, r"data.json: user 'u' has 1 labels, num_samples says 2"),
        ({**content(ONE), "num_samples": ["1"]}, r"user 'u' has 1 labels, num_samples says '1'"),
        ({**content(ONE), "num_samples": [1, 1]}, r"users lists 1, num_samples 2"),
        ({**content(ONE), "users": ["v"]}, r"user 'u' stands in only one of users and user_data"),
        ({**content(ONE), "users": [7]}, r"client ids must be texts"),
        ({**content(ONE), "users": ["u", "u"], "num_samples": [1, 1]}, r"users lists 'u' twice"),
        ({**content(ONE), "user_data": {"u": {"x": [[1.0]]}}}, r"user 'u' must have lists x and y"),
        ({**content(ONE), "user_data": {"u": 3}}, r"user 'u' must have lists x and y"),
        ({"users": ["u"], "user_data": {}}, r"data.json is no LEAF file: it must have lists users and num_samples"),
        ({**content(ONE), "users": "u"}, r"data.json is no LEAF file"),
    ],
)
def test_files_that_are_refused(tmp_path, parts, message):
    with pytest.raises(BadArgument, match=message):
        from_leaf(written(tmp_path, **parts))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[1]",
        b"[" * 200_000,
        json.dumps(content(ONE)).encode()[:-1],
        json.dumps(content(ONE)).replace("1.0", "1" * 5000).encode(),
    ],
)
def test_what_is_no_json_is_refused(tmp_path, raw):
    (tmp_path / "data.json").write_bytes(raw)
    with pytest.raises(BadArgument, match=r"cannot be read as JSON|is no LEAF file"):
        from_leaf(tmp_path)


def test_a_user_in_two_files_is_named_with_both(tmp_path):
    written(tmp_path, "a.json", **content(ONE))
    written(tmp_path, "b.json", **content(ONE))
    with pytest.raises(BadArgument, match=r"user 'u' stands in .*a\.json and in .*b\.json; merge or rename one"):
        from_leaf(tmp_path)


def test_users_who_differ_are_named(tmp_path):
    file = written(tmp_path, **content({"a": ([[1.0]], [0]), "b": ([[1.0, 2.0]], [0])}))
    with pytest.raises(BadArgument, match=r"clients 'a' and 'b' differ"):
        from_leaf(file)


def test_folders_without_files(tmp_path):
    with pytest.raises(BadArgument, match=r"has no files \*\.json$"):
        from_leaf(tmp_path)
    with pytest.raises(BadArgument, match=r"'.*nowhere', which is no file or folder"):
        from_leaf(tmp_path / "nowhere")
    with pytest.raises(BadArgument, match=r"paths= names no file"):
        from_leaf([])
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, **content(ONE))
    with pytest.raises(BadArgument, match=r"has no files \*\.json; there are some in .*test, .*train: read each"):
        from_leaf(tmp_path)
