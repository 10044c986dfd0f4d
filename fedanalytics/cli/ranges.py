"""Checked values out of a file that are one of a few, or lie in a range; `reading` names their place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fedanalytics._validate import did_you_mean
from fedanalytics.cli import reading
from fedanalytics.errors import BadArgument


def one_of(known: Iterable[str]) -> reading.Reader[str]:
    """A reader of one of these texts.

    >>> one_of(["accuracy", "loss"])("acuracy")
    Traceback (most recent call last):
    ...
    fedanalytics.errors.BadArgument: must be one of accuracy, loss, got 'acuracy', did you mean 'accuracy'?
    """
    names = tuple(known)

    def read(value: Any) -> str:
        if value not in names:
            raise BadArgument(f"must be one of {', '.join(names)}, got {value!r}{did_you_mean(value, names)}")
        return str(value)

    return read


def positive(value: Any) -> int:
    """A whole number of at least 1."""
    if reading.whole(value) < 1:
        raise BadArgument(f"must be at least 1, got {value!r}")
    return int(value)


def natural(value: Any) -> int:
    """A whole number of at least 0."""
    if reading.whole(value) < 0:
        raise BadArgument(f"must be at least 0, got {value!r}")
    return int(value)


def part(value: Any) -> float:
    """A number strictly between 0 and 1."""
    if not 0 < reading.number(value) < 1:
        raise BadArgument(f"must lie strictly between 0 and 1, got {value!r}")
    return float(value)


def amount(value: Any) -> float:
    """A positive number."""
    if reading.number(value) <= 0:
        raise BadArgument(f"must be a positive finite number, got {value!r}")
    return float(value)
