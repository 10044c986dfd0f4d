"""What was asked and paid, from the entries alone: a spend for each question, an account for each budget.

Entries that this version does not know, or cannot read, are counted and passed over: a report shows what it can of a
ledger that a later version wrote, or that somebody damaged. Whether it is true is for `fedanalytics.ledger.verify`.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from fedanalytics.errors import FedAnalyticsError
from fedanalytics.ledger.entries import Entry
from fedanalytics.ledger.plans import kind
from fedanalytics.ledger.terms import Terms
from fedanalytics.report.columns import columns_of

ANSWERED, WAITING, RETURNED = "answered", "unanswered", "given back"
_MALFORMED = (FedAnalyticsError, KeyError, TypeError, ValueError, AttributeError, RecursionError)


class Spend(NamedTuple):
    """One question that was paid; a named tuple, because a ledger holds many.

    Attributes:
        seq: of its entry.
        time: when it was reserved, UTC.
        kind: what the question calls itself, such as "Mean".
        columns: that it reads.
        units: the cost, in 1e-12 of what the budget's filter counts.
        event: what was done to the data, as JSON.
        question: in canonical form.
        state: "answered", "unanswered" or "given back".
        window: where the window begins that paid; "" in a budget without windows.
    """

    seq: int
    time: dt.datetime
    budget: str
    actor: str
    key: str
    kind: str
    columns: tuple[str, ...]
    units: int
    trust: str
    relation: str
    event: Mapping[str, Any]
    question: Mapping[str, Any]
    state: str = WAITING
    window: str = ""

    @property
    def paid(self) -> int:
        """The units that stay spent."""
        return 0 if self.state == RETURNED else self.units


class Step(NamedTuple):
    """A budget after an entry that changed it, or at the end of a window; a named tuple, like a spend.

    Attributes:
        spent: in the window, if there are windows.
        total: over all time.
        window: where it begins; "" without windows.
    """

    time: dt.datetime
    cap: int
    spent: int
    total: int
    window: str = ""


@dataclass(frozen=True)
class Amendment:
    """A change of a cap: from what to what, by whom and why."""

    seq: int
    time: dt.datetime
    actor: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True)
class Account:
    """One budget, as its entries tell it.

    Attributes:
        terms: as it was opened, bound and amended.
        actor: who opened it.
        steps: its cap and what was spent of it over time; the first is its opening, times never go back.
        spends: in the order of the ledger.
        amendments: likewise.
    """

    terms: Terms
    actor: str
    steps: tuple[Step, ...]
    spends: tuple[Spend, ...]
    amendments: tuple[Amendment, ...] = ()

    @property
    def cap(self) -> int:
        """In units, now; of each window, if there are windows."""
        return self.steps[-1].cap

    @property
    def spent(self) -> int:
        """In units, answered or not; in the last window."""
        return self.steps[-1].spent

    @property
    def total(self) -> int:
        """The same over all time."""
        return self.steps[-1].total

    @property
    def window(self) -> str:
        """Where the last window begins."""
        return self.steps[-1].window

    @property
    def renews(self) -> dt.datetime | None:
        """When the next one begins; None without windows."""
        windows = self.terms.windows if self.window else None
        return dt.datetime.fromisoformat(windows.end(self.window)) if windows else None

    @property
    def windows(self) -> int:
        """How many of them paid for something."""
        return len({spend.window for spend in self.spends if spend.window})

    def at(self, now: dt.datetime) -> Account:
        """The account at a later moment: a new window has begun since, or none."""
        windows = self.terms.windows
        if windows is None or (window := windows.start(now.isoformat())) <= self.window:
            return self
        return replace(self, steps=(*self.steps, _renewed(self.terms, self.steps[-1], window)))


@dataclass(frozen=True)
class Accounts:
    """A whole ledger.

    Attributes:
        by_name: the budgets, in the order in which they were opened.
        audits: the entries of type "audit".
        passed_over: how many entries of each other type that this version does not know.
        unreadable: the numbers of entries that are malformed.
    """

    by_name: Mapping[str, Account]
    audits: tuple[Entry, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)
    unreadable: tuple[int, ...] = ()

    @property
    def spends(self) -> list[Spend]:
        """All questions, in the order of the ledger."""
        return sorted((s for account in self.by_name.values() for s in account.spends), key=lambda spend: spend.seq)


def accounts(entries: Iterable[Entry]) -> Accounts:
    """What entries say, oldest first.

    Example:
        >>> from fedanalytics.ledger import Ledger, Plan
        >>> from fedanalytics.privacy.events import Gaussian
        >>> with Ledger(":memory:", actor="ada") as ledger:
        ...     plan = Plan("monday", {"is": "Mean", "column": "temp"}, Gaussian(10.0), 5 * 10**9, "central")
        ...     _ = ledger.budget("aircraft", rho=0.01).reserve([plan])
        ...     account = accounts(ledger.entries()).by_name["aircraft"]
        >>> account.cap, account.spent, [(s.actor, s.kind, s.columns, s.state) for s in account.spends]
        (10000000000, 5000000000, [('ada', 'Mean', ('temp',), 'unanswered')])
    """
    reading = _Reading()
    for entry in entries:
        try:
            reading.take(entry)
        except _MALFORMED:
            reading.unreadable.append(entry.seq)
    return reading.done()


_Asked: TypeAlias = tuple[Mapping[str, Any], str, tuple[str, ...]]


class _Reading:
    """The state that entries lead to."""

    def __init__(self) -> None:
        self.terms: dict[str, Terms] = {}
        self.openers: dict[str, str] = {}
        self.steps: dict[str, list[Step]] = {}
        self.paid: dict[str, dict[str, Spend]] = {}
        self.amendments: dict[str, list[Amendment]] = {}
        self.asked: dict[str, _Asked] = {}
        self.audits: list[Entry] = []
        self.passed_over: Counter[str] = Counter()
        self.unreadable: list[int] = []
        self.known: Mapping[str, Callable[[Entry], None]] = {
            "open": self._open,
            "bind": self._bind,
            "reserve": self._reserve,
            "commit": self._commit,
            "release": self._release,
            "amend": self._amend,
            "checkpoint": lambda _: None,
            "audit": self.audits.append,
        }

    def take(self, entry: Entry) -> None:
        type_ = str(entry.body["type"])
        if type_ in self.known:
            self.known[type_](entry)
        else:
            self.passed_over[type_] += 1

    def done(self) -> Accounts:
        found = {
            name: Account(
                terms,
                self.openers[name],
                tuple(self.steps[name]),
                tuple(self.paid[name].values()),
                tuple(self.amendments[name]),
            )
            for name, terms in self.terms.items()
        }
        return Accounts(found, tuple(self.audits), dict(self.passed_over), tuple(self.unreadable))

    def _open(self, entry: Entry) -> None:
        body = entry.body
        terms = Terms.from_json(str(body["budget"]), body)
        _ = terms.rule, terms.windows  # a filter that this version does not know has no epsilon to show
        step = Step(_moment(entry), int(terms.cap), 0, 0)
        self.terms[terms.name], self.openers[terms.name] = terms, str(body["actor"])
        self.steps[terms.name], self.paid[terms.name], self.amendments[terms.name] = [step], {}, []

    def _bind(self, entry: Entry) -> None:
        name, fields = entry.body["budget"], ("unit", "dataset", "overlap")
        self.terms[name] = replace(self.terms[name], **{field: entry.body[field] for field in fields})

    def _amend(self, entry: Entry) -> None:
        body = entry.body
        old = self.terms[body["budget"]]
        changed = {"cap": int(body["cap"]), "epsilon": body["epsilon"], "rho": body["rho"]}
        new = self.terms[old.name] = replace(old, **changed, amended=(old.amended or 0) + 1)
        told = Amendment(entry.seq, _moment(entry), str(body["actor"]), old.label, new.label, str(body["reason"]))
        self.amendments[old.name].append(told)
        self._step(entry, cap=new.cap)

    def _reserve(self, entry: Entry) -> None:
        body = entry.body
        question, kind_, columns = self._asked(body)
        spend = Spend(
            entry.seq,
            _moment(entry),
            body["budget"],
            str(body["actor"]),
            str(body["key"]),
            kind_,
            columns,
            int(body["units"]),
            str(body["trust"]),
            str(body["relation"]),
            body["event"],
            question,
            window=str(body.get("window", "")),
        )
        self.paid[spend.budget][body["reservation"]] = spend
        last = self.steps[spend.budget][-1]
        if spend.window > last.window:
            self.steps[spend.budget].append(_renewed(self.terms[spend.budget], last, spend.window))
        self._step(entry, more=spend.units)

    def _asked(self, body: Mapping[str, Any]) -> _Asked:
        """The question with what is said of it: few differ, and then it is read once and kept once."""
        question, digest = body["question"], str(body["digest"])
        known = self.asked.get(digest)
        if known is None or known[0] != question:
            known = (question, kind(question), columns_of(question))
            self.asked[digest] = known
        return known

    def _commit(self, entry: Entry) -> None:
        self._held(entry, ANSWERED)

    def _release(self, entry: Entry) -> None:
        spend = self._held(entry, RETURNED)
        self._step(entry, more=-spend.units, window=spend.window)

    def _held(self, entry: Entry, state: str) -> Spend:
        """Marks the reservation that an entry names."""
        held, id_ = self.paid[entry.body["budget"]], entry.body["reservation"]
        held[id_] = held[id_]._replace(state=state)
        return held[id_]

    def _step(self, entry: Entry, *, cap: int | None = None, more: int = 0, window: str | None = None) -> None:
        """What is given back of an earlier window is not given to this one."""
        steps = self.steps[entry.body["budget"]]
        last = steps[-1]
        time = max(_moment(entry), last.time)  # clocks of several machines need not agree, entries are in order
        spent = last.spent + (more if window in {None, last.window} else 0)
        steps.append(Step(time, last.cap if cap is None else cap, spent, last.total + more, last.window))


def _renewed(terms: Terms, last: Step, window: str) -> Step:
    """Where the last window that was spent from ends, and another has begun with nothing spent."""
    begins = terms.windows.end(last.window) if terms.windows and last.window else window
    return Step(max(dt.datetime.fromisoformat(begins), last.time), last.cap, 0, last.total, window)


def _moment(entry: Entry) -> dt.datetime:
    found = dt.datetime.fromisoformat(entry.time)
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)
