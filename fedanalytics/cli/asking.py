"""Asking: a job becomes an outcome, or, in a dry run, what it would cost and be worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fedanalytics.cli.balance import Balance, balance
from fedanalytics.cli.job import Job
from fedanalytics.cli.question import Question
from fedanalytics.errors import KeyReused
from fedanalytics.fleet import Fleet
from fedanalytics.ledger import Head, Ledger
from fedanalytics.privacy.events import Event
from fedanalytics.round.blocks import Answers, Round
from fedanalytics.session import Preview, Release, Session
from fedanalytics.session.orders import orders
from fedanalytics.trust import Central, Priced, Trust
from fedanalytics.trust.priced import Fleet as Summing

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
        balance: before it.
    """

    job: Job
    previews: tuple[Preview, ...]
    paid: tuple[bool, ...]
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

    def price(self, round_: Round, event: Event) -> Priced:
        """The same."""
        return self.inner.price(round_, event)

    def collect(self, fleet: Summing, priced: Priced) -> Answers:
        """The same, announced."""
        self.step("asking the clients, one pass over the data")
        return self.inner.collect(fleet, priced)


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
    with Ledger(":memory:") as scratch:  # so that what cannot be asked or opened leaves no trace
        most = scratch.budget("all of it", rho=1e6, relation=job.funds.relation, overlap=True)
        _previews(Session(fleet, job.funds.open(scratch) if job.makes_ledger else most), job.questions)
    step("opening the ledger")
    with job.opened() as ledger:
        session = Session(fleet, job.funds.open(ledger), Watched(Central(), step))
        releases = session.run([q.costed for q in job.questions], key=job.keys)
        return Outcome(job, tuple(releases), balance(session.budget), ledger.head())


def rehearse(job: Job, fleet: Fleet, step: Step) -> Rehearsal:
    """Finds out what `answer` would do. Sees no data, and leaves the ledger as it is.

    Raises:
        BadArgument, KeyReused, LedgerError: as `answer` would.
    """
    step("rehearsing")
    with job.rehearsed() as ledger:
        session = Session(fleet, job.funds.open(ledger))
        previews = _previews(session, job.questions)
        return Rehearsal(job, previews, _paid(job, session, ledger), balance(session.budget))


def _previews(session: Session, questions: tuple[Question, ...]) -> tuple[Preview, ...]:
    previews = []
    for question in questions:
        with question.table.blamed():
            previews.append(session.preview(question.costed))
    return tuple(previews)


def _paid(job: Job, session: Session, ledger: Ledger) -> tuple[bool, ...]:
    """Which questions stand in the ledger under their key; refuses keys that stand for others."""
    if job.keys is None:
        return (False,) * len(job.questions)
    no_offer = dict.fromkeys(("rho", "epsilon", "delta", "noise_multiplier"))
    placed = orders(
        [question.costed for question in job.questions],
        key=job.keys,
        weights=None,
        columns=tuple(session.fleet.columns),
        trust=session.trust.name,
        relation=session.budget.relation,
        rule=session.budget.filter,
        asked_of={},
        offer=no_offer,
    )
    known = _known(ledger, session.budget.name)
    for order, question in zip(placed, job.questions, strict=True):
        if known.get(order.key, order.plan.digest) != order.plan.digest:
            raise KeyReused(
                f"{question.place} has changed since it was asked under the key {order.key!r}: ask it under another "
                "name or --key, or put it back as it was"
            )
    return tuple(order.key in known for order in placed)


def _known(ledger: Ledger, budget: str) -> dict[str, str]:
    """Key -> digest of what a budget has paid for."""
    known: dict[str, str] = {}
    for entry in ledger.entries():
        body = entry.body
        if body["type"] == "reserve" and body["budget"] == budget:
            known[body["key"]] = body["digest"]
        elif body["type"] == "release" and body["budget"] == budget:
            known.pop(body["key"], None)
    return known
