"""Shamir's shares: exact above the threshold, silent below it."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedanalytics.secure_aggregation import field, shares

P = 2**31 - 1
elements = st.integers(0, P - 1)


@given(st.lists(st.integers(0, 2**62 - 1), min_size=1))
def test_reduction_is_the_remainder(values):
    assert field.reduce(np.array(values)).tolist() == [value % P for value in values]


def test_reduction_at_its_edges():
    edges = [0, 1, P - 1, P, P + 1, 2 * P, (P - 1) ** 2, 2**62 - 1, P << 31, (P << 31) - 1]
    assert field.reduce(np.array(edges)).tolist() == [edge % P for edge in edges]


@given(st.lists(st.integers(1, P - 1), min_size=1))
def test_inverses(values):
    assert field.inverse(np.array(values)).tolist() == [pow(value, -1, P) for value in values]


def test_uniform_elements_reach_the_whole_field():
    """Means of 100,000 elements within 6 standard errors: false alarm 2e-9."""
    drawn = field.uniform(100_001)
    assert len(drawn) == 100_001
    assert 0 <= drawn.min() <= drawn.max() < P
    assert abs(drawn.mean() / P - 0.5) < 6 / np.sqrt(12 * 100_001)


def test_uniform_elements_are_uniform_without_the_one_that_is_no_element(monkeypatch):
    """In the field of seven, where a draw in eight is rejected: chi-square, false alarm 1e-9."""
    monkeypatch.setattr(field, "BITS", 3)
    monkeypatch.setattr(field, "P", 7)
    counts = np.bincount(field.uniform(70_000))
    assert len(counts) == 7
    assert stats.chisquare(counts).pvalue > 1e-9


@given(st.data())
def test_any_threshold_of_shares_gives_the_secrets(data):
    threshold = data.draw(st.integers(1, 12))
    points = data.draw(st.lists(st.integers(1, 2**20), min_size=threshold, max_size=20, unique=True))
    secrets = np.array(data.draw(st.lists(elements, min_size=1, max_size=5)))
    made = shares.split(secrets, threshold, np.array(points))
    chosen = data.draw(st.permutations(range(len(points))))[:threshold]
    assert shares.combine(np.array(points)[None, chosen], made[None, chosen]).tolist() == [secrets.tolist()]


@given(st.binary(min_size=32, max_size=32))
def test_bytes_survive_limbs(secret):
    assert shares.secret_of(shares.limbs(secret)) == secret
    assert shares.decoded(shares.encoded(shares.limbs(secret))).tolist() == shares.limbs(secret).tolist()


def test_what_is_no_secret_is_none():
    assert shares.secret_of(np.full(9, 2**30, np.int64)) is None
    assert shares.secret_of(np.full(9, 2**30 - 1, np.int64)) is None
    assert shares.decoded((P).to_bytes(4, "little")) is None


@pytest.mark.parametrize("threshold", [2, 3])
def test_shares_below_the_threshold_fit_every_secret_equally_often(monkeypatch, threshold):
    """The whole field of seven elements, every choice of the randomness: t - 1 shares have one law for all secrets."""
    monkeypatch.setattr(field, "BITS", 3)
    monkeypatch.setattr(field, "P", 7)
    monkeypatch.setattr(shares, "P", 7)
    points = np.array([1, 2, 4, 6])
    laws = []
    for secret in range(7):
        seen = {holders: Counter() for holders in itertools.combinations(range(4), threshold - 1)}
        for coefficients in itertools.product(range(7), repeat=threshold - 1):
            monkeypatch.setattr(field, "uniform", lambda _, c=coefficients: np.array(c))
            made = shares.split(np.array([secret]), threshold, points)
            for holders, law in seen.items():
                law[tuple(made[list(holders), 0].tolist())] += 1
            for chosen in itertools.combinations(range(4), threshold):
                back = shares.combine(points[None, list(chosen)], made[None, list(chosen)])
                assert back.tolist() == [[secret]]
        laws.append(seen)
    assert all(law == laws[0] for law in laws)
    assert all(set(law.values()) == {1} for law in laws[0].values())
