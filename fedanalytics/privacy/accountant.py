"""The privacy loss of what was done so far, as (epsilon, delta).

The figures hold for a plan: events whose parameters were fixed before the first output. (Gaussian noise alone: also
when they were not.) A ledger's filter is what holds a cap when each query is chosen after the earlier answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy import gdp
from fedanalytics.privacy.events import Event, Exact, Gaussian, from_json, round_down, round_up

if TYPE_CHECKING:
    from fedanalytics.privacy.composition import Composition

_VERSION = 1
_FLOATS = 700.0  # e^epsilon times the least float, e^-744, is still less than a rounding of delta


class Accountant:
    """Counts events, and says what they cost together.

    Every figure is an upper bound, found by the first of these that applies:

    * ``gdp``: Gaussian noise, not sampled: in closed form, exact (`gdp`); as below where e^epsilon is beyond floats.
    * ``pld``: the distribution of the privacy loss, composed by its spectrum (`spectra`). Off by a second-order term of
      the grid, which `bounds` bounds; where no grid holds the losses (an epsilon of a million), by moments.
    * ``renyi``: noise whose losses are not known as a distribution (Skellam noise on vectors): by moments (`moments`).
    * ``infinite``: an exact value was released.

    Args:
        grid: the step of the loss grid, from 1e-6 to 0.1: 1e-4 for a figure to publish, 1e-3 for a live display. It is
            refined where losses are smaller, and coarsened where they are too great for memory; bounds stay bounds.

    Raises:
        BadArgument: `grid` is not in its range.

    Example:
        >>> spent = Accountant()
        >>> spent.compose(Gaussian(noise_multiplier=50.0), count=1000)
        Accountant(1000 of gaussian)
        >>> round(spent.epsilon(delta=1e-6), 4)
        2.9216
        >>> round(spent.compose(Gaussian(1.0).poisson_sampled(0.01), count=1000).epsilon(delta=1e-6), 2)
        3.65
    """

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __init__(self, *, grid: float = 1e-4) -> None:
        if not (_validate.real(grid) and 1e-6 <= grid <= 0.1):
            raise BadArgument(f"grid= is a step of privacy loss from 1e-6 to 0.1, got {grid!r}")
        self._grid = float(grid)
        self._counts: dict[Event, int] = {}

    def compose(self, event: Event, count: int = 1) -> Self:
        """Adds `event`, `count` times, and returns the accountant itself.

        Raises:
            BadArgument: `event` is not an event, `count` is not a whole number >= 1, or the relations differ. Then
                nothing was added.
        """
        _validate.whole(count=count)
        if not isinstance(event, Event):
            raise BadArgument(f"expected a privacy event such as Gaussian(noise_multiplier=1.0), got {event!r}")
        relations = event.relations.union(*(atom.relations for atom in self._counts))
        if len(relations) > 1:
            raise BadArgument(
                f"losses under different neighbouring relations do not add up: {', '.join(sorted(relations))}"
            )
        counts = dict(self._counts)
        for atom, times in event.atoms():
            counts[atom] = counts.get(atom, 0) + int(count) * times
        self._counts = counts
        self.__dict__.pop("_composition", None)
        return self

    def epsilon(self, delta: float) -> float:
        """The smallest epsilon at `delta` that is known to hold, rounded up; infinite after an exact release.

        Raises:
            BadArgument: `delta` does not lie strictly between 0 and 1.
        """
        delta = _validate.probability(delta=delta)
        if self.method == "infinite":
            return math.inf
        if self.method == "gdp" and math.isfinite(self._mu):
            found = gdp.epsilon_of(self._mu, delta)
            if found <= _FLOATS + math.log(delta):
                return found
        from fedanalytics.privacy import moments  # noqa: PLC0415  # a closed form does without

        found = math.inf
        if self._on_grid:
            found = min(self._composition.epsilon(delta), moments.pure(self._counts))
        return found if math.isfinite(found) else moments.epsilon(self._counts, delta)

    def delta(self, epsilon: float) -> float:
        """The smallest delta at `epsilon` that is known to hold, rounded up; 1 after an exact release.

        Raises:
            BadArgument: `epsilon` is not a finite number of at least 0.
        """
        if not (_validate.real(epsilon) and 0 <= epsilon < math.inf):
            raise BadArgument(f"epsilon= must be a finite number of at least 0, got {epsilon!r}")
        if self.method == "infinite":
            return 1.0
        if not self._mu and self.method == "gdp":
            return 0.0
        if self.method == "gdp" and self._mu < math.inf and epsilon <= _FLOATS / 2:
            return min(gdp.delta_of(self._mu, float(epsilon)) + math.exp(epsilon - 740), 1.0)
        from fedanalytics.privacy import moments  # noqa: PLC0415  # a closed form does without

        if moments.pure(self._counts) <= epsilon:
            return 0.0
        found = self._composition.bounds(float(epsilon))[1] if self._on_grid else 1.0
        return found if found < 1 else moments.delta(self._counts, float(epsilon))

    def bounds(self, delta: float) -> tuple[float, float]:
        """A lower bound on the true epsilon at `delta`, and `epsilon(delta)`, the upper one.

        Up to rounding, the two are the same for ``gdp``; for ``renyi`` no lower bound but 0 is known. The true epsilon
        is that of the worst mechanism and neighbours that the events allow.

        Raises:
            BadArgument: `delta` does not lie strictly between 0 and 1.
        """
        upper = self.epsilon(delta)
        if self.method == "infinite":
            return math.inf, math.inf
        if not 0 < upper < math.inf:
            return 0.0, upper
        from fedanalytics.privacy.composition import lowest  # noqa: PLC0415  # a closed form does without

        if self.method == "gdp" and upper <= _FLOATS + math.log(delta):
            return lowest(lambda epsilon: _gdp_below(self._mu, epsilon), delta, upper), upper
        return (min(self._composition.lower(delta, upper), upper) if self._on_grid else 0.0), upper

    @property
    def method(self) -> str:
        """Which accounting applies: gdp, pld, renyi or infinite."""
        if any(isinstance(atom, Exact) for atom in self._counts):
            return "infinite"
        if all(isinstance(atom, Gaussian) for atom in self._counts):
            return "gdp"
        return "pld" if self._on_grid else "renyi"

    @property
    def rho(self) -> Fraction:
        """The zCDP parameter, exact.

        Raises:
            NotPrivate: an event has none.
        """
        return sum((atom.rho * count for atom, count in self._counts.items()), Fraction(0))

    @property
    def counts(self) -> Mapping[Event, int]:
        """How often each event was seen, in the parts that losses are counted by; a view that cannot be written to."""
        return MappingProxyType(self._counts)

    def copy(self) -> Accountant:
        """Another accountant that has seen the same."""
        other = Accountant(grid=self._grid)
        other._counts = dict(self._counts)
        return other

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; `Accountant.from_json` resumes from it."""
        counts = [{"event": atom.to_json(), "count": count} for atom, count in self._counts.items()]
        return {"version": _VERSION, "grid": self._grid, "counts": counts}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Accountant:
        """The accountant that `to_json` wrote; also in the form without a version, which held the counts alone.

        Raises:
            BadArgument: it is of a newer version, or not of this form, or holds an event that is unknown here.
        """
        if not isinstance(data, dict) or not isinstance(data.get("counts"), list):
            raise BadArgument(f"expected what Accountant.to_json wrote, got {data!r}")
        version = data.get("version", _VERSION)
        if version != _VERSION or isinstance(version, bool) or data.keys() - {"version", "grid", "counts"}:
            raise BadArgument(f"an accountant of version {version!r}; this release reads version {_VERSION}: upgrade")
        resumed = cls(grid=data.get("grid", 1e-4))
        for row in data["counts"]:
            if not isinstance(row, dict) or row.keys() != {"event", "count"}:
                raise BadArgument(f"expected an event and its count, got {row!r}")
            resumed.compose(from_json(row["event"]), row["count"])
        return resumed

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Accountant):
            return NotImplemented
        return self._counts == other._counts and self._grid == other._grid

    def __repr__(self) -> str:
        return f"Accountant({', '.join(f'{count} of {atom.kind}' for atom, count in self._counts.items())})"

    @property
    def _mu(self) -> float:
        """Of all Gaussian events that are not sampled, rounded up: sqrt(sum mu_i^2); infinite beyond any float."""
        rho = sum((atom.rho * n for atom, n in self._counts.items() if isinstance(atom, Gaussian)), Fraction(0))
        try:
            return round_up(math.sqrt(2 * rho))
        except OverflowError:
            return math.inf

    @property
    def _merged(self) -> Mapping[Event, int]:
        """With one Gaussian event for all that are not sampled."""
        others: dict[Event, int] = {a: n for a, n in self._counts.items() if not isinstance(a, Gaussian)}
        return others | ({Gaussian(max(round_down(1 / self._mu), 1e-300)): 1} if self._mu else {})

    @property
    def _on_grid(self) -> bool:
        from fedanalytics.privacy import losses  # noqa: PLC0415  # numpy tables; a closed form does without

        return all(map(losses.known, self._merged))

    @cached_property
    def _composition(self) -> Composition:
        from fedanalytics.privacy.composition import Composition  # noqa: PLC0415  # scipy and dp_accounting are slow

        return Composition(self._merged, self._grid)


def _gdp_below(mu: float, epsilon: float) -> float:
    """A lower bound on delta: `gdp.delta_of` less twice the error that it adds, and what mu was rounded up by."""
    near, far = mu / 2 - epsilon / mu, mu / 2 + epsilon / mu
    likely = math.erfc(-near / math.sqrt(2)) / 2
    return gdp.delta_of(mu, epsilon) - 2.0**-47 * (2 + near**2 + far**2 + epsilon + mu) * likely - 2.0**-990
