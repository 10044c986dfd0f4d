"""Entries: what happened, each chained to the one before by SHA-256, so that no past can be edited in silence.

An entry's body is canonical JSON and holds no raw data. Its types:

* ``open``: a budget with its cap, filter, relation, unit and dataset;
* ``bind``: the unit and dataset that the first session filled in;
* ``reserve``: a question, its privacy event and its cost, paid before anybody saw an answer;
* ``commit``: the hash of one answer;
* ``release``: a reservation given back, which no client was asked for;
* ``amend``: another cap, and why;
* ``audit``: what an empirical audit found.

Times are those of the host that wrote. Entries are ordered by number, and where no cap depends on time, hosts may
disagree about it: `verify` says so of every entry that is dated before an earlier one by more than clocks may differ.
Where one does (`windows`), a host whose clock is that far behind is refused.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from fedanalytics._version import __version__
from fedanalytics.errors import LedgerCorrupt
from fedanalytics.ledger.heads import Head

_NEWER = {"amend", "audit"}


@dataclass(frozen=True)
class Entry:
    """One link of the chain.

    Attributes:
        seq: 1, 2, 3, ...
        prev: the hash of the entry before, in hex; zeros before the first.
        hash: SHA-256 of prev, seq as 8 bytes (big endian) and the body's canonical JSON, in hex.
        time: ISO 8601, UTC, microseconds.
        body: what happened.
    """

    seq: int
    prev: str
    hash: str
    time: str
    body: dict[str, Any]

    @property
    def head(self) -> Head:
        """The head of the chain that ends here."""
        return Head(self.seq, self.hash)


_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def text(body: Any) -> str:
    """`canonical_json` of what is canonical already: a third of its time.

    Example:
        >>> text({"b": [1.5, None], "a": "é"})
        '{"a":"é","b":[1.5,null]}'
    """
    return _ENCODE(body)


def chained(prev: bytes, seq: int, body: bytes) -> bytes:
    """The hash of an entry, 32 bytes.

    Example:
        >>> chained(bytes(32), 1, b"{}").hex()[:8]
        '1bad765d'
    """
    return hashlib.sha256(prev + seq.to_bytes(8, "big") + body).digest()


def version(kind: str, fields: Container[str]) -> int:
    """Of the format: from this one on, an entry is understood as it is meant."""
    return 2 if kind in _NEWER or "window" in fields or "actor_caps" in fields else 1


def now() -> str:
    """The time of this host."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")


def stamped(kind: str, budget: str, actor: str, **fields: Any) -> dict[str, Any]:
    """The body of an entry that is written now, or was begun at a `time` among its fields."""
    common = {"version": version(kind, fields), "type": kind, "time": now(), "actor": actor}
    return common | {"code": __version__, "budget": budget} | fields


def parsed(seq: int, row: str) -> dict[str, Any]:
    """The body of an entry from its row.

    Raises:
        LedgerCorrupt: it is no body.
    """
    try:
        body = json.loads(row)
        body["type"], body["time"], body["actor"]
    except (ValueError, TypeError, KeyError) as error:
        raise LedgerCorrupt(f"entry {seq} cannot be read ({error!r}): verify the ledger") from error
    else:
        return dict(body)


def read(seq: int, prev: bytes, hash_: bytes, row: str) -> Entry:
    """An entry from its row."""
    body = parsed(seq, row)
    return Entry(seq, prev.hex(), hash_.hex(), body["time"], body)
