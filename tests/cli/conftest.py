from __future__ import annotations

import inspect
import random

import pytest
from typer.testing import CliRunner

from fedanalytics.cli.app import app
from fedanalytics.ledger import Ledger

STUDY = """
name = "sensors"

[data]
path = "readings.csv"
client = "sensor"
population = 600
missing = ["", "NA"]

[budget]
ledger = "budget.db"
epsilon = 3.0
delta = 1e-6

[cost]
rho = 0.01

[[query]]
name = "sensors"
statistic = "count"
share = 0.25

[[query]]
name = "mean temperature"
statistic = "mean"
column = "temp"
bounds = [0, 110]
share = 0.75

[[query]]
name = "temperatures"
statistic = "histogram"
column = "temp"
edges = "0:110:10"
rho = 0.002
"""

MORE = """
[[query]]
name = "by region"
statistic = "histogram"
column = "temp"
edges = [-inf, 50, inf]
by = "region"
groups = ["north", "south"]
epsilon = 0.1

[[query]]
name = "spread per day"
statistic = "variance"
column = "temp"
bounds = [0, 110]
by = "day"
groups = [0, 1, 2]
noise_multiplier = 10

[[query]]
name = "readings"
statistic = "count"
weight = "record"
max_records = 3
epsilon = 0.1
delta = 1e-6

[[query]]
name = "total"
statistic = "sum"
column = "temp"
bounds = [0, 300]
rho = 0.001
"""


@pytest.fixture(scope="session")
def readings():
    """600 sensors with one to three readings, some of them missing."""
    draw = random.Random(7)  # noqa: S311  # test data
    rows = ["sensor,region,day,temp"]
    for sensor in range(600):
        region = "north" if sensor % 3 else "south"
        for day in range(1 + sensor % 3):
            temp = "NA" if draw.random() < 0.05 else f"{draw.gauss(60, 15):.1f}"
            rows.append(f"s{sensor:03d},{region},{day},{temp}")
    return "\n".join(rows) + "\n"


@pytest.fixture(scope="session")
def study():
    """A study of three questions."""
    return STUDY


@pytest.fixture(scope="session")
def more():
    """Four more questions for it: every statistic, grouped and not, and every form of a cost."""
    return MORE


@pytest.fixture
def place(tmp_path, monkeypatch, readings):
    """A current directory with readings.csv and study.toml, and a screen of 80 columns without colour."""
    (tmp_path / "readings.csv").write_text(readings)
    (tmp_path / "study.toml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "PY_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def invoke(place):
    """Runs a command in this process; the result has exit_code, stdout and stderr."""

    apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}  # click < 8.2

    def run(*arguments, code=0):
        result = CliRunner(**apart).invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, f"{result.stdout}\n{result.stderr}"
        assert "Traceback" not in result.stdout + result.stderr
        return result

    return run


@pytest.fixture
def head(place):
    """The head of a ledger in the current directory."""

    def of(name="budget.db"):
        with Ledger(place / name) as ledger:
            return str(ledger.head())

    return of
