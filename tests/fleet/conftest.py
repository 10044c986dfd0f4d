"""Encoders made for looking: a small honest one, and one that keeps what it was given."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import duckdb
import numpy as np
import pytest

from fedanalytics.fleet import Fleet
from fedanalytics.round.blocks import Block
from fedanalytics.round.work import Sql, Stack, Work


@dataclass(frozen=True)
class Tiny:
    """(value, 1) per client: the value clipped to +-bound, on a grid; nothing for a client that does not contribute."""

    bound: float = 128.0
    size: int = 2
    finest: int = 2**20
    reads_text: bool = False
    columns: int = 1

    def rows(self, values: np.ndarray, steps: int) -> np.ndarray:
        assert values.dtype == np.float64
        assert not np.isinf(values).any()
        flat = values if values.ndim == 1 else values.sum(axis=1)
        there = np.isfinite(flat)
        scaled = np.clip(np.where(there, flat, 0.0) / self.bound, -1, 1) * steps
        return np.stack([np.rint(scaled), there], axis=1).astype(np.int64)

    def sums(self, values: np.ndarray, steps: int) -> np.ndarray:
        total = np.zeros(self.size, dtype=np.int64)
        for part in np.array_split(values, 7):
            total += self.rows(part, steps).sum(axis=0)
        return total

    def sensitivity(self, steps: int, relation: Any) -> Any:
        raise NotImplementedError

    def assumed(self, clients: float) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class Keeps(Tiny):
    """Keeps the values it is given."""

    seen: list = field(default_factory=list)

    def sums(self, values: np.ndarray, steps: int) -> np.ndarray:
        self.seen.append(values)
        return np.zeros(self.size, dtype=np.int64)


def block(work: Work, encoder: Any | None = None) -> Block:
    """An encoder that reads as many values as the work gives."""
    reads = len(work.parts) if isinstance(work, Stack) else 1
    return Block(work, replace(encoder or Tiny(), columns=reads), Fraction(1, 64))


def columns(fleet: Fleet, *works: Work) -> list[np.ndarray]:
    """What encoders are given in one round."""
    keep = [Keeps() for _ in works]
    fleet.sums([block(w, k) for w, k in zip(works, keep, strict=True)], [1] * len(works))
    return [k.seen[0] if k.seen else None for k in keep]


def per_client(fleet: Fleet, who: str, *sqls: Sql) -> dict[float, bytes]:
    """Client -> the bits of its values, by a column `who` that holds the client's number."""
    found = columns(fleet, *(Stack((Sql(f"max({who})"), sql)) for sql in sqls))
    bits: dict[float, bytes] = {}
    for table in found:
        for number, value in table:
            bits[number] = bits.get(number, b"") + (b"none" if np.isnan(value) else np.float64(value).tobytes())
    return bits


@pytest.fixture(scope="session")
def look():
    """The functions above, for tests."""

    class Look:
        Tiny, Keeps = Tiny, Keeps

    Look.block, Look.columns, Look.per_client = staticmethod(block), staticmethod(columns), staticmethod(per_client)
    return Look


@pytest.fixture
def threads(monkeypatch):
    """Sets the threads of engines made from now on."""
    connect = duckdb.connect

    def use(count: int) -> None:
        def connected(config: dict[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
            return connect(config={**(config or {}), "threads": count})

        monkeypatch.setattr("fedanalytics.fleet.engine.duckdb.connect", connected)

    return use
