"""What is computed in every row before it is aggregated, under names: a value used ten times is written once.

Each step may use the columns of the table and the steps of lower levels; `around` turns them into nested SELECTs, one
per level. A step is named by its text, so that the same step of several values is one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Step:
    """One named expression over a row."""

    level: int
    name: str
    sql: str


@dataclass
class Steps:
    """The steps of one value, as they are found while it is printed."""

    found: dict[Step, None] = field(default_factory=dict)

    def named(self, sql: str, level: int) -> str:
        """The name under which a later level finds `sql`."""
        name = f"step_{hashlib.sha256(f'{level} {sql}'.encode()).hexdigest()[:16]}"
        self.found[Step(level, name, sql)] = None
        return name

    @property
    def all(self) -> tuple[Step, ...]:
        """Each step once."""
        return tuple(self.found)


def around(source: str, steps: Iterable[Step]) -> str:
    """A FROM clause with the steps as further columns.

    >>> around("t", [Step(1, "b", "a + 1"), Step(2, "c", "b * b")])
    '(SELECT *, b * b AS c FROM (SELECT *, a + 1 AS b FROM t) AS t) AS t'
    """
    levels: dict[int, list[Step]] = {}
    for step in sorted(set(steps)):
        levels.setdefault(step.level, []).append(step)
    for level in levels.values():
        columns = ", ".join(f"{step.sql} AS {step.name}" for step in level)
        source = f"(SELECT *, {columns} FROM {source}) AS t"  # noqa: S608 - ours, from a checked tree
    return source
