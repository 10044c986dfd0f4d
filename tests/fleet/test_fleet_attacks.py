"""Every attack is refused, with a message of our own, or is harmless and on the list."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.fleet import Fleet
from fedanalytics.round.work import Sql

_ESCAPES = {"\\n": "\n", "\\x00": "\x00", "\\u2028": "\u2028", "\\u200b": "\u200b", "\\ud800": "\ud800", "\\x20": " "}


def _rows() -> list[list[str]]:
    with (Path(__file__).parent / "attacks.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    for escape, character in _ESCAPES.items():
        rows = [[*row[:2], row[2].replace(escape, character)] for row in rows]
    return rows


FRAME = pd.DataFrame(
    {
        "client": [1, 1, 2],
        "temp": [60.0, float("nan"), 80.0],
        "hour": [7, 8, 9],
        "name": ["w", "it's", None],
        "day": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"]),
        "ok": [True, False, True],
        "blob": [b"a", b"b", b"c"],
    }
)


@pytest.fixture(scope="module")
def fleet():
    return Fleet.from_pandas(FRAME, client="client")


def _work(argument: str, text: str) -> Sql:
    return Sql(text) if argument == "per_client" else Sql("count(*)", where=text)


@pytest.mark.parametrize(("argument", "expected", "text"), _rows(), ids=lambda value: ascii(value)[:40])
def test_an_attack_is_refused_or_harmless(fleet, look, argument, expected, text):
    work = _work(argument, text)
    if expected == "refused":
        with pytest.raises(BadArgument) as caught:
            fleet.check(work)
        assert str(caught.value).startswith((f"{argument}=", f"{argument}= "))
        assert not re.search(r"Error:|LINE 1|Candidate|sqlglot", str(caught.value))
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    else:
        fleet.check(work)
        assert look.columns(fleet, work)[0] is not None


def test_the_table_is_large_and_holds_both():
    assert len(_rows()) >= 83 + 60
    assert {expected for _argument, expected, _text in _rows()} == {"refused", "allowed"}


@pytest.mark.parametrize(
    "text",
    [
        "avg(temp)" + " + 1" * 200,
        "(" * 900 + "avg(temp)" + ")" * 900,
        "not " * 450 + "true",
        "case when " * 120 + "ok" + " then true end" * 50,
        "- " * 900 + "avg(temp)",
        "abs(" * 300 + "avg(temp)" + ")" * 300,
        "avg(temp)" + "::double" * 200,
        "avg(temp) + " + "9" * 500,
        "a." * 900 + "a(",
        "avg(temp) /*" + "*" * 1990,
        "[" * 1900,
        "avg(temp) + 1 " + " " * 2000,
        "max(name) = '" + "x" * 2000 + "'",
    ],
    ids=lambda t: f"{t[:12]}...{len(t)}",
)
def test_what_is_deep_or_long_is_refused_before_it_hurts(fleet, text):
    with pytest.raises(BadArgument, match=r"deep|characters|too large"):
        fleet.check(Sql(text))


@pytest.mark.parametrize("text", [None, 3, b"avg(temp)", "", " \n", ["avg(temp)"]])
def test_only_a_text_is_an_expression(fleet, text):
    with pytest.raises(BadArgument, match="per_client="):
        fleet.check(Sql(text) if not isinstance(text, list) else Sql(tuple(text)))


_WORDS = [
    *("avg", "sum", "max", "count", "temp", "hour", "name", "day", "ok", "client", "t", "nothing", "(", ")", "(", ")"),
    *(
        "*",
        ",",
        ";",
        "'",
        '"',
        "''",
        "--",
        "/*",
        "*/",
        "\n",
        " ",
        "1",
        "1e9",
        "'x'",
        "select",
        "from",
        "where",
        "filter",
    ),
    *("over", "case", "when", "then", "end", "in", "is", "null", "::", "int", "[", "]", "{", "}", ":", "->", "=", "<"),
    *(
        "+",
        "-",
        "/",
        "%",
        ".",
        "and",
        "or",
        "not",
        "like",
        "distinct",
        "group by",
        "union",
        "random()",
        "read_csv('x')",
    ),
]


@settings(max_examples=300, deadline=None)
@given(words=st.lists(st.sampled_from(_WORDS), max_size=14), argument=st.sampled_from(["per_client", "where"]))
def test_noise_raises_bad_argument_or_runs(words, argument):
    fleet = _noise_fleet()
    work = _work(argument, " ".join(words))
    try:
        fleet.check(work)
    except BadArgument:
        return
    printed = fleet.describe(work)["sql"]
    assert printed.count(";") == sum(";" in w for w in re.findall(r"'(?:[^']|'')*'", printed))
    assert printed.count("SELECT") == 1


_NOISE: list[Fleet] = []


def _noise_fleet() -> Fleet:
    if not _NOISE:
        _NOISE.append(Fleet.from_pandas(FRAME, client="client"))
    return _NOISE[0]
