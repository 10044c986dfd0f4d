"""docs/what-the-numbers-mean.md: each of its figures is computed again, each example run."""

import doctest
import math
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedanalytics import privacy
from fedanalytics.cli.accountings import NAMES, figures
from fedanalytics.cli.app import app
from fedanalytics.privacy import Accountant, DiscreteLaplace

PAGE = Path(__file__).resolve().parent.parent / "docs" / "what-the-numbers-mean.md"
TEXT = PAGE.read_text(encoding="utf-8")
EVENTS = re.findall(r"^\| `(.+?)` \| (.+) \|$", TEXT, re.MULTILINE)
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", TEXT, re.DOTALL)
[CHART] = [block for language, block in BLOCKS if language == "mermaid"]


def rounded_up(written, exact):
    """Whether a figure is the exact one rounded up, but for a hair."""
    step = 10.0 ** -len(written.partition(".")[2])
    return exact - 1e-9 <= float(written) < exact + 1.01 * step


def test_the_python_of_the_page_runs():
    found = doctest.testfile(
        str(PAGE), module_relative=False, encoding="utf-8", optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert found.attempted >= 18
    assert found.failed == 0


def test_the_commands_of_the_page_print_what_it_shows(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    shown = [block.split("\n", 1) for language, block in BLOCKS if language == "text"]
    assert shown
    for command, output in shown:
        result = CliRunner().invoke(app, shlex.split(command.removeprefix("$ fedanalytics ")))
        assert (result.exit_code, result.stdout) == (0, output)


@pytest.mark.parametrize(("written", "cells"), EVENTS, ids=[written for written, _ in EVENTS])
def test_the_table_of_accountings(written, cells):
    event = eval(written, {name: getattr(privacy, name) for name in privacy.__all__})  # noqa: S307  # our own document
    found = figures(Accountant().compose(event), 1e-6)
    for cell, one in zip(cells.split(" | "), found, strict=True):
        assert (one.epsilon is None) if cell == "-" else rounded_up(cell, one.epsilon)


def test_the_table_has_the_settings_and_the_accountings():
    assert len(EVENTS) == 7
    assert f"| events | {' | '.join(NAMES)} |" in TEXT


def test_the_curves_of_the_chart():
    counts = [int(n) for n in re.search(r'x-axis "counts" \[(.+)\]', CHART)[1].split(", ")]
    lines = {name: row.split(", ") for name, row in re.findall(r'line "(.+)" \[(.+)\]', CHART)}
    assert lines.keys() == set(NAMES) - {"GDP"}
    assert counts == list(range(10, 101, 10))
    for i, count in enumerate(counts):
        for one in figures(Accountant().compose(DiscreteLaplace(10.0), count), 1e-6):
            assert one.name == "GDP" or rounded_up(lines[one.name][i], one.epsilon)
    least, most = map(float, re.search(r'y-axis "epsilon" (\d+) --> (\d+)', CHART).groups())
    assert all(least <= float(value) <= most for row in lines.values() for value in row)


def test_how_sure_a_guess_can_be():
    rows = re.findall(r"│ ([\d.]+) +│ +([\d.]+) % +│", TEXT)
    assert len(rows) == 5
    for epsilon, percent in rows:
        exact = 100 / (1 + math.exp(-float(epsilon)))  # Bayes' rule, from even odds
        assert exact == pytest.approx(float(percent), abs=0.5 * 10 ** -len(percent.partition(".")[2]))


def test_the_figures_in_the_pictures_are_those_of_the_examples():
    assert TEXT.count("ε = 14.0 for a client in 18 rounds") == 1
    assert math.ceil(200 * 300 / 3400) == 18
    assert sum([0.01] * 4) == pytest.approx(0.04)
    assert math.sqrt(100 * 0.1**2) == pytest.approx(1)
