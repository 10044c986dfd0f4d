"""What lies between two rounds, on disk: one safetensors file, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fedanalytics.errors import BadArgument
from fedanalytics.learning.algorithm import State
from fedanalytics.learning.model import Vector
from fedanalytics.learning.private.training import Progress

_VERSION = "1"
NAME = "checkpoint.safetensors"


@dataclass(frozen=True)
class Row:
    """What is known of a round: noisy, or public.

    Attributes:
        round: counted from 1.
        epsilon: of the rounds up to this one, at the plan's delta.
        clip: of this round.
        unclipped: the noisy fraction of updates within it, if the clip is adaptive.
        step: the L2 norm of the noisy mean update.
    """

    round: int
    epsilon: float
    clip: float
    unclipped: float | None
    step: float


@dataclass(frozen=True, eq=False)
class Made(Row):
    """The same as it is told when the round has been made, with the model that it came to.

    Attributes:
        parameters: after the round, shape (size,), not to be written to; made of noisy sums, like the rest. Who keeps
            all of these keeps a vector per round.
    """

    parameters: Vector = field(repr=False)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a run stands. It holds what the ledger's answers imply, and no randomness: resuming draws nothing twice.

    Attributes:
        training: the fingerprint of the run that it belongs to.
        key: under which the session asked.
        progress: parameters, the server optimizer's memory, the clip, how many rounds were made.
        history: a row per round.
    """

    training: str
    key: str
    progress: Progress
    history: tuple[Row, ...]

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Writes it beside the old one and then in its place; both are synced.

        Raises:
            BadArgument: the folder cannot be written to.
        """
        from safetensors.numpy import save  # noqa: PLC0415  # of the extra `learning`

        state = self.progress.state
        arrays = {"parameters": state.parameters} | {f"memory.{name}": v for name, v in state.memory.items()}
        contiguous = {name: np.ascontiguousarray(np.atleast_1d(array)) for name, array in arrays.items()}
        meta = {
            "version": _VERSION,
            "training": self.training,
            "key": self.key,
            "round": str(state.round),
            "clip": repr(self.progress.clip),
            "scalars": json.dumps([name for name, array in arrays.items() if np.ndim(array) == 0]),
            "history": json.dumps([asdict(row) for row in self.history]),
        }
        path, part = Path(folder) / NAME, Path(folder) / f"{NAME}.part"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(save(contiguous, metadata=meta))
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            _sync(path.parent)
        except OSError as error:
            raise BadArgument(f"checkpoint={os.fspath(folder)!r} cannot be written ({error.strerror})") from error
        return path

    @classmethod
    def load(cls, folder: str | os.PathLike[str], training: str, key: str) -> Checkpoint | None:
        """The checkpoint of a run, None if there is none.

        Raises:
            BadArgument: it is another run's or another key's, or damaged.
        """
        path = Path(folder) / NAME
        if not path.exists():
            return None
        arrays, meta = _read(path)
        if meta.get("training") != training:
            raise BadArgument(
                f"{path} belongs to another run: its model, algorithm, clip or plan differ; give another checkpoint= "
                "folder, or what it was started with"
            )
        if meta.get("key") != key:
            raise BadArgument(f"{path} was paid under the key {meta.get('key')!r}, not {key!r}; give that key=")
        try:
            scalars = set(json.loads(meta["scalars"]))
            shaped = {name: array.reshape(()) if name in scalars else array for name, array in arrays.items()}
            memory = {name.removeprefix("memory."): v for name, v in shaped.items() if name != "parameters"}
            state = State(int(meta["round"]), shaped["parameters"], memory)
            history = tuple(Row(**row) for row in json.loads(meta["history"]))
            return cls(training, key, Progress(state, float(meta["clip"])), history)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path) from error


def _read(path: Path) -> tuple[dict[str, Any], Mapping[str, str]]:
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415  # of the extra `learning`

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> BadArgument:
    return BadArgument(
        f"{path} is damaged: remove it, and the run goes on from the answers that the ledger holds under its key"
    )


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
