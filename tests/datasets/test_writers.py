"""Digits by block, and synthetic writers: who they are depends on the seed, and they differ as writers do."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from fedanalytics.datasets import digits, synthetic_writers
from fedanalytics.errors import BadArgument, FedAnalyticsError


def test_digits_are_scikit_learns_in_order():
    source, bunch = digits(), load_digits()
    assert source.client_ids == tuple(f"block-{i:02d}" for i in range(14))
    assert source.sizes == (130, 126, 130, 130, 130, 130, 139, 114, 128, 130, 128, 130, 122, 130)
    features, labels = source.pooled()
    np.testing.assert_array_equal(features * 16, bunch.images)
    np.testing.assert_array_equal(labels, bunch.target)
    assert (features.dtype, features.max(), features.min()) == (np.float32, 1, 0)


@pytest.mark.parametrize("make", [digits, synthetic_writers])
def test_without_scikit_learn_the_message_names_the_extra(make, monkeypatch):
    def gone(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", gone)
    with pytest.raises(FedAnalyticsError, match=r'needs the package scikit-learn.*"fedanalytics\[data\]"'):
        make()


def test_the_default_is_a_cohort_of_thousands():
    train, test = synthetic_writers()
    assert (len(train), len(test)) == (3_400, 340)
    assert np.mean(train.sizes) == pytest.approx(25, rel=0.03)
    assert np.log(train.sizes).std() == pytest.approx(0.4, rel=0.06)
    assert np.percentile(train.sizes, [25, 75]).tolist() == pytest.approx([18, 30], abs=1)
    assert not set(train.client_ids) & set(test.client_ids)


@pytest.mark.parametrize("side", [8, 28])
def test_examples_are_images(side):
    train, test = synthetic_writers(clients=30, test_clients=5, side=side)
    for source in (train, test):
        features, labels = source.pooled()
        assert features.shape == (sum(source.sizes), side, side)
        assert (features.dtype, labels.dtype) == (np.float32, np.int64)
        assert features.min() == 0
        assert features.max() == 1
        assert 0.1 < features.mean() < 0.5
        assert set(labels.tolist()) == set(range(10))
        assert [len(y) for _, y in source.pairs()] == list(source.sizes)


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**40))
def test_a_writer_depends_on_the_seed_and_its_number_alone(few, more, seed):
    small, _ = synthetic_writers(clients=few, test_clients=1, seed=seed)
    large, _ = synthetic_writers(clients=few + more, test_clients=9, seed=seed)
    assert large.sizes[:few] == small.sizes
    client_id = small.client_ids[-1]
    for once, again in zip(small.dataset(client_id), large.dataset(client_id), strict=True):
        np.testing.assert_array_equal(once, again)


def test_seeds_and_writers_differ():
    (a, _), (b, _) = (synthetic_writers(clients=2, test_clients=1, seed=seed) for seed in (0, 1))
    assert a.sizes != b.sizes or not np.array_equal(a.dataset("writer-000000")[0], b.dataset("writer-000000")[0])
    hands = [a.dataset(client_id)[0].mean(axis=0) for client_id in a.client_ids]
    assert np.abs(hands[0] - hands[1]).max() > 0.1


def test_no_two_examples_of_a_writer_are_equal_though_images_run_out():
    train, _ = synthetic_writers(clients=2, examples=300, test_clients=1)
    features, _ = train.dataset("writer-000000")
    assert len(features) > 139
    assert len(np.unique(features.reshape(len(features), -1), axis=0)) == len(features)


def thickness(features):
    return features.mean(axis=(1, 2))


def slant(features):
    """Of a digit: the covariance of right and down of its ink, over the variance of down."""
    down, right = np.indices(features.shape[1:])
    ink = features / features.sum(axis=(1, 2), keepdims=True)
    d = down - (ink * down).sum(axis=(1, 2), keepdims=True)
    r = right - (ink * right).sum(axis=(1, 2), keepdims=True)
    return (ink * d * r).sum(axis=(1, 2)) / (ink * d * d).sum(axis=(1, 2))


@pytest.mark.parametrize("trait", [thickness, slant])
def test_writers_have_hands_of_their_own(trait):
    """The variance between writers is far beyond what the variance within them makes of their means."""
    train, _ = synthetic_writers(clients=300, examples=40, test_clients=1)
    traits = [trait(features) for features, _ in train.pairs()]
    between = np.var([t.mean() for t in traits])
    within = np.mean([t.var() / len(t) for t in traits])
    assert between > 5 * within


def test_pens_are_thick_and_thin():
    train, _ = synthetic_writers(clients=300, examples=40, test_clients=1)
    assert np.std([features.mean() for features, _ in train.pairs()]) > 0.05  # 0.04 if all had one pen


def blocks_of(labels):
    """The inferred writer blocks whose images a writer may have: all are taken before one comes again."""
    found = set()
    for block, (_, whole) in enumerate(digits().pairs()):
        once = labels[: len(whole)]
        if np.array_equal(np.sort(once), np.sort(whole)) and np.array_equal(labels, np.resize(once, len(labels))):
            found.add(block)
    return found


def test_images_of_the_test_were_never_in_training():
    train, test = synthetic_writers(clients=20, examples=600, test_clients=20)
    assert all(blocks_of(labels) & set(range(11)) for _, labels in train.pairs())
    assert all(blocks_of(labels) & {11, 12, 13} for _, labels in test.pairs())


def test_classes_are_nearly_balanced():
    _, labels = synthetic_writers(clients=500, test_clients=1)[0].pooled()
    shares = np.bincount(labels) / len(labels)
    assert shares.min() > 0.08
    assert shares.max() < 0.12


def test_a_model_of_the_training_writers_reads_the_others():
    train, test = synthetic_writers(clients=200, test_clients=60)
    (features, labels), (unseen, truth) = train.pooled(), test.pooled()
    model = LogisticRegression(C=0.1, max_iter=300).fit(features.reshape(len(labels), -1), labels)
    assert 0.7 < model.score(unseen.reshape(len(truth), -1), truth) < 0.95


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clients": 0}, r"clients= must be a whole number of at least 1"),
        ({"test_clients": 0}, r"test_clients= must be a whole number of at least 1"),
        ({"examples": 0}, r"examples= must be a positive finite number"),
        ({"examples": float("inf")}, r"examples= must be a positive finite number"),
        ({"side": 16}, r"side='16' is unknown.*choose from 8, 28"),
        ({"seed": -1}, r"seed= must be a whole number of at least 0"),
    ],
)
def test_writers_that_cannot_be_made(arguments, message):
    with pytest.raises(BadArgument, match=message):
        synthetic_writers(**arguments)
