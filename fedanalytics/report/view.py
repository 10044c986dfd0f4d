"""What the page says, as values: computed once, placed by the templates, and nothing but this is on the page."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

from fedanalytics.ledger import BudgetState
from fedanalytics.report import words
from fedanalytics.report.charts import BurnDown, Mark, Scatter, burn_down, scatter
from fedanalytics.report.claims import Claim, Evidence, claims, evidence
from fedanalytics.report.columns import said
from fedanalytics.report.precision import Precision, precision
from fedanalytics.report.reading import NEWEST, Book
from fedanalytics.report.sharing import Shared, shared
from fedanalytics.report.spends import Spend
from fedanalytics.report.summary import Share, Standing, Total, shares, standing, totals

_NAMES = 12  # rows of a table of names; the others are one row
_DAYS = 60  # rows of a table of days
_SECTIONS = 24  # budgets that are shown in full, those that were asked last


@dataclass(frozen=True)
class Table:
    """Who or what spent: the names that spent most, and all the others together."""

    title: str
    rows: tuple[Total, ...]
    others: Total | None


@dataclass(frozen=True)
class Section:
    """One budget in full."""

    standing: Standing
    chart: BurnDown
    days: tuple[tuple[Total, int], ...]
    tables: tuple[Table, ...]
    claims: tuple[Claim, ...]
    evidence: tuple[Evidence, ...]
    shares: tuple[Share, ...]

    def beside(self, claim: Claim) -> tuple[Evidence, ...]:
        """The audits that tried this claim, or do not say which they tried."""
        return tuple(one for one in self.evidence if one.speaks_of(claim))


@dataclass(frozen=True)
class Question:
    """One question in words, with what it was worth; `part` is its cost as a part of its budget."""

    spend: Spend
    said: str
    part: float
    precision: Precision | None


@dataclass(frozen=True)
class View:
    """All that the page says."""

    book: Book
    standings: tuple[Standing, ...]
    sections: tuple[Section, ...]
    shared: tuple[Shared, ...]
    newest: tuple[Question, ...]
    older: int
    scatter: Scatter | None
    worth: tuple[tuple[str, int, float, float], ...]
    differing: tuple[str, ...]

    def state(self, section: Section) -> BudgetState | None:
        """What verification found of a budget."""
        found = self.book.verification
        return found.budgets.get(section.standing.name) if found else None


def view_of(book: Book) -> View:
    """What the page says, as values."""
    standings = tuple(standing(account, book.now) for account in book.accounts.by_name.values())
    recent = sorted(standings, key=_asked, reverse=True)[:_SECTIONS]
    found = evidence(book.accounts.audits)
    spends = book.accounts.spends
    newest = tuple(_question(book, spend) for spend in reversed(spends[-NEWEST:]))
    return View(
        book,
        standings,
        tuple(_section(each, found) for each in standings if each in recent),
        shared(account.terms for account in book.accounts.by_name.values()),
        newest,
        len(spends) - len(newest),
        scatter(filter(None, map(_mark, newest))),
        _worth(newest),
        tuple(_differing(book)),
    )


def _asked(each: Standing) -> tuple[bool, dt.datetime]:
    """To sort by: those that were asked, by when; then the others, by when they were opened."""
    return each.last is not None, each.last or each.account.steps[0].time


def _question(book: Book, spend: Spend) -> Question:
    cap = book.accounts.by_name[spend.budget].cap
    part, stored = spend.units / cap if cap else 1.0, book.answers.get(spend.seq)
    return Question(spend, said(spend.question), part, precision(spend, stored))


def _section(each: Standing, found: Sequence[Evidence]) -> Section:
    spends = each.account.spends
    tables = tuple(
        _table(title, totals(spends, by))
        for title, by in (("By person", "actor"), ("By kind of question", "kind"), ("By column", "column"))
    )
    beside = tuple(one for one in found if one.budget in {each.name, ""})
    return Section(each, burn_down(each), _by_day(each), tables, claims(spends), beside, shares(each.account))


def _table(title: str, rows: Sequence[Total]) -> Table:
    if len(rows) <= _NAMES + 1:
        return Table(title, tuple(rows), None)
    rest = rows[_NAMES:]
    many = Total("", sum(r.questions for r in rest), sum(r.units for r in rest), max(r.last for r in rest))
    return Table(title, tuple(rows[:_NAMES]), many)


def _by_day(each: Standing) -> tuple[tuple[Total, int], ...]:
    """What each day took, and what was spent in all by its end; the newest first."""
    rows, spent = [], 0
    for total in totals(each.account.spends, "day"):
        spent += total.units
        rows.append((total, spent))
    return tuple(reversed(rows[-_DAYS:]))


def _mark(question: Question) -> Mark | None:
    found, spend = question.precision, question.spend
    if found is None or not spend.paid or not math.isfinite(found.relative):
        return None
    said = f"entry {spend.seq}: {words.percent(question.part, 1)} of the budget, error {error_of(found)}"
    return Mark(question.part, found.relative, words.shortened(spend.kind, 40), said)


def _worth(questions: Sequence[Question]) -> tuple[tuple[str, int, float, float], ...]:
    """Kind, how many, and the medians of cost and relative error: the scatter in figures."""
    kinds: dict[str, list[tuple[float, float]]] = {}
    for question in questions:
        mark = _mark(question)
        if mark is not None:
            kinds.setdefault(mark.series, []).append((mark.cost, mark.error))
    rows = [
        (kind, len(several), *(sorted(c)[len(c) // 2] for c in zip(*several, strict=True)))
        for kind, several in kinds.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row[1], row[0])))


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _differing(book: Book) -> list[str]:
    """Budgets of which the verification says something else: a later version wrote more than this page reads."""
    verified = book.verification.budgets if book.verification else {}
    ours = book.accounts.by_name
    known = {name: (ours[name].cap, ours[name].total) for name in ours}
    return [name for name, state in verified.items() if known.get(name) != (state.cap, state.spent)]


def error_of(found: Precision) -> str:
    """A standard error, or the range of several.

    >>> error_of(Precision(22.36, 22.36, 0.0055, 1)), error_of(Precision(2.1, 3.04, 0.04, 12))
    ('± 22.4', '± 2.1 to 3.04')
    """
    low, high = words.figure(found.low), words.figure(found.high)
    return f"± {low}" if low == high else f"± {low} to {high}"
