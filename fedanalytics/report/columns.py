"""What a question asks for, and which columns it reads: from its canonical form, as it stands in the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from fedanalytics.errors import BadArgument
from fedanalytics.ledger.plans import kind

_EXPRESSIONS = frozenset({"per_client", "where", "by"})


def columns_of(question: Any) -> tuple[str, ...]:
    """The columns that are named in a question, sorted.

    They are those of its ``column``, of the SQL in ``per_client``, ``where`` and ``by``, and of the parameters of a
    traced computation. An expression that this version cannot read names none.

    Example:
        >>> columns_of({"query": {"is": "Mean", "column": "temp", "where": "origin = 'JFK' AND hour >= 8"}})
        ('hour', 'origin', 'temp')
    """
    return tuple(sorted(set(_found(question))))


def said(question: Any) -> str:
    """A question in words.

    >>> said({"query": {"is": "Mean", "column": "temp", "by": "month", "where": "hour >= 8"}})
    'Mean of temp by month where hour >= 8'
    >>> said({"query": {"is": "FederatedComputation", "name": "average", "bindings": {"x": 'avg("temp")'}}})
    'average of temp'
    """
    whole = question if isinstance(question, Mapping) else {}
    query = inner if isinstance(inner := whole.get("query"), Mapping) else whole
    of = query.get("column") or ("" if {"by", "where"} & query.keys() else ", ".join(columns_of(question)))
    parts = [("of", of), ("by", query.get("by")), ("where", query.get("where"))]
    words = [f"{word} {text}" for word, text in parts if isinstance(text, str) and text]
    return " ".join([kind(whole) or "(no name)", *words])


def _found(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict | list):
                yield from _found(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str):
                if name == "column":
                    yield item
                elif name in _EXPRESSIONS:
                    yield from _named(item)
            elif name == "bindings" and isinstance(item, dict):
                for text in item.values():
                    yield from _named(text) if isinstance(text, str) else ()
            elif isinstance(item, dict | list):
                yield from _found(item)


@lru_cache(maxsize=4096)
def _named(expression: str) -> tuple[str, ...]:
    from fedanalytics.fleet.grammar import parse  # noqa: PLC0415  # sqlglot, behind it, costs 0.2 s

    try:
        tree = parse(expression, "expression")
    except BadArgument:
        return ()
    return tuple(node.name for node in tree.walk() if type(node).__name__ == "Column")
