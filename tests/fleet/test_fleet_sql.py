"""What is printed means what was written, and is made of nothing else."""

from __future__ import annotations

import re

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.fleet import Fleet
from fedanalytics.fleet.grammar import ALLOWED
from fedanalytics.fleet.printer import RULES
from fedanalytics.fleet.schema import Kind, Schema, exposed, quote, text
from fedanalytics.fleet.select import Value, value
from fedanalytics.fleet.terms import Term, alike, cast, need
from fedanalytics.round.work import Sql

CONNECTION = duckdb.connect()
SCHEMA = Schema(
    "c",
    tuple(
        exposed(n, t) for n, t in {"x": "DOUBLE", "y": "DOUBLE", "s": "VARCHAR", "b": "BOOLEAN", "d": "DATE"}.items()
    ),
)


def _frame() -> pd.DataFrame:
    draw = np.random.default_rng(2)
    made = pd.DataFrame(
        {
            "c": draw.integers(0, 9, 300),
            "x": draw.integers(-40, 40, 300) / 8,
            "y": draw.integers(-3, 4, 300).astype(float),
            "s": draw.choice(["a", "ab", "B", " b ", "it's", "10"], 300),
            "b": draw.random(300) < 0.5,
            "m": pd.Timestamp("2023-12-30") + pd.to_timedelta(draw.integers(0, 10**5, 300), unit="min"),
        }
    )
    made["d"] = made["m"].dt.date
    made.loc[::11, "x"] = np.nan
    made.loc[::13, "s"] = None
    return made


@pytest.fixture(scope="module")
def frame():
    return _frame()


@pytest.fixture(scope="module")
def fleet(frame):
    return Fleet.from_pandas(frame, client="c")


def _plain(frame: pd.DataFrame, work: Sql) -> list[float | str | None]:
    """The caller's own text, run by the engine: which nobody should do with a text that was not checked."""
    where = f"WHERE {work.where}" if work.where else ""
    CONNECTION.register("t", frame)
    found = CONNECTION.execute(f"SELECT {work.per_client} FROM t {where} GROUP BY c ORDER BY c").fetchall()
    return [row[0] for row in found]


@pytest.mark.parametrize(
    "text_",
    [
        "avg(x) + sum(y) * 2 - max(x) / min(x)",
        "-max(x) ^ 2",
        "2 ^ 3 ^ 2 + max(y)",
        "max(x) - min(x) - 1 - -1",
        "max(x) / 2 / 4 * 8",
        "round(avg(x), 1) + round(avg(y)) + floor(max(x) / 3) + ceil(min(x) / 3) + abs(min(y))",
        "sqrt(abs(sum(x))) + exp(avg(y)) + ln(count(*)) + log10(count(x)) + power(avg(y), 3)",
        "greatest(max(x), sum(y), 1) + least(min(x), 0) + coalesce(nullif(max(y), 3), 7)",
        "case when avg(x) > 0 and avg(y) < 0 or count(*) > 40 then 1 when not max(b::int) = 1 then 2 else 3 end",
        "case max(y) when 3 then 1 when 2 then 5 end",
        "case count(*) > 30 when true then 1 else 0 end",
        "count(*) filter (where b) + count(x) + count(distinct s) + count(distinct y) filter (where x > 0)",
        "avg(x) filter (where s in ('a', 'it''s') and y not in (1, -2))",
        "sum(x) filter (where x between -1 and 2 or s is null)",
        "sum(x) filter (where not (b is not null and s like '%b%') or s not like 'a_')",
        "sum(case when b then x when y > 0 then -x end)",
        "median(x) + quantile_cont(y, 0.75) + quantile_cont(x, 1)",
        "stddev(x) + stddev_samp(y) + stddev_pop(x) + variance(y) + var_samp(x) + var_pop(y)",
        "bool_or(x > 4.5)::int + bool_and(y >= -3)::int * 2",
        "max(year(m)) + max(month(m)) + max(day(d)) + max(hour(m)) + max(minute(m)) + max(dayofweek(d))",
        "max(extract(year from d)) + min(extract(dow from m)) + min(extract(hour from m))",
        "count(*) filter (where d >= '2024-01-01' and m < timestamp '2024-02-01 12:00:00' and d <> date '2024-01-05')",
        "count(*) filter (where m > d)",
        "length(max(s)) + length(trim(max(s))) + max(length(upper(s)))",
        "max(try_cast(s as double)) + 0",
        "max(x)::int + max(x)::bigint + (max(x) > 1)::double",
        "max(s)",
        "lower(min(s))",
        "max(s || '') is null" if False else "upper(max(s) filter (where s > 'a'))",
        "case when avg(x) > 0 then 'plus' else 'minus' end",
        "max(y)::int::varchar",
        "coalesce(max(s) filter (where s = 'zzz'), 'none')",
        "max(d)::varchar",
        "(max(x) > 2)::varchar",
        "nullif(lower(max(s)), 'it''s')",
        "count(*) filter (where (x > 0) = b)",
        "count(*) filter (where b and x > 0 or not b and x < 0)",
        "count(*) filter (where x is null) * 1e2 + 1.5e-1 + .5",
    ],
)
def test_it_means_what_it_means_to_the_engine(fleet, frame, look, text_):
    for where in (None, "y > -3 and (s <> 'a' or s is null)"):
        work = Sql(text_, where=where)
        fleet.check(work)
        key = str if isinstance(_plain(frame, work)[0], str | None) else float
        found = sorted(look.columns(fleet, work)[0].tolist(), key=str)
        want = sorted((v if v is None or isinstance(v, str) else float(v) for v in _plain(frame, work)), key=str)
        if key is str:
            assert found == want
        else:
            assert sorted(found) == pytest.approx(sorted(want), rel=1e-9, abs=1e-9)


NUMBERS = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["x", "y", "2e0", "5e-1", "-3e0", "1e1"]),
        st.tuples(NUMBERS, st.sampled_from(["+", "-", "*", "/"]), NUMBERS).map(" ".join),
        st.tuples(st.sampled_from(["-", "abs", "round", "floor", "ceil", "exp"]), NUMBERS).map("{0[0]}({0[1]})".format),
        st.tuples(TRUTHS, NUMBERS, NUMBERS).map("case when {0[0]} then {0[1]} else {0[2]} end".format),
        st.tuples(NUMBERS, NUMBERS).map("coalesce({0[0]}, {0[1]})".format),
        NUMBERS.map("({})".format),
    )
)
TRUTHS = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["b", "true", "false", "s = 'a'", "s like 'a%'", "s in ('a', 'b')"]),
        st.tuples(NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "=", "<>", "!="]), NUMBERS).map(" ".join),
        st.tuples(TRUTHS, st.sampled_from(["and", "or"]), TRUTHS).map(" ".join),
        TRUTHS.map("not {}".format),
        TRUTHS.map("({})".format),
        st.tuples(NUMBERS, NUMBERS, NUMBERS).map("{0[0]} between {0[1]} and {0[2]}".format),
        NUMBERS.map("{} is not null".format),
    )
)
_PLAIN = _frame()


@settings(max_examples=80, deadline=None)
@given(number=NUMBERS, truth=TRUTHS)
def test_any_expression_means_what_it_means_to_the_engine(fleet, look, number, truth):
    """Precedence above all: `not a = b`, `- a ^ 2`, `a between b and c and d`."""
    work = Sql(f"max({number})", where=truth)
    try:
        fleet.check(work)
    except BadArgument as error:
        assert re.search(r"deep|names no column|true or false", str(error))  # noqa: PT017 - either outcome is right
        return
    want = [v for v in _plain(_PLAIN, work) if v is not None]
    if np.isfinite(want).all():  # for us an infinity is no reading, and a maximum looks past it
        found = look.columns(fleet, work)[0]
        assert sorted(found[np.isfinite(found)]) == pytest.approx(sorted(want))


# ------------------------------------------------------------------ what is printed


@given(name=st.text(min_size=1), content=st.text())
@settings(max_examples=100, deadline=None)
def test_names_and_strings_cannot_leave_their_quotes(name, content):
    assert re.fullmatch(r'"(?:[^"]|"")*"', quote(name), flags=re.DOTALL)
    assert re.fullmatch(r"'(?:[^']|'')*'", text(content), flags=re.DOTALL)
    if "\x00" not in content:
        assert CONNECTION.execute(f"SELECT {text(content)}").fetchall() == [(content,)]


@settings(max_examples=60, deadline=None)
@given(content=st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), max_size=20))
def test_a_string_arrives_as_it_was_written(content):
    sql = f"max(s) = '{content.replace(chr(39), chr(39) * 2)}'"
    printed = value(SCHEMA, Sql(sql)).bare
    assert printed.endswith(f"= {text(content)}) AS DOUBLE)")


def test_every_node_of_the_grammar_has_a_meaning():
    from fedanalytics.fleet.aggregates import AGGREGATES

    parts = {"Identifier", "Star", "DataType", "Var", "Where", "If", "Distinct"}
    assert set(ALLOWED) == set(RULES) | set(AGGREGATES) | parts


def test_every_aggregate_filters_and_every_number_is_a_double():
    work = Sql("sum(x) + 2 * avg(y) + max(x) + stddev(x) + count(*) + median(y) + 0.5", where="b")
    kept = value(SCHEMA, work).kept
    aggregates = re.findall(r"\b(?:sum|avg|max|count|median|min)\(", kept)
    assert kept.count("FILTER (WHERE step_") == len(aggregates)
    numbers = re.findall(r"(?<![\w.])\d[\w.+-]*", kept)
    assert {n for n in numbers if "e" not in n} == {"1", "8388608"}  # of BETWEEN, and of n - 1


@pytest.mark.parametrize(
    ("bare", "one_level"),
    [
        ("avg(x)", True),
        ("avg(x) filter (where b)", True),
        ("avg(x) / 1e6", False),
        ("avg(-x)", False),
        ("avg(x) + avg(y)", False),
        ("max(x)", False),
    ],
)
def test_only_a_bare_average_uses_the_magnitude(bare, one_level):
    """Inside a larger expression the readings have another magnitude than the value."""
    plain, scaled = value(SCHEMA, Sql(bare)), value(SCHEMA, Sql(bare, magnitude=2.0))
    assert (plain != scaled) == one_level


# ------------------------------------------------------------------ kinds


@pytest.mark.parametrize("one", list(Kind))
@pytest.mark.parametrize("other", list(Kind))
def test_a_cast_is_total_or_refused(one, other):
    if other is Kind.NOTHING:
        return
    try:
        made = cast(Term('"v"', one), other)
    except BadArgument as error:
        assert "cannot become" in str(error)  # noqa: PT017 - either outcome is right
        return
    assert made.kind is other
    stored = {Kind.NOTHING: "VARCHAR"}.get(one, one.value)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t (v {stored})")
        [(kind,)] = connection.execute(f"SELECT typeof({made.sql}) FROM (SELECT NULL::{stored} AS v)").fetchall()
    assert kind == other.value


def test_kinds_that_meet():
    day, moment, word = (
        Term("d", Kind.DATE),
        Term("m", Kind.MOMENT),
        Term("'2024-01-31'", Kind.TEXT, literal="2024-01-31"),
    )
    nothing, truth, number = Term("NULL", Kind.NOTHING), Term("b", Kind.TRUTH), Term("x", Kind.NUMBER)
    assert [t.kind for t in alike(day, moment, word, nothing)] == [Kind.MOMENT] * 4
    assert [t.sql for t in alike(word, day)] == ["CAST('2024-01-31' AS DATE)", "d"]
    assert [t.kind for t in alike(truth, number, nothing)] == [Kind.NUMBER] * 3
    assert [t.kind for t in alike(nothing, nothing)] == [Kind.NUMBER] * 2
    assert need(nothing, Kind.TRUTH).kind is Kind.TRUTH
    for pair in ((day, number), (word, number), (Term("s", Kind.TEXT), day), (truth, moment)):
        with pytest.raises(BadArgument, match=r" is .* and .* is "):
            alike(*pair)


@pytest.mark.parametrize(
    ("literal", "kind", "printed"),
    [
        ("2024-01-31", Kind.DATE, "CAST('2024-01-31' AS DATE)"),
        ("2024-01-31", Kind.MOMENT, "CAST('2024-01-31 00:00:00' AS TIMESTAMP)"),
        ("2024-01-31T10:00:00+02:00", Kind.MOMENT, "CAST('2024-01-31 08:00:00' AS TIMESTAMP)"),
        (" 2024-01-31 10:00:00.5 ", Kind.MOMENT, "CAST('2024-01-31 10:00:00.500000' AS TIMESTAMP)"),
    ],
)
def test_date_literals(literal, kind, printed):
    assert cast(Term(text(literal), Kind.TEXT, literal=literal), kind).sql == printed


@pytest.mark.parametrize("literal", ["2024-02-30", "yesterday", "", "infinity", "0001-01-01T00:00:00+10:00"])
def test_a_date_literal_that_is_none_is_refused(literal):
    with pytest.raises(BadArgument, match="is not a timestamp; write it as '2024-01-31 08:00:00'"):
        cast(Term(text(literal), Kind.TEXT, literal=literal), Kind.MOMENT)


def test_results_that_are_dates_are_refused_with_a_fix(fleet):
    for sql in ("max(d)", "min(m)", "max(d)::timestamp"):
        with pytest.raises(BadArgument, match=r"the result is a (date|timestamp); write for example year\("):
            fleet.check(Sql(sql))


def test_whole_numbers_become_texts_without_a_fraction(look):
    fleet = Fleet.from_pandas(pd.DataFrame({"c": [1, 2, 3, 4], "n": [8, 10, -3, 0]}), client="c")
    assert sorted(look.columns(fleet, Sql("max(n)::varchar"))[0]) == ["-3", "0", "10", "8"]
    assert sorted(look.columns(fleet, Sql("(max(n) / 4)::varchar"))[0]) == ["-0.75", "0", "2", "2.5"]


def test_a_column_without_any_value_fits_everywhere(look):
    fleet = Fleet.from_pandas(pd.DataFrame({"c": [1, 2], "n": pd.Series([None, None], dtype=object)}), client="c")
    works = [Sql("avg(n)"), Sql("max(n)"), Sql("count(n)"), Sql("count(*)", where="n > 5 or n like 'a'")]
    for work in works:
        fleet.check(work)
    found = look.columns(fleet, *works)
    assert np.isnan(found[0]).all()
    assert np.isnan(found[1]).all()
    assert found[2].tolist() == [0.0, 0.0]
    assert np.isnan(found[3]).all()
    [long, hour] = look.columns(fleet, Sql("length(max(n)) + count(distinct n)"), Sql("hour(max(n))"))
    assert np.isnan([long, hour]).all()


def test_a_column_named_like_the_stored_one(look):
    frame = pd.DataFrame({"c": [1], "x": [np.inf], "X AS STORED": [3.0]})
    [mean, other] = look.columns(
        Fleet.from_pandas(frame, client="c"), Sql("avg(x)", magnitude=1.0), Sql('avg("x as stored")')
    )
    assert np.isnan(mean).all()
    assert other.tolist() == [3.0]


def test_what_the_engine_cannot_bind_is_a_bad_argument(fleet):
    """The second wall: nothing that the first lets through should come here."""
    strange = Value("", "nonsense(1)", "nonsense(1)", "", (), (), is_text=False)
    with pytest.raises(BadArgument, match="cannot be computed") as caught:
        fleet._engine.bind(strange)
    assert "nonsense" not in str(caught.value)
    fleet.check(Sql("avg(x)"))
