"""Clients with a data set each, in this process: what registered code, such as a training step, runs over."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics._validate import text, whole
from fedanalytics.errors import BadArgument
from fedanalytics.fleet.encoding import Cohort
from fedanalytics.round.blocks import Block, Integers
from fedanalytics.round.work import Code, Registered, Work

Place = Callable[[npt.NDArray[np.int64], npt.NDArray[Any]], None]


class DatasetFleet:
    """The clients; a session may ask them to run registered code, and gets exact integer sums of what it returns.

    **Guarantee.** A client's values depend on its own data set only, if the code keeps to that (`Code`). Whatever the
    code raises over a client's data is not shown: that block is the sum of null vectors.

    Attributes:
        client: what a client is: the unit of privacy.
        dataset: what the data is called.
        population: the declared, public number of clients, or None.
        roster: how many there are.
        group: None.
        columns: none that SQL could read.
    """

    group = None

    def __init__(self, data: Any, *, client: str, dataset: str, population: int | None) -> None:
        self.client, self.dataset = text(client=client), text(dataset=dataset)
        self.population = None if population is None else whole(population=population)
        names = data.client_ids if hasattr(data, "client_ids") else None
        self._data = data.pairs() if hasattr(data, "pairs") else data
        if not isinstance(self._data, Sequence) or not len(self._data):
            raise BadArgument("data= must be a list with one pair (features, labels) per client, at least one")
        self.roster = len(self._data)
        self._given = None if names is None else tuple(map(str, names))
        self.columns: dict[str, str] = {}
        self._loaded: dict[str, tuple[Any, Any]] = {}

    def check(self, work: Work, *, text: bool | None = None) -> None:  # noqa: ARG002  # code returns numbers
        """Reads the data as the code does, once for all that reads alike: faults are found before anything is paid.

        Raises:
            BadArgument: a work that is no registered code, or data that it cannot read.
        """
        self._load(_code(work))

    def describe(self, work: Work) -> dict[str, Any]:
        """The name of the code and the digest of what it is told."""
        return {"code": _code(work).describe()}

    def sums(
        self,
        blocks: Sequence[Block],
        steps: Sequence[int],
        cohorts: Sequence[Cohort | None] | None = None,
        *,
        everyone: bool = False,
    ) -> list[Integers]:
        """As `Fleet.sums`. Only those who take part run the code."""
        return [
            self._sum(block, step, self._drawn(cohort), everyone=everyone)
            for block, step, cohort in zip(blocks, steps, cohorts or [None] * len(blocks), strict=True)
        ]

    def messages(self, blocks: Sequence[Block], steps: Sequence[int]) -> list[Integers]:
        """As `Fleet.messages`."""
        return [self._rows(block, step) for block, step in zip(blocks, steps, strict=True)]

    def assigned(self, groups: int) -> npt.NDArray[np.int64]:
        """Which of so many public groups each client is in, shape (roster,): by a hash of its name.

        In a list clients have no names, and a place would follow from who else is there: there it is by a hash of the
        client's own data.
        """
        hashes = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in self._names)
        return np.array([int.from_bytes(each, "little") % groups for each in hashes], dtype=np.int64)

    @functools.cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(map(_contents, self._data)) if self._given is None else self._given

    def _sum(self, block: Block, steps: int, clients: npt.NDArray[np.int64], *, everyone: bool) -> Integers:
        total, seen = np.zeros(block.encoder.size, dtype=np.int64), 0

        def add(positions: npt.NDArray[np.int64], values: npt.NDArray[Any]) -> None:
            nonlocal total, seen
            total += block.encoder.sums(values, steps)
            seen += len(positions)

        if not self._ran(block, clients, add):
            total, seen = np.zeros_like(total), 0
        if everyone and seen < len(clients):
            total += block.encoder.sums(_null(block, len(clients) - seen), steps)
        return total

    def _rows(self, block: Block, steps: int) -> Integers:
        nobody = block.encoder.rows(_null(block, 1), steps)
        rows = np.repeat(nobody, self.roster, axis=0)

        def put(positions: npt.NDArray[np.int64], values: npt.NDArray[Any]) -> None:
            rows[positions] = block.encoder.rows(values, steps)

        if not self._ran(block, np.arange(self.roster), put):
            rows[:] = nobody
        return rows

    def _ran(self, block: Block, clients: npt.NDArray[np.int64], place: Place) -> bool:
        code = _code(block.work)
        loaded = self._load(code)
        try:
            for positions, values in code.values(loaded, clients):
                place(positions, values)
        except Exception:  # noqa: BLE001 - it tells what the code met: soundness, channel "a device's exception"
            return False
        return True

    def _load(self, code: Code) -> Any:
        """What the code reads, kept until another of its name reads for another purpose (`reads`: a model, a loss)."""
        reads = getattr(code, "reads", code)  # what does not say is like nothing else
        known, loaded = self._loaded.get(code.name, (None, None))
        if known != reads:
            loaded = code.load(self._data)
            self._loaded[code.name] = reads, loaded
        return loaded

    def _drawn(self, cohort: Cohort | None) -> npt.NDArray[np.int64]:
        return np.arange(self.roster) if cohort is None else np.flatnonzero(cohort(self.roster))


def _code(work: Work) -> Code:
    if not isinstance(work, Registered):
        raise BadArgument(
            "this fleet holds data sets, which registered code reads (training, evaluation); for statistics over "
            "columns make a fleet of a table: Fleet.from_pandas, from_parquet, from_csv"
        )
    return work.code


def _contents(pair: Any) -> str:
    """A name for a client without one, made of all that it holds."""
    hashed = hashlib.blake2b(digest_size=16)
    for part in map(np.asarray, pair):
        hashed.update(repr((part.shape, str(part.dtype))).encode())
        hashed.update(np.ascontiguousarray(part).tobytes())
    return hashed.hexdigest()


def _null(block: Block, clients: int) -> npt.NDArray[np.float64]:
    columns = block.encoder.columns
    return np.full((clients,) if columns == 1 else (clients, columns), np.nan)
