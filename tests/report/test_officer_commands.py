"""The commands: what they print, their exit codes, and that nothing in a name reaches the terminal as a command."""

from __future__ import annotations

import csv
import inspect
import io
import json
import math
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import fedanalytics as fa
from fedanalytics.cli import ledgers, officer
from fedanalytics.cli.failures import Group
from fedanalytics.ledger import Plan
from fedanalytics.privacy import Gaussian
from fedanalytics.report import read

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reading-the-report.md"


def program():
    """The commands alone, as `app.py` will join them."""
    app = typer.Typer(cls=Group, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    ledger = typer.Typer()
    officer.join(app, ledger)
    ledger.command("verify")(ledgers.verify)
    app.add_typer(ledger, name="ledger")
    return app


@pytest.fixture
def place(tmp_path, monkeypatch, lived):
    """A current directory with budget.db, and a screen of 100 columns without colour."""
    with fa.Ledger(lived[0]):
        pass
    for end in ("", ".head"):
        shutil.copy(lived[0] + end, tmp_path / f"budget.db{end}")
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "PY_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def invoke(place):
    apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}  # click < 8.2

    def run(line, code=0):
        result = CliRunner(**apart).invoke(program(), shlex.split(line))
        assert result.exit_code == code, f"{result.stdout}\n{result.stderr}"
        assert "Traceback" not in result.stdout + result.stderr
        return result

    return run


def test_remaining_and_forecast(invoke):
    shown = invoke("ledger remaining budget.db").stdout
    assert re.search(r"sensors +59\.1 % +rho 0\.12[0-9]* +ε = 3 at δ = 1e-06", shown)
    assert re.search(r"reports +50 % +epsilon 4 +ε = 8, pure", shown)
    rows = json.loads(invoke("ledger remaining budget.db --json").stdout)["budgets"]
    book = read("budget.db", believing=True)
    assert [row["remaining_units"] for row in rows] == [a.cap - a.spent for a in book.accounts.by_name.values()]
    assert [row["budget"] for row in rows] == ["sensors", "shares", "reports"]
    shown = invoke("ledger forecast budget.db").stdout
    assert "reports" in shown
    assert shown.count("1 day") >= 3
    row = json.loads(invoke("ledger forecast budget.db --json").stdout)["budgets"][2]
    assert row["days_left"] == pytest.approx(1.0)
    assert row["per_day"] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("at", "code", "said"),
    [
        ("30%", 8, r"budget sensors: 40\.9 % spent, lasts 1 day at this pace; budget reports: 50 % spent"),
        ("49%", 8, r"^budget reports: 50 % spent, lasts 1 day at this pace \(alert at 49%, ledger budget.db\)\n$"),
        ("0.9", 0, r"^$"),
        ("90% --budget reports", 0, r"^$"),
        ("10% --budget sensors", 8, r"^budget sensors: [^;]*\n$"),
    ],
)
def test_alert_is_silent_or_one_line(invoke, at, code, said):
    result = invoke(f"ledger alert budget.db --at {at}", code=code)
    assert re.search(said, result.stdout)
    assert result.stdout.count("\n") == (code == 8)
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ledger alert budget.db --at 120%", "--at '120%': a part of the budget, as in 80% or 0.8"),
        ("ledger alert budget.db --at nan", "--at 'nan'"),
        ("ledger alert budget.db --budget sensor", "no such budget, did you mean 'sensors'?"),
        ("ledger show budget.db --by colum", "by='colum' is unknown, did you mean 'column'?"),
        ("ledger show budget.db --since tomorrow", "--since 'tomorrow': say how long ago, as in 12h, 30d or 4w"),
        ("ledger export budget.db --format xml", "format='xml' is unknown; choose from csv, registry"),
        ("report --ledger none.db", "does not exist"),
        ("report --ledger budget.db -o none/report.html", "lies in a folder that does not exist"),
    ],
)
def test_bad_input_is_exit_code_2(invoke, line, message):
    assert message in invoke(line, code=2).stderr


def test_a_budget_that_is_spent(invoke):
    with fa.Ledger("empty.db") as ledger:
        ledger.budget("b", rho=1.0)
    assert "no budget" not in invoke("ledger remaining empty.db").stdout
    assert invoke("ledger forecast empty.db").stdout.count("-") >= 3
    with fa.Ledger("none.db"):
        pass
    for command in ("remaining", "forecast", "show --by day"):
        name, *more = command.split()
        assert "no budget has been opened" in invoke(f"ledger {name} none.db {' '.join(more)}").stdout


def test_show_sums_up(invoke):
    shown = invoke("ledger show budget.db --by actor").stdout
    assert re.search(r"ada +7 +33\.4 %", shown)
    assert re.search(r"björk +2 +7\.5 %", shown)
    found = json.loads(invoke("ledger show budget.db --by column --since 30d --json").stdout)
    assert (found["by"], len(found["budgets"])) == ("column", 3)
    book = read("budget.db", believing=True)
    for budget in found["budgets"]:
        account = book.accounts.by_name[budget["budget"]]
        assert budget["spent_units"] == account.spent
        assert sum(row["units"] for row in budget["rows"]) >= account.spent
    later = json.loads(invoke("ledger show budget.db --since 2100-01-01 --json").stdout)
    assert (later["by"], [budget["rows"] for budget in later["budgets"]]) == ("actor", [[], [], []])
    assert "more: see --last or --json" in invoke("ledger show budget.db --by kind --last 1").stdout


def test_show_without_a_sum_is_as_before(invoke):
    shown = invoke("ledger show budget.db --last 2").stdout
    assert "7 older ones" in shown
    assert "budgets" in json.loads(invoke("ledger show budget.db --json").stdout)


def test_a_narrow_screen(invoke, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    for command in ("remaining budget.db", "forecast budget.db", "show budget.db --by column"):
        assert "sensors" in invoke(f"ledger {command}").stdout


def test_exports(invoke):
    rows = list(csv.DictReader(io.StringIO(invoke("ledger export budget.db").stdout)))
    assert len(rows) == 17
    invoke("ledger export budget.db --format csv -o ledger.csv")
    assert list(csv.DictReader(io.StringIO(Path("ledger.csv").read_text(encoding="utf-8")))) == rows
    records = json.loads(invoke("ledger export budget.db --format registry").stdout)
    assert [one["url_slug"] for one in records] == ["sensors", "shares", "reports"]


def test_a_ledger_that_is_not_true_is_exit_code_4(invoke, place):
    path = place / "budget.db"
    data = path.read_bytes()
    at = data.index(b'"actor":"ada"')
    path.write_bytes(data[:at] + b'"actor":"eve"' + data[at + 13 :])
    for line in ("report --ledger budget.db", "ledger export budget.db", "ledger export budget.db --format registry"):
        assert "was changed" in invoke(line, code=4).stderr
    assert "This ledger does not verify." in (place / "report.html").read_text()
    assert "eve" in invoke("ledger show budget.db --by actor").stdout  # believed, as the help says


def test_the_report_command(invoke, place):
    shown = invoke("report --ledger budget.db -o page.html").stdout
    assert "page.html: 3 budgets, 40 entries, verified, head 40:" in shown
    assert (place / "page.html").read_text().startswith("<!doctype html>")


def test_names_reach_the_terminal_without_commands(invoke):
    name = "\x1b]0;pwned\x07\x1b[31mred\nnext"
    with fa.Ledger("hostile.db", actor=name) as ledger:
        ledger.budget(name, rho=0.01).reserve([Plan(name, {"is": name, "column": name}, Gaussian(10.0), 10**10, name)])
    for line in (
        "remaining hostile.db",
        "forecast hostile.db",
        "show hostile.db --by actor",
        "show hostile.db --by column",
    ):
        shown = invoke(f"ledger {line}").stdout
        assert "\x1b" not in shown
        assert "\x07" not in shown
    assert invoke("ledger alert hostile.db", code=8).stdout.count("\n") == 1


def test_watching_ends_by_interrupt_with_exit_code_0(place):
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\nimport test_officer_commands\n"
    code += "test_officer_commands.program()()"
    command = [sys.executable, "-c", code, "report", "--ledger", "budget.db", "-o", "w.html", "--watch"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 60
        while not (place / "w.html").exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, errors
    assert errors == ""
    assert output.splitlines()[-1] == "stopped"


def test_the_document_shows_commands_that_run(invoke, monkeypatch):
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("fedanalytics ")]
    assert len(lines) == 9
    for line in lines:
        command = shlex.join(shlex.split(line, comments=True)[1:])
        if "--watch" not in command:
            assert invoke(command).exit_code == 0


def test_the_figures_of_the_document():
    text = PAGE.read_text(encoding="utf-8")
    table = re.findall(r"│ ([\d.]+) +│ +([\d.]+) % +│", text)
    assert len(table) == 4
    for epsilon, sure in [*table, ("1", "73.2"), ("3", "95.3")]:
        exact = 100 / (1 + math.exp(-float(epsilon)))
        assert exact <= float(sure) < exact + 1.01 * 10.0 ** -len(sure.partition(".")[2])
    assert "73.2 % sure at ε = 1, or 95.3 % sure at ε = 3" in " ".join(text.split())


# ---------------------------------------------------------------- amendments and evidence


def test_a_cap_is_amended_on_the_record(invoke):
    shown = invoke("ledger amend budget.db sensors --epsilon 4 --reason 'a second season'").stdout
    assert "the cap was ε = 3 at δ = 1e-06, and is ε = 4 at δ = 1e-06 from now on: a second season" in shown
    with fa.Ledger("budget.db") as ledger:
        *_, entry = ledger.entries()
        assert (entry.body["type"], entry.body["reason"]) == ("amend", "a second season")
        assert f"head {ledger.head()}" in shown
        assert ledger.budget("sensors").epsilon == 4.0
    verified = invoke("ledger verify budget.db").stdout
    assert re.search(r"budget sensors: .*by a second accountant epsilon=.*cap amended 1 time", verified)
    assert json.loads(invoke("ledger verify budget.db --json").stdout)["budgets"]["sensors"]["amended"] == 1


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("sensor --epsilon 4 --reason x", 2, "no such budget, did you mean 'sensors'"),
        ("sensors --epsilon 0.1 --reason x", 2, "what is spent stays spent"),
        ("sensors --rho 1 --reason x", 2, "capped in epsilon: amend it with epsilon="),
        ("sensors --reason x", 2, "capped in epsilon: amend it with epsilon="),
        ("sensors --epsilon 4 --reason ''", 2, "reason="),
    ],
)
def test_an_amendment_that_cannot_be_meant_changes_nothing(invoke, line, code, said):
    before = Path("budget.db.head").read_text()
    assert said in invoke(f"ledger amend budget.db {line}", code=code).stderr
    assert Path("budget.db.head").read_text() == before


def test_an_amendment_of_no_ledger_makes_none(invoke):
    assert "does not exist" in invoke("ledger amend none.db sensors --epsilon 4 --reason x", code=2).stderr
    assert not Path("none.db").exists()


def test_windows_and_own_caps_on_the_screen(invoke):
    with fa.Ledger("weekly.db", actor="ada") as ledger:
        terms = {"rho": 1.0, "window": "1w", "actor_caps": {"ada": 0.5, "*": 0.25}}
        ledger.budget("weekly", **terms).reserve([Plan("k", {"is": "Count"}, Gaussian(100.0), 10**11, "central")])
    shown = invoke("ledger show weekly.db").stdout
    assert "90 % left" in shown
    assert re.search(r"rho = 1, every 7d .*your own cap in it leaves 25 % .*next window 20\d\d-", shown)
    assert re.search(r"1 window, the fullest 10 % spent, charged rho=0.1", invoke("ledger verify weekly.db").stdout)
    [row] = json.loads(invoke("ledger remaining weekly.db --json").stdout)["budgets"]
    assert (row["window"], row["spent_over_all_time"]) == ("7d", pytest.approx(0.1))
    assert row["window_ends"].endswith("T00:00:00+00:00")
