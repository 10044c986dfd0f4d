"""The operator's door: the same rows are the same fleet from a frame, from CSV and from Parquet, or a clear error."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedanalytics.errors import BadArgument
from fedanalytics.fleet import Fleet
from fedanalytics.fleet.engine import connect
from fedanalytics.round.work import Sql

WORKS = (
    Sql("avg(temp)", magnitude=110.0),
    Sql("sum(temp)", where="hour >= 8"),
    Sql("count(*)", where="temp > 5"),
    Sql("count(*)", where="not temp <= 5"),
    Sql("stddev(temp)"),
    Sql("length(max(name))"),
    Sql("max(hour(at)) + min(month(day))"),
    Sql("avg(case when ok then 1 else 0 end)"),
)


def _frame(rows: int = 5_000) -> pd.DataFrame:
    draw = np.random.default_rng(11)
    made = pd.DataFrame(
        {
            "plane": draw.integers(0, 300, rows),
            "temp": np.round(draw.uniform(1, 4, rows), 6),
            "hour": draw.integers(0, 24, rows),
            "name": draw.choice(["ann", "b, c", 'say "x"', "é\n"], rows),
            "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 10**6, rows), unit="min"),
            "ok": draw.random(rows) < 0.5,
        }
    )
    made["day"] = made["at"].dt.date
    made.loc[::7, "temp"] = np.nan
    made.loc[3::700, "temp"] = np.inf
    return made


def _sums(fleet: Fleet, look, works=WORKS) -> list[list[int]]:
    return [s.tolist() for s in fleet.sums([look.block(w) for w in works], [2**16] * len(works))]


def test_csv_parquet_and_pandas_agree(tmp_path, look):
    frame = _frame()
    want = _sums(Fleet.from_pandas(frame, client="plane"), look)
    assert [sums[1] > 0 for sums in want] == [True, True, False, False, True, True, True, True]
    frame.to_csv(tmp_path / "all.csv", index=False)
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "all.parquet", row_group_size=500)
    for i in range(3):
        frame[i::3].to_csv(tmp_path / f"part-{i}.csv", index=False)
        pq.write_table(pa.Table.from_pandas(frame[i::3]), tmp_path / f"part-{i}.parquet")
    csvs, parquets = Fleet.from_csv, Fleet.from_parquet
    assert _sums(csvs(tmp_path / "all.csv", client="plane"), look) == want
    assert _sums(csvs(f"{tmp_path}/part-*.csv", client="plane"), look) == want
    assert _sums(csvs([tmp_path / f"part-{i}.csv" for i in range(3)], client="plane"), look) == want
    assert _sums(parquets(str(tmp_path / "all.parquet"), client="plane"), look) == want
    assert _sums(parquets(f"{tmp_path}/**/part-[0-2].parquet", client="plane"), look) == want
    assert _sums(parquets((f"{tmp_path}/part-0.*t", f"{tmp_path}/part-?.parquet"), client="plane"), look) == want


def test_types_agree(tmp_path):
    frame = _frame(500)
    want = Fleet.from_pandas(frame, client="plane").columns
    frame.to_csv(tmp_path / "all.csv", index=False)
    frame.to_parquet(tmp_path / "all.parquet")
    doubles, others = ("temp", "hour"), {"name": "VARCHAR", "at": "TIMESTAMP", "ok": "BOOLEAN", "day": "DATE"}
    assert want == dict.fromkeys(doubles, "DOUBLE") | others
    assert Fleet.from_csv(tmp_path / "all.csv", client="plane").columns == want
    assert Fleet.from_parquet(tmp_path / "all.parquet", client="plane").columns == want


@pytest.mark.parametrize("statistics", [True, False])
def test_nan_in_parquet_does_not_listen_to_the_statistics_of_others(tmp_path, look, statistics):
    """The first client has a NaN; the others put the row groups' largest value above 5, or leave it below."""
    values = np.random.default_rng(3).uniform(1, 4, 40_000)
    values[::9] = np.nan
    clients = np.arange(40_000) % 50
    fleets = []
    for largest in (4.0, 1e6):
        mine = values.copy()
        mine[clients == 49] = largest
        table = pa.table({"c": clients, "who": clients.astype(float), "temp": mine, "low": mine.astype(np.float32)})
        path = tmp_path / f"{largest}.parquet"
        pq.write_table(table, path, row_group_size=2_000, write_statistics=statistics)
        fleets.append(Fleet.from_parquet(path, client="c"))
    works = [Sql(f"{a}({x})", magnitude=m) for a in ("avg", "sum") for x in ("temp", "low") for m in (None, 110.0)]
    works += [Sql("count(*)", where=w) for w in ("temp > 5", "not temp <= 5", "low > 5", "temp = temp", "temp <> 1")]
    works += [Sql("max(temp)"), Sql("count(temp)"), Sql("count(distinct low)"), Sql("variance(temp)")]
    one, other = (look.per_client(f, "who", *works) for f in fleets)
    assert {c: v for c, v in one.items() if c != 49} == {c: v for c, v in other.items() if c != 49}
    [mean] = look.columns(fleets[0], Sql("avg(temp)", magnitude=110.0))
    assert np.isfinite(mean).all()


# ------------------------------------------------------------------ client ids


def test_leading_zeros_are_other_clients(tmp_path, look):
    (tmp_path / "a.csv").write_text("id,x\n7,1\n007,2\n07,4\n007,8\n", encoding="utf-8")
    [found] = look.columns(Fleet.from_csv(tmp_path / "a.csv", client="id"), Sql("sum(x)"))
    assert sorted(found) == [1, 4, 10]
    for name in ("007", "7"):
        (tmp_path / f"id={name}").mkdir()
        pd.DataFrame({"x": [1.0, 2.0]}).to_parquet(tmp_path / f"id={name}" / "part.parquet")
    hive = Fleet.from_parquet(f"{tmp_path}/id=*/*.parquet", client="id")
    assert sorted(look.columns(hive, Sql("sum(x)"))[0]) == [3, 3]


def test_a_late_leading_zero_is_another_client(tmp_path, look):
    """The reader guesses from the first rows that ids are integers; all of them are looked at."""
    with (tmp_path / "a.csv").open("w", encoding="utf-8") as file:
        file.write("id,x\n" + "".join(f"{i % 10},1\n" for i in range(60_000)) + "007,5\n")
    fleet = Fleet.from_csv(tmp_path / "a.csv", client="id")
    [found] = look.columns(fleet, Sql("sum(x)"))
    assert sorted(found) == [5.0] + [6_000.0] * 10


@pytest.mark.parametrize(
    ("ids", "clients"),
    [
        (pd.Series(["a", "b", "a"], dtype="category"), 2),
        (pd.Series(["a", "b", "a"], dtype=object), 2),
        (pd.Series([1, 2, 1], dtype="Int64"), 2),
        (pd.Series([2**63, 2**63 + 1, 2**63], dtype=np.uint64), 2),
        (pd.Series([2**53, 2**53 + 1, 2**53]), 2),
        (pd.Series([2**100, 1, 2**100], dtype=object), 2),
        (pd.Series([True, False, True]), 2),
        (pd.to_datetime(pd.Series(["2024-01-01", "2024-01-02", "2024-01-01"])).dt.date, 2),
    ],
    ids=lambda v: str(getattr(v, "dtype", v)),
)
def test_keys_of_many_types(look, ids, clients):
    [found] = look.columns(Fleet.from_pandas(pd.DataFrame({"id": ids, "x": 1.0}), client="id"), Sql("sum(x)"))
    assert len(found) == clients
    assert found.sum() == 3


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, None, 2], "fractions .DOUBLE."),
        ([1.0, 2.0, 2.0], "fractions"),
        (np.array([1, 2, 2], dtype=np.float32), "fractions .FLOAT."),
        (pd.Series([Decimal("1.5"), Decimal("2.5"), None], dtype=object), "fractions .DECIMAL"),
        (pd.Series([1, None, 2], dtype="Int64"), "1 rows have no client"),
        (["a", None, None], "2 rows have no client"),
        (pd.Series([[1], [2], [3]]), "type INTEGER"),
        (pd.Series([b"a", b"b", b"c"]), "type BLOB"),
        (pd.Series([{"a": 1}] * 3), "type STRUCT"),
        (pd.to_datetime(pd.Series(["2024-01-01"] * 3)), "type TIMESTAMP"),
    ],
)
def test_what_is_no_key(ids, message):
    with pytest.raises(BadArgument, match=message):
        Fleet.from_pandas(pd.DataFrame({"id": ids, "x": 1.0}), client="id")


def test_fractions_and_gaps_in_the_ids_of_a_csv(tmp_path):
    for text, message in {"1.0\n2.0": "fractions", "1\n\n2": "1 rows have no client", '1\n""': "no client"}.items():
        rows = "".join(f"{line},1\n" for line in text.splitlines())
        (tmp_path / "a.csv").write_text("id,x\n" + rows, encoding="utf-8")
        with pytest.raises(BadArgument, match=message):
            Fleet.from_csv(tmp_path / "a.csv", client="id")


def test_the_client_column_must_exist():
    frame = pd.DataFrame({"tailnum": [1], "temp": [1.0]})
    with pytest.raises(
        BadArgument, match=r"client='tailnumber' is not a column, did you mean 'tailnum'\?; columns: tail"
    ):
        Fleet.from_pandas(frame, client="tailnumber")


def test_a_table_has_rows(tmp_path):
    empty = pd.DataFrame({"c": pd.Series([], dtype=int), "x": pd.Series([], dtype=float)})
    empty.to_parquet(tmp_path / "a.parquet")
    empty.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(BadArgument, match="no rows"):
        Fleet.from_pandas(empty, client="c")
    with pytest.raises(BadArgument, match="no rows"):
        Fleet.from_parquet(tmp_path / "a.parquet", client="c")
    with pytest.raises(BadArgument, match="no rows"):
        Fleet.from_csv(tmp_path / "a.csv", client="c")


# ------------------------------------------------------------------ data frames


def test_kinds_of_columns(look):
    frame = pd.DataFrame(
        {
            "c": [1, 2],
            "int": pd.Series([1, None], dtype="Int64"),
            "low": np.array([1.5, np.nan], dtype=np.float32),
            "price": pd.Series([Decimal("1.25"), None], dtype=object),
            "kind": pd.Series(["a", None], dtype="category"),
            "zone": pd.to_datetime(pd.Series(["2024-01-01 00:30+02:00", None]), utc=True),
            "list": pd.Series([[1], [2]]),
            "gap": pd.to_timedelta(pd.Series([1, 2]), unit="s"),
            "arrow": pd.Series(["x", None], dtype="string[pyarrow]"),
            "mixed": pd.Series([1, "x"], dtype=object),
            7: [1.0, 2.0],
        }
    )
    fleet = Fleet.from_pandas(frame, client="c")
    others = {"zone": "TIMESTAMP", "list": "INTEGER[]", "gap": "INTERVAL"}
    others |= dict.fromkeys(("kind", "arrow", "mixed"), "VARCHAR")
    assert fleet.columns == dict.fromkeys(("int", "low", "price", "7"), "DOUBLE") | others
    found = look.columns(fleet, Sql("sum(int)"), Sql("hour(max(zone)) + day(max(zone))"), Sql('sum("7")'))
    assert [sorted(map(str, column)) for column in found] == [["1.0", "nan"], ["53.0", "nan"], ["1.0", "2.0"]]
    for name in ("list", "gap"):
        with pytest.raises(BadArgument, match=f"column '{name}' has type .* which expressions cannot use"):
            fleet.check(Sql(f"max({name})"))


def test_a_late_text_in_an_object_column_is_found_at_the_door(look):
    values = pd.Series([*range(5_000), "late"], dtype=object)
    fleet = Fleet.from_pandas(pd.DataFrame({"c": 1, "x": values}), client="c")
    assert fleet.columns == {"x": "VARCHAR"}
    assert look.columns(fleet, Sql("count(cast(x as double))"))[0] == [5_000]


def test_the_first_cell_of_a_csv_does_not_decide(tmp_path):
    """The engine's own guess takes a leading `inf` for a text; and a code with zeros, late, for a number."""
    rows = "".join(f"1,{'inf' if i == 0 else i},{i:05d},{i if i < 50_000 else '007'}\n" for i in range(60_000))
    (tmp_path / "a.csv").write_text("c,x,code,late\n" + rows, encoding="utf-8")
    columns = Fleet.from_csv(tmp_path / "a.csv", client="c").columns
    assert columns == {"x": "DOUBLE", "code": "VARCHAR", "late": "VARCHAR"}


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.Series([1j, 2j]), "from_pandas: bad holds what SQL has no type for"),
        (pd.Series(pd.period_range("2024", periods=2, freq="D")), "from_pandas: bad"),
        (pd.Series(["\ud800", "b"], dtype=object), "from_pandas"),
    ],
)
def test_columns_that_cannot_be_read(column, message):
    with pytest.raises(BadArgument, match=message) as caught:
        Fleet.from_pandas(pd.DataFrame({"c": [1, 2], "fine": [1, 2], "bad": column}), client="c")
    assert "Error" not in str(caught.value)


def test_what_the_caller_does_to_the_frame_later_does_not_matter(look):
    frame = pd.DataFrame({"c": [1, 2], "x": [1.0, 2.0]})
    fleet = Fleet.from_pandas(frame, client="c")
    frame["x"] = "text"
    del frame["c"]
    assert sorted(look.columns(fleet, Sql("sum(x)"))[0]) == [1.0, 2.0]


# ------------------------------------------------------------------ files


def test_a_csv_column_is_what_all_its_cells_are(tmp_path, look):
    rows = [f"{i % 5},{i},{i}.5,2024-01-01,true" for i in range(60_000)]
    rows.append("3,n/a,,someday,maybe")
    (tmp_path / "a.csv").write_text("c,x,y,day,ok\n" + "\n".join(rows) + "\n", encoding="utf-8")
    fleet = Fleet.from_csv(tmp_path / "a.csv", client="c")
    assert fleet.columns == {"x": "VARCHAR", "y": "DOUBLE", "day": "VARCHAR", "ok": "VARCHAR"}
    with pytest.raises(BadArgument, match="text where a number is needed"):
        fleet.check(Sql("avg(x)"))
    [counted] = look.columns(fleet, Sql("count(cast(x as double))"))
    assert counted.tolist() == [12_000.0] * 5
    named = Fleet.from_csv(tmp_path / "a.csv", client="c", missing=("", "n/a", "someday", "maybe"))
    assert named.columns == {"x": "DOUBLE", "y": "DOUBLE", "day": "DATE", "ok": "BOOLEAN"}


@pytest.mark.parametrize("missing", ["NA", [None], (1,)])
def test_missing_is_a_sequence_of_strings(tmp_path, missing):
    (tmp_path / "a.csv").write_text("c,x\n1,2\n", encoding="utf-8")
    with pytest.raises(BadArgument, match="missing="):
        Fleet.from_csv(tmp_path / "a.csv", client="c", missing=missing)


def test_numbers_of_a_csv_that_are_not_finite(tmp_path, look):
    (tmp_path / "a.csv").write_text("c,x\n1,nan\n2,inf\n3,-1e400\n4,1\n5,-0.0\n", encoding="utf-8")
    fleet = Fleet.from_csv(tmp_path / "a.csv", client="c")
    assert fleet.columns == {"x": "DOUBLE"}
    [sums, counts] = look.columns(fleet, Sql("sum(x)"), Sql("count(x)"))
    assert sorted(map(str, sums)) == ["0.0", "1.0", "nan", "nan", "nan"]
    assert counts.sum() == 2


def test_timestamps_of_a_csv_are_in_utc(tmp_path, look):
    (tmp_path / "a.csv").write_text("c,at\n1,2024-01-01T10:00:00Z\n2,2024-01-01T10:00:00+02:00\n", encoding="utf-8")
    fleet = Fleet.from_csv(tmp_path / "a.csv", client="c")
    assert fleet.columns == {"at": "TIMESTAMP"}
    assert sorted(look.columns(fleet, Sql("max(hour(at))"))[0]) == [8.0, 10.0]


def test_columns_in_another_order_or_missing(tmp_path, look):
    (tmp_path / "a.csv").write_text("c,x,y\n1,2,3\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("y,c\n5,2\n", encoding="utf-8")
    found = look.columns(Fleet.from_csv(tmp_path / "*.csv", client="c"), Sql("sum(x)"), Sql("sum(y)"))
    assert sorted(map(str, found[0])) == ["2.0", "nan"]
    assert sorted(found[1]) == [3.0, 5.0]
    pd.DataFrame({"c": [1], "x": [2]}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"x": [2.5], "c": [2]}).to_parquet(tmp_path / "b.parquet")
    [sums] = look.columns(Fleet.from_parquet(tmp_path / "*.parquet", client="c"), Sql("sum(x)"))
    assert sorted(sums) == [2.0, 2.5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"c,x,name\n" + b"1,2,a\n" * 60_000 + b"5,7,\xff\xfe\n", "line 60002 is not UTF-8"),
        (b"c,x,name\n" + b"1,2,a\n" * 60_000 + b"5,7\n", "line 60002 .* number of cells"),
        (b"c,x,name\n1,2,\xff\n", "not UTF-8"),
        (b"", "is not a column"),
    ],
    ids=["late bytes", "late shape", "bytes", "empty"],
)
def test_a_csv_that_does_not_hold_together(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(BadArgument, match=message) as caught:
        Fleet.from_csv(tmp_path / "a.csv", client="c")
    assert "Error" not in str(caught.value)


def test_a_parquet_file_with_bytes_for_text_is_found_at_the_door(tmp_path):
    bad = pa.array([b"fine"] * 2_000 + [b"\xff\xfe"], type=pa.binary()).view(pa.string())
    pq.write_table(pa.table({"c": pa.array(range(2_001)), "name": bad}), tmp_path / "a.parquet")
    with pytest.raises(BadArgument, match="not UTF-8"):
        Fleet.from_parquet(tmp_path / "a.parquet", client="c")


def test_what_is_no_parquet(tmp_path):
    (tmp_path / "a.parquet").write_text("c,x\n1,2\n", encoding="utf-8")
    with pytest.raises(BadArgument, match="a file is not Parquet"):
        Fleet.from_parquet(tmp_path / "a.parquet", client="c")


def test_paths(tmp_path, monkeypatch, look):
    (tmp_path / "sub").mkdir()
    for name in ("a.csv", "it's.csv", "sub/b.csv"):
        (tmp_path / name).write_text("c,x\n1,2\n", encoding="utf-8")
    with pytest.raises(BadArgument, match=r"no file matches '.*none\*\.csv'"):
        Fleet.from_csv(f"{tmp_path}/none*.csv", client="c")
    with pytest.raises(BadArgument, match=r"it is a folder: write .*/sub/\*"):
        Fleet.from_csv(f"{tmp_path}/sub", client="c")
    for nothing in ([], 3, [3], b"a.csv"):
        with pytest.raises((BadArgument, TypeError)):
            Fleet.from_csv(nothing, client="c")
    (tmp_path / "x[1].csv").write_text("c,x\n1,2\n", encoding="utf-8")
    with pytest.raises(BadArgument, match="rename it"):
        Fleet.from_csv(tmp_path / "x[1].csv", client="c")
    monkeypatch.chdir(tmp_path)
    fleet = Fleet.from_csv(["a.csv", "a.csv", "*'s.csv", "**/b.csv"], client="c")
    assert fleet.dataset == "a.csv, a.csv, *'s.csv, **/b.csv"
    monkeypatch.chdir(tmp_path / "sub")
    assert look.columns(fleet, Sql("sum(x)"))[0].tolist() == [6.0]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Fleet.from_csv(Path("~/a.csv"), client="c", dataset="mine").dataset == "mine"


# ------------------------------------------------------------------ the seal


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{other}')",
        "SELECT * FROM '{other}'",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_text('{other}')",
        "ATTACH '{folder}/new.db' AS x",
        "COPY (SELECT 1) TO '{folder}/leak.csv'",
        "COPY (SELECT 1) TO '{file}'",
        "SELECT * FROM secret_frame",
        "SET enable_external_access = true",
        "SET threads = 1",
        "SET allowed_paths = ['{other}']",
        "INSTALL httpfs",
        "LOAD '{other}'",
    ],
)
def test_the_engine_reaches_nothing_else(tmp_path, statement):
    secret_frame = pd.DataFrame({"secret": [42]})
    assert len(secret_frame) == 1
    file, other = tmp_path / "a.csv", tmp_path / "other.csv"
    for path in (file, other):
        path.write_text("c,x\n1,2\n", encoding="utf-8")
    engine = Fleet.from_csv(file, client="c")._engine
    with pytest.raises(duckdb.Error):
        engine._connection.execute(statement.format(file=file, other=other, folder=tmp_path)).fetchall()
    assert file.read_text(encoding="utf-8") == "c,x\n1,2\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "other.csv"]


def test_the_spill_folder_is_private_and_removed():
    connection = connect()
    [(folder,)] = connection.execute("SELECT current_setting('temp_directory')").fetchall()
    assert Path(folder).stat().st_mode & 0o077 == 0
    connection.close()
    del connection
    assert not Path(folder).exists()
