"""Local training of many clients, chunk by chunk, on all cores: parameters and examples in, updates out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from fedanalytics.learning.clients import Clients
from fedanalytics.learning.dense import Dense
from fedanalytics.learning.engines import Engine, EngineName, choose
from fedanalytics.learning.local import Floats, Integers, LocalTraining
from fedanalytics.learning.model import Model, Vector
from fedanalytics.learning.probing import Shapes, check_descends, check_labels, probe
from fedanalytics.learning.schedule import Chunk, batches, chunks, counts, pack
from fedanalytics.learning.sequential import Sequential
from fedanalytics.learning.vectorised import Vectorised

_Trained: TypeAlias = tuple[torch.Tensor, Floats, Floats, Floats]  # updates, their norms, sums of losses, of hits
_FEW = 8  # clients


@dataclass(frozen=True, eq=False)
class Updates:
    """What k clients' training came to.

    Attributes:
        positions: shape (k,): theirs in the cohort.
        values: shape (k, size), the model's dtype: local parameters minus those that the server sent.
        losses: shape (k,): the mean loss over all that a client read, each example before the step that it took part
            in; NaN for a client that read nothing or diverged.
        accuracies: shape (k,): the fraction classified rightly, likewise; NaN if labels are no classes.
        diverged: shape (k,): whose loss or update, or the square of its norm in the model's dtype, was not finite;
            their update is zero.
    """

    positions: Integers
    values: Vector
    losses: Floats
    accuracies: Floats
    diverged: npt.NDArray[np.bool_]


def train(
    model: Model,
    parameters: npt.ArrayLike,
    clients: Clients,
    local: LocalTraining,
    *,
    training_round: int = 0,
    engine: EngineName = "auto",
    isolated: bool = False,
) -> Updates:
    """Trains every client from the same parameters; see `train_in_chunks`, which this collects.

    Returns:
        one row per client, in the cohort's order.

    Example:
        >>> model = Model.of(lambda: torch.nn.Linear(2, 2))
        >>> clients = Clients.of([(np.ones((4, 2)), [0, 1, 1, 1]), (np.ones((0, 2)), [])])
        >>> updates = train(model, np.zeros(6), clients, LocalTraining(learning_rate=1.0))
        >>> updates.values.tolist(), updates.losses.round(3).tolist()
        ([[-0.25, -0.25, 0.25, 0.25, -0.25, 0.25], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], [0.693, nan])
    """
    n, start = len(clients), model.tensor(parameters)
    values: Vector = np.zeros((n, model.size), dtype=start.numpy().dtype)
    found = Updates(np.arange(n), values, np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, dtype=np.bool_))
    for part in train_in_chunks(
        model, start.numpy(), clients, local, training_round=training_round, engine=engine, isolated=isolated
    ):
        for name in ("values", "losses", "accuracies", "diverged"):
            getattr(found, name)[part.positions] = getattr(part, name)
    return found


def train_in_chunks(
    model: Model,
    parameters: npt.ArrayLike,
    clients: Clients,
    local: LocalTraining,
    *,
    training_round: int = 0,
    engine: EngineName = "auto",
    isolated: bool = False,
) -> Iterator[Updates]:
    """Trains every client that has examples, and gives the updates of a chunk of clients at a time.

    | engine     | trains                                                  | isolated |
    |------------|---------------------------------------------------------|----------|
    | sequential | anything, one client after the other: the definition    | yes      |
    | vmap       | what `torch.func.vmap` takes, stacked                   | no       |
    | dense      | chains of Linear, ReLU, Tanh under the cross entropy    | yes      |

    All give the same to float rounding. "auto" takes dense where it can; sequential for convolutions (their products
    are large enough as they are), for dropout and for large models; vmap otherwise.

    Isolated: a client's update is the same bit for bit whoever else is in the cohort, at any number of threads, as a
    sum must be whose sensitivity is claimed. No operation is split among threads (whole chunks are), and what is padded
    follows from the client's own size; that the kernels then do the same to each is tested, not promised by them. Under
    vmap they do not: sigmoid, GELU and others round differently at the end of a tensor than within. `isolated=True`
    keeps to isolated engines.

    A client that diverged (see `Updates`) contributes zero, and so does one without examples. The number of threads is
    torch's (`torch.set_num_threads`, OMP_NUM_THREADS).

    Raises:
        BadArgument: parameters of another shape, data that does not fit the model or the loss, labels out of range (the
            client is named), a loss without a gradient, or an engine that cannot train this.
    """
    start = model.tensor(parameters)
    held = clients.to(model.dtype)
    if not local.steps_of(held.sizes).any():
        return iter(())
    shapes = Shapes.of(held)
    answer = probe(model, local.loss_fn, shapes)
    check_labels(held, answer)
    check_descends(answer)
    chosen = choose(model, local, shapes, engine, isolated=isolated)
    task = _Task(chosen, answer.classes is not None, model, start, held, local, training_round, threading.local())
    workers = 1 if chosen.random else torch.get_num_threads()
    blocks = chosen.blocks(local, held.sizes)
    parts = chunks(held, local, blocks, lambda chunk: chosen.capacity(model, local, shapes, chunk), workers)
    return map(task, parts) if torch.get_num_threads() == 1 else _pooled(task, parts, workers)


@dataclass(frozen=True, eq=False)
class _Task:
    """A chunk's training. A module is a thread's own: its parameters are written."""

    engine: Engine
    scored: bool
    model: Model
    start: torch.Tensor
    clients: Clients
    local: LocalTraining
    training_round: int
    own: threading.local

    def __call__(self, chunk: Chunk) -> Updates:
        train = {"sequential": self._sequential, "vmap": self._vectorised, "dense": self._dense}[self.engine.name]
        values, norms, losses, hits = train(chunk)
        diverged = ~np.isfinite(norms + losses)
        values[np.flatnonzero(diverged)] = 0
        losses[diverged] = np.nan
        hits[diverged if self.scored else slice(None)] = np.nan
        rows = self.local.rows_of(self.clients.sizes[chunk.positions])
        return Updates(chunk.positions, values.numpy(), losses / rows, hits / rows, diverged)

    def _sequential(self, chunk: Chunk) -> _Trained:
        local, values = self.local, self.start.new_empty(len(chunk.positions), len(self.start))
        norms, losses, hits = np.empty((3, len(values)))
        trainer = self._own(lambda: Sequential(self.model, local, self.engine.layout))
        steps = local.steps_of(self.clients.sizes[chunk.positions]).tolist()
        for i, client in enumerate(chunk.positions.tolist()):
            size, who = int(self.clients.sizes[client]), int(self.clients.ids[client])
            rows = batches(size, steps[i], chunk.width, local.orders(self.training_round, who), torch.Generator())
            real = counts(size, np.arange(steps[i]), chunk.width).tolist()
            own = [row[:count] for row, count in zip(torch.from_numpy(rows), real, strict=True)]
            with torch.random.fork_rng(devices=[], enabled=self.engine.random):
                if self.engine.random:
                    torch.manual_seed(local.seed_of(self.training_round, who))
                losses[i], hits[i] = trainer.train(self.start, self.clients.examples[client], own, values[i])
            norms[i] = torch.linalg.vector_norm(values[i])
        return values, norms, losses, hits

    def _own(self, make: Callable[[], Any]) -> Any:
        """What a thread makes once for itself."""
        if not hasattr(self.own, "made"):
            self.own.made = make()
        return self.own.made

    def _dense(self, chunk: Chunk) -> _Trained:
        accompanied = _accompanied(chunk, self.local.steps_of(self.clients.sizes))
        examples = [self.clients.examples[i] for i in accompanied.positions]
        stack = Dense(self.engine.layers, self._start(), examples, self.local, chunk.block)
        values, *figures = self._trained(stack, accompanied)
        norms, losses, hits = (figure[-len(chunk.positions) :] for figure in figures)
        return values[-len(chunk.positions) :], norms, losses, hits

    def _vectorised(self, chunk: Chunk) -> _Trained:
        module = self._own(lambda: self.model.module().train())
        examples = [self.clients.examples[i] for i in chunk.positions]
        return self._trained(Vectorised(module, self._start(), examples, self.local), chunk)

    def _trained(self, stack: Dense | Vectorised, chunk: Chunk) -> _Trained:
        packed = pack(self.clients, chunk, self.local, self.training_round, self.model.dtype)
        figures = [stack.step(rows, weights) for rows, weights in packed]
        losses, hits = (packed.totals(list(figure)) for figure in zip(*figures, strict=True))
        k = len(chunk.positions)
        values, norms = self.start.new_empty(k, len(self.start)), np.empty(k)
        for part in np.array_split(np.arange(k), max(k // _FEW, 1)):  # what is written is still in the cache when read
            some = slice(part[0], part[-1] + 1)
            stack.write(dict(zip(self.model.names, self.model.split(values[some]), strict=True)), some)
            norms[some] = torch.linalg.vector_norm(values[some], dim=1).numpy()
        return values, norms, losses, hits

    def _start(self) -> dict[str, torch.Tensor]:
        return dict(zip(self.model.names, self.model.split(self.start), strict=True))


def _accompanied(chunk: Chunk, steps: Integers) -> Chunk:
    """The chunk, its first client twice if it would come to be alone: torch multiplies one matrix by other routines."""
    longest = steps[chunk.positions[:2]]
    alone = len(longest) == 1 or longest[0] > longest[1]
    return replace(chunk, positions=np.r_[chunk.positions[:1], chunk.positions]) if alone else chunk


def _pooled(task: Callable[[Chunk], Updates], parts: Sequence[Chunk], workers: int) -> Iterator[Updates]:
    """Chunks in threads that do not split operations further, one ahead of who reads the results."""
    threads = torch.get_num_threads()
    waiting: deque[Future[Updates]] = deque()
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for part in parts:
                waiting.append(pool.submit(task, part))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        torch.set_num_threads(threads)  # the workers' setting is also what new threads anywhere start with
