"""Damage that is no forgery: bytes, guards, files and rows that are not what they were; refused in our own words."""

from __future__ import annotations

import sqlite3

import pytest

from fedanalytics.errors import BadArgument, LedgerCorrupt
from fedanalytics.ledger import Ledger, verify
from fedanalytics.ledger.sqlite import SCHEMA

NO_TEXT = [
    ("UPDATE entry SET body = x'ff00ff' WHERE seq = 3", "entry 3 was changed"),
    ("UPDATE result SET body = x'00' WHERE seq = 7", "stored answer of entry 7 does not verify"),
    ("UPDATE result SET body = NULL WHERE seq = 7", "stored answer of entry 7 does not verify"),
]


@pytest.mark.parametrize(("statement", "said"), NO_TEXT)
def test_rows_that_are_no_text(written, edit, statement, said):
    edit(statement)
    with pytest.raises(LedgerCorrupt) as caught:
        verify(written)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET body = '{}' WHERE seq = 1",
        "DELETE FROM entry WHERE seq = 11",
        "INSERT OR REPLACE INTO entry SELECT seq, prev, hash, '{}' FROM entry WHERE seq = 3",
        "INSERT INTO entry SELECT 13, hash, hash, body FROM entry WHERE seq = 11",
        "UPDATE result SET body = '[]'",
        "DELETE FROM result",
        "INSERT OR REPLACE INTO result SELECT reservation, position, seq, digest, hash, '[]' FROM result LIMIT 1",
    ],
)
def test_the_store_itself_refuses_to_change_the_past(written, statement):
    connection = sqlite3.connect(written)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(statement)
    connection.close()
    assert verify(written).entries == 11


@pytest.mark.parametrize("name", sorted(SCHEMA))
def test_a_missing_guard_is_noticed(written, name):
    connection = sqlite3.connect(written)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("DELETE FROM sqlite_master WHERE name = ?", (name,))
    connection.commit()
    connection.close()
    for act in (Ledger, verify):
        with pytest.raises(LedgerCorrupt):
            act(written)


def test_any_byte_of_the_file(written):
    """A byte flipped anywhere is harmless or refused in our own words; never another error, never another history."""
    content = bytearray(written.read_bytes())
    truth = verify(written)
    refused = 0
    for at in range(0, len(content), 397):
        content[at] ^= 0xFF
        written.write_bytes(content)
        content[at] ^= 0xFF
        try:
            assert verify(written) == truth
        except (LedgerCorrupt, BadArgument):  # the latter: the mark that says the file is ours
            refused += 1
        except Exception as error:  # noqa: BLE001  # to say where
            pytest.fail(f"byte {at}: {error!r}")
    assert refused > 5


def test_what_is_no_ledger(tmp_path):
    with pytest.raises(BadArgument, match="does not exist"):
        verify(tmp_path / "none.db")
    with pytest.raises(BadArgument, match="is a folder"):
        verify(tmp_path)
    (tmp_path / "text.db").write_text("this is no database, whatever its name may say; " * 30)
    with pytest.raises(LedgerCorrupt, match="no ledger"):
        verify(tmp_path / "text.db")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("statement", "act"),
    [
        ("UPDATE budget SET spent = 'much'", lambda ledger, pay: ledger.budget("one").spent),
        ("UPDATE budget SET terms = '{}'", lambda ledger, pay: ledger.budget("one")),
        ("UPDATE budget SET terms = 'no'", lambda ledger, pay: ledger.budget("one")),
        ("UPDATE reservation SET units = 'much'", lambda ledger, pay: ledger.budget("one").spent.queries),
        ("UPDATE entry SET body = '[]' WHERE seq = 4", lambda ledger, pay: ledger.budget("one").spent.queries),
        ("UPDATE entry SET body = '{}' WHERE seq = 4", lambda ledger, pay: list(ledger.entries())),
        ("UPDATE entry SET body = '{' WHERE seq = 4", lambda ledger, pay: ledger.budget("one").reserve([pay("a", 2)])),
        ("DELETE FROM entry WHERE seq = 4", lambda ledger, pay: ledger.budget("one").reserve([pay("a")])),
        ("UPDATE result SET body = '[]' WHERE seq = 7", lambda ledger, pay: ledger.budget("one").reserve([pay("a")])),
        ("DROP TABLE result", lambda ledger, pay: ledger.budget("one").reserve([pay("a")])),
    ],
)
def test_daily_use_stumbles_over_damage_in_our_own_words(filled, pay, statement, act):
    with Ledger(filled.address) as ledger:
        if statement.startswith("DROP"):
            filled.run(statement)
        else:
            filled.edit(statement)
        with pytest.raises(LedgerCorrupt):
            act(ledger, pay)
