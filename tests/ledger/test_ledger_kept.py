"""What lies beside the database: the kept head, which a restored backup does not pass, and the large answers."""

from __future__ import annotations

import hashlib
import shutil

import pytest

from fedanalytics.errors import BadArgument, LedgerCorrupt
from fedanalytics.ledger import Head, Ledger, verify


class TestRestoredBackup:
    @pytest.fixture
    def backup(self, written, pay):
        shutil.copy(written, written.with_name("backup.db"))
        with Ledger(written) as ledger:
            ledger.budget("one").reserve([pay("late")])
        shutil.move(written.with_name("backup.db"), written)
        return written

    def test_is_refused_when_opened(self, backup):
        with pytest.raises(LedgerCorrupt, match="would spend the same budget twice"):
            Ledger(backup)
        with pytest.raises(LedgerCorrupt, match="Put the newest copy back"):
            verify(backup)

    def test_is_refused_before_it_spends(self, written, pay):
        with Ledger(written) as ledger:
            budget = ledger.budget("one")
            head = ledger.head()
            written.with_name("budget.db.head").write_text(f"{head.seq + 1}:{'ab' * 32}\n")
            with pytest.raises(LedgerCorrupt, match="older copy"):
                budget.reserve([pay("late")])
            assert budget.spent.units == 3 * 10**9
            written.with_name("budget.db.head").write_text(f"{head.seq}:{'ab' * 32}\n")
            with pytest.raises(LedgerCorrupt, match="rewritten"):
                budget.reserve([pay("late")])
            written.with_name("budget.db.head").write_text(str(head))
            budget.reserve([pay("late")])

    def test_a_database_that_is_gone_is_refused_too(self, written):
        written.unlink()
        with pytest.raises(LedgerCorrupt, match="ends at entry 0"):
            Ledger(written)


class TestTheHeadFile:
    def test_is_text_that_parses(self, written):
        text = written.with_name("budget.db.head").read_text()
        assert Head.parse(text) == verify(written).head
        assert len(text) == 96

    def test_may_lag_behind(self, written, edit, pay):
        head = written.with_name("budget.db.head")
        early = head.read_text()
        with Ledger(written) as ledger:
            ledger.budget("one").reserve([pay("late")])
        head.write_text(early)
        with Ledger(written) as ledger:
            ledger.budget("one").reserve([pay("later")])
        assert Head.parse(head.read_text()).seq == verify(written).entries == 13

    @pytest.mark.parametrize("content", [None, "", "\0" * 96, "   \n"])
    def test_may_be_missing_or_blank(self, written, content, pay):
        head = written.with_name("budget.db.head")
        head.unlink() if content is None else head.write_text(content)
        with Ledger(written) as ledger:
            ledger.budget("one").reserve([pay("late")])
        assert verify(written).head == Head.parse(head.read_text())

    def test_may_not_be_damaged(self, written):
        written.with_name("budget.db.head").write_bytes(b"\xff12:34")
        for act in (Ledger, verify):
            with pytest.raises(LedgerCorrupt, match=r"budget.db.head is damaged"):
                act(written)

    def test_may_not_be_unreadable(self, written):
        head = written.with_name("budget.db.head")
        head.unlink()
        head.mkdir()
        with pytest.raises(LedgerCorrupt, match=r"budget.db.head cannot be read"):
            Ledger(written)


class TestResultFiles:
    @pytest.fixture
    def file(self, written):
        [file] = written.with_name("budget.db.results").iterdir()
        return file

    def test_are_named_by_their_content(self, file):
        assert hashlib.sha256(file.read_bytes()).hexdigest() == file.name

    def test_missing(self, written, file):
        file.unlink()
        with pytest.raises(
            LedgerCorrupt, match=r"answer of entry 9 does not verify: the stored answer .* cannot be read"
        ):
            verify(written)

    def test_changed(self, written, file, pay):
        file.write_text("y" + file.read_text()[1:])
        with pytest.raises(LedgerCorrupt, match="answer of entry 9 does not verify"):
            verify(written)
        with Ledger(written) as ledger, pytest.raises(LedgerCorrupt, match="was changed"):
            ledger.budget("one").reserve([pay("a")])

    def test_forgotten_by_the_database(self, written, edit):
        edit("DELETE FROM result WHERE body IS NULL")
        with pytest.raises(LedgerCorrupt, match="answer of entry 9 is missing"):
            verify(written)


@pytest.mark.parametrize(
    "text", ["", "12", "12:ab", f"-1:{'0' * 64}", f"1:{'0' * 65}", f"01:{'0' * 64}", f"1:{'G' * 64}"]
)
def test_what_is_no_head(written, text):
    with pytest.raises(BadArgument, match="a head looks like"):
        verify(written, text)


def test_heads_are_text_and_back():
    head = Head(12, "ab" * 32)
    assert Head.parse(f" {head}\n") == head
    assert str(head) == "12:" + "ab" * 32
