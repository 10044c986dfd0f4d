"""The figures: what is run, against which floor, with which goal."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
from interleave import Row, ratio

import fedanalytics as fa

READINGS, CLIENTS = 10_000_000, 100_000
CASES: list[Callable[[Path], Iterator[Row]]] = []


def case(function: Callable[[Path], Iterator[Row]]) -> Callable[[Path], Iterator[Row]]:
    """Registers a case."""
    CASES.append(function)
    return function


def session_of(fleet: fa.Fleet, folder: Path) -> fa.Session:
    """A session that pays from a ledger on disk, with enough for any number of runs."""
    ledger = fa.Ledger(Path(tempfile.mkdtemp(dir=folder)) / "budget.db")
    return fa.Session(fleet, ledger.budget("bench", rho=1e6))


@case
def mean_of_values(folder: Path) -> Iterator[Row]:
    """A private mean of one number per client, with its ledger, against numpy."""
    for size, goal, runs in ((1_000_000, 2.0, 101), (10_000_000, 1.0, 21)):
        values = np.random.default_rng(0).normal(60, 15, size)
        session = session_of(fa.Fleet.from_values(values), folder)
        query = fa.mean("value", bounds=(0, 110))
        found, spread = ratio(
            lambda s=session, q=query: s.run(q, rho=0.01), lambda x=values: np.clip(x, 0, 110).mean(), runs
        )
        yield Row(
            f"`session.run(fa.mean)`, {size:.0e} values, ledger on disk",
            "`np.clip(x, lo, hi).mean()`",
            found,
            goal,
            spread,
        )


def readings(folder: Path) -> Path:
    """10 million readings of 100,000 clients as Parquet."""
    path = folder / "readings.parquet"
    if not path.exists():
        duckdb.sql(
            f"COPY (SELECT (random() * {CLIENTS})::INT AS client, 60 + 15 * (random() + random() - 1) AS temp,"
            f" (random() * 24)::INT AS hour FROM range({READINGS})) TO '{path}'"
        )
    return path


@case
def tables(folder: Path) -> Iterator[Row]:
    """Per-client means over Parquet, then a private mean and a histogram, against the same SQL without privacy."""
    path = readings(folder)
    session = session_of(fa.Fleet.from_parquet(str(path), client="client"), folder)
    connection = duckdb.connect()
    per_client = f"SELECT avg(temp) AS v FROM '{path}' GROUP BY client"
    plain_mean = f"SELECT avg(least(greatest(v, 0), 110)) FROM ({per_client})"
    edges = tuple(np.linspace(40, 80, 101))
    plain_histogram = (
        f"SELECT floor((v - 40) / 0.4)::INT AS bin, count(*) FROM ({per_client}) GROUP BY bin ORDER BY bin"
    )
    for name, query, text, goal in (
        ("mean", fa.mean("temp", bounds=(0, 110)), plain_mean, 1.3),
        ("histogram of 100 bins", fa.histogram("temp", edges=edges), plain_histogram, 1.5),
    ):
        found, spread = ratio(
            lambda q=query: session.run(q, rho=0.01), lambda t=text: connection.execute(t).fetchall(), 21
        )
        yield Row(
            f"{name} per client, 1e5 clients, 1e7 readings in Parquet", "the same SQL in DuckDB", found, goal, spread
        )


@case
def traced_mean(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # a case takes the folder, needed or not
    """The exact traced mean, warm."""

    @fa.federated_computation(fa.FederatedType(np.float32, fa.CLIENTS))
    def average(readings):
        return fa.federated_mean(readings)

    values = np.random.default_rng(0).normal(60, 15, 100_000).astype(np.float32)
    found, spread = ratio(lambda: average(values), lambda: np.mean(values), 501)
    yield Row("exact traced `federated_mean`, 1e5 values, warm", "`np.mean`", found, 4.0, spread)


PEAK = """
import sys
import fedanalytics as fa
[getattr(fa, name) for name in fa.__all__]
path, folder, run = sys.argv[1:]
if run == "yes":
    fleet = fa.Fleet.from_parquet(path, client="client")
    session = fa.Session(fleet, fa.Ledger(folder + "/peak.db").budget("peak", rho=1.0))
    session.run(fa.mean("temp", bounds=(0, 110)), rho=0.01)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@case
def peak_memory(folder: Path) -> Iterator[Row]:
    """What a private mean over Parquet adds to the process, in columns of 8-byte numbers."""

    def peak(run: str) -> int:
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            command = [sys.executable, "-c", PEAK, str(readings(folder)), fresh, run]
            return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    added = sorted(peak("yes") - peak("no") for _ in range(3))[1] * 1024
    yield Row(
        "memory that the mean adds at its peak, 1e7 readings from Parquet",
        "one column (80 MB)",
        added / (8 * READINGS),
        3.0,
    )


@case
def error_of_the_mean(folder: Path) -> Iterator[Row]:
    """RMSE of 5,000 private means (1,000 leave 2 % of chance), where the count is private too."""
    clients, rho = 10_000, 0.01
    values = np.clip(np.random.default_rng(0).normal(66, 10, clients), 0, 110)  # a tenth of the range off the middle
    session = session_of(fa.Fleet.from_values(values), folder)
    query = fa.mean("value", bounds=(0, 110))
    errors = [session.run(query, rho=rho).value - values.mean() for _ in range(5000)]
    floor = 55 / math.sqrt(2 * rho) / clients
    rmse = float(np.sqrt(np.mean(np.square(errors))))
    yield Row(
        "RMSE of 5,000 means, n = 10,000, rho = 0.01, count private", "the floor with n public", rmse / floor, 1.25
    )


@case
def import_time(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # a case takes the folder, needed or not
    """The cost of the import."""

    def run(text: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", text], check=True)

    every = "import fedanalytics as fa; [getattr(fa, name) for name in fa.__all__]"
    for name, text in (("`import fedanalytics`", "import fedanalytics"), ("the same, every public name used", every)):
        found, spread = ratio(run(text), run("import numpy, duckdb"), 21)
        yield Row(name, "`import numpy, duckdb`", found, 1.3, spread)
