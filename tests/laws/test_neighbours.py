"""Nothing but noisy outputs depends on the data: what else is said is byte-identical on neighbouring fleets."""

import contextlib
import io
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedanalytics as fa
from fedanalytics.round.blocks import Round

readings = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.one_of(st.floats(-1e6, 1e6), st.sampled_from([np.nan, np.inf, -np.inf, 1e308, -999.0, 0.0])),
        st.sampled_from(["JFK", "LGA", "", "'; drop", None]),
    ),
    min_size=1,
    max_size=25,
)

QUERIES = [
    fa.count(),
    fa.count(where="origin = 'JFK'"),
    fa.sum("temp", bounds=(-5, 10)),
    fa.mean("temp", bounds=(0, 110)),
    fa.mean("temp", bounds=(0, 110), where="origin = 'LGA'", per_client="max(temp) / min(temp)"),
    fa.mean("temp", bounds=(0, 110), weight="record", max_records=3),
    fa.mean("temp", bounds=(0, 110), by="origin", groups=["JFK", "LGA"]),
    fa.variance("temp", bounds=(0, 110)),
    fa.histogram("temp", edges=range(0, 111, 10)),
    fa.histogram("origin", categories=["JFK", "LGA"], per_client="min(origin)"),
    fa.mean("temp", bounds=(0, 1)),
]
BAD = [
    (fa.mean("tmp", bounds=(0, 1)), {"rho": 0.1}),
    (fa.mean("origin", bounds=(0, 1)), {"rho": 0.1}),
    (fa.count(where="origin > (select 1)"), {"rho": 0.1}),
    (fa.count(), {"rho": 1e9}),
    (fa.count(), {}),
]


def frame(rows):
    return pd.DataFrame(
        {
            "tail": [f"N{r[0]}" for r in rows],
            "temp": [r[1] for r in rows],
            "origin": pd.array([r[2] for r in rows], "string"),
        }
    )


def said(rows):
    """Everything that a session says about a fleet, the noisy numbers left out."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), fa.Ledger(":memory:") as ledger:
        fleet = fa.Fleet.from_pandas(frame(rows), client="tail", population=10)
        session = fa.Session(fleet, ledger.budget("b", rho=100.0, delta=1e-6))
        spoken = [repr(session.preview(QUERIES, rho=1.0)), repr(fleet.columns)]
        releases = session.run(QUERIES, rho=1.0, key="k")
        spoken += [repr((r.standard_error is None, np.shape(r.value), r.cost, r.labels)) for r in releases]
        spoken += [repr({k: v for k, v in r.receipt.to_json().items() if k != "hash"}) for r in releases]
        spoken += [repr([{k: v for k, v in e.body.items() if k not in VARIES} for e in ledger.entries()])]
        for query, cost in BAD:
            with pytest.raises(fa.FedAnalyticsError) as error:
                session.run(query, **cost)
            spoken.append(f"{type(error.value).__name__}: {error.value}")
    return [*spoken, out.getvalue()]


VARIES = {"time", "results", "result", "results_hash", "reservation", "hash", "sha256"}


@settings(max_examples=25, deadline=None)
@given(readings, readings)
def test_what_is_said_is_the_same_on_neighbouring_fleets(rows, client):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, other = said(rows), said([*rows, *[(99, *row[1:]) for row in client]])
    assert one == other


@settings(max_examples=60, deadline=None)
@given(readings, readings)
def test_one_client_moves_each_sum_by_no_more_than_its_sensitivity(rows, client):
    """End to end: SQL, clipping, rounding, summing; both relations, in exact integers."""
    more = [(99, *row[1:]) for row in client]
    other = [(99, *row[1:]) for row in client[:1]]
    fleets = [fa.Fleet.from_pandas(frame(part), client="tail") for part in (rows, [*rows, *more], [*rows, *other])]
    blocks = [query.block for query in QUERIES]
    steps = [block.encoder.finest for block in blocks]
    without, with_, replaced = (fleet.sums(blocks, steps) for fleet in fleets)
    for i, block in enumerate(blocks):
        added = (with_[i] - without[i]).astype(object)
        swapped = (with_[i] - replaced[i]).astype(object)
        bound = block.encoder.sensitivity(steps[i], fa.privacy.Relation.ADD_OR_REMOVE_ONE)
        assert sum(abs(added)) <= bound.l1
        assert sum(added**2) <= bound.l2_squared
        bound = block.encoder.sensitivity(steps[i], fa.privacy.Relation.REPLACE_ONE)
        assert sum(abs(swapped)) <= bound.l1
        assert sum(swapped**2) <= bound.l2_squared


def moved(fleets, blocks, steps):
    """How far the sum of each block moves between two fleets: (L1, squared L2), in exact integers."""
    one, other = (fleet.sums(blocks, steps) for fleet in fleets)
    apart = [(a - b).astype(object) for a, b in zip(one, other, strict=True)]
    return [(sum(abs(move)), sum(move**2)) for move in apart]


def test_a_sensitivity_that_is_halved_is_found_by_an_outlier():
    """Planted, for every encoder: the law above fails when the bound is half of what it is."""
    rows = [(i, 20.0, "JFK") for i in range(5)]
    extreme = [[(99, temp, origin) for origin in ("JFK", "LGA")] * 4 for temp in (1e9, -1e9, 5.0)]
    extreme += [[row for row in rows_ if row[2] == "JFK"] for rows_ in extreme]
    blocks = [query.block for query in QUERIES]
    steps = [block.encoder.finest for block in blocks]
    fleets = [fa.Fleet.from_pandas(frame([*rows, *more]), client="tail") for more in extreme]
    nobody = fa.Fleet.from_pandas(frame(rows), client="tail")
    found = [moved((fleet, nobody), blocks, steps) for fleet in fleets]
    for i, block in enumerate(blocks):
        bound = block.encoder.sensitivity(steps[i], fa.privacy.Relation.ADD_OR_REMOVE_ONE)
        assert max(moves[i][0] for moves in found) > bound.l1 / 2, QUERIES[i]
        assert max(moves[i][1] for moves in found) > bound.l2_squared / 4, QUERIES[i]


def test_rounds_are_named_by_what_they_ask():
    digests = {Round((query.block,)).digest for query in QUERIES}
    assert len(digests) == len(QUERIES)
