"""A graph as plain data, for digests: operations, types, attributes, and which value feeds which.

No lines and no names of variables; parameters count by their names, because a session binds them by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedanalytics.computation.evaluate import order
from fedanalytics.computation.fingerprints import fingerprint
from fedanalytics.computation.values import Value
from fedanalytics.types import Type


def describe_graph(results: Sequence[Value], known: Mapping[Value, Any]) -> dict[str, Any]:
    """The canonical form of what the results are computed from; a known value stands for what is behind it.

    Raises:
        BadArgument: a function refers to something without a stable description.
    """
    nodes = order(results, known.__contains__)
    number = {value: i for i, value in enumerate(nodes)}
    return {
        "nodes": [_node(value, number, known) for value in nodes],
        "results": [number[value] for value in results],
    }


def _node(value: Value, number: Mapping[Value, int], known: Mapping[Value, Any]) -> dict[str, Any]:
    base = {"op": value.op, "type": str(value.type)}
    if value in known:
        return {**base, "known": fingerprint(known[value])}
    attrs = {name: str(attr) if isinstance(attr, Type) else fingerprint(attr) for name, attr in value.attrs.items()}
    return {**base, "args": [number[argument] for argument in value.args], **attrs}
