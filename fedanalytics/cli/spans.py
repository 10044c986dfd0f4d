"""Spans of time and parts of a whole, as people type them."""

from __future__ import annotations

import datetime as dt
import re

from fedanalytics.errors import BadArgument

_UNITS = {"h": dt.timedelta(hours=1), "d": dt.timedelta(days=1), "w": dt.timedelta(weeks=1)}


def moment(text: str, now: dt.datetime) -> dt.datetime:
    """A moment in the past: so long ago, or a date.

    Raises:
        BadArgument: it is neither.

    >>> now = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
    >>> moment("30d", now).isoformat(), moment("12h", now).hour, moment("2026-11-01", now).isoformat()
    ('2026-10-27T12:00:00+00:00', 0, '2026-11-01T00:00:00+00:00')
    """
    found = re.fullmatch(r"(\d{1,5}) ?([hdw])", text.strip())
    try:
        if found:
            return now - int(found[1]) * _UNITS[found[2]]
        given = dt.datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise BadArgument(
            f"--since {text!r}: say how long ago, as in 12h, 30d or 4w, or since which day, as in 2026-11-01"
        ) from None
    return given if given.tzinfo else given.replace(tzinfo=dt.UTC)


def part(text: str, option: str) -> float:
    """A part of a whole: a percentage, or a fraction of at most 1.

    Raises:
        BadArgument: it is neither.

    >>> part("80%", "--at"), part("0.8", "--at"), part("99.5 %", "--at")
    (0.8, 0.8, 0.995)
    """
    number, sign = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        value = float(number) / (100 if sign else 1)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise BadArgument(f"{option} {text!r}: a part of the budget, as in 80% or 0.8")
    return value
