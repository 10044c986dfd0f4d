from __future__ import annotations

import csv
import datetime as dt
import io
import json
import sqlite3

import pytest

import fedanalytics.statistics as fa
from fedanalytics.fleet import Fleet
from fedanalytics.ledger import Ledger, verify
from fedanalytics.session import Session


def run_json(invoke, *arguments):
    return json.loads(invoke("run", "study.toml", "--json", *arguments).stdout)


def values(answer):
    return {result["name"]: result["value"] for result in answer["results"]}


def test_answers_cover_the_truth_and_the_budget_goes_down(invoke, place):
    answer = run_json(invoke)
    assert abs(values(answer)["sensors"] - 600) < 6 * 14.2
    assert abs(values(answer)["mean temperature"] - 60) < 8
    assert len(values(answer)["temperatures"]) == 11
    assert answer["spent_now"]["units"] == 12 * 10**9
    assert answer["budget"]["spent"]["units"] == 12 * 10**9
    assert answer["key"] == f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    assert verify("budget.db", answer["head"]).budgets["sensors"].spent == 12 * 10**9


def test_what_a_newcomer_sees(invoke, place):
    shown = invoke("run", "study.toml").stdout
    assert "each sensor is protected" in shown
    assert "95 % interval" in shown
    assert "[50, 60)" in shown
    assert "█" in shown
    assert "▒" in shown
    assert "94.3 % left" in shown
    assert "this run took 5.7 % · enough for 16 more" in shown
    assert max(map(len, shown.splitlines())) <= 120


def test_a_second_run_on_the_same_day_shows_the_stored_answers_and_spends_nothing(invoke, head):
    first = run_json(invoke)
    spent = head()
    again = run_json(invoke)
    assert values(again) == values(first)
    assert [result["interval"] for result in again["results"]] == [result["interval"] for result in first["results"]]
    assert again["spent_now"]["units"] == 0
    assert all(result["stored"] for result in again["results"])
    shown = invoke("run", "study.toml").stdout
    assert "stored; nothing spent" in shown
    assert "this run took" not in shown
    assert head() == spent == again["head"]


def test_another_key_is_another_question(invoke, head):
    first = run_json(invoke)
    before = head()
    other = run_json(invoke, "--key", "again")
    assert values(other) != values(first)
    assert other["spent_now"] == first["spent_now"]
    assert head() != before
    assert other["results"][0]["key"] == "sensors/again/sensors"


def test_a_study_may_grow_by_queries_that_alone_are_paid(invoke, place, study, more):
    first = run_json(invoke)
    (place / "study.toml").write_text(study + more)
    grown = run_json(invoke)
    assert {name: grown_value for name, grown_value in values(grown).items() if name in values(first)} == values(first)
    new = [result for result in grown["results"] if not result["stored"]]
    assert [result["name"] for result in new] == ["by region", "spread per day", "readings", "total"]
    assert grown["spent_now"]["units"] == sum(result["cost"]["units"] for result in new)


@pytest.mark.parametrize("alone", range(7))
def test_a_query_costs_the_same_alone_or_among_others(invoke, place, study, more, alone):
    head, *queries = (study + more).split("[[query]]")
    one = head + "[[query]]" + queries[alone]
    (place / "study.toml").write_text(one if "share" in one else one.replace("[cost]\nrho = 0.01", ""))
    first = run_json(invoke)
    (place / "study.toml").write_text(study + more)
    together = run_json(invoke)
    assert together["results"][alone] == {**first["results"][0], "stored": True}
    assert [result["stored"] for result in together["results"]].count(True) == 1


def test_the_key_stands_for_the_same_question_in_python(invoke, place):
    answer = run_json(invoke)
    fleet = Fleet.from_csv("readings.csv", client="sensor", population=600, missing=("", "NA"))
    with Ledger("budget.db") as ledger:
        session = Session(fleet, ledger.budget("sensors"))
        key = answer["results"][1]["key"]
        release = session.run(fa.mean("temp", bounds=(0, 110)), key=key, rho=0.0075)
    assert release.receipt.replayed
    assert release.value == values(answer)["mean temperature"]


@pytest.mark.parametrize("dry", [False, True], ids=["run", "dry"])
def test_a_changed_question_under_the_same_key_is_refused(invoke, place, study, head, dry):
    invoke("run", "study.toml")
    before = head()
    (place / "study.toml").write_text(study.replace("bounds = [0, 110]", "bounds = [0, 100]"))
    stderr = invoke("run", "study.toml", *["--dry-run"] * dry, code=2).stderr
    assert "sensors/" in stderr
    assert "mean temperature" in stderr
    assert head() == before


def test_a_budget_that_cannot_pay_is_exit_code_3_and_spends_nothing(invoke, place, study, head):
    (place / "study.toml").write_text(study.replace("epsilon = 3.0\ndelta = 1e-6", "rho = 0.02"))
    invoke("run", "study.toml")
    before = head()
    stderr = invoke("run", "study.toml", "--key", "b", code=3).stderr
    assert "requested rho=0.012, remaining rho=0.008; the largest cost that fits is rho=0.008" in stderr
    assert head() == before


def test_a_dry_run_says_so_too(invoke, place, study, head):
    (place / "study.toml").write_text(study.replace("epsilon = 3.0\ndelta = 1e-6", "rho = 0.02"))
    assert "it fits" in invoke("run", "study.toml", "--dry-run").stdout
    invoke("run", "study.toml")
    before = head()
    assert "it does NOT fit" in invoke("run", "study.toml", "--dry-run", "--key", "b", code=3).stdout
    stored = invoke("run", "study.toml", "--dry-run")
    assert "All answers are stored: a run would cost nothing." in stored.stdout
    assert head() == before


def test_a_dry_run_foretells_the_error_and_the_cost(invoke, place, study, more):
    (place / "study.toml").write_text(study + more)
    dry = run_json(invoke, "--dry-run")
    assert sorted(place.iterdir()) == [place / "readings.csv", place / "study.toml"]
    answer = run_json(invoke)
    assert dry["would_spend"] == answer["spent_now"]
    assert dry["fits"]
    for preview, result in zip(dry["previews"], answer["results"], strict=True):
        assert preview["cost"] == result["cost"]
        assert preview["of"] == "value"
    assert dry["previews"][0]["standard_error"] == pytest.approx(answer["results"][0]["standard_error"])
    assert dry["previews"][1]["standard_error"] == pytest.approx(answer["results"][1]["standard_error"], rel=0.25)


def test_without_a_population_a_dry_run_speaks_of_sums(invoke, place, study):
    (place / "study.toml").write_text(study.replace("population = 600", ""))
    shown = invoke("run", "study.toml", "--dry-run").stdout
    assert "sum" in shown
    assert "Declare a population" in shown


def test_a_dry_run_sees_a_key_that_was_released_as_free_again(invoke, place):
    invoke("run", "study.toml", "--key", "a")
    with Ledger("budget.db") as ledger:
        budget = ledger.budget("sensors")
        plan = Session(Fleet.from_csv("readings.csv", client="sensor"), budget)
        [(order, _)] = plan.rehearsed(fa.count(), "sensors/b/sensors", rho=0.0025)
        [reservation] = budget.reserve([order.plan])
        paid = run_json(invoke, "--dry-run", "--key", "b")["previews"][0]["paid"]
        budget.release([reservation], "the test is over")
    assert paid
    assert not run_json(invoke, "--dry-run", "--key", "b")["previews"][0]["paid"]


def test_out_holds_the_results_and_their_receipts(invoke, place, study, more):
    (place / "study.toml").write_text(study + more)
    invoke("run", "study.toml", "--out", "results/today")
    folder = place / "results" / "today"
    assert sorted(file.name for file in folder.iterdir()) == ["receipts.json", "results.csv", "results.json"]
    answer = json.loads((folder / "results.json").read_text())
    rows = list(csv.DictReader(io.StringIO((folder / "results.csv").read_text())))
    assert len(rows) == 1 + 1 + 11 + 2 * 2 + 3 + 1 + 1
    regional = [(row["group"], row["label"]) for row in rows if row["query"] == "by region"]
    assert regional == [
        ("north", "[-inf, 50)"),
        ("north", "[50, inf]"),
        ("south", "[-inf, 50)"),
        ("south", "[50, inf]"),
    ]
    daily = [(row["group"], row["label"]) for row in rows if row["query"] == "spread per day"]
    assert daily == [("0", ""), ("1", ""), ("2", "")]
    bins = [row for row in rows if row["query"] == "temperatures"]
    assert [float(row["value"]) for row in bins] == values(answer)["temperatures"]
    assert all(float(row["lower"]) < float(row["value"]) < float(row["upper"]) for row in bins)
    receipts = json.loads((folder / "receipts.json").read_text())
    assert [one["receipt"]["key"] for one in receipts] == [result["key"] for result in answer["results"]]
    with Ledger("budget.db") as ledger:
        hashes = {entry.seq: entry.hash for entry in ledger.entries()}
    assert all(hashes[one["receipt"]["entry"]] == one["receipt"]["hash"] for one in receipts)


def test_results_that_cannot_be_written_are_shown_and_kept(invoke, place, head):
    (place / "out" / "results.json").mkdir(parents=True)
    failed = invoke("run", "study.toml", "--out", "out", code=5)
    assert "--out 'out' could not be written (Is a directory); the answers are stored under their keys" in failed.stderr
    assert "mean temperature" in failed.stdout
    (place / "out" / "results.json").rmdir()
    before = head()
    assert "stored; nothing spent" in invoke("run", "study.toml", "--out", "out").stdout
    assert head() == before
    assert len(list((place / "out").iterdir())) == 3


def test_a_long_drawing_is_cut(invoke, place, study):
    (place / "study.toml").write_text(study.replace('"0:110:10"', '"0:110:1"'))
    shown = invoke("run", "study.toml").stdout
    assert "[59, 60)" in shown
    assert "[60, 61)" not in shown
    assert "… and 50 more: see --out or --json" in shown


def test_exact_values_are_marked_and_kept_nowhere(invoke, place, study, more):
    (place / "study.toml").write_text(study + more)
    shown = invoke("run", "study.toml", "--exact", "--out", "out").stdout
    assert shown.count("exact (NOT PRIVATE)") == 1 + 4
    assert "exact: sums without noise, NOT PRIVATE, shown once and kept nowhere" in shown
    [line] = [line for line in shown.splitlines() if line.strip().startswith("sensors ") and "±" in line]
    assert line.split()[-1] == "600"
    kept = "".join(file.read_text() for file in (place / "out").iterdir())
    assert "exact" not in kept
    with sqlite3.connect("budget.db") as ledger:
        assert "exact" not in "\n".join(ledger.iterdump())


def test_the_exact_value_lies_in_the_interval_most_of_the_time(invoke, place):
    inside = 0
    for key in range(8):
        shown = invoke("run", "study.toml", "--exact", "--ledger", f"{key}.db").stdout
        [line] = [line for line in shown.splitlines() if line.strip().startswith("mean temperature")]
        _, low, high, _, exact = (float(word) for word in line.split("±")[1].split() if word[-1].isdigit())
        inside += low <= exact <= high
    assert inside >= 4  # each with probability 0.95: fewer has a chance below 1e-5


def test_ledger_and_wait_are_options(invoke, place):
    invoke("run", "study.toml", "--ledger", "other.db")
    assert (place / "other.db").exists()
    assert not (place / "budget.db").exists()


def test_a_ledger_in_use_is_exit_code_5_and_spends_nothing(invoke, place, head):
    invoke("run", "study.toml")
    before = head()
    holder = sqlite3.connect("budget.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    stderr = invoke("run", "study.toml", "--key", "b", "--wait", "0.1", code=5).stderr
    holder.execute("ROLLBACK")
    holder.close()
    assert "held by another process; waited 0.1 s" in stderr
    assert head() == before


def test_a_damaged_ledger_is_exit_code_4_for_a_run_and_a_dry_run(invoke, place):
    (place / "budget.db").write_bytes(b"nonsense" * 1000)
    assert "no ledger" in invoke("run", "study.toml", code=4).stderr
    assert "no ledger" in invoke("run", "study.toml", "--dry-run", code=4).stderr


def test_a_ledger_older_than_its_head_is_exit_code_4(invoke, place):
    invoke("run", "study.toml")
    old = (place / "budget.db").read_bytes()
    with Ledger("budget.db"):
        pass
    invoke("run", "study.toml", "--key", "b")
    for leftover in place.glob("budget.db-*"):
        leftover.unlink()
    (place / "budget.db").write_bytes(old)
    for arguments in (("run", "study.toml"), ("run", "study.toml", "--dry-run"), ("ledger", "show", "budget.db")):
        assert "it is an older copy, its tail was cut" in invoke(*arguments, code=4).stderr


def test_a_budget_never_changes_its_terms(invoke, place, study, head):
    invoke("run", "study.toml")
    before = head()
    (place / "study.toml").write_text(study.replace("epsilon = 3.0", "epsilon = 4.0"))
    for dry in ([], ["--dry-run"]):
        stderr = invoke("run", "study.toml", *dry, code=2).stderr
        assert "budget: budget 'sensors' was opened with epsilon=3.0" in stderr
    assert head() == before


def test_another_budget_for_the_same_clients_must_be_meant(invoke, place, study):
    invoke("run", "study.toml")
    other = study.replace('name = "sensors"\n\n[data]', 'name = "others"\n\n[data]')
    (place / "study.toml").write_text(other)
    assert "shares the data of budget 'sensors'" in invoke("run", "study.toml", code=2).stderr
    (place / "study.toml").write_text(other.replace("[budget]", "[budget]\noverlap = true"))
    invoke("run", "study.toml")


def test_a_budget_is_found_without_its_cap(invoke, place, study):
    invoke("run", "study.toml")
    (place / "study.toml").write_text(study.replace("epsilon = 3.0\ndelta = 1e-6", ""))
    assert run_json(invoke, "--key", "b")["budget"]["epsilon"] == 3.0


def test_the_relation_is_the_budgets(invoke, place, study):
    usual = run_json(invoke, "--ledger", "usual.db")
    (place / "study.toml").write_text(study.replace("[budget]", '[budget]\nrelation = "replace-one"'))
    other = run_json(invoke)
    assert (usual["budget"]["relation"], other["budget"]["relation"]) == ("add-or-remove-one", "replace-one")
    bins = [answer["results"][2]["standard_error"][0] for answer in (usual, other)]
    assert bins[1] == pytest.approx(bins[0] * 2**0.5, rel=0.01)
    assert "was opened with relation='replace-one'" not in invoke("run", "study.toml", "--dry-run").stderr


def test_each_group_is_drawn_with_its_own_numbers(invoke, place, study, more):
    (place / "study.toml").write_text(study + more)
    answer = run_json(invoke)
    lines = invoke("run", "study.toml").stdout.splitlines()
    for group, numbers in zip(("north", "south"), values(answer)["by region"], strict=True):
        at = next(i for i, line in enumerate(lines) if line.startswith(f"by region · region = {group}"))
        drawn = [line.split(")")[-1].split("]")[-1].split("±")[0].replace(",", "") for line in lines[at + 1 : at + 3]]
        assert [float(number) for number in drawn] == pytest.approx(numbers, abs=0.5)


def test_no_row_that_matches_is_a_noisy_zero(invoke, place, study):
    (place / "study.toml").write_text(study.replace("share = 0.25", "share = 0.25\nwhere = \"region = 'west'\""))
    assert abs(values(run_json(invoke))["sensors"]) < 6 * 14.2


def test_groups_have_budgets_of_their_own(invoke, place, study):
    """Disjoint groups of one data set: each may spend a whole budget, and each answers about itself."""
    counts = {}
    for region in ("north", "south"):
        narrowed = study.replace("population = 600", f'only = ["region", "{region}"]')
        narrowed = narrowed.replace("delta = 1e-6", f'delta = 1e-6\nname = "{region}"\ngroup = ["region", "{region}"]')
        (place / f"{region}.toml").write_text(narrowed)
        answered = json.loads(invoke("run", f"{region}.toml", "--json").stdout)
        counts[region] = answered["results"][0]["value"]
    assert counts["north"] == pytest.approx(400, abs=90)
    assert counts["south"] == pytest.approx(200, abs=90)
    whole = study.replace("delta = 1e-6", 'delta = 1e-6\nname = "all"')
    (place / "all.toml").write_text(whole)
    assert "shares the data of budget" in invoke("run", "all.toml", code=2).stderr
