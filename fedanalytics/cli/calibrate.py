"""``fedanalytics calibrate``: how much noise a promise takes, or how many rounds it leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from fedanalytics._version import __version__
from fedanalytics.cli.exporting import text_of
from fedanalytics.cli.hints import MaybeNumber, MaybeWhole
from fedanalytics.cli.screen import screen
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.calibration import calibrate as calibrated
from fedanalytics.privacy.calibration import rounds_within
from fedanalytics.privacy.events import Gaussian

EXAMPLE = """
    fedanalytics calibrate --epsilon 4 --delta 1e-6 --rounds 200 --sampling-rate 0.01

    fedanalytics calibrate --epsilon 4 --delta 1e-6 --noise-multiplier 20
"""
_MEANS = (
    "Every sum gets Gaussian noise. Its standard deviation is the noise multiplier times the most that one client can "
    "change the sum (in L2)."
)
_HIDDEN = (
    "This holds against those who do not see who takes part: each client is asked with a chance of {rate:g} a round, "
    "by a coin of its own."
)


@dataclass(frozen=True)
class Plan:
    """Rounds of Gaussian noise, and what they come to.

    Attributes:
        epsilon: that was asked for.
    """

    epsilon: float
    delta: float
    rate: float
    rounds: int
    noise: float

    @property
    def really(self) -> float:
        """The epsilon that it gives; 0 without a round."""
        if not self.rounds:
            return 0.0
        event = Gaussian(self.noise).poisson_sampled(self.rate)
        return Accountant().compose(event, self.rounds).epsilon(self.delta)

    @property
    def mean_rounds(self) -> int:
        """How many rounds a client takes part in, on average; at least one."""
        return max(math.ceil(self.rate * self.rounds), 1)

    def seen(self, rounds: int) -> float:
        """The epsilon against a server that sees who takes part, for a client in so many rounds."""
        return Accountant().compose(Gaussian(self.noise), rounds).epsilon(self.delta)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        given = {"noise_multiplier": self.noise, "rounds": self.rounds, "sampling_rate": self.rate}
        both = {"epsilon": self.really, "delta": self.delta, "epsilon_asked": self.epsilon}
        if self.rate == 1 or not self.rounds:
            return {"fedanalytics": __version__, **given, **both}
        rows = [{"rounds": n, "epsilon": self.seen(n)} for n in (self.mean_rounds, self.rounds)]
        return {"fedanalytics": __version__, **given, **both, "if_the_cohort_is_seen": rows}


def calibrate(
    *,
    epsilon: Annotated[float, typer.Option(metavar="EPS", help="Of all rounds together.", show_default=False)],
    delta: Annotated[float, typer.Option(metavar="DELTA", help="Of all rounds together.", show_default=False)],
    rounds: Annotated[MaybeWhole, typer.Option(metavar="N", help="How many; 1 by default.", show_default=False)] = None,
    sampling_rate: Annotated[
        float, typer.Option(metavar="Q", help="The chance of a client to be asked in a round, in secret.")
    ] = 1.0,
    noise_multiplier: Annotated[
        MaybeNumber, typer.Option(metavar="M", help="Instead of --rounds: how many fit.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON alone on standard output.")] = False,
) -> None:
    """Find the least Gaussian noise that keeps a promise, or the number of rounds that it leaves."""
    promise = {"epsilon": epsilon, "delta": delta, "sampling_rate": sampling_rate}
    if noise_multiplier is None:
        count = 1 if rounds is None else rounds
        noise = calibrated(**promise, rounds=count)
    elif rounds is None:
        noise = noise_multiplier
        count = rounds_within(**promise, noise_multiplier=noise)
    else:
        raise BadArgument("give --rounds, to find the noise, or --noise-multiplier, to find the rounds: not both")
    plan = Plan(epsilon, delta, sampling_rate, count, noise)
    if json:
        typer.echo(text_of(plan.to_json()))
    else:
        _print(screen(), plan, found="noise" if noise_multiplier is None else "rounds")


def _print(console: Console, plan: Plan, *, found: str) -> None:
    noise = f"noise multiplier {_up(plan.noise) if found == 'noise' else plan.noise:g}"
    rounds = f"{plan.rounds:,} round{'s' * (plan.rounds != 1)}"
    if not plan.rounds:
        console.print(Text(f"not even one round fits: {noise} is too little", style="bold red"), soft_wrap=True)
        return
    first, second = (noise, rounds) if found == "noise" else (rounds, noise)
    console.print(Text.assemble((first, "bold green"), f" · {second}"), soft_wrap=True)
    lines = [_MEANS, f"All rounds together: ε = {_up(plan.really):g} at δ = {plan.delta:g} (asked: {plan.epsilon:g})."]
    if plan.rate < 1:
        mean, most = (_up(plan.seen(n)) for n in (plan.mean_rounds, plan.rounds))
        times = "one round" if plan.mean_rounds == 1 else f"{plan.mean_rounds:,} rounds"
        lines += [
            _HIDDEN.format(rate=plan.rate),
            f"Against a server that sees it: ε = {mean:g} for a client in {times} (the mean), {most:g} for one in all.",
        ]
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _up(value: float) -> float:
    """Rounded up to six significant digits: what is printed is never less than what holds."""
    if not 0 < value < math.inf:
        return value
    digits = 5 - math.floor(math.log10(value))
    return math.ceil(value * 10.0**digits) / 10.0**digits if abs(digits) < 300 else value
