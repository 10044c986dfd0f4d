"""A round with its price on it, and what a trust model is: it prices rounds, and collects them.

What `collect` returns is plain JSON, an answer for each block: it is committed before anybody sees it, and read by
`PricedBlock.noisy`, now or when it is replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.privacy.costs import Cost
from fedanalytics.privacy.events import Composed, Event
from fedanalytics.round.blocks import Block, Integers, Noisy, Round

Cohort: TypeAlias = Callable[[int], npt.NDArray[np.bool_]]
Guarantee: TypeAlias = Mapping[str, Any]


class PricedBlock(Protocol):
    """One block, ready to be collected."""

    @property
    def block(self) -> Block:
        """What is asked."""
        ...

    @property
    def event(self) -> Event:
        """What the release of this block is, to an accountant."""
        ...

    def noisy(self, answer: Any) -> Noisy:
        """The noisy sum that an answer means: post-processing of it and of public values."""
        ...

    def assumed(self, clients: float) -> Noisy:
        """The answer of an assumed, unremarkable fleet of so many clients: what a preview is made from."""
        ...


@dataclass(frozen=True)
class Priced:
    """All blocks of one or several rounds, collected in one pass."""

    parts: tuple[Any, ...]  # PricedBlocks, all of the kind that the trust model makes

    @property
    def event(self) -> Event:
        """What the whole release is."""
        return composed(tuple(part.event for part in self.parts))

    def noisy(self, answers: Sequence[Any]) -> tuple[Noisy, ...]:
        """The noisy sums that the answers mean, one for each block."""
        return tuple(part.noisy(answer) for part, answer in zip(self.parts, answers, strict=True))


def composed(events: tuple[Event, ...]) -> Event:
    """One event of several; the event itself if there is one."""
    return events[0] if len(events) == 1 else Composed(events)


class Fleet(Protocol):
    """Where clients are, as a trust model needs it."""

    def sums(
        self,
        blocks: Sequence[Block],
        steps: Sequence[int],
        cohorts: Sequence[Cohort | None] | None = None,
        *,
        everyone: bool = False,
    ) -> Sequence[Integers]:
        """Exact integer sums of the encoded contributions, one vector per block.

        A cohort draws who takes part in a block, over the whole roster: ``cohort(n)`` gives n coins. None: everybody.
        With `everyone`, clients without a value are encoded too, as null, because the encoder does not map it to 0.
        """
        ...

    def assigned(self, groups: int) -> npt.NDArray[np.int64]:
        """Which of so many public groups each client is in, by its name alone, shape (clients,)."""
        ...

    def messages(self, blocks: Sequence[Block], steps: Sequence[int]) -> Sequence[Integers]:
        """Each client's encoded vectors, shape (clients, size) for each block: for those who play the clients' part."""
        ...


class Trust(Protocol):
    """Who sees what: prices a round, collects it."""

    @property
    def name(self) -> str:
        """As receipts and ledgers call it."""
        ...

    @property
    def clients_add_noise(self) -> bool:
        """Whether the clients, not the server, make the noise.

        Then every client of the roster is asked and who they are is public; the events are this trust model's own, not
        the mechanism that was offered; and what was collected may have been seen, whether or not it was committed, so
        that a retry is another release.
        """
        ...

    def price(self, round_: Round, cost: Cost, roster: int | None = None) -> Priced:
        """Chooses grid and noise so that the round costs no more than `cost`.

        Args:
            round_: what is asked.
            cost: the most that it may do.
            roster: how many clients there are; None where that is nobody's to know.
        """
        ...

    def collect(self, fleet: Fleet, priced: Priced) -> tuple[Any, ...]:
        """The answers, one for each block, as JSON."""
        ...

    def asked_of(self, roster: int | None) -> Mapping[str, Any]:
        """What else makes a question another one: whom it is asked, and how many of them may be missing."""
        ...

    def guarantee(self, rounds: Sequence[Priced], delta: float | None) -> Guarantee | None:
        """What holds besides the event, for the receipt: public facts only; None if there is nothing to add."""
        ...
