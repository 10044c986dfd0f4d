"""Every partitioner deals out everything once, the same for a seed, and keeps its own promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.datasets import partition
from fedanalytics.errors import BadArgument

CLIENTS, SEEDS = st.integers(1, 12), st.integers(0, 2**40)
LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=120).map(np.array)


def check(parts, n, clients):
    """Disjoint, complete, sorted, of integers, none empty."""
    assert len(parts) == clients
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    for part in parts:
        assert part.dtype == np.int64
        assert len(part)
        assert np.array_equal(part, np.sort(part))


def dealt(deal, *arguments, reason, **named):
    """The parts, twice the same; or None where the refusal is the expected one."""
    try:
        parts, again = deal(*arguments, **named), deal(*arguments, **named)
    except BadArgument as error:
        if any(word in str(error) for word in reason):
            return None
        raise
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
    return parts


@given(st.integers(1, 300), CLIENTS, SEEDS)
def test_iid_shares_are_equal(n, clients, seed):
    parts = dealt(partition.iid, n, clients, seed, reason=["every client needs at least 1"])
    assert (parts is None) == (n < clients)
    if parts is not None:
        check(parts, n, clients)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(
    st.sampled_from([partition.linear, partition.square, partition.exponential]), st.integers(1, 300), CLIENTS, SEEDS
)
def test_growing_shares_grow(deal, n, clients, seed):
    parts = dealt(deal, n, clients, seed, reason=["leave client 0"])
    if parts is not None:
        check(parts, n, clients)
        assert sorted(map(len, parts)) == list(map(len, parts))


@pytest.mark.parametrize(
    ("deal", "sizes"),
    # Flower's rule by hand: 271 examples in shares of k, k**2, exp(k), rounded down; the rest goes to the last.
    [
        (partition.linear, [18, 36, 54, 72, 91]),
        (partition.square, [4, 19, 44, 78, 126]),
        (partition.exponential, [3, 8, 23, 63, 174]),
    ],
)
def test_sizes_are_flowers(deal, sizes):
    assert [len(part) for part in deal(271, 5)] == sizes


@given(LABELS, CLIENTS, st.floats(1e-3, 1e3), st.integers(1, 10), st.booleans(), SEEDS)
def test_dirichlet_honours_the_least_size_or_says_why_not(labels, clients, alpha, min_size, balanced, seed):
    parts = dealt(
        partition.dirichlet, labels, clients, alpha, min_size=min_size, balanced=balanced, seed=seed,
        reason=["in 10 draws the smallest client", "needs"],
    )  # fmt: skip
    if parts is not None:
        check(parts, len(labels), clients)
        assert min(map(len, parts)) >= min_size


def mixes(parts, labels):
    """The share of each class at each client."""
    return np.array([np.bincount(labels[part], minlength=10) / len(part) for part in parts])


def test_dirichlet_is_skewed_for_small_alpha_and_even_for_large():
    labels = np.arange(20_000) % 10
    skewed, even = (
        mixes(partition.dirichlet(labels, 20, alpha, min_size=1), labels).std(axis=0).mean() for alpha in (0.1, 1000)
    )
    assert skewed > 0.15
    assert even < 0.02


def test_the_proportions_of_a_class_are_dirichlet():
    # The share of one of m clients is Beta(a, (m - 1) a): mean 1/m, variance (1/m) (1 - 1/m) / (m a + 1).
    m, alpha, draws = 4, 2.0, 600
    one_class = np.zeros(10_000, int)
    shares = np.array(
        [
            [len(part) / 10_000 for part in partition.dirichlet(one_class, m, alpha, min_size=1, seed=seed)]
            for seed in range(draws)
        ]
    )
    variance = (1 / m) * (1 - 1 / m) / (m * alpha + 1)
    assert shares.mean(axis=0) == pytest.approx(np.full(m, 1 / m), abs=4 * np.sqrt(variance / draws))
    assert shares.var(axis=0).mean() == pytest.approx(variance, rel=0.15)


@pytest.mark.parametrize("alpha", [1e-300, 1e308])
def test_extreme_concentrations_are_no_trouble(alpha):
    labels = np.arange(1000) % 100
    check(partition.dirichlet(labels, 5, alpha, min_size=1), 1000, 5)


@given(LABELS, CLIENTS, st.integers(1, 7), SEEDS)
def test_pathological_clients_have_exactly_so_many_classes(labels, clients, each, seed):
    parts = dealt(
        partition.pathological, labels, clients, each, seed=seed,
        reason=["only", "with nobody", "examples for"],
    )  # fmt: skip
    if parts is not None:
        check(parts, len(labels), clients)
        assert {len(np.unique(labels[part])) for part in parts} == {each}


@given(st.integers(1, 10), st.integers(5, 40), SEEDS)
def test_pathological_classes_are_held_about_equally_often(each, clients, seed):
    labels = np.arange(5_000) % 10
    if clients * each < 10:
        return
    parts = partition.pathological(labels, clients, each, seed=seed)
    holders = np.sum([np.isin(np.arange(10), labels[part]) for part in parts], axis=0)
    assert holders.max() - holders.min() <= 1
    assert holders.sum() == clients * each


def test_pathological_combinations_vary():
    labels = np.arange(5_000) % 10
    parts = partition.pathological(labels, 30, 2)
    assert len({tuple(np.unique(labels[part])) for part in parts}) > 10


@given(st.lists(st.sampled_from(["b", "a", "007", "7"]), min_size=1, max_size=50))
def test_natural_parts_are_those_of_each_id(ids):
    parts = partition.natural(ids)
    check(parts, len(ids), len(set(ids)))
    assert [{ids[i] for i in part} for part in parts] == [{name} for name in sorted(set(ids))]


def test_natural_takes_integers_and_columns():
    assert [part.tolist() for part in partition.natural(np.array([10, 2, 10]))] == [[1], [0, 2]]
    assert [part.tolist() for part in partition.natural(np.array(["b", "a", "b"], dtype=object))] == [[1], [0, 2]]


def test_seeds_differ():
    labels = np.arange(1000) % 10
    for deal in (
        lambda seed: partition.iid(1000, 5, seed),
        lambda seed: partition.dirichlet(labels, 5, 1.0, seed=seed),
        lambda seed: partition.pathological(labels, 5, 2, seed=seed),
    ):
        assert not all(np.array_equal(a, b) for a, b in zip(deal(0), deal(1), strict=True))


TEN = np.arange(100) % 10


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: partition.iid(0, 1), r"n= must be a whole number of at least 1"),
        (lambda: partition.iid(2.0, 1), r"n= must be a whole number"),
        (lambda: partition.iid(10, 0), r"clients= must be a whole number of at least 1"),
        (lambda: partition.iid(10, clients=True), r"clients= must be a whole number"),
        (lambda: partition.iid(10, 2, seed=-1), r"seed= must be a whole number of at least 0"),
        (lambda: partition.iid(2, 3), r"every client needs at least 1 example, but client 2 would have 0"),
        (lambda: partition.by_sizes([]), r"but there are none"),
        (lambda: partition.by_sizes([2, 0]), r"client 1 would have 0"),
        (lambda: partition.by_sizes([2, 1.5]), r"size= must be a whole number of at least 0, got 1.5"),
        (lambda: partition.exponential(100, 20), r"exponential: n=100 examples leave client 0 of clients=20 with none"),
        (lambda: partition.exponential(100, 2000), r"exponential: n=100 examples leave client 0"),
        (lambda: partition.dirichlet(TEN, 5, 0), r"alpha= must be a positive finite number"),
        (lambda: partition.dirichlet(TEN, 5, float("inf")), r"alpha= must be a positive finite number"),
        (lambda: partition.dirichlet(TEN, 5, 1, min_size=0), r"min_size= must be a whole number of at least 1"),
        (lambda: partition.dirichlet(TEN, 50, 1), r"min_size=10 for clients=50 needs 500 examples, labels= has 100"),
        (
            lambda: partition.dirichlet(TEN, 10, 0.01, balanced=False),
            r"in 10 draws the smallest client had at most \d examples, min_size=10; raise alpha=0.01",
        ),
        (lambda: partition.dirichlet(TEN - 1, 5, 1), r"labels=: label -1 is below 0"),
        (lambda: partition.dirichlet(TEN / 2, 5, 1), r"labels=: labels hold float64; classes are integers"),
        (lambda: partition.dirichlet(TEN.astype(str), 5, 1), r"labels=: labels hold str"),
        (lambda: partition.dirichlet(TEN.reshape(10, 10), 5, 1), r"labels= must be a list of classes .*\(10, 10\)"),
        (lambda: partition.dirichlet([], 5, 1), r"labels= must be a list of classes with something in it"),
        (lambda: partition.pathological(TEN, 5, 11), r"classes_per_client=11, but labels= has only 10 classes"),
        (lambda: partition.pathological(TEN, 4, 2), r"leave some of the 10 classes with nobody"),
        (lambda: partition.pathological(TEN, 200, 1), r"class 0 has 10 examples for 20 clients; lower clients=200"),
        (lambda: partition.natural([]), r"ids= must be a list of integers or texts"),
        (lambda: partition.natural([1.0, 2.0]), r"ids= must be .* got float64"),
        (lambda: partition.natural(np.array(["a", None], object)), r"ids= must be .* got object"),
        (lambda: partition.natural([["a"]]), r"ids= must be"),
    ],
)
def test_what_cannot_be_dealt_out(call, message):
    with pytest.raises(BadArgument, match=message):
        call()
