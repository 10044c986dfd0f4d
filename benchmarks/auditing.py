"""Audits: how long they take, how rarely they are wrong, and how much they see beside jax-privacy's.

jax-privacy's bounds need only its file `auditing.py` (`pip install --no-deps jax-privacy`); without it there is no row.
"""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from cases import case
from interleave import Row, seconds

import fedanalytics as fa
from fedanalytics.auditing import Gdp, audit, audit_canaries, family
from fedanalytics.privacy import DiscreteLaplace, Gaussian, samplers

TRIALS, DELTA = 65_536, 1e-5


@case
def audits_of_a_sum(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # a case takes the folder, needed or not
    """65,536 trials of a scalar: of a mechanism that draws them at once, and of a query that is collected each time."""
    neighbours = ([1, 0], [1, 0, 1])
    claim = Gaussian(noise_multiplier=64.0)
    took = [seconds(lambda: audit(summed(64.0), neighbours, claim=claim, trials=TRIALS)) for _ in range(5)]
    draws = [seconds(lambda: [summed(64.0)(data, TRIALS) for data in neighbours]) for _ in range(5)]
    floor = statistics.median(draws)
    yield Row(
        f"audit of a mechanism, 65,536 trials of a scalar, in seconds (its draws: {floor:.3f} s)",
        "1 s",
        statistics.median(took),
        5.0,
    )
    pair = {"one more": tuple(fa.Fleet.from_values(np.full(n, 60.0)) for n in (2, 3))}
    query = fa.sum("value", bounds=(0, 110))
    took = [seconds(lambda: fa.audit(query, pair, trials=TRIALS, rho=0.5)) for _ in range(3)]
    yield Row("audit of a query, 65,536 trials on each neighbour, in seconds", "1 s", statistics.median(took), 60.0)


@case
def audits_of_everything(folder: Path) -> Iterator[Row]:
    """`fedanalytics audit --all`: every statistic under every trust model."""
    program = "from fedanalytics.cli import main; main()"
    command = [sys.executable, "-c", program, "audit", "--all", "--json"]
    took = seconds(lambda: subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL))
    yield Row("`fedanalytics audit --all`, in seconds", "1 s", took, 300.0)


@case
def audits_that_hold(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # likewise
    """200 audits of mechanisms that keep what they claim exactly, at a risk of 0.001 in all."""
    scales = np.geomspace(0.5, 64, 100)
    runs: dict[str, Callable[[float], Any]] = {}
    for number, scale in enumerate(scales.tolist()):
        runs[f"Gaussian {number}"] = _audited(summed(scale), Gaussian(scale))
        runs[f"geometric {number}"] = _audited(geometric(1 / scale), DiscreteLaplace(scale))
    found = family(runs, alpha=1e-3)
    yield Row(
        "200 audits of correct mechanisms, 4,096 trials each: false verdicts", "1", float(len(found.violated)), 0.0
    )


@case
def bounds_of_one_run(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # likewise
    """The greatest epsilon that is certified from the same canaries of one run: theirs over ours, median of 20."""
    peer = _peer()
    if peer is None:
        print("jax-privacy is not installed: no rows against it", file=sys.stderr)
        return
    draw = np.random.Generator(np.random.PCG64(0))
    for mu in (1.0, 2.0, 4.0):
        for canaries in (200, 1_000, 10_000):
            ratios, own = [], []
            for _ in range(20):
                there = draw.random(canaries) < 0.5
                ins, outs = draw.normal(mu, 1, there.sum()), draw.normal(0, 1, (~there).sum())
                theirs = peer.CanaryScoreAuditor(ins, outs).epsilon_one_run(0.05, DELTA)
                own.append(audit_canaries(ins, outs, claim=Gdp(mu, DELTA)).epsilon)
                ratios.append(theirs / own[-1] if own[-1] else 1.0 + (theirs > 0))
            yield Row(
                f"one-run bound, {canaries:,} canaries at mu = {mu:g} (ours: {statistics.median(own):.2f})",
                "jax-privacy's CanaryScoreAuditor, same scores",
                statistics.median(ratios),
                1 / 0.9,
            )


def summed(sigma: float) -> Callable[[Any, int], Any]:
    """The sum of zeros and ones, with rounded Gaussian noise."""
    return lambda data, n: sum(data) + samplers.rounded_gaussian(sigma, n)


def geometric(epsilon: float) -> Callable[[Any, int], Any]:
    """The same with two-sided geometric noise."""
    return lambda data, n: sum(data) + samplers.discrete_laplace(1 / epsilon, n)


def _audited(mechanism: Callable[[Any, int], Any], claim: Any) -> Callable[[float], Any]:
    return lambda confidence: audit(mechanism, ([1, 0], [1, 0, 1]), claim=claim, trials=4_096, confidence=confidence)


def _peer() -> ModuleType | None:
    """Its one file, without the rest, which imports JAX."""
    package = importlib.util.find_spec("jax_privacy")
    if package is None or package.origin is None:
        return None
    spec = importlib.util.spec_from_file_location("peer", Path(package.origin).parent / "auditing.py")
    if spec is None or spec.loader is None:
        return None
    found = sys.modules["peer"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found
