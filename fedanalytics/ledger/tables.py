"""The tables: entries and results, which only grow; budgets and reservations, which are derived from the entries.

The derived tables make admission cost the same after a million spends as after one. They are written in the entry's
own transaction, and `verify` recomputes them. Amounts are text, because a cap in units may exceed 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fedanalytics.errors import LedgerCorrupt
from fedanalytics.ledger.database import Connection
from fedanalytics.ledger.heads import GENESIS


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


def last_entry(connection: Connection) -> tuple[int, bytes]:
    """The number and hash of the last entry."""
    row = connection.execute("SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
    return row or (0, GENESIS)


def entry(connection: Connection, seq: int) -> tuple[int, bytes, bytes, str] | None:
    """The row of one entry."""
    row: tuple[int, bytes, bytes, str] | None = connection.execute(
        "SELECT seq, prev, hash, body FROM entry WHERE seq = ?", (seq,)
    ).fetchone()
    return row


def entries_after(connection: Connection, seq: int, most: int) -> list[tuple[int, bytes, bytes, str]]:
    """The next rows of entries."""
    rows = connection.execute("SELECT seq, prev, hash, body FROM entry WHERE seq > ? ORDER BY seq LIMIT ?", (seq, most))
    return rows.fetchall()


def chain(connection: Connection) -> Iterator[tuple[int, bytes, bytes, bytes]]:
    """All entries in order, with their bodies as bytes, whatever these may be."""
    yield from connection.every(f"SELECT seq, prev, hash, {connection.content} FROM entry ORDER BY seq")  # noqa: S608


def budgets(connection: Connection) -> Iterator[tuple[str, str, str]]:
    """Name, terms and what was spent of every budget."""
    yield from connection.execute("SELECT name, terms, spent FROM budget ORDER BY name")


def budget(connection: Connection, name: str) -> tuple[str, str] | None:
    """Terms and what was spent of one budget."""
    row: tuple[str, str] | None = connection.execute(
        "SELECT terms, spent FROM budget WHERE name = ?", (name,)
    ).fetchone()
    return row


def reservations(connection: Connection) -> Iterator[Reserved]:
    """Every reservation that was not released."""
    for row in connection.every("SELECT budget, key, id, digest, units, seq FROM reservation"):
        yield _reserved(row)


def reservation(connection: Connection, budget: str, key: str) -> Reserved | None:
    """The reservation that a key stands for in a budget."""
    row = connection.execute(
        "SELECT budget, key, id, digest, units, seq FROM reservation WHERE budget = ? AND key = ?", (budget, key)
    ).fetchone()
    return row and _reserved(row)


def _reserved(row: Any) -> Reserved:
    budget, key, id_, digest, units, seq = row
    return Reserved(budget, key, id_, digest, _whole(units), seq)


def spends(connection: Connection, budget: str, until: int) -> list[tuple[int, str, str, int, bool]]:
    """(seq, body, key, units, has an answer) of a budget's reservations up to an entry."""
    rows = connection.execute(
        "SELECT seq, body, key, units, EXISTS (SELECT 1 FROM result WHERE result.reservation = reservation.seq)"
        " FROM reservation JOIN entry USING (seq) WHERE budget = ? AND seq <= ? ORDER BY seq",
        (budget, until),
    )
    return [(seq, body, key, _whole(units), bool(answered)) for seq, body, key, units, answered in rows]


def answer(connection: Connection, reservation: int, position: int) -> Stored | None:
    """One stored answer of a reservation."""
    row = connection.execute(
        "SELECT * FROM result WHERE reservation = ? AND position = ?", (reservation, position)
    ).fetchone()
    return row and Stored(*row)


def answers(connection: Connection, reservation: int) -> tuple[Stored, ...]:
    """All stored answers of a reservation."""
    rows = connection.execute("SELECT * FROM result WHERE reservation = ? ORDER BY position", (reservation,))
    return tuple(Stored(*row) for row in rows)


def audits(connection: Connection) -> list[tuple[int, str]]:
    """(seq, body) of the entries that say that they are audits; a text in another may say so too."""
    rows = connection.execute("SELECT seq, body FROM entry WHERE body LIKE ? ORDER BY seq", ('%"type":"audit"%',))
    return rows.fetchall()


def results(connection: Connection) -> Iterator[Stored]:
    """Every stored answer."""
    for row in connection.every("SELECT * FROM result"):
        yield Stored(*row)


def set_terms(connection: Connection, name: str, terms: str) -> None:
    """Add a budget with nothing spent, or change what is known of it."""
    connection.execute(
        "INSERT INTO budget VALUES (?, ?, '0') ON CONFLICT (name) DO UPDATE SET terms = excluded.terms", (name, terms)
    )


def set_spent(connection: Connection, name: str, spent: str) -> None:
    """Keep a balance."""
    connection.execute("UPDATE budget SET spent = ? WHERE name = ?", (spent, name))


def add_reservation(connection: Connection, row: Reserved) -> None:
    """Keep a new reservation."""
    values = (row.budget, row.key, row.id, row.digest, str(row.units), row.seq)
    connection.execute("INSERT INTO reservation VALUES (?, ?, ?, ?, ?, ?)", values)


def drop_reservation(connection: Connection, row: Reserved) -> None:
    """Forget a reservation that was released; its entries stay."""
    connection.execute("DELETE FROM reservation WHERE budget = ? AND key = ?", (row.budget, row.key))


def add_answer(connection: Connection, row: Stored) -> None:
    """Keep a committed answer."""
    values = (row.reservation, row.position, row.seq, row.digest, row.hash, row.body)
    connection.execute("INSERT INTO result VALUES (?, ?, ?, ?, ?, ?)", values)


def filed(connection: Connection) -> frozenset[str]:
    """The hashes of all answers that are files."""
    return frozenset(name for (name,) in connection.execute("SELECT hash FROM result WHERE body IS NULL"))
