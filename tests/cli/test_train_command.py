"""``fedanalytics train``: a run is paid, kept, resumed after any death, and never gives a model for less."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import random
import shlex
import signal
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest

from fedanalytics.ledger import Ledger, verify

RECIPE = """
name = "visits"

[data]
format = "table"
path = "visits.csv"
client = "patient"
features = ["a", "b", "c", "d"]
label = "ill"
population = 200

[data.test]
by = "sample"
fraction = 0.25

[model]
file = "net.py"

[training]
algorithm = "fedavg"
rounds = 6
clip = 1.0
learning_rate = 0.5
batch_size = 4
checkpoint_every = 2

[privacy]
epsilon = 20.0
delta = 1e-5

[evaluation]
every = 3
share = 0.2

[budget]
ledger = "budget.db"
"""

NET = """
import torch
from torch import nn


def make_model():
    torch.manual_seed(0)
    return nn.Linear(4, 2)
"""


@pytest.fixture(scope="module")
def visits():
    """200 patients with 8 visits each; whoever has a positive `a` is ill."""
    draw = random.Random(1)  # noqa: S311  # test data
    rows = ["patient,a,b,c,d,ill"]
    for patient in range(200):
        for _ in range(8):
            values = [draw.gauss(0, 1) for _ in range(4)]
            rows.append(f"p{patient:03d}," + ",".join(f"{v:.3f}" for v in values) + f",{int(values[0] > 0)}")
    return "\n".join(rows) + "\n"


@pytest.fixture
def place(place, visits):
    """The current directory, with a recipe, its model and its data."""
    (place / "visits.csv").write_text(visits)
    (place / "visits.toml").write_text(RECIPE)
    (place / "net.py").write_text(NET)
    return place


@pytest.fixture
def rewrite(place):
    """Changes the recipe."""

    def change(*pairs):
        text = RECIPE
        for found, instead in pairs:
            assert found in text
            text = text.replace(found, instead, 1)
        (place / "visits.toml").write_text(text)

    return change


def model_of(folder):
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def commits(ledger):
    """(key, round, hash of the answer) of everything that was committed."""
    with Ledger(ledger) as opened:
        bodies = [entry.body for entry in opened.entries()]
    return [(body["key"], body["index"], body["result"]) for body in bodies if body["type"] == "commit"]


# ---------------------------------------------------------------- a run


def test_a_run_gives_a_model_a_card_and_a_history_and_is_paid(invoke, place, visits):
    done = invoke("train", "visits.toml")
    folder = place / "visits"
    assert {p.name for p in folder.iterdir()} >= {"model.safetensors", "card.md", "card.json", "history.csv"}
    weights = model_of(folder)
    assert weights["weight"].shape == (2, 4)
    rows = np.array([[float(v) for v in line.split(",")[1:]] for line in visits.splitlines()[1:]])
    guessed = (rows[:, :4] @ weights["weight"].T + weights["bias"]).argmax(1)
    assert (guessed == rows[:, 4]).mean() > 0.9
    card = json.loads((folder / "card.json").read_text())
    assert card["Privacy"]["epsilon of the run"] == pytest.approx(16, rel=1e-3)
    assert card["Data"]["population"] == 200
    assert set(card["Metrics"]) == {"accuracy after round 3", "accuracy after round 6"}
    assert "accuracy after round 6" in (folder / "card.md").read_text()
    history = list(csv.DictReader(io.StringIO((folder / "history.csv").read_text())))
    assert [int(row["round"]) for row in history] == [1, 2, 3, 4, 5, 6]
    assert [row["metric"] for row in history] == ["", "", "accuracy", "", "", "accuracy"]
    epsilons = [float(row["epsilon"]) for row in history]
    assert epsilons == sorted(epsilons)
    spent = verify("budget.db").budgets["visits"].spent
    assert 19.9e12 < spent <= 20e12
    assert "16 at δ = 8e-06 for the model" in done.stdout
    assert "after round 6, paid for" in done.stdout
    assert "round 6 of 6 · ε 16" in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_a_sampled_cohort_is_cheaper_and_says_against_whom(invoke, place, rewrite):
    rewrite(("rounds = 6", "rounds = 2\ncohort = 20"), ("epsilon = 20.0", "epsilon = 2.0"))
    shown = invoke("train", "visits.toml", "--out", "elsewhere").stdout
    assert "each of about 20 of 200 by secret coins (patient by patient)" in shown
    assert "against who sees the cohorts" in shown
    assert json.loads((place / "elsewhere" / "card.json").read_text())["Privacy"]["sampling"]["sampler"] == "poisson"


def test_without_resume_a_run_that_has_begun_is_refused_and_with_it_costs_nothing(invoke, place, head):
    invoke("train", "visits.toml")
    before, weights = head(), (place / "visits" / "model.safetensors").read_bytes()
    refused = invoke("train", "visits.toml", code=2)
    assert "has a checkpoint of this training after round 6 of 6: --resume shows it again" in refused.stderr
    (place / "visits" / "model.safetensors").unlink()
    again = invoke("train", "visits.toml", "--resume")
    assert "stored; nothing spent" in again.stdout
    assert "after round 3, paid for" in again.stdout
    assert (place / "visits" / "model.safetensors").read_bytes() == weights
    assert head() == before


def test_without_its_folder_a_run_is_made_again_from_the_ledger_for_nothing(invoke, place):
    invoke("train", "visits.toml")
    before = commits("budget.db")
    shown = invoke("train", "visits.toml", "--out", "copy").stdout
    assert "stored; nothing spent" in shown
    assert commits("budget.db") == before
    for name, array in model_of(place / "visits").items():
        assert (array == model_of(place / "copy")[name]).all()
    assert (place / "copy" / "history.csv").read_text() == (place / "visits" / "history.csv").read_text()


def test_another_key_is_another_training(invoke, place, rewrite):
    rewrite(
        ('name = "visits"\n', 'name = "visits"\nkey = "{month}"\n'),
        ("[budget]", "[budget]\nepsilon = 100.0\ndelta = 1e-5"),
    )
    invoke("train", "visits.toml")
    [month] = [p.name for p in (place / "visits").iterdir()]
    assert month[:2] == "20"
    invoke("train", "visits.toml", "--key", "again")
    assert (place / "visits" / "again" / "card.md").exists()
    assert len({key for key, _, _ in commits("budget.db")}) == 6


def test_a_budget_that_cannot_pay_is_exit_code_3(invoke, place, rewrite):
    invoke("train", "visits.toml")
    refused = invoke("train", "visits.toml", "--key", "more", code=3)
    assert "cannot pay: the training costs 16 epsilon, and its figures cost 2 times 2 epsilon" in refused.stderr
    assert not (place / "visits" / "more").exists()
    rewrite(("share = 0.2", "rho = 5.0"))
    before = sorted(place.iterdir())
    refused = invoke("train", "visits.toml", "--ledger", "new.db", "--out", "new", code=3)
    assert "the training costs 20 epsilon, and its figures cost 2 times 17.9345 epsilon; 20 remain" in refused.stderr
    assert sorted(place.iterdir()) == before


def test_secure_aggregation_trains_too(invoke, place, rewrite):
    rewrite(
        ("rounds = 6", "rounds = 2"),
        (
            'ledger = "budget.db"',
            'ledger = "budget.db"\nepsilon = 60.0\ndelta = 1e-5\nrelation = "zero-out"\nfilter = "renyi"',
        ),
    )
    with (place / "visits.toml").open("a") as file:
        file.write('\n[trust]\nmodel = "secure aggregation"\nsimulate = true\n')
    shown = invoke("train", "visits.toml").stdout
    assert "secure aggregation, SIMULATED: no cryptography ran: sums of at least 180 clients" in shown
    assert json.loads((place / "visits" / "card.json").read_text())["Privacy"]["guarantee"]["floor"] == 180


TURNS = ("rounds = 6", "rounds = 6\nparticipations = 3")


def test_clients_in_turn_have_correlated_noise_and_leave_none_behind(invoke, place, rewrite):
    rewrite(TURNS)
    shown = invoke("train", "visits.toml", "--dry-run").stdout
    assert "each of about 100 of 200 in turn, 3 times each (patient by patient)" in " ".join(shown.split())
    assert "against who sees" not in shown
    assert "it fits" in shown
    invoke("train", "visits.toml")
    card = json.loads((place / "visits" / "card.json").read_text())
    assert card["Privacy"]["epsilon of the run"] <= 16
    assert card["Privacy"]["sampling"].startswith("none: each client is asked in 3 of the rounds")
    assert card["Training"]["expected cohort"] == 100
    assert 19.9e12 < verify("budget.db").budgets["visits"].spent <= 20e12
    assert not (place / "visits" / "noise").exists()
    assert "stored; nothing spent" in invoke("train", "visits.toml", "--resume").stdout


def test_noise_that_cannot_be_removed_is_exit_code_5(invoke, place, rewrite, monkeypatch):
    from fedanalytics.cli import training_run

    def refused(path):
        raise OSError(13, "Permission denied")

    rewrite(TURNS)
    with monkeypatch.context() as patched:
        patched.setattr(training_run, "shutil", SimpleNamespace(rmtree=refused))
        failed = invoke("train", "visits.toml", code=5)
    assert "could not be removed (Permission denied): remove it, it holds the noise of the answers" in failed.stderr
    assert "stored; nothing spent" in invoke("train", "visits.toml", "--resume").stdout
    assert not (place / "visits" / "noise").exists()


def test_a_killed_process_with_correlated_noise_goes_on(invoke, place, rewrite):
    rewrite(TURNS, ("participations = 3", 'participations = 2\nnoise = "tree"'))
    assert dies("before", 3, "SIGKILL").returncode == -signal.SIGKILL  # round 3: nothing of it is seen
    assert dies("after", 1, "SIGKILL", "--resume").returncode == -signal.SIGKILL  # round 3: before its checkpoint
    assert ((place / "visits" / "noise").stat().st_mode & 0o077) == 0
    invoke("train", "visits.toml", "--resume")
    made = commits("budget.db")
    assert [index for key, index, _ in made if key == "visits"] == list(range(6))
    assert len({answer for _, _, answer in made}) == len(made)
    assert not (place / "visits" / "noise").exists()


# ---------------------------------------------------------------- the dry run


def test_a_dry_run_checks_all_and_leaves_no_trace(invoke, place, rewrite):
    before = sorted(place.iterdir())
    shown = invoke("train", "visits.toml", "--dry-run").stdout
    assert "10 parameters, fedavg" in shown
    assert "each of all 200 (patient by patient)" in shown
    assert "after rounds 3, 6, at most ±" in shown
    assert "A run would cost 100 % of the budget: it fits. Nothing was spent." in shown
    assert sorted(place.iterdir()) == before
    rewrite(("[budget]", "[budget]\nepsilon = 10.0\ndelta = 1e-5"))
    assert "it does NOT fit" in invoke("train", "visits.toml", "--dry-run", code=3).stdout
    assert sorted(place.iterdir()) == before


def test_a_dry_run_knows_what_is_paid(invoke, head):
    invoke("train", "visits.toml")
    before = head()
    assert (
        "All of it is paid: a run would cost nothing. --resume shows it"
        in invoke("train", "visits.toml", "--dry-run").stdout
    )
    assert head() == before


@pytest.mark.parametrize("arguments", [("--dry-run",), ()])
def test_a_key_that_stands_for_another_training_is_refused(invoke, place, rewrite, head, arguments):
    invoke("train", "visits.toml")
    before = head()
    rewrite(("clip = 1.0", "clip = 2.0"))
    assert "belongs to another run" in invoke("train", "visits.toml", *arguments, code=2).stderr
    refused = invoke("train", "visits.toml", "--out", "other", *arguments, code=2).stderr
    assert "key 'visits' of budget 'visits' stands for another question already" in refused
    assert not (place / "other").exists()
    assert head() == before


# ---------------------------------------------------------------- dying, and going on

PROGRAM = textwrap.dedent(
    """
    import os, signal, sys
    from fedanalytics.ledger.budget import Budget

    when, at, sent = sys.argv[1], int(sys.argv[2]), getattr(signal, sys.argv[3])
    sys.argv = ["fedanalytics", *sys.argv[4:]]
    commit, commits = Budget.commit, 0
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def dying(self, answers):
        global commits
        commits += 1
        if when == "before" and commits == at:
            os.kill(os.getpid(), sent)
        kept = commit(self, answers)
        if when == "after" and commits == at:
            os.kill(os.getpid(), sent)
        return kept

    Budget.commit = dying
    from fedanalytics.cli import main
    main()
    """
)


def dies(when, at, sent, *arguments):
    """A process that trains, and is sent a signal before or after its commit number `at`."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, when, str(at), sent, "train", "visits.toml", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_killed_process_goes_on_and_pays_for_nothing_twice(invoke, place):
    """Commits: rounds 1 to 3, a figure, rounds 4 to 6, a figure. SIGKILL where each kind of thing is half done."""
    assert dies("before", 2, "SIGKILL").returncode == -signal.SIGKILL  # round 2: nothing of it is seen
    assert dies("after", 1, "SIGKILL", "--resume").returncode == -signal.SIGKILL  # round 2: before its checkpoint
    assert dies("after", 2, "SIGKILL", "--resume").returncode == -signal.SIGKILL  # the figure: before it is noted
    assert not (place / "visits" / "model.safetensors").exists()
    assert "has a checkpoint of this training after round 3 of 6" in invoke("train", "visits.toml", code=2).stderr
    shown = invoke("train", "visits.toml", "--resume").stdout
    assert "after round 3, paid for" in shown
    assert "after round 6, paid for" in shown
    made = commits("budget.db")
    assert [index for key, index, _ in made if key == "visits"] == list(range(6))
    assert [key for key, _, _ in made if key != "visits"] == [
        "visits/accuracy after round 3",
        "visits/accuracy after round 6",
    ]
    assert len({answer for _, _, answer in made}) == len(made)
    assert verify("budget.db").budgets["visits"].spent <= 20e12
    history = list(csv.DictReader(io.StringIO((place / "visits" / "history.csv").read_text())))
    assert [int(row["round"]) for row in history] == [1, 2, 3, 4, 5, 6]


def test_an_interrupt_says_how_to_go_on_and_that_works(place):
    interrupted = dies("after", 2, "SIGINT", "--out", "my model [v1]")
    assert interrupted.returncode == 130, interrupted.stderr
    *_, advice, error = interrupted.stderr.splitlines()
    assert error == "error: interrupted; what was reserved stays spent, the same keys resume it"
    assert "Traceback" not in interrupted.stderr
    words = shlex.split(advice.removeprefix("go on with: "))
    assert words == ["fedanalytics", "train", "visits.toml", "--resume", "--out", "my model [v1]"]
    program = [sys.executable, "-c", "from fedanalytics.cli import main; main()", *words[1:]]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (place / "my model [v1]" / "model.safetensors").exists()
    assert [index for key, index, _ in commits("budget.db") if key == "visits"] == list(range(6))


def test_figures_that_cannot_be_read_are_shown_no_more_and_paid_no_more(invoke, place, head):
    invoke("train", "visits.toml")
    before = head()
    for damage in ("", "[]", '{"run": 1}', '{"run": null, "figures": 7}', "\x00"):
        (place / "visits" / "figures.json").write_text(damage)
        shown = invoke("train", "visits.toml", "--resume").stdout
        assert "after round 3, paid for" not in shown
        assert "after round 6, paid for" in shown  # of the checkpoint's own round it is asked again, and stored
        assert head() == before


def test_results_that_cannot_be_written_are_exit_code_5_and_come_for_nothing_later(invoke, place, monkeypatch):
    from fedanalytics.cli import trained

    def full(self, path):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(trained, "_save", full)
        failed = invoke("train", "visits.toml", code=5)
    assert "could not be written (No space left on device); the training is kept in the ledger" in failed.stderr
    assert not [p for p in (place / "visits").iterdir() if p.name.startswith("writing-")]
    assert "stored; nothing spent" in invoke("train", "visits.toml", "--resume").stdout


# ---------------------------------------------------------------- what it loads, what it shows


def test_help_and_bad_recipes_load_no_torch(place):
    (place / "bad.toml").write_text(RECIPE.replace("rounds = 6", "rounds = 0"))
    code = (
        "import sys\nfrom fedanalytics.cli import main\n"
        "try:\n    main()\nexcept SystemExit as e:\n    print(e.code)\n"
        "print([m for m in ('torch', 'scipy', 'pandas', 'dp_accounting', 'safetensors') if m in sys.modules])"
    )
    for arguments, ends in ((("--help",), 0), (("train", "--help"), 0), (("train", "bad.toml"), 2)):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout.splitlines()[-2:] == [str(ends), "[]"]


def test_the_help_shows_an_example(invoke):
    shown = invoke("train", "--help").stdout
    assert "fedanalytics train examples/writers.toml --dry-run" in shown
    assert "Usage: " in shown


def test_progress_and_output_do_not_depend_on_who_took_part(invoke, place, monkeypatch):
    """With one client's rows made wild, what differs on the screen is noisy numbers alone."""
    from fedanalytics.cli import training_progress

    monkeypatch.setattr(training_progress.time, "monotonic", lambda: 0.0)

    def shape(result):
        return ["".join(c for c in line if not (c.isdigit() or c in ".-e █▒░│")) for line in result.splitlines()]

    first = invoke("train", "visits.toml")
    lines = (place / "visits.csv").read_text().splitlines()
    (place / "visits.csv").write_text("\n".join([*lines, *["p000,1e30,nan,-inf,5,1"] * 500]) + "\n")
    second = invoke("train", "visits.toml", "--ledger", "second.db", "--out", "second")
    assert shape(first.stderr) == shape(second.stderr)


def test_on_a_terminal_one_line_moves(place):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    del environment["NO_COLOR"]
    program = [sys.executable, "-c", "from fedanalytics.cli import main; main()", "train", "visits.toml"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment) as process:
        os.close(theirs)
        sent = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:
                break
            if not part:
                break
            sent += part
        shown = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0
    assert "round 6/6 · ε 16 · clip 1 · accuracy" in sent.decode()
    assert "accuracy" in shown
    assert "\x1b" not in shown


def test_a_model_with_names_of_its_own_comes_back_with_load_model(invoke, place):
    from safetensors.torch import load_model
    from torch import nn

    (place / "net.py").write_text(
        NET
        + textwrap.dedent(
            """
            class Tied(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.first = nn.Linear(4, 4)
                    self.second = nn.Linear(4, 4)
                    self.second.weight = self.first.weight
                    self.last = nn.Linear(4, 2)

                def forward(self, x):
                    return self.last(self.second(self.first(x).relu()).relu())

            def make_model():
                torch.manual_seed(0)
                return Tied()
            """
        )
    )
    invoke("train", "visits.toml")
    scope = {}
    exec(compile((place / "net.py").read_text(), "net.py", "exec"), scope)  # noqa: S102  # the test's own
    module = scope["make_model"]()
    assert isinstance(module, nn.Module)
    assert load_model(module, place / "visits" / "model.safetensors") == (set(), [])
    assert module.second.weight is module.first.weight


def test_the_example_is_what_it_says():
    from pathlib import Path

    from fedanalytics.cli.recipe import load
    from fedanalytics.cli.rehearsing import job

    found = load(Path(__file__).parents[2] / "examples" / "writers.toml")
    todo = job(found, "writers", "nothing.db")
    assert todo.training.model.size == 2_410
    assert todo.training.plan.epsilon <= 0.9 * 4.0
    assert found.file.name == "net.py"


def test_a_split_by_client_declares_its_parts(place):
    from fedanalytics.cli.client_data import client_data
    from fedanalytics.cli.reading import Table

    written = {"path": "visits.csv", "client": "patient", "features": ["a"], "label": "ill", "population": 200}
    held = {"by": "client", "fraction": 0.3}
    data = client_data(Table({"format": "table", **written, "test": held}, "data", "data.{}"))
    train, test = data.fleets()
    assert (train.population, test.population) == (140, 60)
    assert train.roster + test.roster == 200
    assert 30 < test.roster < 90


# ---------------------------------------------------------------- recipes that cannot be meant

DATA = 'format = "table"\npath = "visits.csv"\nclient = "patient"\nfeatures = ["a", "b", "c", "d"]\nlabel = "ill"'
TEST = '[data.test]\nby = "sample"\nfraction = 0.25'
TRAINING = "[training]"

TABLE = [
    ('name = "visits"', "", "visits.toml: name is missing"),
    ('name = "visits"', 'name = ".."', "name must be a name that a folder can have, got '..'"),
    ('name = "visits"', 'name = "."', "name must be a name that a folder can have"),
    ('name = "visits"', 'name = "a/b"', "name must not contain '/', got 'a/b'"),
    ('name = "visits"', 'name = "a\\\\b"', "name must be a name that a folder can have"),
    ('name = "visits"', 'name = "a\\u001b[31mb"', "name must be a text on one line"),
    ('name = "visits"', 'name = "a\\u0000"', "name must be a text on one line"),
    ('name = "visits"', 'name = "a"\nkey = "../b"', "key must not contain '/'"),
    ('name = "visits"', 'name = "a"\nkey = ".."', "key must be a name that a folder can have"),
    ('name = "visits"', 'name = "a"\nkey = "{hour}"', "key may hold the placeholders {date}"),
    ('name = "visits"', 'name = "a"\nquery = 1', "query is unknown"),
    ("[data]", "[date]", "date is unknown, did you mean 'data'?"),
    (DATA, "", "data.format is missing"),
    ('format = "table"', 'format = "tabel"', "data.format must be one of table, leaf, tff-sqlite, tff-hdf5, digits,"),
    ('format = "table"', 'format = ["table"]', "data.format must be one of"),
    ('format = "table"', 'format = "leaf"', "data.features is unknown; known: format, client"),
    ('path = "visits.csv"', 'path = "none.csv"', "data.path = 'none.csv' is no file or folder"),
    ('path = "visits.csv"', 'path = "net.py"', "data.path = 'net.py': a table is a file .csv, .csv.gz or .parquet"),
    ('path = "visits.csv"', "", "data.path is missing"),
    ('client = "patient"', "", "data.client is missing: the column that names a client"),
    ('client = "patient"', 'client = "patiant"', "data.client = 'patiant' is not a column, did you mean 'patient'?"),
    ('label = "ill"', 'label = "sick"', "data.label = 'sick' is not a column"),
    ('label = "ill"', 'label = "a"', "model.loss does not take outputs of shape (2, 2)"),
    ('features = ["a", "b", "c", "d"]', "features = []", "data.features must be a list of columns"),
    ('features = ["a", "b", "c", "d"]', 'features = "a"', "data.features must be a list of columns"),
    ('features = ["a", "b", "c", "d"]', 'features = ["a", "z"]', "data.features = 'z' is not a column"),
    (
        'features = ["a", "b", "c", "d"]',
        'features = ["a"]',
        "data does not fit the model: for features of shape (2, 1)",
    ),
    ("population = 200", "", "data.population is missing: about how many clients there are, a public figure"),
    ("population = 200", "population = 0", "data.population must be at least 1, got 0"),
    ("population = 200", "population = 2e2", "data.population must be a whole number, got 200.0"),
    ('by = "sample"', 'by = "samples"', "data.test.by must be one of client, sample, got 'samples', did you mean"),
    ('by = "sample"', "", "data.test.by is missing"),
    ("fraction = 0.25", "fraction = 1", "data.test.fraction must lie strictly between 0 and 1, got 1"),
    ("fraction = 0.25", "fraction = 0.01", "data.test.fraction = 0.01 of at most 8 examples a client is none"),
    ("fraction = 0.25", "fraction = 0.25\nseed = -1", "data.test.seed must be at least 0"),
    ("fraction = 0.25", 'fraction = 0.25\npath = "b.csv"', "data.test.by splits the data, and data.test.path names"),
    ("fraction = 0.25", "fraction = 0.25\npopulation = 9", "data.test.population goes with data that lies elsewhere"),
    (TEST, '[data.test]\npath = "none.csv"', "data.test.path = 'none.csv' is no file or folder"),
    (
        TEST,
        '[data.test]\nby = "client"\nfraction = 1e-9',
        "data.test.fraction = 1e-09: the split by client leaves nobody",
    ),
    ('file = "net.py"', "", "model.file is missing"),
    ('file = "net.py"', 'file = "other.py"', "model.file = 'other.py' cannot be loaded: FileNotFoundError"),
    ('file = "net.py"', 'file = "../net.py"', "model.file must name a Python file beside this one"),
    ('file = "net.py"', 'file = "a/../../net.py"', "model.file must name a Python file beside this one"),
    ('file = "net.py"', 'file = "/tmp/net.py"', "model.file must name a Python file beside this one"),
    ('file = "net.py"', 'file = "visits.csv"', "model.file must name a Python file beside this one"),
    (
        'file = "net.py"',
        'file = "net.py"\nfunction = "make_modle"',
        "has no function 'make_modle', did you mean 'make_",
    ),
    ('file = "net.py"', 'file = "net.py"\nfunction = "os.system"', "model.function must be the name of a function"),
    ('file = "net.py"', 'file = "net.py"\nfunction = "__name__"', "has no function '__name__'"),
    ('file = "net.py"', 'file = "net.py"\nloss = "my_loss"', "has no function 'my_loss'"),
    ('file = "net.py"', 'file = "net.py"\nclass = "Net"', "model.class is unknown"),
    ('algorithm = "fedavg"', "", "training.algorithm is missing"),
    ('algorithm = "fedavg"', 'algorithm = "fedavgg"', "training.algorithm must be one of fedavg, fedprox, fedadam"),
    (
        'algorithm = "fedavg"',
        'algorithm = "fedsgd"',
        "training.learning_rate does not go with fedsgd, which knows server",
    ),
    (TRAINING, "[training]\nmu = 0.1", "training.mu does not go with fedavg"),
    (TRAINING, "[training]\nlearning_rat = 0.1", "training.learning_rat is unknown, did you mean 'learning_rate'?"),
    (
        TRAINING,
        "[training]\nserver_learning_rate = -1",
        "training.server_learning_rate must be a positive finite number",
    ),
    (TRAINING, "[training]\nserver_momentum = 1", "training.server_momentum must lie in [0, 1), got 1"),
    (TRAINING, "[training]\nmomentum = -0.1", "training.momentum must lie in [0, 1), got -0.1"),
    (TRAINING, "[training]\nepochs = 1\nsteps = 1", "training.epochs and training.steps say the same thing"),
    ('algorithm = "fedavg"', 'algorithm = "fedprox"\nmu = 0', "training.mu must be a positive finite number, got 0"),
    ('algorithm = "fedavg"', 'algorithm = "fedadam"\nbeta2 = 2', "training.beta2 must lie in [0, 1), got 2"),
    ("learning_rate = 0.5", "learning_rate = nan", "training.learning_rate must be a finite number, got nan"),
    ("learning_rate = 0.5", "learning_rate = 0", "training.learning_rate must be a positive finite number, got 0"),
    ("batch_size = 4", "batch_size = 0", "training.batch_size must be a whole number of at least 1, got 0"),
    ("rounds = 6", "", "training.rounds is missing"),
    ("rounds = 6", "rounds = 0", "training.rounds must be at least 1, got 0"),
    ("rounds = 6", "rounds = true", "training.rounds must be a whole number, got True"),
    ("rounds = 6", "rounds = 6\ncohort = 201", "training.cohort = 201 is larger than data.population = 200"),
    ("rounds = 6", "rounds = 6\ncohort = -1", "training.cohort must be at least 1, got -1"),
    ("rounds = 6", "rounds = 6\nparticipations = 4", "training.participations = 4 must divide training.rounds = 6"),
    ("rounds = 6", "rounds = 6\nparticipations = 0", "training.participations must be at least 1, got 0"),
    ("rounds = 6", "rounds = 6\nparticipations = 2\ncohort = 9", "both say who takes part in a round"),
    ("rounds = 6", 'rounds = 6\nnoise = "tree"', "training.noise is of clients in turn: it goes with training.parti"),
    ("rounds = 6", 'rounds = 6\nparticipations = 2\nnoise = "tre"', "training.noise = 'tre' is unknown, did you"),
    (
        "rounds = 6\nclip = 1.0",
        "rounds = 6\nparticipations = 2\nclip = { start = 1.0 }",
        "training.clip must be a number where training.participations is given",
    ),
    ("clip = 1.0", "", "training.clip is missing"),
    ("clip = 1.0", "clip = 0", "training.clip must be a positive finite number, got 0"),
    ("clip = 1.0", 'clip = "adaptive"', "training.clip must be a finite number, got 'adaptive'"),
    ("clip = 1.0", "clip = { quantile = 1.5 }", "training.clip.quantile must lie strictly between 0 and 1, got 1.5"),
    ("clip = 1.0", "clip = { quantil = 0.5 }", "training.clip.quantil is unknown, did you mean 'quantile'?"),
    ("checkpoint_every = 2", "checkpoint_every = 0", "training.checkpoint_every must be at least 1, got 0"),
    ("epsilon = 20.0", "", "privacy.epsilon is missing"),
    ("epsilon = 20.0", "epsilon = 0", "privacy.epsilon must be a positive finite number, got 0"),
    ("epsilon = 20.0", "epsilon = 1e-13", "epsilon"),
    ("delta = 1e-5", "", "privacy.delta is missing"),
    ("delta = 1e-5", "delta = 1", "privacy.delta must lie strictly between 0 and 1, got 1"),
    ("delta = 1e-5", "delta = 0.01", "is no less than one in the population of 200"),
    ("delta = 1e-5", "delta = 1e-5\nrho = 1", "privacy.rho is unknown"),
    ("every = 3", 'metric = "acuracy"', "evaluation.metric must be one of accuracy, loss, got 'acuracy', did you mean"),
    ("every = 3", 'metric = "loss"', "evaluation.bounds of a loss is missing, such as [0, 5]"),
    ("every = 3", 'metric = "loss"\nbounds = [5, 0]', "evaluation.bounds must be (lower, upper)"),
    ("every = 3", "every = 0", "evaluation.every must be at least 1, got 0"),
    ("share = 0.2", "", "evaluation has to be paid: give evaluation.rho (what each figure costs, beside the training)"),
    ("share = 0.2", "share = 0.2\nrho = 1", "evaluation has to be paid"),
    ("share = 0.2", "share = 1", "evaluation.share must lie strictly between 0 and 1, got 1"),
    ("share = 0.2", "rho = -1", "evaluation.rho must be a positive finite number, got -1"),
    ("share = 0.2", "rho = 1e-14", "below the ledger's unit"),
    ('ledger = "budget.db"', "", "budget.ledger is missing: name the ledger's file there, or by --ledger"),
    ('ledger = "budget.db"', 'ledger = "none/budget.db"', "lies in a folder that does not exist"),
    ('ledger = "budget.db"', 'ledger = "budget.db"\nfilter = "gpd"', "budget.filter = 'gpd' is unknown, did you mean"),
    ('ledger = "budget.db"', 'ledger = "budget.db"\nepsilon = -1.0\ndelta = 1e-6', "budget.epsilon must be a positive"),
    ("[budget]", '[trust]\nmodel = "local"\n[budget]', "trust.model = 'local' is not for training"),
    ("[budget]", '[trust]\nmodel = "secure aggregation"\n[budget]', 'needs budget.relation = "zero-out"'),
    ("[budget]", '[trust]\nmodel = "central"\ndropout = 0.1\n[budget]', "trust.dropout belongs to trust.model"),
    ("[privacy]", "[privacy", "visits.toml is no TOML file"),
]


@pytest.mark.parametrize(("found", "instead", "message"), TABLE)
def test_it_is_refused_with_its_place_and_leaves_no_trace(invoke, place, rewrite, found, instead, message):
    rewrite((found, instead))
    before = sorted(place.rglob("*"))
    result = invoke("train", "visits.toml", code=2)
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) <= 3
    assert result.stdout == ""
    assert sorted(place.rglob("*")) == before


SAMPLED = ("rounds = 6", "rounds = 6\ncohort = 20")
NOTHING = "gives nothing for sampled cohorts; open a new one (by budget.name) with filter = 'pld'"


@pytest.mark.parametrize(
    ("instead", "message"),
    [
        (
            '[budget]\nepsilon = 9.0\ndelta = 1e-5\nfilter = "gdp"',
            f"budget.filter: budget 'visits' has 'gdp', which {NOTHING}",
        ),
        ("[budget]\nrho = 1.0\ndelta = 1e-5", f"budget.filter: budget 'visits' has 'zcdp', which {NOTHING}"),
        (
            '[trust]\nmodel = "secure aggregation"\n[budget]',
            "training.cohort does not go with secure aggregation, whose",
        ),
    ],
)
def test_what_only_two_parts_show_together(invoke, rewrite, instead, message):
    rewrite(SAMPLED, ("[budget]", instead))
    assert message in invoke("train", "visits.toml", code=2).stderr


def test_noise_that_cancels_between_rounds_is_for_central_trust(invoke, rewrite):
    rewrite(TURNS, ("[budget]", '[trust]\nmodel = "secure aggregation"\n[budget]'))
    shown = invoke("train", "visits.toml", code=2).stderr
    assert "training.participations does not go with secure aggregation" in shown


def test_an_accuracy_without_classes_is_refused_before_the_training_is_paid(invoke, place):
    loss = "def my_loss(outputs, labels):\n    return (outputs[:, 0] - labels) ** 2\n"
    (place / "net.py").write_text(NET.replace("(4, 2)", "(4, 1)") + loss)
    text = RECIPE.replace('file = "net.py"', 'file = "net.py"\nloss = "my_loss"')
    (place / "visits.toml").write_text(text)
    before = sorted(place.rglob("*"))
    refused = invoke("train", "visits.toml", code=2)
    assert "evaluation.metric = 'accuracy' needs labels that are classes" in refused.stderr
    assert sorted(place.rglob("*")) == before
    (place / "visits.toml").write_text(text.replace("every = 3", 'metric = "loss"\nbounds = [0, 2]'))
    invoke("train", "visits.toml")
    assert "loss after round 6" in (place / "visits" / "card.md").read_text()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def make_model(:\n", "model.file = 'net.py' cannot be loaded: SyntaxError in line 1"),
        ("import torch\n\n1 / 0\n", "cannot be loaded: ZeroDivisionError in line 3: division by zero"),
        ("import nothing_of_that_name\n", "cannot be loaded: ModuleNotFoundError in line 1: No module named"),
        ("import sys\nsys.exit(0)\n", "cannot be loaded: SystemExit in line 2: 0"),
        ("raise SystemError('two\\nlines')\n", "SystemError in line 1: two lines"),
        ("def make_model():\n    return 1\n", "model.function = 'make_model' must return a torch.nn.Module, got int"),
        ("def make_model():\n    return undefined\n", "'make_model' of net.py fails: NameError in line 2"),
        ("def make_model(size):\n    pass\n", "'make_model' of net.py fails: TypeError"),
        (NET.replace("    torch.manual_seed(0)\n", ""), "begin it with torch.manual_seed(0)"),
        (NET.replace("nn.Linear(4, 2)", "nn.BatchNorm1d(4)"), "model.function = 'make_model' builds BatchNorm1d"),
        (NET.replace("(4, 2)", "(5, 2)"), "data does not fit the model: for features of shape (2, 4)"),
        (NET.replace("(4, 2)", "(4, 1)"), "model.loss = cross_entropy chooses among a model's outputs"),
        ("make_model = 3\n", "model.file = 'net.py' has no function 'make_model'"),
        ("\x00", "model.file = 'net.py' cannot be loaded"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused_and_leaves_no_trace(invoke, place, code, message):
    (place / "net.py").write_text(code)
    before = sorted(place.rglob("*"))
    result = invoke("train", "visits.toml", code=2)
    assert message in result.stderr
    assert len(result.stderr.splitlines()) <= 3
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.toml",), "the recipe none.toml cannot be read (No such file or directory)"),
        (("visits.toml", "--key", "a/b"), "--key must not contain '/'"),
        (("visits.toml", "--key", ".."), "--key must be a name that a folder can have"),
        (("visits.toml", "--key", "{day}"), "--key may hold the placeholders"),
        (("visits.toml", "--out", "visits.csv"), "--out 'visits.csv' cannot be written (File exists)"),
        (("visits.toml", "--ledger", "."), "is a folder"),
        (("visits.toml", "--exact"), "No such option"),
    ],
)
def test_options_that_cannot_be_meant(invoke, place, arguments, message):
    before = sorted(place.rglob("*"))
    assert message in invoke("train", *arguments, code=2).stderr
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    "name", ["two words", "ünïcode ✓", "-rf", "--resume", "$(touch x)", "a'b\"c", "[red]x[bold]", "{date", "*", "%s"]
)
def test_hostile_names_are_names(invoke, place, name):
    """A name is a text: of a folder, in a ledger, on a screen; a client's and a column's as well."""
    header, *rows = (place / "visits.csv").read_text().splitlines()
    quoted = '"' + name.replace('"', '""') + '"'
    rows = [row.replace("p007", quoted) for row in rows]
    (place / "visits.csv").write_text("\n".join([header.replace("patient", quoted), *rows]) + "\n")
    written = json.dumps(name, ensure_ascii=False)
    text = RECIPE.replace('"visits"', written).replace('"patient"', written).replace("rounds = 6", "rounds = 1")
    (place / "visits.toml").write_text(text[: text.index("[evaluation]")] + text[text.index("[budget]") :])
    before = {p.name for p in place.iterdir()}
    shown = invoke("train", "visits.toml").stdout
    assert f"{name} · each {name} is protected" in shown
    assert {p.name for p in place.iterdir()} - before >= {name, "budget.db"}
    assert (place / name / "card.md").read_text().count("\n| unit of privacy |") == 1
    assert verify("budget.db").budgets[name].spent > 0


def test_a_checkpoint_of_somebody_else_is_refused(invoke, place):
    invoke("train", "visits.toml")
    kept = (place / "visits" / "checkpoint.safetensors").read_bytes()
    for damage in (b"", kept[:100], b"\x80\x04." + kept, b"\xff" * 1000):
        (place / "visits" / "checkpoint.safetensors").write_bytes(damage)
        for arguments in ((), ("--resume",), ("--dry-run",)):
            assert "is damaged: remove it" in invoke("train", "visits.toml", *arguments, code=2).stderr
    (place / "visits" / "checkpoint.safetensors").unlink()
    assert "stored; nothing spent" in invoke("train", "visits.toml").stdout


# ---------------------------------------------------------------- each algorithm, each format

SETTINGS = {
    "fedavg": {"learning_rate": 0.2, "momentum": 0.5, "epochs": 2, "server_learning_rate": 0.7, "server_momentum": 0.3},
    "fedprox": {"learning_rate": 0.2, "steps": 3, "mu": 0.2},
    "fedadam": {"batch_size": 5, "server_learning_rate": 0.01, "beta1": 0.8, "beta2": 0.9, "tau": 0.01},
    "fedyogi": {"server_learning_rate": 0.01, "beta1": 0.8, "beta2": 0.9, "tau": 0.01},
    "fedadagrad": {"server_learning_rate": 0.01, "beta1": 0.8, "tau": 0.01},
    "fedsgd": {"server_learning_rate": 0.5, "server_momentum": 0.2},
}


def my_loss(outputs, labels):
    return ((outputs[:, 1] - labels) ** 2).float()


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_arrives_where_it_belongs(name):
    from fedanalytics import learning
    from fedanalytics.cli.algorithms import ALGORITHMS, procedure
    from fedanalytics.cli.reading import Table
    from fedanalytics.learning.private import AdaptiveClip, FixedClip

    written = {"algorithm": name, "rounds": 3, "clip": {"start": 0.3, "quantile": 0.6}, "seed": 4, **SETTINGS[name]}
    found = procedure(Table(written, "training", "training.{}"))
    assert found.bound() == AdaptiveClip(0.3, 0.6)
    built = found.built(my_loss)
    assert built.weighting == "uniform"
    assert built.local.loss_fn is my_loss
    for key, value in SETTINGS[name].items():
        if key.startswith("server_"):
            assert getattr(built.server, key.removeprefix("server_")) == value
        elif key in {"beta1", "beta2", "tau"}:
            assert getattr(built.server, key) == value
        else:
            assert getattr(built.local, "proximal" if key == "mu" else key) == value
    if name != "fedsgd":
        assert built.local.seed == 4
    plain = procedure(Table({"algorithm": name, "rounds": 3, "clip": 2}, "training", "training.{}"))
    default = getattr(learning, ALGORITHMS[name][0])(weighting="uniform")
    assert (plain.built(None), plain.bound()) == (default, FixedClip(2.0))


def test_the_formats_are_read_and_say_who_a_client_is(place):
    from fedanalytics import datasets
    from fedanalytics.cli.client_data import client_data
    from fedanalytics.cli.reading import Table

    ids = ["007", "x\ud800", "\n", "'; DROP TABLE examples; --"]
    source = datasets.from_clients({name: (np.full((4, 2), i), [0, 1, 0, 1]) for i, name in enumerate(ids)})
    users = {"users": ids, "num_samples": [4] * 4, "user_data": {}}
    for name in ids:
        features, labels = source.dataset(name)
        users["user_data"][name] = {"x": features.tolist(), "y": labels.tolist()}
    (place / "leaf").mkdir()
    (place / "leaf" / "a.json").write_text(json.dumps(users))
    plain = source.only([name for name in ids if name != "x\ud800"])
    datasets.write_tff_sqlite("tff.sqlite", {"train": plain, "test": plain.only(["007"])})
    sqlite = {"format": "tff-sqlite", "path": "tff.sqlite", "split": "train"}
    cases = [
        ({"format": "leaf", "path": "leaf", "client": "user"}, (4, 4)),
        ({"format": "leaf", "path": "leaf", "test": {"by": "client", "fraction": 0.5, "seed": 1}}, None),
        ({"format": "leaf", "path": "leaf", "test": {"path": "leaf", "population": 4}}, (4, 4)),
        (sqlite, (3, 3)),
        (sqlite | {"test": {"split": "test"}}, (3, 1)),
        (sqlite | {"shape": [2, 1], "test": {"by": "sample", "fraction": 0.5}}, (3, 3)),
        ({"format": "digits", "test": {"by": "client", "fraction": 0.3}}, None),
        ({"format": "synthetic writers", "clients": 5, "test_clients": 3, "examples": 4}, (5, 3)),
    ]
    for written, sizes in cases:
        data = client_data(Table({"population": 4, **written}, "data", "data.{}"))
        train, test = data.fleets()
        assert train.population == data.population
        assert train.client == test.client == data.unit
        assert train.dataset == test.dataset
        assert sizes is None or (train.roster, test.roster) == sizes
