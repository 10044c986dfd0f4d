"""Whatever is changed in a ledger, `verify` refuses it and says where: a table of attacks, in a file and on a server.

An attacker edits rows (the chain then does not fit), or rewrites the chain so that every hash fits and deletes the head
beside it (the rules then have to hold). What keeps all rules is a history that might have been: only a head that was
published tells it from the one that was.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from fedanalytics.errors import LedgerCorrupt
from fedanalytics.ledger import Ledger, verify

with Path(__file__).with_name("tampering.tsv").open(encoding="utf-8") as table:
    _, *TABLE = csv.reader(table, delimiter="\t", quoting=csv.QUOTE_NONE)


def bodies(filled):
    return [json.loads(body) for (body,) in filled.run("SELECT body FROM entry ORDER BY seq")]


def chained(found):
    """The rows of a chain of these bodies, with hashes that fit."""
    prev, rows = bytes(32), []
    for seq, body in enumerate(found, 1):
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        hash_ = hashlib.sha256(prev + seq.to_bytes(8, "big") + text.encode()).digest()
        rows.append(("INSERT INTO entry VALUES (?, ?, ?, ?)", (seq, prev, hash_, text)))
        prev = hash_
    return ["DELETE FROM entry", *rows]


def rewritten(filled, change):
    """The chain with one change, as the table has them."""
    found = bodies(filled)
    [(verb, what)] = change.items()
    if verb == "set":
        for seq, fields in what.items():
            found[int(seq) - 1] |= fields
    elif verb == "instead":
        for seq, body in what.items():
            found[int(seq) - 1] = body
    elif verb == "swap":
        one, other = (seq - 1 for seq in what)
        found[one], found[other] = found[other], found[one]
    else:
        found[what - 1 : what] = {"without": [], "twice": 2 * [found[what - 1]]}[verb]
    return chained(found)


def attacks(kind):
    rows = [(row, json.loads(row[3])) for row in TABLE]
    held = [(row[2], change, row[4]) for row, change in rows if isinstance(change, kind)]
    ids = [f"{row[0]}: {row[1]}" for row, change in rows if isinstance(change, kind)]
    return pytest.mark.parametrize(("name", "change", "said"), held, ids=ids)


def test_the_table_has_every_kind_of_attack():
    kinds = dict.fromkeys(row[0] for row in TABLE)
    every = ["edit", "delete", "insert", "reorder", "truncate", "swap results", "change a cap", "clock back"]
    assert list(kinds) == every


@pytest.mark.parametrize("name", ["eleven", "people"])
def test_untouched_ledgers_verify(copy_of, name):
    filled = copy_of(name)
    result = verify(filled.address)
    assert (result.entries, result.head.seq, result.backdated) == (11, 11, ())
    assert {name: (state.spent, len(state.open)) for name, state in result.budgets.items()} == {
        "eleven": {"one": (3 * 10**9, 1), "two": (0, 0)},
        "people": {"team": (27 * 10**9, 3), "plain": (0, 0)},
    }[name]
    with Ledger(filled.address) as ledger:
        assert verify(ledger, str(result.head)) == verify(ledger, result.head) == result
        assert ledger.head() == result.head
    filled.edit(*chained(bodies(filled)))
    assert verify(filled.address, result.head) == result


@attacks(list)
def test_rows_changed(copy_of, name, change, said):
    filled = copy_of(name)
    head = verify(filled.address).head
    filled.edit(*change)
    with pytest.raises(LedgerCorrupt) as caught:
        verify(filled.address, head)
    assert said in str(caught.value)


@attacks(dict)
def test_a_chain_made_to_fit_still_has_to_keep_the_rules(copy_of, name, change, said):
    filled = copy_of(name)
    filled.edit(*rewritten(filled, change))
    filled.forget_head()
    with pytest.raises(LedgerCorrupt) as caught:
        verify(filled.address)
    assert said in str(caught.value)


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


def test_a_release_after_an_answer(filled):
    answered = bodies(filled)[6]["reservation"]
    filled.edit(*rewritten(filled, {"set": {10: {"reservation": answered, "key": "a"}}}))
    filled.forget_head()
    with pytest.raises(LedgerCorrupt, match=r"entry 10 breaks a rule: reservation .* has an answer"):
        verify(filled.address)


@pytest.mark.parametrize("seconds", [300, 301])
def test_a_clock_set_back_where_no_cap_depends_on_it_is_flagged(filled, seconds):
    """By more than clocks may differ; hosts that disagree share a ledger, so it is no corruption."""
    last = dt.datetime.fromisoformat(bodies(filled)[8]["time"])
    early = (last - dt.timedelta(seconds=seconds)).isoformat(timespec="microseconds")
    filled.edit(*rewritten(filled, {"set": {10: {"time": early}}}))
    filled.forget_head()
    assert verify(filled.address).backdated == ((10,) if seconds > 300 else ())


def test_a_rewritten_chain_is_seen_by_the_kept_and_by_the_published_head(filled):
    head = verify(filled.address).head
    filled.edit(*rewritten(filled, {"set": {1: {"actor": "eve"}}}))
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
