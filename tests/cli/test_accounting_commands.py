from __future__ import annotations

import json
import math
import sys

import pytest
from typer.testing import CliRunner

from fedanalytics.cli.accountings import NAMES, figures
from fedanalytics.cli.app import app
from fedanalytics.cli.epsilon import accountant_of
from fedanalytics.privacy import gdp, renyi, zcdp
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.events import Composed, DiscreteLaplace, Exact, Gaussian, Laplace, NoOp, Skellam

PROMISE = ("--epsilon", 4, "--delta", 1e-6)
GAUSSIAN, SAMPLED = Gaussian(5.0), Gaussian(2.0).poisson_sampled(0.1).repeated(100)


def written(place, data, name="events.json"):
    (place / name).write_text(data if isinstance(data, str) else json.dumps(data))
    return name


# ---------------------------------------------------------------- calibrate


def test_calibrate_says_how_much_noise(invoke):
    shown = invoke("calibrate", *PROMISE, "--rounds", 50).stdout
    exact = math.sqrt(50) / gdp.mu_of(4.0, 1e-6)
    noise = float(shown.splitlines()[0].split()[2])
    assert exact <= noise <= exact * 1.00001
    assert "ε = 4 at δ = 1e-06 (asked: 4)" in shown
    assert "see" not in shown


def test_calibrate_says_what_a_server_learns_that_sees_who_takes_part(invoke):
    arguments = ("calibrate", *PROMISE, "--rounds", 100, "--sampling-rate", 0.1)
    shown = invoke(*arguments).stdout
    found = json.loads(invoke(*arguments, "--json").stdout)
    noise = found["noise_multiplier"]
    assert found["epsilon"] == Accountant().compose(Gaussian(noise).poisson_sampled(0.1), 100).epsilon(1e-6) <= 4
    seen = [gdp.epsilon_of(math.sqrt(n) / noise, 1e-6) for n in (10, 100)]
    assert [row["epsilon"] for row in found["if_the_cohort_is_seen"]] == pytest.approx(seen, rel=1e-9)
    assert f"ε = {seen[0]:.4g}"[:7] in shown
    assert "for a client in 10 rounds (the mean)" in shown


def test_calibrate_says_how_many_rounds_fit(invoke):
    shown = invoke("calibrate", *PROMISE, "--noise-multiplier", 20).stdout
    assert shown.startswith("280 rounds · noise multiplier 20")
    found = json.loads(invoke("calibrate", *PROMISE, "--noise-multiplier", 20, "--json").stdout)
    assert (found["rounds"], found["epsilon"] <= 4) == (280, True)
    assert "if_the_cohort_is_seen" not in found
    none = ("calibrate", *PROMISE, "--noise-multiplier", 0.2)
    assert "not even one round fits" in invoke(*none).stdout
    assert json.loads(invoke(*none, "--json").stdout)["epsilon"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--epsilon", 0, "--delta", 1e-6), "epsilon="),
        (("--epsilon", 4, "--delta", 0), "delta="),
        (("--epsilon", 4, "--delta", 1), "delta="),
        (("--epsilon", "nan", "--delta", 1e-6), "epsilon="),
        ((*PROMISE, "--sampling-rate", 1.5), "sampling_rate="),
        ((*PROMISE, "--sampling-rate", 0), "sampling_rate="),
        ((*PROMISE, "--rounds", 0), "rounds="),
        ((*PROMISE, "--noise-multiplier", -1), "noise_multiplier="),
        ((*PROMISE, "--noise-multiplier", 1, "--rounds", 3), "not both"),
        (("--epsilon", 1e-5, "--delta", 1e-6, "--rounds", 10**12), "needs a noise multiplier above 1e+09"),
    ],
)
def test_what_calibrate_refuses(invoke, options, message):
    assert message in invoke("calibrate", *options, code=2).stderr


# ---------------------------------------------------------------- epsilon


def test_epsilon_by_every_accounting(invoke, place):
    shown = invoke("epsilon", written(place, GAUSSIAN.to_json()), "--delta", 1e-6, "--delta", 1e-9).stdout
    assert "1 of gaussian, noise multiplier 5" in shown
    assert "δ = 1e-06" in shown
    assert "δ = 1e-09" in shown
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.strip()}
    assert rows["PLD"][:3] == ["0.8342", "(≥", "0.8341)"]
    assert rows["GDP"][0] == "0.8342"
    assert rows["Rényi"][0] == "0.9000"
    assert rows["zCDP"][0] == "0.9000"
    assert rows["basic"] == ["-", "-"]
    assert "no basic: Gaussian noise has no epsilon at delta 0" in shown


def test_epsilon_as_json_is_what_the_accountings_say(invoke, place):
    event = Composed((SAMPLED, Laplace(10.0)))
    found = json.loads(invoke("epsilon", written(place, event.to_json()), "--delta", 1e-5, "--json").stdout)
    accountant = Accountant().compose(event)
    assert Accountant.from_json(found["events"]) == accountant
    [row] = found["epsilon"]
    by = {one["accounting"]: one for one in row["accountings"]}
    assert by["PLD"]["lower"] <= by["PLD"]["epsilon"] == accountant.epsilon(1e-5)
    assert by["Rényi"]["epsilon"] == min(renyi.epsilon_of(renyi.divergence(event, a), a, 1e-5) for a in range(2, 65))
    assert by["zCDP"]["epsilon"] == zcdp.epsilon_of(float(event.rho), 1e-5)
    assert by["GDP"]["epsilon"] is by["basic"]["epsilon"] is None
    assert "not sampled" in by["GDP"]["why"]


@pytest.mark.parametrize(
    ("event", "known", "why"),
    [
        (Gaussian(5.0), {"PLD", "GDP", "Rényi", "zCDP"}, {"basic": "no epsilon at delta 0"}),
        (DiscreteLaplace(5.0), {"PLD", "Rényi", "zCDP", "basic"}, {"GDP": "exact for Gaussian"}),
        (DiscreteLaplace(5.0).poisson_sampled(0.1), {"PLD", "Rényi", "zCDP", "basic"}, {}),
        (Skellam(1e4, 30, 10), {"Rényi"}, {"PLD": "not known", "zCDP": "not a zCDP rho", "basic": "Skellam"}),
        (Skellam(1e4, 5, 5, scalar=True), {"PLD", "Rényi"}, {}),
        (Exact(), set(), dict.fromkeys(NAMES, "infinite")),
        (Gaussian(1e-200), set(), {"PLD": "beyond any float"}),
        (NoOp(), set(NAMES), {}),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else "",
)
def test_each_accounting_says_a_figure_or_why_not(event, known, why):
    found = {figure.name: figure for figure in figures(Accountant().compose(event), 1e-6)}
    assert {name for name, figure in found.items() if figure.epsilon is not None} == known
    assert all(bool(figure.why) == (figure.epsilon is None) for figure in found.values())
    for name, text in why.items():
        assert text in found[name].why


def test_no_accounting_undercuts_the_lower_bound():
    for event in (
        GAUSSIAN,
        SAMPLED,
        Laplace(10.0).repeated(100),
        DiscreteLaplace(2.0),
        Skellam(100, 1, 1).repeated(10),
    ):
        for delta in (1e-4, 1e-9):
            row = figures(Accountant().compose(event), delta)
            assert all(one.epsilon >= (row[0].lower or 0) * (1 - 1e-9) for one in row if one.epsilon is not None)


def test_the_forms_that_are_read(invoke, place):
    plain = {"event": "gaussian", "noise_multiplier": 5, "relation": "add-or-remove-one"}
    whole = Accountant().compose(GAUSSIAN, 7)
    assert accountant_of(plain) == Accountant().compose(GAUSSIAN)
    assert accountant_of([plain] * 7) == accountant_of(whole.to_json()) == whole
    assert "nothing was released" in invoke("epsilon", written(place, [])).stdout


def test_standard_input_is_read(place):
    shown = CliRunner().invoke(app, ["epsilon", "-"], input=json.dumps(GAUSSIAN.to_json()))
    assert shown.exit_code == 0
    assert "0.8342" in shown.stdout


def test_exact_releases_are_shown_as_what_they_are(invoke, place):
    file = written(place, [GAUSSIAN.to_json(), Exact().to_json()])
    assert "no PLD or GDP or Rényi or zCDP or basic: an exact value" in invoke("epsilon", file).stdout
    rows = json.loads(invoke("epsilon", file, "--json").stdout)["epsilon"][0]["accountings"]
    assert all(row["epsilon"] is None for row in rows)
    assert "nothing to draw" in invoke("epsilon", file, "--plot", "p.png", code=2).stderr


OLDER = {"event": "gaussian", "noise_multiplier": 1.0}
ZERO_OUT = {**OLDER, "relation": "zero-out"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "events.json is no JSON: Expecting property name"),
        ("", "in line 1, column 1"),
        ("[" * 100_000, "events.json is no JSON"),
        ('{"event": "gaussian", "noise_multiplier": NaN}', "NaN is no number in JSON"),
        ("1" * 5000, "no JSON that can be read"),
        ("3", "unknown privacy event 3"),
        ("{}", "unknown privacy event"),
        ([{"event": "quantum"}], "unknown privacy event {'event': 'quantum'}"),
        (OLDER, "is incomplete"),
        ({**ZERO_OUT, "shape": 2}, "not one that this version knows"),
        ({**ZERO_OUT, "noise_multiplier": 0}, "noise_multiplier= must be a positive"),
        ({**ZERO_OUT, "noise_multiplier": "2"}, "noise_multiplier= must be a positive"),
        ([ZERO_OUT, GAUSSIAN.to_json()], "different neighbouring relations"),
        ({**Accountant().compose(GAUSSIAN).to_json(), "version": 99}, "version 99"),
        ({"counts": [{"event": GAUSSIAN.to_json()}]}, "an event and its count"),
        ({"counts": [{"event": GAUSSIAN.to_json(), "count": 0}]}, "count="),
    ],
)
def test_files_that_are_refused(invoke, place, data, message):
    shown = invoke("epsilon", written(place, data), code=2).stderr
    assert shown.startswith("error: events.json")
    assert message in shown


def test_files_that_cannot_be_read(invoke, place):
    (place / "binary.json").write_bytes(b"\xff\xfe\x00")
    assert "none.json cannot be read: No such file" in invoke("epsilon", "none.json", code=2).stderr
    assert "cannot be read" in invoke("epsilon", ".", code=2).stderr
    assert "binary.json is no JSON" in invoke("epsilon", "binary.json", code=2).stderr


@pytest.mark.parametrize("delta", [0, 1, -1, "nan"])
def test_deltas_are_probabilities(invoke, place, delta):
    assert "delta=" in invoke("epsilon", written(place, GAUSSIAN.to_json()), "--delta", delta, code=2).stderr


# ---------------------------------------------------------------- pictures


def test_a_picture_is_drawn(invoke, place):
    pytest.importorskip("matplotlib")
    invoke("epsilon", written(place, SAMPLED.to_json()), "--plot", "p.png")
    assert (place / "p.png").read_bytes().startswith(b"\x89PNG")


def test_pictures_that_are_refused(invoke, place, monkeypatch):
    file = written(place, GAUSSIAN.to_json())
    assert "ends in .png" in invoke("epsilon", file, "--plot", "p.pdf", code=2).stderr
    pytest.importorskip("matplotlib")
    assert "cannot be written" in invoke("epsilon", file, "--plot", "nowhere/p.png", code=2).stderr
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "pip install 'fedanalytics[report]'" in invoke("epsilon", file, "--plot", "p.png", code=2).stderr
