"""Windows: stretches of the calendar, each of which has the budget's whole cap.

Windows follow each other without gaps from Monday, 5 January 1970, 0:00 UTC, so that they are known before the first
question, a week is a calendar week, and budgets with windows of one length have the same ones. (Windows that roll with
the clock overlap: nobody could say whose data which of them protects.)

What this promises: whatever is asked within one window, each question chosen after the earlier answers, loses no more
than the cap. **The loss over all time grows with every window**: n windows together lose as much as n such budgets on
the same people. Only if the data that are asked about in one window are asked about in no other (the readings of the
window itself, say) does the cap hold for good, and then for a unit of (client, window) instead of a client. The ledger
counts when questions were paid for; that they are about the window's own data is up to who asks.

A reservation belongs to the window of its time, or to the newest in which this budget has paid, if that is later: what
an earlier window left over is gone for good, whatever a clock says.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from fedanalytics.errors import BadArgument

SLACK = dt.timedelta(minutes=5)
"""How far the clocks of hosts may be apart; as in Kerberos (RFC 4120, 8.2)."""

_MONDAY = dt.datetime(1970, 1, 5, tzinfo=dt.UTC)
_FORM = re.compile(r"([1-9][0-9]{0,5})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}
_LONGEST = 100 * 366 * 24


@dataclass(frozen=True)
class Window:
    """Windows of one length.

    Example:
        >>> weeks = window("1w")
        >>> weeks.start("2026-11-26T08:54:38.239762+00:00")
        '2026-11-23T00:00:00+00:00'
        >>> weeks.end(_), str(weeks)
        ('2026-11-30T00:00:00+00:00', '7d')
    """

    hours: int

    def start(self, time: str) -> str:
        """Where the window begins that holds a time; both in ISO 8601 and UTC, which sort as text."""
        length = dt.timedelta(hours=self.hours)
        return (_MONDAY + (dt.datetime.fromisoformat(time) - _MONDAY) // length * length).isoformat()

    def end(self, start: str) -> str:
        """Where the next one begins."""
        return (dt.datetime.fromisoformat(start) + dt.timedelta(hours=self.hours)).isoformat()

    def __str__(self) -> str:
        return f"{self.hours // 24}d" if self.hours % 24 == 0 else f"{self.hours}h"


def window(text: object) -> Window:
    """Windows from "12h", "30d" or "1w".

    Raises:
        BadArgument: it is no such length.
    """
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    hours = int(found[1]) * _HOURS[found[2]] if found else 0
    if not 0 < hours <= _LONGEST:
        raise BadArgument(f"window= is a length in hours, days or weeks, as '12h', '30d' or '1w'; got {text!r}")
    return Window(hours)


def behind(time: str, newest: str) -> dt.timedelta | None:
    """By how much a time lies before the newest one, if by more than clocks may differ."""
    if time >= newest:
        return None
    late = dt.datetime.fromisoformat(newest) - dt.datetime.fromisoformat(time)
    return late if late > SLACK else None
