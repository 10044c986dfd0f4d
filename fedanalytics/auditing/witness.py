"""A training run among canaries: clients beside a session's own, and what everybody may see of the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics.auditing.bounds import Floats
from fedanalytics.round.blocks import Answers, Block, Integers, Query, Round, Rounds, first_of, rate_of
from fedanalytics.session import Session
from fedanalytics.trust.priced import Cohort


@dataclass(frozen=True)
class Witness:
    """A session that keeps what everybody may see of a run: each round's question and its noisy sum."""

    session: Session
    seen: list[tuple[Block, Floats]]

    @property
    def fleet(self) -> Any:
        """The session's."""
        return self.session.fleet

    @property
    def budget(self) -> Any:
        """The session's."""
        return self.session.budget

    @property
    def trust(self) -> Any:
        """The session's."""
        return self.session.trust

    def run(self, query: Query, *, key: str | None = None, noise_multiplier: float | None = None) -> Any:
        """As the session's."""
        return self.session.run(Witnessed(query, self.seen), key=key, noise_multiplier=noise_multiplier)


@dataclass(frozen=True, eq=False)
class Witnessed:
    """A query whose rounds and answers are kept; otherwise the same query."""

    query: Any
    seen: list[tuple[Block, Floats]] = field(repr=False)

    @property
    def shares(self) -> tuple[Fraction, ...]:
        """The same."""
        shares: tuple[Fraction, ...] = self.query.shares
        return shares

    @property
    def sampling_rate(self) -> float:
        """The same."""
        return rate_of(self.query)

    @property
    def first(self) -> int:
        """The same."""
        return first_of(self.query)

    def beginning(self) -> Any:
        """The query itself: a rehearsal sees no answer."""
        return self.query.beginning()

    def describe(self) -> Any:
        """The same: it is no other question."""
        return self.query.describe()

    def rounds(self) -> Rounds:
        """The same, kept."""
        asked = self.query.rounds()
        try:
            round_: Round = next(asked)
            while True:
                answers: Answers = yield round_
                blocks = zip(round_.blocks, answers, strict=True)
                self.seen.extend((block, noisy.values) for block, noisy in blocks)
                round_ = asked.send(answers)
        except StopIteration as stop:
            return stop.value


class Joined:
    """The clients of two fleets; what is public of them is the first one's."""

    def __init__(self, first: Any, second: Any) -> None:
        self.first, self.second = first, second
        self.client, self.dataset, self.population = first.client, first.dataset, first.population
        self.group, self.columns = first.group, first.columns
        self.roster = first.roster + second.roster

    def check(self, work: Any, *, text: bool | None = None) -> None:
        """As both do."""
        self.first.check(work, text=text)
        self.second.check(work, text=text)

    def describe(self, work: Any) -> Any:
        """As the first one does."""
        return self.first.describe(work)

    def sums(
        self,
        blocks: Sequence[Block],
        steps: Sequence[int],
        cohorts: Sequence[Cohort | None] | None = None,
        *,
        everyone: bool = False,
    ) -> list[Integers]:
        """As `Fleet.sums`: one coin for each client of both."""
        total = []
        for block, step, cohort in zip(blocks, steps, cohorts or [None] * len(blocks), strict=True):
            mask = None if cohort is None else cohort(self.roster)
            parts = [None, None] if mask is None else [mask[: self.first.roster], mask[self.first.roster :]]
            one, other = (
                fleet.sums([block], [step], [None if part is None else _fixed(part)], everyone=everyone)[0]
                for fleet, part in zip((self.first, self.second), parts, strict=True)
            )
            total.append(one + other)
        return total

    def messages(self, blocks: Sequence[Block], steps: Sequence[int]) -> list[Integers]:
        """As `Fleet.messages`."""
        both = (fleet.messages(blocks, steps) for fleet in (self.first, self.second))
        return [np.concatenate(pair) for pair in zip(*both, strict=True)]

    def assigned(self, groups: int) -> npt.NDArray[np.int64]:
        """As `Fleet.assigned`."""
        return np.concatenate([self.first.assigned(groups), self.second.assigned(groups)])


def _fixed(mask: npt.NDArray[np.bool_]) -> Cohort:
    return lambda _: mask
