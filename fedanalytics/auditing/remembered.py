"""A fleet that evaluates each work once: a trust model may then collect from it tens of thousands of times.

What the clients' values are does not change between two trials; noise, cohorts and messages do. So values are read
through the real fleet once, and everything after them runs anew in each trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics.round.blocks import Block, Integers
from fedanalytics.round.work import Registered, Work
from fedanalytics.trust.priced import Cohort, Fleet
from fedanalytics.trust.wrapped import Wrapped


@dataclass(frozen=True, eq=False)
class _Reader(Wrapped):
    """In the place of an encoder, it keeps the values that a fleet hands to it."""

    kept: list[npt.NDArray[Any]]

    @property
    def size(self) -> int:
        return self.inner.size

    def added(self, values: npt.NDArray[Any], steps: int) -> Integers:  # noqa: ARG002  # nothing is encoded
        self.kept.append(np.array(values))
        return np.zeros(self.size, dtype=np.int64)


class Remembered:
    """The clients of a fleet, and some more who contribute null: who takes part, and holds nothing.

    Attributes:
        roster: how many clients there are.

    Args:
        fleet: None for no clients but those.
        nulls: how many contribute null.
    """

    def __init__(self, fleet: Any, nulls: int = 0) -> None:
        self._fleet, self._nulls = fleet, nulls
        self.roster = nulls + (0 if fleet is None else fleet.roster)
        self._values: dict[tuple[Work, bool], npt.NDArray[Any]] = {}

    def sums(
        self,
        blocks: Sequence[Block],
        steps: Sequence[int],
        cohorts: Sequence[Cohort | None] | None = None,
        *,
        everyone: bool = False,
    ) -> list[Integers]:
        """As `Fleet.sums`."""
        drawings = cohorts or [None] * len(blocks)
        return [
            self._sum(block, step, cohort, everyone=everyone)
            for block, step, cohort in zip(blocks, steps, drawings, strict=True)
        ]

    def messages(self, blocks: Sequence[Block], steps: Sequence[int]) -> list[Integers]:
        """As `Fleet.messages`."""
        return [
            block.encoder.rows(self.values(block, everyone=True), step)
            for block, step in zip(blocks, steps, strict=True)
        ]

    def assigned(self, groups: int) -> npt.NDArray[np.int64]:
        """As `Fleet.assigned`."""
        found: npt.NDArray[np.int64] = self._fleet.assigned(groups)
        return found

    def values(self, block: Block, *, everyone: bool) -> npt.NDArray[Any]:
        """What the clients hold for a block, shape (n,) or (n, columns); with `everyone`, also who holds nothing."""
        key = (block.work, everyone)
        if key not in self._values:
            nulls = [_nulls(block, self._nulls if everyone else 0)]
            read = [] if self._fleet is None else _read(self._fleet, block, everyone=everyone)
            self._values[key] = np.concatenate(read + nulls)
        return self._values[key]

    def _sum(self, block: Block, step: int, cohort: Cohort | None, *, everyone: bool) -> Integers:
        if isinstance(block.work, Registered):  # its values are told the parameters of a round: no two are alike
            [total] = self._fleet.sums([block], [step], [cohort], everyone=everyone)
            summed: Integers = total
            return summed
        values = self.values(block, everyone=everyone)
        return block.encoder.sums(values if cohort is None else values[cohort(len(values))], step)


def _read(fleet: Fleet, block: Block, *, everyone: bool) -> list[npt.NDArray[Any]]:
    reader = _Reader(block.encoder, [])
    fleet.sums([Block(block.work, reader)], [block.encoder.finest], everyone=everyone)
    return reader.kept


def _nulls(block: Block, count: int) -> npt.NDArray[Any]:
    columns = block.encoder.columns
    shape = (count,) if columns == 1 else (count, columns)
    return np.full(shape, None, dtype=object) if block.encoder.reads_text else np.full(shape, np.nan)
