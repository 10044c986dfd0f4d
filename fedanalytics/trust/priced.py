"""A round with its price on it: per block the grid, the event, and the scale of the noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.privacy.events import Composed, Event, PoissonSampled
from fedanalytics.round.blocks import Block, Integers, Noisy, Round
from fedanalytics.round.estimates import Noise

Cohort: TypeAlias = Callable[[int], npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class PricedBlock:
    """One block, ready to be collected.

    Attributes:
        steps: grid steps in the encoder's bound.
        event: what the release of this block is, to an accountant.
        scale: of the noise, in grid steps (sigma, or b of the two-sided geometric law).
        law: "gaussian" or "laplace".
    """

    block: Block
    steps: int
    event: Event
    scale: float
    law: str

    @property
    def sampling_rate(self) -> float:
        """Of the cohort that it is collected from."""
        return self.event.rate if isinstance(self.event, PoissonSampled) else 1.0

    @property
    def noise(self) -> Noise:
        """The noise in units of the encoder's bound."""
        return Noise(self.scale / self.steps, self.law, 1 / self.steps)


@dataclass(frozen=True)
class Priced:
    """All blocks of one or several rounds, collected in one pass."""

    parts: tuple[PricedBlock, ...]

    @property
    def event(self) -> Event:
        """What the whole release is."""
        return self.parts[0].event if len(self.parts) == 1 else Composed(tuple(part.event for part in self.parts))


class Fleet(Protocol):
    """Where clients are, as a trust model needs it."""

    def sums(
        self, blocks: Sequence[Block], steps: Sequence[int], cohorts: Sequence[Cohort | None] | None = None
    ) -> Sequence[Integers]:
        """Exact integer sums of the encoded contributions, one vector per block.

        A cohort draws who takes part in a block, over the whole roster: ``cohort(n)`` gives n coins. None: everybody.
        """
        ...


class Trust(Protocol):
    """Prices a round, collects it."""

    @property
    def name(self) -> str:
        """As receipts and ledgers call it."""
        ...

    def price(self, round_: Round, event: Event) -> Priced:
        """Chooses grid and noise so that the round costs no more than `event`."""
        ...

    def collect(self, fleet: Fleet, priced: Priced) -> tuple[Noisy, ...]:
        """The noisy sums, in units of each encoder's bound."""
        ...
