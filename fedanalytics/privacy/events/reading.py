"""Events from their JSON form: unknown ones are refused, never ignored."""

from __future__ import annotations

from typing import Any

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.events.additive import DiscreteLaplace, Gaussian, Laplace, Skellam
from fedanalytics.privacy.events.combined import Composed, Exact, NoOp, Repeated
from fedanalytics.privacy.events.correlated import MatrixFactorization, TreeAggregation
from fedanalytics.privacy.events.event import Event
from fedanalytics.privacy.events.local import LocalPure
from fedanalytics.privacy.events.response import RandomizedResponse
from fedanalytics.privacy.events.sampled import PoissonSampled

_KINDS: dict[str, type[Event]] = {
    kind.kind: kind
    for kind in (
        Composed,
        DiscreteLaplace,
        Exact,
        Gaussian,
        Laplace,
        LocalPure,
        MatrixFactorization,
        NoOp,
        PoissonSampled,
        RandomizedResponse,
        Repeated,
        Skellam,
        TreeAggregation,
    )
}


def from_json(data: Any) -> Event:
    """The event that `to_json` wrote.

    Raises:
        BadArgument: the event, or a field of it, is unknown to this version; it is refused, never ignored.
    """
    if not isinstance(data, dict) or data.get("event") not in _KINDS:
        raise BadArgument(f"unknown privacy event {data!r}; this version knows {', '.join(sorted(_KINDS))}")
    try:
        event = _KINDS[data["event"]](**{name: _field(value) for name, value in data.items() if name != "event"})
    except (TypeError, ValueError) as error:
        raise BadArgument(f"privacy event {data!r} is not one that this version knows: {error}") from error
    if event.to_json() != data:
        raise BadArgument(f"privacy event {data!r} is incomplete; expected the form {event.to_json()!r}")
    return event


def _field(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_field, value))
    return from_json(value) if isinstance(value, dict) else value
