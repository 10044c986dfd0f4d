"""A training that is carried out: paid, resumed from its checkpoint, its figures asked on the way."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fedanalytics.cli.balance import Balance, balance
from fedanalytics.cli.failures import Unwritten
from fedanalytics.cli.placed import placed
from fedanalytics.cli.rehearsing import Job, offer, sessions
from fedanalytics.cli.scorer import Figure, Scorer
from fedanalytics.errors import BadArgument
from fedanalytics.ledger import Head, Ledger
from fedanalytics.session import Session
from fedanalytics.trust import Central, NoiseStates

if TYPE_CHECKING:
    from fedanalytics.fleet.data_sets import DatasetFleet
    from fedanalytics.learning.private import Result, Row

NOISE = "noise"  # the folder of what correlated noise remembers


class Watch(Protocol):
    """Who is told how far a run is."""

    def row(self, row: Row) -> None:
        """A round was made."""
        ...

    def figure(self, figure: Figure) -> None:
        """A figure was answered."""
        ...


@dataclass(frozen=True)
class Trained:
    """What a run came to.

    Attributes:
        figures: in the order of the rounds.
        spent: units, by this run.
        balance, head: of the budget and the ledger after it.
    """

    job: Job
    result: Result
    figures: tuple[Figure, ...]
    spent: int
    balance: Balance
    head: Head


def rounds_made(job: Job, folder: Path) -> int:
    """How many rounds the checkpoint in a folder has; 0 if there is none.

    Raises:
        BadArgument: it is damaged, or another run's.
    """
    from fedanalytics.learning.private import Checkpoint  # noqa: PLC0415  # torch

    with placed(checkpoint="--out", key="--key"):
        found = Checkpoint.load(folder, job.training.fingerprint, job.key)
    return 0 if found is None else found.progress.state.round


def check_new(job: Job, folder: Path, made: int) -> None:
    """Refuses to begin where a run has begun.

    Raises:
        BadArgument: there is a checkpoint of it.
    """
    if made:
        rounds = job.training.plan.rounds
        goes_on = "shows it again" if made == rounds else "goes on from it"
        raise BadArgument(
            f"{str(folder)!r} has a checkpoint of this training after round {made} of {rounds}: --resume {goes_on}, "
            "and pays for nothing twice; another --key begins another training, in another --out"
        )


def carry_out(job: Job, fleets: tuple[DatasetFleet, DatasetFleet], folder: Path, watch: Watch) -> Trained:
    """Trains, from where the folder's checkpoint and the ledger's answers stand.

    Raises:
        BudgetExceeded: the budget cannot pay for the training: nothing is spent; or for a figure on the way.
        RoundAborted: too few clients came through a round of secure aggregation.
        LedgerError: the ledger cannot be read or written.
    """
    from fedanalytics.learning.private import train  # noqa: PLC0415  # torch

    plan, steps = job.training.plan, job.recipe.procedure
    with Ledger(job.ledger) as ledger:
        session, evaluating = sessions(job, fleets, ledger)
        session = _remembering(session, folder / NOISE)
        before = session.budget.spent.units
        scorer, every = None, steps.checkpoint_every
        if job.recipe.scoring is not None:
            scorer = Scorer(job.recipe.scoring, job.training, evaluating, job.key, offer(job), folder, watch.figure)
            scorer.recall()
            scorer.catch_up(rounds_made(job, folder))
            every = math.gcd(every, *job.recipe.scoring.due(plan.rounds))

        def made(row: Row) -> None:
            watch.row(row)
            if scorer is not None:
                scorer(row)

        with placed(checkpoint="--out", key="--key"):
            result = train(
                job.build,
                session,
                plan,
                algorithm=job.training.algorithm,
                clip=job.training.clip,
                key=job.key,
                checkpoint=folder,
                every=every,
                progress=made,
            )
        _forget(folder / NOISE)
        figures = () if scorer is None else tuple(scorer.figures[n] for n in sorted(scorer.figures))
        whole = balance(session.budget)
        return Trained(job, result, figures, whole.spent.units - before, whole, ledger.head())


def _remembering(session: Session, folder: Path) -> Session:
    """The same, whose correlated noise goes on where it was when the process is gone."""
    trust = session.trust
    return replace(session, trust=replace(trust, states=NoiseStates(folder))) if isinstance(trust, Central) else session


def _forget(folder: Path) -> None:
    """Removes the noise of a run that is complete: who reads it can take it off the answers.

    Raises:
        Unwritten: the storage refused.
    """
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise Unwritten(
            f"{str(folder)!r} could not be removed ({error.strerror}): remove it, it holds the noise of the answers"
        ) from error
