"""The tables: entries and results, which only grow; budgets and reservations, which are derived from the entries.

The derived tables make admission cost the same after a million spends as after one. They are written in the entry's
own transaction, and `verify` recomputes them. Amounts are text, because a cap in units may exceed 64 bits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fedanalytics.errors import LedgerCorrupt
from fedanalytics.ledger.heads import GENESIS

APPLICATION = 0x66_61_4C_31  # "faL1": marks the file as ours in SQLite's header
SCHEMA_VERSION = 1

SCHEMA = {
    "entry": "CREATE TABLE entry (seq INTEGER PRIMARY KEY, prev BLOB NOT NULL, hash BLOB NOT NULL, body TEXT NOT NULL)",
    "result": (
        "CREATE TABLE result (reservation INTEGER, position INTEGER, seq INTEGER NOT NULL, digest TEXT NOT NULL,"
        " hash TEXT NOT NULL, body TEXT, PRIMARY KEY (reservation, position)) WITHOUT ROWID"
    ),
    "result_file": "CREATE INDEX result_file ON result (hash) WHERE body IS NULL",
    "budget": "CREATE TABLE budget (name TEXT PRIMARY KEY, terms TEXT NOT NULL, spent TEXT NOT NULL) WITHOUT ROWID",
    "reservation": (
        "CREATE TABLE reservation (budget TEXT, key TEXT, id TEXT NOT NULL, digest TEXT NOT NULL, units TEXT NOT NULL,"
        " seq INTEGER NOT NULL, PRIMARY KEY (budget, key)) WITHOUT ROWID"
    ),
    # INSERT OR REPLACE deletes without firing a delete trigger: hence the two triggers on insert.
    "entry_insert": (
        "CREATE TRIGGER entry_insert BEFORE INSERT ON entry"
        " WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM entry)"
        " BEGIN SELECT RAISE(ABORT, 'entries are appended in order'); END"
    ),
    "result_insert": (
        "CREATE TRIGGER result_insert BEFORE INSERT ON result"
        " WHEN EXISTS (SELECT 1 FROM result WHERE reservation = NEW.reservation AND position = NEW.position)"
        " BEGIN SELECT RAISE(ABORT, 'an answer is stored once'); END"
    ),
    **{
        f"{table}_{verb}": (
            f"CREATE TRIGGER {table}_{verb} BEFORE {verb.upper()} ON {table}"
            f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
        for table in ("entry", "result")
        for verb in ("update", "delete")
    },
}


@dataclass(frozen=True)
class Reserved:
    """A row of the reservations; a released one has none."""

    budget: str
    key: str
    id: str
    digest: str
    units: int
    seq: int


@dataclass(frozen=True)
class Stored:
    """A row of the results: an answer by the entry of its reservation and its round.

    `seq` is the entry that committed it; `body` is None where the answer is a file.
    """

    reservation: int
    position: int
    seq: int
    digest: str
    hash: str
    body: str | None


def _whole(text: object) -> int:
    try:
        return int(str(text))
    except ValueError as error:
        raise LedgerCorrupt(f"an amount in the ledger is {text!r}, not a whole number: verify it") from error


def last_entry(connection: sqlite3.Connection) -> tuple[int, bytes]:
    """The number and hash of the last entry."""
    row = connection.execute("SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
    return row or (0, GENESIS)


def entry(connection: sqlite3.Connection, seq: int) -> tuple[int, bytes, bytes, str] | None:
    """The row of one entry."""
    row: tuple[int, bytes, bytes, str] | None = connection.execute(
        "SELECT seq, prev, hash, body FROM entry WHERE seq = ?", (seq,)
    ).fetchone()
    return row


def entries_after(connection: sqlite3.Connection, seq: int, most: int) -> list[tuple[int, bytes, bytes, str]]:
    """The next rows of entries."""
    rows = connection.execute("SELECT seq, prev, hash, body FROM entry WHERE seq > ? ORDER BY seq LIMIT ?", (seq, most))
    return rows.fetchall()


def chain(connection: sqlite3.Connection) -> Iterator[tuple[int, bytes, bytes, bytes]]:
    """All entries in order, with their bodies as bytes, whatever these may be."""
    yield from connection.execute("SELECT seq, prev, hash, CAST(body AS BLOB) FROM entry ORDER BY seq")


def budgets(connection: sqlite3.Connection) -> Iterator[tuple[str, str, int]]:
    """Name, terms and spent units of every budget."""
    for name, terms, spent in connection.execute("SELECT name, terms, spent FROM budget ORDER BY name"):
        yield name, terms, _whole(spent)


def budget(connection: sqlite3.Connection, name: str) -> tuple[str, int] | None:
    """Terms and spent units of one budget."""
    row = connection.execute("SELECT terms, spent FROM budget WHERE name = ?", (name,)).fetchone()
    return row and (row[0], _whole(row[1]))


def reservations(connection: sqlite3.Connection) -> Iterator[Reserved]:
    """Every reservation that was not released."""
    for row in connection.execute("SELECT budget, key, id, digest, units, seq FROM reservation"):
        yield _reserved(row)


def reservation(connection: sqlite3.Connection, budget: str, key: str) -> Reserved | None:
    """The reservation that a key stands for in a budget."""
    row = connection.execute(
        "SELECT budget, key, id, digest, units, seq FROM reservation WHERE budget = ? AND key = ?", (budget, key)
    ).fetchone()
    return row and _reserved(row)


def _reserved(row: Any) -> Reserved:
    budget, key, id_, digest, units, seq = row
    return Reserved(budget, key, id_, digest, _whole(units), seq)


def spends(connection: sqlite3.Connection, budget: str, until: int) -> list[tuple[int, str, str, int, bool]]:
    """(seq, body, key, units, has an answer) of a budget's reservations up to an entry."""
    rows = connection.execute(
        "SELECT seq, body, key, units, EXISTS (SELECT 1 FROM result WHERE result.reservation = reservation.seq)"
        " FROM reservation JOIN entry USING (seq) WHERE budget = ? AND seq <= ? ORDER BY seq",
        (budget, until),
    )
    return [(seq, body, key, _whole(units), bool(answered)) for seq, body, key, units, answered in rows]


def answer(connection: sqlite3.Connection, reservation: int, position: int) -> Stored | None:
    """One stored answer of a reservation."""
    row = connection.execute(
        "SELECT * FROM result WHERE reservation = ? AND position = ?", (reservation, position)
    ).fetchone()
    return row and Stored(*row)


def answers(connection: sqlite3.Connection, reservation: int) -> tuple[Stored, ...]:
    """All stored answers of a reservation."""
    rows = connection.execute("SELECT * FROM result WHERE reservation = ? ORDER BY position", (reservation,))
    return tuple(Stored(*row) for row in rows)


def results(connection: sqlite3.Connection) -> Iterator[Stored]:
    """Every stored answer."""
    for row in connection.execute("SELECT * FROM result"):
        yield Stored(*row)


def set_terms(connection: sqlite3.Connection, name: str, terms: str) -> None:
    """Add a budget with nothing spent, or change what is known of it."""
    connection.execute(
        "INSERT INTO budget VALUES (?, ?, '0') ON CONFLICT (name) DO UPDATE SET terms = excluded.terms", (name, terms)
    )


def set_spent(connection: sqlite3.Connection, name: str, spent: int) -> None:
    """Keep a balance."""
    connection.execute("UPDATE budget SET spent = ? WHERE name = ?", (str(spent), name))


def add_reservation(connection: sqlite3.Connection, row: Reserved) -> None:
    """Keep a new reservation."""
    values = (row.budget, row.key, row.id, row.digest, str(row.units), row.seq)
    connection.execute("INSERT INTO reservation VALUES (?, ?, ?, ?, ?, ?)", values)


def drop_reservation(connection: sqlite3.Connection, row: Reserved) -> None:
    """Forget a reservation that was released; its entries stay."""
    connection.execute("DELETE FROM reservation WHERE budget = ? AND key = ?", (row.budget, row.key))


def add_answer(connection: sqlite3.Connection, row: Stored) -> None:
    """Keep a committed answer."""
    values = (row.reservation, row.position, row.seq, row.digest, row.hash, row.body)
    connection.execute("INSERT INTO result VALUES (?, ?, ?, ?, ?, ?)", values)


def filed(connection: sqlite3.Connection) -> frozenset[str]:
    """The hashes of all answers that are files."""
    return frozenset(name for (name,) in connection.execute("SELECT hash FROM result WHERE body IS NULL"))


def create(connection: sqlite3.Connection) -> None:
    """Every table, index and trigger; inside the caller's transaction."""
    for statement in SCHEMA.values():
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def objects(connection: sqlite3.Connection) -> dict[str, str]:
    """What the database holds, by name, with the SQL that made it."""
    return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
