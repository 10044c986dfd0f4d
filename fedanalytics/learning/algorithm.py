"""A federated algorithm: what a client does with the parameters, and what the server does with the mean update."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.learning.clients import Clients
from fedanalytics.learning.engines import EngineName
from fedanalytics.learning.local import Floats, Integers, LocalTraining
from fedanalytics.learning.model import Model, Vector
from fedanalytics.learning.optimizers import Memory, Optimizer, Sgd
from fedanalytics.learning.training import Updates, train

Weighting: TypeAlias = Literal["examples", "uniform"]


@dataclass(frozen=True, eq=False)
class State:
    """What lies between two rounds, and all that a run needs to resume.

    Attributes:
        round: how many rounds were made.
        parameters: shape (size,).
        memory: of the server's optimizer, arrays by name.
    """

    round: int
    parameters: Vector
    memory: Memory


@dataclass(frozen=True)
class Algorithm:
    """Local training and a server optimizer.

    Attributes:
        local: what a client does.
        server: what the server does with the mean update.
        weighting: of that mean: "examples" (a client counts as often as it has examples) or "uniform"; None is by
            examples in a simulation, and uniform where the sum is private, which no other can be.

    Raises:
        BadArgument: another weighting, or settings of another kind.
    """

    local: LocalTraining = field(default_factory=LocalTraining)
    server: Optimizer = field(default_factory=Sgd)
    weighting: Weighting | None = None

    def __post_init__(self) -> None:
        if self.weighting is not None:
            _validate.one_of(get_args(Weighting), weighting=self.weighting)
        if not isinstance(self.local, LocalTraining):
            raise BadArgument(f"local= must be a LocalTraining, got {self.local!r}")
        if not (hasattr(self.server, "start") and hasattr(self.server, "step")):
            raise BadArgument(f"server= must be an optimizer such as Sgd(1.0) or Adam(0.1), got {self.server!r}")

    def start(self, parameters: Vector) -> State:
        """Before the first round."""
        return State(0, parameters, self.server.start(parameters))

    def weights(self, sizes: Integers) -> Floats:
        """What each client's update counts, summing to 1: shape (n,). Clients without examples count nothing."""
        counts = np.minimum(sizes, 1) if self.weighting == "uniform" else sizes
        return np.asarray(counts / max(int(counts.sum()), 1))

    def client_updates(self, model: Model, state: State, clients: Clients, engine: EngineName = "auto") -> Updates:
        """Every client's update in this round; see `train`."""
        return train(model, state.parameters, clients, self.local, training_round=state.round, engine=engine)

    def server_update(self, state: State, update: Vector) -> State:
        """The next state, given the mean update, shape (size,), wherever it comes from.

        Raises:
            BadArgument: the state is that of another server optimizer.
        """
        update = update.astype(state.parameters.dtype, copy=False)
        try:
            parameters, memory = self.server.step(state.memory, state.parameters, update)
        except KeyError as missing:
            raise BadArgument(f"state= comes from another server optimizer: it holds no {missing}") from missing
        kept = {name: value.astype(update.dtype, copy=False) for name, value in memory.items()}
        return replace(
            state, round=state.round + 1, parameters=parameters.astype(update.dtype, copy=False), memory=kept
        )
