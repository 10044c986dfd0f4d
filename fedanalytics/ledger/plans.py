"""What goes into a budget and comes out: plans and reservations, answers and stored answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.ledger.entries import text
from fedanalytics.ledger.results import sha256
from fedanalytics.privacy.events import Event
from fedanalytics.privacy.filters import Filter
from fedanalytics.round.canonical import canonical


@dataclass(frozen=True)
class Plan:
    """A whole query, before it is asked.

    Attributes:
        key: names this asking; the same key with the same digest is the same asking.
        question: the query in canonical JSON form.
        event: what will be done to the data, in all its rounds.
        units: the cost, in units of 1e-12 of what the budget's filter counts; at least its price of `event`.
        trust: the trust model.

    Raises:
        BadArgument: the key is empty, or the units are not a whole number of at least 0.

    Example:
        >>> from fedanalytics.privacy.events import Gaussian
        >>> Plan("monday", {"is": "Count"}, Gaussian(10.0), 5 * 10**9, "central").digest[:8]
        '04ddf5a1'
    """

    key: str
    question: dict[str, Any]
    event: Event
    units: int
    trust: str

    def __post_init__(self) -> None:
        _validate.text(key=self.key)
        _validate.whole(minimum=0, units=self.units)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all but the key."""
        return sha256(text(self.body))

    @cached_property
    def body(self) -> dict[str, Any]:
        """What the digest covers, as it stands in the entry."""
        return {
            "question": canonical(self.question),
            "event": self.event.to_json(),
            "units": int(self.units),
            "trust": self.trust,
        }


@dataclass(frozen=True)
class StoredAnswer:
    """One round's answer as the ledger keeps it: the digest of the round, and the JSON body."""

    digest: str
    body: Any


@dataclass(frozen=True)
class Reservation:
    """A plan that was paid.

    Attributes:
        id: names it in the ledger.
        key: the plan's key.
        digest: the plan's digest.
        seq: the number of its entry.
        hash: the hash of its entry, in hex: a receipt that `verify` can be held to.
        replayed: whether it was paid earlier, under the same key.
        answers: what was committed so far, by round.
    """

    id: str
    key: str
    digest: str
    seq: int
    hash: str
    replayed: bool = False
    answers: Mapping[int, StoredAnswer] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Answer:
    """One round's noisy sums, to be committed before anybody sees them.

    Attributes:
        reservation: what pays for it.
        index: the round's number, from 0.
        digest: the round's digest.
        body: the answer, a JSON value.
        sampling_rate: of the cohort that was drawn for it by our own sampler; 1 if everybody was asked.
    """

    reservation: Reservation
    index: int
    digest: str
    body: Any
    sampling_rate: float = 1.0


def check_relation(event: Event, relation: str) -> None:
    """Refuse an event that is measured by another notion of neighbours than the budget's.

    Raises:
        BadArgument: both are named.
    """
    for other in event.relations:
        if other != relation:
            raise BadArgument(
                f"the event {event!r} holds under {other}, the budget counts {relation}: losses under different "
                "relations do not add up; open a budget with relation= of the event"
            )


def check_price(plan: Plan, rule: Filter) -> None:
    """Refuse a plan whose units do not pay for its event.

    Raises:
        BadArgument: they do not.
        NotPrivate: no units do, under this filter.
    """
    price = _price(plan.event, rule)
    if plan.units < price:
        raise BadArgument(f"units={plan.units} do not pay for {plan.event!r}, which costs {price}")


@lru_cache(maxsize=1024)
def _price(event: Event, rule: Filter) -> int:
    """Few events differ."""
    return rule.price(event)


def kind(question: Mapping[str, Any]) -> str:
    """What a question calls itself, or its query."""
    for name in ("name", "is", "kind", "query"):
        value = question.get(name)
        if isinstance(value, Mapping):
            return kind(value)
        if isinstance(value, str):
            return value
    return ""


def difference(old: Any, new: Any, where: str = "") -> str:
    """Where two plans differ, as text: "query.bounds was [0, 110], now [0, 100]"."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        pairs = ((name, old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys()))
        return "; ".join(difference(a, b, f"{where}.{name}" if where else name) for name, a, b in pairs if a != b)
    return f"{where} was {_short(old)}, now {_short(new)}"


def _short(value: Any, width: int = 60) -> str:
    shown = text(value)
    return shown if len(shown) <= width else f"{shown[: width - 3]}..."
