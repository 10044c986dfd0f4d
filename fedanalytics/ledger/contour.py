"""The second accountant's composition: an integral over a line in the complex plane, instead of a grid of losses.

With K(z) = ln E_P[e^(z L)], L the sum of all losses, and any s > 0,

    delta(epsilon) = E_P[(1 - e^(epsilon - L))+] = 1/(2 pi) * integral of e^(K(z) - z epsilon) / (z (z + 1)) dt,

z = s + i t, because 1/(z (z + 1)) is the Laplace transform of (1 - e^-x)+. K is a sum over releases, each taken from
its table of outcomes (`outcomes`), so composing a release n times is multiplying by n. At the saddle point s the
integrand is of the size of delta, however small that is (Alghamdi et al. 2022, arXiv 2208.09595, have the method).

The integral is a trapezoidal sum of step h, which is exact but for delta(epsilon +- 2 pi/h) e^(+- 2 pi s/h), below
1e-8 delta by choice of h. Losses that take few values have integrands that hardly fall: there, a Gaussian release with
a deviation of a ten thousandth of epsilon is composed in, which cuts them off and makes epsilon a little too great.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fedanalytics.ledger.outcomes import Complexes, bounded, outcomes, symmetric
from fedanalytics.privacy.events import Event, Gaussian

_RUNG = 1.25  # from one tilt that is tried to the next
_RUNGS = 200
_ADDED = 1e-4  # of epsilon, as the deviation of a Gaussian loss
_NEAR = 10.0  # ln of how much greater than delta the integrand may be
_SILENT = -28.0  # ln of what is left out, as a share of what is summed first
_QUIET = 20.0  # ln of what errors are kept below, as a share of delta
_BLOCK = 256
_MOST = 2**22  # nodes on the line times outcomes


@dataclass(frozen=True)
class Figure:
    """An epsilon, right to a millionth of it, or too great by about `excess` at most.

    The excess is what four times the Gaussian noise that was composed in would add once more; or, where a moment alone
    says as much, how far such a bound may be off.
    """

    value: float
    excess: float = 0.0


@dataclass(frozen=True)
class _Rung:
    """One tilt: K there, the variance of the tilted losses, and the epsilon that this moment alone implies."""

    tilt: float
    cumulant: float
    variance: float
    epsilon: float


class Composed:
    """All releases in one direction.

    Attributes:
        rungs: tilts on both sides of the best one.
        bound: the least epsilon that a moment implies: an upper bound.
    """

    def __init__(self, counts: Mapping[Event, int], delta: float, *, back: bool) -> None:
        self._mu2 = math.fsum(n / atom.noise_multiplier**2 for atom, n in counts.items() if isinstance(atom, Gaussian))
        self._others = [(atom, n) for atom, n in counts.items() if not isinstance(atom, Gaussian)]
        self._log_delta, self._back = math.log(delta), back
        self.rungs = self._climbed()
        self.bound = max(min(*(rung.epsilon for rung in self.rungs), self._peak()), 0.0)

    def epsilon(self) -> Figure:
        """The least epsilon at delta."""
        if not self.bound:
            return Figure(0.0)
        if len(self._others) == 1 and self._others[0][1] == 1 and not self._mu2:
            table, delta = outcomes(self._others[0][0], back=self._back), math.exp(self._log_delta)
            return Figure(_least(lambda epsilon: table.beyond(epsilon) <= delta, self.bound, self.bound))
        saddle, period = self._saddle()
        nodes, logs = self._line(saddle.tilt, 2 * math.pi / period)
        cut = (7 / nodes[-1].imag) ** 2 - self._mu2
        if cut <= 0 or logs[-_BLOCK:].real.max() < logs[0].real + _SILENT:
            return Figure(self._solved(saddle, period, nodes, logs))
        square = (nodes * nodes + nodes) / 2
        once, more = (self._solved(saddle, period, nodes, logs + much * cut * square) for much in (1, 4))
        return Figure(once, more - once if once < self.bound else _NEAR / saddle.tilt)

    def _solved(self, saddle: _Rung, period: float, nodes: Complexes, logs: Complexes) -> float:
        def fits(epsilon: float) -> bool:
            grown = logs - epsilon * nodes
            top = float(grown.real.max())
            total = 2 / period * float(np.exp(grown - top).real.sum())
            return total <= 0 or top + math.log(total) <= self._log_delta

        return _least(fits, self.bound, 1 / saddle.tilt)

    def _peak(self) -> float:
        """The greatest loss, where losses are bounded."""
        if self._mu2 or not all(bounded(atom) for atom, _ in self._others):
            return math.inf
        return math.fsum(n * float(outcomes(atom, back=self._back).losses.max()) for atom, n in self._others)

    def _rung(self, tilt: float) -> _Rung:
        """From K alone, epsilon = (K - ln delta + s ln s - (1 + s) ln(1 + s)) / s.

        (Canonne, Kamath, Steinke 2020, arXiv 2004.00010, Proposition 12.)
        """
        cumulant, variance = self._mu2 / 2 * (tilt * tilt + tilt), self._mu2
        for atom, count in self._others:
            own, spread = outcomes(atom, tilt, back=self._back).moments(tilt)
            cumulant, variance = cumulant + count * own, variance + count * spread
        shape = math.log1p(tilt) + tilt * math.log1p(1 / tilt)
        return _Rung(tilt, cumulant, variance, (cumulant - shape - self._log_delta) / tilt)

    def _climbed(self) -> list[_Rung]:
        """Up from a tilt below the best one, until moments say less and less."""
        lowest = self._rung(1 / math.sqrt(max(self._rung(1e-9).variance, 1e-300)))
        while (lower := self._rung(lowest.tilt / 4)).epsilon < lowest.epsilon:
            lowest = lower
        rungs, best, stale = [lower], lower, 0
        while len(rungs) < _RUNGS and rungs[-1].tilt < 8 * best.tilt and stale < 6:
            rungs.append(self._rung(rungs[-1].tilt * _RUNG))
            if rungs[-1].epsilon < best.epsilon:
                stale = stale + 1 if best.epsilon - rungs[-1].epsilon < 1e-4 * abs(best.epsilon) else 0
                best = rungs[-1]
        return rungs

    def _saddle(self) -> tuple[_Rung, float]:
        """Of the tilts whose integrand is not much greater than delta, the one that takes the fewest nodes."""
        least = min(rung.epsilon for rung in self.rungs)
        near = [rung for rung in self.rungs if rung.tilt * (rung.epsilon - least) <= _NEAR]
        return min(((rung, self._period(rung.tilt)) for rung in near), key=lambda pair: pair[1])

    def _period(self, tilt: float) -> float:
        """How far apart in epsilon the copies lie that the trapezoidal sum adds; those above by moments of tilts u.

        delta(e) e^(s (e - epsilon)) <= e^(K(u) - u epsilon - (u - s) (e - epsilon)), epsilon at least half the bound.
        """
        below = (_QUIET - self._log_delta) / tilt
        at = self.bound / 2
        above = [
            (rung.cumulant - rung.tilt * at + _QUIET - self._log_delta) / (rung.tilt - tilt)
            for rung in self.rungs
            if rung.tilt > tilt
        ]
        return max(below, min(above, default=below))

    def _line(self, tilt: float, step: float) -> tuple[Complexes, Complexes]:
        """Nodes from the real line up, and the logarithms of what is summed but for epsilon, until it is negligible."""
        size = max((len(outcomes(atom, tilt, back=self._back).logs) for atom, _ in self._others), default=1)
        added = self.bound * min(_ADDED**2 * self.bound, _ADDED / 5)
        end = min(7 / math.sqrt(max(self._mu2, added)), step * _MOST / max(size, 64))
        nodes: list[Complexes] = []
        logs: list[Complexes] = []
        while not nodes or nodes[-1][-1].imag < end:
            at = _BLOCK * len(nodes)
            nodes.append(np.asarray(tilt + 1j * step * np.arange(at, at + _BLOCK), np.complex128))
            logs.append(self._logs(nodes[-1]))
            if logs[-1].real.max() < logs[0][0].real + _SILENT:
                break
        logs[0][0] -= math.log(2)
        return np.concatenate(nodes), np.concatenate(logs)

    def _logs(self, z: Complexes) -> Complexes:
        tilt, turns = float(z[0].real), z.imag
        found: Complexes = self._mu2 / 2 * (z * z + z) - np.log(z * (z + 1))
        for atom, count in self._others:
            found += count * outcomes(atom, tilt, back=self._back).cumulants(tilt, turns)
        return found


def epsilon(counts: Mapping[Event, int], delta: float) -> Figure:
    """The epsilon at `delta` of releases that were fixed in advance, each so many times; all atoms `outcomes.known`.

    Example:
        >>> round(epsilon({Gaussian(50.0): 1000}, 1e-6).value, 4)
        2.9216
    """
    ways = sorted(_ways(counts, delta), key=lambda way: way.bound)
    found = ways.pop().epsilon() if ways else Figure(0.0)
    return max([found, *(way.epsilon() for way in ways if way.bound > found.value)], key=lambda figure: figure.value)


def bound(counts: Mapping[Event, int], delta: float) -> float:
    """What moments say of the same: more than that, and sooner."""
    return max((way.bound for way in _ways(counts, delta)), default=0.0)


def _ways(counts: Mapping[Event, int], delta: float) -> list[Composed]:
    both = (False,) if all(map(symmetric, counts)) else (False, True)
    return [Composed(counts, delta, back=back) for back in both] if counts else []


def _least(fits: Callable[[float], bool], high: float, step: float) -> float:
    """The least epsilon that fits, from 0 to `high`, which is taken to fit; sought downwards."""
    low = high - step
    while low > 0 and fits(low):
        high, step = low, 2 * step
        low = high - step
    if low <= 0:
        if fits(0.0):
            return 0.0
        low = 0.0
    for _ in range(45):
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high
