"""What every event is: frozen data with a JSON form, a relation, and the atoms that accountants count."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from fedanalytics.privacy.relations import Relation

if TYPE_CHECKING:
    from fedanalytics.privacy.events.combined import Repeated

Atoms: TypeAlias = "Iterator[tuple[Event, int]]"


@dataclass(frozen=True)
class Event(ABC):
    """The root of all events; frozen, hashable."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def rho(self) -> Fraction:
        """The zCDP parameter, exact: the event is rho-zCDP (Bun and Steinke 2016, arXiv 1605.02065).

        Raises:
            NotPrivate: no finite rho is known.
        """

    @abstractmethod
    def part(self, share: Fraction) -> Event:
        """The event whose repetition over shares that sum to 1 costs no more than this one."""

    def atoms(self) -> Atoms:
        """What it comes down to, as (event, count): events that an accountant looks up, without their structure.

        Two events with the same atoms lose the same. Order does not matter: composition commutes.
        """
        yield self, 1

    @property
    def relations(self) -> frozenset[Relation]:
        """The neighbouring relations that its parts hold for: losses under different ones do not add up."""
        own = getattr(self, "relation", None)
        return frozenset() if own is None else frozenset({own})

    def repeated(self, count: int) -> Repeated:
        """This event `count` times.

        Raises:
            BadArgument: `count` is not a whole number >= 1.
        """
        from fedanalytics.privacy.events.combined import Repeated  # noqa: PLC0415  # it is an event itself

        return Repeated(self, count)

    def poisson_sampled(self, rate: float) -> Event:
        """This event on a secret cohort that every client joined by a coin of its own; with rate 1, the event itself.

        Raises:
            BadArgument: see `PoissonSampled`.
        """
        from fedanalytics.privacy.events.sampled import PoissonSampled  # noqa: PLC0415  # it is an event itself

        sampled = PoissonSampled(self, rate)
        return self if sampled.rate == 1 else sampled

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, for ever readable by `from_json`."""
        return {"event": self.kind} | {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    def describe(self) -> dict[str, Any]:
        """The canonical form, for digests."""
        return self.to_json()


@dataclass(frozen=True)
class Pure(Event):
    """An event with a bound on its loss that holds for every output: epsilon-DP with delta 0."""

    @property
    @abstractmethod
    def epsilon(self) -> Fraction:
        """The pure epsilon; exact, or rounded up."""

    @property
    def rho(self) -> Fraction:
        """epsilon^2 / 2 (Bun and Steinke 2016, Proposition 1.4)."""
        return self.epsilon**2 / 2


def round_up(value: float) -> float:
    """A float safely above a result of a few float operations (each off by at most 2^-53): four ulps."""
    return value * (1 + 2.0**-50)


def round_down(value: float) -> float:
    """A float safely below, likewise."""
    return value * (1 - 2.0**-50)


def _plain(value: Any) -> Any:
    if isinstance(value, Event):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value.value if isinstance(value, Relation) else value
