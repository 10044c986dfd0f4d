"""Text -> tree: one expression, nothing unknown in it. What is not on the list below is refused.

The list names the node classes that may occur and, for each, the arguments it may carry; a known node with an unknown
argument (the ``count`` of ``max(x, 2)``, the ``symmetric`` of BETWEEN) is as unknown as an unknown node. `printer.py`
gives each of them its meaning and its type, and prints our own text: the caller's text is never executed.

sqlglot is imported where the first expression is parsed: it costs 0.2 s, which `import fedanalytics` should not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedanalytics.errors import BadArgument

if TYPE_CHECKING:
    from sqlglot.expressions import Expression

LONGEST = 2_000
_DEEPEST = 100
_LARGEST = 10_000

_TWO = frozenset({"this", "expression"})
_ONE = frozenset({"this"})
_MANY = frozenset({"this", "expressions"})

ALLOWED: dict[str, frozenset[str]] = {
    "Identifier": frozenset({"this", "quoted"}),
    "Literal": frozenset({"this", "is_string"}),
    "Null": frozenset(),
    "Star": frozenset(),
    "Round": frozenset({"this", "decimals"}),
    "Case": frozenset({"this", "ifs", "default"}),
    "If": frozenset({"this", "true"}),
    "Between": frozenset({"this", "low", "high"}),
    "Like": _TWO | {"negate"},
    "Div": _TWO | {"typed", "safe"},
    "Greatest": _MANY | {"ignore_nulls"},
    "Least": _MANY | {"ignore_nulls"},
    "Cast": frozenset({"this", "to"}),
    "TryCast": frozenset({"this", "to", "safe"}),
    "DataType": frozenset({"this", "nested"}),
    "Count": _ONE | {"big_int"},
    "Distinct": frozenset({"expressions"}),
    **dict.fromkeys(("In", "Coalesce"), _MANY),
    **dict.fromkeys(("Column", "Boolean", "Var", "Paren", "Neg", "Not", "Where"), _ONE),
    **dict.fromkeys(("Abs", "Floor", "Ceil", "Sqrt", "Ln", "Exp", "Lower", "Upper", "Length", "Trim"), _ONE),
    **dict.fromkeys(("Year", "Month", "Day", "Hour", "Minute", "DayOfWeek"), _ONE),
    **dict.fromkeys(("Avg", "Sum", "Min", "Max", "Median", "LogicalOr", "LogicalAnd"), _ONE),
    **dict.fromkeys(("Stddev", "StddevSamp", "StddevPop", "Variance", "VariancePop"), _ONE),
    **dict.fromkeys(("Add", "Sub", "Mul", "Pow", "Log", "Nullif", "Extract", "PercentileCont", "Filter", "Is"), _TWO),
    **dict.fromkeys(("EQ", "NEQ", "GT", "GTE", "LT", "LTE", "And", "Or"), _TWO),
}

FUNCTIONS = (
    "avg, sum, min, max, count, median, quantile_cont, stddev, stddev_pop, variance, var_pop, bool_and, bool_or; "
    "abs, round, floor, ceil, sqrt, ln, log10, exp, power, greatest, least, coalesce, nullif, year, month, day, hour, "
    "minute, dayofweek, extract, lower, upper, length, trim, cast"
)

_NAMES = {
    "Alias": "a name for the result",
    "Bracket": "an index in brackets",
    "DPipe": "||",
    "Escape": "LIKE ... ESCAPE",
    "IntDiv": "//",
    "Mod": "%",
    "Order": "ORDER BY inside a function",
    "Placeholder": "a parameter",
    "Select": "a subquery",
    "Star": "*",
    "Subquery": "a subquery",
    "Window": "a window function (OVER)",
}


def parse(text: str, argument: str) -> Expression:
    """The tree of one expression in which every node is on the list.

    Args:
        text: what the caller wrote.
        argument: what the caller calls it, for messages.

    Raises:
        BadArgument: it is not a text, too long or too deep, not one expression, or something in it is not allowed.

    Example:
        >>> parse("avg(temp) -- a comment", "per_client").sql(comments=False)
        'AVG(temp)'
        >>> parse("getenv('HOME')", "where")
        Traceback (most recent call last):
        ...
        fedanalytics.errors.BadArgument: where="getenv('HOME')": getenv is not allowed; these functions are: avg, ...
    """
    if not (isinstance(text, str) and text.strip()):
        raise BadArgument(f"{argument}= must be one SQL expression, got {text!r}")
    if len(text) > LONGEST:
        raise BadArgument(f"{argument}= has {len(text)} characters; an expression has at most {LONGEST:,}")
    if any(not c.isprintable() and c not in "\n\t\r" for c in text):
        raise BadArgument(f"{shown(argument, text)} has a character that cannot be printed; remove it")
    tree: Expression = _one(text, argument)
    _walk(tree, text, argument)
    return tree


def _one(text: str, argument: str) -> Any:
    import sqlglot  # noqa: PLC0415 - see the module docstring

    sql = f"SELECT {text}\n"  # the new line ends a comment, so that one cannot swallow anything
    dialect = sqlglot.Dialect.get_or_raise("duckdb")
    try:
        tokens = dialect.tokenize(sql)
        several = any(token.token_type.name == "SEMICOLON" for token in tokens)
        select: Any = None if several else dialect.parser().parse(tokens, sql)[0]
    except Exception:  # noqa: BLE001 - a parser has more ways to fail than it documents; all mean "no expression"
        raise BadArgument(f"{shown(argument, text)} is not an SQL expression, or is nested too deeply") from None
    if several:
        raise BadArgument(f"{shown(argument, text)} must be one expression, without ';'")
    if type(select).__name__ != "Select":
        raise BadArgument(f"{shown(argument, text)} must be one expression over the client's own rows, without UNION")
    clauses = [name for name, value in select.args.items() if value and name != "expressions"]
    if clauses:
        clause = clauses[0].strip("_").upper()
        raise BadArgument(
            f"{shown(argument, text)} must be one expression over the client's own rows, without {clause}"
        )
    if len(select.expressions) != 1:
        raise BadArgument(f"{shown(argument, text)} must be one expression, got {len(select.expressions)}")
    return select.expressions[0]


def _walk(tree: Expression, text: str, argument: str) -> None:
    """Look at every node, without recursion: depth is bounded here, so that what follows may recurse."""
    todo, size = [(tree, 1, 1)], 0
    while todo:
        node, depth, copies = todo.pop()
        size += copies
        if depth > _DEEPEST or size > _LARGEST:
            raise BadArgument(f"{shown(argument, text)} is nested too deeply; write IN (...), or simplify")
        known = ALLOWED.get(type(node).__name__)
        if known is None:
            message = f"{named(node)} is not allowed; these functions are: {FUNCTIONS}"
            raise BadArgument(f"{shown(argument, text)}: {message}")
        extra = [name for name, value in node.args.items() if value and name not in known]
        if extra:
            message = f"{named(node)} with {extra[0]!r} is not allowed; leave that out"
            raise BadArgument(f"{shown(argument, text)}: {message}")
        copied, times = _copied(node), _copies(node)
        todo += [(n, depth + 1, copies * (times if n is copied else 1)) for n in node.iter_expressions()]


def _copied(node: Expression) -> Expression | None:
    """The child that the engine copies when it rewrites the node, so that nesting it would grow exponentially."""
    kind = type(node).__name__
    if kind in {"Nullif", "Between", "In", "Case", "Sqrt", "Ln"}:
        return node.args.get("this")
    return node.args.get("expression") if kind == "Log" else None


def _copies(node: Expression) -> int:
    """How often, at most; measured on DuckDB 2.0 by the time that nesting takes."""
    arms = len(node.args.get("ifs") or node.expressions)
    return {"Between": 5, "In": max(4, arms + 1), "Case": arms + 1}.get(type(node).__name__, 3)


def shown(argument: str, text: str) -> str:
    """An argument and the beginning of its text, for a message.

    >>> shown("where", "x" * 200)[-10:]
    "xxxxxx...'"
    """
    return f"{argument}={text if len(text) <= 160 else text[:157] + '...'!r}"


def named(node: Expression) -> str:
    """What the caller would call a node."""
    kind = type(node).__name__
    if kind == "Anonymous":
        return node.name
    if kind in _NAMES:
        return _NAMES[kind]
    function = getattr(node, "sql_names", None)
    return function()[0].lower() if function else kind
