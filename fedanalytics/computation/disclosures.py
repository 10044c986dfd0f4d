"""What a computation would tell the server, as a table: exact, or noised with bound, sensitivity and event."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fedanalytics.computation.evaluate import order
from fedanalytics.computation.plans import AGGREGATES, leaving, noised
from fedanalytics.computation.releases import Noised
from fedanalytics.computation.values import Value
from fedanalytics.privacy.events import DiscreteLaplace, Event, Exact
from fedanalytics.privacy.relations import Relation


@dataclass(frozen=True)
class Disclosure:
    """One value that reaches the server (or, as "result", each client's own value that reaches the caller).

    Attributes:
        op: federated_sum, federated_mean, ...; the mean of a vector is two rows, its sum and the count.
        line: ``file:line`` where it is written.
        release: "exact" or "noised".
        bound: what a client's value is clipped to, as text; None if nothing is stated.
        sensitivity: by how much one client, added or removed, can move the sum, in units of the bound (of half the
            range for the mean of a number): in the L2 norm, for geometric noise in L1. None if exact.
        event: what the release is, to an accountant.
    """

    op: str
    line: str
    release: str
    bound: str | None
    sensitivity: float | None
    event: Event


class Disclosures(tuple[Disclosure, ...]):
    """The rows in the order of the computation; its repr is a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        head = ("op", "line", "release", "bound", "sensitivity", "event")
        body = [
            (row.op, os.path.basename(row.line), row.release, row.bound or "-", _number(row), _short(row.event))  # noqa: PTH119
            for row in self
        ]
        widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
        lines = ("  ".join(map(str.ljust, cells, widths)).rstrip() for cells in (head, *body))
        return "\n".join(lines)


def disclosures(results: Sequence[Value]) -> Disclosures:
    """The rows of a graph, under add-or-remove-one; events are those that a session runs."""
    plan = noised(results)
    events: dict[Value, list[Event]] = {}
    if plan.rounds:
        whole = plan.cost(Relation.ADD_OR_REMOVE_ONE).event
        for asked, due in zip(plan.rounds, plan.shares, strict=True):
            round_event = whole if due == 1 else whole.part(due)
            for release in asked:
                parts = [plan.of_round[release.node] * part.share for part in release.parts]
                events[release.node] = [round_event if part == 1 else round_event.part(part) for part in parts]
    rows: list[Disclosure] = []
    for value in order(results):
        if value in events:
            rows += _noised(Noised(value), events[value])
        elif value.op in AGGREGATES:
            rows.append(_exact(f"federated_{value.op}", value))
    return Disclosures([*rows, *(_exact("result", value) for value in leaving(results))])


def _exact(op: str, value: Value) -> Disclosure:
    source = value.args[0] if value.args and op != "result" else value
    bound = repr(source.attrs["bound"]) if source.op == "clip" else None
    return Disclosure(op, value.line, "exact", bound, None, Exact())


def _noised(release: Noised, events: Sequence[Event]) -> list[Disclosure]:
    rows = []
    for part, event in zip(release.parts, events, strict=True):
        steps = part.encoder.finest
        found = part.encoder.sensitivity(steps, Relation.ADD_OR_REMOVE_ONE)
        sensitivity = (found.l1 if isinstance(event, DiscreteLaplace) else found.l2) / steps
        node = release.node
        rows.append(Disclosure(f"federated_{node.op}", node.line, "noised", part.bound, sensitivity, event))
    return rows


def _short(event: Event) -> str:
    multiplier = getattr(event, "noise_multiplier", None)
    return event.kind if multiplier is None else f"{event.kind}, noise multiplier {multiplier:.4g}"


def _number(row: Disclosure) -> str:
    sensitivity: Any = row.sensitivity
    return "-" if sensitivity is None else f"{sensitivity:.4g}"
