"""Privacy events: what was done to the data, as frozen data whose meaning never changes.

An event says which mechanism ran, how strong its noise was relative to the sensitivity, and under which neighbouring
relation that sensitivity holds. Any accountant, today's or a later one, can recompute the loss from it.

>>> event = Gaussian(noise_multiplier=2.0)
>>> from_json(event.to_json()) == event
True
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from fedanalytics import _validate
from fedanalytics.errors import BadArgument, NotPrivate
from fedanalytics.privacy.relations import Relation


@dataclass(frozen=True)
class Event(ABC):
    """The root of all events; frozen, hashable, with a JSON form."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def rho(self) -> Fraction:
        """The zCDP parameter, exact: the event is rho-zCDP (Bun and Steinke 2016, arXiv 1605.02065).

        Raises:
            NotPrivate: the loss is infinite.
        """

    @abstractmethod
    def part(self, share: Fraction) -> Event:
        """The event whose repetition over shares that sum to 1 costs no more than this one."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Plain JSON, for ever readable by `from_json`."""

    def describe(self) -> dict[str, Any]:
        """The canonical form, for digests."""
        return self.to_json()


@dataclass(frozen=True)
class _Additive(Event):
    """Noise added to a sum; `noise_multiplier` is its scale divided by the sensitivity.

    Raises:
        BadArgument: `noise_multiplier` is not a positive finite number.
    """

    noise_multiplier: float
    relation: Relation = Relation.ADD_OR_REMOVE_ONE

    def __post_init__(self) -> None:
        _validate.positive(noise_multiplier=self.noise_multiplier)
        object.__setattr__(self, "noise_multiplier", float(self.noise_multiplier))
        object.__setattr__(self, "relation", Relation(self.relation))

    def to_json(self) -> dict[str, Any]:
        return {"event": self.kind, "noise_multiplier": self.noise_multiplier, "relation": self.relation.value}


@dataclass(frozen=True)
class Gaussian(_Additive):
    """The Gaussian mechanism: noise N(0, (noise_multiplier * D2)^2) on a sum of L2 sensitivity D2.

    Rounding a noisy sum onto its own grid is post-processing, so this is also the event of the rounded Gaussian.
    rho = 1 / (2 noise_multiplier^2) (Bun and Steinke 2016, Proposition 1.6); exactly 1/noise_multiplier-GDP (Dong,
    Roth, Su 2019, Theorem 1).
    """

    kind: ClassVar[str] = "gaussian"

    @property
    def rho(self) -> Fraction:
        return 1 / (2 * Fraction(self.noise_multiplier) ** 2)

    def part(self, share: Fraction) -> Gaussian:
        return Gaussian(round_up(self.noise_multiplier / math.sqrt(share)), self.relation)


@dataclass(frozen=True)
class DiscreteLaplace(_Additive):
    """Two-sided geometric noise of scale b = noise_multiplier * D1 on an integer sum of L1 sensitivity D1.

    Pure: epsilon = 1 / noise_multiplier (Ghosh, Roughgarden, Sundararajan 2009), hence rho = epsilon^2 / 2 (Bun and
    Steinke 2016, Proposition 1.4).
    """

    kind: ClassVar[str] = "discrete-laplace"

    @property
    def epsilon(self) -> Fraction:
        """The pure epsilon, exact."""
        return 1 / Fraction(self.noise_multiplier)

    @property
    def rho(self) -> Fraction:
        return self.epsilon**2 / 2

    def part(self, share: Fraction) -> DiscreteLaplace:
        return DiscreteLaplace(round_up(self.noise_multiplier / float(share)), self.relation)


@dataclass(frozen=True)
class Composed(Event):
    """Several events on the same data, each free to depend on the earlier outputs."""

    kind: ClassVar[str] = "composed"
    events: tuple[Event, ...]

    @property
    def rho(self) -> Fraction:
        return sum((e.rho for e in self.events), Fraction(0))

    def part(self, share: Fraction) -> Composed:
        return Composed(tuple(e.part(share) for e in self.events))

    def to_json(self) -> dict[str, Any]:
        return {"event": self.kind, "events": [e.to_json() for e in self.events]}


@dataclass(frozen=True)
class NoOp(Event):
    """Nothing was released."""

    kind: ClassVar[str] = "no-op"

    @property
    def rho(self) -> Fraction:
        return Fraction(0)

    def part(self, share: Fraction) -> NoOp:  # noqa: ARG002  # nothing, however divided
        return self

    def to_json(self) -> dict[str, Any]:
        return {"event": self.kind}


@dataclass(frozen=True)
class Exact(Event):
    """An exact value was released: the loss is infinite."""

    kind: ClassVar[str] = "exact"

    @property
    def rho(self) -> Fraction:
        raise NotPrivate("an exact release has no finite privacy loss")

    def part(self, share: Fraction) -> Exact:  # noqa: ARG002  # a part of an infinite loss is infinite
        return self

    def to_json(self) -> dict[str, Any]:
        return {"event": self.kind}


_KINDS: dict[str, type[Event]] = {c.kind: c for c in (Gaussian, DiscreteLaplace, Composed, NoOp, Exact)}


def from_json(data: Any) -> Event:
    """The event that `to_json` wrote.

    Raises:
        BadArgument: the event, or a field of it, is unknown to this version; it is refused, never ignored.
    """
    if not isinstance(data, dict) or data.get("event") not in _KINDS:
        raise BadArgument(f"unknown privacy event {data!r}; this version knows {', '.join(sorted(_KINDS))}")
    fields = {k: v for k, v in data.items() if k != "event"}
    if "events" in fields:
        fields["events"] = tuple(map(from_json, fields["events"]))
    try:
        event = _KINDS[data["event"]](**fields)
    except (TypeError, ValueError) as error:
        raise BadArgument(f"privacy event {data!r} is not one that this version knows: {error}") from error
    if event.to_json() != data:
        raise BadArgument(f"privacy event {data!r} is incomplete; expected the form {event.to_json()!r}")
    return event


def round_up(value: float) -> float:
    """A float safely above a result of a few float operations (each off by at most 2^-53): four ulps."""
    return value * (1 + 2.0**-50)
