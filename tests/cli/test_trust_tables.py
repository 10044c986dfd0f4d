"""[trust] in studies and --trust on the command line: who sees what, what it needs, and what is said of it."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from fedanalytics.cli import study as studies
from fedanalytics.cli import trusted
from fedanalytics.cli.failures import code
from fedanalytics.cli.reading import Table
from fedanalytics.cli.trusted import KEYS, MODELS
from fedanalytics.errors import BadArgument, RoundAborted
from fedanalytics.ledger import Ledger
from fedanalytics.secure_aggregation import run_round
from fedanalytics.trust import Central, Local, SecureAggregation

CLIENTS = 40
DATA = ("--data", "readings.csv", "--client", "sensor")
SECURE = '[trust]\nmodel = "secure aggregation"\n'
FREE = 'relation = "zero-out"\nfilter = "renyi"\n'  # what a budget needs for it

QUERIES = """
[[query]]
name = "sensors"
statistic = "count"
share = 0.25

[[query]]
name = "mean temperature"
statistic = "mean"
column = "temp"
bounds = [0, 110]
share = 0.75
"""


def written(trust=SECURE, budget=FREE, cap="epsilon = 30.0\ndelta = 1e-6\n", cost="rho = 0.5"):
    data = '[data]\npath = "readings.csv"\nclient = "sensor"\n'
    return (
        f'name = "sensors"\n{data}\n[budget]\nledger = "budget.db"\n{cap}{budget}\n{trust}\n[cost]\n{cost}\n{QUERIES}'
    )


LOCAL = written('[trust]\nmodel = "local"\n', 'relation = "replace-one"\n', "epsilon = 60.0\n", "epsilon = 20")
EACH = {
    "secure aggregation": written(),
    "simulated": written(f"{SECURE}simulate = true\n"),
    "local": LOCAL,
    "central": written(""),
}


def sensors(changed=()):
    """40 sensors with two readings each; those that are changed hold nothing."""
    rows = ["sensor,region,temp"]
    for sensor in range(CLIENTS):
        region = "north" if sensor % 3 else "south"
        temps = ("", "") if sensor in changed else (50 + sensor % 20, 60 + sensor % 7)
        rows += [f"s{sensor:02d},{region},{temp}" for temp in temps]
    return "\n".join(rows) + "\n"


@pytest.fixture
def place(place):
    (place / "readings.csv").write_text(sensors())
    (place / "study.toml").write_text(written())
    return place


def run_json(invoke, *arguments, expected=0):
    return json.loads(invoke("run", "study.toml", "--json", *arguments, code=expected).stdout)


# ---------------------------------------------------------------- what is answered


@pytest.mark.parametrize("model", EACH)
def test_the_same_questions_under_each_trust_model(invoke, place, model):
    (place / "study.toml").write_text(EACH[model])
    answer = run_json(invoke)
    for result, truth in zip(answer["results"], (CLIENTS, 60.8), strict=True):
        assert abs(result["value"] - truth) < 7 * result["standard_error"] + 1
        assert result["trust"].partition(",")[0] == ("secure aggregation" if model == "simulated" else model)
    assert ("SIMULATED" in answer["results"][0]["trust"]) == (model == "simulated")
    assert answer["spent_now"]["units"] == sum(result["cost"]["units"] for result in answer["results"])


def test_the_threshold_and_the_losses_stand_beside_the_cost(invoke, place):
    (place / "study.toml").write_text(written(f"{SECURE}threshold = 0.8\ncorrupt = 0.1\n"))
    invoke("run", "study.toml", "--out", "out")
    results = json.loads((place / "out" / "results.json").read_text())["results"]
    for result in results:
        guarantee = result["guarantee"]
        assert (guarantee["clients"], guarantee["floor"], guarantee["corrupt"]) == (40, 32, 4)
        assert guarantee["central"]["epsilon"] < guarantee["local"]["epsilon"]
        assert guarantee["central"]["epsilon"] == pytest.approx(result["cost"]["epsilon"])
    rows = list(csv.DictReader(io.StringIO((place / "out" / "results.csv").read_text())))
    assert [(row["trust"], row["floor"]) for row in rows] == [("secure aggregation", "32")] * 2
    receipts = json.loads((place / "out" / "receipts.json").read_text())
    assert [one["receipt"]["guarantee"] for one in receipts] == [result["guarantee"] for result in results]


def test_what_is_said_of_central_trust_is_as_before(invoke, place):
    (place / "study.toml").write_text(EACH["central"])
    invoke("run", "study.toml", "--out", "out")
    [row, _] = csv.DictReader(io.StringIO((place / "out" / "results.csv").read_text()))
    assert (row["trust"], row["floor"]) == ("central", "")
    assert run_json(invoke)["results"][0]["guarantee"] is None
    assert "central" not in invoke("run", "study.toml").stdout


@pytest.mark.parametrize("dry", [False, True], ids=["run", "dry"])
@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("secure aggregation", "secure aggregation: sums of at least 36 of 40 clients"),
        ("simulated", "SIMULATED: no cryptography ran: sums of at least 36 of 40 clients"),
        ("local", "local: reports of 40 clients"),
    ],
)
def test_the_screen_says_who_sees_what(invoke, place, model, said, dry):
    (place / "study.toml").write_text(EACH[model])
    shown = invoke("run", "study.toml", *["--dry-run"] * dry).stdout
    assert said in shown.splitlines()[0]
    assert ("keys: one process holds the keys of all clients" in shown) == (model == "secure aggregation" and not dry)


def test_a_budget_that_counts_epsilon_has_no_rho_to_show(invoke, place):
    (place / "study.toml").write_text(written(f"{SECURE}simulate = true\n", FREE.replace("renyi", "pld")))
    dry = run_json(invoke, "--dry-run")
    answer = run_json(invoke, "--out", "out")
    for found in (dry["previews"][0], answer["results"][0]):
        assert found["cost"]["rho"] is None
        assert found["cost"]["epsilon"] > 0
    [row, _] = csv.DictReader(io.StringIO((place / "out" / "results.csv").read_text()))
    assert row["rho"] == ""


# ---------------------------------------------------------------- dry runs, stored answers, attempts


@pytest.mark.parametrize("model", ["secure aggregation", "simulated", "local"])
def test_a_dry_run_foretells_cost_error_and_guarantee_and_leaves_no_trace(invoke, place, model):
    (place / "study.toml").write_text(EACH[model])
    before = sorted(place.iterdir())
    dry = run_json(invoke, "--dry-run")
    assert sorted(place.iterdir()) == before
    answer = run_json(invoke)
    assert dry["would_spend"] == answer["spent_now"]
    for preview, result in zip(dry["previews"], answer["results"], strict=True):
        for name in ("cost", "trust", "guarantee"):
            assert preview[name] == result[name]
    error = answer["results"][0]["standard_error"]
    assert dry["previews"][0]["standard_error"] == pytest.approx(error, rel=0.2)
    assert all(preview["paid"] for preview in run_json(invoke, "--dry-run")["previews"])


@pytest.mark.parametrize("model", ["secure aggregation", "local"])
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_a_dry_run_is_the_same_whatever_a_client_holds(invoke, place, model, form):
    (place / "study.toml").write_text(EACH[model])
    said = []
    for changed in ((), (7,)):
        (place / "readings.csv").write_text(sensors(changed))
        said.append(invoke("run", "study.toml", "--dry-run", "--key", "k", *form).stdout)
    assert said[0] == said[1]


@pytest.mark.parametrize("model", ["secure aggregation", "local"])
def test_a_stored_answer_is_free(invoke, place, head, model):
    (place / "study.toml").write_text(EACH[model])
    first, before = run_json(invoke), head()
    again = run_json(invoke)
    assert [result["value"] for result in again["results"]] == [result["value"] for result in first["results"]]
    assert (again["spent_now"]["units"], head()) == (0, before)


@pytest.mark.parametrize("dry", [False, True], ids=["run", "dry"])
def test_another_trust_model_is_another_question(invoke, place, head, dry):
    run_json(invoke)
    before = head()
    (place / "study.toml").write_text(EACH["simulated"])
    assert "sensors/" in invoke("run", "study.toml", *["--dry-run"] * dry, code=2).stderr
    assert head() == before


def test_a_round_that_ends_without_a_sum_stays_spent_and_the_next_attempt_pays(invoke, place, monkeypatch):
    def failing(*arguments, **options):
        return run_round(*arguments, **{**options, "drops": dict.fromkeys(range(5), "masked")})

    with monkeypatch.context() as patched:
        patched.setattr("fedanalytics.trust.secure_aggregation.run_round", failing)
        stderr = invoke("run", "study.toml", "--key", "k", code=6).stderr
    assert "ended without a sum" in stderr
    with Ledger("budget.db") as ledger:
        lost = ledger.budget("sensors").spent.units
    dry = run_json(invoke, "--dry-run", "--key", "k")
    assert [preview["paid"] for preview in dry["previews"]] == [False, False]
    assert dry["would_spend"]["units"] == lost > 0
    answer = run_json(invoke, "--key", "k")
    assert answer["results"][0]["key"] == "sensors/k/sensors"
    assert answer["spent_now"] == dry["would_spend"]
    assert answer["budget"]["spent"]["units"] == 2 * lost
    assert all(preview["paid"] for preview in run_json(invoke, "--dry-run", "--key", "k")["previews"])
    assert run_json(invoke, "--key", "k")["spent_now"]["units"] == 0


def test_a_reservation_under_central_trust_is_paid_though_nobody_answered(invoke, place, monkeypatch):
    """There nobody has seen what was not committed: it is drawn anew under its own reservation."""
    (place / "study.toml").write_text(EACH["central"])

    def crash(*_):
        raise RoundAborted("planted")

    with monkeypatch.context() as patched:
        patched.setattr(Central, "collect", crash)
        invoke("run", "study.toml", "--key", "k", code=6)
    assert all(preview["paid"] for preview in run_json(invoke, "--dry-run", "--key", "k")["previews"])
    assert run_json(invoke, "--key", "k")["spent_now"]["units"] == 0


def test_a_round_without_a_sum_has_its_exit_code():
    assert code(RoundAborted("x")) == 6


# ---------------------------------------------------------------- what cannot be meant

NEEDS = 'trust.model = \'secure aggregation\' needs budget.relation = "zero-out" and budget.filter = "renyi"'
ALONE = 'trust.model = \'local\' needs budget.relation = "replace-one" or "zero-out"'

REFUSED = [
    (written(budget=""), f'{NEEDS}, and budget \'sensors\' has "add-or-remove-one" and "gdp": write so'),
    (written(budget='relation = "zero-out"\n'), f'{NEEDS}, and budget \'sensors\' has "zero-out" and "gdp"'),
    (written(budget='filter = "renyi"\n'), f'{NEEDS}, and budget \'sensors\' has "add-or-remove-one" and "renyi"'),
    (written(budget=FREE.replace("zero-out", "replace-one")), NEEDS),
    (written(budget=FREE.replace("renyi", "zcdp")), NEEDS),
    (written(budget='relation = "zero-out"\n', cap="rho = 3.0\n"), NEEDS),
    (written(budget='relation = "zero-out"\n', cap="epsilon = 3.0\n"), NEEDS),
    (written(budget=FREE, cap="rho = 3.0\n"), "filter='renyi' holds a cap in epsilon and delta, got one in rho"),
    (LOCAL.replace('relation = "replace-one"\n', ""), f"{ALONE}, and budget 'sensors' has \"add-or-remove-one\""),
    (LOCAL.replace("epsilon = 20", "rho = 0.1"), "query[1] 'sensors': reports that clients randomise are paid in pure"),
    (written(cost="epsilon = 0.5"), "query[1] 'sensors': under secure aggregation the noise is made of shares"),
    (written("[[trust]]\n"), "trust must be a table"),
    (written('[trust]\nmodle = "local"\n'), "trust.modle is unknown, did you mean 'model'?"),
    (written('[trust]\nmodel = "secure"\n'), "trust.model must be one of central, secure aggregation, local, got"),
    (written('[trust]\nmodel = "lokal"\n'), "did you mean 'local'?"),
    (written("[trust]\nmodel = 3\n"), "trust.model must be one of"),
    (written("[trust]\ndropout = 0.1\n"), "trust.dropout belongs to trust.model = 'secure aggregation', not to 'cent"),
    (LOCAL.replace('"local"', '"local"\nsimulate = true'), "trust.simulate belongs to trust.model = 'secure aggreg"),
    (written(f"{SECURE}threshold = 0\n"), "trust.threshold must be a number of clients, or a fraction of them below"),
    (written(f"{SECURE}threshold = 41\n"), "trust.threshold = 41 must be a whole number of the 40 clients"),
    (written(f"{SECURE}threshold = 30.5\n"), "trust.threshold = 30.5 must be a whole number of the 40 clients"),
    (written(f"{SECURE}threshold = 2\n"), "trust.threshold = 2 must be a whole number of the 40 clients"),
    (written(f'{SECURE}threshold = "36"\n'), "trust.threshold must be a finite number, got '36'"),
    (written(f"{SECURE}dropout = 1.0\n"), "trust.dropout must be a fraction in [0, 1), got 1.0"),
    (written(f"{SECURE}corrupt = -0.1\n"), "trust.corrupt must be a fraction in [0, 1), got -0.1"),
    (written(f"{SECURE}dropout = true\n"), "trust.dropout must be a finite number, got True"),
    (written(f"{SECURE}dropout = 0.5\n"), "dropout=0.5 and corrupt=0.05 leave no threshold for 40 clients"),
    (written(f'{SECURE}simulate = "yes"\n'), "trust.simulate must be true or false, got 'yes'"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
@pytest.mark.parametrize("dry", [False, True], ids=["run", "dry"])
def test_it_is_refused_with_its_keys_and_leaves_no_trace(invoke, place, text, message, dry):
    (place / "study.toml").write_text(text)
    before = sorted(place.iterdir())
    result = invoke("run", "study.toml", *["--dry-run"] * dry, code=2)
    assert message in result.stderr
    assert result.stdout == ""
    assert sorted(place.iterdir()) == before


def test_two_clients_are_too_few(invoke, place):
    (place / "readings.csv").write_text("sensor,region,temp\na,north,1\nb,south,2\n")
    stderr = invoke("run", "study.toml", code=2).stderr
    assert "secure aggregation needs at least 3 clients, and the fleet has 2" in stderr


@pytest.mark.parametrize("dry", [False, True], ids=["run", "dry"])
def test_a_budget_that_was_opened_otherwise_is_refused_and_the_ledger_left_alone(invoke, place, head, dry):
    (place / "study.toml").write_text(written("", ""))
    invoke("run", "study.toml")
    before = head()
    (place / "study.toml").write_text(written(budget="", cap=""))
    stderr = invoke("run", "study.toml", "--key", "b", *["--dry-run"] * dry, code=2).stderr
    assert f'{NEEDS}, and budget \'sensors\' has "add-or-remove-one" and "gdp"' in stderr
    assert "name another by budget.name" in stderr
    (place / "study.toml").write_text(written(budget='name = "new"\noverlap = true\n'))  # not opened at all
    assert NEEDS in invoke("run", "study.toml", "--key", "b", *["--dry-run"] * dry, code=2).stderr
    assert head() == before


def test_a_budget_that_was_opened_so_is_found_by_its_name(invoke, place):
    first = run_json(invoke)
    (place / "study.toml").write_text(written(budget="", cap=""))
    later = run_json(invoke, "--key", "b")
    assert later["spent_now"] == first["spent_now"]
    assert later["budget"]["spent"]["units"] == 2 * first["spent_now"]["units"]


# ---------------------------------------------------------------- one question


@pytest.mark.parametrize(
    ("options", "named", "cost"),
    [
        (("--epsilon", 4, "--delta", 1e-6, "--trust", "secure aggregation"), "secure aggregation", "rho 0."),
        (("--rho", 0.5, "--trust", "secure aggregation", "--simulate"), "secure aggregation, SIMULATED", "rho 0.5"),
        (("--noise-multiplier", 1, "--trust", "secure aggregation"), "secure aggregation", "rho 0."),
        (("--epsilon", 4, "--trust", "local"), "local", "epsilon 4"),
        (("--rho", 0.5, "--trust", "central"), "central", "rho 0.5"),
    ],
)
def test_a_question_under_each_trust_model(invoke, place, options, named, cost):
    before = sorted(place.iterdir())
    asked = ("query", "count", *DATA, *options)
    [result] = json.loads(invoke(*asked, "--json").stdout)["results"]
    assert result["trust"].startswith(named)
    assert abs(result["value"] - CLIENTS) < 7 * result["standard_error"]
    for shown in (invoke(*asked).stdout, invoke(*asked, "--dry-run").stdout):
        assert cost in shown
        assert (named in shown.splitlines()[0]) == (named != "central")
    assert sorted(place.iterdir()) == before


def test_a_question_paid_from_a_budget(invoke, head):
    opened = ("--ledger", "budget.db", "--budget-epsilon", 9, "--budget-delta", 1e-6)
    terms = ("--budget-relation", "zero-out", "--budget-filter", "renyi")
    asked = ("query", "count", *DATA, "--rho", 0.1, "--trust", "secure aggregation", "--threshold", 38, "--key", "k")
    assert "sums of at least 38 of 40 clients" in invoke(*asked, *opened, *terms, "--dry-run").stdout
    assert "this run took" in invoke(*asked, *opened, *terms).stdout
    before = head()
    assert "stored; nothing spent" in invoke(*asked, "--ledger", "budget.db").stdout
    assert head() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--rho", 1, "--trust", "secure-aggregation"),
            "--trust must be one of central, secure aggregation, local, got",
        ),
        (("--rho", 1, "--threshold", 0.9), "--threshold belongs to --trust = 'secure aggregation', not to 'central'"),
        (("--epsilon", 1, "--trust", "local", "--simulate"), "--simulate belongs to --trust = 'secure aggregation'"),
        (("--rho", 1, "--trust", "local"), "are paid in pure epsilon: give the cost as --epsilon alone"),
        (("--epsilon", 1, "--trust", "secure aggregation"), "as --rho, --epsilon with --delta, or --noise-multiplier"),
        (
            ("--rho", 1, "--trust", "secure aggregation", "--threshold", 99),
            "--threshold = 99 must be a whole number of",
        ),
        (
            ("--rho", 1, "--trust", "secure aggregation", "--corrupt", 2),
            "--corrupt must be a fraction in [0, 1), got 2",
        ),
        (("--rho", 1, "--budget-relation", "zero-out"), "--budget-relation needs a ledger: --ledger FILE"),
        (
            ("--rho", 1, "--ledger", "a.db", "--budget-rho", 2, "--budget-relation", "zero"),
            "--budget-relation must be one of add-or-remove-one",
        ),
        (
            ("--rho", 0.1, "--trust", "secure aggregation", "--ledger", "a.db", "--budget-rho", 2),
            '--trust = \'secure aggregation\' needs --budget-relation = "zero-out" and --budget-filter = "renyi", and',
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_option(invoke, place, options, message):
    before = sorted(place.iterdir())
    result = invoke("query", "count", *DATA, *options, code=2)
    assert message in " ".join(result.stderr.split())
    assert sorted(place.iterdir()) == before


# ---------------------------------------------------------------- the table


def test_every_key_is_documented():
    documented = re.search(r"```toml\n(.*?)```", studies.__doc__, re.DOTALL)[1]
    [part] = re.findall(r"\[trust\].*?\n\n", documented, re.DOTALL)
    assert set(re.findall(r"\w+", part)) >= {"model", *KEYS}
    assert all(f'"{model}"' in part for model in MODELS)


def test_a_table_is_the_strategy_of_the_same_fields():
    table = {"model": "secure aggregation", "threshold": 30, "dropout": 0.2, "corrupt": 0.1, "simulate": True}
    assert trusted.trusted(Table(table)).model == SecureAggregation(30, 0.2, 0.1, simulate=True)
    assert trusted.trusted(Table({"model": "secure aggregation"})).model == SecureAggregation()
    assert trusted.trusted(Table({})).model == trusted.trusted(Table({"model": "central"})).model == Central()
    assert trusted.trusted(Table({"model": "local"})).model == Local()
    with pytest.raises(BadArgument, match="threshold must be a number of clients"):
        trusted.trusted(Table({"model": "secure aggregation", "threshold": -1}))
