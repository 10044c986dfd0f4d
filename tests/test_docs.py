"""What the documents show works as they show it."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fedanalytics.cli.app import app

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with readings, an example study and nothing else."""
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "tailnum": np.repeat([f"N{i:04d}" for i in range(1000)], 3),
            "temp": rng.normal(60, 15, 3000),
            "month": rng.integers(1, 13, 3000),
            "origin": np.tile(["JFK", "LGA", "EWR"], 1000),
        }
    )
    (tmp_path / "readings").mkdir()
    frame.to_parquet(tmp_path / "readings" / "part-0.parquet")
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "aircraft.toml").write_text((ROOT / "examples" / "aircraft.toml").read_text())
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("here")
def test_the_python_of_the_readme_runs():
    scope = {}
    for language, code in BLOCKS:
        if language == "python":
            exec(compile(code, "README.md", "exec"), scope)  # noqa: S102  # our own document
    assert scope["budget"].spent.rho == pytest.approx(0.04)
    scope["ledger"].close()


@pytest.mark.usefixtures("here")
def test_the_commands_of_the_readme_run():
    commands = [
        shlex.split(line, comments=True)
        for language, block in BLOCKS
        if not language
        for line in block.splitlines()
        if line.startswith("fedanalytics ")
    ]
    assert len(commands) >= 5
    runner = CliRunner()
    for command in commands:
        arguments = [word.replace("budget.db", "aircraft.db") for word in command[1:]]
        result = runner.invoke(app, arguments)
        assert result.exit_code == 0, (command, result.output, result.exception)


def test_the_layers_in_the_documents_are_those_of_the_contract():
    import tomllib

    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    there = {name for line in contract for name in re.findall(r"(?<!\()\b(\w+)\b(?!\))", line)}
    written = set(
        re.findall(r"`(\w+)`", re.search(r"\| layer .*?\n\n", (ROOT / "docs/design.md").read_text(), re.DOTALL)[0])
    )
    assert there <= written
