"""The noise of a run as a machine: a state, and the step from one round to the next."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.samplers import LEAST, MOST, rounded_gaussian

Integers: TypeAlias = npt.NDArray[np.integer[Any]]
Noise: TypeAlias = npt.NDArray[np.int64]

_VERSION = 1


@dataclass(frozen=True, eq=False)
class State:
    """What the noise of later rounds depends on, between two rounds.

    It is as secret as the noise: who reads it can subtract what was added so far. It holds no key and no seed, so that
    no noise can be drawn twice: whoever resumes from it draws afresh, correlated with what was released as it should
    be. Resuming *before* a round that was released answers that round again, which nothing has paid for: keep the
    state with the answer, not beside it.

    Attributes:
        plan: the fingerprint of the stream that made it.
        round: how many rounds were answered.
        rows: integer vectors of one size, read-only and shared between states; not shown.
    """

    plan: str
    round: int
    rows: tuple[Integers, ...] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, for small vectors; `State.from_json` resumes from it."""
        return self._header | {"rows": [row.tolist() for row in self.rows]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> State:
        """The state that `to_json` wrote.

        Raises:
            BadArgument: it is not of this form.
        """
        try:
            header = {key: data[key] for key in ("version", "plan", "round")}
            rows = tuple(np.array([int(number) for number in row], np.int64) for row in data["rows"])
        except (TypeError, KeyError, ValueError, OverflowError):
            raise BadArgument("expected what State.to_json wrote") from None
        return cls._read(header, rows)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The same as two arrays, for `numpy.savez` and the like: `header` (bytes of JSON) and `rows` (rows, size)."""
        header = np.frombuffer(json.dumps(self._header).encode(), np.uint8)
        return {"header": header, "rows": np.stack(self.rows) if self.rows else np.zeros((0, 0), np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Any) -> State:
        """The state that `to_arrays` wrote, from a dict or what `numpy.load` returns.

        Raises:
            BadArgument: it is not of this form.
        """
        try:
            header, rows = json.loads(bytes(arrays["header"])), arrays["rows"]
        except (TypeError, KeyError, ValueError):
            raise BadArgument("expected the arrays that State.to_arrays wrote") from None
        known = isinstance(header, dict) and isinstance(rows, np.ndarray)
        if not (known and rows.ndim == 2 and rows.dtype.kind == "i"):
            raise BadArgument("expected the arrays that State.to_arrays wrote")
        return cls._read(header, tuple(rows))

    @property
    def _header(self) -> dict[str, Any]:
        return {"version": _VERSION, "plan": self.plan, "round": self.round}

    @classmethod
    def _read(cls, header: dict[str, Any], rows: tuple[Integers, ...]) -> State:
        if header.get("version") != _VERSION or not isinstance(header.get("plan"), str):
            raise BadArgument(f"a state of version {header.get('version')!r}; this release reads version {_VERSION}")
        return cls(header["plan"], _validate.whole(0, round=header.get("round")), tuple(map(frozen, rows)))


def frozen(row: Integers) -> Integers:
    """The row, as a view that cannot be written to: states share rows."""
    row = row.view()
    row.flags.writeable = False
    return row


@dataclass(frozen=True)
class Stream(ABC):
    """Integer noise for the sums of a run, round by round; every method is a pure function.

    Formal guarantee: x_t + noise_t over all rounds is a function of what the strategy's Gaussian mechanism releases;
    each subclass says which, and proves it. Sums may depend on earlier answers.

    Attributes:
        strategy: the JSON of the strategy.
        rounds: of the run.
        size: coordinates.
        deviation: of a fresh draw, in its own grid steps.
    """

    strategy: dict[str, Any] = field(repr=False)
    rounds: int
    size: int
    deviation: float

    def __post_init__(self) -> None:
        _validate.whole(size=self.size)
        if not LEAST <= self.deviation <= MOST:
            raise BadArgument(
                f"fresh noise would deviate by {self.deviation:.3g} steps of its grid, and only {LEAST:.2g} to "
                f"{MOST:.3g} can be drawn: choose a {'coarser' if self.deviation > MOST else 'finer'} grid for the sums"
            )

    @cached_property
    def fingerprint(self) -> str:
        """Of all that the noise depends on; a state is bound to it."""
        text = json.dumps({"stream": type(self).__name__} | asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def start(self) -> State:
        """The state before round 0."""
        return State(self.fingerprint, 0, ())

    def advance(self, state: State, keystream: Keystream | None = None) -> tuple[State, Noise]:
        """The noise of round `state.round`, int64, shape (size,), and the state after it.

        Args:
            state: from `start` or an earlier `advance`, or read back from a checkpoint.
            keystream: None, the default, keys one afresh; a test may pass `Keystream.insecure(seed)`.

        Raises:
            BadArgument: the run is over, or the state is another plan's or damaged.
        """
        self._check(state)
        count = self.draws(state.round)
        fresh = rounded_gaussian(self.deviation, count * self.size, keystream=keystream)
        rows, noise = self.step(state.rows, fresh.reshape(count, self.size), state.round)
        return State(state.plan, state.round + 1, rows), noise

    @abstractmethod
    def draws(self, round_: int) -> int:
        """How many fresh vectors round `round_` takes."""

    @abstractmethod
    def kept(self, round_: int) -> int:
        """How many rows there are before round `round_`."""

    @abstractmethod
    def step(self, rows: tuple[Integers, ...], fresh: Noise, round_: int) -> tuple[tuple[Integers, ...], Noise]:
        """The rows after round `round_`, and its noise, from fresh draws of shape (draws, size)."""

    def _check(self, state: State) -> None:
        if state.plan != self.fingerprint:
            raise BadArgument(
                f"the state is of plan {state.plan[:12]}, this stream of {self.fingerprint[:12]}: the noise of one run "
                "cannot go on in another; read the plan back from where it was kept (Plan.from_json)"
            )
        if state.round >= self.rounds:
            raise BadArgument(f"all rounds={self.rounds} of the plan were answered; more need a new plan")
        shapes = [row.shape for row in state.rows]
        if shapes != [(self.size,)] * self.kept(state.round):
            raise BadArgument(
                f"a state before round {state.round} holds {self.kept(state.round)} rows of {self.size} numbers, got "
                f"{len(shapes)} of shapes {sorted(set(shapes))}: the checkpoint is damaged"
            )
