"""Processes that race for windows, actors' caps and amendments, and are killed in between."""

from __future__ import annotations

import contextlib
import random
import select
import signal
import subprocess
import sys
import time

from fedanalytics.ledger import Ledger, verify

PRELUDE = """
import datetime, sys
from fedanalytics.errors import *
from fedanalytics.ledger import Answer, Ledger, Plan, entries
from fedanalytics.privacy.events import NoOp
def plan(key, units=1): return Plan(key, {"is": "Count"}, NoOp(), units, "central")
path, *rest = sys.argv[1:]
class Clock:
    UTC, time = datetime.UTC, datetime.datetime(2026, 3, 2, 12, tzinfo=datetime.UTC)
    def now(self, zone): return self.time
Clock.datetime = clock = Clock()
"""


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    return out


RACER = """
entries.dt = clock
print("ready", flush=True)
sys.stdin.readline()
granted = []
with Ledger(path, timeout=60, actor=rest[0][0]) as ledger:
    budget = ledger.budget("a", rho=100e-12, window="1d", actor_caps={"a": 0.3, "b": 0.6})
    for day in range(3):
        for i in range(10**6):
            try:
                [held] = budget.reserve([plan(f"{day} {rest[0]} {i}")])
            except BudgetExceeded:
                break
            except LedgerError:  # another has begun the next day: ours is over
                break
            granted.append(day)
            budget.commit([Answer(held, 0, "d", i)])
        clock.time += datetime.timedelta(days=1)
print([granted.count(day) for day in range(3)])
"""


def test_of_four_processes_each_actor_and_each_window_gets_no_more_than_its_cap(place):
    racers = [child(RACER, place, name) for name in ("a1", "a2", "b1", "b2")]
    assert {racer.stdout.readline() for racer in racers} == {"ready\n"}
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    granted = [numbers(finished(racer)) for racer in racers]
    state = verify(place).budgets["a"]
    assert state.spent == sum(map(sum, granted))
    assert state.fullest.spent <= 90
    with Ledger(place) as ledger:
        spent = {}
        for entry in ledger.entries():
            if entry.body["type"] == "reserve":
                whose = entry.body["window"], entry.body["actor"]
                spent[whose] = spent.get(whose, 0) + entry.body["units"]
    assert max(units for (_, actor), units in spent.items() if actor == "a") == 30
    assert max(units for (_, actor), units in spent.items() if actor == "b") == 60


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.strip("[]\n").split(",")]


AMENDER = """
print("ready", flush=True)
sys.stdin.readline()
with Ledger(path, timeout=60) as ledger:
    budget, raised, granted = ledger.budget("a"), 0, 0
    for i in range(60):
        try:
            if rest[0] == "raise":
                budget.amend(rho=(100 + 10 * (i + 1)) * 1e-12, reason=f"step {i}")
            elif rest[0] == "lower":
                budget.amend(rho=budget.spent.units * 1e-12 or 1e-12, reason=f"step {i}")
            else:
                budget.reserve([plan(f"{rest[0]} {i}", 5)])
            granted += 1
        except (BudgetExceeded, BadArgument):
            pass
print(granted)
"""


def test_amendments_race_with_spends(place):
    """The cap moves up and down while two programs spend: at no moment is more spent than it allows."""
    with Ledger(place) as ledger:
        ledger.budget("a", rho=100e-12)
    racers = [child(AMENDER, place, name) for name in ("raise", "lower", "one", "two")]
    assert {racer.stdout.readline() for racer in racers} == {"ready\n"}
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    raised, lowered, *granted = (int(finished(racer)) for racer in racers)
    state = verify(place).budgets["a"]  # replays every entry under the cap of its moment
    assert state.spent == 5 * sum(granted) <= state.cap
    assert state.amended == raised + lowered > 0


KILLED = """
with Ledger(path, actor="ada") as ledger:
    budget = ledger.budget("a")
    for i in range(10**6):
        [held] = budget.reserve([plan(f"{rest[0]}-{i}")])
        if i % 2:
            budget.amend(rho=(budget.cap + 1) * 1e-12, reason=f"{rest[0]}-{i}")
        budget.commit([Answer(held, 0, "d", held.key)])
        print(held.key, flush=True)
"""


def test_a_kill_leaves_balances_that_verify(place):
    """Eight kills at random moments between and in the transactions of a budget with every kind of cap."""
    moments, printed = random.Random(11), set()  # noqa: S311  # when to kill, not what to draw
    with Ledger(place) as ledger:
        ledger.budget("a", rho=1e-6, window="1h", actor_caps={"ada": 0.9})
    for run in range(8):
        process = child(KILLED, place, run)
        assert select.select([process.stdout], [], [], 60)[0]
        time.sleep(moments.uniform(0, 0.06))
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate(timeout=30)
        printed |= {line for line in out.split("\n")[:-1] if line}
        result = verify(place)
        with contextlib.closing(Ledger(place)) as ledger:
            rows = ledger.budget("a").total.queries
            assert result.budgets["a"].spent == len(rows)
            assert printed <= {row["key"] for row in rows if row["state"] == "committed"}
    assert len(printed) > 8
