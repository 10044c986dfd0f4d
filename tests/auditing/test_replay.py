"""Noise that comes again: exact tests, against enumeration; each kind is found and fresh noise is not."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from fedanalytics.auditing import replay
from fedanalytics.auditing.runs import Runs


def rows(values):
    return np.asarray(values, dtype=float).reshape(len(values), -1)


def high(column):
    return column > np.sort(column)[(len(column) - 1) // 2]


def found(mechanism, neighbours=(0.0, 1.0), count=256):
    return {check.name: check for check in replay.checks(Runs(mechanism, neighbours), count)}


def test_fresh_noise_passes():
    rng = np.random.default_rng(1)
    for width in (1, 3, 100):
        checks = found(lambda data, n, d=width: data + rng.normal(size=(n, d)))
        assert checks["replay"].passed
        assert checks["reuse"].passed


def test_a_fixed_seed_fails_also_at_16():
    for count in (16, 256):
        checks = found(lambda data, n: data + np.random.default_rng(7).normal(size=n), count=count)
        assert checks["replay"].passed is False
        assert f"gave the same {count} outputs" in checks["replay"].finding


def test_one_noise_for_different_queries_fails():
    """Keyed by the place in the call and by the data's repetition: no two calls on the same input agree."""
    rng, noise = np.random.default_rng(2), np.random.default_rng(3).normal(size=256)
    calls = itertools.count()

    def mechanism(data, n):
        return data + noise[:n] + 1e-3 * next(calls) + 1e-6 * rng.normal(size=n)

    checks = found(mechanism)
    assert checks["replay"].passed
    assert checks["reuse"].passed is False
    assert "they share noise" in checks["reuse"].finding


@pytest.mark.parametrize("sign", [1, -1])
def test_noise_reused_in_one_coordinate_of_many_fails(sign):
    """Also with the opposite sign: subtracting two answers or adding them frees the data of noise."""
    rng, noise = np.random.default_rng(2), np.random.default_rng(3).normal(size=256)
    signs = itertools.cycle([1, 1, sign])

    def mechanism(data, n):
        outputs = data + rng.normal(size=(n, 6))
        outputs[:, 4] = data + next(signs) * noise[:n]
        return outputs

    assert found(mechanism)["reuse"].passed is False


def test_a_constant_is_no_replay():
    checks = found(lambda data, n: np.full(n, data))
    assert checks["replay"].passed is None
    assert checks["reuse"].passed


def test_rare_answers_that_agree_by_chance_are_no_replay():
    """Both calls gave one True at the same place of 256: a chance of 1 in 511, given two of them."""
    one = rows([0.0] * 255 + [1.0])
    assert replay.repeated(one, one.copy()).passed is None


def test_nan_is_the_same_as_nan():
    values = rows(np.where(np.arange(64) % 3, np.nan, np.arange(64)))
    assert replay.repeated(values, values.copy()).passed is False


@pytest.mark.parametrize("bag", [[0, 0, 1, 2], [0, 0, 0, 0], [0, 1, 2, 3], [5, 5, 7, 7]])
def test_the_chance_of_a_replay_is_that_of_all_arrangements(bag, monkeypatch):
    arrangements = set(itertools.permutations(bag + bag))
    agree = sum(a[:4] == a[4:] for a in arrangements) / len(arrangements)
    for chance, passed in ((agree * 1.001, False), (agree * 0.999, None)):
        monkeypatch.setattr(replay, "CHANCE", chance)
        assert replay.repeated(rows(bag), rows(bag)).passed is passed


@pytest.mark.parametrize("ties", [False, True])
def test_the_chance_of_a_concordance_is_that_of_all_matchings(ties):
    one = np.array([1.0, 1, 1, 2, 3, 4]) if ties else np.arange(6.0)
    both = []
    for matching in itertools.permutations(range(6)):
        other = one[list(matching)]
        both.append(int((high(one) & high(other)).sum()))
    laws = Counter(both)
    for matching in itertools.islice(itertools.permutations(range(6)), 0, 720, 7):
        other = one[list(matching)]
        seen = int((high(one) & high(other)).sum())
        upper = sum(n for k, n in laws.items() if k >= seen) / math.factorial(6)
        lower = sum(n for k, n in laws.items() if k <= seen) / math.factorial(6)
        assert replay._concordance(one, other) == pytest.approx(min(2 * min(upper, lower), 1.0))


@pytest.mark.parametrize(
    ("outputs", "finding"),
    [
        (np.random.default_rng(1).normal(size=500), "use every bit of a float"),
        (np.random.default_rng(1).normal(size=500).astype(np.float32), "use every bit of a float"),
        (np.rint(np.random.default_rng(1).normal(size=500) * 1024) / 1024, r"multiples of 2\^-10"),
        (np.arange(500), "whole numbers"),
        (np.zeros(500), "none to look at"),
        (np.full(500, np.nan), "none to look at"),
    ],
    ids=["float64", "float32", "grid", "integers", "zero", "nan"],
)
def test_low_bits_are_evidence_only(outputs, finding):
    import re

    values = rows(outputs.astype(float))
    check = replay.low_bits(values, values, outputs.dtype)
    assert check.passed is None
    assert re.search(finding, check.finding)
