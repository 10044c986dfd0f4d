"""Composition on a grid that suits what is composed: epsilon and delta, from above and from below.

The step is the one that is asked for, an eighth of it (again and again) while losses are so few steps long that the
steps would be felt and that costs little, and twice it (again and again) while no window holds the losses. All three
keep every bound a bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache, partial

import numpy as np

from fedanalytics.privacy import losses
from fedanalytics.privacy.events import Event
from fedanalytics.privacy.losses import Floats
from fedanalytics.privacy.spectra import Spectrum, Sum, Window

_CHEAP = 2**14  # points of a window that may become eight times as wide
_MOST = 2e11  # counts over steps, up to which the roundings of finer ones do not matter
_CLOSE = 4e-5  # the share of delta that errors may bring before another window is tried
_TRIES = 4
_LAYERS = 81  # quarters of a deviation


class Composition:
    """Events, each so many times.

    Attributes:
        directions: the losses for the record removed, and added unless that is the same.
    """

    def __init__(self, counts: Mapping[Event, int], grid: float, step: float = 0.0) -> None:
        self._counts, self._grid = counts, grid
        self._make(max(grid, step))
        while self._felt():
            self._grid /= 8
            self._make(self._grid)

    def epsilon(self, delta: float) -> float:
        """An upper bound; infinite when delta is not more than the mass of infinite losses."""
        found = 0.0
        for total in self.directions:
            least = total.enough(delta)
            near = 0.7 * least
            for _ in range(_TRIES if found < least < math.inf else 0):
                window = total.window(near, math.log(delta))
                if window is None and self._coarser:
                    return self._coarser.epsilon(delta)
                if window is None:
                    break
                least = min(least, window.epsilon(delta))
                if window.error(least) < _CLOSE * delta:
                    break
                near = least
            found = max(found, least)
        return found

    def bounds(self, epsilon: float) -> tuple[float, float]:
        """Delta at one epsilon, from below and from above."""
        low = high = 0.0
        for total in self.directions:
            log_delta = total.at_most(epsilon)
            most, least = min(math.exp(log_delta) + total.infinite, 1.0), 0.0
            for _ in range(_TRIES):
                window = total.window(epsilon, log_delta)
                if window is None and self._coarser:
                    return self._coarser.bounds(epsilon)
                if window is None:
                    break
                most, least = min(most, window.bounds(epsilon)[1]), max(least, _below(window, epsilon + total.raised))
                if window.error(epsilon) <= _CLOSE * most:
                    break
                log_delta -= 5
            low, high = max(low, least), max(high, most)
        return low, high

    def lower(self, delta: float, upper: float) -> float:
        """A lower bound on the true epsilon at delta: every epsilon whose true delta exceeds it is one."""
        found = 0.0
        for total in self.directions:
            window = total.window(upper, math.log(delta))
            if window is None and self._coarser:
                return self._coarser.lower(delta, upper)
            if window is not None:
                found = max(found, lowest(partial(_below, window), delta, upper) - total.raised)
        return found

    def _make(self, step: float) -> None:
        """The directions on the least step that all can have."""
        pairs = [(_spectra(atom, self._grid, step), count) for atom, count in self._counts.items()]
        self._step = max(pair[0].one.step for pair, _ in pairs)
        if any(pair[0].one.step != self._step for pair, _ in pairs):
            self._make(self._step)
            return
        same = all(pair[0] is pair[1] for pair, _ in pairs)
        self.directions = [Sum([(pair[d], n) for pair, n in pairs]) for d in range(1 if same else 2)]

    def _felt(self) -> bool:
        """Whether losses are so few steps long that the steps are felt, and a finer grid costs little."""
        parts, count = self.directions[0].parts, self.directions[0].count
        if self._step > self._grid or count / self._grid > _MOST:
            return False
        variance = sum(n * one.variance for one, n in parts)
        longest = max(len(one.one.masses) for one, _ in parts)
        return variance < 5 * count and 16 * math.sqrt(variance) < _CHEAP and longest < losses.WIDEST / 8

    @cached_property
    def _coarser(self) -> Composition | None:
        """On twice the step, if it may be doubled."""
        if 2 * self._step > losses.COARSEST:
            return None
        return Composition(self._counts, self._grid, 2 * self._step)


@lru_cache(maxsize=64)
def _spectra(atom: Event, grid: float, step: float) -> tuple[Spectrum, Spectrum]:
    """Both directions on the step that is asked for, or on the finest that they fit on."""
    pair = losses.of(atom, grid)
    same = pair[0] is pair[1]
    while pair[0].step < step:
        pair = pair[0].coarser(), pair[1].coarser()
    removed = Spectrum(pair[0])
    return removed, (removed if same else Spectrum(pair[1]))


def lowest(below: Callable[[float], float], delta: float, upper: float) -> float:
    """The greatest epsilon up to `upper` that is found to have a true delta above `delta`, or 0.

    Args:
        below: a lower bound on the true delta at an epsilon.
        delta: that is to be exceeded.
        upper: where the search begins, downwards.
    """
    low, step = upper, 1e-9 * upper
    while low > 0 and below(low) <= delta:
        low, step = max(low - step, 0.0), 2 * step
    high = min(low + step / 2, upper)
    while low > 0 and high - low > 0.02 * (upper - low) + 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) > delta else (low, middle)
    return low


def _below(window: Window, epsilon: float) -> float:
    """A lower bound on the true delta at epsilon; see the top of the file."""
    deviation, theta = window.step * math.sqrt(window.count) / 2, window.tilt / window.step
    if (1 + theta) * deviation > 2:
        return 0.0  # the steps are felt: nothing is known
    t = deviation * np.arange(_LAYERS) / 4
    beyond = np.minimum(2 * np.exp(-(np.maximum(t / deviation - deviation / 2, 0.0) ** 2) / 2), 1.0)
    moved, weight = _expected(t * np.exp((1 + theta) * t), beyond), _expected(np.exp(theta * t), beyond)
    far = int((weight + t / deviation * 1e-3).argmin())
    near = np.minimum(window.within(epsilon, t + t[far]) + weight[far], 1 + window.slack)
    gap = float((moved[:-1] - moved[1:]) @ near[1:] + moved[-1])
    return window.bounds(epsilon)[0] - gap * window.scale(epsilon) * (1 + 2.0**-40) - 2 * window.count * losses.LOST


def _expected(values: Floats, beyond: Floats) -> Floats:
    """Upper bounds on E[f(|D|); |D| >= t] for growing f, by its values at each t and P(|D| >= t)."""
    steps = np.append(np.diff(values) * beyond[:-1], 1e-60)  # what is left after 20 deviations, as e^2t <= e^80
    found: Floats = values * beyond + np.cumsum(steps[::-1])[::-1]
    return found
