"""The fleet itself: its one verb, arrays handed over as they are, functions, and what happens when all fails."""

from __future__ import annotations

import os
import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedanalytics.errors import BadArgument, DataChanged
from fedanalytics.fleet import Fleet
from fedanalytics.fleet.engine import Engine
from fedanalytics.round.work import Apply, Sql, Stack

FLOATS = hnp.arrays(np.float64, st.integers(1, 50), elements=st.floats(allow_nan=True, allow_infinity=True))


@dataclass(frozen=True)
class Function:
    """A local function of any shape."""

    body: Any
    seen: list = field(default_factory=list)

    def values(self, columns):
        self.seen.append(columns)
        return self.body(*columns)


@pytest.fixture(scope="module")
def frame():
    draw = np.random.default_rng(5)
    made = pd.DataFrame(
        {
            "plane": draw.integers(0, 40, 2_000),
            "temp": draw.normal(60, 15, 2_000),
            "hour": draw.integers(0, 24, 2_000),
            "name": draw.choice(["JFK", "LGA"], 2_000),
        }
    )
    made.loc[::50, "temp"] = np.nan
    return made


@pytest.fixture(scope="module")
def planes(frame):
    return Fleet.from_pandas(frame, client="plane", population=40)


# ------------------------------------------------------------------ one number per client


@settings(max_examples=40, deadline=None)
@given(values=FLOATS)
def test_sums_of_values_are_the_sums_of_rows(look, values):
    fleet, tiny = Fleet.from_values(values), look.Tiny()
    finite = np.where(np.isfinite(values), values, np.nan)
    for text in ("value", "avg(value)", 'sum("value")', "min(VALUE)", "max(value)", "median(value)"):
        [found] = fleet.sums([look.block(Sql(text), tiny)], [2**10])
        assert found.dtype == np.int64
        assert (found == tiny.rows(finite, 2**10).sum(axis=0)).all()
        assert (look.columns(fleet, Sql(text))[0] == fleet._values)[np.isfinite(values)].all()


@settings(max_examples=15, deadline=None)
@given(values=FLOATS)
def test_the_engine_gives_what_the_array_gives(look, values):
    fleet = Fleet.from_values(values)
    for text in ("value", "avg(value)", "sum(value)", "min(value)", "median(value)"):
        [through] = look.columns(fleet, Sql(text, where="true"))
        assert sorted(map(str, through + 0.0)) == sorted(map(str, fleet._values + 0.0))
    [counted, rows] = look.columns(fleet, Sql("count(value)"), Sql("count(*)"))
    assert counted.sum() == np.isfinite(values).sum()
    assert rows.sum() == len(values)


def test_expressions_over_values(look):
    fleet = Fleet.from_values([3.0, 8.0, np.nan, -1.0])
    [doubled] = look.columns(fleet, Sql("value * 2 + count(*)"))
    assert sorted(map(str, doubled)) == ["-1.0", "17.0", "7.0", "nan"]
    [large] = look.columns(fleet, Sql("value", where="value > 0"))
    assert sorted(large) == [3.0, 8.0]
    [both] = look.columns(fleet, Stack((Sql("value"), Sql("value", where="value > 5"))))
    assert sorted(map(str, both.tolist())) == ["[-1.0, nan]", "[3.0, nan]", "[8.0, 8.0]", "[nan, nan]"]
    [direct] = look.columns(fleet, Stack((Sql("value"), Sql("count(*)"))))
    assert direct.tolist()[:2] == [[3.0, 1.0], [8.0, 1.0]]


def test_a_float_array_is_kept_and_not_written_to(look):
    values = np.array([1.0, 2.0])
    fleet = Fleet.from_values(values)
    [given_] = look.columns(fleet, Sql("avg(value)"))
    assert np.shares_memory(given_, values)
    assert not given_.flags.writeable
    assert values.flags.writeable


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3],
        (True, False),
        range(3),
        np.arange(3, dtype=np.float32),
        np.arange(3, dtype=">f8"),
        pd.Series([1.0, 2.0]),
    ],
    ids=lambda v: type(v).__name__,
)
def test_numbers_of_any_kind_become_floats(look, values):
    [found] = look.columns(Fleet.from_values(values), Sql("value"))
    assert found.dtype == np.float64
    assert found.tolist() == [float(v) for v in values]


def test_a_masked_value_is_missing(look):
    [found] = look.columns(Fleet.from_values(np.ma.array([1, 2], mask=[False, True])), Sql("value"))
    assert str(found.tolist()) == "[1.0, nan]"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "at least one client"),
        ([[1.0], [2.0]], r"shape \(n,\)"),
        ([[1.0], [2.0, 3.0]], "different lengths"),
        (3.0, r"shape \(\)"),
        (["a"], "dtype"),
        ([1.0, None], "dtype object"),
        ([1j], "complex"),
        (np.array(["2024-01-01"], dtype="datetime64[D]"), "datetime"),
    ],
)
def test_what_is_no_number_per_client_is_refused(values, message):
    with pytest.raises(BadArgument, match=message):
        Fleet.from_values(values)


def test_an_array_needs_no_engine(monkeypatch, look):
    fleet = Fleet.from_values(np.arange(5.0))
    monkeypatch.setattr(fleet, "_open", lambda: pytest.fail("the engine was opened"))
    fleet.check(Sql("avg(value)", magnitude=7.0))
    look.columns(fleet, Sql("avg(value)"), Stack((Sql("value"), Sql("count(*)"))))
    assert "max" in fleet.describe(Sql("avg(value)"))["sql"]


# ------------------------------------------------------------------ a table


def test_what_a_fleet_says_of_itself(planes):
    assert (planes.client, planes.dataset, planes.population) == ("plane", "plane", 40)
    assert planes.columns == {"temp": "DOUBLE", "hour": "DOUBLE", "name": "VARCHAR"}
    assert Fleet.from_values([1.0]).dataset == "client"
    assert Fleet.from_values([1.0], dataset="thermometers").dataset == "thermometers"


@pytest.mark.parametrize("named", [{"population": 0}, {"population": 2.5}, {"dataset": ""}, {"dataset": 3}])
def test_declarations_are_checked(named):
    with pytest.raises(BadArgument, match=f"{next(iter(named))}="):
        Fleet.from_values([1.0], **named)


def test_sums_are_those_of_the_rows_by_pandas(planes, frame, look):
    tiny, by = look.Tiny(), frame.groupby("plane")
    late = frame[frame["hour"] >= 8].groupby("plane")
    works = {
        Sql("avg(temp)", magnitude=110.0): by["temp"].mean(),
        Sql("sum(temp) / 100"): by["temp"].sum() / 100,
        Sql("max(temp)", where="hour >= 8"): late["temp"].max(),
        Sql("median(temp)"): by["temp"].median(),
        Sql("stddev(temp)"): by["temp"].std(),
        Sql("count(*)", where="name = 'JFK'"): frame[frame["name"] == "JFK"].groupby("plane").size(),
        Sql("avg(temp) filter (where hour >= 8)"): late["temp"].mean(),
        Sql("count(distinct name)"): by["name"].nunique(),
        Sql("quantile_cont(temp, 0.25)"): by["temp"].quantile(0.25),
    }
    found = planes.sums([look.block(w) for w in works], [2**10] * len(works))
    for sums, (work, want) in zip(found, works.items(), strict=True):
        [column] = look.columns(planes, work)
        assert np.sort(column) == pytest.approx(np.sort(want.to_numpy(dtype=float)), rel=1e-6, abs=2e-5)
        assert (sums == tiny.rows(column, 2**10).sum(axis=0)).all()


def test_texts_and_truths(planes, look):
    [names, ok] = look.columns(planes, Sql("max(name)", where="hour < 1"), Sql("bool_or(hour > 22)"))
    assert names.dtype == object
    assert set(names) <= {"JFK", "LGA", None}
    assert set(ok) <= {0.0, 1.0}
    [missing] = look.columns(planes, Sql("case when avg(temp) > 60 then 'hot' end"))
    assert set(missing) == {"hot", None}


def test_nobody_matches(planes, look):
    tiny = look.Tiny()
    works = [Sql("avg(temp)", where="hour > 99"), Stack((Sql("avg(temp)", where="hour > 99"),) * 2)]
    for work in works:
        assert (planes.sums([look.block(work, tiny)], [4])[0] == 0).all()


def test_no_block_is_no_sum(planes):
    assert planes.sums([], []) == []


def test_blocks_and_steps_are_as_many(planes, look):
    with pytest.raises(ValueError, match="zip"):
        planes.sums([look.block(Sql("avg(temp)"))], [])


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (Sql("avg(tmp)"), "unknown column 'tmp', did you mean 'temp'"),
        (Sql("avg(plane)"), "client column"),
        (Sql("avg(name)"), "text where a number is needed"),
        (Sql("temp"), r'write avg\("temp"\)'),
        (Sql("name"), r'write max\("name"\)'),
        (Sql("avg(temp)", where="temp"), "true or false is needed"),
        (Sql("avg(temp)", where="name = 3"), r'CAST\("name" AS DOUBLE\)'),
        (Sql("avg(temp)", magnitude=0.0), "magnitude="),
        (Sql("avg(temp)", magnitude=np.inf), "magnitude="),
        (Sql("avg(temp) > 'x'"), "text"),
        (Stack(()), "Stack"),
        (Stack((Sql("avg(temp)"), Sql("max(name)"))), "beside"),
        (Apply((), Function(np.negative)), "Apply"),
        (Apply(("avg(temp)",), Function(np.negative)), "Apply"),
        ("avg(temp)", "a work is an Sql"),
        (None, "a work is an Sql"),
        (Apply((Sql("avg(temp)"),), Function(lambda x: x.max())), "raised"),
        (Apply((Sql("avg(temp)"),), Function(lambda _x: np.zeros(3))), "return as many rows"),
        (Apply((Sql("avg(temp)"),), Function(lambda x: x.reshape(-1, 1, 1))), "shape"),
    ],
)
def test_the_door(planes, work, message):
    with pytest.raises(BadArgument, match=message):
        planes.check(work)
    with pytest.raises(BadArgument, match=message):
        planes.check(work)  # an error is no less one the second time


def test_the_door_looks_at_no_data(planes, monkeypatch):
    monkeypatch.setattr(Engine, "evaluate", lambda *_: pytest.fail("data was looked at"))
    planes.check(Sql("avg(temp)", where="hour >= 8"))
    planes.check(Apply((Sql("avg(temp)"), Sql("max(name)")), Function(lambda x, _n: x)))


def test_columns_are_found_without_regard_to_case(look):
    fleet = Fleet.from_pandas(pd.DataFrame({"c": [1], "Temp": [2.0], "v0": [5], 'a"b': [7], "t": [9]}), client="c")
    found = look.columns(fleet, Sql("avg(TEMP)"), Sql('max("temp")'), Sql("max(V0)"), Sql('max("a""b")'), Sql("max(t)"))
    assert [column.tolist() for column in found] == [[2.0], [2.0], [5.0], [7.0], [9.0]]


@pytest.mark.parametrize("client", ["v0", "t", "nothing", "value", "count", 'a"b', "source", "step"])
def test_any_name_can_be_the_clients(look, client):
    fleet = Fleet.from_pandas(pd.DataFrame({client: [1, 1, 2], "x": [1.0, 2.0, 3.0]}), client=client)
    found = look.columns(fleet, Sql("sum(x)"), Sql("max(x)", where="x > 1"), Sql("stddev(x)"))
    assert sorted(found[0]) == [3.0, 3.0]
    assert sorted(found[1]) == [2.0, 3.0]


def test_the_receipt_says_what_runs(planes):
    said = planes.describe(Sql("avg(temp)", where="hour >= 8 -- late", magnitude=110.0))
    assert said["per_client"] == "avg(temp)"
    assert said["where"] == "hour >= 8 -- late"
    assert said["sql"].startswith("SELECT CASE WHEN count(*) BETWEEN 1 AND 8388608 THEN avg(")
    assert said["sql"].endswith('FROM t AS t WHERE ("hour" >= 8.0e0) GROUP BY t."plane"')
    assert "late" not in said["sql"]
    parts = planes.describe(Stack((Sql("avg(temp)"), Sql("count(*)"))))["parts"]
    assert [part["per_client"] for part in parts] == ["avg(temp)", "count(*)"]
    applied = planes.describe(Apply((Sql("avg(temp)"),), Function(np.negative)))
    assert applied["function"] == "Function"
    assert applied["inputs"] == [planes.describe(Sql("avg(temp)"))]


# ------------------------------------------------------------------ functions


def test_a_function_sees_aligned_columns(planes, look):
    function = Function(lambda t, n: np.stack([t, np.array([len(x) for x in n], dtype=float)], axis=1))
    work = Apply((Sql("avg(temp)"), Sql("max(name)")), function)
    planes.check(work)
    [found] = look.columns(planes, work)
    assert found.shape == (40, 2)
    temp, names = function.seen[-1]
    assert names.dtype == object
    assert not temp.flags.writeable


def _raise(*_columns):
    message = "the secret is 42"
    raise RuntimeError(message)


def _warn(column):
    warnings.warn("the secret is 42", stacklevel=1)
    return np.log(-column)


@pytest.mark.parametrize(
    "body",
    [
        _raise,
        lambda x: x[:-1],
        lambda x: np.zeros((len(x) + 1, 2)),
        lambda x: x.reshape(1, -1, 1),
        lambda _x: "text",
        lambda _x: None,
        lambda _x: 3.0,
        lambda x: np.array([f"{v} degrees" for v in x]),
        lambda x: x.__setitem__(0, 1.0),
        lambda x: [[1.0]] * (len(x) - 1) + [[1.0, 2.0]],
        lambda x: x / np.zeros_like(x) * np.nan,
        _warn,
    ],
)
def test_whatever_a_function_does_nobody_contributes_and_nothing_is_seen(planes, look, body, capfd, recwarn):
    work = Apply((Sql("avg(temp)"),), Function(body))
    [found] = planes.sums([look.block(work)], [16])
    assert found.tolist() == [0, 0]
    assert not recwarn.list
    assert "42" not in "".join(capfd.readouterr())


def test_an_encoder_that_cannot_take_a_functions_shape_sees_nothing_surface(planes, look):
    @dataclass(frozen=True)
    class Picky(look.Tiny):
        def sums(self, values, steps):
            raise ValueError(values)

    work = Apply((Sql("avg(temp)"),), Function(lambda x: x))
    assert planes.sums([look.block(work, Picky())], [16])[0].tolist() == [0, 0]
    with pytest.raises(ValueError, match=r"\[.*[0-9]"):  # of an expression the shape is public: that is a mistake
        planes.sums([look.block(Sql("avg(temp)"), Picky())], [16])


def test_a_functions_infinities_are_missing(planes, look):
    [found] = look.columns(planes, Apply((Sql("avg(temp)"),), Function(lambda x: x / 0.0)))
    assert np.isnan(found).all()


# ------------------------------------------------------------------ when all fails


def test_an_engine_that_fails_is_a_fleet_without_values(frame, look, monkeypatch):
    fleet = Fleet.from_pandas(frame, client="plane")
    works = [Sql("avg(temp)"), Stack((Sql("avg(temp)"), Sql("count(*)"))), Apply((Sql("avg(temp)"),), Function(_raise))]
    before = fleet.sums([look.block(w) for w in works], [4] * 3)
    assert before[0].any()
    with monkeypatch.context() as broken:
        broken.setattr(Engine, "evaluate", lambda *_: _raise())
        assert not np.any(fleet.sums([look.block(w) for w in works], [4] * 3))
    assert (fleet.sums([look.block(w) for w in works], [4] * 3)[0] == before[0]).all()


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(b"no table"), lambda path: path.touch()])
def test_a_file_that_is_not_what_it_was_is_refused_before_it_is_paid_for(frame, look, tmp_path, change):
    path = tmp_path / "gone.parquet"
    frame.to_parquet(path)
    fleet = Fleet.from_parquet(path, client="plane")
    fleet.check(Sql("avg(temp)"))
    os.utime(path, ns=(0, path.stat().st_mtime_ns))
    fleet.check(Sql("avg(temp)"))  # reading is no change
    change(path)
    with pytest.raises(DataChanged, match=r"gone\.parquet is gone or was changed"):
        fleet.check(Sql("avg(temp)"))
    with pytest.raises(DataChanged, match="make the fleet again"):
        fleet.sums([look.block(Sql("avg(temp)"))], [4])


def test_a_work_that_fails_takes_no_other_with_it(frame, look, monkeypatch):
    fleet = Fleet.from_pandas(frame, client="plane")
    evaluate = Engine.evaluate

    def failing(self, values):
        if any("median" in v.sql for v in values):
            raise MemoryError("the secret is 42")
        return evaluate(self, values)

    monkeypatch.setattr(Engine, "evaluate", failing)
    [median, mean] = fleet.sums([look.block(Sql("median(temp)")), look.block(Sql("avg(temp)"))], [16, 16])
    assert median.tolist() == [0, 0]
    assert mean[1] == 40


def test_a_round_from_several_threads(planes, look):
    want = planes.sums([look.block(Sql("avg(temp)"))], [2**10])[0].tolist()
    found = []

    def ask():
        found.extend(planes.sums([look.block(Sql("avg(temp)"))], [2**10])[0].tolist() == want for _ in range(10))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 40
