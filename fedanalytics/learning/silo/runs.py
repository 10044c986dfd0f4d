"""What a run in a silo is, apart from its randomness: what the ledger is asked for, and one step of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from fedanalytics.errors import FedAnalyticsError
from fedanalytics.learning.algorithm import State
from fedanalytics.learning.losses import Loss
from fedanalytics.learning.model import Model
from fedanalytics.learning.optimizers import Optimizer
from fedanalytics.learning.private.training import Progress, architecture, described
from fedanalytics.learning.silo.gradients import Gradients
from fedanalytics.learning.silo.planning import SiloPlan
from fedanalytics.learning.silo.releases import Floats, Release
from fedanalytics.learning.silo.rows import Rows
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.round.canonical import digest

UNIT = "example"


@dataclass(frozen=True, eq=False)
class Run:
    """The attributes are as `train_in_silo` takes them."""

    model: Model
    rows: Rows
    plan: SiloPlan
    release: Release
    optimizer: Optimizer
    loss_fn: Loss
    keystream: Keystream | None

    @property
    def trust(self) -> str:
        """Who adds the noise, and whether it is worth anything."""
        seeded = self.keystream is not None and not self.keystream.secure
        return "central, INSECURE: seeded noise" if seeded else "central"

    @property
    def start(self) -> Progress:
        """Before the first step."""
        initial = self.model.initial
        return Progress(State(0, initial, self.optimizer.start(initial)), self.release.clip)

    def describe(self) -> dict[str, Any]:
        """The canonical form: what is asked of the data."""
        return {
            "is": "TrainingInSilo",
            "unit": UNIT,
            "model": architecture(self.model),
            "optimizer": described(self.optimizer),
            "clip": self.release.clip,
            "loss": getattr(self.loss_fn, "__qualname__", str(self.loss_fn)),
            "plan": self.plan,
        }

    @cached_property
    def fingerprint(self) -> str:
        """What a checkpoint and an answer belong to."""
        return digest(self)

    @np.errstate(all="ignore")  # what diverges is noisy already
    def after(self, progress: Progress, engine: Gradients) -> Progress:
        """One step further.

        Raises:
            FedAnalyticsError: the module raised. Nothing is said of why: that may depend on data.
        """
        state = progress.state
        gradient = self._gradient(state.parameters, engine).astype(state.parameters.dtype)
        parameters, memory = self.optimizer.step(state.memory, state.parameters, -gradient)
        size = float(np.sqrt(np.square(gradient, dtype=np.float64).sum()))
        return Progress(State(state.round + 1, parameters, memory), self.release.clip, step=size)

    def _gradient(self, parameters: Any, engine: Gradients) -> Floats:
        try:
            engine.load(torch.from_numpy(parameters))
            with torch.random.fork_rng(devices=[]):  # who seeds torch, as model functions do, would know the masks
                torch.default_generator.manual_seed(int((self.keystream or Keystream()).words(1)[0]))
                return self.release.gradient(engine, self.rows, self.keystream)
        except FedAnalyticsError:
            raise
        except Exception:  # noqa: BLE001  # a user's module may raise anything, with data in the text
            raise FedAnalyticsError(
                "the module raised while it trained: it must not branch on the values of examples. Nothing is "
                "released, and what was reserved stays spent; correct model_fn= and run again under another key="
            ) from None
