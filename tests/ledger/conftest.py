"""Plans that cost what the test says, ledgers in a file and on a server, and what an attacker does to them."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import itertools
import math
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fedanalytics.ledger import Answer, Ledger, Plan, entries
from fedanalytics.ledger.results import LARGE
from fedanalytics.ledger.sqlite import SCHEMA
from fedanalytics.privacy.events import Gaussian
from fedanalytics.privacy.relations import Relation

PATIENCE = 30.0  # seconds that a server may take to start or to stop


class Server:
    """A real PostgreSQL server in a folder of its own, with the durability that it has by default.

    Trusts everyone on its socket but the role `locked`, whose password is "open sesame".
    """

    def __init__(self, **settings: str) -> None:
        self._programs, self._settings = programs(), settings
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a socket's path is short
        # PostgreSQL does not run as root.
        self._who: dict[str, Any] = {"cwd": self.folder}
        if os.geteuid() == 0:
            user = next(name for name in ("postgres", "nobody") if name in {each.pw_name for each in pwd.getpwall()})
            self._who |= {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
            shutil.chown(self.folder, user)
        command = ["initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        self._run(command)
        rules = self.folder / "data" / "pg_hba.conf"
        rules.write_text("local all locked scram-sha-256\n" + rules.read_text())
        self._names = map("t{}".format, itertools.count())
        self.start()
        self.run("CREATE ROLE locked LOGIN PASSWORD 'open sesame'")

    def _run(self, command: list[str]) -> None:
        command[0] = str(self._programs / command[0])
        subprocess.run(command, check=True, capture_output=True, **self._who)

    def start(self) -> None:
        """Until it answers; after a kill, what is left of the old one ends first."""
        deadline = time.monotonic() + PATIENCE
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.folder)} | self._settings
        command = [str(self._programs / "postgres"), "-D", "data", *(f"--{k}={v}" for k, v in settings.items())]
        with (self.folder / "log").open("ab") as log:
            while True:
                self.process = subprocess.Popen(command, stdout=log, stderr=log, **self._who)
                while self.process.poll() is None:
                    with contextlib.suppress(psycopg.OperationalError):
                        self.run("SELECT 1")
                        return
                    assert time.monotonic() < deadline, (self.folder / "log").read_text()
                    time.sleep(0.02)
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.1)

    def stop(self, how: signal.Signals) -> None:
        """This server, by its number; SIGKILL is a crash."""
        self.process.send_signal(how)
        self.process.wait(PATIENCE)

    def remove(self) -> None:
        if self.process.poll() is None:
            self.stop(signal.SIGQUIT)  # at once: nothing is to be kept
        shutil.rmtree(self.folder, ignore_errors=True)

    def address(self, name: str = "postgres", *, user: str = "postgres", schema: str = "") -> str:
        """The address of a database on this server."""
        options = f"&options=-csearch_path%3D{schema}" if schema else ""
        return f"postgresql://{user}@/{name}?host={self.folder}{options}"

    def schema(self) -> str:
        """The address of a new, empty schema."""
        name = next(self._names)
        self.run(f"CREATE SCHEMA {name}")
        return self.address(schema=name)

    def connect(self, address: str = "") -> psycopg.Connection[Any]:
        return psycopg.connect(address or self.address(), autocommit=True, connect_timeout=5)

    def run(self, *statements: Any, address: str = "") -> list[Any]:
        """What the last statement found."""
        with contextlib.closing(self.connect(address)) as connection:
            for statement in statements:
                text, values = (statement, None) if isinstance(statement, str) else statement
                cursor = connection.execute(text.replace("?", "%s") if values else text, values)
            return cursor.fetchall() if cursor.description else []

    def __str__(self) -> str:
        return str(self.folder)


def programs() -> Path:
    """Where the server's programs lie; without them, tests are skipped, but never in CI."""
    found = shutil.which("postgres")
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not places:
        missing = "no PostgreSQL server is installed here (Debian: apt-get install postgresql)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return places[-1]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One for all tests; it is not to be stopped by them."""
    started = Server()
    yield started
    started.remove()


@pytest.fixture
def victim() -> Iterator[Server]:
    """One to be killed."""
    started = Server()
    yield started
    started.remove()


@pytest.fixture(scope="session")
def pay() -> Callable[..., Plan]:
    """`pay(key, units)`: a Gaussian plan that costs so many units."""

    def made(
        key: str,
        units: int = 10**9,
        *,
        column: str = "temp",
        trust: str = "central",
        relation: Relation = Relation.ADD_OR_REMOVE_ONE,
    ) -> Plan:
        event = Gaussian(math.sqrt(10**12 / (2 * units)) * (1 + 1e-12), relation)
        return Plan(key, {"is": "Mean", "column": column, "bounds": [0.0, 110.0]}, event, units, trust)

    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "budget.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> str:
    """Where a new ledger may lie: the contract holds in both."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("path"))
    return request.getfixturevalue("server").schema()


@pytest.fixture
def ledger(place: str) -> Iterator[Ledger]:
    with Ledger(place, actor="ada", timeout=5) as opened:
        yield opened


class Clock:
    """The `datetime` module of a host whose clock says what the test says."""

    UTC = dt.UTC

    def __init__(self, time: str) -> None:
        self.time = dt.datetime.fromisoformat(time)

    @property
    def datetime(self) -> Clock:
        return self

    def now(self, zone: dt.tzinfo) -> dt.datetime:
        return self.time.astimezone(zone)

    def forward(self, **by: float) -> None:
        """Let time pass; negative, set it back."""
        self.time += dt.timedelta(**by)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Monday, 2 March 2026, at noon, until the test says otherwise."""
    made = Clock("2026-03-02T12:00:00+00:00")
    monkeypatch.setattr(entries, "dt", made)
    return made


def fill(address: str, pay: Callable[..., Plan]) -> None:
    """Eleven entries: two budgets, four reservations, three answers, one of them a large one, one release."""
    with Ledger(address, actor="ada") as ledger:
        one = ledger.budget("one", epsilon=1.0, delta=1e-6, unit="u", dataset="d")
        ledger.budget("two", rho=0.5).bind(unit="v", dataset="d")
        held = one.reserve([pay("a"), pay("b"), pay("c")])
        one.commit([Answer(held[0], 0, "d0", [1.25]), Answer(held[1], 0, "d0", [2.25])])
        one.commit([Answer(held[0], 1, "d1", "x" * (LARGE + 1))])
        one.release([held[2]], "no client was asked")
        one.reserve([pay("e")])
        assert ledger.head().seq == 11


def fill_for_people(address: str, pay: Callable[..., Plan]) -> None:
    """Eleven more: a budget with weeks and actors, spent in two weeks, amended and audited; and one without."""
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock("2026-03-02T12:00:00+00:00")
        patch.setattr(entries, "dt", clock)
        with Ledger(address, actor="ada") as ada, Ledger(address, actor="bob") as bob:
            caps = {"ada": 0.75, "*": {"epsilon": 0.5}}
            team = ada.budget("team", epsilon=1.0, delta=1e-6, unit="u", dataset="d", window="1w", actor_caps=caps)
            [first] = team.reserve([pay("a", 20 * 10**9)])
            team.commit([Answer(first, 0, "d0", [1.25])])
            clock.forward(days=7)
            team.reserve([pay("b"), pay("c")])
            team.amend(epsilon=2.0, reason="the board agreed on 9 March")
            ada.budget("team").record_audit({"verdict": "consistent", "claim": {"rho": 0.02}, "trials": 4096})
            plain = bob.budget("plain", rho=0.5, unit="v", dataset="d")
            plain.release(plain.reserve([pay("a")]), "no client was asked")
            bob.budget("team").reserve([pay("d", 5 * 10**9)])
            assert ada.head().seq == 11


FILLED = {"eleven": fill, "people": fill_for_people}


class InFile:
    """Eleven entries in a file, and one who may do anything to it."""

    def __init__(self, path: Path) -> None:
        self.address, self._path = str(path), path

    def run(self, *statements: Any) -> list[Any]:
        """As anyone who has the file: our triggers hold."""
        with contextlib.closing(sqlite3.connect(self._path)) as connection, connection:
            for statement in statements:
                rows = connection.execute(*((statement,) if isinstance(statement, str) else statement)).fetchall()
            return rows

    def edit(self, *statements: Any) -> None:
        """As an attacker: without our triggers, which are put back afterwards."""
        triggers = [name for name, sql in SCHEMA.items() if sql.startswith("CREATE TRIGGER")]
        drops = [f"DROP TRIGGER {name}" for name in triggers]
        self.run(*drops, *statements, *(SCHEMA[name] for name in triggers))

    def forget_head(self) -> None:
        """What knows the head from outside of the database."""
        self._path.with_name("budget.db.head").unlink()


class OnServer:
    """The same on a server: run by the owner of the tables."""

    def __init__(self, server: Server, template: str) -> None:
        self.address, self._server = server.schema(), server
        Ledger(self.address).close()
        source = template.rpartition("%3D")[2]
        for table in ("entry", "result", "budget", "reservation"):
            order = "ORDER BY seq" if table == "entry" else ""
            self.run(f"INSERT INTO {table} SELECT * FROM {source}.{table} {order}")

    def run(self, *statements: Any) -> list[Any]:
        return self._server.run(*statements, address=self.address)

    def edit(self, *statements: Any) -> None:
        toggled = [
            [f"ALTER TABLE {t} {verb} TRIGGER USER" for t in ("entry", "result")] for verb in ("DISABLE", "ENABLE")
        ]
        self.run(*toggled[0], *statements, *toggled[1])

    def forget_head(self) -> None:
        """Nothing does."""


@pytest.fixture(scope="session")
def templates(tmp_path_factory, pay):
    """Folders, each with a ledger to be copied."""

    @functools.cache
    def made(name: str) -> Path:
        path = tmp_path_factory.mktemp(name) / "budget.db"
        FILLED[name](str(path), pay)
        return path.parent

    return made


@pytest.fixture(scope="session")
def templates_on_server(server, pay):
    """Addresses of such ledgers."""

    @functools.cache
    def made(name: str) -> str:
        address = server.schema()
        FILLED[name](address, pay)
        return address

    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def copy_of(request, tmp_path):
    """`copy_of(name)`: one of the filled ledgers, wherever: to be tampered with."""

    def made(name: str) -> InFile | OnServer:
        if request.param == "sqlite":
            folder = tmp_path / name
            shutil.copytree(request.getfixturevalue("templates")(name), folder)
            return InFile(folder / "budget.db")
        return OnServer(request.getfixturevalue("server"), request.getfixturevalue("templates_on_server")(name))

    return made


@pytest.fixture
def filled(copy_of):
    return copy_of("eleven")


@pytest.fixture
def written(templates, tmp_path):
    """The eleven entries in a file, with what lies beside it."""
    shutil.copytree(templates("eleven"), tmp_path / "ledger")
    return tmp_path / "ledger" / "budget.db"


@pytest.fixture
def on_server(server, templates_on_server):
    return OnServer(server, templates_on_server("eleven"))


@pytest.fixture
def edit(written):
    """Runs SQL on the file as an attacker would."""
    return InFile(written).edit
