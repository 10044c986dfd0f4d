"""The values of a round as one SELECT ... GROUP BY client.

Always grouped, also for one client: without GROUP BY a count of no rows would make a client appear that is not there.
A condition that all values share goes into WHERE. Otherwise it filters every aggregate, and a client of whom it keeps
no row has no value; either way a value is the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fedanalytics._validate import positive
from fedanalytics.errors import BadArgument
from fedanalytics.fleet import exact
from fedanalytics.fleet.aggregates import AGGREGATES
from fedanalytics.fleet.grammar import parse, shown
from fedanalytics.fleet.printer import Printer, filtered
from fedanalytics.fleet.schema import Kind, Schema, quote
from fedanalytics.fleet.steps import Step, Steps, around
from fedanalytics.fleet.terms import Term, cast
from fedanalytics.round.work import Sql

if TYPE_CHECKING:
    from sqlglot.expressions import Expression


@dataclass(frozen=True)
class Value:
    """One per-client value, printed.

    Attributes:
        bare: the value, as if every row counted and every client were present.
        sql: the value where `where` stands in WHERE.
        kept: the value where `where` filters each aggregate.
        where: the condition, or "".
        steps: what `sql` needs computed in every row.
        kept_steps: the same for `kept`.
        is_text: whether it is a text; a number otherwise.
    """

    bare: str
    sql: str
    kept: str
    where: str
    steps: tuple[Step, ...]
    kept_steps: tuple[Step, ...]
    is_text: bool


def value(schema: Schema, work: Sql) -> Value:
    """Parse, check and print one work.

    Raises:
        BadArgument: anything is wrong with its text, its kinds or its magnitude.

    Example:
        >>> from fedanalytics.fleet.schema import exposed
        >>> schema = Schema("sensor", (exposed("temp", "DOUBLE"), exposed("hour", "INTEGER")))
        >>> select(schema, [value(schema, Sql("max(temp)", where="hour >= 8"))], "t")
        'SELECT CASE WHEN count(*) BETWEEN 1 AND 8388608 THEN max("temp") END AS v0
         FROM t AS t WHERE ("hour" >= 8.0e0) GROUP BY t."sensor"'
    """
    if work.magnitude is not None:
        positive(magnitude=work.magnitude)
    where = "" if work.where is None else _where(schema, work.where)
    tree = parse(work.per_client, "per_client")
    magnitude = exact.power_of_two(work.magnitude) if _bare(tree) else None
    alone = Printer(schema, AGGREGATES, Steps(), magnitude=magnitude)
    apart = replace(alone, steps=Steps())
    apart = replace(apart, keep=apart.steps.named(where, 1)) if where else apart
    try:
        _look_for_a_column(tree)
        term, kept = _result(alone.term(tree)), _result(apart.term(tree))
    except BadArgument as error:
        raise BadArgument(f"{shown('per_client', work.per_client)}: {error}") from None
    is_text = term.kind is Kind.TEXT
    return Value(
        term.sql,
        _present(term.sql, ""),
        _present(kept.sql, apart.keep),
        where,
        alone.steps.all,
        apart.steps.all,
        is_text,
    )


def select(schema: Schema, values: Sequence[Value], table: str) -> str:
    """One statement for all values: a row per client, a column v0, v1, ... per value."""
    together = len({v.where for v in values}) == 1
    columns = ", ".join(f"{v.sql if together else v.kept} AS v{i}" for i, v in enumerate(values))
    where = f" WHERE {values[0].where}" if together and values[0].where else ""
    steps = (step for v in values for step in (v.steps if together else v.kept_steps))
    source = around(f"{table} AS t{where}", steps)
    return f"SELECT {columns} FROM {source} GROUP BY t.{quote(schema.client)}"  # noqa: S608 - ours, from checked trees


def _where(schema: Schema, text: str) -> str:
    tree = parse(text, "where")
    try:
        return Printer(schema, {}, Steps(), row=True).truth(tree)
    except BadArgument as error:
        raise BadArgument(f"{shown('where', text)}: {error}") from None


def _present(sql: str, where: str) -> str:
    return f"CASE WHEN count(*){filtered(where)} BETWEEN 1 AND {exact.ROWS} THEN {sql} END"


def _look_for_a_column(tree: Expression) -> None:
    if not any(type(node).__name__ in {"Column", "Star"} for node in tree.walk()):
        raise BadArgument("it names no column; write an aggregate such as avg(column), or count(*)")


def _bare(tree: Expression) -> bool:
    inner = tree.this if type(tree).__name__ == "Filter" else tree
    return type(inner).__name__ in {"Avg", "Sum"} and type(inner.this).__name__ == "Column"


def _result(term: Term) -> Term:
    if term.kind in {Kind.DATE, Kind.MOMENT}:
        raise BadArgument(f"the result is {term.kind.words}; write for example year({term.sql}) or hour({term.sql})")
    return term if term.kind is Kind.TEXT else cast(term, Kind.NUMBER)
