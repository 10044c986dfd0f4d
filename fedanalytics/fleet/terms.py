"""A printed value and its kind, and the only ways in which one kind becomes another.

Expressions are typed here, before the engine sees them: an error about types then depends on the schema alone, names
the fix, and cannot quote a value. Nothing is left for the engine to convert on its own, because what it converts
silently may also fail silently well into the data (a date compared with a timestamp raises for a date far away).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from fedanalytics.errors import BadArgument
from fedanalytics.fleet.schema import Kind, parsed, text


@dataclass(frozen=True)
class Term:
    """One printed value.

    Attributes:
        sql: our own text, in parentheses where it needs them.
        kind: what it is.
        clean: a number that is surely finite or NULL, and no -0.0.
        raw: for a stored float column, the column with NaN and infinities (`schema.Column.raw`).
        literal: the string, if this is a string literal.
    """

    sql: str
    kind: Kind
    clean: bool = False
    raw: str | None = None
    literal: str | None = None


def cast(term: Term, kind: Kind) -> Term:
    """CAST by the caller's wish: total, NULL where there is no such value.

    Whole numbers become texts without a fraction ('8', not '8.0'), since integers are numbers here.

    Raises:
        BadArgument: the two kinds have nothing in common, or a literal is not what it is cast to.

    Example:
        >>> cast(Term('"name"', Kind.TEXT), Kind.NUMBER).sql
        'TRY_CAST("name" AS DOUBLE)'
    """
    if term.kind is kind:
        return term
    match term.kind, kind:
        case Kind.NOTHING, _:
            return Term(f"CAST(NULL AS {kind.value})", kind)
        case Kind.TEXT, Kind.DATE | Kind.MOMENT if term.literal is not None:
            return Term(_calendar(term.literal, kind), kind)
        case Kind.TEXT, _:
            return Term(parsed(term.sql, kind), kind)
        case Kind.NUMBER, Kind.TEXT:
            return Term(f"regexp_replace(CAST({term.sql} + 0e0 AS VARCHAR), '\\.0$', '')", kind)
        case (_, Kind.TEXT) | (Kind.NUMBER, Kind.TRUTH) | (Kind.TRUTH, Kind.NUMBER):
            return Term(f"TRY_CAST({term.sql} AS {kind.value})", kind)
        case (Kind.DATE, Kind.MOMENT) | (Kind.MOMENT, Kind.DATE):
            return Term(f"TRY_CAST({term.sql} AS {kind.value})", kind)
    raise BadArgument(f"{term.sql} is {term.kind.words} and cannot become {kind.words}")


def number(term: Term) -> Term:
    """The term as a number: true is 1, false is 0.

    Raises:
        BadArgument: it is a text, a date or a timestamp; the message says how to make a number of it.
    """
    if term.kind is Kind.NUMBER:
        return term
    if term.kind in {Kind.TRUTH, Kind.NOTHING}:
        return cast(term, Kind.NUMBER)
    fix = f"CAST({term.sql} AS DOUBLE)" if term.kind is Kind.TEXT else f"year({term.sql})"
    raise BadArgument(f"{term.sql} is {term.kind.words} where a number is needed; write for example {fix}")


def need(term: Term, *kinds: Kind) -> Term:
    """The term, if it is of one of `kinds`; NULL becomes the first of them.

    Raises:
        BadArgument: it is of another kind.
    """
    if term.kind in kinds:
        return term
    if term.kind is Kind.NOTHING:
        return cast(term, kinds[0])
    raise BadArgument(f"{term.sql} is {term.kind.words} where {' or '.join(k.words for k in kinds)} is needed")


def alike(*terms: Term) -> tuple[Term, ...]:
    """The terms as one kind, so that they can be compared or chosen from.

    NULL becomes anything, true and false numbers beside numbers, a date a timestamp beside timestamps, a string
    literal a date or a timestamp beside those.

    Raises:
        BadArgument: there is no such kind; the message names two that do not fit.
    """
    kinds = {t.kind for t in terms} - {Kind.NOTHING}
    if len(kinds) <= 1:
        target = kinds.pop() if kinds else Kind.NUMBER
    elif kinds == {Kind.NUMBER, Kind.TRUTH}:
        target = Kind.NUMBER
    else:
        target = Kind.MOMENT if Kind.MOMENT in kinds else Kind.DATE
        if not all(_calendrical(t) for t in terms):
            raise _unlike(terms)
    return tuple(cast(t, target) for t in terms)


def _calendrical(term: Term) -> bool:
    return term.kind in {Kind.DATE, Kind.MOMENT, Kind.NOTHING} or term.literal is not None


def _unlike(terms: tuple[Term, ...]) -> BadArgument:
    one, other = next((a, b) for a in terms for b in terms if Kind.NOTHING not in {a.kind, b.kind} and a.kind != b.kind)
    if other.kind is Kind.TEXT:
        one, other = other, one
    fix = f"; write CAST({one.sql} AS {other.kind.value})" if one.kind is Kind.TEXT else ""
    return BadArgument(f"{one.sql} is {one.kind.words} and {other.sql} is {other.kind.words}{fix}")


def _calendar(literal: str, kind: Kind) -> str:
    """A date or timestamp literal, checked here: an unreadable one would be NULL, and silently match no row."""
    try:
        moment = dt.datetime.fromisoformat(literal.strip())
        if moment.tzinfo is not None:
            moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        example = "2024-01-31" if kind is Kind.DATE else "2024-01-31 08:00:00"
        raise BadArgument(f"{text(literal)} is not {kind.words}; write it as '{example}'") from None
    value = moment.date().isoformat() if kind is Kind.DATE else moment.isoformat(sep=" ")
    return f"CAST('{value}' AS {kind.value})"
