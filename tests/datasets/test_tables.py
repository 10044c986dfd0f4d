"""One table with a client column: frames, CSV, Parquet, folders; keys that stay what they are."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedanalytics.datasets import from_table
from fedanalytics.errors import BadArgument

ROWS = {"ward": ["07", "7", "12", "07"], "age": [40, 51, 62, 35], "dose": [0.5, 1.5, 2.5, 3.5], "ill": [0, 1, 1, 0]}


def read(table, **changed):
    return from_table(table, **({"client": "ward", "features": ["dose", "age"], "label": "ill"} | changed))


def contents(source):
    return {c: (x.tolist(), y.tolist()) for c, (x, y) in zip(source.client_ids, source.pairs(), strict=True)}


EXPECTED = {
    "07": ([[0.5, 40.0], [3.5, 35.0]], [0, 0]),
    "12": ([[2.5, 62.0]], [1]),
    "7": ([[1.5, 51.0]], [1]),
}


def frame():
    return pd.DataFrame(ROWS)


@pytest.fixture(params=["frame", "csv", "semicolons", "gzip", "parquet", "PARQUET", "hive parquet", "hive csv"])
def table(request, tmp_path):
    """The same table in each form that is read."""
    if request.param == "frame":
        return frame()
    if request.param == "semicolons":
        frame().to_csv(tmp_path / "t.csv", index=False, sep=";")
        return tmp_path / "t.csv"
    if request.param == "csv":
        frame().to_csv(tmp_path / "t.csv", index=False)
        return str(tmp_path / "t.csv")
    if request.param == "gzip":
        with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
            frame().to_csv(file, index=False)
        return tmp_path / "t.csv.gz"
    if request.param.lower() == "parquet":
        frame().to_parquet(tmp_path / f"t.{request.param}")
        return tmp_path / f"t.{request.param}"
    for ward, rows in frame().groupby("ward"):
        folder = tmp_path / f"ward={ward}"
        folder.mkdir()
        rest = rows.drop(columns="ward")
        if "csv" in request.param:
            rest.to_csv(folder / "part-0.csv", index=False)
        else:
            rest.to_parquet(folder / "part-0.parquet")
    return tmp_path


def test_rows_by_client_whatever_the_form(table):
    source = read(table)
    assert contents(source) == EXPECTED
    assert all((x.dtype, y.dtype) == (np.float32, np.int64) for x, y in source.pairs())


def test_the_frame_is_not_changed():
    before = frame()
    read(given_frame := frame())
    pd.testing.assert_frame_equal(given_frame, before)


def test_names_that_need_quotes():
    odd = frame().rename(columns={"ward": 'the "ward"', "dose": "select", "ill": "a'b; --"})
    assert contents(read(odd, client='the "ward"', features=["select", "age"], label="a'b; --")) == EXPECTED


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(-5, 5), st.floats(width=32), st.integers(0, 3)), min_size=1, max_size=40))
def test_every_row_is_someones_in_its_order(rows):
    table = pd.DataFrame(rows, columns=["c", "x", "y"])
    source = from_table(table, client="c", features=["x"], label="y")
    assert list(source.client_ids) == sorted({str(c) for c, _, _ in rows})
    for client_id in source.client_ids:
        x, y = source.dataset(client_id)
        np.testing.assert_array_equal(x[:, 0], np.array([v for c, v, _ in rows if str(c) == client_id], np.float32))
        assert y.tolist() == [v for c, _, v in rows if str(c) == client_id]


@pytest.mark.parametrize(
    "column",
    [
        [7, 7, 12, 7],
        pd.array([7, 7, 12, 7], dtype="Int64"),
        pd.Categorical(["7", "7", "12", "7"]),
        np.array([7, 7, 12, 7], np.uint8),
    ],
)
def test_ids_become_texts(column):
    assert read(frame().assign(ward=column)).client_ids == ("12", "7")


@pytest.mark.parametrize("odd", ["2020-1-1", "TRUE", "1.50", "1e3"])
def test_ids_in_files_stay_as_they_are_written(tmp_path, odd):
    (tmp_path / "t.csv").write_text(f"ward,dose,age,ill\n{odd},1,40,0\n")
    assert read(tmp_path / "t.csv").client_ids == (odd,)
    (tmp_path / "hive" / f"ward={odd}").mkdir(parents=True)
    frame().drop(columns="ward").to_parquet(tmp_path / "hive" / f"ward={odd}" / "part-0.parquet")
    assert read(tmp_path / "hive").client_ids == (odd,)


def test_labels_may_be_targets_or_yes_and_no():
    assert read(frame(), label="dose").dataset("12")[1].tolist() == [2.5]
    _, labels = read(frame().assign(ill=[True, False, True, False])).dataset("12")
    assert (labels.tolist(), labels.dtype) == ([1], np.int64)


@pytest.mark.parametrize("missing", [[0.5, None, 2.5, 3.5], pd.array([0.5, None, 2.5, 3.5], dtype="Float64")])
def test_a_missing_feature_is_not_a_number(missing, tmp_path):
    table = frame().assign(dose=missing)
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    for form in (table, tmp_path / "t.csv", tmp_path / "t.parquet"):
        features, _ = read(form).dataset("7")
        np.testing.assert_array_equal(features, [[np.nan, 51.0]])


def test_a_number_beyond_float32_is_infinite():
    assert np.isinf(read(frame().assign(dose=1e300)).dataset("7")[0][0, 0])


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"client": "wrad"}, r"client='wrad' is not a column, did you mean 'ward'\?; columns: ward, age, dose, ill"),
        ({"label": "sick"}, r"label='sick' is not a column"),
        ({"features": ["dose", "agee"]}, r"features='agee' is not a column, did you mean 'age'"),
        ({"features": []}, r"features= must be a list of columns"),
        ({"features": "dose"}, r"features= must be a list of columns, such as \['age'\], got 'dose'"),
        ({"features": [3]}, r"features= must be a list of columns"),
        ({"client": None}, r"client= must be a string"),
        ({"label": ""}, r"label= must be a string"),
        ({"client": "dose"}, r"client='dose' holds fractions \(DOUBLE\)"),
        ({"features": ["ward"]}, r"features: 'ward' has type VARCHAR; features of a table are numbers"),
        ({"label": "ward"}, r"label='ward' has type VARCHAR; number the classes from 0"),
    ],
)
def test_columns_that_are_refused(changed, message):
    with pytest.raises(BadArgument, match=message):
        read(frame(), **changed)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("ward", ["07", None, "12", None], r"client='ward' is missing in 2 of the rows; drop or fill them"),
        ("ward", [7, None, 12, 7], r"client='ward' holds fractions \(DOUBLE\): integers with a missing one"),
        ("ward", pd.array([7, None, 12, 7], dtype="Int64"), r"client='ward' is missing in 1 of the rows"),
        ("ward", ["07", "", "12", "7"], r"client ids must be texts that are not empty"),
        ("ill", [0, None, 1, 1], r"label='ill' is missing in 1 of the rows"),
        ("ill", [0.5, np.nan, 1, 1], r"label='ill' is missing in 1 of the rows"),
        ("ill", [0, 1, -1, 1], r"client '12': label -1 is below 0"),
        ("dose", [[1], [2], [3], [4]], r"features: 'dose' has type INTEGER\[\]|BIGINT\[\]"),
        ("dose", pd.to_datetime(["2020-01-01"] * 4), r"features: 'dose' has type TIMESTAMP"),
    ],
)
def test_values_that_are_refused(column, values, message):
    with pytest.raises(BadArgument, match=message):
        read(frame().assign(**{column: values}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ward,dose,age,ill\n07,much,40,0\n", r"table= cannot be read: .*Line: 2"),
        ("ward,dose,age,ill\n,0.5,40,0\n", r"client='ward' is missing in 1 of the rows"),
        ("ward,dose,age,ill\n07,0.5,40,\n12,0.5,40,1\n", r"label='ill' is missing in 1 of the rows"),
        ("ward,dose,age,ill\n07,0.5,40,yes\n12,0.5,40,7\n", r"label='ill' has type VARCHAR"),
        ("ward,dose,age,ill\n", r"table= has no rows"),
        ("", r"table= has no rows"),
        ("a,b\n1,2\n", r"client='ward' is not a column; columns: a, b"),
    ],
)
def test_csv_files_that_are_refused(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(BadArgument, match=message) as caught:
        read(tmp_path / "t.csv")
    assert "much" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"ward,dose,age,ill\n\xff,0.5,40,0\n")
    with pytest.raises(BadArgument, match=r"table= cannot be read"):
        read(tmp_path / "t.csv")


def test_paths_that_are_no_table(tmp_path):
    with pytest.raises(BadArgument, match=r"table='.*nowhere\.csv' is no file or folder"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(BadArgument, match=r"a table is a file .csv, .csv.gz or .parquet, and the folder has none"):
        read(tmp_path)
    (tmp_path / "t.xlsx").write_text("no")
    with pytest.raises(BadArgument, match=r"and this is another"):
        read(tmp_path / "t.xlsx")
    (tmp_path / "t.parquet").write_text("no")
    with pytest.raises(BadArgument, match=r"table= cannot be read"):
        read(tmp_path / "t.parquet")
    (tmp_path / "*.csv").write_text("ward,dose,age,ill\n07,1,40,0\n")
    with pytest.raises(BadArgument, match=r"would be read as a pattern"):
        read(tmp_path / "*.csv")
    with pytest.raises(BadArgument, match=r"table= must be a pandas data frame or a path, got list"):
        read([1])
    with pytest.raises(BadArgument, match=r"table= has no rows"):
        read(frame().iloc[:0])
