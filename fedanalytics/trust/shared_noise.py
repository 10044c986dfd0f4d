"""A block whose noise the clients add in shares: its grid, its plan, and what its unmasked sum means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics.errors import BadArgument
from fedanalytics.privacy import renyi
from fedanalytics.privacy.costs import Cost
from fedanalytics.privacy.distributed import DistributedSum, Offer, Offers, Quorum, VectorSum, integer_sum, vector_sum
from fedanalytics.privacy.events import Event
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.ball import Ball
from fedanalytics.round.blocks import Block, Encoder, Integers, Noisy
from fedanalytics.round.estimates import Noise
from fedanalytics.round.updates import Updates
from fedanalytics.trust.wrapped import Wrapped

_LONG = 64  # coordinates from which a vector is rotated and rounded, so that few bits hold it
_ROUNDING = 0.01  # of the variance of the noise: the most that rounding to the grid may add
_DOWN = 1 - 2.0**-30  # so that what is charged stays below what was offered, whatever the floats did


@dataclass(frozen=True)
class SharedNoise:
    """A block that secure aggregation sums; its answer is {"values": in units of the bound, "survivors": how many}.

    Attributes:
        steps: grid steps in the encoder's bound.
        plan: what each client does to its vector, and what the sum costs.
    """

    block: Block
    steps: int
    plan: DistributedSum

    @property
    def event(self) -> Event:
        """Of the sum over any admissible set of survivors."""
        return self.plan.event

    def encode(self, rows: Integers, seed: bytes, keystream: Keystream) -> Integers:
        """The encoder's rows -> integers within the sensitivity of the plan, without noise."""
        return self.plan.encode(rows / self.steps if isinstance(self.plan, VectorSum) else rows, seed, keystream)

    def masked(self, rows: Integers, seed: bytes, keystream: Keystream) -> npt.NDArray[Any]:
        """What clients mask: the encoder's rows, encoded, with a share of noise each, in the ring."""
        noise = self.plan.shares.draw(len(rows), self.plan.length, keystream)
        return self.plan.ring.wrap(self.encode(rows, seed, keystream) + noise)

    def decode(self, total: npt.NDArray[Any], seed: bytes, survivors: int) -> dict[str, Any]:
        """The unmasked sum -> the answer."""
        values = self.plan.decode(total, seed)
        return {"values": (values / self._unit).tolist(), "survivors": survivors}

    def noisy(self, answer: Any) -> Noisy:
        """The noisy sum. How many survived is public, and so is the law of the noise that they added."""
        return Noisy(np.array(answer["values"], dtype=float), self._noise(answer["survivors"]))

    def assumed(self, clients: float) -> Noisy:
        """An unremarkable sum over clients of whom nobody drops out."""
        return Noisy(self.block.encoder.assumed(clients), self._noise(self.plan.shares.quorum.clients))

    def _noise(self, survivors: int) -> Noise:
        error = self.plan.standard_error(survivors) / self._unit
        return Noise(error) if isinstance(self.plan, VectorSum) else Noise(error, "skellam", 1 / self.steps)

    @property
    def _unit(self) -> int:
        """What the plan calls a bound, in bounds of the encoder."""
        return 1 if isinstance(self.plan, VectorSum) else self.steps


@dataclass(frozen=True)
class Unmasked(Wrapped):
    """What a client would mask, without its noise: for a simulation, which adds the noise of all clients at once."""

    part: SharedNoise
    seed: bytes
    keystream: Keystream

    @property
    def size(self) -> int:
        return self.part.plan.length

    def added(self, values: npt.NDArray[Any], steps: int) -> Integers:
        total: Integers = self.part.encode(self.inner.rows(values, steps), self.seed, self.keystream).sum(axis=0)
        return total


def shared_noise(block: Block, cost: Cost, quorum: Quorum) -> SharedNoise:
    """The block with shares of noise that cost no more than its share of `cost`.

    Long vectors in an L2 ball are rotated and rounded at random, so that few bits hold their sum; all others stay as
    their encoder made them, on the coarsest grid on which rounding adds at most a hundredth of the noise.

    Raises:
        BadArgument: the cost is pure, or too small.
    """
    if cost.pure:
        raise BadArgument(
            "under secure aggregation the noise is made of shares, which add up to no pure law: give the cost as rho=, "
            "epsilon= with delta=, or noise_multiplier="
        )
    offers, encoder = _offers(cost, block.share), block.encoder
    if encoder.size > _LONG and (radius := _radius(encoder)):
        return SharedNoise(block, encoder.finest, vector_sum(encoder.size, clip=radius, quorum=quorum, offers=offers))
    steps = _steps(encoder, offers.central_variance, quorum.clients)
    sensitivity = encoder.sensitivity(steps, Relation.ZERO_OUT)
    return SharedNoise(block, steps, integer_sum(sensitivity, size=encoder.size, quorum=quorum, offers=offers))


def _offers(cost: Cost, share: Fraction) -> Offers:
    """What a block may cost: what the budget charges for it, and what it was said to cost.

    A filter of one Renyi order charges no more than was offered in rho. (epsilon, delta) as a whole is held by the
    exact loss of the block; in parts, by shares of the Renyi divergence that implies it, at the order that holds most,
    which add up over blocks, rounds and queries.
    """
    charged = Offer(rho=float(cost.mechanism.rho * share) * _DOWN, order=cost.order)
    if cost.target is None:
        return Offers((charged,))
    epsilon, delta = cost.target
    part = cost.share * share
    if part == 1:
        stated = Offer(epsilon=epsilon, delta=delta)
    else:
        order = renyi.best_order(epsilon, delta)
        stated = Offer(rho=float(Fraction(renyi.cap(epsilon, delta, order)) / order * part) * _DOWN, order=order)
    return Offers((stated, charged) if cost.order else (stated,))


def _radius(encoder: Encoder) -> float | None:
    """Of the L2 ball that the encoder's vectors lie in, in its unit; None if it is another shape."""
    if isinstance(encoder, Updates):
        return math.sqrt(encoder.sensitivity(encoder.finest, Relation.ZERO_OUT).l2_squared) / encoder.finest
    return 1.0 if isinstance(encoder, Ball) and encoder.norm == "l2" else None


def _steps(encoder: Encoder, variance: float, clients: int) -> int:
    """The fewest that serve: fewer make the sum fit into fewer bits."""
    steps = encoder.coarsest
    while steps < encoder.finest:
        noise = encoder.sensitivity(steps, Relation.ZERO_OUT).l2_squared * variance
        if clients / 12 <= _ROUNDING * noise:
            break
        steps *= 2
    return steps
