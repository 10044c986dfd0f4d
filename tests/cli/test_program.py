"""The program as a process: exit codes, signals, pipes, limits."""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import subprocess
import sys

import pytest

from fedanalytics._version import __version__

PROGRAM = [sys.executable, "-c", "from fedanalytics.cli import main; main()"]


@pytest.fixture
def program(place):
    def run(*arguments, limit=None, **environment):
        def prepare():
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return subprocess.run(
            [*PROGRAM, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, **environment},
            preexec_fn=prepare,
        )

    return run


def test_the_exit_codes_of_a_life(program, place, study):
    (place / "study.toml").write_text(study.replace("epsilon = 3.0\ndelta = 1e-6", "rho = 0.02"))
    first = program("run", "study.toml", "--json")
    assert (first.returncode, first.stderr) == (0, "")
    again = program("run", "study.toml", "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["spent_now"]["units"] == 0
    assert json.loads(again.stdout)["head"] == json.loads(first.stdout)["head"]
    assert program("run", "study.toml", "--key", "b").returncode == 3
    assert program("ledger", "verify", "budget.db").returncode == 0
    (place / "budget.db.head").write_text(f"99:{'0' * 64}\n")
    for arguments in (("ledger", "verify", "budget.db"), ("run", "study.toml")):
        failed = program(*arguments)
        assert failed.returncode == 4
        assert failed.stderr.startswith("error: budget.db ends at entry 8 and does not contain the known head")
        assert failed.stdout == ""


def test_version_and_help(program, invoke):
    assert program("--version").stdout == f"fedanalytics {__version__}\n"
    for arguments in ((), ("run",), ("query",), ("ledger",), ("ledger", "show")):
        assert "Usage: " in invoke(*arguments, "--help").stdout
    assert "fedanalytics run examples/aircraft.toml --dry-run" in invoke("run", "--help").stdout
    assert "fedanalytics query mean temp --data" in invoke("query", "--help").stdout
    assert "Exit codes: 0 done, 2 bad input, 3 budget exceeded" in " ".join(invoke("--help").stdout.split())


def test_a_full_disk_spends_nothing_and_is_exit_code_5(program, place):
    failed = program("run", "study.toml", limit=8192)
    assert failed.returncode == 5
    assert "could not be written" in failed.stderr


def test_results_that_cannot_be_written_are_shown_and_kept(program, place, study):
    (place / "study.toml").write_text(study.replace('"0:110:10"', '"0:110:0.02"'))
    failed = program("run", "study.toml", "--out", "out", limit=400_000)
    assert failed.returncode == 5
    assert "--out 'out' could not be written (File too large); the answers are stored under their keys" in failed.stderr
    assert "mean temperature" in failed.stdout
    assert list((place / "out").iterdir()) == []
    again = program("run", "study.toml", "--out", "out")
    assert again.returncode == 0
    assert "stored; nothing spent" in again.stdout
    assert "… and 5,440 more: see --out or --json" in again.stdout


def test_an_interrupt_is_exit_code_130(place):
    os.mkfifo("pipe.toml")  # whoever opens it waits for a writer
    command = [*PROGRAM, "run", "pipe.toml"]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,  # noqa: PLW1509  # these tests have no other thread
    ) as process:
        # This returns once the program has opened it too, and waits for what is written.
        writer = os.open("pipe.toml", os.O_WRONLY)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
        os.close(writer)
    assert process.returncode == 130
    assert stderr.strip() == "error: interrupted; what was reserved stays spent, the same keys resume it"


def interruptible():
    """As on a terminal, however the tests were started."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_reader_who_leaves_is_no_error(invoke):
    invoke("run", "study.toml")
    command = f"'{sys.executable}' -c 'from fedanalytics.cli import main; main()' ledger show budget.db | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""


def test_an_old_terminal(program):
    first = program("run", "study.toml", PYTHONIOENCODING="ascii")
    assert first.returncode == 0, first.stderr
    assert "+-" in first.stdout
    assert "####" in first.stdout
    assert program("run", "study.toml", "--dry-run", PYTHONIOENCODING="latin-1").stdout.isascii()
    json.loads(program("run", "study.toml", "--json", PYTHONIOENCODING="ascii").stdout)


def on_a_terminal(*arguments):
    """What a terminal of 80 columns is sent on standard error."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    del environment["NO_COLOR"]
    with subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=theirs, env=environment) as process:
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
    os.close(ours)
    assert process.returncode == 0
    return sent.decode()


def test_progress_is_for_terminals_and_names_phases_only(place):
    sent = on_a_terminal("run", "study.toml")
    assert any(phase in sent for phase in ("starting", "opening the data", "asking the clients"))
    assert "600" not in sent


def test_nothing_heavy_is_loaded_for_a_study_that_is_wrong(place):
    (place / "study.toml").write_text("name = 1")
    code = (
        "import sys\nfrom fedanalytics.cli import main\n"
        "try:\n    main()\nexcept SystemExit as e:\n    assert e.code == 2\n"
        "print([m for m in ('pandas', 'scipy', 'sqlglot', 'dp_accounting', 'torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "study.toml"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
