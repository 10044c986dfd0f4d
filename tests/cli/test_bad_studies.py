from __future__ import annotations

import pytest

COUNT = 'name = "sensors"\nstatistic = "count"\nshare = 0.25'
MEAN = 'column = "temp"\nbounds = [0, 110]\nshare = 0.75'

TABLE = [
    ("[cost]\nrho = 0.01", "[[cost]]\nrho = 0.01", "cost must be a table, got [{'rho': 0.01}]"),
    ('[data]\npath = "readings.csv"', "[data\npath", "study.toml is no TOML file"),
    ('name = "sensors"\n\n[data]', "[data]", "study.toml: name is missing"),
    ('name = "sensors"\n\n[data]', 'name = ""\n[data]', "name must be a text on one line that is not empty, got ''"),
    ('name = "sensors"\n\n[data]', 'name = "a/b"\n[data]', "name must not contain '/', got 'a/b'"),
    ('name = "sensors"\n\n[data]', 'name = "a"\nquerys = 1\n[data]', "querys is unknown, did you mean 'query'?"),
    ('name = "sensors"\n\n[data]', 'name = "a"\nkey = "{dat}"\n[data]', "key may hold the placeholders {date}"),
    ('name = "sensors"\n\n[data]', 'name = "a"\nkey = "{date"\n[data]', "key may hold the placeholders {date}"),
    ('name = "sensors"\n\n[data]', 'name = "a"\nkey = "{date.x}"\n[data]', "key may hold the placeholders {date}"),
    ("population = 600", "populaton = 600", "data.populaton is unknown, did you mean 'population'?"),
    ("population = 600", "population = 0", "data.population must be at least 1, got 0"),
    ("population = 600", "population = 60.5", "data.population must be a whole number, got 60.5"),
    ('client = "sensor"', "", "data.client is missing"),
    ('client = "sensor"', 'client = "sensr"', "data.client = 'sensr' is not a column, did you mean 'sensor'?"),
    ('client = "sensor"', 'client = "temp"', "data.client = 'temp' holds fractions"),
    ('path = "readings.csv"', "", "give data.path (files) or data.dataset (one that comes along), one of them"),
    ('path = "readings.csv"', 'path = "readings.csv"\ndataset = "aircraft"', "one of them"),
    ('path = "readings.csv"', 'path = "nothing/*.csv"', "no file matches 'nothing/*.csv'"),
    ('path = "readings.csv"', 'path = "readings.xlsx"', "data.path must name files that end in .parquet"),
    ('path = "readings.csv"', 'path = "study.toml"', "data.path must name files that end in .parquet"),
    (
        'path = "readings.csv"',
        'dataset = "aircrft"',
        "data.dataset must be one of aircraft, got 'aircrft', did you mean",
    ),
    ('path = "readings.csv"', 'path = "x.parquet"', "data.missing is for CSV files"),
    ('missing = ["", "NA"]', 'missing = "NA"', 'data.missing must be a list of texts, such as ["", "NA"]'),
    ('ledger = "budget.db"', "", "budget.ledger is missing: name the ledger's file there, or by --ledger"),
    ('ledger = "budget.db"', 'ledger = "none/budget.db"', "lies in a folder that does not exist"),
    ("epsilon = 3.0\ndelta = 1e-6", "epsilon = 3.0", "the budget is pure (epsilon without delta)"),
    (
        "epsilon = 3.0\ndelta = 1e-6",
        "epsilon = 3.0\nrho = 1",
        "give budget.epsilon and budget.delta, or budget.rho, not",
    ),
    ("epsilon = 3.0\ndelta = 1e-6", "epsilon = -1.0\ndelta = 1e-6", "budget.epsilon must be a positive finite number"),
    ("epsilon = 3.0\ndelta = 1e-6", "epsilon = nan\ndelta = 1e-6", "budget.epsilon must be a finite number, got nan"),
    ("epsilon = 3.0\ndelta = 1e-6", "epsilon = true\ndelta = 1e-6", "budget.epsilon must be a finite number, got True"),
    ("epsilon = 3.0\ndelta = 1e-6", 'relation = "replace"', "budget.relation must be one of add-or-remove-one"),
    ("epsilon = 3.0\ndelta = 1e-6", 'overlap = "yes"', "budget.overlap must be true or false, got 'yes'"),
    ("epsilon = 3.0\ndelta = 1e-6", "", "its cap: budget.epsilon and budget.delta, budget.epsilon alone"),
    ("delta = 1e-6", 'delta = 1e-6\nfilter = "gpd"', "budget.filter = 'gpd' is unknown, did you mean"),
    ("delta = 1e-6", "delta = 1e-6\norder = 3", "budget.order belongs to filter='renyi', not to 'gdp'"),
    ("epsilon = 3.0\ndelta = 1e-6", 'rho = 1\nfilter = "gdp"', "holds a cap in epsilon and delta, got one in rho"),
    ("delta = 1e-6", 'delta = 1e-6\ngroup = "north"', "budget.group must be a column and a value, such as"),
    ("delta = 1e-6", 'delta = 1e-6\ngroup = ["region", "n"]', "is for the group ('region', 'n') only"),
    ("population = 600", 'population = 600\nonly = ["regoin", "n"]', "data: unknown column 'regoin', did you mean"),
    ("population = 600", 'population = 600\nonly = ["temp", true]', "data.only must be a column and a value"),
    ("[budget]", "[budgt]", "budgt is unknown, did you mean 'budget'?"),
    ('[budget]\nledger = "budget.db"\nepsilon = 3.0\ndelta = 1e-6', "", "budget is missing"),
    (
        "[cost]\nrho = 0.01",
        "",
        "query[1].share is a share of the study's [cost], which is missing; or give query[1].rho",
    ),
    ("[cost]\nrho = 0.01", "[cost]", "cost: there is no cost"),
    ("[cost]\nrho = 0.01", "[cost]\nrho = 0", "cost.rho must be a positive finite number, got 0"),
    ("[cost]\nrho = 0.01", "[cost]\nrho = 0.01\nepsilon = 1", "cost: give the cost in exactly one form"),
    ("[cost]\nrho = 0.01", "[cost]\nrho = 1e-13", "below the ledger's unit of 1e-12"),
    ("share = 0.75", "share = 0.8", "the shares of [cost] add up to more than 1: 0.25 + 0.8 = 1.05"),
    ("share = 0.75", "share = 0", "query[2].share must be a number above 0 and at most 1, got 0"),
    ("share = 0.75", "", "query[2] 'mean temperature' has no cost: give query[2].share of the study's [cost], or"),
    ("share = 0.75", "share = 0.75\nrho = 0.01", "query[2].share and query[2].rho are two costs; keep one"),
    ("share = 0.75", "rho = 0.01\nepsilon = 1", "query[2] 'mean temperature': give the cost in exactly one form"),
    ("share = 0.75", "delta = 1e-6", "query[2] 'mean temperature': give the cost in exactly one form"),
    ('name = "mean temperature"', "", "query[2].name is missing"),
    ('name = "mean temperature"', 'name = "sensors"', "query[2] 'sensors' has the name of query[1] 'sensors'"),
    ('name = "mean temperature"', 'name = "a\\nb"', "query[2].name must be a text on one line"),
    ('statistic = "mean"', "", "query[2].statistic is missing"),
    (
        'statistic = "mean"',
        'statistic = "meen"',
        "query[2].statistic must be one of count, sum, mean, variance, histogram",
    ),
    ('statistic = "mean"', 'statistic = ["mean"]', "query[2].statistic must be one of"),
    ('statistic = "mean"', 'statistc = "mean"', "query[2].statistc is unknown, did you mean 'statistic'?"),
    ("bounds = [0, 110]", "", "query[2].bounds is missing: a mean needs it"),
    ("bounds = [0, 110]", "bounds = [110, 0]", "query[2].bounds must be (lower, upper), two finite numbers with lower"),
    ("bounds = [0, 110]", "bounds = [0, inf]", "query[2].bounds must be (lower, upper), two finite numbers"),
    ("bounds = [0, 110]", "bounds = [0, nan]", "query[2].bounds must be (lower, upper), two finite numbers"),
    ("bounds = [0, 110]", "bounds = 110", "query[2].bounds must be two numbers, such as [0, 110], got 110"),
    ("bounds = [0, 110]", 'bounds = ["0", "110"]', "query[2].bounds must be two numbers"),
    ("bounds = [0, 110]", "edges = [0, 110]", "query[2].edges does not go with a mean, which knows column, bounds"),
    (COUNT, COUNT + '\ncolumn = "temp"', "query[1].column does not go with a count, which knows where"),
    (MEAN, MEAN.replace("temp", "tmp"), "query[2] 'mean temperature': per_client='avg(\"tmp\")': unknown column 'tmp'"),
    (MEAN, MEAN.replace("temp", "region"), "query[2] 'mean temperature'"),
    (MEAN, MEAN + '\nwhere = "temp > (SELECT 1)"', "query[2].where"),
    (MEAN, MEAN + '\nwhere = "1; DROP TABLE t"', "query[2].where"),
    (MEAN, MEAN + '\nwhere = ""', "query[2].where must be an SQL expression as a text, got ''"),
    (MEAN, MEAN + '\nper_client = "max(day)"', "query[2].per_client = 'max(day)' does not mention the column 'temp'"),
    (MEAN, MEAN + "\nper_client = \"max(read_csv('/etc/passwd') + temp)\"", "query[2].per_client"),
    (MEAN, MEAN + '\nweight = "recrd"', "query[2].weight = 'recrd' is unknown, did you mean 'record'?"),
    (MEAN, MEAN + '\nweight = "record"', "query[2].weight = 'record' needs query[2].max_records"),
    (MEAN, MEAN + "\nmax_records = 2", "query[2].max_records goes with weight='record'"),
    (MEAN, MEAN + "\nmax_records = 2.0", "query[2].max_records must be a whole number, got 2.0"),
    (MEAN, MEAN + '\nby = "region"', "query[2].by and query[2].groups go together"),
    (MEAN, MEAN + '\nby = "region"\ngroups = ["a", "a"]', "query[2].groups must be different public names"),
    (MEAN, MEAN + '\nby = "region"\ngroups = "north"', "query[2].groups must be a list of texts or numbers"),
    (MEAN, MEAN + "\ncount_weight = -1", "query[2].count_weight must be a positive finite number, got -1"),
    ('edges = "0:110:10"', 'edges = "0:110"', "query[3].edges must be a range start:stop:step"),
    ('edges = "0:110:10"', 'edges = "0:110:20"', "that reaches its stop"),
    ('edges = "0:110:10"', 'edges = "0:1:1e-9"', "in at most 100000 steps"),
    ('edges = "0:110:10"', 'edges = "0:inf:1"', "query[3].edges must be a range"),
    ('edges = "0:110:10"', "edges = [10, 0]", "query[3]"),
    ('edges = "0:110:10"', 'edges = ["a"]', "query[3].edges must be a list of numbers"),
    ('edges = "0:110:10"', "", "query[3] 'temperatures': a histogram needs either query[3].edges (numbers) or"),
    ('edges = "0:110:10"', 'edges = [0, 1]\ncategories = ["a"]', "query[3] 'temperatures': a histogram needs either"),
]


@pytest.mark.parametrize(("found", "instead", "message"), TABLE)
@pytest.mark.parametrize("dry", [False, True], ids=["run", "dry"])
def test_it_is_refused_with_its_place_and_leaves_no_trace(invoke, place, study, found, instead, message, dry):
    assert found in study
    (place / "study.toml").write_text(study.replace(found, instead, 1))
    before = sorted(place.iterdir())
    result = invoke("run", "study.toml", *["--dry-run"] * dry, code=2)
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) <= 3
    assert result.stdout == ""
    assert sorted(place.iterdir()) == before


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ("", "query is missing"),
        ("[[query]]\n", "query[1].name is missing"),
        ('[query]\nname = "a"', "query must be tables, each under its own [[...]], got {'name': 'a'}"),
    ],
)
def test_a_study_without_a_question(invoke, place, study, queries, message):
    (place / "study.toml").write_text(study[: study.index("[[query]]")] + queries)
    assert message in invoke("run", "study.toml", code=2).stderr


def test_shares_without_a_query_that_has_one_are_a_mistake(invoke, place, study):
    own = study.replace("share = 0.25", "rho = 0.01").replace("share = 0.75", "rho = 0.01")
    (place / "study.toml").write_text(own)
    assert "[cost] is for queries with a share" in invoke("run", "study.toml", code=2).stderr


def test_a_study_that_is_not_there(invoke):
    assert "the study none.toml cannot be read (No such file or directory)" in invoke("run", "none.toml", code=2).stderr


def test_a_study_that_is_not_utf_8(invoke, place):
    (place / "study.toml").write_bytes(b'name = "\xff"')
    assert "study.toml is no TOML file" in invoke("run", "study.toml", code=2).stderr


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (",north,0,50.0\n", "'sensor' is NULL"),
        ("s1,north,0,cold\n" * 100, "query[2] 'mean temperature': per_client='avg(\"temp\")'"),
        (None, "the table has no rows"),
    ],
)
def test_data_that_cannot_be_used(invoke, place, readings, rows, message):
    header = readings.splitlines(keepends=True)[0]
    (place / "readings.csv").write_text(header if rows is None else readings + rows)
    assert message in invoke("run", "study.toml", code=2).stderr
    assert not (place / "budget.db").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--key", "a/b"), "--key must not contain '/'"),
        (("--key", "{day}"), "--key may hold the placeholders"),
        (("--exact", "--json"), "--exact does not go with --json"),
        (("--exact", "--dry-run"), "--exact does not go with --dry-run"),
        (("--out", "x", "--dry-run"), "--out does not go with --dry-run"),
        (("--out", "readings.csv"), "--out 'readings.csv' cannot be written (File exists); nothing was spent"),
        (("--ledger", "readings.csv/x.db"), "does not exist"),
        (("--ledger", "."), "is a folder"),
        (("--wait", "0"), "--wait"),
        (("--wrong",), "No such option"),
    ],
)
def test_options_that_cannot_be_meant(invoke, place, arguments, message):
    before = sorted(place.iterdir())
    assert message in invoke("run", "study.toml", *arguments, code=2).stderr
    assert sorted(place.iterdir()) == before
