"""Where the server keeps what correlated noise remembers between the rounds of a run."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.correlated import State, Stream


@dataclass(frozen=True)
class NoiseStates:
    """The states of correlated noise, by run and round: in a folder that only the server can read, or in memory.

    A state is as secret as the noise. That before a round is kept until the round's answer is committed, so that a
    round that nobody has seen can be drawn anew; the one before it is removed then. A state holds no seed: what is
    drawn anew is fresh, and correlated as it should be with what was released.

    Attributes:
        folder: None keeps them in memory: a run that stops with its process cannot go on.

    Raises:
        BadArgument: the folder cannot be written to.
    """

    folder: str | os.PathLike[str] | None = None
    _kept: dict[tuple[str, int], State] = field(default_factory=dict, repr=False, compare=False)

    def before(self, stream: Stream, round_: int) -> State:
        """The state before a round.

        Raises:
            BadArgument: it is not there.
        """
        if round_ == 0:
            return stream.start()
        run = stream.fingerprint
        state = self._kept.get((run, round_)) if self.folder is None else self._read(self._path(run, round_))
        if state is None:
            where = "in memory" if self.folder is None else f"in {os.fspath(self.folder)!r}"
            raise BadArgument(
                f"the state of the correlated noise before round {round_ + 1} is not {where}: without it the noise of "
                "this run cannot go on. Keep it in a folder, fa.Central(states=fa.NoiseStates(folder)), from the start"
            )
        return state

    def keep(self, stream: Stream, state: State) -> None:
        """Keeps the state after a round, durable when it returns; forgets what no round can need again."""
        run, old = stream.fingerprint, state.round - 2
        if self.folder is None:
            self._kept[run, state.round] = state
            self._kept.pop((run, old), None)
            return
        path = self._path(run, state.round)
        content = io.BytesIO()
        arrays = state.to_arrays()
        np.savez(content, header=arrays["header"], rows=arrays["rows"])
        part = path.with_suffix(".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with part.open("wb") as file:
                file.write(content.getvalue())
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            self._path(run, old).unlink(missing_ok=True)
        except OSError as error:
            raise BadArgument(f"states= cannot be kept in {os.fspath(self.folder)!r} ({error.strerror})") from error

    def _path(self, run: str, round_: int) -> Path:
        return Path(os.fspath(self.folder or ".")) / f"{run[:16]}-{round_}.npz"

    @staticmethod
    def _read(path: Path) -> State | None:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return State.from_arrays(dict(arrays))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise BadArgument(f"{path}, a state of correlated noise, is damaged: this run cannot go on") from error
