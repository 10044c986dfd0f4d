"""``fedanalytics ledger`` on a server: the same commands, an address for a file, and never a password."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from fedanalytics.ledger import Answer, Ledger, Plan, verify
from fedanalytics.privacy.events import NoOp


def program(*arguments: str, code: int = 0) -> str:
    start = [sys.executable, "-c", "from fedanalytics.cli import main; main()"]
    done = subprocess.run([*start, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def command(*arguments: str, code: int = 0) -> str:
    return program("ledger", *arguments, code=code)


@pytest.fixture
def spent(server):
    address = server.schema()
    with Ledger(address, actor="ada") as ledger:
        budget = ledger.budget("sensors", rho=0.01)
        held = budget.reserve([Plan(key, {"is": "Count"}, NoOp(), 10**9, "central") for key in ("a", "b")])
        budget.commit([Answer(held[0], 0, "d", "x" * 2**21)])
    return address


def test_show_verify_and_head(server, spent):
    before = server.run("SELECT count(*) FROM entry", address=spent), verify(spent)
    shown = command("show", spent)
    assert "budget sensors" in shown
    assert "80 % left" in shown
    assert "unanswered" in shown
    rows = json.loads(command("show", spent, "--json"))["budgets"][0]["queries"]
    assert [(row["key"], row["state"]) for row in rows] == [("a", "committed"), ("b", "open")]
    head = command("head", spent).strip()
    assert "verifies: 4 entries" in command("verify", spent, "--head", head)
    assert (server.run("SELECT count(*) FROM entry", address=spent), verify(spent)) == before


def test_a_rewritten_past_is_exit_code_4(server, spent):
    assert "does not contain the known head" in command("verify", spent, "--head", f"4:{'0' * 64}", code=4)
    toggled = ("ALTER TABLE entry DISABLE TRIGGER USER", "ALTER TABLE entry ENABLE TRIGGER USER")
    server.run(
        toggled[0], "UPDATE entry SET body = replace(body, 'ada', 'eve') WHERE seq = 2", toggled[1], address=spent
    )
    assert "entry 2 was changed" in command("verify", spent, code=4)


def test_what_is_no_ledger(server):
    assert "holds no ledger" in command("show", server.schema(), code=2)
    assert "cannot be reached" in command("verify", server.address("none"), code=5)


def test_a_password_is_never_shown(server, spent):
    schema = spent.rpartition("%3D")[2]
    server.run(f"GRANT USAGE ON SCHEMA {schema} TO locked", f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO locked")
    mine = spent.replace("postgres@", "locked:open%20sesame@")
    for arguments in (
        ("show", mine),
        ("show", mine, "--json"),
        ("verify", mine),
        ("verify", mine, "--json"),
        ("head", mine),
    ):
        assert "sesame" not in command(*arguments)
    wrong = mine.replace("open%20sesame", "close-sesame")
    for name in ("show", "verify", "head"):
        assert "sesame" not in command(name, wrong, code=5)


STUDY = """
name = "sensors"

[data]
path = "readings.csv"
client = "sensor"

[budget]
epsilon = 1.0
delta = 1e-6

[[query]]
name = "sensors"
statistic = "count"
rho = 0.01
"""


def test_a_study_is_rehearsed_run_and_replayed_on_a_server(server, tmp_path, monkeypatch):
    """The dry run makes nothing, the second run spends nothing, and no password is shown."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "readings.csv").write_text("sensor,temp\n" + "".join(f"s{i},{i}\n" for i in range(400)))
    (tmp_path / "study.toml").write_text(STUDY)
    address = server.schema().replace("postgres@", "postgres:open%20sesame@")
    common = ("run", "study.toml", "--ledger", address)
    said = [program(*common, "--dry-run")]
    assert server.run("SELECT to_regclass('entry')", address=address) == [(None,)]
    said += [program(*common), program(*common), program(*common, "--dry-run"), program(*common, "--json")]
    assert "this run took" in said[1]
    assert "stored; nothing spent" in said[2]
    assert "a run would cost nothing" in said[3]
    assert all("sesame" not in each for each in said)
    with Ledger(address) as ledger:
        assert ledger.head().seq == 4
