"""Central trust: the server sees each contribution, adds the noise to the exact sum, and forgets the rest."""

from __future__ import annotations

from dataclasses import dataclass

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.events import DiscreteLaplace, Event, Gaussian, PoissonSampled, round_up
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.samplers import LEAST, MOST, discrete_laplace, rounded_gaussian
from fedanalytics.privacy.sampling import poisson_sample
from fedanalytics.round.blocks import Block, Integers, Noisy, Round
from fedanalytics.trust.priced import Cohort, Fleet, Priced, PricedBlock

_FINE = 2.0**24  # grid steps: finer noise than this shows nobody anything


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
    """

    keystream: Keystream | None = None

    @property
    def name(self) -> str:
        return "central" if self.keystream is None or self.keystream.secure else "central, INSECURE: seeded noise"

    def price(self, round_: Round, event: Event) -> Priced:
        """Chooses per block the finest grid on which the noise stays below 2^24 steps.

        Raises:
            BadArgument: the cost is so small that no grid holds the noise, or the round samples at another rate than
                was paid for.
        """
        paid = event.rate if isinstance(event, PoissonSampled) else 1.0
        if round_.sampling_rate != paid:
            raise BadArgument(
                f"a round samples its clients at the rate {round_.sampling_rate!r} and was paid for at {paid!r}; the "
                "query must say its sampling_rate"
            )
        return Priced(tuple(_priced(block, event) for block in round_.blocks))

    def collect(self, fleet: Fleet, priced: Priced) -> tuple[Noisy, ...]:
        """Sums exactly, adds integer noise, returns units of each encoder's bound (exact while below 2^53 steps)."""
        blocks, steps = [part.block for part in priced.parts], [part.steps for part in priced.parts]
        cohorts = [self._cohort(part.sampling_rate) for part in priced.parts]
        sums = fleet.sums(blocks, steps, cohorts) if any(cohorts) else fleet.sums(blocks, steps)
        return tuple(
            Noisy((total + self._noise(part, len(total))) / part.steps, part.noise)
            for total, part in zip(sums, priced.parts, strict=True)
        )

    def _cohort(self, rate: float) -> Cohort | None:
        return None if rate == 1 else lambda size: poisson_sample(size, rate, keystream=self.keystream)

    def _noise(self, part: PricedBlock, size: int) -> Integers:
        sampler = rounded_gaussian if part.law == "gaussian" else discrete_laplace
        return sampler(part.scale, size, keystream=self.keystream)


def _priced(block: Block, whole: Event) -> PricedBlock:
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
    return PricedBlock(block, steps, released, scale, "gaussian" if isinstance(event, Gaussian) else "laplace")


def _scale(block: Block, event: Gaussian | DiscreteLaplace, steps: int) -> float:
    sensitivity = block.encoder.sensitivity(steps, Relation(event.relation))
    return round_up(event.noise_multiplier * (sensitivity.l2 if isinstance(event, Gaussian) else sensitivity.l1))
