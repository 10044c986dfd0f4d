"""Figures of a model in training: asked when they are due, kept beside the checkpoint, paid for once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedanalytics.cli.scoring import Scoring
from fedanalytics.session import Session

if TYPE_CHECKING:
    import numpy.typing as npt

    from fedanalytics.learning.private import Row, Training
    from fedanalytics.learning.private.evaluating import Evaluated

NAME = "figures.json"
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Figure:
    """What was answered about the model after a round, noise included.

    Attributes:
        lower, upper: cover the noise with probability 0.95.
        cost: what was charged, in words.
    """

    round: int
    metric: str
    value: float
    standard_error: float
    lower: float
    upper: float
    cost: str


@dataclass
class Scorer:
    """Asks for the figures of a run; the part that remembers which there are.

    Attributes:
        session: over the clients that evaluate, with the budget that pays for the training too.
        offer: what a figure may cost.
        folder: where the run keeps its checkpoints.
        figures: by round.
    """

    scoring: Scoring
    training: Training
    session: Session
    key: str
    offer: Mapping[str, Any]
    folder: Path
    told: Callable[[Figure], None]
    figures: dict[int, Figure] = field(default_factory=dict)

    def __call__(self, row: Row) -> None:
        """After a round, whose checkpoint is on the disk if a figure is due."""
        self.catch_up(row.round)

    def catch_up(self, round_: int) -> None:
        """Asks what is due after a round and is not there yet."""
        from fedanalytics.learning.private import Checkpoint  # noqa: PLC0415  # torch

        if round_ in self.figures or round_ not in self.scoring.due(self.training.plan.rounds):
            return
        found = Checkpoint.load(self.folder, self.training.fingerprint, self.key)
        if found is not None and found.progress.state.round == round_:
            self.ask(round_, found.progress.state.parameters)

    def ask(self, round_: int, parameters: npt.ArrayLike) -> None:
        """Asks, pays, and keeps the answer.

        Raises:
            BudgetExceeded: the budget cannot pay; the training itself is paid, and goes on when asked to.
        """
        query = asked(self.scoring, self.training, parameters)
        release = self.session.run(query, key=figure_key(self.key, self.scoring, round_), **self.offer)
        lower, upper = release.interval(_CONFIDENCE)
        figure = Figure(
            round_, self.scoring.metric, release.value, release.standard_error, lower, upper, repr(release.cost)
        )
        self.figures[round_] = figure
        self._keep()
        self.told(figure)

    def recall(self) -> None:
        """The figures that an earlier process left; what cannot be read is asked no more, and shown no more."""
        try:
            kept = json.loads((self.folder / NAME).read_text(encoding="utf-8"))
            if kept["run"] == self._run:
                self.figures = {row["round"]: Figure(**row) for row in kept["figures"]}
        except (OSError, ValueError, KeyError, TypeError):
            self.figures = {}

    def _keep(self) -> None:
        rows = [asdict(self.figures[round_]) for round_ in sorted(self.figures)]
        part = self.folder / f"{NAME}.part"
        part.write_text(json.dumps({"run": self._run, "figures": rows}, indent=2), encoding="utf-8")
        part.replace(self.folder / NAME)

    @property
    def _run(self) -> list[Any]:
        return [
            self.training.fingerprint,
            self.key,
            self.scoring.metric,
            self.scoring.bounds and list(self.scoring.bounds),
        ]


def asked(scoring: Scoring, training: Training, parameters: npt.ArrayLike) -> Evaluated:
    """The query."""
    from fedanalytics.learning.private import evaluation  # noqa: PLC0415  # torch

    loss_fn = training.algorithm.local.loss_fn
    return evaluation(training.model, parameters, scoring.metric, bounds=scoring.bounds, loss_fn=loss_fn)


def figure_key(key: str, scoring: Scoring, round_: int) -> str:
    """Under which the ledger keeps it."""
    return f"{key}/{scoring.metric} after round {round_}"
