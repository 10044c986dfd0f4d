"""Which examples are read when: every one once per pass, in an order of the client's own."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.learning import Clients, LocalTraining
from fedanalytics.learning.schedule import Chunk, batches, chunks, counts, pack, rounded, widths

SIZES = st.lists(st.integers(0, 70), min_size=1, max_size=12)
LOCALS = st.builds(
    lambda batch, length, shuffle: LocalTraining(batch_size=batch, shuffle=shuffle, **length),
    st.none() | st.integers(1, 40),
    st.builds(dict, epochs=st.integers(1, 3)) | st.builds(dict, steps=st.integers(1, 9)),
    st.booleans(),
)


def of(sizes):
    return Clients.of([(np.zeros((n, 1)), np.zeros(n, dtype=int)) for n in sizes])


def own(size, local, training_round=0, who=0):
    """One client's batches without padding."""
    width = int(widths(np.array([size]), local)[0])
    steps = int(local.steps_of(np.array([size]))[0])
    rows = batches(size, steps, width, local.orders(training_round, who), torch.Generator())
    return [row[:n].tolist() for row, n in zip(rows, counts(size, np.arange(steps), width), strict=True)]


@given(st.integers(1, 70), LOCALS)
def test_every_example_is_read_once_per_pass(size, local):
    found = own(size, local)
    per_pass = -(-size // (local.batch_size or size))
    for start in range(0, len(found) - per_pass + 1, per_pass):
        assert sorted(itertools.chain(*found[start : start + per_pass])) == list(range(size))
    assert all(len(batch) == (local.batch_size or size) for i, batch in enumerate(found) if (i + 1) % per_pass)
    assert len(found) == local.steps_of(np.array([size]))[0]
    assert sum(map(len, found)) == local.rows_of(np.array([size]))[0]


@given(SIZES, LOCALS, st.integers(1, 5), st.integers(1, 4))
def test_packed_batches_are_the_clients_own(sizes, local, capacity, workers):
    clients = of(sizes)
    seen = {}
    parts = chunks(clients, local, np.zeros_like(clients.sizes), lambda chunk: capacity, workers)
    for chunk in parts:
        assert len(chunk.positions) <= capacity
        packed = pack(clients, chunk, local, 5, torch.float64)
        for rows, weights in packed:
            assert rows.shape == weights.shape == (len(rows), chunk.width)
            for client, row, weight in zip(chunk.positions.tolist(), rows, weights, strict=False):
                real = weight > 0
                assert (weight[real] == 1 / int(real.sum())).all()
                assert set(row[~real].tolist()) <= {row[0].item()}
                seen.setdefault(client, []).append(row[real].tolist())
        counted = packed.totals([torch.ones_like(weights) for _, weights in packed])
        assert counted.tolist() == local.rows_of(clients.sizes[chunk.positions]).tolist()
    assert seen == {i: own(n, local, 5, i) for i, n in enumerate(sizes) if n}


@given(st.integers(1, 10**6), st.none() | st.integers(1, 1000))
def test_padding_follows_from_the_size_and_wastes_at_most_half(size, batch):
    [width] = widths(np.array([size]), LocalTraining(batch_size=batch)).tolist()
    batch = batch or size
    assert min(size, batch) <= width < 2 * min(size, batch) or width == batch
    [block] = rounded(np.array([size])).tolist()
    assert size <= block < 2 * size


def test_orders_differ_by_seed_round_client_and_pass():
    local = LocalTraining(batch_size=50, epochs=2)
    orders = [own(50, local, r, who) for r in (0, 1) for who in (0, 1)]
    orders.append(own(50, LocalTraining(batch_size=50, epochs=2, seed=1)))
    rows = [tuple(batch) for order in orders for batch in order]
    assert len(set(rows)) == len(rows)
    assert own(50, local, 1, 1) == orders[3]
    assert own(50, LocalTraining(batch_size=50, epochs=2, shuffle=False)) == [list(range(50))] * 2


def test_a_large_client_stands_alone_in_a_bounded_chunk():
    clients = of([50] * 10 + [5000])
    local = LocalTraining(batch_size=None)
    parts = chunks(clients, local, np.zeros_like(clients.sizes), lambda chunk: 512 // chunk.width, 1)
    assert [(part.width, part.positions.tolist()) for part in parts] == [
        (8192, [10]),
        (64, [0, 1, 2, 3, 4]),
        (64, [5, 6, 7, 8, 9]),
    ]


def test_chunks_divide_among_workers():
    clients = of([5] * 10)
    parts = chunks(clients, LocalTraining(), np.zeros_like(clients.sizes), lambda chunk: 100, 4)
    assert [len(part.positions) for part in parts] == [3, 3, 2, 2]
    assert isinstance(parts[0], Chunk)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"learning_rate": 0}, "learning_rate= must be a positive finite number"),
        ({"momentum": 1.0}, r"momentum= must lie in \[0, 1\)"),
        ({"proximal": -1}, "proximal= must be a finite number of at least 0"),
        ({"proximal": float("inf")}, "proximal="),
        ({"epochs": 1, "steps": 1}, "epochs= and steps= say the same thing"),
        ({"epochs": 0}, "epochs= must be a whole number of at least 1"),
        ({"steps": 1.5}, "steps="),
        ({"batch_size": 0}, "batch_size="),
        ({"seed": -1}, "seed="),
        ({"loss_fn": "cross entropy"}, "loss_fn= must be a function"),
    ],
)
def test_settings_that_cannot_be_meant(settings, says):
    with pytest.raises(BadArgument, match=says):
        LocalTraining(**settings)
