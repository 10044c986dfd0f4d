"""Real processes: kills, races, forks, locks, full and read-only file systems."""

from __future__ import annotations

import contextlib
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

import pytest

from fedanalytics.errors import BudgetExceeded, LedgerError, LedgerLocked, LedgerUnwritable
from fedanalytics.ledger import Answer, Ledger, Plan, verify
from fedanalytics.ledger.results import LARGE
from fedanalytics.privacy.events import NoOp

PRELUDE = """
import os, sys
from fedanalytics.errors import *
from fedanalytics.ledger import Answer, Ledger, Plan, verify
from fedanalytics.privacy.events import NoOp
def plan(key, units=1): return Plan(key, {"is": "Count"}, NoOp(), units, "central")
path, *rest = sys.argv[1:]
"""


def plan(key: str, units: int = 1) -> Plan:
    return Plan(key, {"is": "Count"}, NoOp(), units, "central")


def child(code: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)


def finished(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    return out


SPENDER = """
ledger = Ledger(path)
budget = ledger.budget("a", rho=1)
body = "x" * int(rest[1])
for i in range(10**6):
    [held] = budget.reserve([plan(f"{rest[0]}-{i}")])
    budget.commit([Answer(held, 0, "d", [f"{rest[0]}-{i}", body])])
    print(held.key, flush=True)
"""


def test_a_kill_loses_no_answer_and_frees_no_budget(place):
    """Ten kills at random moments, some of them while a large answer is being filed."""
    moments = random.Random(7)  # noqa: S311  # when to kill, not what to draw
    printed: set[str] = set()
    for run in range(10):
        process = child(SPENDER, place, run, LARGE if run % 3 == 0 else 10)
        select.select([process.stdout], [], [], 30)
        time.sleep(moments.uniform(0, 0.06))
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate(timeout=30)
        printed |= {line for line in out.split("\n")[:-1] if line}
        with Ledger(place) as ledger:
            rows = ledger.budget("a").spent.queries
            stored = {row["key"] for row in rows if row["state"] == "committed"}
            assert printed <= stored
            assert len(rows) - len(stored) <= run + 1  # at most one reservation is left open by each kill
            assert ledger.budget("a").spent.units == len(rows) >= len(printed)
    assert verify(place).budgets["a"].spent >= len(printed) > 10
    with Ledger(place) as ledger:
        key = min(printed)
        [again] = ledger.budget("a").reserve([plan(key)])
        assert again.replayed
        assert again.answers[0].body[0] == key


RACER = """
print("ready", flush=True)
sys.stdin.readline()
budget = Ledger(path, timeout=60).budget("a", rho=400e-12)
granted = 0
for i in range(10**6):
    try:
        [held] = budget.reserve([plan(f"{rest[0]}-{i}")])
    except BudgetExceeded:
        break
    budget.commit([Answer(held, 0, "d", i)])
    granted += 1
print(granted)
"""


def test_eight_processes_are_granted_exactly_the_cap(place):
    racers = [child(RACER, place, n) for n in range(8)]
    assert {racer.stdout.readline() for racer in racers} == {"ready\n"}
    for racer in racers:  # all at once: they race to make the file, too
        racer.stdin.write("go\n")
        racer.stdin.flush()
    granted = [int(finished(racer)) for racer in racers]
    assert sum(granted) == 400
    result = verify(place)
    assert (result.budgets["a"].spent, result.budgets["a"].open) == (400, ())
    assert result.entries == 801


def test_of_two_processes_that_answer_one_wins(place):
    with Ledger(place) as ledger:
        budget = ledger.budget("a", rho=1)
        budget.reserve([plan("k")])
        code = """
[held] = Ledger(path).budget("a").reserve([plan("k")])
sys.stdin.readline()
print(Ledger(path).budget("a").commit([Answer(held, i, "d", [rest[0], i]) for i in range(20)]))
"""
        runs = [child(code, place, n) for n in range(3)]
        answers = {run.communicate("go\n", timeout=60)[0] for run in runs}
        assert len(answers) == 1
        assert verify(place).entries == 2 + 20
        assert budget.spent.units == 1


HOLDER = """
import sqlite3, time
connection = sqlite3.connect(path, isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
time.sleep(float(rest[0]))
connection.execute("ROLLBACK")
"""


def test_a_ledger_locked_by_another_process_waits_then_says_so(path):
    with Ledger(path, timeout=0.3) as hasty, Ledger(path, timeout=30) as patient:
        budget = hasty.budget("a", rho=1)
        holder = child(HOLDER, path, 0.3)
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LedgerLocked, match=r"waited 0.3 s"):
            budget.reserve([plan("hasty")])
        assert budget.spent.units == 0
        holder.stdin.write("\n")
        holder.stdin.flush()
        patient.budget("a").reserve([plan("patient")])
        finished(holder)
        budget.reserve([plan("hasty")])
        assert budget.spent.units == 2


def fork(act) -> int:
    """The number of a child that acts and ends: with 0 if nothing was raised."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        except BaseException:  # noqa: BLE001  # whatever it was, the child must end here
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def forked(act) -> int:
    return exit_code(fork(act))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
class TestForks:
    def test_both_sides_spend_from_one_budget(self, place):
        with Ledger(place) as ledger:
            budget = ledger.budget("a", rho=3e-12)
            budget.reserve([plan("before")])
            assert forked(lambda: budget.reserve([plan("child")])) == 0
            budget.reserve([plan("after")])
            assert forked(lambda: budget.reserve([plan("too much")])) == 1
            with pytest.raises(BudgetExceeded):
                budget.reserve([plan("too much")])
            assert [row["key"] for row in budget.spent.queries] == ["before", "child", "after"]
        assert verify(place).entries == 4

    def test_both_sides_spend_at_once(self, place):
        """On one connection, each would read what was meant for the other."""
        with Ledger(place, timeout=30) as ledger:
            budget = ledger.budget("a", rho=1)

            def spend(who):
                for i in range(30):
                    [held] = budget.reserve([plan(f"{who} {i}")])
                    assert budget.commit([Answer(held, 0, "d", held.key)]) == (f"{who} {i}",)

            pid = fork(lambda: spend("child"))
            spend("parent")
            assert exit_code(pid) == 0
            assert budget.spent.units == 60
        assert verify(place).entries == 121

    def test_a_child_that_outlives_the_parents_connection_loses_nothing(self, place):
        """With a connection carried across the fork, the child would write to a log that the parent deleted."""
        ledger = Ledger(place)
        budget = ledger.budget("a", rho=1)
        budget.reserve([plan("parent")])
        ready, go = os.pipe(), os.pipe()

        def act():
            budget.reserve([plan("child 1")])
            os.write(ready[1], b"1")
            os.read(go[0], 1)
            budget.reserve([plan("child 2")])

        pid = fork(act)
        os.read(ready[0], 1)
        budget.reserve([plan("parent 2")])
        ledger.close()
        os.write(go[1], b"1")
        assert exit_code(pid) == 0
        assert verify(place).budgets["a"].spent == 4

    @pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
    def test_many_make_it_at_once(self, kind, tmp_path, request):
        for turn in range(6):
            start = time.monotonic() + 0.05
            new = tmp_path / f"{turn}.db" if kind == "sqlite" else request.getfixturevalue("server").schema()

            def act(place=str(new), start=start):
                while time.monotonic() < start:
                    pass
                Ledger(place, timeout=20).budget("a", rho=1)

            children = [fork(act) for _ in range(6)]
            assert [exit_code(pid) for pid in children] == [0] * 6
            assert verify(str(new)).entries == 1

    def test_the_childs_threads_may_spend(self, place):
        with Ledger(place) as ledger:
            budget = ledger.budget("a", rho=1)

            def act():
                thread = threading.Thread(target=budget.reserve, args=([plan("thread")],), daemon=True)
                thread.start()
                thread.join(20)
                assert not thread.is_alive()

            assert forked(act) == 0
            assert budget.spent.units == 1

    def test_memory_cannot_be_shared(self):
        with Ledger(":memory:") as ledger:
            budget = ledger.budget("a", rho=1)

            def act():
                with pytest.raises(LedgerError, match="give the ledger a path"):
                    budget.reserve([plan("child")])

            assert forked(act) == 0
            budget.reserve([plan("parent")])
            assert budget.spent.units == 1


@pytest.fixture
def small(tmp_path):
    """A file system of 3 MiB, where the system lets us mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_reserves_nothing_and_room_helps(small):
    path = small / "budget.db"
    with Ledger(path) as ledger:
        budget = ledger.budget("a", rho=1)
        [first] = budget.reserve([plan("first")])
        (small / "filler").write_bytes(b"")
        with (small / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(b"x" * 4096):
                pass
        held = [first]

        def fill():
            for i in range(1000):
                held.extend(budget.reserve([Plan(f"{i}", {"is": "Count", "where": "w" * 4000}, NoOp(), 1, "central")]))

        with pytest.raises(LedgerUnwritable, match="is the disk full"):
            fill()
        with pytest.raises(LedgerUnwritable):
            budget.commit([Answer(first, 0, "d", "x" * 100_000)])
        with pytest.raises(LedgerUnwritable, match="it was not committed"):
            budget.commit([Answer(first, 0, "d", "x" * (LARGE + 1))])
        assert budget.spent.units == len(held)
        assert verify(ledger).budgets["a"].spent == len(held)
        (small / "filler").unlink()
        budget.reserve([plan("room")])
        assert budget.commit([Answer(first, 0, "d", "x" * (LARGE + 1))]) == ("x" * (LARGE + 1),)
        assert verify(path).budgets["a"].spent == len(held) + 1


def test_a_ledger_made_on_a_full_disk(small):
    with (small / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(b"x" * 4096):
            pass
    with pytest.raises(LedgerUnwritable):
        Ledger(small / "budget.db")
    (small / "filler").unlink()
    with Ledger(small / "budget.db") as ledger:
        ledger.budget("a", rho=1)
    assert verify(small / "budget.db").entries == 1


def test_a_read_only_medium_is_verified_and_not_written(small):
    with Ledger(small / "budget.db") as ledger:
        ledger.budget("a", rho=1).reserve([plan("k")])
        head = ledger.head()
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    assert verify(small / "budget.db", head).budgets["a"].spent == 1
    with pytest.raises(LedgerUnwritable, match="read-only"), Ledger(small / "budget.db") as ledger:
        ledger.budget("a").reserve([plan("late")])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may act as someone else")
def test_someone_who_may_only_read(monkeypatch):
    """Nothing is reserved; and who has no name acts by number."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    path = folder / "budget.db"
    with Ledger(path) as ledger:
        ledger.budget("a", rho=1).reserve([plan("mine")])

        def spend():
            with Ledger(path, timeout=1) as mine:
                mine.budget("a").reserve([plan("stranger")])

        def act():
            os.setuid(54321)
            assert Ledger(":memory:").actor == "uid 54321"
            with pytest.raises(LedgerUnwritable):
                spend()

        assert forked(act) == 0
        assert ledger.budget("a").spent.units == 1
    assert verify(path).entries == 2
    shutil.rmtree(folder)
