from __future__ import annotations

import json
import sqlite3

import pytest

from fedanalytics.ledger import Ledger


@pytest.fixture
def spent(invoke):
    invoke("run", "study.toml")
    return invoke


def files(place):
    """Everything that is kept; SQLite's own scratch files come and go with readers."""
    return {file.name: file.read_bytes() for file in place.iterdir() if not file.name.endswith(("-shm", "-wal"))}


def test_show_says_who_spent_what(spent, place):
    before = files(place)
    shown = spent("ledger", "show", "budget.db").stdout
    assert files(place) == before
    assert "budget sensors" in shown
    assert "94.3 % left" in shown
    assert "ε = 3 at δ = 1e-06 · each sensor of readings.csv" in shown
    assert [line.split()[0] for line in shown.splitlines() if "Mean" in line] == ["4"]
    with Ledger("budget.db") as ledger:
        assert f"ledger budget.db at {ledger.head()}" in shown


def test_show_as_json(spent):
    shown = json.loads(spent("ledger", "show", "budget.db", "--json").stdout)
    [budget] = shown["budgets"]
    assert budget["spent"]["units"] == 12 * 10**9
    assert [query["query"] for query in budget["queries"]] == ["Count", "Mean", "Histogram"]
    assert sum(query["units"] for query in budget["queries"]) == budget["spent"]["units"]


@pytest.mark.parametrize(("last", "rows", "older"), [(1, 1, "2 older ones"), (0, 0, "3 older ones"), (3, 3, "ledger")])
def test_show_the_newest(spent, last, rows, older):
    shown = spent("ledger", "show", "budget.db", "--last", last).stdout
    assert sum("sensors/20" in line for line in shown.splitlines()) == rows
    assert older in shown


def test_show_names_what_has_no_answer(spent, monkeypatch):
    with sqlite3.connect("budget.db") as ledger:
        ledger.execute("DROP TRIGGER result_delete")
        ledger.execute("DELETE FROM result")
        ledger.execute(
            "CREATE TRIGGER result_delete BEFORE DELETE ON result"
            " BEGIN SELECT RAISE(ABORT, 'result is append-only'); END"
        )
    assert spent("ledger", "show", "budget.db").stdout.count("unanswered") == 3


def test_a_narrow_screen(spent, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    for arguments in (("run", "study.toml"), ("run", "study.toml", "--exact"), ("run", "study.toml", "--dry-run")):
        shown = spent(*arguments).stdout
        assert "sensors" in shown
        assert "mean" in shown
    assert "sensors/20" in spent("ledger", "show", "budget.db").stdout


def test_an_empty_ledger(invoke, place):
    Ledger("empty.db").close()
    assert "no budget has been opened" in invoke("ledger", "show", "empty.db").stdout
    assert "empty.db verifies: 0 entries" in invoke("ledger", "verify", "empty.db").stdout


def test_a_budget_that_nobody_used(invoke, place):
    with Ledger("new.db") as ledger:
        ledger.budget("new", rho=1)
    assert "rho = 1 · nothing asked yet" in invoke("ledger", "show", "new.db").stdout


def test_verify_and_head(spent, head):
    shown = spent("ledger", "verify", "budget.db").stdout
    assert "budget.db verifies: 8 entries" in shown
    assert "budget sensors: 5.7 % spent" in shown
    assert f"head {head()}" in shown
    printed = spent("ledger", "head", "budget.db").stdout.strip()
    assert printed == head()
    assert json.loads(spent("ledger", "verify", "budget.db", "--head", printed, "--json").stdout)["head"] == printed


def test_verify_names_a_reservation_without_an_answer(spent):
    with Ledger("budget.db") as ledger:
        from fedanalytics.ledger import Plan
        from fedanalytics.privacy.events import Gaussian

        ledger.budget("sensors").reserve([Plan("k", {"is": "Count"}, Gaussian(10.0), 5 * 10**9, "central")])
    assert "1 reserved without an answer" in spent("ledger", "verify", "budget.db").stdout


def test_one_byte_changed_is_exit_code_4(spent, place):
    path = place / "budget.db"
    with sqlite3.connect(path) as ledger:
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ledger.close()
    data = path.read_bytes()
    at = data.index(b'"units":2500000000') + len(b'"units":')
    path.write_bytes(data[:at] + b"1" + data[at + 1 :])
    stderr = spent("ledger", "verify", "budget.db", code=4).stderr
    assert "entry 3 was changed" in stderr


def test_a_head_that_is_not_in_the_chain_is_exit_code_4(spent):
    assert (
        "does not contain the known head"
        in spent("ledger", "verify", "budget.db", "--head", f"8:{'0' * 64}", code=4).stderr
    )


@pytest.mark.parametrize("command", ["show", "verify", "head"])
@pytest.mark.parametrize(
    ("name", "code", "message"), [("none.db", 2, "does not exist"), ("study.toml", 4, "no ledger")]
)
def test_what_is_no_ledger(invoke, place, command, name, code, message):
    before = sorted(place.iterdir())
    assert message in invoke("ledger", command, name, code=code).stderr
    assert sorted(place.iterdir()) == before


@pytest.mark.parametrize("command", ["show", "head", "verify"])
def test_an_older_copy_is_exit_code_4(spent, place, command):
    (place / "budget.db.head").write_text(f"99:{'0' * 64}")
    assert "does not contain the known head 99" in spent("ledger", command, "budget.db", code=4).stderr


def test_a_head_that_is_none(spent):
    assert "a head looks like" in spent("ledger", "verify", "budget.db", "--head", "xyz", code=2).stderr
