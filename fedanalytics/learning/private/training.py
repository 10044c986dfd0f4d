"""Training as a query: a round is the sum of the clipped updates, and nothing else of them reaches the server."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fedanalytics.errors import BadArgument
from fedanalytics.learning.algorithm import Algorithm, State
from fedanalytics.learning.clients import Clients
from fedanalytics.learning.local import LocalTraining
from fedanalytics.learning.losses import Loss
from fedanalytics.learning.model import Model, Vector
from fedanalytics.learning.private.clipping import Clip, FixedClip
from fedanalytics.learning.private.planning import Plan
from fedanalytics.learning.private.unsampled import UnsampledPlan
from fedanalytics.learning.probing import Answer, answer, check_descends
from fedanalytics.learning.training import train_in_chunks
from fedanalytics.round.blocks import Block, Correlated, Noisy, Round, Rounds
from fedanalytics.round.canonical import digest
from fedanalytics.round.updates import Updates
from fedanalytics.round.work import Registered


@dataclass(frozen=True, eq=False)
class Progress:
    """What lies between two rounds.

    Attributes:
        state: of the algorithm: rounds made, parameters, the server optimizer's memory.
        clip: of the next round.
        unclipped: the noisy fraction of updates within the last clip; None if nobody was asked.
        step: the L2 norm of the last noisy mean update.
    """

    state: State
    clip: float
    unclipped: float | None = None
    step: float | None = None


@dataclass(frozen=True, eq=False)
class LocalUpdate:
    """The code that clients run: local training from the parameters that the server sent (`round.work.Code`).

    A client's row is its update, and, where the clip is adaptive, +1 or -1 beside it: whether that was within the clip.
    It depends on the client's examples only, bit for bit (`isolated=True`), its shuffling and dropout included.
    """

    model: Model
    local: LocalTraining
    parameters: Vector = field(repr=False)
    training_round: int
    clip: float
    reports: bool
    name = "local training"

    def describe(self) -> dict[str, Any]:
        """Its name, the settings, and a digest of the parameters."""
        sent = hashlib.sha256(self.parameters.tobytes()).hexdigest()
        settings = {"round": self.training_round, "clip": self.clip, "local": described(self.local)}
        return {"code": self.name, "parameters": sent, **settings}

    @property
    def reads(self) -> Hashable:
        """What `load` depends on: a fleet keeps what it loaded for this."""
        return self.model, self.local.loss_fn

    def load(self, data: Any) -> Clients:
        """One pair (features, labels) per client.

        Raises:
            BadArgument: data that does not fit the model, the loss or itself (the client is named); a loss without a
                gradient.
        """
        clients, found = fitting(data, self.model, self.local.loss_fn)
        if found is not None:
            check_descends(found)
        return clients

    def values(
        self, loaded: Clients, clients: npt.NDArray[np.int64]
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[Any]]]:
        """The updates of those who have examples, a chunk at a time."""
        if not len(clients):
            return
        chosen = loaded.take(clients)
        for part in train_in_chunks(
            self.model, self.parameters, chosen, self.local, training_round=self.training_round, isolated=True
        ):
            rows = part.values.astype(np.float64)
            rows[part.diverged] = np.nan  # null, and no number beside it
            if self.reports:
                within = np.sqrt(np.square(rows).sum(axis=1)) <= self.clip  # of a null row: no, and it does not count
                rows = np.column_stack([rows, np.where(within, 1.0, -1.0)])
            yield clients[part.positions], rows


def fitting(data: Any, model: Model, loss_fn: Loss) -> tuple[Clients, Answer | None]:
    """The clients' examples, if the model and the loss can read them, and what is known of these; see `answer`.

    Each client's randomness is seeded by its own data. (By its place it would be seeded by who else is there: one more
    client would move every other's update.)

    Raises:
        BadArgument: they cannot; the client is named.
    """
    clients = data if isinstance(data, Clients) else Clients.of(data, model.dtype)
    found = answer(model, loss_fn, clients)
    seeds = np.array([_own_seed(*pair) for pair in clients.examples], dtype=np.int64)
    return replace(clients, ids=seeds), found


def _own_seed(features: torch.Tensor, labels: torch.Tensor) -> int:
    hashed = hashlib.blake2b(digest_size=7)
    for part in (features, labels):
        hashed.update(repr((tuple(part.shape), part.dtype)).encode())
        hashed.update(part.contiguous().numpy().tobytes())
    return int.from_bytes(hashed.digest(), "little")


@dataclass(frozen=True, eq=False)
class Training:
    """A whole run: `plan.rounds` rounds, equal shares of its cost, sampled at the plan's rate.

    Formal guarantee, per round: a client's row is clipped to the ball of radius `clip` in exact integers and counts
    once, whatever it holds (`Updates`); a NaN anywhere makes it null. The server divides by the expected cohort, never
    by who came. Everything else (the server's optimizer, the next clip, the next parameters) is post-processing. The
    noise of the rounds is the session's.

    Attributes:
        start: where the run stands: before its first round, or at a checkpoint.

    Raises:
        BadArgument: clients weighted by their examples, which no clipping bounds.
    """

    model: Model
    algorithm: Algorithm
    plan: Plan | UnsampledPlan
    clip: Clip
    start: Progress

    def __post_init__(self) -> None:
        if self.algorithm.weighting == "examples":
            raise BadArgument(
                "algorithm= weights clients by their examples: one with many would move the sum by "
                'more than its clip, and how many it has would show; use weighting="uniform"'
            )
        if isinstance(self.plan, UnsampledPlan) and not isinstance(self.clip, FixedClip):
            raise BadArgument("clip= must be fixed where noise is correlated: it cancels between rounds of one scale")

    @classmethod
    def of(cls, model: Model, algorithm: Algorithm, plan: Plan | UnsampledPlan, clip: Clip) -> Training:
        """A run from its first round."""
        return cls(model, algorithm, plan, clip, Progress(algorithm.start(model.initial), clip.start))

    @property
    def shares(self) -> tuple[Fraction, ...]:
        """Equal ones."""
        return (Fraction(1, self.plan.rounds),) * self.plan.rounds

    @property
    def sampling_rate(self) -> float:
        """Of the clients in each round."""
        return self.plan.sampling_rate

    @property
    def first(self) -> int:
        """The round that it goes on with."""
        return self.start.state.round

    def beginning(self) -> Training:
        """The same run from its first round."""
        return self if self.first == 0 else Training.of(self.model, self.algorithm, self.plan, self.clip)

    def resumed(self, progress: Progress) -> Training:
        """The same run, from a checkpoint on."""
        return replace(self, start=progress)

    def rounds(self) -> Rounds:
        """One after the other; the result is the last progress."""
        progress = self.start
        while progress.state.round < self.plan.rounds:
            block = self.block(progress)
            [noisy] = yield Round((block,), self.sampling_rate, self._correlated(progress))
            progress = self.after(progress, noisy)
        return progress

    def block(self, progress: Progress) -> Block:
        """What the next round asks."""
        weights = () if self._weight is None else (self._weight,)
        code = LocalUpdate(
            self.model,
            self.algorithm.local,
            progress.state.parameters,
            progress.state.round,
            progress.clip,
            reports=bool(weights),
        )
        return Block(Registered(code), Updates(progress.clip, self.model.size, weights))

    def after(self, progress: Progress, noisy: Noisy) -> Progress:
        """The progress after a round, from its noisy sum."""
        encoder, cohort = self.block(progress).encoder, float(self.plan.cohort)
        update = encoder.estimate(noisy).value / cohort
        state = self.algorithm.server_update(progress.state, update.astype(progress.state.parameters.dtype))
        step = float(np.sqrt(np.square(update).sum()))
        if self._weight is None or not isinstance(encoder, Updates):
            return Progress(state, progress.clip, step=step)
        unclipped = float(0.5 + encoder.numbers(noisy)[0] / (2 * cohort))
        return Progress(state, self.clip.after(progress.clip, unclipped), unclipped, step)

    def describe(self) -> dict[str, Any]:
        """The canonical form: the same for a run and for what is left of it."""
        return {
            "is": "Training",
            "model": architecture(self.model),
            "local": described(self.algorithm.local),
            "server": described(self.algorithm.server),
            "clip": described(self.clip),
            "plan": self.plan,
        }

    @cached_property
    def fingerprint(self) -> str:
        """What a checkpoint belongs to."""
        return digest(self)

    def _correlated(self, progress: Progress) -> Correlated | None:
        return Correlated(self.plan.noise, progress.state.round) if isinstance(self.plan, UnsampledPlan) else None

    @property
    def _weight(self) -> float | None:
        return self.clip.weight(self.plan.noise_multiplier, float(self.plan.cohort))


def architecture(model: Model) -> dict[str, Any]:
    """A model as JSON: its parameters' names and shapes, and the hash of their initial values."""
    initial = hashlib.sha256(model.initial.tobytes()).hexdigest()
    return {"names": model.names, "shapes": model.shapes, "initial": initial}


def described(settings: Any) -> dict[str, Any]:
    """Frozen settings as JSON: functions by their names."""
    values = {f.name: getattr(settings, f.name) for f in fields(settings)}
    plain = {name: getattr(v, "__qualname__", str(v)) if callable(v) else v for name, v in values.items()}
    return {"is": type(settings).__name__, **plain}
