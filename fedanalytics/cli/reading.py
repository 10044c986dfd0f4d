"""Checked values out of a table that somebody wrote, each refusal with its place, such as ``query[2].bounds``."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from fedanalytics._validate import did_you_mean, real
from fedanalytics.errors import BadArgument

T = TypeVar("T")
Reader = Callable[[Any], T]

_MOST = 100_000  # numbers in a range such as "0:110:10"


@dataclass(frozen=True)
class Table:
    """Keys and values, and how a message names them.

    Attributes:
        place: how a message calls the table as a whole; empty at the top.
        form: how it calls a key of it.

    Example:
        >>> Table({"bounds": 3}, "query[2]", "query[2].{}").get("bounds", pair)
        Traceback (most recent call last):
        ...
        fedanalytics.errors.BadArgument: query[2].bounds must be two numbers, such as [0, 110], got 3
    """

    values: Mapping[str, Any]
    place: str = ""
    form: str = "{}"

    def at(self, key: str) -> str:
        """How a message calls a key."""
        return self.form.format(key)

    def get(self, key: str, read: Reader[T]) -> T:
        """The value of a key that must be there."""
        if key not in self.values:
            raise BadArgument(f"{self.at(key)} is missing")
        try:
            return read(self.values[key])
        except BadArgument as error:
            raise BadArgument(f"{self.at(key)} {error}") from None

    def find(self, key: str, read: Reader[T]) -> T | None:
        """The value of a key, None if it is not there."""
        return self.get(key, read) if key in self.values else None

    def table(self, key: str) -> Table:
        """The table under a key, an empty one if it is not there."""
        inner = self.at(key)
        return Table(self.find(key, mapping) or {}, inner, f"{inner}.{{}}")

    def tables(self, key: str) -> tuple[Table, ...]:
        """The array of tables under a key, counted from 1 in messages."""
        rows = self.get(key, mappings)
        return tuple(Table(row, f"{key}[{i}]", f"{key}[{i}].{{}}") for i, row in enumerate(rows, 1))

    def only(self, known: Iterable[str]) -> None:
        """Refuses keys that are not known, with the nearest one that is."""
        names = tuple(known)
        for key in self.values:
            if key not in names:
                raise BadArgument(f"{self.at(key)} is unknown{did_you_mean(key, names)}; known: {', '.join(names)}")

    @contextlib.contextmanager
    def blamed(self, *arguments: str) -> Iterator[None]:
        """What is refused inside names the key here, if the refusal begins with an argument, or else the table.

        Later mentions of `arguments`, such as ``max_records=``, become keys too.
        """
        try:
            yield
        except BadArgument as error:
            raise BadArgument(self._in_keys(str(error), arguments)) from error

    def _in_keys(self, refusal: str, arguments: tuple[str, ...]) -> str:
        start = re.match(r"(\w+)=(.*)", refusal, re.DOTALL)
        if start and start[1] in self.values:
            first = self.at(start[1]) + ("" if start[2].startswith(" ") else " = ")
            rest = start[2]
        else:
            first, rest = f"{self.place}: " if self.place else "", refusal
        for name in arguments:
            rest = re.sub(rf"\b{name}=(?=[\s,;:.)]|$)", self.at(name), rest)
        return first + rest


def text(value: Any) -> str:
    """A text with something in it, on one line."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise BadArgument(f"must be a text on one line that is not empty, got {value!r}")
    return value


def expression(value: Any) -> str:
    """SQL, which may have several lines."""
    if not isinstance(value, str) or not value.strip():
        raise BadArgument(f"must be an SQL expression as a text, got {value!r}")
    return value


def name(value: Any) -> str:
    """A text that can stand in a key between slashes."""
    if "/" in text(value):
        raise BadArgument(f"must not contain '/', got {value!r}")
    return str(value)


def number(value: Any) -> float:
    """A finite number."""
    if not real(value) or not math.isfinite(value):
        raise BadArgument(f"must be a finite number, got {value!r}")
    return float(value)


def whole(value: Any) -> int:
    """A whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadArgument(f"must be a whole number, got {value!r}")
    return value


def truth(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise BadArgument(f"must be true or false, got {value!r}")
    return value


def mapping(value: Any) -> Mapping[str, Any]:
    """A table."""
    if not isinstance(value, Mapping):
        raise BadArgument(f"must be a table, got {value!r}")
    return value


def mappings(value: Any) -> tuple[Mapping[str, Any], ...]:
    """An array of tables."""
    if not isinstance(value, list) or not value or not all(isinstance(row, Mapping) for row in value):
        raise BadArgument(f"must be tables, each under its own [[...]], got {value!r}")
    return tuple(value)


def pair(value: Any) -> tuple[float, float]:
    """Two numbers."""
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(real, value)):
        raise BadArgument(f"must be two numbers, such as [0, 110], got {value!r}")
    return value[0], value[1]


def member(value: Any) -> tuple[str, str | float]:
    """A column and the value in it that makes a group."""
    match value:
        case [str(column), str(wanted)]:
            return column, wanted
        case [str(column), int() | float() as wanted] if not isinstance(wanted, bool):
            return column, float(wanted)
    raise BadArgument(f'must be a column and a value, such as ["region", "north"], got {value!r}')


def edges(value: Any) -> tuple[float, ...]:
    """Numbers as a list, or a range start:stop:step that ends at stop."""
    if isinstance(value, str):
        return _range(value)
    if not isinstance(value, list | tuple) or not all(map(real, value)):
        raise BadArgument(f"must be a list of numbers, or a range such as '0:110:10', got {value!r}")
    return tuple(value)


def labels(value: Any) -> tuple[str | float, ...]:
    """Texts or numbers as a list."""
    fit = isinstance(value, list | tuple) and all(isinstance(one, str) or real(one) for one in value)
    if not fit or not value:
        raise BadArgument(f"must be a list of texts or numbers, got {value!r}")
    return tuple(value)


def split(value: str) -> list[str | float]:
    """The parts of a text between commas: what reads as a number is one, unless it stands in quotes.

    >>> split("EWR, 7, '07'")
    ['EWR', 7, '07']
    """
    return [_item(part.strip()) for part in value.split(",")]


def _item(part: str) -> str | float:
    if len(part) >= 2 and part[0] == part[-1] and part[0] in "'\"":
        return part[1:-1]
    try:
        return int(part)
    except ValueError:
        with contextlib.suppress(ValueError):
            return float(part)
    return part


def _range(value: str) -> tuple[float, ...]:
    """In decimal arithmetic, so that 0:1:0.1 holds 0.3 and ends at 1."""
    try:
        start, stop, step = (Decimal(part) for part in value.split(":"))
        count = int((stop - start) / step) if step > 0 else 0
        if not 0 < count <= _MOST or start + count * step != stop:
            raise ValueError  # noqa: TRY301  # one message for everything that is wrong with a range
    except (ValueError, OverflowError, InvalidOperation):
        raise BadArgument(
            f"must be a range start:stop:step that reaches its stop in at most {_MOST} steps, such as '0:110:10', "
            f"got {value!r}"
        ) from None
    return tuple(_item(str(start + i * step)) for i in range(count + 1))  # type: ignore[misc]  # digits read as numbers
