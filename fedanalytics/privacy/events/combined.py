"""Several events, none, and the one that has no price."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from fedanalytics import _validate
from fedanalytics.errors import BadArgument, NotPrivate
from fedanalytics.privacy.events.event import Atoms, Event
from fedanalytics.privacy.relations import Relation


@dataclass(frozen=True)
class Composed(Event):
    """Several events on the same data, each free to depend on the earlier outputs.

    Raises:
        BadArgument: an element is no event.
    """

    kind: ClassVar[str] = "composed"
    events: tuple[Event, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "events", tuple(self.events))
        for event in self.events:
            checked(event)

    @property
    def rho(self) -> Fraction:
        return sum((e.rho for e in self.events), Fraction(0))

    @property
    def relations(self) -> frozenset[Relation]:
        return frozenset().union(*(e.relations for e in self.events))

    def part(self, share: Fraction) -> Composed:
        return Composed(tuple(e.part(share) for e in self.events))

    def atoms(self) -> Atoms:
        for event in self.events:
            yield from event.atoms()


@dataclass(frozen=True)
class Repeated(Event):
    """One event `count` times on the same data, each free to depend on the earlier outputs.

    Raises:
        BadArgument: `of` is no event, or `count` is not a whole number >= 1.
    """

    kind: ClassVar[str] = "repeated"
    of: Event
    count: int

    def __post_init__(self) -> None:
        checked(self.of)
        object.__setattr__(self, "count", int(_validate.whole(count=self.count)))

    @property
    def rho(self) -> Fraction:
        return self.of.rho * self.count

    @property
    def relations(self) -> frozenset[Relation]:
        return self.of.relations

    def part(self, share: Fraction) -> Repeated:
        return Repeated(self.of.part(share), self.count)

    def atoms(self) -> Atoms:
        for event, count in self.of.atoms():
            yield event, count * self.count


@dataclass(frozen=True)
class NoOp(Event):
    """Nothing was released."""

    kind: ClassVar[str] = "no-op"

    @property
    def rho(self) -> Fraction:
        return Fraction(0)

    def part(self, share: Fraction) -> NoOp:  # noqa: ARG002  # nothing, however divided
        return self

    def atoms(self) -> Atoms:
        return iter(())


@dataclass(frozen=True)
class Exact(Event):
    """An exact value was released: the loss is infinite."""

    kind: ClassVar[str] = "exact"

    @property
    def rho(self) -> Fraction:
        raise NotPrivate("an exact release has no finite privacy loss")

    def part(self, share: Fraction) -> Exact:  # noqa: ARG002  # a part of an infinite loss is infinite
        return self


def checked(event: Event) -> Event:
    """The event itself.

    Raises:
        BadArgument: it is none.
    """
    if not isinstance(event, Event):
        raise BadArgument(f"expected a privacy event such as Gaussian(noise_multiplier=1.0), got {event!r}")
    return event
