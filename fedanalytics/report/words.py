"""Numbers, times and foreign text as an officer reads them."""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata

LONGEST = 120  # characters of a name; a screen and a line of a log hold no more
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_BREAKS = re.compile(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]")
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # of writing
_UNPRINTABLE = {"Cc", "Cs", "Co", "Cn"}  # controls, halves of characters, private and unassigned ones


class Whole(str):
    """A text that is not to be shortened: one of ours, or cleaned already. It is escaped like any other."""

    __slots__ = ()


def paragraph(text: str) -> Whole:
    """A text of several lines' length, such as an error message, cleaned."""
    return Whole(shortened(text, 2_000))


def shortened(text: str, longest: int = LONGEST) -> str:
    r"""A text that was written by anybody: no longer than a line, without characters that are none or turn the others.

    What it means as HTML or as a formula is not decided here.

    >>> shortened("tab\there\x00"), shortened("x" * 1000, 5)
    ('tab here\ufffd', 'xxxx…')
    """
    cut = text[:longest]
    if not (cut.isascii() and cut.isprintable()):
        cut = "".join("\ufffd" if _hidden(c) else c for c in _BREAKS.sub(" ", cut))
    return cut if len(text) <= longest else cut[: longest - 1] + "…"


def _hidden(character: str) -> bool:
    return character in _TURNS or unicodedata.category(character) in _UNPRINTABLE


def brief(key: str) -> str:
    """A key; of one that nobody gave, and is 32 random digits, the first few.

    >>> brief("aircraft/2026-11-26"), brief("2325d69660a68cfdfdbb48abb14e57d1")
    ('aircraft/2026-11-26', '2325d696…')
    """
    return f"{key[:8]}…" if re.fullmatch("[0-9a-f]{32}", key) else key


def percent(part: float, whole: float) -> str:
    """A part of a whole.

    >>> percent(1, 3), percent(1, 300), percent(1, 10**9), percent(1, 1)
    ('33.3 %', '0.33 %', 'under 0.001 %', '100 %')
    """
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 0.001:
        return "under 0.001 %"
    return f"{share:.1f}".removesuffix(".0") + " %" if share >= 10 else f"{share:.2g} %"


def power(value: float) -> str:
    """A small number, such as a delta.

    >>> power(1e-6), power(2.5e-7), power(0.02)
    ('10⁻⁶', '2.5·10⁻⁷', '0.02')
    """
    if value <= 0 or value >= 1e-3:
        return f"{value:g}"
    mantissa, exponent = f"{value:.3e}".split("e")
    ten = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return ten if float(mantissa) == 1 else f"{float(mantissa):g}·{ten}"


def lasting(days: float) -> str:
    """A length of time, in the largest unit that fits.

    >>> lasting(41.3), lasting(0.6), lasting(1.0), lasting(0.001), lasting(900), lasting(1e9)
    ('41 days', '14 hours', '1 day', 'under an hour', '2.5 years', 'over 100 years')
    """
    if days >= 36525:
        return "over 100 years"
    if days >= 730:
        return f"{days / 365.25:.1f} years"
    if days >= 1:
        return plural(math.floor(days), "day")
    return plural(math.floor(days * 24), "hour") if days * 24 >= 1 else "under an hour"


def plural(count: int, noun: str) -> str:
    """How many.

    >>> plural(1, "question"), plural(1200, "question")
    ('1 question', '1,200 questions')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def day(moment: dt.datetime | dt.date) -> str:
    """A date that is read the same everywhere.

    >>> day(dt.date(2027, 1, 6))
    '6 Jan 2027'
    """
    return f"{moment.day} {moment:%b %Y}"


def minute(moment: dt.datetime) -> str:
    """A time in UTC, to be sorted by.

    >>> minute(dt.datetime(2027, 1, 6, 8, 5, tzinfo=dt.UTC))
    '2027-01-06 08:05'
    """
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M}"


def figure(value: float) -> str:
    """A number with three digits that mean something.

    >>> figure(0.6217), figure(22.36), figure(4051.0), figure(1.5e7), figure(0)
    ('0.622', '22.4', '4,050', '1.5e+07', '0')
    """
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if 1000 <= abs(rounded) < 1e6 else f"{rounded:g}"
