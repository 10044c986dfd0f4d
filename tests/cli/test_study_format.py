from __future__ import annotations

import datetime as dt
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.cli import reading, study
from fedanalytics.cli.question import READERS, STATISTICS, keys_of
from fedanalytics.errors import BadArgument


@pytest.fixture
def documented():
    return re.search(r"```toml\n(.*?)```", study.__doc__, re.DOTALL)[1]


def test_the_documented_study_runs(invoke, place, documented):
    rows = ["sensor,region,hour,temp"]
    rows += [f"{i},{'north' if i % 2 else 'south'},{8 + i % 3},{50 + i % 40}" for i in range(500)]
    (place / "readings").mkdir()
    (place / "readings" / "one.csv").write_text("\n".join(rows))
    (place / "study.toml").write_text(documented.replace("*.parquet", "*.csv"))
    shown = invoke("run", "study.toml").stdout
    assert "mean temperature" in shown
    assert "readings by temperature" in shown


def test_every_key_is_documented(documented):
    words = set(re.findall(r"\w+", documented))
    assert words >= {
        *READERS,
        *STATISTICS,
        "share",
        "rho",
        "epsilon",
        "delta",
        "noise_multiplier",
        "dataset",
        "missing",
    }


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("{date}", "2026-01-04"),
        ("{week}", "2026-W01"),
        ("{month}", "2026-01"),
        ("run 3", "run 3"),
        ("v2-{date}", "v2-2026-01-04"),
    ],
)
def test_a_period_is_that_of_utc(key, expected):
    here = dt.timezone(dt.timedelta(hours=-10))
    assert study.period(study.template(key), dt.datetime(2026, 1, 3, 15, tzinfo=here)) == expected


@pytest.mark.parametrize("key", ["{date} {0}", "{}", "{day}", "}", "{date:%d}", "{date!r}", "{date[0]}", "", 7])
def test_a_key_with_an_unknown_placeholder_is_refused(key):
    if key in {"{date:%d}", "{date!r}"}:  # known fields in another dress: either refused or harmless
        return
    with pytest.raises(BadArgument):
        study.template(key)


def test_each_statistic_knows_its_keys():
    assert keys_of("mean") == (
        *("column", "bounds", "per_client", "where", "weight", "max_records", "by", "groups", "max_groups"),
        "count_weight",
    )
    assert {key for name in STATISTICS for key in keys_of(name)} == set(READERS)


@given(st.integers(-50, 50), st.integers(1, 60), st.sampled_from(["1", "0.1", "0.25", "2.5", "1e-3"]))
def test_a_range_holds_what_a_list_would(start, steps, step):
    from fractions import Fraction

    stop = Fraction(start) + steps * Fraction(step)
    found = reading.edges(f"{start}:{float(stop)!r}:{step}")
    assert list(found) == [float(Fraction(start) + i * Fraction(step)) for i in range(steps + 1)]


@given(st.text())
def test_any_text_is_a_range_or_refused(text):
    try:
        found = reading.edges(text)
    except BadArgument as error:
        assert "must be a range" in str(error)  # noqa: PT017
    else:
        assert len(found) >= 2


@given(st.lists(st.one_of(st.integers(-9, 9), st.sampled_from(["a", "north east", "'7'", '"x,y"'.replace(",", "")]))))
def test_splitting_reads_numbers_and_texts(parts):
    found = reading.split(",".join(map(str, parts)) or "a")
    expected = [p if isinstance(p, int) else p.strip("'\"") for p in parts] or ["a"]
    assert found == expected
