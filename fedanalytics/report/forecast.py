"""How long a budget lasts: what was spent in the last days, per day, and what is left over that.

A forecast, not a promise: it knows nothing of what people will ask. It says for which days it speaks.
"""

from __future__ import annotations

import bisect
import datetime as dt
import math
from dataclasses import dataclass

from fedanalytics.report.spends import Account

_LONGEST = 99_999.0  # days that a calendar holds
DAYS = 28.0  # four whole weeks: weekends and weekdays count as often as they come


@dataclass(frozen=True)
class Pace:
    """What was spent lately.

    Attributes:
        units: in these days, without what was given back; at least 0.
        days: that they were spent in.
        left: units; in the window, if there are windows.
        now: when it was looked at.
        renews: when the next window begins; None without windows.
    """

    units: int
    days: float
    left: int
    now: dt.datetime
    renews: dt.datetime | None = None

    @property
    def per_day(self) -> float:
        """Units a day."""
        return self.units / self.days

    @property
    def days_left(self) -> float:
        """How long what is left lasts at this pace; infinite where nothing is spent."""
        if self.left <= 0:
            return 0.0
        return self.left / self.per_day if self.units else math.inf

    @property
    def ends(self) -> dt.datetime | None:
        """When nothing will be left; None if never, or beyond the calendar."""
        try:
            return self.now + dt.timedelta(days=self.days_left)
        except OverflowError:
            return None

    @property
    def lasts(self) -> bool:
        """Whether what is left lasts until the next window begins; False without windows."""
        return self.renews is not None and (self.ends is None or self.ends >= self.renews)


def pace(account: Account, now: dt.datetime, days: float = DAYS) -> Pace:
    """The pace of the last `days`; since the first question, where that is shorter ago, but of a day at least.

    Example:
        >>> from fedanalytics.report.spends import Step
        >>> day = dt.timedelta(days=1)
        >>> start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        >>> steps = tuple(Step(start + n * day, 100, 2 * n, 2 * n) for n in range(11))
        >>> found = pace(Account(None, "ada", steps, ()), start + 10 * day, days=5)
        >>> found.units, found.per_day, found.days_left, found.ends.date().isoformat()
        (10, 2.0, 40.0, '2026-02-20')
    """
    steps, days = account.steps, min(days, _LONGEST)
    now = max(now, steps[-1].time)
    first = next((step.time for step in steps if step.total), now)
    start = max(now - dt.timedelta(days=days), first)
    before = bisect.bisect_right(steps, now - dt.timedelta(days=days), key=lambda step: step.time)
    earlier = steps[before - 1].total if before else 0
    span = max((now - start) / dt.timedelta(days=1), 1.0)
    return Pace(max(account.total - earlier, 0), min(span, days), account.cap - account.spent, now, account.renews)
