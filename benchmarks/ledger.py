"""The ledger: what a durable spend costs over SQLite's own commits, and whether it stays flat."""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cases import case
from interleave import Row, ratio, seconds

import fedanalytics as fa
from fedanalytics.ledger import Answer, Plan
from fedanalytics.privacy import Gaussian

EVENT = Gaussian(1000.0)
UNITS = fa.privacy.filters.Gdp().price(EVENT)


def spender(folder: Path):
    """A budget on disk that will not run dry, and a call that spends from it: reserve, then commit."""
    ledger = fa.Ledger(Path(tempfile.mkdtemp(dir=folder)) / "budget.db")
    budget = ledger.budget("bench", epsilon=1e4, delta=1e-6, unit="u", dataset="d")
    keys = map(str, itertools.count())

    def spend() -> None:
        [held] = budget.reserve([Plan(next(keys), {"is": "Mean", "column": "temp"}, EVENT, UNITS, "central")])
        budget.commit([Answer(held, 0, "d" * 64, [[1.25, 2.5]])])

    return ledger, spend


@case
def spends(folder: Path) -> Iterator[Row]:
    """Reserve and commit against two bare commits of the same bytes."""
    bare = sqlite3.connect(Path(tempfile.mkdtemp(dir=folder)) / "bare.db", isolation_level=None)
    bare.execute("PRAGMA journal_mode = WAL")
    bare.execute("PRAGMA synchronous = FULL")
    bare.execute("CREATE TABLE entry (seq INTEGER PRIMARY KEY, body TEXT)")

    def two_commits() -> None:
        for _ in range(2):
            bare.execute("BEGIN IMMEDIATE")
            bare.execute("INSERT INTO entry (body) VALUES (?)", ("x" * 700,))
            bare.execute("COMMIT")

    ledger, spend = spender(folder)
    found, spread = ratio(spend, two_commits, 1001)
    yield Row("ledger: reserve and commit one query", "two bare SQLite commits, synchronous=FULL", found, 1.5, spread)
    ledger.close()


@case
def many_spends(folder: Path) -> Iterator[Row]:
    """10,000 spends: the last against the first; then verification of 100,000 entries."""
    ledger, spend = spender(folder)
    times = [seconds(spend) for _ in range(10_000)]
    first, last = (statistics.median(part) for part in (times[:1000], times[-1000:]))
    yield Row("ledger: the last 1,000 of 10,000 spends, admission each", "the first 1,000", last / first, 1.2)
    while ledger.head().seq < 100_000:
        spend()
    ledger.close()
    sizes = sum(len(str(entry.body)) for entry in fa.Ledger(ledger.path).entries())
    start = time.perf_counter()
    fa.verify(ledger.path)
    took = time.perf_counter() - start
    floor = seconds(lambda: hashlib.sha256(b"x" * sizes).digest())
    yield Row(f"ledger: verify 100,000 entries, in seconds (SHA-256 of the bytes: {floor:.2f} s)", "1 s", took, 3.0)
