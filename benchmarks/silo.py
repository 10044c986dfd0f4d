"""A private gradient step in one silo against Opacus, batch 256, one thread: ``scripts/bench silo``.

Both clip the same examples at the same bound, add their noise and descend; ours adds exact integers from a CSPRNG. That
the updates are the same is checked first, without noise. Without Opacus there are no rows.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from cases import case
from interleave import Row, ratio
from learning import dense, narrow, seeded
from torch import nn

from fedanalytics.learning import Model, Sgd
from fedanalytics.learning.losses import cross_entropy
from fedanalytics.learning.silo.engines import choose
from fedanalytics.learning.silo.planning import SiloPlan
from fedanalytics.learning.silo.releases import Release
from fedanalytics.learning.silo.rows import Rows
from fedanalytics.learning.silo.runs import Run

PEER = importlib.util.find_spec("opacus") is not None
BATCH, CLIP, RATE = 256, 1.0, 0.1


def examples() -> tuple[torch.Tensor, torch.Tensor]:
    """Random images, random classes."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(BATCH, 1, 28, 28, generator=generator), torch.randint(0, 10, (BATCH,), generator=generator)


class Ours:
    """A step, and the parameters after one from the start."""

    def __init__(self, make: Callable[[], nn.Module], noise: float) -> None:
        model, rows = Model.of(seeded(make)), Rows.of(examples())
        self.engine = choose(model, cross_entropy, rows.shapes)
        plan = SiloPlan(1.0, 1e-6, steps=1, examples=BATCH, batch=BATCH, noise_multiplier=noise)
        release = Release.of(
            clip=CLIP, size=model.size, noise_multiplier=noise, sampling_rate=plan.sampling_rate, batch=BATCH
        )
        self.run = Run(model, rows, plan, release, Sgd(RATE), cross_entropy, None)
        self.progress = self.run.start

    def __call__(self) -> None:
        self.progress = self.run.after(self.progress, self.engine)

    def parameters(self) -> torch.Tensor:
        return torch.from_numpy(self.run.after(self.run.start, self.engine).state.parameters)


class Theirs:
    """The same by Opacus."""

    def __init__(self, make: Callable[[], nn.Module], noise: float, mode: str) -> None:
        from opacus import PrivacyEngine

        self.module = seeded(make)()
        self.examples = examples()
        data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*self.examples), batch_size=BATCH)
        found = PrivacyEngine().make_private(
            module=self.module,
            optimizer=torch.optim.SGD(self.module.parameters(), lr=RATE),
            criterion=nn.CrossEntropyLoss(),
            data_loader=data,
            noise_multiplier=noise,
            max_grad_norm=CLIP,
            poisson_sampling=False,
            grad_sample_mode=mode,
        )
        self.wrapped, self.optimizer = found[0], found[1]
        self.loss = found[2] if mode == "ghost" else nn.CrossEntropyLoss()

    def __call__(self) -> None:
        x, y = self.examples
        self.optimizer.zero_grad()
        self.loss(self.wrapped(x), y).backward()
        self.optimizer.step()

    def parameters(self) -> torch.Tensor:
        self()
        return torch.cat([p.detach().flatten() for p in self.module.parameters()])


@case
def silo_steps(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # a case takes the folder, needed or not
    """A step of a dense stack and of a small CNN. The goals are shares of the time that Opacus' hooks take."""
    if not PEER:
        return
    warnings.simplefilter("ignore")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name, make, mode, goal in (
        ("784-64-10", dense, "hooks", 1 / 8),
        ("784-64-10", dense, "ghost", 2.0),
        ("2 convolutions", narrow, "hooks", 1 / 1.6),
        ("2 convolutions", narrow, "ew", 1 / 1.6),
        ("2 convolutions", narrow, "ghost", 1 / 1.6),
    ):
        apart = float((Ours(make, 2.0**-20).parameters() - Theirs(make, 0.0, mode).parameters()).abs().max())
        found, quartiles = ratio(Ours(make, 1.0), Theirs(make, 1.0, mode), 21)
        work = f"private step, {name}, {1 / found:.1f} times as fast, updates within {apart:.0e}"
        yield Row(work, f"Opacus, {mode}", found, goal, quartiles)
    torch.set_num_threads(threads)
