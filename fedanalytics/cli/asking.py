"""Asking: a job becomes an outcome, or, in a dry run, what it would cost and be worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedanalytics.cli.balance import Balance, balance
from fedanalytics.cli.costed import FORMS
from fedanalytics.cli.job import Job
from fedanalytics.cli.question import Question
from fedanalytics.errors import KeyReused
from fedanalytics.fleet import Fleet
from fedanalytics.ledger import Head, Ledger
from fedanalytics.privacy.costs import Cost
from fedanalytics.round.blocks import Round
from fedanalytics.session import Preview, Release, Session
from fedanalytics.session.orders import Order
from fedanalytics.trust import Priced, Trust
from fedanalytics.trust.priced import Fleet as Summing
from fedanalytics.trust.priced import Guarantee

CONFIDENCE = 0.95  # of every interval that is shown or written
Step = Callable[[str], None]  # says which phase begins; never a word about clients or rows


@dataclass(frozen=True)
class Outcome:
    """What was answered.

    Attributes:
        releases: one per question.
        balance: after it.
        head: of the ledger after it.
    """

    job: Job
    releases: tuple[Release, ...]
    balance: Balance
    head: Head

    @property
    def spent(self) -> int:
        """Units spent by this run: stored answers cost nothing."""
        return sum(release.cost.units for release in self.releases if not release.receipt.replayed)


@dataclass(frozen=True)
class Rehearsal:
    """What would be answered.

    Attributes:
        previews: one per question.
        paid: whether the question was paid earlier under its key, and would cost nothing.
        guarantees: what the trust model would add to each receipt.
        balance: before it.
    """

    job: Job
    previews: tuple[Preview, ...]
    paid: tuple[bool, ...]
    guarantees: tuple[Guarantee | None, ...]
    balance: Balance

    @property
    def asked(self) -> int:
        """Units that the run would cost."""
        return sum(p.cost.units for p, paid in zip(self.previews, self.paid, strict=True) if not paid)

    @property
    def fits(self) -> bool:
        """Whether the budget can pay."""
        return self.asked <= self.balance.remaining.units


@dataclass(frozen=True)
class Watched:
    """A trust model that says when a round begins; otherwise the same."""

    inner: Trust
    step: Step

    @property
    def name(self) -> str:
        """The same: it is no other trust model."""
        return self.inner.name

    @property
    def clients_add_noise(self) -> bool:
        """The same."""
        return self.inner.clients_add_noise

    def price(self, round_: Round, cost: Cost, roster: int | None = None) -> Priced:
        """The same."""
        return self.inner.price(round_, cost, roster)

    def collect(self, fleet: Summing, priced: Priced) -> tuple[Any, ...]:
        """The same, announced."""
        self.step("asking the clients, one pass over the data")
        return self.inner.collect(fleet, priced)

    def asked_of(self, roster: int | None) -> Mapping[str, Any]:
        """The same."""
        return self.inner.asked_of(roster)

    def guarantee(self, rounds: Sequence[Priced], delta: float | None) -> Guarantee | None:
        """The same."""
        return self.inner.guarantee(rounds, delta)


def phases(job: Job) -> int:
    """How many steps `answer` announces at most."""
    return 3 + max(len(question.query.shares) for question in job.questions)


def answer(job: Job, fleet: Fleet, step: Step) -> Outcome:
    """Pays and asks, all questions in one session and one pass.

    Raises:
        BadArgument: anything that was written and cannot be meant; nothing is spent, no ledger is made.
        BudgetExceeded, KeyReused: nothing is spent.
        LedgerError: the ledger cannot be read or written.
    """
    step("checking the questions")
    _try(job, fleet)
    step("opening the ledger")
    with job.opened() as ledger:
        session = _session(job, fleet, ledger, Watched(job.trusted.model, step))
        releases = session.run([q.costed for q in job.questions], key=job.keys)
        return Outcome(job, tuple(releases), balance(session.budget), ledger.head())


def rehearse(job: Job, fleet: Fleet, step: Step) -> Rehearsal:
    """Finds out what `answer` would do. Sees no data but how many clients there are, where that is public.

    Leaves the ledger as it is.

    Raises:
        BadArgument, KeyReused, LedgerError: as `answer` would.
    """
    step("rehearsing")
    with job.rehearsed() as ledger:
        session = _session(job, fleet, ledger, job.trusted.model)
        previews = _previews(session, job.questions)
        placed = [order for order, _ in session.rehearsed([question.costed for question in job.questions], job.keys)]
        guarantees = tuple(session.trust.guarantee(order.rounds, session.budget.delta) for order in placed)
        return Rehearsal(job, previews, _paid(job, session, placed, ledger), guarantees, balance(session.budget))


def _try(job: Job, fleet: Fleet) -> None:
    """Refuses what cannot be asked or opened, on a ledger that nobody keeps: it leaves no trace."""
    if job.makes_ledger or job.trusted.model.clients_add_noise:  # then the terms of the very budget matter
        with job.rehearsed() as ledger:
            _previews(_session(job, fleet, ledger, job.trusted.model), job.questions)
        return
    with Ledger(":memory:") as ledger:
        most = ledger.budget("all of it", rho=1e6, relation=job.funds.relation, overlap=True)
        _previews(Session(fleet, most), job.questions)


def _session(job: Job, fleet: Fleet, ledger: Ledger, trust: Trust) -> Session:
    """A session that the budget can pay for."""
    budget = job.funds.open(ledger)
    job.trusted.check(budget, job.funds.table, fleet)
    return Session(fleet, budget, trust)


def _previews(session: Session, questions: tuple[Question, ...]) -> tuple[Preview, ...]:
    previews = []
    for question in questions:
        with question.table.blamed(*FORMS):
            previews.append(session.preview(question.costed))
    return tuple(previews)


def _paid(job: Job, session: Session, placed: Sequence[Order], ledger: Ledger) -> tuple[bool, ...]:
    """Which questions stand in the ledger under their key; refuses keys that stand for others."""
    if job.keys is None:
        return (False,) * len(job.questions)
    known, answered = _known(ledger, session.budget.name)
    for order, question in zip(placed, job.questions, strict=True):
        if known.get(order.key, order.plan.digest) != order.plan.digest:
            raise KeyReused(
                f"{question.place} has changed since it was asked under the key {order.key!r}: ask it under another "
                "name or --key, or put it back as it was"
            )
    if not session.trust.clients_add_noise:  # what nobody has seen is drawn anew, and paid already
        return tuple(order.key in known for order in placed)
    return tuple(answered[order.key] == len(order.rounds) for order in placed)


def _known(ledger: Ledger, budget: str) -> tuple[dict[str, str], Counter[str]]:
    """Key -> digest of what a budget has paid for, and how many rounds were answered under a key."""
    known: dict[str, str] = {}
    answered: Counter[str] = Counter()
    for entry in ledger.entries():
        body = entry.body
        if body.get("budget") != budget:
            continue
        if body["type"] == "reserve":
            known[body["key"]] = body["digest"]
        elif body["type"] == "commit":
            answered[body["key"]] += 1
        elif body["type"] == "release":
            known.pop(body["key"], None)
    return known, answered
