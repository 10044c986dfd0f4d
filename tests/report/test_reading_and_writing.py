"""A ledger is read at one moment, also a broken one; the page is replaced as a whole, again when the ledger grows."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fedanalytics as fa
from fedanalytics.errors import BadArgument, LedgerCorrupt
from fedanalytics.report import read, write
from fedanalytics.report.reading import head_of
from fedanalytics.report.writing import replaced

RUN = "import sys; from fedanalytics.report import watch; watch(sys.argv[1], sys.argv[2], print, every=0.05)"


@pytest.fixture
def copied(lived, tmp_path):
    """A copy that may be spoiled."""
    places = (sqlite3.connect(place) for place in (lived[0], tmp_path / "budget.db"))
    original, copy = (contextlib.closing(place) for place in places)
    with original as source, copy as target:
        source.backup(target)
    shutil.copy(f"{lived[0]}.head", tmp_path / "budget.db.head")
    return tmp_path / "budget.db"


def spoil(path, seq, change):
    """Change the row of an entry, past the triggers."""
    with contextlib.closing(sqlite3.connect(path)) as ledger, ledger:
        [sql] = ledger.execute("SELECT sql FROM sqlite_master WHERE name = 'entry_update'").fetchone()
        ledger.execute("DROP TRIGGER entry_update")
        ledger.execute(f"UPDATE entry SET {change} WHERE seq = ?", (seq,))
        ledger.execute(sql)


def test_a_sound_ledger(lived, lived_book):
    with fa.Ledger(lived[0]) as ledger:
        assert lived_book.head == ledger.head()
    assert lived_book.problem == ""
    assert lived_book.entries == lived_book.verification.entries
    assert read(lived[0], believing=True).verification is None
    assert head_of(lived[0]) == lived_book.head


@pytest.mark.parametrize(
    "change",
    [
        'body = replace(body, \'"actor":"ada"\', \'"actor":"eve"\')',
        "body = 'rubbish'",
        "body = '[1]'",
        "body = CAST(x'7b22ff227d' AS TEXT)",
        "hash = x'00'",
        "prev = 'text'",
        'body = \'{"type":"reserve","time":"yesterday","actor":"ada"}\'',
    ],
)
def test_a_spoiled_entry_is_on_top_of_the_page_and_the_rest_below(copied, change):
    before = read(str(copied))
    spoil(copied, 5, change)
    after = read(str(copied))
    assert "entry 5" in after.problem or "entry 4" in after.problem or "entry 6" in after.problem
    assert after.verification is None
    gone = [spend for spend in before.accounts.spends if spend.seq == 5]
    assert len(gone) == 1
    assert len(after.accounts.unreadable) <= 2  # the entry, and the one that answers it
    assert set(after.accounts.unreadable[:1]) <= {5}
    assert len(after.accounts.spends) >= len(before.accounts.spends) - 1
    file = copied.with_name("report.html")
    assert write(str(copied), str(file)).problem == after.problem
    assert "This ledger does not verify." in file.read_text()


def test_an_older_copy_is_refused_where_it_is_believed(copied):
    copied.with_name("budget.db.head").write_text(f"99:{'0' * 64}")
    with pytest.raises(LedgerCorrupt, match="does not contain the known head 99"):
        read(str(copied), believing=True)
    assert "does not contain the known head 99" in read(str(copied)).problem


def test_what_is_no_ledger(tmp_path):
    with pytest.raises(BadArgument, match="does not exist"):
        read(str(tmp_path / "none.db"))
    (tmp_path / "text.db").write_text("no ledger, but long enough to be looked at " * 99)
    with pytest.raises(LedgerCorrupt, match="no ledger"):
        read(str(tmp_path / "text.db"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["text.db"]


def test_reading_changes_nothing(copied):
    kept = {file.name: file.read_bytes() for file in copied.parent.iterdir()}
    read(str(copied))
    read(str(copied), believing=True)
    assert {f.name: f.read_bytes() for f in copied.parent.iterdir() if not f.name.endswith(("-shm", "-wal"))} == kept


def test_the_page_is_replaced_as_a_whole(tmp_path):
    file = tmp_path / "report.html"
    file.write_text("old")
    first = file.stat().st_ino
    with file.open() as open_before:
        replaced(file, "new")
        assert open_before.read() == "old"
    assert file.read_text() == "new"
    assert file.stat().st_ino != first
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path):
    (tmp_path / "report.html").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        replaced(tmp_path / "report.html", "\ud800")
    assert (tmp_path / "report.html").read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_where_a_page_cannot_go(lived, tmp_path):
    with pytest.raises(BadArgument, match=r"-o .* lies in a folder that does not exist; create"):
        write(lived[0], str(tmp_path / "none" / "report.html"))
    with pytest.raises(BadArgument, match=r"-o .* is a folder; name a file in it"):
        write(lived[0], str(tmp_path))


def until(true, seconds=60):
    """Wait for something; fails when it does not come."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_watching_writes_again_as_the_ledger_grows_and_ends_by_interrupt(tmp_path, a_plan):
    path, file = tmp_path / "budget.db", tmp_path / "report.html"
    with fa.Ledger(path) as ledger:
        budget = ledger.budget("b", rho=1.0)
        process = subprocess.Popen([sys.executable, "-c", RUN, path, file], stderr=subprocess.PIPE, text=True)
        try:
            until(file.exists)
            assert "100 %" in file.read_text()
            stamp = file.stat().st_mtime_ns
            time.sleep(0.3)
            assert file.stat().st_mtime_ns == stamp
            budget.reserve([a_plan("monday", units=5 * 10**11)])
            until(lambda: file.stat().st_mtime_ns != stamp)
            text = file.read_text()
            assert "50 % <small>left" in text.replace("\xa0", " ")
            assert text.endswith("</html>")
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
    assert "KeyboardInterrupt" in errors
    assert not [one for one in tmp_path.iterdir() if one.suffix == ".part"]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_the_page_has_the_mode_of_any_file(lived, tmp_path):
    write(lived[0], str(tmp_path / "report.html"))
    Path(tmp_path / "plain").write_text("")
    assert (tmp_path / "report.html").stat().st_mode == (tmp_path / "plain").stat().st_mode
