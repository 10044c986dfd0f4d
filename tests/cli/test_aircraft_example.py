"""The study that a newcomer runs first: its promises, on the real fleet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedanalytics.cli.study import load

EXAMPLE = Path(__file__).parents[2] / "examples" / "aircraft.toml"


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    from typer.testing import CliRunner

    from fedanalytics.cli.app import app

    ledger = tmp_path_factory.mktemp("aircraft") / "aircraft.db"
    result = CliRunner().invoke(app, ["run", str(EXAMPLE), "--ledger", str(ledger), "--json"])
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    return answer | {"by name": {one["name"]: one for one in answer["results"]}}


def test_the_budget_lasts_for_a_month(answered):
    spent, cap = answered["spent_now"]["units"], answered["budget"]["rho"] * 1e12
    assert cap // spent == 34
    assert answered["budget"]["unit"] == "tailnum"
    assert answered["budget"]["dataset"] == "aircraft-2013"


def test_the_answers_are_near_the_truth(answered):
    truth = {"aircraft": 4043, "mean temperature": 56.79, "mean arrival delay": 6.69}
    for name, value in truth.items():
        one = answered["by name"][name]
        assert abs(one["value"] - value) < 5.5 * one["standard_error"]


def test_the_errors_are_small_enough_to_be_useful(answered):
    by_name = answered["by name"]
    assert by_name["aircraft"]["standard_error"] < 30
    assert by_name["mean temperature"]["standard_error"] < 0.5
    assert by_name["mean arrival delay"]["standard_error"] < 0.6
    assert max(by_name["mean temperature per month"]["standard_error"]) < 2
    for histogram in ("temperature of an aircraft, deg F", "average delay of an aircraft, minutes"):
        one = by_name[histogram]
        assert max(one["standard_error"]) < max(one["value"]) / 50


def test_the_seasons_are_seen(answered):
    months = answered["by name"]["mean temperature per month"]
    assert months["labels"] == [list(range(1, 13))]
    assert months["value"].index(max(months["value"])) + 1 in {6, 7, 8}
    assert months["value"][6] - months["value"][0] > 30


def test_all_shares_are_used():
    study = load(EXAMPLE)
    assert sum(question.costed.offer.share for question in study.questions) == 1
