"""The samplers against OpenDP's exact ones, and against numpy's floats, which are neither exact nor secure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from cases import case
from interleave import Row, ratio

from fedanalytics.privacy.samplers import discrete_laplace, rounded_gaussian, skellam

SPREADS = (3.0, 100.0, 1e6)
SIZES = ((1_000, 51, 50), (10_000, 11, 20), (1_000_000, 1, 1))  # draws; pairs (OpenDP takes 10 s for 1e6); our calls
TABLE = 128  # up to this spread a sampler that is used much inverts by a table
MILLION = 1_000_000


def opendp(maker: str, spread: float, size: int) -> Callable[[], object]:
    """Its exact noise on a vector of integers, zeros."""
    import opendp.prelude as dp

    dp.enable_features("contrib")
    domain = dp.vector_domain(dp.atom_domain(T=int))
    metric = dp.l2_distance(T=float) if maker == "make_gaussian" else dp.l1_distance(T=int)
    measurement, zeros = getattr(dp.m, maker)(domain, metric, scale=spread), [0] * size
    return lambda: measurement(zeros)


@case
def noise_against_opendp(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # a case takes the folder, needed or not
    """Exact noise against exact noise. The goals are shares of OpenDP's time: 1/350 is 350 times as fast."""
    for sample, maker, speedups in (
        (rounded_gaussian, "make_gaussian", (150, 350, 350)),
        (discrete_laplace, "make_laplace", (150, 500, 500)),
    ):
        for spread in SPREADS:
            for (size, runs, calls), speedup in zip(SIZES, speedups, strict=True):
                found, quartiles = ratio(
                    lambda s=sample, x=spread, n=size: s(x, n), opendp(maker, spread, size), runs, calls
                )
                warm = ", in a row" if calls > 1 else ""
                work = f"`{sample.__name__}({spread:g}, {size:.0e})`{warm}, {1 / found:.0f} times as fast"
                yield Row(work, f"OpenDP `{maker}`", found, 1 / speedup, quartiles)


@case
def noise_against_numpy(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # likewise
    """A million draws of a law in use: where a table is worth its making, it is there."""
    generator = np.random.default_rng(0)
    for spread in SPREADS:
        path = "table" if spread <= TABLE else "floats with a margin"
        variance = spread**2
        for name, ours, peer, floor, goals in (
            (
                f"rounded_gaussian({spread:g}, 1e+06)",
                lambda x=spread: rounded_gaussian(x, MILLION),
                "np.rint(normal).astype(int)",
                lambda x=spread: np.rint(generator.normal(0, x, MILLION)).astype(np.int64),
                (0.7, 1.7),
            ),
            (
                f"skellam({variance:g}, 1e+06)",
                lambda v=variance: skellam(v, MILLION),
                "poisson - poisson",
                lambda v=variance: generator.poisson(v / 2, MILLION) - generator.poisson(v / 2, MILLION),
                (0.2, 0.5),
            ),
        ):
            for _ in range(6):
                ours()
            found, quartiles = ratio(ours, floor, 31)
            yield Row(f"`{name}`, {path}", f"`{peer}` of numpy", found, goals[spread > TABLE], quartiles)
