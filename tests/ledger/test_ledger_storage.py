"""Files that are full, locked, read-only, foreign or gone: clear words, nothing reserved, usable afterwards."""

from __future__ import annotations

import hashlib
import sqlite3
import threading

import pytest

from fedanalytics.errors import BadArgument, LedgerCorrupt, LedgerError, LedgerLocked, LedgerUnwritable
from fedanalytics.ledger import Answer, Ledger, verify
from fedanalytics.ledger.results import LARGE

LONG = "x" * (LARGE + 1)


@pytest.fixture
def ledger(path):
    with Ledger(path, actor="ada", timeout=5) as opened:
        yield opened


@pytest.fixture
def budget(ledger):
    return ledger.budget("a", rho=1)


class TestPlaces:
    def test_a_folder(self, tmp_path):
        with pytest.raises(BadArgument, match=r"is a folder; name a file in it: '.*budget.db'"):
            Ledger(tmp_path)

    def test_a_folder_that_does_not_exist(self, tmp_path):
        with pytest.raises(BadArgument, match=r"create '.*/none' first"):
            Ledger(tmp_path / "none" / "budget.db")

    @pytest.mark.parametrize("path", ["", "mysql://host/db", "postgresql:/host/db"])
    def test_no_file(self, path):
        with pytest.raises(BadArgument, match="path="):
            Ledger(path)

    @pytest.mark.parametrize("arguments", [{"timeout": 0}, {"timeout": float("inf")}, {"actor": ""}])
    def test_bad_arguments(self, path, arguments):
        with pytest.raises(BadArgument, match=f"{next(iter(arguments))}="):
            Ledger(path, **arguments)
        assert not path.exists()

    def test_a_file_that_is_no_database(self, path):
        path.write_text("not a database " * 100)
        with pytest.raises(LedgerCorrupt, match="no ledger"):
            Ledger(path)
        assert path.read_text().startswith("not a database")

    def test_another_programs_database(self, path):
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE theirs (x)")
        connection.close()
        before = path.read_bytes()
        for act in (Ledger, verify):
            with pytest.raises(BadArgument, match="another program's database"):
                act(path)
        assert path.read_bytes() == before

    def test_a_later_format(self, path):
        Ledger(path).close()
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 2")
        connection.close()
        with pytest.raises(LedgerError, match="format 2"):
            Ledger(path)

    def test_an_empty_file_becomes_a_ledger(self, path):
        path.touch()
        with Ledger(path) as ledger:
            assert ledger.head().seq == 0


class TestFull:
    def fill(self, ledger, budget, pay):
        """A real SQLITE_FULL: the database may not grow any more."""
        pages = ledger.store._connection.execute("PRAGMA page_count").fetchone()[0]
        ledger.store._connection.execute(f"PRAGMA max_page_count = {pages}")
        held = []

        def fill():
            for i in range(1000):
                held.extend(budget.reserve([pay(f"fill {i}", 1, column="c" * 900)]))

        with pytest.raises(LedgerUnwritable, match=r"nothing was reserved or committed: is the disk full") as caught:
            fill()
        assert caught.value.__cause__.sqlite_errorcode == sqlite3.SQLITE_FULL
        return held

    def test_nothing_is_reserved_and_room_helps(self, ledger, budget, pay):
        held = self.fill(ledger, budget, pay)
        assert budget.spent.units == len(held)
        assert verify(ledger).head == ledger.head()
        with pytest.raises(LedgerUnwritable):
            budget.commit([Answer(held[0], 0, "d", "y" * 10_000)])
        assert budget.reserve([pay("fill 0", 1, column="c" * 900)])[0].answers == {}
        ledger.store._connection.execute("PRAGMA max_page_count = 100000")
        budget.commit([Answer(held[0], 0, "d", "y" * 10_000)])
        budget.reserve([pay("room")])
        assert verify(ledger).budgets["a"].spent == len(held) + 10**9

    def test_an_answer_that_could_not_be_committed_is_destroyed(self, ledger, budget, pay, path):
        held = self.fill(ledger, budget, pay)

        def fill_on():
            for i in range(100):
                budget.commit([Answer(held[0], i, "d", f"{i}{LONG}")])

        with pytest.raises(LedgerUnwritable):
            fill_on()
        files = {file.name for file in path.with_name("budget.db.results").iterdir()}
        stored = budget.reserve([pay("fill 0", 1, column="c" * 900)])[0].answers
        assert {hashlib.sha256(f'"{answer.body}"'.encode()).hexdigest() for answer in stored.values()} == files


class TestReadOnly:
    def test_a_database_that_may_only_be_read(self, ledger, budget, pay):
        ledger.store._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(LedgerUnwritable, match="read-only"):
            budget.reserve([pay("k")])
        assert budget.spent.units == 0
        ledger.store._connection.execute("PRAGMA query_only = OFF")
        budget.reserve([pay("k")])


class TestLocked:
    def test_waits_then_says_so(self, path, pay):
        with Ledger(path, timeout=0.2) as ledger:
            budget = ledger.budget("a", rho=1)
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerLocked, match=r"held by another process; waited 0.2 s and changed nothing"):
                budget.reserve([pay("k")])
            assert budget.spent.units == 0
            assert ledger.budget("a").remaining.units == 10**12
            other.execute("ROLLBACK")
            other.close()
            budget.reserve([pay("k")])

    def test_opening_waits_too(self, path):
        Ledger(path).close()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerLocked):
            Ledger(path, timeout=0.1)
        other.close()
        Ledger(path, timeout=0.1).close()

    def test_making_waits_even_where_sqlite_does_not(self, path):
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")  # the switch to the write-ahead log is then refused at once
        timer = threading.Timer(0.2, other.execute, ["ROLLBACK"])
        timer.start()
        Ledger(path, timeout=20).close()
        timer.join()
        other.close()
        assert verify(path).entries == 0

    def test_making_waits_too(self, path):
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerLocked):
            Ledger(path, timeout=0.1)
        other.execute("ROLLBACK")
        other.close()
        Ledger(path).close()


class TestLargeAnswers:
    def test_lie_in_files_and_come_back(self, path, pay):
        with Ledger(path) as ledger:
            [held] = ledger.budget("a", rho=1).reserve([pay("k")])
            assert ledger.budget("a").commit([Answer(held, 0, "d", LONG), Answer(held, 1, "d", "short")]) == (
                LONG,
                "short",
            )
        [file] = path.with_name("budget.db.results").iterdir()
        assert file.name == hashlib.sha256(f'"{LONG}"'.encode()).hexdigest()
        assert path.stat().st_size < LARGE
        with Ledger(path) as ledger:
            [again] = ledger.budget("a").reserve([pay("k")])
            assert {i: stored.body for i, stored in again.answers.items()} == {0: LONG, 1: "short"}
            assert ledger.budget("a").commit([Answer(held, 0, "d", LONG + "!")]) == (LONG,)
            assert verify(path) == verify(ledger)
        assert list(path.with_name("budget.db.results").iterdir()) == [file]

    def test_stay_in_memory_with_a_ledger_in_memory(self, pay):
        with Ledger(":memory:") as ledger:
            budget = ledger.budget("a", rho=1)
            [held] = budget.reserve([pay("k")])
            assert budget.commit([Answer(held, 0, "d", LONG)]) == (LONG,)
            assert verify(ledger).entries == 3
            connection = ledger.store._connection
            for name in ("result_update", "result_insert"):
                connection.execute(f"DROP TRIGGER {name}")
            connection.execute("UPDATE result SET body = NULL")
            with pytest.raises(LedgerCorrupt, match="is missing"):
                budget.reserve([pay("k")])

    def test_are_destroyed_when_the_commit_fails(self, budget, pay, path):
        [held] = budget.reserve([pay("k")])
        budget.commit([Answer(held, 0, "d", "first")])
        with pytest.raises(LedgerError, match="identical rounds"):
            budget.commit([Answer(held, 1, "d", LONG), Answer(held, 0, "other", "second")])
        assert list(path.with_name("budget.db.results").iterdir()) == []

    def test_of_a_killed_commit_are_swept_by_the_next(self, budget, pay, path):
        [held] = budget.reserve([pay("k")])
        budget.commit([Answer(held, 0, "d", LONG)])
        folder = path.with_name("budget.db.results")
        [kept] = folder.iterdir()
        for name in ("ab" * 32, f"{'cd' * 32}.part", "notes.txt"):
            (folder / name).write_text("left behind")
        budget.commit([Answer(held, 1, "d", f"{LONG}!")])
        names = {file.name for file in folder.iterdir()}
        assert len(names) == 3
        assert {kept.name, "notes.txt"} < names
        assert "ab" * 32 not in names

    def test_that_cannot_be_written_are_not_committed(self, budget, pay, path):
        [held] = budget.reserve([pay("k")])
        path.with_name("budget.db.results").write_text("a file in the way")
        with pytest.raises(LedgerUnwritable, match=r"it was not committed: make room"):
            budget.commit([Answer(held, 0, "d", LONG)])
        path.with_name("budget.db.results").unlink()
        assert budget.commit([Answer(held, 0, "d", LONG)]) == (LONG,)


def test_memory_is_forgotten():
    with Ledger(":memory:") as ledger:
        ledger.budget("a", rho=1)
    with Ledger(":memory:") as ledger:
        assert ledger.budgets() == {}
