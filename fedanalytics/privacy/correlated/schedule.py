"""Who may take part when: the one assumption on which the sensitivity of a run rests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedanalytics import _validate
from fedanalytics.errors import BadArgument


@dataclass(frozen=True)
class Schedule:
    """Each client takes part in at most `participations` rounds, any two of them at least `separation` rounds apart.

    Cohorts are otherwise arbitrary: nothing is sampled, nobody need be ignorant of who took part. Whoever picks the
    cohorts has to keep to it (`allows`); a client that is asked more often than that was promised too much.

    Attributes:
        rounds: of the whole run, fixed in advance; stopping early is free, going on is not possible.
        participations: 1, or the number of epochs, or what a client's own policy allows.
        separation: with one participation it does not matter, and is `rounds`; otherwise it must be given.

    Raises:
        BadArgument: a number is not whole and positive, the separation exceeds the rounds, or so many participations
            do not fit.

    Example:
        >>> schedule = Schedule(rounds=2000, participations=5, separation=400)
        >>> schedule.allows([0, 400], 799), schedule.allows([0, 400], 800)
        (False, True)
    """

    rounds: int
    participations: int = 1
    separation: int = 0

    def __post_init__(self) -> None:
        for name, least in (("rounds", 1), ("participations", 1), ("separation", 0)):
            object.__setattr__(self, name, _validate.whole(least, **{name: getattr(self, name)}))
        if self.separation > self.rounds:
            raise BadArgument(f"separation={self.separation} exceeds rounds={self.rounds}: no run is that long")
        if self.participations == 1:
            object.__setattr__(self, "separation", self.rounds)
        if self.separation == 0:
            raise BadArgument(
                f"separation= must be given with participations={self.participations}: how many rounds at least lie "
                "between two of one client, 1 if it may be in consecutive ones"
            )
        if (self.participations - 1) * self.separation >= self.rounds:
            raise BadArgument(
                f"participations={self.participations} that are separation={self.separation} rounds apart do not fit "
                f"into rounds={self.rounds}; at most {-(-self.rounds // self.separation)} do"
            )

    def allows(self, taken: Sequence[int], round_: int) -> bool:
        """Whether a client that took part in the rounds `taken` may take part in `round_` as well."""
        return len(taken) < self.participations and all(abs(round_ - other) >= self.separation for other in taken)
