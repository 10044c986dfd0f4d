"""The accountant against its peers: time to track a run round by round, and how much is lost in tightness."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cases import case
from interleave import Row, seconds

from fedanalytics.privacy import Accountant, Gaussian, Skellam, renyi

DELTA, SIGMA, RATE, ROUNDS = 1e-6, 1.0, 0.01, 1000
SETTINGS = (  # noise multiplier, rate, rounds: those of the published table
    (5.0, 1.0, 1),
    (50.0, 1.0, 1000),
    (1.0, 0.01, 10_000),
    (0.8, 0.001, 100_000),
    (2.0, 0.1, 100),
    (0.5, 0.001, 1000),
)


def tracked(grid: float) -> list[float]:
    """The epsilon after every round."""
    spent, event = Accountant(grid=grid), Gaussian(SIGMA).poisson_sampled(RATE)
    return [spent.compose(event).epsilon(DELTA) for _ in range(ROUNDS)]


def opacus(sigma: float, rate: float) -> Callable[[int], tuple[float, float, float]]:
    """What its PRV accountant says after so many rounds: lower bound, estimate, upper bound."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from opacus.accountants import PRVAccountant

    def figures(rounds: int) -> tuple[float, float, float]:
        accountant: Any = PRVAccountant()
        accountant.history = [(sigma, rate, rounds)]
        return accountant._get_dprv(eps_error=0.01, delta_error=1e-9).compute_epsilon(DELTA, 1e-9, 0.01)  # noqa: SLF001

    return figures


def dp_accounting(rounds: int) -> None:
    """Its PLD accountant, round by round."""
    from dp_accounting import dp_event
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant()
    event = dp_event.PoissonSampledDpEvent(RATE, dp_event.GaussianDpEvent(SIGMA))
    for _ in range(rounds):
        accountant.compose(event).get_epsilon(DELTA)


@case
def accounting_round_by_round(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # a case takes the folder, needed or not
    """The peers are timed over some of the rounds; theirs get slower as rounds add up, so the rest is counted short."""
    figures = opacus(SIGMA, RATE)
    tracked(1e-2)
    figures(10)
    dp_accounting(1)
    reference = seconds(lambda: dp_accounting(20)) * ROUNDS / 20
    prv = seconds(lambda: [figures(rounds) for rounds in range(100, ROUNDS + 1, 100)]) * ROUNDS / 10
    finest = tracked(1e-4)
    work = f"epsilon after each of {ROUNDS:,} rounds (sigma {SIGMA:g}, rate {RATE:g}), grid"
    for grid, limit in ((1e-3, 3.0), (2e-4, 12.0)):
        taken = min(seconds(lambda g=grid: tracked(g)) for _ in range(3))
        yield Row(f"{work} {grid:g}", "one second", taken, limit)
        yield Row(
            f"{work} {grid:g}",
            f"dp-accounting PLD, 20 rounds times 50: {reference:.0f} s",
            taken / reference,
            limit / 900,
        )
        yield Row(f"{work} {grid:g}", f"Opacus PRV, 10 rounds times 100: {prv:.0f} s", taken / prv, limit / 121)
    off = max(abs(ours / fine - 1) for ours, fine in zip(tracked(2e-4), finest, strict=True))
    yield Row("the same on the grid 0.0002: greatest relative difference", "grid 0.0001", off, 2e-5)


@case
def accounting_tightness(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # likewise
    """By how much epsilon exceeds PRV's estimate, which is no bound; never below PRV's lower bound."""
    for sigma, rate, rounds in SETTINGS:
        low, estimate, _ = opacus(sigma, rate)(rounds)
        ours = Accountant().compose(Gaussian(sigma).poisson_sampled(rate), rounds).epsilon(DELTA)
        work = f"epsilon {ours:.4f} of sigma {sigma:g}, rate {rate:g}, {rounds:,} rounds"
        yield Row(f"{work}: relative excess", f"Opacus PRV's estimate {estimate:.4f}", ours / estimate - 1, 2e-3)
        yield Row(f"{work}: its lower bound over ours", f"Opacus PRV's lower bound {low:.4f}", low / ours, 1.0)


@case
def accounting_of_skellam_noise(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # likewise
    """A hundred queries of whole sensitivity on one coordinate."""
    for variance, shift in ((1e4, 10), (100, 1), (10, 1)):
        event = Skellam(variance, shift, shift, scalar=True).repeated(100)
        bound = min(renyi.epsilon_of(renyi.divergence(event, order), order, DELTA) for order in range(2, 200))
        ours = Accountant().compose(event).epsilon(DELTA)
        work = f"epsilon of 100 Skellam queries, variance {variance:g}, sensitivity {shift}"
        yield Row(work, f"the Renyi bound, {bound:.3f}", ours / bound, 0.94)
