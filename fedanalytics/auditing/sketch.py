"""What a query's own text says of its data: the columns that it reads, and values that make a difference to it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from fedanalytics.fleet.grammar import parse
from fedanalytics.fleet.kinds import sqls_of
from fedanalytics.round.blocks import Block, Encoder

if TYPE_CHECKING:
    from sqlglot.expressions import Expression

Named: TypeAlias = str | float

_COMPARED = ("EQ", "NEQ", "In")
_WITHIN = ("inner", "one", "moments")  # where an encoder keeps another one
_NUMBERS = (-1.0, 1.0)


@dataclass(frozen=True)
class Column:
    """A column that a query reads.

    Attributes:
        text: whether it holds texts; else numbers.
        conditions: values that conditions on rows name, and such as lie beside them; empty if there is no condition.
        values: the least and the greatest value that matter to what is computed from it; empty if nothing is.
    """

    name: str
    text: bool
    conditions: tuple[Named, ...]
    values: tuple[Named, ...]


def columns(blocks: Sequence[Block]) -> tuple[Column, ...]:
    """The columns of some blocks, by name.

    Raises:
        BadArgument: an expression that no client would run.

    Example:
        >>> import fedanalytics as fa
        >>> [column] = columns([fa.mean("temp", bounds=(0, 110)).block])
        >>> column.name, column.values
        ('temp', (0.0, 110.0))
    """
    sqls = [(block, sql) for block in blocks for sql in sqls_of(block.work)]
    wheres = {sql.where: parse(sql.where, "where") for _, sql in sqls if sql.where is not None}
    works = [(block, parse(sql.per_client, "per_client")) for block, sql in sqls]
    trees = [*wheres.values(), *(tree for _, tree in works)]
    texts = {name for tree in trees for name in _compared_with_text(tree)}
    texts |= {name for block, tree in works if block.encoder.reads_text for name in _names(tree)}
    conditions: dict[str, dict[Named, None]] = {}
    for tree in wheres.values():
        for name in _names(tree):
            conditions.setdefault(name, {}).update(dict.fromkeys(_beside(tree, name in texts)))
    found = dict.fromkeys(name for tree in trees for name in _names(tree))
    return tuple(
        Column(name, name in texts, tuple(conditions.get(name, ())), _ends(name, works, text=name in texts))
        for name in found
    )


def _ends(name: str, works: Sequence[tuple[Block, Expression]], *, text: bool) -> tuple[Named, ...]:
    """From the bounds of the encoders, and from what the expressions name."""
    reading = [(block, tree) for block, tree in works if name in _names(tree)]
    if not reading:
        return ()
    if text:
        named = [v for block, tree in reading for v in (*_bounds(block.encoder), *_literals(tree, text=True))]
        words = [str(v) for v in named if isinstance(v, str)] or ["a"]
        return words[0], words[-1]
    every = [v for block, tree in reading for v in (*_bounds(block.encoder), *_literals(tree, text=False))]
    numbers = [float(v) for v in every if not isinstance(v, str)] or list(_NUMBERS)
    return min(numbers), max(numbers)


def _bounds(encoder: Encoder) -> Iterator[Named]:
    """The ends of intervals, the edges and the categories of an encoder, and of those within it."""
    for within in _WITHIN:
        if (one := getattr(encoder, within, None)) is not None:
            yield from _bounds(one)
    yield from (end for end in getattr(encoder, "edges", ()) if math.isfinite(end))
    yield from getattr(encoder, "categories", ())
    yield from (getattr(encoder, end) for end in ("lower", "upper") if hasattr(encoder, end))


def _names(tree: Expression) -> list[str]:
    return [node.name for node in _nodes(tree, "Column") if not _is_star(node)]


def _is_star(node: Any) -> bool:
    return type(node.this).__name__ == "Star"


def _beside(tree: Expression, text: bool) -> tuple[Named, ...]:  # noqa: FBT001  # one of two kinds
    """Values on either side of each literal; of texts, those themselves."""
    literals = _literals(tree, text=text)
    return literals if text else tuple(float(v) + step for v in literals for step in (0.0, 1.0, -1.0))


def _literals(tree: Expression, *, text: bool) -> tuple[Named, ...]:
    found = [node for node in _nodes(tree, "Literal") if bool(node.args.get("is_string")) is text]
    return tuple(dict.fromkeys(_signed(node) for node in found))


def _signed(node: Any) -> Named:
    if node.args.get("is_string"):
        return str(node.this)
    return -float(node.this) if type(node.parent).__name__ == "Neg" else float(node.this)


def _compared_with_text(tree: Expression) -> Iterator[str]:
    for node in _nodes(tree, *_COMPARED):
        if any(True for one in _nodes(node, "Literal") if one.args.get("is_string")):
            yield from _names(node)


def _nodes(tree: Expression, *kinds: str) -> Iterator[Any]:
    return (node for node in tree.walk() if type(node).__name__ in kinds)
