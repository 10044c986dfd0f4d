"""Replay: what the entries alone say, held against the chain, the rules, the tables and the heads that are known.

Independent of the code that writes: it shares the forms (terms, events, hashes) and takes every decision again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fedanalytics.errors import FedAnalyticsError, LedgerCorrupt
from fedanalytics.ledger import entries, results, second, tables
from fedanalytics.ledger.accounts import Account, Stretch
from fedanalytics.ledger.connections import database
from fedanalytics.ledger.database import Connection, Database
from fedanalytics.ledger.heads import GENESIS, Head
from fedanalytics.ledger.ledger import Ledger
from fedanalytics.ledger.replay import Replay
from fedanalytics.ledger.results import ResultFiles
from fedanalytics.ledger.second import Loss
from fedanalytics.ledger.store import extends, outdated
from fedanalytics.privacy import units
from fedanalytics.privacy.filters import Declared
from fedanalytics.round.canonical import canonical_json

_WAIT = 5.0  # seconds; a reader is kept waiting only while a log is recovered
_MALFORMED = (FedAnalyticsError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class WindowState:
    """What the entries say of one window: its start, the units spent in it, and their loss by both accountants."""

    start: str
    spent: int
    charged: Loss
    second: Loss


@dataclass(frozen=True)
class BudgetState:
    """What the entries say of a budget.

    Attributes:
        cap: in units of 1e-12 of what its filter counts; of each window, if it has windows.
        spent: in the same units, over all time.
        open: the reservations without an answer.
        charged: what was spent over all time, by the filter that charged it.
        second: the same by a second accountant, for a plan fixed in advance (`fedanalytics.ledger.second`).
        fullest: of its windows, the one that spent most; None without windows.
        windows: how many of them paid for something.
        amended: how often the cap was changed.
        audits: entry and verdict of each audit that was recorded.
    """

    cap: int
    spent: int
    open: tuple[str, ...]
    charged: Loss
    second: Loss
    fullest: WindowState | None = None
    windows: int = 0
    amended: int = 0
    audits: tuple[tuple[int, str], ...] = ()

    @property
    def epsilon(self) -> float | None:
        """By the second accountant; None for a budget in rho without a delta."""
        return self.second.amount if self.second.counts == "epsilon" else None

    @property
    def method(self) -> str:
        """How the second accountant found it."""
        return self.second.method


@dataclass(frozen=True)
class Verification:
    """A ledger that verified.

    Attributes:
        entries: how many.
        head: that they end with.
        budgets: what they add up to.
        backdated: entries that are dated before an earlier one by more than five minutes. It changes no balance: a
            host's clock was wrong, or somebody meant to look earlier than they were.
    """

    entries: int
    head: Head
    budgets: Mapping[str, BudgetState]
    backdated: tuple[int, ...] = ()


def verify(ledger: Ledger | str | os.PathLike[str], head: Head | str | None = None) -> Verification:
    """Read a whole ledger and believe nothing.

    Checked are the chain; each entry against the rules (a cap that keeps its promise, no cost below its event's, no
    budget over its cap, in no window and by no actor, no key used twice, nothing released after an answer); each price
    and what was spent once more by a second accountant, to a thousandth; the balances, reservations and stored answers
    against the entries; and the chain against the head kept beside a file and the one given. A chain that was
    rewritten as a whole, with its head file, is seen only by `head`.

    Args:
        ledger: an open ledger, or the path or address of one, which is only read.
        head: a head published earlier, or its text.

    Raises:
        LedgerCorrupt: something does not verify; the message names the entry.
        BadArgument: there is no such file or database, it is another program's, or `head` is no head.
        LedgerUnwritable: a server cannot be reached.

    Example:
        >>> with Ledger(":memory:") as ledger:
        ...     budget = ledger.budget("aircraft", rho=0.01)
        ...     state = verify(ledger).budgets["aircraft"]
        >>> state.cap, state.spent, str(state.second)
        (10000000000, 0, 'rho=0 (Renyi divergences of tabulated outcomes)')
    """
    known = Head.parse(head) if isinstance(head, str) else head
    with _source(ledger) as (source, kept, connection):
        replay = Replay()
        last = _chain(connection, replay)
        for earlier in (known, kept):
            if not extends(connection, last, earlier):
                raise LedgerCorrupt(outdated(source.path, last, earlier or last))
        _check_budgets(connection, replay)
        _check_reservations(connection, replay)
        _check_results(connection, replay, source.files)
    for account in replay.accounts.values():
        second.check_prices(account)
        second.check_cap(account)
    waiting = replay.waiting()
    states = {name: _state(account, tuple(waiting[name])) for name, account in replay.accounts.items()}
    return Verification(last.seq, last, states, tuple(replay.backdated))


def _state(account: Account, waiting: tuple[str, ...]) -> BudgetState:
    terms, stretches, fullest = account.terms, account.stretches, None
    if terms.windows and stretches:
        start = max(stretches, key=lambda window: stretches[window].units)
        one = {start: stretches[start]}
        fullest = WindowState(start, stretches[start].units, *_losses(account, one))
    charged, again = _losses(account, stretches)
    audits, amended = tuple(account.audits), terms.amended or 0
    count = len(stretches) if terms.windows else 0
    return BudgetState(terms.cap, account.total, waiting, charged, again, fullest, count, amended, audits)


def _losses(account: Account, stretches: Mapping[str, Stretch]) -> tuple[Loss, Loss]:
    """By both accountants. The shares of "pld" plans are of delta too: those of several windows add up."""
    terms, spent = account.terms, sum(stretch.units for stretch in stretches.values())
    delta = terms.delta
    if delta is not None and isinstance(terms.rule, Declared):
        delta = min(delta * max(1.0, spent / terms.cap), 0.5)
    return _charged(account, spent, delta), second.loss(terms, stretches, delta)


def _charged(account: Account, spent: int, delta: float | None) -> Loss:
    terms, method = account.terms, f"its {account.terms.filter} filter"
    if delta is None:
        return Loss(units.rho(spent), terms.rule.counts, None, method)
    return Loss(terms.rule.epsilon_of(spent, delta), "epsilon", delta, method)


@contextlib.contextmanager
def _source(ledger: Ledger | str | os.PathLike[str]) -> Iterator[tuple[Database, Head | None, Connection]]:
    """One moment of a ledger; the kept head is read first, because it may lag behind, never lead."""
    if isinstance(ledger, Ledger):
        kept = ledger.store.kept_head()
        with ledger.store.read() as connection:
            yield ledger.store.database, kept, connection
    else:
        place = database(os.fspath(ledger), _WAIT)
        kept = place.kept.read() if place.kept else None
        with place.translated(), place.snapshot() as connection:
            yield place, kept, connection


def _chain(connection: Connection, replay: Replay) -> Head:
    """Replay every entry whose link holds."""
    last, before = 0, GENESIS
    for seq, prev, hash_, body in tables.chain(connection):
        if seq != last + 1:
            raise LedgerCorrupt(f"entry {last + 1} is missing: entry {seq} follows entry {last}")
        if prev != before:
            raise LedgerCorrupt(f"entry {seq} does not follow entry {last}: its prev is not that entry's hash")
        if entries.chained(before, seq, body) != hash_:
            raise LedgerCorrupt(f"entry {seq} was changed: its hash is not that of its content")
        try:
            replay.take(seq, json.loads(body.decode()))
        except _MALFORMED as error:
            raise LedgerCorrupt(f"entry {seq} breaks a rule: {_said(error)}") from error
        last, before = seq, hash_
    return Head(last, before.hex())


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, FedAnalyticsError) else f"it is malformed ({error!r})"


def _check_budgets(connection: Connection, replay: Replay) -> None:
    found = {name: (text, spent) for name, text, spent in tables.budgets(connection)}
    for name in sorted(found.keys() | replay.accounts.keys()):
        text, spent = found.get(name, ("", ""))
        if name not in replay.accounts or text != canonical_json(replay.accounts[name].terms.to_json()):
            raise LedgerCorrupt(f"the terms of budget {name!r} are not those of its open, bind and amend entries")
        balance = replay.accounts[name].balance()
        if spent != balance:
            raise LedgerCorrupt(f"the balance of budget {name!r} is {spent} units, its entries say {balance}")


def _check_reservations(connection: Connection, replay: Replay) -> None:
    found = {row.id: row for row in tables.reservations(connection)}
    for id_ in found.keys() | replay.reservations.keys():
        ours = replay.reservations.get(id_)
        if found.get(id_) != ours:
            raise LedgerCorrupt(f"reservation {id_} is not as entry {ours.seq if ours else '(none)'} made it")


def _check_results(connection: Connection, replay: Replay, files: ResultFiles | None) -> None:
    unseen = dict(replay.answers)
    for row in tables.results(connection):
        if unseen.pop(row.seq, None) != (row.reservation, row.position, row.digest, row.hash):
            raise LedgerCorrupt(f"the stored answer of entry {row.seq} is not the one that it committed")
        try:
            results.checked(row.hash, row.body, files)
        except _MALFORMED as error:
            raise LedgerCorrupt(f"the stored answer of entry {row.seq} does not verify: {_said(error)}") from error
    if unseen:
        raise LedgerCorrupt(f"the stored answer of entry {min(unseen)} is missing")
