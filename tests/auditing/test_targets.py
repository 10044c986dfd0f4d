"""A query is audited as a session runs it: its price, its claim, its collection; on neighbours that are as said."""

import json
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

import fedanalytics as fa
from fedanalytics.auditing import Gdp, QueryReport, audit
from fedanalytics.auditing.asked import Asked, relation_of
from fedanalytics.auditing.neighbours import MANY, made
from fedanalytics.auditing.remembered import Remembered
from fedanalytics.auditing.sketch import columns
from fedanalytics.errors import BadArgument
from fedanalytics.privacy import Gaussian, samplers
from fedanalytics.privacy.events import from_json
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.blocks import Block, Round
from fedanalytics.round.one_hot import OneHot
from fedanalytics.round.work import Sql

SURE = 1 - 1e-6
SECURE = fa.SecureAggregation(simulate=True, dropout=0.0, corrupt=0.0)
STATISTICS = [
    fa.count(),
    fa.count(where="temp > 30"),
    fa.count(by="region", groups=("EU", "US"), max_groups=1),
    fa.count(weight="record", max_records=3),
    fa.sum("temp", bounds=(0, 110)),
    fa.mean("temp", bounds=(0, 110), where="region = 'EU'"),
    fa.variance("temp", bounds=(0, 110), weight="record", max_records=3),
    fa.histogram("temp", edges=(0, 50, 110)),
    fa.histogram("region", categories=("EU", "US"), per_client="min(region)"),
]


def table():
    rng = np.random.default_rng(0)
    temp = rng.normal(60, 30, 60)
    temp[:3] = np.nan
    return pd.DataFrame({"client": rng.integers(0, 20, 60), "temp": temp, "region": rng.choice(["EU", "US"], 60)})


@pytest.fixture(scope="module")
def fleet():
    return fa.Fleet.from_pandas(table(), client="client")


def named(query):
    return f"{type(query).__name__}-{query.weight}-{query.by or query.where}"


# ---------------------------------------------------------------- the remembering fleet


@pytest.mark.parametrize("query", STATISTICS, ids=named)
@pytest.mark.parametrize("everyone", [False, True])
def test_a_remembered_fleet_sums_as_the_fleet_does(fleet, query, everyone):
    remembered, steps = Remembered(fleet), [query.block.encoder.finest]
    for _ in range(2):
        [found] = remembered.sums([query.block], steps, everyone=everyone)
        [exact] = fleet.sums([query.block], steps, everyone=everyone)
        assert found.tolist() == exact.tolist()
    rows, expected = (one.messages([query.block], steps)[0] for one in (remembered, fleet))
    assert sorted(rows.tolist()) == sorted(expected.tolist())
    assert remembered.roster == fleet.roster


def test_cohorts_are_drawn_over_the_clients_and_each_time(fleet):
    remembered, drawn = Remembered(fleet), []

    def cohort(size):
        drawn.append(size)
        return np.arange(size) < 5

    block = fa.count().block
    assert [remembered.sums([block], [1], [cohort])[0].tolist() for _ in range(2)] == [[5], [5]]
    assert drawn == [fleet.roster, fleet.roster]


def test_nulls_take_part_and_hold_nothing(fleet):
    more, block = Remembered(fleet, nulls=2), fa.count().block
    assert more.roster == fleet.roster + 2
    assert more.sums([block], [1])[0].tolist() == more.sums([block], [1], everyone=True)[0].tolist() == [fleet.roster]
    assert len(more.values(block, everyone=True)) == more.roster
    assert Remembered(None, nulls=1).messages([block], [1])[0].tolist() == [[0]]


# ---------------------------------------------------------------- what a query says of its data


def test_columns_and_the_values_that_tell():
    query = fa.mean("temp", bounds=(-5, 40), where="hour >= 8 AND region = 'EU'")
    found = {column.name: column for column in columns([query.block])}
    assert found["temp"].values == (-5.0, 40.0)
    assert found["hour"].conditions == (8.0, 9.0, 7.0)
    assert found["region"].text
    assert found["region"].conditions == ("EU",)
    assert found["region"].values == ()


def test_columns_of_records_groups_and_categories():
    [temp] = columns([fa.histogram("temp", edges=(0, 50, math.inf), weight="record", max_records=2).block])
    assert temp.values == (0.0, 50.0)
    region, temp = columns([fa.sum("temp", bounds=(0, 1), by="region", groups=("EU", "US")).block])[::-1]
    assert {region.name, temp.name} == {"region", "temp"}
    [carrier] = columns([fa.histogram("carrier", categories=("AA", "UA"), per_client="min(carrier)").block])
    assert (carrier.text, carrier.values) == (True, ("AA", "UA"))
    [low] = columns([fa.count(where="temp < -3").block])
    assert low.conditions == (-3.0, -2.0, -4.0)


@pytest.mark.parametrize("query", STATISTICS, ids=named)
@pytest.mark.parametrize("relation", Relation)
def test_made_neighbours_differ_in_one_client_and_reach_the_sensitivity(query, relation):
    """None exceeds what is paid for in L2, and one comes near; the bounds of two clients' records are loose."""
    encoder, steps = query.block.encoder, query.block.encoder.finest
    most = encoder.sensitivity(steps, relation).l2_squared
    reached = 0
    for pair in made(columns([query.block]), relation, 2):
        [less], [more] = (one.sums([query.block], [steps]) for one in (pair.without, pair.with_))
        assert np.square(more - less).sum() <= most, pair.name
        reached = max(reached, int(np.square(more - less).sum()))
        same_roster = pair.without.roster == pair.with_.roster
        assert same_roster is (relation is not Relation.ADD_OR_REMOVE_ONE)
    assert reached >= 0.39 * most


def test_a_client_with_many_rows_has_them():
    [pair] = [p for p in made((), Relation.ADD_OR_REMOVE_ONE, 0) if p.name == "many rows"]
    block = fa.count(weight="record", max_records=2 * MANY).block
    assert pair.with_.sums([block], [1])[0].tolist() == [MANY]


# ---------------------------------------------------------------- the audit


@pytest.mark.parametrize(
    ("trust", "cost"),
    [
        (fa.Central(), {"rho": 0.5}),
        (fa.Central(), {"epsilon": 1.0}),
        (SECURE, {"rho": 0.5}),
        (fa.Local(), {"epsilon": 1.0}),
    ],
)
@pytest.mark.parametrize("query", STATISTICS[4:6], ids=named)
def test_what_is_claimed_is_what_a_ledger_is_told(trust, cost, query):
    report = audit(query, trials=64, confidence=SURE, trust=trust, **cost)
    assert isinstance(report, QueryReport)
    assert report.verdict == "consistent"
    relation = relation_of(trust, None)
    terms = {"delta": 1e-6, "filter": "renyi"} if trust is SECURE else {} if "epsilon" in cost else {"delta": 1e-6}
    budget = fa.Ledger(":memory:").budget("told", epsilon=100.0, relation=relation, **terms)
    rows = 10 if trust is SECURE else 1
    frame = pd.DataFrame({"client": range(rows), "temp": [50.0] * rows, "region": ["EU"] * rows})
    release = fa.Session(fa.Fleet.from_pandas(frame, client="client"), budget, trust).run(query, **cost)
    assert report.claim.event == from_json(release.receipt.event)


def test_several_queries_together_claim_what_they_cost_together():
    report = audit([fa.count(), fa.sum("temp", bounds=(0, 110))], trials=64, confidence=SURE, rho=0.5)
    assert float(report.claim.event.rho) == pytest.approx(0.5)
    assert report.limit == pytest.approx(1.0)


def test_a_traced_computation():
    @fa.federated_computation(fa.FederatedType(np.float32, fa.CLIENTS))
    def average(readings):
        return fa.federated_mean(readings, bounds=(0, 110), rho=0.5)

    report = audit(average, trials=64, confidence=SURE)
    assert report.verdict == "consistent"
    assert report.limit == pytest.approx(1.0)


@dataclass(frozen=True)
class Median:
    """Three rounds, each of which looks where the last one told it to."""

    shares = (Fraction(1, 3),) * 3

    def rounds(self):
        lower, upper = 0.0, 8.0
        for _ in self.shares:
            middle = (lower + upper) / 2
            [counts] = yield Round((Block(Sql("avg(temp)"), OneHot((-math.inf, middle, math.inf))),))
            below, above = counts.values
            lower, upper = (middle, upper) if below < above else (lower, middle)
        return middle


def test_rounds_that_follow_from_each_other(monkeypatch):
    pair = tuple(pd.DataFrame({"client": range(n), "temp": [1.0] * n}) for n in (1, 2))
    report = audit(Median(), pair, trials=2048, confidence=SURE, rho=0.5)
    assert report.verdict == "consistent"
    assert report.lower_bound > 0.1
    right = fa.Central._noise
    monkeypatch.setattr(fa.Central, "_noise", lambda self, part, size: right(self, part, size) // 8)
    assert audit(Median(), pair, trials=512, confidence=SURE, rho=0.5).verdict == "violated"


def test_neighbours_of_the_caller_as_tables_fleets_and_by_name():
    frames = [pd.DataFrame({"sensor": range(n), "temp": [50.0] * n}) for n in (1, 2)]
    fleets = [fa.Fleet.from_pandas(frame, client="sensor") for frame in frames]
    query = fa.sum("temp", bounds=(0, 110))
    for pair in (tuple(frames), fleets):
        report = audit(query, pair, trials=64, confidence=SURE, client="sensor", rho=0.5)
        assert (report.neighbours, len(report.all)) == ("as given", 1)
    many = pd.DataFrame({"sensor": range(11), "temp": [50.0] * 11})
    both = {"one more": frames, "ten more": (frames[0], many)}
    report = audit(query, both, trials=1024, confidence=SURE, client="sensor", rho=0.5)
    assert report.verdict == "violated"  # they are no neighbours: 4.5 standard deviations where at most one is claimed
    assert report.neighbours == "ten more"


def test_a_claim_of_the_callers_own():
    assert audit(fa.count(), claim=Gdp(0.5), trials=1024, confidence=SURE, rho=0.5).verdict == "violated"


def test_the_report_keeps_all_and_prints():
    report = audit(fa.mean("temp", bounds=(0, 110)), trials=128, confidence=SURE, rho=0.5)
    kept = json.loads(json.dumps(report.to_json()))
    assert [row["neighbours"] for row in kept["all"]] == [name for name, _ in report.all]
    assert kept["neighbours"] in str(report)
    assert report.trials == 128
    assert report.all[0][1].trials == 16


def test_a_mechanism_is_audited_as_before():
    stream = Keystream.insecure(1)

    def noisy(data, n):
        return sum(data) + samplers.rounded_gaussian(0.5, n, keystream=stream)

    report = audit(noisy, ([1], [1, 1]), claim=Gaussian(1.0), trials=4096)
    assert (type(report).__name__, report.verdict) == ("AuditReport", "violated")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": lambda data, n: data}, "neighbours=.data, data_with_one_more."),
        ({"target": lambda data, n: data, "rho": 1.0}, "rho= belongs to a query"),
        ({"target": lambda data, n: data, "trust": fa.Central()}, "trust= belongs to a query"),
        ({"target": fa.count(), "attack": len, "rho": 1.0}, "attack= belongs to a mechanism"),
        ({"target": fa.count()}, "cost"),
        ({"target": [fa.count(), "count"], "rho": 1.0}, "expected a query"),
        ({"target": fa.count(), "neighbours": 7, "rho": 1.0}, "neighbours= must be a pair"),
        ({"target": fa.count(), "neighbours": (7, 8), "rho": 1.0}, "data frames or fleets"),
        ({"target": fa.count(), "neighbours": {}, "rho": 1.0}, "neighbours= is empty"),
        ({"target": fa.count(), "rho": 1.0, "trust": fa.Local()}, "epsilon= alone"),
        ({"target": fa.count(where="x = 1"), "neighbours": (table(), table()), "rho": 1.0}, "x"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, message):
    with pytest.raises(BadArgument, match=message):
        audit(**arguments)


def test_an_asked_query_is_priced_once(monkeypatch):
    prices = []
    right = fa.Central.price
    monkeypatch.setattr(fa.Central, "price", lambda *arguments: prices.append(1) or right(*arguments))
    fleet = fa.Fleet.from_pandas(table(), client="client")
    asked = Asked.of(fa.count(), fa.Central(), fleet, Relation.ADD_OR_REMOVE_ONE, {"rho": 0.5})
    before = len(prices)
    assert asked(Remembered(fleet), 5).shape == (5, 1)
    assert len(prices) == before
