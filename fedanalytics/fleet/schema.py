"""What a client's expression can see: columns, each of one kind, none of which can make a computation raise.

An engine has dozens of types, and many pairs of them raise on some value: integers overflow, a date too far away does
not fit a timestamp, a text is no number. Expressions therefore see five kinds, and the view they read from converts
every stored type into one of them by a rule that is total:

| stored as | seen as | rule |
|---|---|---|
| integers, DECIMAL | DOUBLE | the nearest float: exact to 2^53, and to 15 digits |
| FLOAT, DOUBLE | DOUBLE | NaN and infinities become NULL, -0.0 becomes 0.0 |
| VARCHAR, ENUM, UUID | VARCHAR | |
| BOOLEAN, DATE | the same | |
| TIMESTAMP of any precision | TIMESTAMP | to the microsecond; NULL where it does not fit |
| TIMESTAMP WITH TIME ZONE | TIMESTAMP | in UTC, whatever the machine's zone |

A column of an untyped source in which nothing stands is NULL, and fits everywhere. A column of another type (a list, a
blob, an interval) exists, and is refused by name when an expression uses it.

Why NaN must be NULL before anything else looks at it: Parquet's row-group statistics may or may not count NaN, so that
``x > 5`` would be answered for one client by looking at the rows of others.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from fedanalytics._validate import did_you_mean
from fedanalytics.errors import BadArgument


class Kind(enum.Enum):
    """The type of a value in an expression; the value is its name in SQL."""

    NUMBER = "DOUBLE"
    TEXT = "VARCHAR"
    TRUTH = "BOOLEAN"
    DATE = "DATE"
    MOMENT = "TIMESTAMP"
    NOTHING = "NULL"

    @property
    def words(self) -> str:
        """How a message calls it."""
        return _WORDS[self]


_WORDS = {
    Kind.NUMBER: "a number",
    Kind.TEXT: "a text",
    Kind.TRUTH: "true or false",
    Kind.DATE: "a date",
    Kind.MOMENT: "a timestamp",
    Kind.NOTHING: "NULL",
}

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_INTEGERS = frozenset(_WHOLE + tuple(f"U{name}" for name in _WHOLE))
_FLOATS = frozenset({"FLOAT", "DOUBLE"})
_MOMENTS = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"})
_KEYS = _INTEGERS | {"VARCHAR", "ENUM", "UUID", "BOOLEAN", "DATE"}


@dataclass(frozen=True)
class Column:
    """One column of the view that expressions read from.

    Attributes:
        name: as the operator wrote it.
        type: as expressions see it, a SQL type; the stored type if expressions cannot use it.
        kind: None if expressions cannot use it.
        clean: the SQL that makes it from the stored column.
        raw: for a stored float, the name of a second column that keeps NaN and infinities. Only exact sums, which
            have their own rule for those, read it: one CASE less in the hottest query.
    """

    name: str
    type: str
    kind: Kind | None
    clean: str
    raw: str | None = None


@dataclass(frozen=True)
class Schema:
    """The client column and what expressions may name.

    Attributes:
        one_row: every client has exactly one row, so that a bare column is a per-client value.
    """

    client: str
    columns: tuple[Column, ...]
    one_row: bool = False

    def find(self, name: str) -> Column:
        """The column of that name, by its exact name or else without regard to case, as in SQL.

        Raises:
            BadArgument: there is none; the message suggests the nearest.
        """
        exact = [c for c in self.columns if c.name == name]
        found = exact or [c for c in self.columns if c.name.casefold() == name.casefold()]
        if found:
            return found[0]
        if name.casefold() == self.client.casefold():
            raise BadArgument(f"{name!r} is the client column, which no expression may use")
        names = tuple(c.name for c in self.columns)
        raise BadArgument(
            f"unknown column {name!r}{did_you_mean(name, names)}; the columns are {', '.join(names) or '(none)'}"
        )


def quote(name: str) -> str:
    """A name as an SQL identifier.

    >>> quote('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A string as an SQL literal; plain SQL strings know no other escape.

    >>> text("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"


def double(value: float) -> str:
    """A finite float as an SQL literal of type DOUBLE (``8.0`` alone would be a DECIMAL).

    >>> double(8.0), double(-1e300)
    ('8.0e0', '(-1e+300)')
    """
    digits = repr(float(value))
    literal = digits if "e" in digits else digits + "e0"
    return f"({literal})" if literal.startswith("-") else literal


def _base(stored: str) -> str:
    return stored.partition("(")[0]


def can_be_key(stored: str) -> bool:
    """Whether a stored type can name a client: equal keys are then equal clients, and nothing was rounded."""
    return _base(stored) in _KEYS and not stored.endswith("]")


def is_float(stored: str) -> bool:
    """Whether a stored type is a binary float."""
    return stored in _FLOATS


def exposed(name: str, stored: str, raw: str | None = None) -> Column:
    """How expressions see a stored column; the table in the module's docstring."""
    column, base = quote(name), _base(stored)
    if stored.endswith("]"):
        return Column(name, stored, None, column)
    if stored in _FLOATS:
        clean = f"CASE WHEN isfinite({column}) THEN CAST({column} AS DOUBLE) + 0e0 END"
        return Column(name, "DOUBLE", Kind.NUMBER, clean, raw)
    if stored in _INTEGERS or base == "DECIMAL":
        return Column(name, "DOUBLE", Kind.NUMBER, f"CAST({column} AS DOUBLE)")
    if base in {"VARCHAR", "ENUM", "UUID"}:
        return Column(name, "VARCHAR", Kind.TEXT, f"CAST({column} AS VARCHAR)")
    if stored in _MOMENTS:
        return Column(name, "TIMESTAMP", Kind.MOMENT, f"TRY_CAST({column} AS TIMESTAMP)")
    if stored == "TIMESTAMP WITH TIME ZONE":
        return Column(name, "TIMESTAMP", Kind.MOMENT, f"({column} AT TIME ZONE 'UTC')")
    if stored == '"NULL"':
        return Column(name, "VARCHAR", Kind.NOTHING, f"CAST({column} AS VARCHAR)")
    if stored in {"BOOLEAN", "DATE"}:
        return Column(name, stored, Kind(stored), column)
    return Column(name, stored, None, column)


def parsed(column: str, kind: Kind) -> str:
    """The SQL that reads a value of `kind` from a text, NULL where there is none to read: it never raises.

    A timestamp with an offset is read in UTC; one without is taken as it stands.
    """
    if kind is Kind.TEXT:
        return column
    if kind is Kind.MOMENT:
        return f"(TRY_CAST({column} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
    return f"TRY_CAST({column} AS {kind.value})"
