"""Every statistic on real fleets: unbiased, covered by its interval, the same through tables and arrays."""

import typing

import numpy as np
import pandas as pd
import pytest

import fedanalytics as fa
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.round.blocks import Query
from fedanalytics.statistics.moment import Moment
from fedanalytics.trust import Central

RUNS = 1000


def seeded(fleet, ledger, seed):
    return fa.Session(fleet, ledger.budget("b", rho=1e7), trust=Central(Keystream.insecure(seed)))


@pytest.fixture
def ledger():
    with fa.Ledger(":memory:") as opened:
        yield opened


def sensors(n=2000, seed=11):
    """A synthetic fleet with known truth: several readings each, some missing, a few faulty."""
    rng = np.random.default_rng(seed)
    per = rng.integers(1, 9, n)
    frame = pd.DataFrame({"sensor": np.repeat(np.arange(n), per), "month": rng.integers(1, 5, per.sum())})
    frame["temp"] = np.repeat(rng.normal(60, 12, n), per) + rng.normal(0, 3, per.sum())
    frame.loc[rng.random(len(frame)) < 0.05, "temp"] = np.nan
    frame.loc[rng.random(len(frame)) < 0.002, "temp"] = -999.0
    return frame


def truths(frame):
    """What each query estimates, by pandas."""
    one = frame.groupby("sensor")["temp"].mean().dropna()
    clipped = one.clip(0, 110)
    june = frame[frame.month == 2].groupby("sensor")["temp"].mean().dropna()
    readings = frame.dropna()
    weights = (1.0 / np.maximum(readings.groupby("sensor")["temp"].transform("size") / 4, 1)).to_numpy()
    record = readings["temp"].clip(0, 110).to_numpy()
    return {
        fa.count(): frame.sensor.nunique(),
        fa.count(weight="record", max_records=20): len(frame),
        fa.sum("temp", bounds=(0, 500)): frame.groupby("sensor")["temp"].sum(min_count=1).dropna().clip(0, 500).sum(),
        fa.sum("temp", bounds=(0, 110), weight="record", max_records=4): (record * weights).sum(),
        fa.mean("temp", bounds=(0, 110)): clipped.mean(),
        fa.mean("temp", bounds=(0, 110), where="month = 2"): june.clip(0, 110).mean(),
        fa.mean("temp", bounds=(0, 110), weight="record", max_records=4): (record * weights).sum() / weights.sum(),
        fa.variance("temp", bounds=(0, 110)): clipped.var(ddof=0),
        fa.variance("temp", bounds=(0, 110), weight="record", max_records=4): (record**2 * weights).sum()
        / weights.sum()
        - ((record * weights).sum() / weights.sum()) ** 2,
        fa.histogram("temp", edges=(0, 50, 60, 110)): np.histogram(one, bins=(0, 50, 60, 110))[0],
        fa.histogram("month", categories=(1, 2, 3, 4), per_client="max(month)"): frame.groupby("sensor")
        .month.max()
        .value_counts()
        .sort_index(),
        fa.histogram("temp", edges=(0, 50, 60, 110), weight="record", max_records=8): np.histogram(
            readings["temp"], bins=(0, 50, 60, 110)
        )[0],
        fa.count(by="month", groups=(1, 2), where="temp > 60"): [
            frame[(frame.month == m) & (frame.temp > 60)].sensor.nunique() for m in (1, 2)
        ],
        fa.mean("temp", bounds=(0, 110), by="month", groups=(1, 2, 3, 4)): frame.groupby(["month", "sensor"])["temp"]
        .mean()
        .dropna()
        .clip(0, 110)
        .groupby("month")
        .mean(),
    }


@pytest.mark.parametrize("cost", [{"rho": 0.04}, {"epsilon": 1.0}], ids=["gaussian", "laplace"])
def test_95_percent_intervals_cover_in_93_to_97_percent_of_1000_runs(ledger, cost):
    """Fixed noise seed: the counts are what they are. Expected spread of a correct one: 0.7 points."""
    frame = sensors()
    known = truths(frame)
    session = seeded(fa.Fleet.from_pandas(frame, client="sensor"), ledger, seed=2)
    queries, numbers = list(known), list(known.values())
    answers = frozen_sums(session, queries)
    hits = [0.0] * len(queries)
    errors = [[] for _ in queries]
    for _ in range(RUNS):
        for i, release in enumerate(answers.run(queries, **cost)):
            low, high = release.interval(0.95)
            hits[i] += np.mean((low <= numbers[i]) & (numbers[i] <= high)) / RUNS
            errors[i].append((np.asarray(release.value) - numbers[i]) / release.standard_error)
    for query, hit, error in zip(queries, hits, errors, strict=True):
        conservative = "epsilon" in cost and isinstance(query, Moment)  # combinations of Laplace noises
        assert 0.93 <= hit <= (0.985 if conservative else 0.97), (query, hit)
        size = np.size(error[0])
        assert abs(np.mean(error)) < 5 / np.sqrt(RUNS * size), (query, np.mean(error))
        assert np.std(error) == pytest.approx(1, abs=0.1), (query, np.std(error))


def frozen_sums(session, queries):
    """The same session over a fleet that has scanned its table once: 1,000 runs then cost noise alone."""
    fleet = session.fleet

    class Scanned:
        client, dataset, population, columns = fleet.client, fleet.dataset, fleet.population, fleet.columns
        check, describe = fleet.check, fleet.describe
        kept: typing.ClassVar[dict] = {}

        group = None

        def sums(self, blocks, steps):
            key = tuple((block.work, block.encoder, step) for block, step in zip(blocks, steps, strict=True))
            if key not in self.kept:
                self.kept[key] = fleet.sums(blocks, steps)
            return self.kept[key]

    return fa.Session(Scanned(), session.budget, trust=session.trust)


def test_an_array_and_a_table_say_the_same(ledger):
    values = np.random.default_rng(5).normal(60, 20, 500)
    table = fa.Fleet.from_pandas(pd.DataFrame({"client": np.arange(500), "value": values}), client="client")
    queries = [
        fa.count(),
        fa.sum("value", bounds=(-10, 110)),
        fa.mean("value", bounds=(0, 110)),
        fa.variance("value", bounds=(0, 110)),
        fa.histogram("value", edges=(0, 60, 120)),
    ]
    both = [
        [r.value for r in seeded(fleet, ledger, 9).run(queries, rho=10.0)]
        for fleet in (fa.Fleet.from_values(values), table)
    ]
    for one, other in zip(*both, strict=True):
        assert np.allclose(one, other, rtol=1e-6)


def test_no_matching_row_is_a_noisy_zero(ledger):
    fleet = fa.Fleet.from_pandas(sensors(200), client="sensor")
    session = fa.Session(fleet, ledger.budget("b", rho=100.0))
    count, mean = session.run(
        [fa.count(where="month = 99"), fa.mean("temp", bounds=(0, 110), where="month = 99")], rho=1.0
    )
    assert abs(count.value) < 8
    assert mean.interval(0.95) == (0, 110)


def test_groups_bound_what_a_client_adds(ledger):
    frame = pd.DataFrame({"c": np.repeat(np.arange(300), 4), "g": np.tile(list("abcd"), 300), "x": 5.0})
    fleet = fa.Fleet.from_pandas(frame, client="c")
    session = fa.Session(fleet, ledger.budget("b", rho=1e6))
    all_, two = session.run(
        [fa.count(by="g", groups=list("abcd")), fa.count(by="g", groups=list("abcd"), max_groups=2)], rho=2.0
    )
    assert all_.value == pytest.approx([300] * 4, abs=12)
    assert two.value == pytest.approx([300 * np.sqrt(0.5)] * 4, abs=12)
    assert two.standard_error[0] == pytest.approx(all_.standard_error[0] / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize(
    "query", list(truths(sensors(50))), ids=lambda q: f"{type(q).__name__}-{q.weight}-{q.by}-{q.where}"
)
def test_a_statistic_is_a_frozen_query(query):
    assert isinstance(query, Query)
    assert hash(query) == hash(query)
    with pytest.raises(AttributeError):
        query.where = "x"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fa.mean("temp", bounds=(0, np.nan)), "bounds="),
        (lambda: fa.mean("temp", bounds=(0, np.inf)), "bounds="),
        (lambda: fa.mean("temp", bounds=(3, 3)), "lower < upper"),
        (lambda: fa.mean("temp", bounds=(9, 3)), "lower < upper"),
        (lambda: fa.mean("temp", bounds=110), "bounds="),
        (lambda: fa.mean("temp", bounds="ab"), "bounds="),
        (lambda: fa.mean("", bounds=(0, 1)), "column="),
        (lambda: fa.mean(3, bounds=(0, 1)), "column="),
        (lambda: fa.mean("temp", bounds=(0, 1), per_client="avg(hum)"), "does not mention"),
        (lambda: fa.mean("temp", bounds=(0, 1), where=" "), "where="),
        (lambda: fa.mean("temp", bounds=(0, 1), weight="row"), "weight='row'"),
        (lambda: fa.mean("temp", bounds=(0, 1), weight="record"), "needs max_records="),
        (lambda: fa.mean("temp", bounds=(0, 1), max_records=3), "goes with weight='record'"),
        (lambda: fa.mean("temp", bounds=(0, 1), weight="record", max_records=0), "max_records="),
        (lambda: fa.mean("temp", bounds=(0, 1), weight="record", max_records=2, per_client="avg(temp)"), "exclude"),
        (lambda: fa.mean("temp", bounds=(0, 1), by="month"), "go together"),
        (lambda: fa.mean("temp", bounds=(0, 1), groups=(1,)), "go together"),
        (lambda: fa.mean("temp", bounds=(0, 1), by="month", groups=()), "groups="),
        (lambda: fa.mean("temp", bounds=(0, 1), by="month", groups=(1, 1)), "groups="),
        (lambda: fa.mean("temp", bounds=(0, 1), by="month", groups="ab"), "groups="),
        (lambda: fa.mean("temp", bounds=(0, 1), by="month", groups=(1, None)), "groups="),
        (lambda: fa.mean("temp", bounds=(0, 1), by="m", groups=(1,), max_groups=0), "max_groups="),
        (lambda: fa.mean("temp", bounds=(0, 1), count_weight=-1), "count_weight="),
        (lambda: fa.sum("temp", bounds=(1, 0)), "lower < upper"),
        (lambda: fa.variance("temp", bounds=(1, 0)), "lower < upper"),
        (lambda: fa.histogram("temp"), "either edges="),
        (lambda: fa.histogram("temp", edges=(0, 1), categories=("a",)), "either edges="),
        (lambda: fa.histogram("temp", edges=(0,)), "at least two"),
        (lambda: fa.histogram("temp", edges=(1, 0)), "increasing"),
        (lambda: fa.histogram("temp", edges=5), "must be a list"),
        (lambda: fa.histogram("temp", edges="0,1"), "must be a list"),
        (lambda: fa.histogram("temp", categories=("a", "b")), "say which counts"),
        (lambda: fa.histogram("temp", categories=("a", "a"), per_client="min(temp)"), "different values"),
        (lambda: fa.count(weight="record"), "needs max_records="),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(BadArgument, match=message):
        make()


def test_infinite_edges_catch_everything(ledger):
    frame = sensors(300)
    fleet = fa.Fleet.from_pandas(frame, client="sensor")
    session = fa.Session(fleet, ledger.budget("b", rho=1e6))
    edges = (-np.inf, 50, np.inf)
    by_client, by_record = session.run(
        [
            fa.histogram("temp", edges=edges),
            fa.histogram("temp", edges=edges, weight="record", max_records=100),
        ],
        rho=1e5,
    )
    assert by_client.value.sum() == pytest.approx(frame.groupby("sensor")["temp"].mean().count(), abs=3)
    assert by_record.value.sum() == pytest.approx(frame["temp"].count(), abs=5)
    assert fa.histogram("temp", edges=edges).labels == ("[-inf, 50)", "[50, inf]")
    whole = session.run(fa.histogram("temp", edges=(-np.inf, np.inf), weight="record", max_records=100), rho=1e4)
    assert whole.value[0] == pytest.approx(frame["temp"].count(), abs=5)


def test_equal_questions_are_equal_values():
    assert fa.mean("t", bounds=(0, 110)) == fa.mean("t", bounds=[0.0, np.float32(110)])
    assert fa.histogram("t", edges=range(3)) == fa.histogram("t", edges=np.array([0.0, 1.0, 2.0]))
    assert fa.count(by="g", groups=[np.int64(1), 2]) == fa.count(by="g", groups=(1, 2))
