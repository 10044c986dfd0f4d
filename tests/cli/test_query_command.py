from __future__ import annotations

import json

import pytest

DATA = ("--data", "readings.csv", "--client", "sensor")


@pytest.fixture
def place(place, readings):
    """Without NA cells, which only a study can declare."""
    (place / "readings.csv").write_text(readings.replace("NA", ""))
    return place


def answer(invoke, *arguments):
    return json.loads(invoke("query", *arguments, "--json").stdout)["results"][0]


def test_the_example_of_the_help(invoke):
    shown = invoke("query", "mean", "temp", *DATA, "--bounds", 0, 110, "--rho", 0.01).stdout
    assert "mean temp" in shown
    assert "rho 0.01" in shown
    assert "Nobody counts what was spent" in shown


@pytest.mark.parametrize(
    ("arguments", "low", "high", "shape"),
    [
        (("count", "--rho", 0.1), 580, 620, ()),
        (("count", "--epsilon", 1, "--delta", 1e-6, "--where", "region = 'south'"), 150, 250, ()),
        (("count", "--epsilon", 1, "--weight", "record", "--max-records", 3), 1150, 1250, ()),
        (("sum", "temp", "--bounds", -10, 300, "--noise-multiplier", 1), 60_000, 80_000, ()),
        (("mean", "temp", "--bounds", -30, 120, "--rho", 0.1), 50, 70, ()),
        (("mean", "temp", "--bounds", 0, 110, "--per-client", "max(temp)", "--rho", 0.1), 55, 90, ()),
        (("variance", "temp", "--bounds", 0, 110, "--rho", 0.5), 20, 500, ()),
        (("histogram", "temp", "--edges", "0:110:10", "--rho", 1), -10, 400, (11,)),
        (("histogram", "temp", "--edges", "-inf,50,inf", "--rho", 1), 50, 500, (2,)),
        (
            ("histogram", "region", "--categories", "north,south", "--per-client", "min(region)", "--rho", 1),
            150,
            450,
            (2,),
        ),
        (("count", "--by", "day", "--groups", "0,1,2", "--rho", 1), 150, 650, (3,)),
        (("mean", "temp", "--bounds", 0, 110, "--by", "region", "--groups", "north,south", "--rho", 1), 50, 70, (2,)),
        (("count", "--by", "region", "--groups", "north,south", "--max-groups", 1, "--rho", 1), 150, 450, (2,)),
    ],
)
def test_every_statistic(invoke, arguments, low, high, shape):
    value = answer(invoke, *arguments, *DATA)["value"]
    numbers = value if shape or isinstance(value, list) else [value]
    assert len(numbers) == (shape[0] if shape else 1)
    assert all(low < number < high for number in numbers)


def test_quotes_make_a_text_of_a_number(invoke, place):
    (place / "codes.csv").write_text("sensor,code\n" + "".join(f"s{i},0{i % 2}\n" for i in range(100)))
    arguments = (
        "histogram",
        "code",
        "--per-client",
        "min(code)",
        "--rho",
        1,
        "--data",
        "codes.csv",
        "--client",
        "sensor",
    )
    assert all(40 < value < 60 for value in answer(invoke, *arguments, "--categories", "'00','01'")["value"])


def test_from_a_budget_with_a_key(invoke, head):
    paid = ("--ledger", "budget.db", "--budget", "mine", "--budget-epsilon", 3, "--budget-delta", 1e-6)
    asked = ("query", "count", *DATA, "--rho", 0.01, *paid)
    assert "100 % left" in invoke(*asked, "--dry-run").stdout
    shown = invoke(*asked, "--key", "monday").stdout
    assert "budget mine" in shown
    assert "4.8 %" in shown
    before = head()
    assert "stored; nothing spent" in invoke(*asked, "--key", "monday").stdout
    assert head() == before
    assert "this run took" in invoke(*asked).stdout
    assert head() != before
    assert "this run took" in invoke("query", "count", *DATA, "--rho", 0.02, *paid[:4]).stdout
    invoke("query", "count", *DATA, "--rho", 0.5, *paid[:4], code=3)
    stderr = invoke("query", "count", *DATA, "--rho", 0.02, *paid[:4], "--key", "monday", code=2).stderr
    assert "'monday'" in stderr


def test_a_dry_run_needs_no_ledger(invoke, place):
    before = sorted(place.iterdir())
    shown = invoke("query", "mean", "temp", *DATA, "--bounds", 0, 110, "--rho", 0.01, "--population", 600, "--dry-run")
    assert "± 0.71" in shown.stdout
    assert "Nothing was spent." in shown.stdout
    assert sorted(place.iterdir()) == before


def test_a_population_is_public(invoke):
    dry = invoke("query", "mean", "temp", *DATA, "--bounds", 0, 110, "--rho", 0.01, "--dry-run", "--json")
    assert json.loads(dry.stdout)["previews"][0]["of"] == "sum"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mean", "temp", *DATA, "--rho", 0.1), "--bounds is missing: a mean needs it"),
        (
            ("mean", "temp", *DATA, "--rho", 0.1, "--bounds", 110, 0),
            "--bounds must be (lower, upper), two finite numbers",
        ),
        (("mean", "temp", *DATA, "--rho", 0.1, "--bounds", 0, "nan"), "--bounds must be (lower, upper), two finite"),
        (("mean", "temp", *DATA, "--rho", 0.1, "--bounds", 0), "--bounds"),
        (("mean", *DATA, "--rho", 0.1, "--bounds", 0, 110), "COLUMN is missing: a mean needs it"),
        (("count", "temp", *DATA, "--rho", 0.1), "COLUMN does not go with a count"),
        (("meen", "temp", *DATA, "--rho", 0.1), "STATISTIC must be one of count, sum, mean"),
        (("mean", "tmp", *DATA, "--rho", 0.1, "--bounds", 0, 110), "unknown column 'tmp', did you mean 'temp'?"),
        (("count", *DATA), "there is no cost: give --rho, --epsilon (alone, or with --delta) or --noise-multiplier"),
        (("count", *DATA, "--rho", 0), "--rho must be a positive finite number, got 0.0"),
        (("count", *DATA, "--rho", -1), "--rho must be a positive finite number, got -1.0"),
        (("count", *DATA, "--rho", "inf"), "--rho must be a finite number, got inf"),
        (("count", *DATA, "--rho", 1, "--noise-multiplier", 1), "give the cost in exactly one form"),
        (("count", *DATA, "--noise-multiplier", 0), "--noise-multiplier must be a positive finite number"),
        (("count", *DATA, "--rho", 1, "--population", 0), "--population must be at least 1, got 0"),
        (("count", "--data", "none.csv", "--client", "sensor", "--rho", 1), "no file matches 'none.csv'"),
        (
            ("count", "--data", "aircrft", "--client", "sensor", "--rho", 1),
            "--data must be one of aircraft, got 'aircrft'",
        ),
        (("count", "--data", "x.txt", "--client", "sensor", "--rho", 1), "--data must name files that end in .parquet"),
        (("count", "--data", "readings.csv", "--client", "sensr", "--rho", 1), "--client = 'sensr' is not a column"),
        (("count", "--data", "readings.csv", "--rho", 1), "--client"),
        (("histogram", "temp", *DATA, "--rho", 1), "a histogram needs either --edges (numbers) or --categories"),
        (("histogram", "temp", *DATA, "--rho", 1, "--edges", "0:110:7"), "--edges must be a range start:stop:step"),
        (("histogram", "temp", *DATA, "--rho", 1, "--edges", "a,b"), "--edges must be a list of numbers, or a range"),
        (("mean", "temp", *DATA, "--rho", 1, "--bounds", 0, 1, "--max-records", 2), "--max-records goes with"),
        (("count", *DATA, "--rho", 1, "--by", "day"), "--by and --groups go together"),
        (("count", *DATA, "--rho", 1, "--key", "a"), "--key needs a ledger: --ledger FILE"),
        (("count", *DATA, "--rho", 1, "--budget-rho", 1), "--budget-rho needs a ledger: --ledger FILE"),
        (
            ("count", *DATA, "--rho", 1, "--ledger", "a.db"),
            "cap: --budget-epsilon and --budget-delta, --budget-eps",
        ),
        (
            ("count", *DATA, "--rho", 1, "--ledger", "a.db", "--budget-epsilon", 1),
            "the budget is pure",
        ),
        (
            ("count", *DATA, "--rho", 1, "--ledger", "a.db", "--budget-rho", -1),
            "--budget-rho must be a positive finite",
        ),
        (
            ("count", *DATA, "--rho", 1, "--ledger", "a.db", "--budget-rho", 2, "--budget", ""),
            "--budget must be a text",
        ),
        (("count", *DATA, "--rho", 1, "--where", "x = 1"), "--where = 'x = 1': unknown column 'x'"),
        (("count", *DATA, "--rho", 1, "--where", "day = random()"), "--where = 'day = random()'"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_option(invoke, place, arguments, message):
    before = sorted(place.iterdir())
    result = invoke("query", *arguments, code=2)
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert sorted(place.iterdir()) == before
