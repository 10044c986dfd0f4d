"""Central trust: the server sees each contribution, adds the noise to the exact sum, and forgets the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.costs import Cost
from fedanalytics.privacy.events import DiscreteLaplace, Event, Gaussian, PoissonSampled, round_up
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.samplers import LEAST, MOST, discrete_laplace, rounded_gaussian
from fedanalytics.privacy.sampling import poisson_sample
from fedanalytics.round.blocks import Block, Integers, Noisy, Round
from fedanalytics.round.estimates import Noise
from fedanalytics.trust.correlated import CorrelatedSum, collected, correlated_sums
from fedanalytics.trust.noise_states import NoiseStates
from fedanalytics.trust.priced import Cohort, Fleet, Priced

_FINE = 2.0**24  # grid steps: finer noise than this shows nobody anything


@dataclass(frozen=True)
class CentralSum:
    """A block whose exact sum gets noise from the server; its answer is the noisy sum in units of the bound.

    Attributes:
        steps: grid steps in the encoder's bound.
        event: what the release of this block is, to an accountant.
        scale: of the noise, in grid steps (sigma, or b of the two-sided geometric law).
        law: "gaussian" or "laplace".
    """

    block: Block
    steps: int
    event: Event
    scale: float
    law: str

    @property
    def sampling_rate(self) -> float:
        """Of the cohort that it is collected from."""
        return self.event.rate if isinstance(self.event, PoissonSampled) else 1.0

    @property
    def noise(self) -> Noise:
        """The noise in units of the encoder's bound."""
        return Noise(self.scale / self.steps, self.law, 1 / self.steps)

    def noisy(self, answer: Any) -> Noisy:
        """The noisy sum."""
        return Noisy(np.array(answer, dtype=float), self.noise)

    def assumed(self, clients: float) -> Noisy:
        """An unremarkable sum."""
        return Noisy(self.block.encoder.assumed(clients), self.noise)


@dataclass(frozen=True)
class Central:
    """The noise is added once, by the server.

    Formal guarantee, per block: the integer sum s has sensitivity D (`Encoder.sensitivity`, exact) under the event's
    relation. Released is s + round(N(0, sigma^2)) = round(s + N(0, sigma^2)) with sigma >= noise_multiplier * D2, a
    rounding *after* the Gaussian mechanism, hence post-processing; or s + two-sided geometric noise of scale
    b >= noise_multiplier * D1, which is pure 1/noise_multiplier-DP (Ghosh, Roughgarden, Sundararajan 2009). Blocks
    compose: the shares of a round sum to at most 1 (`Event.part`). The cohort of a sampled round is drawn here, by
    coins over the whole roster (`poisson_sample`), used once and told to nobody. Noise and coins come from the
    operating system's CSPRNG through AES-256; the guarantee is computational in that one respect.

    Attributes:
        keystream: None, the default: fresh randomness at each round. A test may pass ``Keystream.insecure(seed)``;
            every receipt then says that the noise is worth nothing.
        states: where correlated noise remembers its earlier rounds: in memory, or in the folder of `NoiseStates`.
    """

    keystream: Keystream | None = None
    states: NoiseStates = field(default_factory=NoiseStates)
    clients_add_noise = False

    @property
    def name(self) -> str:
        return "central" if self.keystream is None or self.keystream.secure else "central, INSECURE: seeded noise"

    def price(self, round_: Round, cost: Cost, roster: int | None = None) -> Priced:  # noqa: ARG002  # it is private
        """Chooses per block the finest grid on which the noise stays below 2^24 steps.

        Raises:
            BadArgument: the cost is so small that no grid holds the noise, or the round samples at another rate than
                was paid for.
        """
        if round_.sampling_rate != cost.sampling_rate:
            raise BadArgument(
                f"a round samples its clients at the rate {round_.sampling_rate!r} and was paid for at "
                f"{cost.sampling_rate!r}; the query must say its sampling_rate"
            )
        if round_.correlated is not None:
            return Priced(correlated_sums(round_, round_.correlated, cost))
        return Priced(tuple(_priced(block, cost.event) for block in round_.blocks))

    def collect(self, fleet: Fleet, priced: Priced) -> tuple[Any, ...]:
        """Sums exactly, adds integer noise, returns units of each encoder's bound (exact while below 2^53 steps)."""
        kinds = {type(part) for part in priced.parts}
        if kinds == {CorrelatedSum}:
            return tuple(collected(fleet, priced.parts, self.states, self.keystream))
        if CorrelatedSum in kinds:
            raise BadArgument("a run with correlated noise is asked alone, not in a list with other queries")
        blocks, steps = [part.block for part in priced.parts], [part.steps for part in priced.parts]
        cohorts = [self._cohort(part.sampling_rate) for part in priced.parts]
        sums = fleet.sums(blocks, steps, cohorts) if any(cohorts) else fleet.sums(blocks, steps)
        return tuple(
            ((total + self._noise(part, len(total))) / part.steps).tolist()
            for total, part in zip(sums, priced.parts, strict=True)
        )

    def asked_of(self, roster: int | None) -> Mapping[str, Any]:  # noqa: ARG002  # it is private
        """Nobody in particular."""
        return {}

    def guarantee(self, rounds: Sequence[Priced], delta: float | None) -> None:
        """Nothing: the event says it all, against everybody but the server."""

    def _cohort(self, rate: float) -> Cohort | None:
        return None if rate == 1 else lambda size: poisson_sample(size, rate, keystream=self.keystream)

    def _noise(self, part: CentralSum, size: int) -> Integers:
        sampler = rounded_gaussian if part.law == "gaussian" else discrete_laplace
        return sampler(part.scale, size, keystream=self.keystream)


def _priced(block: Block, whole: Event) -> CentralSum:
    released = whole if block.share == 1 else whole.part(block.share)
    event = released.of if isinstance(released, PoissonSampled) else released
    if not isinstance(event, Gaussian | DiscreteLaplace):
        raise BadArgument(f"central trust adds Gaussian or geometric noise; it cannot spend {event!r}")
    steps = block.encoder.finest
    while steps > block.encoder.coarsest and _scale(block, event, steps) > _FINE:
        steps //= 2
    scale = max(_scale(block, event, steps), LEAST)
    if scale > MOST:
        raise BadArgument(f"the cost is too small: noise of {scale:.2g} grid steps; the largest is {MOST:.2g}")
    return CentralSum(block, steps, released, scale, "gaussian" if isinstance(event, Gaussian) else "laplace")


def _scale(block: Block, event: Gaussian | DiscreteLaplace, steps: int) -> float:
    sensitivity = block.encoder.sensitivity(steps, Relation(event.relation))
    return round_up(event.noise_multiplier * (sensitivity.l2 if isinstance(event, Gaussian) else sensitivity.l1))
