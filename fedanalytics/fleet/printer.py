"""Tree -> our own SQL: every allowed node has one rule that types it and prints it; there is no other way out.

Two places differ. In a ``row`` place (a condition, the argument of an aggregate) columns may be named; in the
``client`` place (outside every aggregate) they may not, because a client has many rows and no order among them.

Each rule is total: on no value does what it prints raise. ``+ - * /`` and ``power`` are IEEE operations on doubles (1/0
is infinite); logarithms and roots of numbers that have none are NULL; casts are TRY_CAST. An infinity or NaN that an
expression makes is no value for an aggregate, and a client whose result is one does not contribute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fedanalytics.errors import BadArgument
from fedanalytics.fleet.schema import Kind, Schema, double, quote, text
from fedanalytics.fleet.steps import Steps
from fedanalytics.fleet.terms import Term, alike, cast, need, number

if TYPE_CHECKING:
    from sqlglot.expressions import Expression

_PERCENTS = 4  # the engine's LIKE tries every split of the text: its time grows as the length to the power of these


@dataclass(frozen=True)
class Printer:
    """How to print, at one place of a tree.

    Attributes:
        schema: the columns.
        keep: the condition every aggregate filters by, or "".
        row: whether this is a row place.
        magnitude: a power of two, if the whole expression is ``avg(column)`` or ``sum(column)``: see `exact`.
        aggregates: rules for the client place, none where aggregates are not allowed.
        steps: takes what aggregates need computed in every row.
    """

    schema: Schema
    aggregates: Mapping[str, Callable[[Printer, Any], Term]]
    steps: Steps
    keep: str = ""
    row: bool = False
    magnitude: float | None = None

    def term(self, node: Expression) -> Term:
        """One node, checked by the grammar before, as a typed piece of SQL.

        Raises:
            BadArgument: kinds do not fit, a column is unknown, or an aggregate is missing or misplaced.
        """
        name = type(node).__name__
        rule = RULES.get(name)
        if rule:
            return rule(self, node)
        if name in self.aggregates:
            return self.aggregates[name](self, node)
        raise BadArgument(f"{node.sql(dialect='duckdb', comments=False)} cannot stand here{self._why(name)}")

    def terms(self, *nodes: Expression) -> tuple[Term, ...]:
        """Several nodes, as one kind."""
        return alike(*(self.term(n) for n in nodes))

    def number(self, node: Expression) -> str:
        """The SQL of a node that must be a number."""
        return number(self.term(node)).sql

    def truth(self, node: Expression) -> str:
        """The SQL of a node that must be true or false."""
        return need(self.term(node), Kind.TRUTH).sql

    def inside(self) -> Printer:
        """The row place within an aggregate: columns, and no further aggregate."""
        return replace(self, row=True, aggregates={})

    def _why(self, name: str) -> str:
        if self.row and name in {"Avg", "Sum", "Min", "Max", "Median", "Count", "Filter"}:
            return ": neither where= nor the argument of an aggregate may hold an aggregate"
        return ""


def _column(at: Printer, node: Any) -> Term:
    column = at.schema.find(node.this.this)
    if column.kind is None:
        raise BadArgument(f"column {column.name!r} has type {column.type}, which expressions cannot use")
    name = quote(column.name)
    if at.row:
        return Term(name, column.kind, clean=True, raw=quote(column.raw) if column.raw else None)
    if at.schema.one_row:
        return Term(f"max({name}){filtered(at.keep)}", column.kind, clean=True)
    example = "avg" if column.kind is Kind.NUMBER else "bool_or" if column.kind is Kind.TRUTH else "max"
    raise BadArgument(f"{name} is many values of a client; write {example}({name}), or another aggregate")


def _literal(_at: Printer, node: Any) -> Term:
    if node.is_string:
        return Term(text(node.this), Kind.TEXT, literal=node.this)
    return Term(double(constant(node)), Kind.NUMBER, clean=True)


def constant(node: Any) -> float:
    """The value of a number literal, with or without a minus.

    Raises:
        BadArgument: it is no literal, or too large for a float.
    """
    if type(node).__name__ == "Neg":
        return -constant(node.this)
    if type(node).__name__ != "Literal" or node.is_string:
        raise BadArgument(f"{node.sql(dialect='duckdb', comments=False)} must be a number, written out")
    try:
        value = float(node.this)
    except ValueError:
        raise BadArgument(f"{node.this} is not a number") from None
    if not math.isfinite(value):
        raise BadArgument(f"{node.this[:20]}... is too large for a number")
    return value


def _infix(symbol: str) -> Callable[[Printer, Any], Term]:
    def rule(at: Printer, node: Any) -> Term:
        return Term(f"({at.number(node.this)} {symbol} {at.number(node.expression)})", Kind.NUMBER)

    return rule


def _compare(symbol: str) -> Callable[[Printer, Any], Term]:
    def rule(at: Printer, node: Any) -> Term:
        left, right = at.terms(node.this, node.expression)
        return Term(f"({left.sql} {symbol} {right.sql})", Kind.TRUTH)

    return rule


def _junction(word: str) -> Callable[[Printer, Any], Term]:
    def rule(at: Printer, node: Any) -> Term:
        return Term(f"({at.truth(node.this)} {word} {at.truth(node.expression)})", Kind.TRUTH)

    return rule


def _numeric(template: str) -> Callable[[Printer, Any], Term]:
    """A function of one number."""

    def rule(at: Printer, node: Any) -> Term:
        return Term(template.format(at.number(node.this)), Kind.NUMBER)

    return rule


def _textual(template: str, kind: Kind) -> Callable[[Printer, Any], Term]:
    """A function of one text."""

    def rule(at: Printer, node: Any) -> Term:
        return Term(template.format(need(at.term(node.this), Kind.TEXT).sql), kind)

    return rule


def _choice(function: str) -> Callable[[Printer, Any], Term]:
    """A function of several values of one kind that returns one of them."""

    def rule(at: Printer, node: Any) -> Term:
        terms = at.terms(node.this, *(node.args.get("expressions") or [node.expression]))
        return Term(f"{function}({', '.join(t.sql for t in terms)})", terms[0].kind)

    return rule


def _part(name: str) -> Callable[[Printer, Any], Term]:
    def rule(at: Printer, node: Any) -> Term:
        return _part_of(at, name, node.this)

    return rule


def _part_of(at: Printer, name: str, node: Any) -> Term:
    moment = need(at.term(node), Kind.MOMENT, Kind.DATE)
    if name in {"hour", "minute"}:
        moment = cast(moment, Kind.MOMENT)
    return Term(f"CAST({name}({moment.sql}) AS DOUBLE)", Kind.NUMBER)


def _extract(at: Printer, node: Any) -> Term:
    name = {"dow": "dayofweek"}.get(node.this.name.lower(), node.this.name.lower())
    if name not in _PARTS:
        raise BadArgument(f"extract({name} ...) is unknown; choose from {', '.join(_PARTS)}")
    return _part_of(at, name, node.expression)


def _round(at: Printer, node: Any) -> Term:
    if node.args.get("decimals") is None:
        return Term(f"round({at.number(node.this)})", Kind.NUMBER)
    decimals = constant(node.args["decimals"])
    if not (decimals.is_integer() and abs(decimals) <= 15):
        raise BadArgument(f"round(..., {decimals!r}): the decimals must be a whole number from -15 to 15")
    return Term(f"round({at.number(node.this)}, {int(decimals)})", Kind.NUMBER)


def _log(at: Printer, node: Any) -> Term:
    if node.expression is None or node.this.sql() != "10":
        raise BadArgument("log is two functions in two dialects; write ln(x), or log10(x)")
    return Term(_LOG.format("log10", at.number(node.expression)), Kind.NUMBER)


def _power(at: Printer, node: Any) -> Term:
    return Term(f"power({at.number(node.this)}, {at.number(node.expression)})", Kind.NUMBER)


def _between(at: Printer, node: Any) -> Term:
    value, low, high = at.terms(node.this, node.args["low"], node.args["high"])
    return Term(f"({value.sql} BETWEEN {low.sql} AND {high.sql})", Kind.TRUTH)


def _in(at: Printer, node: Any) -> Term:
    if not node.expressions or any(_strip(n) not in {"Literal", "Boolean"} for n in node.expressions):
        raise BadArgument("IN takes a list of numbers or strings, written out")
    value, *listed = at.terms(node.this, *node.expressions)
    return Term(f"({value.sql} IN ({', '.join(t.sql for t in listed)}))", Kind.TRUTH)


def _strip(node: Any) -> str:
    return type(node.this if type(node).__name__ in {"Neg", "Cast"} else node).__name__


def _is(at: Printer, node: Any) -> Term:
    if type(node.expression).__name__ != "Null":
        raise BadArgument("IS takes NULL; a condition stands for itself: write x, or NOT x")
    return Term(f"({at.term(node.this).sql} IS NULL)", Kind.TRUTH)


def _like(at: Printer, node: Any) -> Term:
    value, pattern = need(at.term(node.this), Kind.TEXT), at.term(node.expression)
    if pattern.literal is None or pattern.literal.count("%") > _PERCENTS:
        raise BadArgument(f"LIKE takes a string, written out, with at most {_PERCENTS} '%'")
    word = "NOT LIKE" if node.args.get("negate") else "LIKE"
    return Term(f"({value.sql} {word} {pattern.sql})", Kind.TRUTH)


def _case(at: Printer, node: Any) -> Term:
    arms, operand = node.args["ifs"], node.this
    if operand is None:
        head, conditions = "", [at.truth(arm.this) for arm in arms]
    else:
        value, *matches = at.terms(operand, *(arm.this for arm in arms))
        head, conditions = f" {value.sql}", [m.sql for m in matches]
    default = node.args.get("default")
    results = at.terms(*(arm.args["true"] for arm in arms), *([default] if default is not None else []))
    printed = [f"WHEN {c} THEN {r.sql}" for c, r in zip(conditions, results[: len(arms)], strict=True)]
    tail = f" ELSE {results[-1].sql}" if default is not None else ""
    return Term(f"(CASE{head} {' '.join(printed)}{tail} END)", results[0].kind)


def _cast(at: Printer, node: Any) -> Term:
    name = node.args["to"].this.value
    if name not in _TYPES:
        raise BadArgument(f"CAST to {name} is not allowed; cast to DOUBLE, BIGINT, VARCHAR, DATE, TIMESTAMP or BOOLEAN")
    kind, integer = _TYPES[name]
    term = cast(at.term(node.this), kind)
    return Term(f"CAST(TRY_CAST({term.sql} AS {integer}) AS DOUBLE)", kind) if integer else term


def filtered(keep: str) -> str:
    """The FILTER clause of an aggregate."""
    return f" FILTER (WHERE {keep})" if keep else ""


_TYPES = {
    "DOUBLE": (Kind.NUMBER, ""),
    "INT": (Kind.NUMBER, "INTEGER"),
    "BIGINT": (Kind.NUMBER, "BIGINT"),
    "TEXT": (Kind.TEXT, ""),
    "VARCHAR": (Kind.TEXT, ""),
    "DATE": (Kind.DATE, ""),
    "TIMESTAMP": (Kind.MOMENT, ""),
    "TIMESTAMPNTZ": (Kind.MOMENT, ""),
    "BOOLEAN": (Kind.TRUTH, ""),
}
_PARTS = ("year", "month", "day", "hour", "minute", "dayofweek")

# greatest skips NULL and orders NaN last, so these map NULL and everything without a logarithm or a root to NULL, and
# name their argument once: nesting them does not double the text.
_LOG = "{0}(nullif(greatest({1}, 0e0), 0e0))"
_SQRT = "sqrt(nullif(greatest({0}, -5e-324), -5e-324))"

RULES: dict[str, Callable[[Printer, Any], Term]] = {
    "Column": _column,
    "Literal": _literal,
    "Null": lambda _at, _node: Term("NULL", Kind.NOTHING),
    "Boolean": lambda _at, node: Term("TRUE" if node.this else "FALSE", Kind.TRUTH),
    "Paren": lambda at, node: at.term(node.this),
    "Neg": _numeric("(-{0})"),
    "Add": _infix("+"),
    "Sub": _infix("-"),
    "Mul": _infix("*"),
    "Div": _infix("/"),
    "Pow": _power,
    "EQ": _compare("="),
    "NEQ": _compare("<>"),
    "GT": _compare(">"),
    "GTE": _compare(">="),
    "LT": _compare("<"),
    "LTE": _compare("<="),
    "And": _junction("AND"),
    "Or": _junction("OR"),
    "Not": lambda at, node: Term(f"(NOT {at.truth(node.this)})", Kind.TRUTH),
    "Is": _is,
    "In": _in,
    "Between": _between,
    "Like": _like,
    "Case": _case,
    "Cast": _cast,
    "TryCast": _cast,
    "Coalesce": _choice("coalesce"),
    "Nullif": _choice("nullif"),
    "Greatest": _choice("greatest"),
    "Least": _choice("least"),
    "Abs": _numeric("abs({0})"),
    "Round": _round,
    "Floor": _numeric("floor({0})"),
    "Ceil": _numeric("ceil({0})"),
    "Sqrt": _numeric(_SQRT),
    "Ln": _numeric(_LOG.format("ln", "{0}")),
    "Log": _log,
    "Exp": _numeric("exp({0})"),
    **{node: _part(node.lower()) for node in ("Year", "Month", "Day", "Hour", "Minute", "DayOfWeek")},
    "Extract": _extract,
    "Lower": _textual("lower({0})", Kind.TEXT),
    "Upper": _textual("upper({0})", Kind.TEXT),
    "Trim": _textual("trim({0})", Kind.TEXT),
    "Length": _textual("CAST(length({0}) AS DOUBLE)", Kind.NUMBER),
}
