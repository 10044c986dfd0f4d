"""A server that dies, or a connection that breaks, at every step of a spend: nothing is lost and nothing is freed."""

from __future__ import annotations

import contextlib
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from fedanalytics.errors import LedgerError, LedgerLocked, LedgerUnwritable
from fedanalytics.ledger import Answer, Ledger, Plan, verify
from fedanalytics.privacy.events import NoOp


def plan(key: str, units: int = 1) -> Plan:
    return Plan(key, {"is": "Count"}, NoOp(), units, "central")


class Wire:
    """Carries one connection at a time to a server's socket, until `cut` finds its text in what a client sends.

    Then `act` is called; "before" breaks the connection instead of passing the text on, "after" as soon as the server
    has answered it, "" not at all.
    """

    def __init__(self, target: Path) -> None:
        self._target = str(target / ".s.PGSQL.5432")
        self.folder = tempfile.mkdtemp(prefix="wire-")
        self.text, self.when, self.act = b"", "", lambda: None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self.folder}/.s.PGSQL.5432")
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def cut(self, text: bytes, when: str, act=lambda: None) -> None:
        self.text, self.when, self.act = text, when, act

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
                server.connect(self._target)
                self._carry(client, server)

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        ends = False
        while True:
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(1 << 20)
                if not data or (source is server and ends):
                    return
                if source is client and self.text and self.text in data:
                    self.text = b""
                    self.act()
                    if self.when == "before":
                        return
                    ends = self.when == "after"
                (server if source is client else client).sendall(data)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        shutil.rmtree(self.folder)


@pytest.fixture
def wire(server):
    made = Wire(server.folder)
    yield made
    made.close()


@pytest.fixture
def address(server):
    return server.schema()


@pytest.fixture
def far(server, address, wire):
    """The same ledger by way of the wire."""
    return address.replace(str(server.folder), wire.folder)


def others(server) -> None:
    """Ends every connection of a ledger, as an operator would."""
    server.run(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'fedanalytics'"
        " AND pid <> pg_backend_pid()"
    )


STEPS = [b"SELECT seq, hash", b"SELECT terms", b"INSERT INTO entry", b"INSERT INTO reservation", b"UPDATE budget"]


class TestLostBeforeTheCommit:
    @pytest.mark.parametrize("when", ["before", "after", "terminated"])
    @pytest.mark.parametrize("step", STEPS)
    def test_nothing_was_reserved_and_the_next_call_connects_again(self, server, address, far, wire, step, when):
        with Ledger(address) as near:
            near.budget("a", rho=1)
        with Ledger(far) as ledger:
            budget = ledger.budget("a")
            wire.cut(step, when, lambda: others(server) if when == "terminated" else None)
            with pytest.raises(LedgerUnwritable, match="nothing was reserved or committed"):
                budget.reserve([plan("k")])
            assert budget.spent.units == 0
            assert not budget.reserve([plan("k")])[0].replayed
            assert verify(address).budgets["a"].spent == 1

    @pytest.mark.parametrize("step", [b"INSERT INTO entry", b"INSERT INTO result"])
    def test_nothing_was_answered(self, address, far, wire, step):
        with Ledger(far) as ledger:
            budget = ledger.budget("a", rho=1)
            [held] = budget.reserve([plan("k")])
            wire.cut(step, "after")
            with pytest.raises(LedgerUnwritable, match="nothing was reserved or committed"):
                budget.commit([Answer(held, 0, "d", "lost")])
            assert budget.reserve([plan("k")])[0].answers == {}
            assert budget.commit([Answer(held, 0, "d", "kept")]) == ("kept",)
            assert verify(address).budgets["a"].open == ()


class TestLostInTheCommit:
    """From here, what happened cannot be known; so it is said, and the same key finds out."""

    @pytest.mark.parametrize(("when", "happened"), [("before", False), ("after", True)])
    def test_of_a_reservation(self, address, far, wire, when, happened):
        with Ledger(far) as ledger:
            budget = ledger.budget("a", rho=1)
            wire.cut(b"COMMIT\0", when)
            with pytest.raises(LedgerError, match=r"whether it did is unknown.*run again with the same key") as caught:
                budget.reserve([plan("k")])
            assert type(caught.value) is LedgerError
            assert budget.spent.units == happened
            assert budget.reserve([plan("k")])[0].replayed is happened
            assert verify(address).budgets["a"].spent == 1

    @pytest.mark.parametrize(("when", "stored"), [("before", "second"), ("after", "first")])
    def test_of_an_answer(self, address, far, wire, when, stored):
        with Ledger(far) as ledger:
            budget = ledger.budget("a", rho=1)
            [held] = budget.reserve([plan("k")])
            wire.cut(b"COMMIT\0", when)
            with pytest.raises(LedgerError, match="whether it did is unknown"):
                budget.commit([Answer(held, 0, "d", "first")])
            assert budget.commit([Answer(held, 0, "d", "second")]) == (stored,)
            assert verify(address).entries == 3

    def test_while_the_server_is_still_at_it(self, server, address):
        """The same key waits for the end of what the first attempt began."""
        with Ledger(address, timeout=20) as ledger:
            budget = ledger.budget("a", rho=1)
            server.run(*slow(0.5), address=address)
            with socket.socket(fileno=os.dup(ledger.store._connection._raw.fileno())) as line:
                timer = threading.Timer(0.2, line.shutdown, [socket.SHUT_RDWR])
                timer.start()
                with pytest.raises(LedgerError, match="whether it did is unknown"):
                    budget.reserve([plan("k")])
                timer.join()
            assert budget.reserve([plan("k")])[0].replayed
            assert budget.spent.units == 1
        assert verify(address).entries == 2

    def test_by_an_operator(self, server, address):
        with Ledger(address) as ledger:
            budget = ledger.budget("a", rho=1)
            server.run(*slow(20), address=address)
            timer = threading.Timer(0.3, others, [server])
            timer.start()
            with pytest.raises(LedgerError, match=r"terminating connection.*whether it did is unknown"):
                budget.reserve([plan("k")])
            timer.join()
            server.run("DROP TRIGGER slow ON reservation", address=address)
            assert budget.spent.units == 0
            assert not budget.reserve([plan("k")])[0].replayed


def slow(seconds: float) -> tuple[str, ...]:
    """A commit takes its time."""
    body = f"'BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END'"
    trigger = "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON reservation DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
    return (
        f"CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS {body}",
        f"{trigger} EXECUTE FUNCTION dawdle()",
    )


def test_an_idle_connection_that_was_ended_is_replaced_in_silence(server, address):
    with Ledger(address) as ledger:
        budget = ledger.budget("a", rho=1)
        for act in (lambda: budget.reserve([plan("k")]), lambda: budget.spent, ledger.head, lambda: verify(ledger)):
            others(server)
            act()
        assert budget.spent.units == 1


def test_a_wait_for_ones_turn_that_is_ended_begins_again(server, address):
    with Ledger(address) as other, Ledger(address, timeout=1) as ledger:
        budget = ledger.budget("a", rho=1)
        with other.store.write():
            pid = ledger.store._connection._raw.info.backend_pid
            timer = threading.Timer(0.2, server.run, [f"SELECT pg_terminate_backend({pid})"])
            timer.start()
            with pytest.raises(LedgerLocked):
                budget.reserve([plan("k")])
            timer.join()
            assert ledger.store._connection._raw.info.backend_pid != pid
        assert budget.spent.units == 0
        budget.reserve([plan("k")])


SPENDER = """
import sys
from fedanalytics.errors import LedgerError
from fedanalytics.ledger import Answer, Ledger, Plan
from fedanalytics.privacy.events import NoOp
budget = Ledger(sys.argv[1], timeout=5).budget("a", rho=1)
try:
    for i in range(10**6):
        [held] = budget.reserve([Plan(f"{sys.argv[2]}-{i}", {"is": "Count"}, NoOp(), 1, "central")])
        budget.commit([Answer(held, 0, "d", held.key)])
        print(held.key, flush=True)
except LedgerError as error:
    print(error, file=sys.stderr)
"""


def test_a_server_that_is_killed_loses_no_answer_and_frees_no_budget(victim):
    """Four crashes of the whole server while two programs spend; one ledger of ours lives through all of them."""
    address, moments, printed = victim.schema(), random.Random(5), set()  # noqa: S311  # when to kill, not what to draw
    with Ledger(address, timeout=10) as ledger:
        budget = ledger.budget("a", rho=1)
        for run in range(4):
            command = [sys.executable, "-c", SPENDER, address]
            spenders = [
                subprocess.Popen([*command, f"{run}{n}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                for n in range(2)
            ]
            for spender in spenders:
                assert select.select([spender.stdout], [], [], 30)[0]
            time.sleep(moments.uniform(0, 0.1))
            victim.stop(signal.SIGKILL)
            for spender in spenders:
                out, said = spender.communicate(timeout=30)
                assert spender.returncode == 0, said
                assert "nothing was reserved" in said or "whether it did is unknown" in said
                printed |= set(out.split())
            with pytest.raises(LedgerUnwritable, match="nothing was reserved or committed"):
                budget.reserve([plan("meanwhile")])
            victim.start()
            rows = budget.spent.queries
            stored = {row["key"] for row in rows if row["state"] == "committed"}
            assert printed <= stored
            assert len(rows) - len(stored) <= 2 * (run + 1)  # a crash leaves at most one open in each program
            assert budget.spent.units == len(rows)
            assert "meanwhile" not in {row["key"] for row in rows}
        key = min(printed)
        assert budget.reserve([plan(key)])[0].answers[0].body == key
    assert verify(address).budgets["a"].spent == len(rows) >= len(printed) >= 8
