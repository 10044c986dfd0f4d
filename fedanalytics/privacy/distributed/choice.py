"""The choice of a grid, a ring and shares of noise for a cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.distributed.calibration import Offer, Offers
from fedanalytics.privacy.distributed.ring import NARROWEST, WIDEST, Ring
from fedanalytics.privacy.distributed.rotation import padded
from fedanalytics.privacy.distributed.rounding import FINEST, rounded_sensitivity
from fedanalytics.privacy.distributed.shares import Quorum, Shares
from fedanalytics.privacy.distributed.sums import IntegerSum, VectorSum
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.samplers import MOST
from fedanalytics.privacy.sensitivity import Sensitivity

COARSEST = 1.0  # steps in the clip
_USELESS = 10.0  # times the error of an unlimited ring


def integer_sum(
    sensitivity: Sensitivity,
    *,
    size: int,
    quorum: Quorum,
    rho: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    offers: Offers | None = None,
    most: int | None = None,
    bits: int | None = None,
    failure: float = 2.0**-40,
) -> IntegerSum:
    """Plans the sum of whole numbers that an encoder made, at a cost.

    Nothing is rotated or rounded. One coordinate, or one-hot vectors (an L1 sensitivity of 1, however many bins), are
    accounted for exactly; more by the Renyi bound.

    Args:
        sensitivity: of the sum, under zero-out.
        size: coordinates.
        quorum: who answers.
        rho: the cost, in one of the forms of an `Offer`.
        epsilon: likewise.
        delta: likewise.
        offers: the cost in several forms at once, instead.
        most: the largest magnitude of a coordinate of one client; by default what the sensitivity allows.
        bits: of the ring; by default the fewest that hold the sum.
        failure: the probability that the noisy sum of all clients wraps around may not exceed it.

    Raises:
        BadArgument: an argument is not as above, the cost is none, or the bits do not hold the sum.

    Example:
        >>> from fedanalytics.privacy.sensitivity import counting
        >>> histogram = counting(1, 1, Relation.ZERO_OUT)
        >>> plan = integer_sum(histogram, size=24, quorum=Quorum(1000, floor=900), rho=0.02)
        >>> plan.ring.bits, round(plan.standard_error(900), 2)
        (12, 5.2)
    """
    _check(sensitivity)
    _validate.positive(failure=failure)
    largest = min(sensitivity.l1, math.isqrt(sensitivity.l2_squared))
    most = largest if most is None else min(_validate.whole(most=most), largest)
    scalar = _validate.whole(size=size) == 1 and sensitivity.l1**2 == sensitivity.l2_squared
    offer = offers or Offer(rho, epsilon, delta)
    shares = Shares.of(offer.event(sensitivity, scalar=scalar), quorum)
    central = math.sqrt(offer.central_variance * sensitivity.l2_squared)

    def planned(bits: int) -> IntegerSum:
        return IntegerSum(size, Ring(bits), shares, central, sensitivity, most)

    if bits is None:
        bits = _fewest(lambda bits: planned(bits).overflow <= failure)
    plan = planned(bits)
    if plan.overflow > failure:
        needed = _fewest(lambda bits: planned(bits).overflow <= failure)
        raise BadArgument(f"bits={bits} do not hold the sum of {quorum.clients} clients: at least {needed} are needed")
    return plan


def vector_sum(
    size: int,
    *,
    clip: float,
    quorum: Quorum,
    rho: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    offers: Offers | None = None,
    bits: int | None = None,
    excess: float = 0.01,
) -> VectorSum:
    """Plans the sum of real vectors in an L2 ball, at a cost.

    The grid is the one with the least standard error that a ring has. A finer one costs less for rounding, in noise and
    in sensitivity; a coarser one wraps around less often, even if all clients hold the same vector. (A rule of thumb
    for the ring, four standard deviations to either side, would let one coordinate in 16,000 wrap around then, and
    each adds 64 variances.)

    Args:
        size: coordinates.
        clip: the radius of the ball; longer vectors are scaled down to it.
        quorum: who answers.
        rho: the cost, in one of the forms of an `Offer`.
        epsilon: likewise.
        delta: likewise.
        offers: the cost in several forms at once, instead.
        bits: of the ring; by default the fewest with which the standard error exceeds that of an unlimited ring, for
            the same cost and quorum, by no more than a share of `excess`.
        excess: see there.

    Raises:
        BadArgument: an argument is not as above, the cost is none, or the bits hold no useful grid.

    Example:
        >>> plan = vector_sum(1024, clip=1.0, quorum=Quorum(1000, floor=1000), epsilon=1.0, delta=1e-6, bits=20)
        >>> round(plan.steps), round(plan.standard_error(1000) / plan.central, 3)
        (2555, 1.073)
    """
    _validate.positive(clip=clip)
    _validate.positive(excess=excess)
    offer = offers or Offer(rho, epsilon, delta)
    central = math.sqrt(offer.central_variance) * clip
    sums = _Sums(_validate.whole(size=size), float(clip), quorum, offer, central)
    if bits is None:
        goal = sums.limit * (1 + excess)
        bits = _fewest(lambda bits: sums.error(sums.best(Ring(bits))) <= goal)
    plan = sums.best(Ring(bits))
    if sums.error(plan) > _USELESS * sums.limit:
        least = _fewest(lambda bits: sums.error(sums.best(Ring(bits))) <= 2 * sums.limit)
        raise BadArgument(
            f"bits={bits} hold no useful grid for {quorum.clients} clients: take at least {least}, or leave bits= out"
        )
    return plan


@dataclass(frozen=True)
class _Sums:
    """The sums of vectors on all grids."""

    size: int
    clip: float
    quorum: Quorum
    offer: Offer | Offers
    central: float

    def on(self, steps: float, ring: Ring) -> VectorSum:
        event = self.offer.event(rounded_sensitivity(steps, padded(self.size)))
        return VectorSum(self.size, ring, Shares.of(event, self.quorum), self.central, self.clip, steps)

    def error(self, plan: VectorSum) -> float:
        return plan.standard_error(self.quorum.clients)

    @property
    def finest(self) -> float:
        """The most steps: 2^30, or what keeps the noise in the range of the sampler."""
        return min(FINEST, MOST / 2 / math.sqrt(2 * self.offer.central_variance))

    @property
    def limit(self) -> float:
        """The standard error of the finest grid in an unlimited ring, or the widest there is."""
        plan = self.on(self.finest, Ring(WIDEST))
        return plan.step * math.sqrt(plan.shares.variance(self.quorum.clients))

    def best(self, ring: Ring) -> VectorSum:
        """The grid of the least error in a ring: the error falls with the steps, then rises.

        Golden sections, to 2^-8: the least is flat.
        """
        low, high = COARSEST, self.finest
        ratio = (math.sqrt(5) - 1) / 2
        while high > low * (1 + 2.0**-8):
            left, right = (high * (low / high) ** part for part in (ratio, 1 - ratio))
            better = self.error(self.on(left, ring)) <= self.error(self.on(right, ring))
            low, high = (low, right) if better else (left, high)
        return self.on(math.sqrt(low * high), ring)


def _fewest(fits: Callable[[int], bool]) -> int:
    """The fewest bits that fit.

    Raises:
        BadArgument: none do.
    """
    for bits in range(NARROWEST, WIDEST + 1):
        if fits(bits):
            return bits
    raise BadArgument(f"no ring of up to {WIDEST} bits holds the noisy sum: spend more on it, or ask fewer clients")


def _check(sensitivity: Sensitivity) -> None:
    if sensitivity.relation is not Relation.ZERO_OUT:
        raise BadArgument(
            f"sensitivity= must be under zero-out, not {sensitivity.relation.value}: who is removed from a round takes "
            "a share of the noise away"
        )
    if not 1 <= sensitivity.l2_squared < 2**61:
        raise BadArgument(f"sensitivity= must be from 1 to 2^30 steps, got {sensitivity!r}")
