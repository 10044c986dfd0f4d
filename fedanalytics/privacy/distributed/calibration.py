"""The least noise that a cost allows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy import gdp, renyi
from fedanalytics.privacy.events import Skellam
from fedanalytics.privacy.sensitivity import Sensitivity

_VECTOR, _SCALAR = 2.0**-20, 2.0**-13  # how far above the least a variance may be, relative


@dataclass(frozen=True)
class Offer:
    """What noise in shares may cost, in exactly one form.

    * ``rho``: the Renyi divergence of *every* whole order a >= 2 is at most rho a, as for Gaussian noise that costs
      rho: a Renyi filter charges no more for it, whatever its order is.
    * ``rho, order``: that of the one order alone, which is what a filter of that order charges.
    * ``epsilon, delta``: of a vector by the Renyi divergence of the one order that holds most Gaussian noise
      (`renyi.best_order`); of a scalar by its exact privacy loss distribution.

    Attributes:
        rho: see above.
        epsilon: see above.
        delta: see above.
        order: see above.

    Raises:
        BadArgument: no form, or both, or a number that is not positive and finite, or a delta not in (0, 1).

    Example:
        >>> from fedanalytics.privacy.relations import Relation
        >>> from fedanalytics.privacy.sensitivity import counting
        >>> offer = Offer(epsilon=1.0, delta=1e-6)
        >>> round(offer.event(counting(1, 1, Relation.ZERO_OUT)).variance, 1), round(offer.central_variance, 1)
        (14.2, 17.8)
    """

    rho: float | None = None
    epsilon: float | None = None
    delta: float | None = None
    order: int | None = None

    def __post_init__(self) -> None:
        given = {name: value for name in ("rho", "epsilon", "delta") if (value := getattr(self, name)) is not None}
        if set(given) not in ({"rho"}, {"epsilon", "delta"}):
            found = ", ".join(f"{name}={value!r}" for name, value in given.items()) or "none"
            raise BadArgument(
                f"give the cost as rho=, or as epsilon= with delta=; found {found}. Noise in shares is never pure: "
                "shares of a pure law do not add up to it"
            )
        for name, value in given.items():
            _validate.positive(**{name: value})
        if self.delta is not None:
            _validate.probability(delta=self.delta)
        if self.order is not None:
            _validate.whole(2, order=self.order)

    @property
    def central_variance(self) -> float:
        """Of the Gaussian noise that one party would add at the same cost, for an L2 sensitivity of 1.

        1 / (2 rho), or by the analytic Gaussian mechanism (`gdp.mu_of`).
        """
        if self.epsilon is None or self.delta is None:
            return 1 / (2 * float(self.rho or 0))
        return 1 / gdp.mu_of(self.epsilon, self.delta) ** 2

    def event(self, sensitivity: Sensitivity, *, scalar: bool = False) -> Skellam:
        """The noise of the least variance that costs no more; from above, to within 2^-20 (of scalars: 2^-13).

        Proof for rho. The bound on the divergence over a is A + min(x, y) / a, with A = l2^2 / (2V), y = 3 l1 / (2V)
        and x / a = l2^2 / (2V^2) + (6 l1 - l2^2) / (4 V^2 a) (Agarwal, Kairouz, Liu 2021, arXiv 2110.04995; `renyi`).
        If 6 l1 >= l2^2, both x / a and y / a fall with a, and a = 2 is the worst; else x / a rises to l2^2 / (2V^2). So
        neither the bound at a = 2 over 2 nor A (1 + 1/V) may exceed rho.

        Args:
            sensitivity: of the sum, in grid steps.
            scalar: whether one coordinate alone can change; it is so without being said when l1 = 1.

        Raises:
            BadArgument: the cost is too small for any noise that is known.
        """
        return _least_event(self, sensitivity, scalar or sensitivity.l1 == 1)


@dataclass(frozen=True)
class Offers:
    """Several, none of which may be exceeded.

    Example:
        >>> from fedanalytics.privacy.relations import Relation
        >>> from fedanalytics.privacy.sensitivity import counting
        >>> count = counting(1, 1, Relation.ZERO_OUT)
        >>> [round(Offers((Offer(rho=0.05), Offer(rho=r))).event(count).variance, 1) for r in (0.1, 0.02)]
        [11.9, 27.1]
    """

    parts: tuple[Offer, ...]

    @property
    def central_variance(self) -> float:
        """Of the Gaussian noise that one party would add: the most that any of them asks for."""
        return max(offer.central_variance for offer in self.parts)

    def event(self, sensitivity: Sensitivity, *, scalar: bool = False) -> Skellam:
        """The least noise that none is exceeded by: more noise costs less, whatever it is counted by.

        Raises:
            BadArgument: one of them is too small for any noise that is known.
        """
        return max((offer.event(sensitivity, scalar=scalar) for offer in self.parts), key=lambda event: event.variance)


@lru_cache(maxsize=4096)
def _least_event(offer: Offer, sensitivity: Sensitivity, scalar: bool) -> Skellam:  # noqa: FBT001  # of the cache
    def event(variance: float) -> Skellam:
        return Skellam(variance, max(sensitivity.l1, l2), l2, sensitivity.relation, scalar)

    l2 = sensitivity.l2
    guess = offer.central_variance * sensitivity.l2_squared
    if offer.epsilon is None or offer.delta is None:
        rho, at = float(offer.rho or 0), offer.order
        if at is None:
            return event(_least(lambda v: _dearest(event(v)) / rho, guess, _VECTOR))
        return event(_least(lambda v: renyi.divergence(event(v), at) / (rho * at), guess, _VECTOR))
    if scalar:
        return event(_least_scalar(event, offer.epsilon, offer.delta, guess))
    order = renyi.best_order(offer.epsilon, offer.delta)
    cap = renyi.cap(offer.epsilon, offer.delta, order)
    if cap == 0:
        raise BadArgument(
            f"epsilon={offer.epsilon!r} at delta={offer.delta!r} is too little for noise in shares on vectors: the "
            "conversion from Renyi divergences alone costs more"
        )
    return event(_least(lambda v: renyi.divergence(event(v), order) / cap, guess, _VECTOR))


def _least_scalar(event: Callable[[float], Skellam], epsilon: float, delta: float, guess: float) -> float:
    """Sought on a coarse grid of losses, where a figure takes milliseconds, and checked on the ordinary one."""
    from fedanalytics.privacy.accountant import Accountant  # noqa: PLC0415  # vectors need none

    def spent(variance: float, grid: float) -> float:
        return Accountant(grid=grid).compose(event(variance)).epsilon(delta) / epsilon

    variance = _least(lambda v: spent(v, 1e-3), guess, _SCALAR)
    while spent(variance, 1e-4) > 1:
        variance *= 1 + _SCALAR
    return variance


def _dearest(event: Skellam) -> float:
    """The greatest divergence over order, for whole orders of at least 2, as proved above, rounded up."""
    limit = event.l2**2 / (2 * event.variance) * (1 + 1 / event.variance) * (1 + 2.0**-40)
    return max(renyi.skellam_bound(event, 2) / 2 * (1 + 2.0**-40), limit)


def _least(spent: Callable[[float], float], guess: float, tolerance: float) -> float:
    """A number at which at most 1 is spent, and a share of at most `tolerance` below it one at which more is.

    Between two ends, both in logarithms, false positions aimed half a tolerance to either side of the root in turn: the
    first that are near enough close the bracket. Every third step halves it, whatever the function looks like.
    """
    low, above = high, below = math.log(guess), _log(spent(guess))
    width = max(2.0**-8, min(2 * abs(above), 1.0))
    while above <= 0:
        low, above = low - width, _log(spent(math.exp(low - width)))
        width *= 2
    while below > 0:
        high, below = high + width, _log(spent(math.exp(high + width)))
        width *= 2
    turn = 0
    while high - low > tolerance:
        aim = low + (high - low) * above / (above - below) + (tolerance / 2 if turn % 2 else -tolerance / 2)
        middle = aim if turn % 3 < 2 and low < aim < high else (low + high) / 2
        value = _log(spent(math.exp(middle)))
        low, above, high, below = (middle, value, high, below) if value > 0 else (low, above, middle, value)
        turn += 1
    return math.exp(high)


def _log(ratio: float) -> float:
    """Within bounds, so that a loss of nothing, or one without a bound, can be interpolated too."""
    return math.log(min(max(ratio, 1e-100), 1e100))
