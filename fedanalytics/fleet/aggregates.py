"""Aggregates: from a client's rows to one value that their order cannot change, down to the last bit.

Sums are exact (`exact`). The others only compare, and where two equal numbers have different bits (0.0 and -0.0) their
argument is made to have one of them; what is not finite is not a reading, for every aggregate alike.

In a fleet with one row per client the mean, sum, least, greatest and median of a value are that value, untouched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fedanalytics.errors import BadArgument
from fedanalytics.fleet import exact
from fedanalytics.fleet.printer import Printer, constant, filtered
from fedanalytics.fleet.schema import Kind, double
from fedanalytics.fleet.steps import Steps
from fedanalytics.fleet.terms import Term, need, number


def _finite(term: Term) -> str:
    """A number as aggregates that compare must see it."""
    if term.kind is not Kind.NUMBER or term.clean:
        return term.sql
    return f"CASE WHEN isfinite({term.sql}) THEN {term.sql} + 0e0 END"


def _one(at: Printer, x: Term) -> Term:
    return Term(f"max({_finite(x)}){filtered(at.keep)}", Kind.NUMBER)


def _sum(function: Callable[[str, str, Steps, float | None], str]) -> Callable[[Printer, Any], Term]:
    def rule(at: Printer, node: Any) -> Term:
        x = number(at.inside().term(node.this))
        if at.schema.one_row:
            return _one(at, x)
        return Term(function(x.raw or x.sql, filtered(at.keep), at.steps, at.magnitude), Kind.NUMBER)

    return rule


def _variance(*, sample: bool, root: bool) -> Callable[[Printer, Any], Term]:
    def rule(at: Printer, node: Any) -> Term:
        x = number(at.inside().term(node.this))
        value = exact.variance(x.raw or x.sql, filtered(at.keep), at.steps, sample=sample)
        return Term(f"sqrt({value})" if root else value, Kind.NUMBER)

    return rule


def _extreme(function: str) -> Callable[[Printer, Any], Term]:
    def rule(at: Printer, node: Any) -> Term:
        x = at.inside().term(node.this)
        x = number(x) if x.kind is Kind.TRUTH else x
        if at.schema.one_row and x.kind is Kind.NUMBER:
            return _one(at, x)
        return Term(f"{function}({_finite(x)}){filtered(at.keep)}", x.kind)

    return rule


def _median(at: Printer, node: Any) -> Term:
    x = number(at.inside().term(node.this))
    return _one(at, x) if at.schema.one_row else Term(f"median({_finite(x)}){filtered(at.keep)}", Kind.NUMBER)


def _quantile(at: Printer, node: Any) -> Term:
    if node.expression is None or not 0 <= (fraction := constant(node.expression)) <= 1:
        raise BadArgument("quantile_cont takes a value and a fraction from 0 to 1, written out: quantile_cont(x, 0.9)")
    x = _finite(number(at.inside().term(node.this)))
    return Term(f"quantile_cont({x}, {double(fraction)}){filtered(at.keep)}", Kind.NUMBER)


def _logical(function: str) -> Callable[[Printer, Any], Term]:
    def rule(at: Printer, node: Any) -> Term:
        return Term(f"{function}({need(at.inside().term(node.this), Kind.TRUTH).sql}){filtered(at.keep)}", Kind.TRUTH)

    return rule


def _count(at: Printer, node: Any) -> Term:
    what = type(node.this).__name__
    if node.this is None:
        raise BadArgument("count() counts nothing; write count(*)")
    if what == "Star":
        return Term(f"CAST(count(*){filtered(at.keep)} AS DOUBLE)", Kind.NUMBER, clean=True)
    if what == "Distinct" and len(node.this.expressions) != 1:
        raise BadArgument("count(DISTINCT ...) takes one value")
    counted = node.this.expressions[0] if what == "Distinct" else node.this
    distinct = "DISTINCT " if what == "Distinct" else ""
    x = _finite(at.inside().term(counted))
    return Term(f"CAST(count({distinct}{x}){filtered(at.keep)} AS DOUBLE)", Kind.NUMBER, clean=True)


def _filter(at: Printer, node: Any) -> Term:
    condition = at.inside().truth(node.expression.this)
    keep = at.steps.named(f"({condition} AND {at.keep})" if at.keep else condition, 2)
    if type(node.this).__name__ not in AGGREGATES or type(node.this).__name__ == "Filter":
        raise BadArgument("FILTER (WHERE ...) follows an aggregate")
    return replace(at, keep=keep).term(node.this)


AGGREGATES: dict[str, Callable[[Printer, Any], Term]] = {
    "Avg": _sum(exact.mean),
    "Sum": _sum(exact.total),
    "Min": _extreme("min"),
    "Max": _extreme("max"),
    "Median": _median,
    "PercentileCont": _quantile,
    "LogicalOr": _logical("bool_or"),
    "LogicalAnd": _logical("bool_and"),
    "Count": _count,
    "Filter": _filter,
    "Stddev": _variance(sample=True, root=True),
    "StddevSamp": _variance(sample=True, root=True),
    "StddevPop": _variance(sample=False, root=True),
    "Variance": _variance(sample=True, root=False),
    "VariancePop": _variance(sample=False, root=False),
}
