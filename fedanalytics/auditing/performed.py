"""Claims of a privacy event: all that its accountant knows of it, not one (epsilon, delta) of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fedanalytics.auditing import curves
from fedanalytics.auditing.bounds import Floats
from fedanalytics.auditing.claims import DELTA, Claim, Dp, Gdp, below_1
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.events import Event, Laplace, Pure, round_up

_MOST = 10**12  # rho or epsilon, up to which a float holds what follows from it


@dataclass(frozen=True)
class Curve(Claim):
    """Several (epsilon, delta) at once, as an accountant gives them.

    Raises:
        BadArgument: `points` is empty, or one of them is no (epsilon, delta) with epsilon >= 0 and delta in [0, 1].
    """

    points: tuple[tuple[float, float], ...]
    delta: float = DELTA

    def __post_init__(self) -> None:
        points = tuple((float(epsilon), float(delta)) for epsilon, delta in self.points)
        if not points or not all(0 <= epsilon < math.inf and 0 <= delta <= 1 for epsilon, delta in points):
            raise BadArgument(f"points= must be pairs of an epsilon >= 0 and a delta in [0, 1], got {self.points!r}")
        object.__setattr__(self, "points", points)
        below_1(self.delta)

    def _power(self, fpr: Floats) -> Floats:
        epsilons, deltas = np.array(self.points).T
        return curves.lines(epsilons, deltas, fpr)

    @property
    def quoted(self) -> float:
        return min((epsilon for epsilon, delta in self.points if delta <= self.delta), default=math.inf)

    def to_json(self) -> dict[str, Any]:
        return {"claim": "curve", "points": [list(point) for point in self.points], "delta": self.delta}

    def __str__(self) -> str:
        return f"{len(self.points)} pairs (epsilon, delta), from {self.points[0]} to {self.points[-1]}"


@dataclass(frozen=True)
class OfEvent(Claim):
    """What a privacy event says: all that its accountant knows of it, not one (epsilon, delta) of it.

    Gaussian noise, also composed or correlated, by its mu, exactly; one pure event by its epsilon; anything else
    (sampled, mixed, Skellam, Laplace) by delta as a function of epsilon.

    Raises:
        BadArgument: `event` is no event, or delta not in [0, 1).

    Example:
        >>> from fedanalytics.privacy.events import Gaussian
        >>> OfEvent(Gaussian(1.0).poisson_sampled(0.01)).power([0.01, 0.5]).round(4)
        array([0.0108, 0.5038])
    """

    event: Event
    delta: float = DELTA

    def __post_init__(self) -> None:
        if not isinstance(self.event, Event):
            raise BadArgument(f"expected a privacy event such as Gaussian(noise_multiplier=1.0), got {self.event!r}")
        below_1(self.delta)

    @cached_property
    def exactly(self) -> Claim:
        """The claim that it comes down to."""
        spent = Accountant().compose(self.event)
        if spent.method == "gdp" and spent.rho < _MOST:
            return Gdp(round_up(math.sqrt(2 * spent.rho)), self.delta)
        alone = next(iter(spent.counts)) if sum(spent.counts.values()) == 1 else None
        if isinstance(alone, Pure) and not isinstance(alone, Laplace) and alone.epsilon < _MOST:
            return Dp(round_up(float(alone.epsilon)))
        return Curve(tuple(zip(*curves.of_event(self.event), strict=True)), self.delta)

    @property
    def unit(self) -> str:
        return self.exactly.unit

    def _power(self, fpr: Floats) -> Floats:
        return self.exactly._power(fpr)  # noqa: SLF001  # of its own kind

    def measure(self, tpr: Floats, fpr: Floats) -> Floats:
        return self.exactly.measure(tpr, fpr)

    def limit(self, fpr: Floats) -> Floats:
        return self.exactly.limit(fpr)

    @property
    def quoted(self) -> float:
        return curves.epsilon_at(self.event, self.delta)

    def to_json(self) -> dict[str, Any]:
        return {"claim": "event", "event": self.event.to_json(), "delta": self.delta}

    def __str__(self) -> str:
        exactly = "" if isinstance(self.exactly, Curve) else f": {self.exactly}"
        return f"{_words(self.event.to_json())}{exactly}"


def claimed(claim: object) -> Claim:
    """The claim itself; of an event, what it says, quoted at delta 0 if it is pure.

    Raises:
        BadArgument: it is neither.
    """
    if isinstance(claim, Claim):
        return claim
    if not isinstance(claim, Event):
        raise BadArgument(
            "claim= must be a privacy event such as Gaussian(noise_multiplier=1.0), or Gdp(mu), Zcdp(rho), "
            f"Dp(epsilon) or Dp(epsilon, delta); got {claim!r}"
        )
    return OfEvent(claim, 0.0) if math.isfinite(curves.epsilon_at(claim, 0.0)) else OfEvent(claim)


def _words(data: Any) -> str:
    """The JSON form of an event, without its quotes."""
    if isinstance(data, list):
        return f"({', '.join(map(_words, data))})"
    if not isinstance(data, dict):
        return str(data)
    return f"{data['event']}({', '.join(f'{k}={_words(v)}' for k, v in data.items() if k != 'event')})"
