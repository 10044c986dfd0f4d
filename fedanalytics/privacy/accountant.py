"""The privacy loss of what was done so far, as (epsilon, delta).

Gaussian events alone are composed in closed form; anything else through dp_accounting's privacy loss distributions,
one per distinct event, self-composed by its count. dp_accounting is imported only when it is needed (it costs most of
a second).
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy import gdp
from fedanalytics.privacy.events import Composed, DiscreteLaplace, Event, Exact, Gaussian, NoOp, from_json


@dataclass(frozen=True)
class Accountant:
    """Counts events, and says what they cost together. A value: composing gives a new accountant.

    The figures hold for events whose parameters were fixed before the first output (for Gaussian events also when
    they were not); the ledger's filter is what holds a cap under adaptive use.

    Example:
        >>> spent = Accountant().compose(Gaussian(noise_multiplier=50.0), count=1000)
        >>> round(spent.epsilon(delta=1e-6), 4)
        2.9216
    """

    counts: Mapping[Event, int] = field(default_factory=dict)

    def compose(self, event: Event, count: int = 1) -> Accountant:
        """The accountant that has seen `event` another `count` times.

        Raises:
            BadArgument: `event` is not an event, `count` is not a whole number >= 1, or the relations differ.
        """
        _validate.whole(count=count)
        counts = Counter(self.counts)
        for simple in _simple(event):
            counts[simple] += count
        relations = {e.relation for e in counts if isinstance(e, Gaussian | DiscreteLaplace)}
        if len(relations) > 1:
            raise BadArgument(f"losses under different neighbouring relations do not add up: {sorted(relations)}")
        return Accountant(dict(counts))

    def epsilon(self, delta: float) -> float:
        """The smallest epsilon at `delta`; infinite after an exact release."""
        _validate.probability(delta=delta)
        if self._infinite:
            return math.inf
        if self._mu is not None:
            return gdp.epsilon_of(self._mu, delta)
        return float(self._distribution().get_epsilon_for_delta(delta))

    def delta(self, epsilon: float) -> float:
        """The smallest delta at `epsilon`; 1 after an exact release."""
        if not (_validate.real(epsilon) and epsilon >= 0):
            raise BadArgument(f"epsilon= must be a number of at least 0, got {epsilon!r}")
        if self._infinite:
            return 1.0
        if self._mu is not None:
            return gdp.delta_of(self._mu, epsilon) if self._mu else 0.0
        return float(self._distribution().get_delta_for_epsilon(epsilon))

    @property
    def rho(self) -> Fraction:
        """The zCDP parameter, exact."""
        return sum((event.rho * count for event, count in self.counts.items()), Fraction(0))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; `Accountant.from_json` resumes from it."""
        return {"counts": [{"event": e.to_json(), "count": n} for e, n in self.counts.items()]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Accountant:
        """The accountant that `to_json` wrote."""
        resumed = cls()
        for row in data["counts"]:
            resumed = resumed.compose(from_json(row["event"]), row["count"])
        return resumed

    @property
    def _infinite(self) -> bool:
        return any(isinstance(event, Exact) for event in self.counts)

    @property
    def _mu(self) -> float | None:
        if not all(isinstance(event, Gaussian) for event in self.counts):
            return None
        return math.sqrt(2 * self.rho)

    def _distribution(self) -> Any:
        parts = [_pld(event).self_compose(count) for event, count in self.counts.items()]
        return functools.reduce(lambda a, b: a.compose(b), parts)


def _simple(event: Event) -> tuple[Event, ...]:
    if not isinstance(event, Event):
        raise BadArgument(f"expected a privacy event such as Gaussian(noise_multiplier=1.0), got {event!r}")
    if isinstance(event, Composed):
        return tuple(simple for part in event.events for simple in _simple(part))
    return () if isinstance(event, NoOp) else (event,)


@functools.lru_cache(maxsize=64)
def _pld(event: Event) -> Any:
    """One release's privacy loss distribution, pessimistic on a grid of 1e-4."""
    from dp_accounting.pld import common, privacy_loss_distribution as pld  # noqa: I001, PLC0415  # slow to import

    makers: dict[type[Event], Callable[[Any], Any]] = {
        Gaussian: lambda e: pld.from_gaussian_mechanism(e.noise_multiplier),
        DiscreteLaplace: lambda e: pld.from_privacy_parameters(
            common.DifferentialPrivacyParameters(float(e.epsilon), 0.0)
        ),
    }
    return makers[type(event)](event)
