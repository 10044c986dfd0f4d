"""A round of federated averaging against the same round in plain torch, and against pfl (0.6) where it is installed.

Clients hold 50 images of 28 x 28; a round is one pass in batches of 10. Every round trains all clients and averages;
ours and plain torch's also say the loss and accuracy during training. That all give the same parameters is checked
first. Each case is timed at one thread and at as many as torch takes by itself.

pfl 0.6 asks for a dp-accounting that is older than ours, for parts that are not used here: `pip install --no-deps pfl
multiprocess dill tqdm`, best into a virtual environment of its own.
"""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from cases import case
from interleave import Row, ratio
from torch import nn
from torch.nn import functional

from fedanalytics.learning import Clients, Sgd, build_federated_averaging_process

PEER = importlib.util.find_spec("pfl") is not None
STATUS, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # of Linux
RATE, BATCH, ROWS = 0.1, 10, 50
Data = list[tuple[torch.Tensor, torch.Tensor]]


def dense() -> nn.Module:
    """784-64-10 with ReLU: what the dense engine takes."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))


def normed() -> nn.Module:
    """The same size with GELU and LayerNorm: for vmap."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 10))


def convolutional() -> nn.Module:
    """Two convolutions of 5 x 5, as in McMahan et al. 2017, without padding: 582,026 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1024, 512),
        nn.ReLU(),
        nn.Linear(512, 10),
    )


def narrow() -> nn.Module:
    """Two convolutions with few channels: 26,010 parameters (the network of many papers on private training)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 8, 2, padding=3),
        nn.ReLU(),
        nn.MaxPool2d(2, 1),
        nn.Conv2d(16, 32, 4, 2),
        nn.ReLU(),
        nn.MaxPool2d(2, 1),
        nn.Flatten(),
        nn.Linear(512, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


def cohort(clients: int) -> Data:
    """Noise: what is learnt does not matter here."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(clients, ROWS, 1, 28, 28, generator=generator)
    labels = torch.randint(0, 10, (clients, ROWS), generator=generator)
    return list(zip(images, labels, strict=True))


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Torch's threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seeded(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """The same initial values at every call."""

    def model_fn() -> nn.Module:
        torch.manual_seed(0)
        return make()

    return model_fn


def ours(make: Callable[[], nn.Module], data: Data, epochs: int, batch: int = BATCH) -> Callable[[], torch.Tensor]:
    """A round of our trainer, on data checked before; it gives the new parameters, as the others do."""
    trainer = build_federated_averaging_process(
        seeded(make), client_optimizer=Sgd(RATE), epochs=epochs, batch_size=batch
    )
    state, clients = trainer.initialize(), Clients.of(data)
    return lambda: torch.from_numpy(trainer.next(state, clients)[0].parameters)


def plain(make: Callable[[], nn.Module], data: Data, epochs: int, batch: int = BATCH) -> Callable[[], torch.Tensor]:
    """The same round as everybody writes it."""
    module = seeded(make)()
    start = [p.detach().clone() for p in module.parameters()]

    def run() -> torch.Tensor:
        mean, loss, right = [torch.zeros_like(p) for p in start], 0.0, 0
        for x, y in data:
            with torch.no_grad():
                for p, first in zip(module.parameters(), start, strict=True):
                    p.copy_(first)
            optimizer = torch.optim.SGD(module.parameters(), lr=RATE)
            for _ in range(epochs):
                for rows in torch.randperm(len(y)).split(batch):
                    optimizer.zero_grad()
                    outputs = module(x[rows])
                    value = functional.cross_entropy(outputs, y[rows])
                    value.backward()
                    optimizer.step()
                    loss += value.item() * len(rows)
                    right += (outputs.argmax(1) == y[rows]).sum().item()
            with torch.no_grad():
                for total, p in zip(mean, module.parameters(), strict=True):
                    total.add_(p, alpha=1 / len(data))
        return torch.cat([p.flatten() for p in mean])

    return run


def peers(make: Callable[[], nn.Module], data: Data, epochs: int, batch: int = BATCH) -> Callable[[], torch.Tensor]:
    """A round of pfl's simulated backend, without evaluation; the next begins where it ended."""
    from pfl.aggregate.simulate import SimulatedBackend
    from pfl.algorithm.base import NNAlgorithmParams
    from pfl.algorithm.federated_averaging import FederatedAveraging
    from pfl.data.dataset import Dataset
    from pfl.data.federated_dataset import FederatedDataset
    from pfl.data.sampling import get_user_sampler
    from pfl.hyperparam import NNTrainHyperParams
    from pfl.metrics import Weighted
    from pfl.model.pytorch import PyTorchModel

    module = seeded(make)()

    def loss(x, y, **_):
        return functional.cross_entropy(module(x), y)

    def metrics(x, y, **_):
        return {"loss": Weighted(functional.cross_entropy(module(x), y, reduction="sum").item(), len(y))}

    module.loss, module.metrics = loss, metrics
    model = PyTorchModel(module, torch.optim.SGD, torch.optim.SGD(module.parameters(), lr=1.0))
    users = FederatedDataset(lambda user: Dataset(data[user]), get_user_sampler("minimize_reuse", range(len(data))))
    backend = SimulatedBackend(training_data=users, val_data=users)
    settings = NNTrainHyperParams(local_batch_size=batch, local_num_epochs=epochs, local_learning_rate=RATE)
    rounds = NNAlgorithmParams(
        central_num_iterations=10**9, evaluation_frequency=10**9, train_cohort_size=len(data), val_cohort_size=None
    )
    algorithm = FederatedAveraging()

    def run() -> torch.Tensor:
        [context], *_ = algorithm.get_next_central_contexts(model, 1, rounds, settings)
        statistics, found = backend.gather_results(model=model, training_algorithm=algorithm, central_context=context)
        algorithm.process_aggregated_statistics(context, found, model, statistics)
        return torch.cat([p.detach().flatten() for p in module.parameters()])

    return run


ROUNDS = {"ours": ours, "the same in plain torch": plain} | ({"pfl": peers} if PEER else {})
FLOORS = list(ROUNDS)[1:]


def agreed(make: Callable[[], nn.Module]) -> None:
    """Two passes in whole batches, which no shuffling changes: everybody must come to the same parameters."""
    data = cohort(5)
    first = seeded(make)()
    start = torch.cat([p.detach().flatten() for p in first.parameters()])
    updates = [of(make, data, 2, ROWS)() - start for of in ROUNDS.values()]
    for name, update in zip(ROUNDS, updates, strict=True):
        error = float((update - updates[0]).norm() / updates[0].norm())
        assert error < 1e-3, f"{name} trains {make.__name__} otherwise: the updates differ by {error:.2g}"


def grown(name: str, number: int) -> tuple[float, float]:
    """MB at the peak of a round of 200 clients: over what the process held after a round of two, and in all."""
    data = cohort(200)
    with threads(number):
        ROUNDS[name](convolutional, data[:2], 1)()
        before = _memory("VmRSS")
        PEAK.write_text("5")
        ROUNDS[name](convolutional, data, 1)()
    peak = _memory("VmHWM")
    return peak - before, peak


def _memory(entry: str) -> float:
    [line] = [line for line in STATUS.read_text().splitlines() if line.startswith(entry)]
    return float(line.split()[1]) / 1024


def compared(make: Callable[[], nn.Module], clients: int, goal: float, runs: int, epochs: int = 1) -> Iterator[Row]:
    """Rows of one model and cohort, against each floor, at one thread and at the default."""
    if not PEER:
        print("pfl is not installed: no rows against it", file=sys.stderr)
    agreed(make)
    data = cohort(clients)
    for number in sorted({1, torch.get_num_threads()}):
        with threads(number):
            for name in FLOORS:
                found, spread = ratio(ours(make, data, epochs), ROUNDS[name](make, data, epochs), runs)
                passes = "" if epochs == 1 else f", {epochs} passes"
                work = f"FedAvg round, {make.__name__}, {clients} clients{passes}, {number} thread{'s' * (number > 1)}"
                yield Row(work, name, found, goal, spread)


@case
def learning_dense(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # a case takes the folder, needed or not
    """Small dense models: batched products."""
    yield from compared(dense, 50, 1 / 5, 21)
    yield from compared(dense, 200, 1 / 5, 9)
    yield from compared(dense, 50, 1 / 5, 7, epochs=5)


@case
def learning_vectorised(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # likewise
    """Any small dense module: vmap."""
    yield from compared(normed, 50, 1 / 2, 11)
    yield from compared(normed, 200, 1 / 2, 7)


@case
def learning_convolutions(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # likewise
    """Convolutions: a better layout in memory, and clients instead of operations on the cores."""
    yield from compared(convolutional, 20, 1 / 1.3, 7)
    yield from compared(narrow, 50, 1 / 1.3, 7)


@case
def learning_memory(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # likewise
    """The peak of a round in a process of its own, over what it held before: torch, the code and the data."""
    if not PEAK.exists():
        print("the peak of memory is read from Linux' /proc: no rows of it", file=sys.stderr)
        return
    for number in sorted({1, torch.get_num_threads()}):
        peaks: dict[str, list[tuple[float, ...]]] = {name: [] for name in ROUNDS}
        for _ in range(5):
            for name, found in peaks.items():
                found.append(_alone(name, number))
        own, *others = (tuple(map(statistics.median, zip(*found, strict=True))) for found in peaks.values())
        for name, peak in zip(FLOORS, others, strict=True):
            yield Row(
                f"FedAvg round, convolutional, 200 clients, {number} thread{'s' * (number > 1)}: {own[0]:.0f} MB more "
                f"than at rest ({own[1]:.0f} in all)",
                f"{name}: {peak[0]:.0f} MB ({peak[1]:.0f} in all)",
                own[0] / peak[0],
                2.0,
            )


def _alone(name: str, number: int) -> tuple[float, ...]:
    program = "import sys, learning; print(*learning.grown(sys.argv[1], int(sys.argv[2])))"
    command = [sys.executable, "-c", program, name, str(number)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    return tuple(map(float, done.stdout.split()[-2:]))
