"""Where clients add the noise, who takes part is public, and nothing else but noise depends on what they hold."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedanalytics as fa
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.work import Sql, Stack

QUERIES = [
    fa.count(where="origin = 'JFK'"),
    fa.sum("temp", bounds=(-5, 10)),
    fa.mean("temp", bounds=(0, 110), where="origin = 'LGA'", per_client="max(temp) / min(temp)"),
    fa.variance("temp", bounds=(0, 110)),
    fa.histogram("origin", categories=["JFK", "LGA"], per_client="min(origin)"),
    fa.mean("temp", bounds=(0, 110), by="origin", groups=["JFK", "LGA"]),
]
TRUSTS = {
    "zero-out": (fa.SecureAggregation(simulate=True), {"rho": 1.0}, {"delta": 1e-6, "filter": "renyi"}),
    "replace-one": (fa.Local(), {"epsilon": 6.0}, {}),
}
VARIES = {"time", "result", "reservation", "hash"}
held = st.tuples(
    st.one_of(st.floats(-1e6, 1e6), st.sampled_from([np.nan, np.inf, -np.inf, 1e308, -999.0, 0.0])),
    st.sampled_from(["JFK", "LGA", "", "'; drop", None]),
)
clients = st.lists(st.lists(held, min_size=1, max_size=3), min_size=4, max_size=9)


def frame(rows):
    flat = [(f"N{i}", temp, origin) for i, own in enumerate(rows) for temp, origin in own]
    origins = pd.array([row[2] for row in flat], "string")
    return pd.DataFrame({"tail": [row[0] for row in flat], "temp": [row[1] for row in flat], "origin": origins})


def said(rows, relation):
    trust, cost, terms = TRUSTS[relation]
    with fa.Ledger(":memory:") as ledger:
        fleet = fa.Fleet.from_pandas(frame(rows), client="tail")
        budget = ledger.budget("b", epsilon=1000.0, relation=relation, **terms)
        session = fa.Session(fleet, budget, trust)
        spoken = [repr(session.preview(QUERIES, **cost)), repr(fleet.roster)]
        releases = session.run(QUERIES, **cost, key="k")
        spoken += [repr((np.shape(r.value), r.cost, r.labels)) for r in releases]
        spoken += [repr({k: v for k, v in r.receipt.to_json().items() if k != "hash"}) for r in releases]
        return [*spoken, repr([{k: v for k, v in e.body.items() if k not in VARIES} for e in ledger.entries()])]


@pytest.mark.parametrize("relation", TRUSTS)
@settings(max_examples=15, deadline=None)
@given(rows=clients, other=st.lists(held, min_size=1, max_size=3))
def test_what_is_said_is_the_same_whatever_a_client_holds(relation, rows, other):
    assert said(rows, relation) == said([other, *rows[1:]], relation)


@settings(max_examples=40, deadline=None)
@given(rows=clients)
def test_messages_are_the_rows_of_everybody_and_add_up_to_the_sums(rows):
    fleet = fa.Fleet.from_pandas(frame(rows), client="tail")
    blocks = [query.block for query in QUERIES]
    steps = [block.encoder.finest for block in blocks]
    messages = fleet.messages(blocks, steps)
    for block, step, sent, total in zip(blocks, steps, messages, fleet.sums(blocks, steps), strict=True):
        assert sent.shape == (len(rows), block.encoder.size)
        assert (sent.sum(axis=0) == total).all()
        most = block.encoder.sensitivity(step, Relation.ZERO_OUT)
        assert (np.square(sent.astype(object)).sum(axis=1) <= most.l2_squared).all()


@settings(max_examples=40, deadline=None)
@given(rows=clients, where=st.sampled_from([None, "origin = 'JFK'", "temp > 5"]))
def test_everyone_is_asked_whatever_the_condition(rows, where):
    """An encoder that counts its clients, null or not, counts the roster; cohorts are drawn from it."""

    class Heads:
        columns, size, reads_text = 2, 1, False

        def sums(self, values, steps):
            return np.array([len(values)])

    fleet = fa.Fleet.from_pandas(frame(rows), client="tail")
    block = fa.mean("temp", bounds=(0, 1)).block.__class__(
        Stack((Sql("avg(temp)", where), Sql("max(temp)", where))), Heads()
    )
    assert fleet.sums([block], [1], everyone=True)[0][0] == fleet.roster == len(rows)
    odd = [lambda n: np.arange(n) % 2 == 1]
    assert fleet.sums([block], [1], odd, everyone=True)[0][0] == len(rows) // 2


def test_the_roster_of_values_and_of_groups():
    assert fa.Fleet.from_values([1.0, np.nan]).roster == 2
    rows = pd.DataFrame({"id": [1, 1, 2, 3], "region": ["EU", "EU", "US", "EU"]})
    assert fa.Fleet.from_pandas(rows, client="id").only("region", "EU").roster == 2
