"""The officer's page: how long it takes to write one of a long ledger, and how large it is."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cases import case
from interleave import Row, seconds

import fedanalytics as fa
from fedanalytics.ledger import Answer, Plan
from fedanalytics.privacy import Gaussian

ENTRIES = 100_000
EVENTS = tuple(Gaussian(multiplier) for multiplier in (300.0, 500.0, 1000.0))
WRITE = "import sys; from fedanalytics.report import write; write(*sys.argv[1:])"


def long_ledger(folder: Path) -> str:
    """A year of questions by 20 people about ten columns, 50 to a run, each of them answered."""
    path = str(Path(tempfile.mkdtemp(dir=folder)) / "budget.db")
    rule, numbers = fa.privacy.filters.Gdp(), itertools.count()
    base = {"is": "Mean", "bounds": [0.0, 110.0], "where": "hour >= 8"}
    people = [fa.Ledger(path, actor=f"analyst {n}") for n in range(20)]
    budgets = [ledger.budget("bench", epsilon=100.0, delta=1e-6, unit="u", dataset="d") for ledger in people]
    for budget in itertools.cycle(budgets):
        if people[0].head().seq >= ENTRIES:
            break
        plans = []
        for n in itertools.islice(numbers, 50):
            question = {"query": {**base, "column": f"column {n % 10}"}, "shares": ["1"]}
            event = EVENTS[n % len(EVENTS)]
            plans.append(Plan(f"study/{n}", question, event, rule.price(event), "central"))
        budget.commit([Answer(held, 0, "d" * 64, [[1.25, 2.5]]) for held in budget.reserve(plans)])
    for ledger in people:
        ledger.close()
    return path


@case
def report_of_a_long_ledger(folder: Path) -> Iterator[Row]:
    """100,000 entries in a process of its own, imports and verification included; the floor is to verify them."""
    path, page = long_ledger(folder), folder / "report.html"
    command = [sys.executable, "-c", WRITE, path, str(page)]
    took = [seconds(lambda: subprocess.run(command, check=True)) for _ in range(3)]
    start = time.perf_counter()
    fa.verify(path)
    floor = time.perf_counter() - start
    size = page.stat().st_size / 1e6
    yield Row(
        f"report: page of 100,000 entries, in seconds (to verify them: {floor:.2f} s)", "1 s", sorted(took)[1], 5.0
    )
    yield Row("report: that page, in megabytes", "1 MB", size, 3.0)
