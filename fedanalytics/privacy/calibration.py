"""From a promise to the noise that keeps it: the smallest noise multiplier, the largest number of rounds.

Whatever is returned was put to the `Accountant` and found to keep (epsilon, delta): its figures are upper bounds, so no
result is invalid. How close to the edge it is depends on the accountant's grid, whose error is of second order in its
step. So the step is halved until that moves epsilon by less than 1e-4 of it: a third of that is left. With the width in
which the search stops, the epsilon really spent is within [.9999, 1] of the promise; as it falls at least as fast as
the noise grows, the noise is within 0.01 % of the smallest. (Where even the finest step moves epsilon by more, the
result is valid, but that is not said of it.)

Without sampling all rounds are one Gaussian release of mu = sqrt(rounds) / noise_multiplier: closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy import gdp
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.events import Gaussian

LIMIT = 1e9  # of a noise multiplier: nothing is left of what it is added to
MOST = 10**12  # rounds
HIGHEST = 1e6  # epsilon
_COARSEST, _FINEST = 1e-3, 1e-6
_SETTLED = 1e-4  # by how much half the step may still move ln epsilon
_WIDTH, _WIDE = 4e-5, 1e-2  # of ln epsilon, below the promise, in which a search stops; the first one


@dataclass(frozen=True)
class _Promise:
    """(epsilon, delta) for a client that each round asks with probability `rate`."""

    epsilon: float
    delta: float
    rate: float

    def gap(self, noise_multiplier: float, rounds: int, grid: float = 1e-4) -> float:
        """The log of the epsilon spent over the one promised: at most 0 if, and only if, the promise is kept."""
        if noise_multiplier > LIMIT:
            raise BadArgument(
                f"epsilon={self.epsilon!r} at delta={self.delta!r} over rounds={rounds} needs a noise multiplier above "
                f"{LIMIT:g}, of which nothing is left: take a greater epsilon, or fewer rounds"
            )
        event = Gaussian(noise_multiplier).poisson_sampled(self.rate)
        spent = Accountant(grid=grid).compose(event, rounds).epsilon(self.delta)
        if spent <= self.epsilon:
            return math.log(max(spent / self.epsilon, 1e-26))
        return max(math.log(min(spent / self.epsilon, 1e26)), 1e-16)

    @property
    def grids(self) -> Iterator[float]:
        """A coarse one to begin with, then ever finer ones."""
        coarse = min(max(self.epsilon * 1e-3, 4 * _FINEST), _COARSEST)
        yield coarse
        grid = coarse / 4
        while grid >= _FINEST:
            yield grid
            grid /= 2


def calibrate(*, epsilon: float, delta: float, sampling_rate: float = 1.0, rounds: int = 1) -> float:
    """The smallest noise multiplier with which all rounds together are (epsilon, delta)-DP.

    Each round releases one sum with Gaussian noise of standard deviation noise_multiplier * (L2 sensitivity), on a
    cohort that every client joined with probability `sampling_rate`. The promise is made for one value of delta, and,
    with a rate below 1, only to those who do not see who took part.

    Args:
        epsilon: of all rounds together.
        delta: of all rounds together.
        sampling_rate: in (0, 1]; 1: every client takes part in every round.
        rounds: how many, fixed in advance.

    Returns:
        Never too little noise; at most 0.01 % too much. See the top of the file.

    Raises:
        BadArgument: an argument is not as above; the noise would exceed 1e9; or no noise at all would do, as delta
            exceeds the chance that a client is ever asked.

    Example:
        >>> round(calibrate(epsilon=1.0, delta=1e-6), 4)
        4.2247
        >>> round(calibrate(epsilon=2.0, delta=1e-6, rounds=365), 3)
        42.613
    """
    promise = _promise(epsilon, delta, sampling_rate)
    rounds = _rounds(rounds)
    if promise.rate == 1:
        return _closed(promise, rounds)
    if -math.expm1(rounds * math.log1p(-promise.rate)) <= promise.delta:
        raise BadArgument(
            f"delta={delta!r} exceeds the chance that a client is asked at all, so that it permits answers without any "
            f"noise: take a delta far below sampling_rate * rounds = {promise.rate * rounds:.3g}"
        )
    return _searched(promise, rounds)


def rounds_within(*, epsilon: float, delta: float, noise_multiplier: float, sampling_rate: float = 1.0) -> int:
    """The largest number of rounds that together are (epsilon, delta)-DP; 0 if not even one is.

    Args:
        epsilon: of all rounds together.
        delta: of all rounds together.
        noise_multiplier: of each round, as in `calibrate`.
        sampling_rate: in (0, 1], as in `calibrate`.

    Returns:
        Never too many; about 0.01 % too few at worst, and at most 10^12.

    Raises:
        BadArgument: an argument is not as above.

    Example:
        >>> rounds_within(epsilon=2.0, delta=1e-6, noise_multiplier=42.7)
        366
        >>> rounds_within(epsilon=2.0, delta=1e-6, noise_multiplier=1.0)
        0
    """
    promise = _promise(epsilon, delta, sampling_rate)
    noise = float(_validate.positive(noise_multiplier=noise_multiplier))
    if noise > LIMIT:
        raise BadArgument(f"noise_multiplier= must be at most {LIMIT:g}, got {noise_multiplier!r}")
    if promise.rate == 1:
        most = math.floor((Fraction(gdp.mu_of(promise.epsilon, promise.delta)) * Fraction(noise)) ** 2)
        return _most(lambda rounds: promise.gap(noise, rounds), min(most, MOST), 1)
    return _counted(promise, noise)


def _promise(epsilon: float, delta: float, sampling_rate: float) -> _Promise:
    if _validate.positive(epsilon=epsilon) > HIGHEST:
        raise BadArgument(f"epsilon= must be at most {HIGHEST:g}, beyond which nothing is promised, got {epsilon!r}")
    _validate.probability(delta=delta)
    return _Promise(float(epsilon), float(delta), _validate.rate(sampling_rate=sampling_rate))


def _rounds(rounds: int) -> int:
    if _validate.whole(rounds=rounds) > MOST:
        raise BadArgument(f"rounds= must be at most 10**12, got {rounds!r}")
    return int(rounds)


def _closed(promise: _Promise, rounds: int) -> float:
    """sqrt(rounds) / mu, raised until the accountant, which rounds up too, agrees."""
    mu, more = gdp.mu_of(promise.epsilon, promise.delta), 2.0**-44
    noise = math.sqrt(rounds) / mu if mu else math.inf
    while promise.gap(noise, rounds) > 0:
        noise, more = noise * (1 + more), 2 * more
    return noise


def _searched(promise: _Promise, rounds: int) -> float:
    """The root of the gap in x = ln(noise multiplier), on finer and finer grids; the least is valid, as all are."""
    x, slope, reached, found, width = math.log(_guessed_noise(promise, rounds)), -1.5, math.inf, math.inf, _WIDE
    for grid in promise.grids:

        @lru_cache
        def gap(x: float, grid: float = grid) -> float:
            return promise.gap(math.exp(x), rounds, grid)

        moved = abs(gap(x) - reached)
        x, slope = _root(gap, x, slope, width)
        reached, found, width = gap(x), min(found, x), _WIDTH
        if moved < _SETTLED:
            break
    return math.exp(found)


def _root(gap: Callable[[float], float], x: float, slope: float, width: float) -> tuple[float, float]:
    """Where a falling gap is in [-width, 0], by secant steps inside a bracket; and the slope there."""
    low, high, last = -math.inf, math.inf, None
    while not -width <= (y := gap(x)) <= 0:
        low, high = (x, high) if y > 0 else (low, x)
        if high - low < 1e-9:  # the gap jumps here
            return high, slope
        if last is not None:
            slope = min((y - last[1]) / (x - last[0]), -0.3)
        last = x, y
        x += min(max((-width / 2 - y) / slope, -1.0), 1.0)
        if not low < x < high:
            x = (low + high) / 2
    return x, slope


def _counted(promise: _Promise, noise: float) -> int:
    """The most rounds that keep the promise, on finer and finer grids; the greatest count is valid, as all are."""
    guess, found, reached = _guessed_rounds(promise, noise), 0, math.inf
    step = max(guess // 32, 1)
    for grid in promise.grids:

        @lru_cache
        def gap(rounds: int, grid: float = grid) -> float:
            return promise.gap(noise, rounds, grid)

        moved = abs(gap(max(guess, 1)) - reached)
        before, guess = guess, _most(gap, guess, step)
        reached, found, step = gap(max(guess, 1)), max(found, guess), max(abs(guess - before) // 32, 1)
        if moved < _SETTLED:
            break
    return found


def _most(gap: Callable[[int], float], guess: int, step: int) -> int:
    """The greatest n from 0 to `MOST` with a gap of at most 0, which grows: steps from a guess, then bisection."""
    low = high = guess
    if guess == 0 or gap(guess) <= 0:
        while (high := min(low + step, MOST + 1)) <= MOST and gap(high) <= 0:
            low, step = high, 2 * step
    else:
        while (low := max(high - step, 0)) and gap(low) > 0:
            high, step = low, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if gap(middle) <= 0 else (low, middle)
    return low


def _guessed_noise(promise: _Promise, rounds: int) -> float:
    """By the central limit theorem, mu^2 = rate^2 rounds (e^(1/noise^2) - 1): not a figure that others rest on."""
    mu = gdp.mu_of(promise.epsilon, promise.delta)
    return min(1 / math.sqrt(max(math.log1p((mu / promise.rate) ** 2 / rounds), 1e-18)), LIMIT)


def _guessed_rounds(promise: _Promise, noise: float) -> int:
    mu = gdp.mu_of(promise.epsilon, promise.delta)
    growth = math.expm1(min(max(noise**-2, 1e-18), 600.0))
    return int(min((mu / promise.rate) ** 2 / growth, float(MOST)))
