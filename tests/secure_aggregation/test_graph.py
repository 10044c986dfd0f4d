"""The neighbour graph: decided by the seed, regular, symmetric, and apart only where the rule says so."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.privacy.keystream import Keystream
from fedanalytics.secure_aggregation.graph import circle, neighbours, scattered, table

SEED = bytes(32)


@given(st.binary(min_size=32, max_size=32), st.integers(5, 60), st.data())
def test_neighbours_are_mutual_distinct_and_as_many_as_the_degree(seed, clients, data):
    degree = data.draw(st.sampled_from([*range(2, clients - 1, 2), clients - 1]))
    near = table(circle(seed, clients), degree)
    for i in range(clients):
        assert near[i] == neighbours(circle(seed, clients), degree, i)
        assert len(set(near[i]) - {i}) == degree
        assert all(i in near[j] for j in near[i])


def test_the_order_is_that_of_the_words_and_changes_with_the_seed():
    words = Keystream(SEED).words(50).tolist()
    assert circle(SEED, 50).tolist() == sorted(range(50), key=words.__getitem__)
    assert circle(SEED, 50).tolist() != circle(bytes(31) + b"\x01", 50).tolist()
    with pytest.raises(ValueError, match="read-only"):
        circle(SEED, 50)[0] = 1


def connected(members, near):
    seen, todo = set(), list(members)[:1]
    while todo:
        i = todo.pop()
        if i not in seen:
            seen.add(i)
            todo += [j for j in near[i] if j in members]
    return seen == set(members)


def windows(order, half):
    n = len(order)
    return [{int(order[(start + step) % n]) for step in range(half)} for start in range(n)]


@pytest.mark.parametrize(("clients", "degree"), [(8, 2), (8, 4), (9, 4), (9, 6)])
@pytest.mark.parametrize("most", [0, 1, 2])
def test_honest_survivors_are_connected_unless_scattered(clients, degree, most):
    """Every set of survivors, every set of corrupt clients of whom two disjoint windows hold at most `most`."""
    order = circle(SEED, clients)
    near, runs = table(order, degree), windows(order, degree // 2)
    pairs = [a | b for a, b in itertools.combinations(runs, 2) if not a & b]
    subsets = [set(s) for size in range(3) for s in itertools.combinations(range(clients), size)]
    corrupt_sets = [c for c in subsets if all(len(pair & c) <= most for pair in pairs)]
    refused = 0
    for alive in itertools.product([False, True], repeat=clients):
        survivors = set(np.flatnonzero(alive).tolist())
        found = scattered(order, degree, np.array(alive), most)
        assert found == any(len(pair & survivors) <= most for pair in pairs)
        refused += found
        if not found:
            assert all(connected(survivors - corrupt, near) for corrupt in corrupt_sets)
    assert refused > 0
    assert (refused == 2**clients) == (most >= degree)


def test_a_complete_graph_is_never_scattered():
    assert not scattered(circle(SEED, 5), 4, np.zeros(5, bool), 3)
