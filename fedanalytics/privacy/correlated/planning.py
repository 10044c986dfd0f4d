"""From a promise to a run: a strategy and the noise multiplier with which it keeps (epsilon, delta)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy import gdp
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.correlated.banded import Banded
from fedanalytics.privacy.correlated.blt import BLT
from fedanalytics.privacy.correlated.schedule import Schedule
from fedanalytics.privacy.correlated.series import Floats
from fedanalytics.privacy.correlated.strategy import Metric, Strategy
from fedanalytics.privacy.correlated.stream import Stream
from fedanalytics.privacy.correlated.tree import Tree
from fedanalytics.privacy.correlated.workload import PREFIX_SUMS, Workload
from fedanalytics.privacy.events import Event, Gaussian, round_down
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.sensitivity import Sensitivity

FAMILIES = ("blt", "banded", "tree", "independent")
_KINDS: dict[str, type[Strategy]] = {each.kind: each for each in (Tree, Banded, BLT)}


@dataclass(frozen=True)
class Plan:
    """A run whose noise is decided, to the last bit: what is priced, kept with the checkpoints, and drawn from.

    Formal guarantee: all that `stream` adds to the sums of the run, as those depend on one client, is `event`, under
    its relation, for clients that take part by the schedule, each time with a change of the sum of L2 norm at most that
    of the `Sensitivity` given. It holds against everyone who sees all answers and knows all cohorts.

    Attributes:
        strategy: how noise is correlated.
        noise_multiplier: the deviation of z in C x + z, over the norm of one contribution.
        relation: that the sensitivity holds under.
        workload: what `errors` are of.
    """

    strategy: Strategy
    noise_multiplier: float
    relation: Relation = Relation.ADD_OR_REMOVE_ONE
    workload: Workload = PREFIX_SUMS

    def __post_init__(self) -> None:
        _validate.positive(noise_multiplier=self.noise_multiplier)
        object.__setattr__(self, "relation", Relation(self.relation))

    @property
    def event(self) -> Event:
        """The whole run; charged before its first round."""
        return self.strategy.event(self.noise_multiplier, self.relation)

    @property
    def gaussian(self) -> Gaussian:
        """One release of Gaussian noise that costs as much as the whole run, its multiplier rounded down.

        The event's parts are all Gaussian, so their rho add up, and the run is as private as this in GDP too.
        """
        return Gaussian(round_down(1 / math.sqrt(2 * float(self.event.rho))), self.relation)

    @property
    def errors(self) -> Floats:
        """The standard deviation of each prefix sum per coordinate, in norms of one contribution, shape (rounds,)."""
        return self.noise_multiplier * self.strategy.errors(self.workload)

    def error(self, metric: Metric = "rms") -> float:
        """The root of the mean square of `errors`, or the largest."""
        return self.noise_multiplier * self.strategy.error(metric, self.workload)

    def stream(self, sensitivity: Sensitivity, size: int) -> Stream:
        """The noise, for sums on the grid of `sensitivity`.

        Args:
            sensitivity: of the sum of one round, in grid steps.
            size: coordinates.

        Raises:
            BadArgument: the relation is another one, or the grid does not suit the noise.
        """
        if sensitivity.relation is not self.relation:
            raise BadArgument(
                f"the sensitivity holds under {sensitivity.relation.value}, the plan was made for {self.relation.value}"
            )
        return self.strategy.stream(self.noise_multiplier, sensitivity.l2, size)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON. Keep it: a plan made anew elsewhere may differ in a last bit, and then refuses old states."""
        own = {"noise_multiplier": self.noise_multiplier, "relation": self.relation.value}
        return own | {"strategy": self.strategy.to_json(), "workload": asdict(self.workload)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """The plan that `to_json` wrote.

        Raises:
            BadArgument: it is not of this form.
        """
        try:
            strategy = dict(data["strategy"])
            kind, schedule = _KINDS[strategy.pop("strategy")], Schedule(**strategy.pop("schedule"))
            parts = {name: tuple(part) if isinstance(part, list) else part for name, part in strategy.items()}
            workload, relation = Workload(**data["workload"]), Relation(data["relation"])
            return cls(kind(schedule, **parts), data["noise_multiplier"], relation, workload)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise BadArgument(f"expected what Plan.to_json wrote: {error}") from None


def plan(
    family: str,
    *,
    rounds: int,
    participations: int = 1,
    separation: int = 0,
    epsilon: float,
    delta: float,
    relation: Relation = Relation.ADD_OR_REMOVE_ONE,
    workload: Workload = PREFIX_SUMS,
    metric: Metric = "rms",
    bands: int = 32,
    buffers: int = 4,
) -> Plan:
    """The plan with the least error in a family of strategies that is (epsilon, delta)-DP over all rounds.

    Args:
        family: blt, banded, tree or independent. Take blt, unless eta (see `feedback`) has to be 0.
        rounds: see `Schedule`.
        participations: likewise.
        separation: likewise; needed with more than one participation.
        epsilon: of the whole run.
        delta: of the whole run.
        relation: under which neighbours are not to be told apart.
        workload: what has to be accurate.
        metric: whether on average over the rounds (rms) or in the worst one (max).
        bands: of banded; at most `rounds`.
        buffers: of blt.

    Raises:
        BadArgument: an argument is not as above.

    Example:
        >>> run = plan("blt", rounds=2000, participations=5, separation=400, epsilon=4.0, delta=1e-6)
        >>> alone = plan("independent", rounds=2000, participations=5, separation=400, epsilon=4.0, delta=1e-6)
        >>> round(run.noise_multiplier, 2), round(alone.error() / run.error(), 2)
        (5.09, 8.68)
    """
    _validate.one_of(FAMILIES, family=family)
    schedule = Schedule(rounds, participations, separation)
    makers: Mapping[str, Any] = {
        "blt": lambda: BLT.optimised(schedule, buffers, workload, metric),
        "banded": lambda: Banded.optimised(schedule, bands, workload, metric),
        "tree": lambda: Tree.best(schedule, workload, metric),
        "independent": lambda: Banded.independent(schedule),
    }
    strategy = makers[family]()
    return Plan(strategy, _calibrated(strategy, epsilon, delta), Relation(relation), workload)


def _calibrated(strategy: Strategy, epsilon: float, delta: float) -> float:
    """Sensitivity over mu, raised until the accountant, which rounds up, agrees: as `calibrate` does."""
    mu, more = gdp.mu_of(epsilon, delta), 2.0**-44
    if not mu:
        raise BadArgument(f"epsilon={epsilon!r} at delta={delta!r} is too little for any noise")
    noise = math.sqrt(strategy.sensitivity_squared) / mu
    while Accountant().compose(strategy.event(noise, Relation.ADD_OR_REMOVE_ONE)).epsilon(delta) > epsilon:
        noise, more = noise * (1 + more), 2 * more
    return noise
