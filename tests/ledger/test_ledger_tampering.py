"""Whatever is changed in a ledger, `verify` refuses it and says where."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3

import pytest

from fedanalytics.errors import BadArgument, LedgerCorrupt
from fedanalytics.ledger import Ledger, verify
from fedanalytics.ledger.sqlite import SCHEMA


def bodies(filled):
    return dict(filled.run("SELECT seq, body FROM entry ORDER BY seq"))


def rechained(filled, change):
    """The rows of a chain in which the bodies were changed and all hashes were made to fit."""
    prev, rows = bytes(32), []
    for seq, body in bodies(filled).items():
        text = json.dumps(change(seq, json.loads(body)), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        hash_ = hashlib.sha256(prev + seq.to_bytes(8, "big") + text.encode()).digest()
        rows.append(("INSERT INTO entry VALUES (?, ?, ?, ?)", (seq, prev, hash_, text)))
        prev = hash_
    return ["DELETE FROM entry", *rows]


def test_an_untouched_ledger_verifies(filled):
    result = verify(filled.address)
    assert (result.entries, result.head.seq) == (11, 11)
    assert {name: (state.spent, len(state.open)) for name, state in result.budgets.items()} == {
        "one": (3 * 10**9, 1),
        "two": (0, 0),
    }
    assert result.budgets["two"].cap == 5 * 10**11
    with Ledger(filled.address) as ledger:
        assert verify(ledger, str(result.head)) == verify(ledger, result.head) == result
        assert ledger.head() == result.head


@pytest.mark.parametrize("column", ["body", "hash", "prev"])
@pytest.mark.parametrize("seq", range(1, 12))
def test_one_byte_of_any_entry(filled, seq, column):
    [(content,)] = filled.run(f"SELECT {column} FROM entry WHERE seq = {seq}")
    changed = bytearray(content.encode() if column == "body" else content)
    changed[len(changed) // 2] ^= 1
    value = changed.decode() if column == "body" else bytes(changed)
    filled.edit((f"UPDATE entry SET {column} = ? WHERE seq = {seq}", (value,)))
    with pytest.raises(LedgerCorrupt, match=rf"entry {seq} |entry {seq + 1} does not follow entry {seq}"):
        verify(filled.address)


CUTS = [
    ("removed", ["DELETE FROM entry WHERE seq = 4"], "entry 4 is missing"),
    ("first removed", ["DELETE FROM entry WHERE seq = 1"], "entry 1 is missing"),
    (
        "removed and renumbered",
        ["DELETE FROM entry WHERE seq = 4", "UPDATE entry SET seq = seq - 1 WHERE seq > 4"],
        "entry 4 does not follow",
    ),
    (
        "swapped",
        [
            "UPDATE entry SET seq = 99 WHERE seq = 5",
            "UPDATE entry SET seq = 5 WHERE seq = 6",
            "UPDATE entry SET seq = 6 WHERE seq = 99",
        ],
        "entry 5 does not follow",
    ),
    (
        "bodies swapped",
        ["UPDATE entry SET body = (SELECT body FROM entry e WHERE e.seq = 11 - entry.seq) WHERE seq IN (5, 6)"],
        "entry 5 was changed",
    ),
    ("inserted", ["INSERT INTO entry SELECT 12, hash, hash, body FROM entry WHERE seq = 11"], "entry 12 was changed"),
    ("not bytes", ["UPDATE entry SET hash = 'text' WHERE seq = 3"], "entry 3 was changed"),
    ("emptied", ["DELETE FROM entry"], "does not contain the known head 11"),
    ("cut", ["DELETE FROM entry WHERE seq = 11"], "ends at entry 10 and does not contain the known head 11"),
    (
        "balance lowered",
        ["UPDATE budget SET spent = '0' WHERE name = 'one'"],
        "balance of budget 'one' is 0 units, its entries say 3000000000",
    ),
    ("balance removed", ["DELETE FROM budget WHERE name = 'two'"], "budget 'two'"),
    (
        "budget invented",
        ["INSERT INTO budget SELECT 'three', terms, spent FROM budget WHERE name = 'two'"],
        "budget 'three'",
    ),
    (
        "cap raised",
        ["UPDATE budget SET terms = replace(terms, '\"cap\":5', '\"cap\":6') WHERE name = 'two'"],
        "terms of budget 'two'",
    ),
    ("terms garbled", ["UPDATE budget SET terms = 'no' WHERE name = 'two'"], "terms of budget 'two'"),
    ("reservation removed", ["DELETE FROM reservation WHERE key = 'a'"], "is not as entry 4 made it"),
    ("reservation cheaper", ["UPDATE reservation SET units = '1' WHERE key = 'a'"], "is not as entry 4 made it"),
    (
        "reservation invented",
        ["INSERT INTO reservation SELECT budget, 'z', 'id', digest, units, seq FROM reservation LIMIT 1"],
        "is not as entry (none) made it",
    ),
    ("answer removed", ["DELETE FROM result WHERE seq = 8"], "stored answer of entry 8 is missing"),
    ("answer changed", ["UPDATE result SET body = '[9]' WHERE seq = 7"], "stored answer of entry 7 does not verify"),
    (
        "answer and its hash changed",
        [("UPDATE result SET body = '[9]', hash = ? WHERE seq = 7", (hashlib.sha256(b"[9]").hexdigest(),))],
        "answer of entry 7 is not the one",
    ),
    ("answers swapped", ["UPDATE result SET seq = 15 - seq WHERE seq IN (7, 8)"], "is not the one that it committed"),
    (
        "answers' bodies swapped",
        ["UPDATE result SET body = CASE seq WHEN 7 THEN '[2.25]' ELSE '[1.25]' END WHERE seq IN (7, 8)"],
        "stored answer of entry 7 does not verify",
    ),
    (
        "answer invented",
        ["INSERT INTO result SELECT 99, position, 50, digest, hash, body FROM result WHERE seq = 7"],
        "answer of entry 50 is not the one",
    ),
]


ONLY_IN_FILES = [
    ("not text", ["UPDATE entry SET body = x'ff00ff' WHERE seq = 3"], "entry 3 was changed"),
    ("answer not text", ["UPDATE result SET body = x'00' WHERE seq = 7"], "stored answer of entry 7 does not verify"),
    ("answer no file", ["UPDATE result SET body = NULL WHERE seq = 7"], "stored answer of entry 7 does not verify"),
]


def ids(rows):
    return [row[0] for row in rows]


@pytest.mark.parametrize(("statements", "said"), [row[1:] for row in CUTS], ids=ids(CUTS))
def test_rows_changed(filled, statements, said):
    head = verify(filled.address).head
    filled.edit(*statements)
    with pytest.raises(LedgerCorrupt) as caught:
        verify(filled.address, head)
    assert said in str(caught.value)


@pytest.mark.parametrize(("statements", "said"), [row[1:] for row in ONLY_IN_FILES], ids=ids(ONLY_IN_FILES))
def test_rows_that_are_no_text(written, edit, statements, said):
    edit(*statements)
    with pytest.raises(LedgerCorrupt) as caught:
        verify(written)
    assert said in str(caught.value)


def rule(seq, **changes):
    return lambda at, body: {**body, **changes} if at == seq else body


RULES = [
    (
        "cap above its epsilon",
        rule(1, cap=10**12),
        "entry 1 breaks a rule: a cap of 1000000000000 units is more than epsilon=1.0",
    ),
    ("cap above its rho", rule(2, cap=6 * 10**11), "entry 2 breaks a rule: a cap of"),
    ("no cap at all", rule(2, rho=None), "entry 2 breaks a rule: a cap of"),
    (
        "cap below what was spent",
        rule(1, cap=10**9),
        "entry 5 breaks a rule: budget 'one' is overspent: 2000000000 of 1000000000",
    ),
    ("another filter", rule(1, filter="none"), "entry 1 breaks a rule: filter='none' is unknown"),
    ("an unknown relation", rule(1, relation="none"), "entry 1 breaks a rule"),
    ("opened twice", rule(2, budget="one"), "entry 2 breaks a rule: budget 'one' is open already"),
    ("shared people", rule(3, unit="u"), "entry 3 breaks a rule: budget 'two' shares the data of budget 'one'"),
    ("bound again", rule(3, budget="one"), "entry 3 breaks a rule: budget 'one' was bound already"),
    ("a budget that never was", rule(4, budget="three"), "entry 4 breaks a rule: it is malformed"),
    ("other people", rule(4, dataset="e"), "entry 4 breaks a rule: it counts other people than its budget"),
    ("a cost below the event's", rule(4, units=10**9 - 1), "entry 4 breaks a rule: 999999999 units do not pay"),
    (
        "less noise",
        rule(4, event={"event": "gaussian", "noise_multiplier": 1.0, "relation": "add-or-remove-one"}),
        "entry 4 breaks a rule: 1000000000 units do not pay",
    ),
    (
        "another relation",
        rule(4, event={"event": "gaussian", "noise_multiplier": 100.0, "relation": "replace-one"}),
        "entry 4 breaks a rule: the event",
    ),
    ("an unknown event", rule(4, event={"event": "magic"}), "entry 4 breaks a rule: unknown privacy event"),
    ("an exact release", rule(4, event={"event": "exact"}), "entry 4 breaks a rule: an exact release"),
    ("another question", rule(4, question={"is": "Count"}), "entry 4 breaks a rule: its digest"),
    ("a key taken twice", rule(5, key="a"), "entry 5 breaks a rule: key 'a' is taken"),
    ("an answer to nothing", rule(7, reservation="ff"), "entry 7 breaks a rule: it has no reservation ff"),
    ("an answer of another key", rule(7, key="b"), "entry 7 breaks a rule: reservation"),
    ("another answer", rule(7, result="00" * 32), "stored answer of entry 7"),
    ("an answer twice", rule(9, index=0), "entry 9 breaks a rule: round 0 of reservation"),
    ("more given back than taken", rule(10, units=10**10), "entry 10 breaks a rule: reservation"),
    ("an unknown type", rule(10, type="gift"), "entry 10 breaks a rule: its type is 'gift'"),
    ("an unknown version", rule(10, version=2), "entry 10 breaks a rule: its version is 2"),
    ("no object", lambda seq, body: [] if seq == 6 else body, "entry 6 breaks a rule: it is malformed"),
    ("a type that is no text", rule(6, type=[]), "entry 6 breaks a rule: it is malformed"),
]


@pytest.mark.parametrize(("change", "said"), [row[1:] for row in RULES], ids=ids(RULES))
def test_a_chain_made_to_fit_still_has_to_keep_the_rules(filled, change, said):
    filled.edit(*rechained(filled, change))
    filled.forget_head()
    with pytest.raises(LedgerCorrupt) as caught:
        verify(filled.address)
    assert said in str(caught.value)


def test_a_release_after_an_answer(filled):
    answered = json.loads(bodies(filled)[7])["reservation"]
    filled.edit(*rechained(filled, rule(10, reservation=answered, key="a")))
    filled.forget_head()
    with pytest.raises(LedgerCorrupt, match=r"entry 10 breaks a rule: reservation .* has an answer"):
        verify(filled.address)


def test_a_reservation_made_twice(filled):
    first = json.loads(bodies(filled)[4])["reservation"]
    filled.edit(*rechained(filled, rule(5, reservation=first)))
    filled.forget_head()
    with pytest.raises(LedgerCorrupt, match=r"entry 5 breaks a rule: reservation .* exists already"):
        verify(filled.address)


def test_a_rewritten_chain_is_seen_by_the_kept_and_by_the_published_head(filled):
    head = verify(filled.address).head
    filled.edit(*rechained(filled, rule(1, actor="eve")))
    if not filled.address.startswith("postgresql"):
        for act in (verify, Ledger):
            with pytest.raises(LedgerCorrupt, match="does not contain the known head 11"):
                act(filled.address)
    filled.forget_head()
    assert verify(filled.address).entries == 11  # from inside, nothing is wrong: hence the published head
    for known in (head, str(head)):
        with pytest.raises(LedgerCorrupt, match="its past was rewritten"):
            verify(filled.address, known)


def test_a_cut_tail_is_seen_by_a_published_head(written, pay):
    early = verify(written).head
    shutil.copy(written, written.with_name("backup.db"))
    with Ledger(written) as ledger:
        ledger.budget("one").reserve([pay("late")])
        late = ledger.head()
    assert verify(written, early).entries == 12
    backup = written.with_name("backup.db")
    shutil.copytree(f"{written}.results", f"{backup}.results")
    assert verify(backup, early).entries == 11
    with pytest.raises(LedgerCorrupt, match="ends at entry 11 and does not contain the known head 12"):
        verify(backup, late)


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
