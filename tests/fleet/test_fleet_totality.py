"""No value makes a computation raise: the engine is asked directly, where nothing catches what it raises."""

from __future__ import annotations

import datetime as dt

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.fleet import Fleet
from fedanalytics.round.work import Sql

NUMBERS = [
    *("temp", "small", "wide", "price", "-temp", "temp + wide", "temp * temp * temp", "1 / temp", "wide - small"),
    *("abs(wide)", "round(temp, 15)", "round(temp, -15)", "round(wide)", "floor(temp)", "ceil(temp * 1e300)"),
    *("sqrt(temp)", "ln(temp)", "log10(small)", "exp(temp)", "power(temp, wide)", "power(temp, 0.5)", "sqrt(ln(temp))"),
    *("greatest(temp, wide)", "least(temp, small)", "nullif(temp, wide)", "coalesce(temp, wide, 0)"),
    *("year(day)", "month(day)", "day(day)", "hour(day)", "minute(day)", "dayofweek(day)", "extract(dow from moment)"),
    *("year(moment)", "hour(moment)", "minute(there)", "year(there)", "hour(name::timestamp)", "year(name::date)"),
    *("length(name)", "length(upper(lower(trim(name))))", "name::double", "name::int", "name::bigint", "temp::int"),
    *(
        "wide::bigint",
        "ok::int",
        "name::boolean::int",
        "temp::boolean::int",
        "length(temp::varchar)",
        "length(day::text)",
    ),
    *(
        "length(moment::varchar)",
        "length(wide::varchar)",
        "kind::double",
        "hour(kind::timestamp)",
        "year(kind::date)",
        "moment::date::timestamp::varchar::double",
    ),
    *(
        "case when temp > 1 then wide when name = 'a' then null else small end",
        "case name when 'a' then 1 else temp end",
    ),
]
CONDITIONS = [
    *("temp > small", "name > 'a'", "name like '%a_%'", "day < moment", "moment between day and there", "ok"),
    *("day > '2020-01-01'", "moment = timestamp '2020-01-01 00:00:00'", "temp in (1, 2, -3)", "name in ('a', '')"),
    *("day is null or not ok", "ln(temp) > 3", "1 / temp > 0", "name::date > day", "kind = 'x'", "temp <> temp"),
    *("day::timestamp > moment", "greatest(day, moment) > there", "coalesce(name, kind) = 'a'", "year(day) = 2020"),
]
AGGREGATES = [
    *("avg({})", "sum({})", "min({})", "max({})", "count({})", "count(distinct {})", "median({})", "stddev({})"),
    *(
        "var_pop({})",
        "quantile_cont({}, 0.3)",
        "avg({}) filter (where ok)",
        "ln(sum({}))",
        "exp(max({})) - exp(max({}))",
    ),
]
OTHERS = ["bool_or({0})", "bool_and({0})", "avg({0})", "count({0})", "count(*) filter (where {0})"]
TYPES = {
    "temp": "DOUBLE",
    "small": "FLOAT",
    "wide": "HUGEINT",
    "price": "DECIMAL(38, 10)",
    "name": "VARCHAR",
    "kind": "VARCHAR",
    "day": "DATE",
    "moment": "TIMESTAMP",
    "there": "TIMESTAMPTZ",
    "ok": "BOOLEAN",
}
EDGES = {
    "temp": ["nan", "inf", "-inf", "1e308", "-1e308", "5e-324", "-0.0", "0", "1", "-8", "9.3e18", "710"],
    "small": ["nan", "inf", "3.4e38", "-0.0", "1e-45", "1"],
    "wide": [str(2**127 - 1), str(-(2**127)), "0", "9223372036854775807", "-9223372036854775808", "3"],
    "price": ["9999999999999999999999999999.9999999999", "-0.0000000001", "0", "1.5"],
    "name": [
        "",
        "a",
        "A\u0130\u00df",
        "\U0001f321" * 9,
        "nan",
        "-inf",
        "1e400",
        "2024-02-30",
        "infinity",
        "epoch",
        "true",
    ],
    "kind": [
        "x",
        "'; drop table t --",
        "%",
        "_\\",
        "9999-12-31 23:59:59+99",
        "now",
        "0x10",
        "\u0000",
        "12:00 Nowhere/Land",
    ],
    "day": ["infinity", "-infinity", "5877642-06-25 (BC)", "5881580-07-10", "2020-02-29", "0001-01-01"],
    "moment": [
        "infinity",
        "-infinity",
        "290309-12-22 (BC) 00:00:00",
        "294247-01-10 04:00:54.775806",
        "2020-02-29 23:59:59",
    ],
    "there": [
        "infinity",
        "-infinity",
        "290309-12-22 (BC) 00:00:00+00",
        "294247-01-10 04:00:54.775806+00",
        "2020-01-01 00:00:00+00",
    ],
    "ok": ["true", "false"],
}


def _fleet(rows: list[dict[str, str | None]], path) -> Fleet:
    casts = ", ".join(f"CAST({name} AS {stored}) AS {name}" for name, stored in TYPES.items())
    with duckdb.connect() as connection:
        connection.register(
            "texts", pd.DataFrame(rows, columns=list(TYPES), dtype=object).assign(client=range(len(rows)))
        )
        connection.execute(f"COPY (SELECT client % 3 AS client, {casts} FROM texts) TO '{path}' (FORMAT parquet)")
    return Fleet.from_parquet(path, client="client")


def _evaluate(fleet: Fleet, works: list[Sql]) -> None:
    """All at once, past the net that a fleet spreads; and numbers come out as numbers."""
    for column in fleet._engine.evaluate([fleet._value(work) for work in works]):
        if column.dtype == np.float64:
            assert not np.isinf(column).any()
        else:
            assert all(value is None or isinstance(value, str) for value in column)


@pytest.fixture(scope="module")
def edges(tmp_path_factory):
    longest = max(map(len, EDGES.values()))
    rows: list[dict[str, str | None]] = [
        {name: values[(i * (j + 1)) % len(values)] for j, (name, values) in enumerate(EDGES.items())}
        for i in range(5 * longest)
    ]
    rows += [
        {name: (None if i == j else EDGES[name][0]) for j, name in enumerate(TYPES)} for i in range(len(TYPES) + 1)
    ]
    rows.append(dict.fromkeys(TYPES))
    return _fleet(rows, tmp_path_factory.mktemp("edges") / "edges.parquet")


@pytest.mark.parametrize("number", NUMBERS)
def test_every_number_over_the_edges_of_every_type(edges, number):
    works = [Sql(a.replace("{}", number), magnitude=m) for a in AGGREGATES for m in (None, 7.0)]
    for work in works[:4]:
        edges.check(work)
    _evaluate(edges, works)
    _evaluate(edges, [Sql("count(*)", where=f"({number}) > 0"), Sql(f"max(({number})::varchar)")])


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_over_the_edges_of_every_type(edges, condition):
    _evaluate(edges, [Sql(other.format(condition)) for other in OTHERS])
    _evaluate(edges, [Sql("avg(temp)", where=condition)])
    _evaluate(edges, [Sql("avg(temp)", where=condition), Sql("max(name)")])


ROW = st.fixed_dictionaries({name: st.one_of(st.none(), st.sampled_from(values)) for name, values in EDGES.items()})


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(ROW, min_size=1, max_size=6),
    numbers=st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=4),
    nest=st.lists(
        st.sampled_from(["ln({})", "1 / ({})", "({}) * 1e308", "exp({})", "-({})", "round({}, 3)"]), max_size=3
    ),
    condition=st.sampled_from(CONDITIONS),
)
def test_any_expression_over_any_table(tmp_path_factory, rows, numbers, nest, condition):
    fleet = _fleet(rows, tmp_path_factory.mktemp("any") / "any.parquet")
    works = []
    for number in numbers:
        for form in nest:
            number = form.format(number)  # noqa: PLW2901 - one form around another
        works += [Sql(a.replace("{}", number), where=condition) for a in AGGREGATES]
    _evaluate(fleet, works)
    _evaluate(fleet, [*works, Sql("count(*)")])


def test_dates_of_a_data_frame(look):
    frame = pd.DataFrame(
        {
            "client": [1, 2, 3],
            "day": [dt.date(1, 1, 1), dt.date(9999, 12, 31), None],
            "at": pd.to_datetime(["1700-01-01", "2262-04-11", None]).astype("datetime64[ns]"),
        }
    )
    fleet = Fleet.from_pandas(frame, client="client")
    assert fleet.columns == {"day": "DATE", "at": "TIMESTAMP"}
    [years] = look.columns(fleet, Sql("max(year(day)) + 0 * max(coalesce(year(at), 0))"))
    assert sorted(map(str, years)) == ["1.0", "9999.0", "nan"]


def test_errors_of_types_are_found_without_data():
    """The same message over any data: here, over none of the kind that would fail."""
    for values in ([None], ["1"], ["x"]):
        fleet = Fleet.from_pandas(
            pd.DataFrame({"client": [1], "name": pd.Series(values, dtype="str")}), client="client"
        )
        with pytest.raises(
            BadArgument, match=r'"name" is a text where a number is needed; .* CAST\("name" AS DOUBLE\)'
        ):
            fleet.check(Sql("avg(name)"))
