"""A client's value is a function of that client's rows, bit for bit."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedanalytics.fleet import Fleet
from fedanalytics.round.work import Sql, Stack

POOL = (
    Sql("avg(temp)", magnitude=110.0),
    Sql("avg(temp)"),
    Sql("sum(temp)", magnitude=3.0),
    Sql("sum(temp * hour)"),
    Sql("avg(temp * temp) - avg(temp) * avg(temp)"),
    Sql("stddev(temp)"),
    Sql("var_pop(ln(temp))"),
    Sql("median(temp)"),
    Sql("quantile_cont(temp, 0.9) / (1 / min(temp))"),
    Sql("1 / min(-temp) + 1 / max(temp * 0)"),
    Sql("case when 1 / min(temp * 0) > 0 then 1 else 0 end"),
    Sql("count(distinct round(temp))"),
    Sql("count(*) / count(temp)"),
    Sql("avg(temp) filter (where temp > 0 and name <> 'b')"),
    Sql("length(max(name)) + count(distinct name)"),
    Sql("bool_or(temp > 1e300)"),
    Sql("avg(case when year(day) = 2024 then temp when day is null then 1 end)"),
    Sql("avg(temp)", where="hour >= 8", magnitude=110.0),
    Sql("sum(temp)", where="hour >= 8"),
    Sql("stddev_pop(temp)", where="temp > 5 or name like 'a%'"),
    Sql("count(*)", where="not temp <= 5"),
)


def _wild(seed: int, clients: int, rows: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    temp = draw.normal(size=rows) * 10.0 ** draw.integers(-30, 30, rows)
    usual = draw.random(rows) < 0.7
    temp[usual] = draw.normal(60, 15, rows)[usual]
    strange = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, -1e308, 5e-324, 2.0**59, 2.0**60, 110 * 2.0**8]
    odd = draw.random(rows) < 0.05
    temp[odd] = draw.choice(strange, rows)[odd]
    return pd.DataFrame(
        {
            "sensor": draw.integers(0, clients, rows).astype(np.int32),
            "temp": temp,
            "hour": draw.integers(0, 24, rows),
            "name": draw.choice(np.array(["a", "b", "ab", "", None], dtype=object), rows),
            "day": pd.Timestamp("2023-12-01") + pd.to_timedelta(draw.integers(0, 10**6, rows), unit="min"),
        }
    )


def _parquet(frame: pd.DataFrame, path, group: int = 4096) -> Fleet:
    frame = frame.assign(who=frame["sensor"].astype(float))
    with duckdb.connect() as connection:
        connection.register("frame", frame)
        connection.execute(f"COPY frame TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE {group})")
    return Fleet.from_parquet(path, client="sensor")


def _same(one: dict[float, bytes], other: dict[float, bytes], *, but: set[float]) -> None:
    differ = [client for client in set(one) | set(other) if client not in but and one.get(client) != other.get(client)]
    assert not differ, f"{len(differ)} clients changed"


@pytest.fixture(scope="module")
def wild():
    return _wild(1, 3_000, 100_000)


@pytest.fixture(scope="module")
def fleet(wild, tmp_path_factory):
    """Every client, at the default number of threads."""
    return _parquet(wild, tmp_path_factory.mktemp("wild") / "all.parquet")


@pytest.mark.parametrize("count", [1, 2, 8])
def test_another_client_changes_nothing(wild, fleet, look, threads, tmp_path, count):
    threads(count)
    extra = _wild(2, 1, 30_000).assign(sensor=99_999)
    more = pd.concat([extra[:10_000], wild[:40_000], extra[10_000:], wild[40_000:]])
    fewer = wild[wild["sensor"] != 17]
    here = look.per_client(fleet, "who", *POOL)
    assert len(here) == 3_000
    _same(here, look.per_client(_parquet(more, tmp_path / "more.parquet"), "who", *POOL), but={99_999.0})
    _same(here, look.per_client(_parquet(fewer, tmp_path / "fewer.parquet"), "who", *POOL), but={17.0})


@pytest.mark.parametrize("group", [2048, 122_880])
def test_the_order_of_rows_does_not_matter(wild, fleet, look, tmp_path, group):
    shuffled = wild.sample(frac=1.0, random_state=3)
    there = _parquet(shuffled, tmp_path / "shuffled.parquet", group)
    _same(look.per_client(fleet, "who", *POOL), look.per_client(there, "who", *POOL), but=set())


def test_filter_and_where_agree(fleet, look):
    for sql in POOL:
        if sql.where is None:
            continue
        filtered = look.per_client(fleet, "who", sql)  # `who` stands beside it without a condition
        [table] = look.columns(fleet, Stack((Sql("max(who)", where=sql.where), sql)))
        assert set(table[:, 0]) <= set(filtered)
        kept = {number: b"none" if np.isnan(value) else np.float64(value).tobytes() for number, value in table}
        _same(filtered, dict.fromkeys(filtered, b"none") | kept, but=set())


def test_one_question_and_many_agree(fleet, look):
    together = look.per_client(fleet, "who", *POOL)
    alone: dict[float, bytes] = {}
    for sql in POOL:
        for client, value in look.per_client(fleet, "who", sql).items():
            alone[client] = alone.get(client, b"") + value
    _same(together, alone, but=set())


def test_a_client_alone_has_the_value_it_has_among_others(wild, fleet, look, tmp_path):
    together = look.per_client(fleet, "who", *POOL)
    for sensor in (0, 17, 2_999):
        alone = look.per_client(_parquet(wild[wild["sensor"] == sensor], tmp_path / f"{sensor}.parquet"), "who", *POOL)
        assert alone == {float(sensor): together[sensor]}


def test_plain_sums_would_break_the_law(wild):
    """The floor: the same rows in another order move the engine's own averages, so that these tests could fail."""
    with duckdb.connect() as connection:
        tame = wild[wild["temp"].abs() < 1e6]
        found = []
        for order in (tame, tame.sample(frac=1.0, random_state=3)):
            connection.register("frame", order)
            found.append(connection.execute("SELECT avg(temp) FROM frame GROUP BY sensor ORDER BY sensor").fetchall())
            connection.unregister("frame")
    assert found[0] != found[1]


VALUES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1e308, -1e308, float("nan"), float("inf")]),
)
ROWS = st.lists(
    st.tuples(
        st.integers(0, 3), VALUES, st.integers(-2, 30), st.sampled_from(["a", "b", "", None]), st.integers(0, 10**6)
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(rows=ROWS, others=ROWS, seed=st.integers(0, 9))
def test_small_fleets_with_strange_values(look, rows, others, seed):
    def frame(table):
        made = pd.DataFrame(table, columns=["sensor", "temp", "hour", "name", "minutes"])
        made["day"] = pd.Timestamp("2023-12-01") + pd.to_timedelta(made.pop("minutes"), unit="min")
        made["name"] = made["name"].astype(object)
        return made.assign(who=made["sensor"].astype(float))

    mine, theirs = frame(rows), frame([(r[0] + 10, *r[1:]) for r in others])
    both = pd.concat([theirs, mine]).sample(frac=1.0, random_state=seed)
    alone = look.per_client(Fleet.from_pandas(mine, client="sensor"), "who", *POOL)
    among = look.per_client(Fleet.from_pandas(both, client="sensor"), "who", *POOL)
    assert alone == {client: bits for client, bits in among.items() if client < 10}
