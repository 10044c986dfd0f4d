"""``fedanalytics audit``: a table, JSON, and an exit code that a nightly run can use."""

import json

import pytest
from typer.testing import CliRunner

from fedanalytics.cli import audit
from fedanalytics.cli.app import app
from fedanalytics.ledger import Ledger, verify
from fedanalytics.privacy import samplers
from fedanalytics.statistics import Count, Sum
from fedanalytics.trust import Central, Local, central


@pytest.fixture
def short(monkeypatch):
    """Two questions and two trust models: all of them take minutes."""
    monkeypatch.setattr(audit, "QUESTIONS", {"count": Count(), "sum": Sum("temp", bounds=(0.0, 110.0))})
    settings = {"central": audit.Setting(Central(), {"rho": 0.5}), "local": audit.Setting(Local(), {"epsilon": 1.0})}
    monkeypatch.setattr(audit, "SETTINGS", settings)


def ran(*arguments):
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


@pytest.mark.usefixtures("short")
def test_a_table_and_a_clean_exit():
    found = ran("--all", "--trials", 256)
    assert found.exit_code == 0, found.output
    assert found.stdout.count("consistent") == 4 + 1
    assert "a risk of 0.001 of any false alarm" in found.stdout


@pytest.mark.usefixtures("short")
def test_json_alone():
    found = ran("sum", "--trials", 64, "--json")
    shown = json.loads(found.stdout)
    assert shown["verdict"] == "consistent"
    assert list(shown["audits"]) == ["sum; central", "sum; local"]
    assert shown["audits"]["sum; central"]["confidence"] > 1 - 1e-3


@pytest.mark.usefixtures("short")
def test_a_violation_is_an_exit_code_of_its_own(monkeypatch):
    def low(sigma, size, keystream):
        return samplers.rounded_gaussian(0.4 * sigma, size, keystream=keystream)

    monkeypatch.setattr(central, "rounded_gaussian", low)
    found = ran("sum", "--trials", 2048)
    assert found.exit_code == audit.VIOLATED == 7
    assert "1 of 2 claims violated" in found.stdout
    assert "the claim does not hold" in found.stdout


@pytest.mark.parametrize("arguments", [(), ("mean", "--all"), ("median",)])
def test_what_cannot_be_meant_is_refused(arguments):
    assert ran(*arguments).exit_code == 2


def test_all_statistics_are_there_per_record_by_groups_and_with_conditions():
    statistics = {type(query).__name__ for query in audit.QUESTIONS.values()}
    assert statistics == {"Count", "Sum", "Mean", "Variance", "Histogram"}
    for has in (lambda q: q.weight == "record", lambda q: q.by is not None, lambda q: q.where is not None):
        assert any(map(has, audit.QUESTIONS.values()))
    assert len(audit.SETTINGS) == 4


@pytest.mark.usefixtures("short")
def test_what_is_found_becomes_evidence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Ledger("budget.db") as ledger:
        ledger.budget("sensors", rho=1)
    assert ran("count", "--trials", 64, "--ledger", "budget.db", "--budget", "sensors").exit_code == 0
    assert [verdict for _, verdict in verify("budget.db").budgets["sensors"].audits] == ["consistent"] * 2
    for arguments, said in [
        (("--ledger", "budget.db"), "--ledger and --budget go together"),
        (("--ledger", "budget.db", "--budget", "sensor"), "no such budget, did you mean 'sensors'"),
        (("--ledger", "none.db", "--budget", "sensors"), "does not exist"),
    ]:
        found = ran("count", "--trials", 64, *arguments)
        assert (found.exit_code, said in found.output) == (2, True), found.output
    assert verify("budget.db").entries == 3
