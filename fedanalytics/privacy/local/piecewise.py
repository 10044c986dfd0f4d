"""The piecewise mechanism on a grid: a report names one of a few points, mostly one near the client's number."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.events import Event, RandomizedResponse
from fedanalytics.privacy.events.local import hiding_values
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.local import coins
from fedanalytics.privacy.local.coins import Integers
from fedanalytics.privacy.local.frequencies import Frequencies, column_sums, whole_numbers
from fedanalytics.privacy.local.mechanism import Mechanism
from fedanalytics.privacy.local.totals import Means, Totals
from fedanalytics.privacy.relations import Relation

_CHUNK = 1 << 20  # clients at a time
_MOST = 1 << 20  # points: squares and sums stay far within 63 bits


Null: TypeAlias = Literal["zero", "uniform", "counted"]


@dataclass(frozen=True)
class PiecewiseResponse(Mechanism):
    """A number z in [-1, 1] -> one of the points -(M-1), -(M-3), ..., M-1, for M = `points`.

    z is first rounded at random, unbiased, to one of the G + 1 = M - W + 1 places where a window of W = `window`
    neighbouring points fits. Then with probability `noise` the report is a uniform point, else a uniform point of the
    window. The centre of window s is 2 s - G, so the report has mean gain * z, gain = (1 - noise) G. Two points are
    the mechanism of Duchi, Jordan, Wainwright (2018); many come near the piecewise mechanism of Wang et
    al. (2019, ICDE, arXiv 1907.00782, Algorithm 2), and the best finite numbers have less variance than it, because
    the window is chosen for the worst case.

    Null, which every z that is not finite is, adds 0 in the mean; `null` says how:

    * "zero": it is 0 like any other.
    * "uniform": a uniform point, the same whatever the noise. Under zero-out more noise can then be saved, at the price
      of a greater variance of the nulls.
    * "counted": W points more, which say "none", are its window: the reports also tell how many clients hold a number,
      so that means can be estimated.

    Privacy: a report has probability (1 - noise) / W + noise / T in the window, noise / T outside, T the number of
    points: the odds of any two places are 1 + (1 - noise) T / (W noise). Against a uniform null they are the greater of
    noise + (1 - noise) T / W and 1 / noise, whose product is the first figure. Rounding z mixes laws of places, and
    no mixture has greater odds than the laws that it mixes. Where there are but two places, 0 is half of each.

    Attributes:
        points: M >= 2.
        window: W from 1 to M - 1.
        noise: in (0, 1).
        null: "zero", "uniform" or "counted".

    Raises:
        BadArgument: a field is not as above.

    Example:
        >>> PiecewiseResponse(points=2, window=1, noise=0.5).epsilon()
        1.0986122886681...
    """

    points: int
    window: int
    noise: float
    null: Null = "zero"

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _validate.whole(2, points=self.points))
        object.__setattr__(self, "window", _validate.whole(window=self.window))
        object.__setattr__(self, "noise", _validate.probability(noise=self.noise))
        object.__setattr__(self, "null", _validate.one_of(get_args(Null), null=self.null))
        if not self.window < self.points <= _MOST:
            raise BadArgument(f"window={self.window} must be smaller than points={self.points}, at most 2**20")

    @property
    def counted(self) -> bool:
        """Whether null is told from 0."""
        return self.null == "counted"

    @property
    def columns(self) -> int:
        """For y and y^2; with null counted, also whether it is a number."""
        return 3 if self.counted else 2

    @property
    def gain(self) -> Fraction:
        """The mean of a report is gain * z."""
        return (1 - Fraction(self.noise)) * self._places

    def odds(self, relation: Relation = Relation.REPLACE_ONE) -> Fraction:
        noise = Fraction(self.noise)
        truth = (1 - noise) * self._all / self.window  # in multiples of 1/T, the probability of a uniform point
        if hiding_values(relation) is Relation.ZERO_OUT:
            if self.null == "uniform":
                return max(noise + truth, 1 / noise)
            if self.null == "zero" and self._places == 1:
                return max((noise + truth) / (noise + truth / 2), (noise + truth / 2) / noise)
        return (noise + truth) / noise

    def event(self, relation: Relation = Relation.REPLACE_ONE) -> Event:
        """Randomised response, where there are two points: 0 is then uniform. Unless null is `counted`, so is it."""
        as_event_says = not self.counted or relation is Relation.REPLACE_ONE
        if self.points == 2 and as_event_says:
            return RandomizedResponse(self.noise, self._all, hiding_values(relation))
        return super().event(relation)

    @property
    def variance(self) -> float:
        """The greatest that y / gain can have for a client with a number, over z in [-1, 1].

        Between two places the second moment is linear in z, and the squared mean is subtracted.
        """
        z = np.linspace(-1.0, 1.0, self._places + 1)
        second = self._second_moments()
        slope, gain = np.diff(second) / np.diff(z), float(self.gain)
        at = np.clip(slope / (2 * gain**2), z[:-1], z[1:])
        return float((second[:-1] + slope * (at - z[:-1]) - (gain * at) ** 2).max()) / gain**2

    @property
    def worst(self) -> float:
        """The same over null too."""
        return max(self.variance, self._uniform() / float(self.gain) ** 2 if self.null == "uniform" else 0.0)

    def reports(self, values: npt.ArrayLike, keystream: Keystream | None = None) -> Integers:
        """What clients send, each on its own: y, y^2 and, with null counted, if it is a number; shape (n, columns).

        Args:
            values: numbers, shape (n,), clipped to [-1, 1] and meant to 2^-40; what is not finite is null.
            keystream: None, the default, keys one afresh; a test may pass `Keystream.insecure(seed)`.

        Raises:
            BadArgument: `values` have another shape, or are no numbers.
        """
        return self._reports(_checked(values), keystream or Keystream())

    def sums(self, values: npt.ArrayLike, keystream: Keystream | None = None) -> Integers:
        """The sum of such reports over the clients, shape (columns,), without holding them all.

        Raises:
            BadArgument: `values` have another shape, or are no numbers.
        """
        numbers, stream = _checked(values), keystream or Keystream()
        total = np.zeros(self.columns, dtype=np.int64)
        for start in range(0, len(numbers), _CHUNK):
            total += self._reports(numbers[start : start + _CHUNK], stream).sum(axis=0)
        return total

    def estimate(self, sums: npt.ArrayLike, reports: int) -> Totals:
        """The sum of the clients' numbers, null counting as 0.

        Args:
            sums: of the reports of all clients, shape (columns,).
            reports: how many there were.

        Raises:
            BadArgument: an argument is not as above.
        """
        total = column_sums(sums, self.columns)
        n = _validate.whole(0, reports=reports)
        return Totals(int(total[0]), int(total[1]), n, self.gain, self.noise, self.worst, self.points - 1)

    def mean(self, sums: npt.ArrayLike, reports: int) -> Means:
        """The mean over the clients that hold a number.

        Raises:
            BadArgument: an argument is not as for `estimate`, or null is not counted.
        """
        if not self.counted:
            raise BadArgument("these reports do not tell who holds a number; a mean needs null='counted'")
        total = self.estimate(sums, reports)
        noise = Fraction(self.noise)
        at_random = noise * self.points / self._all
        answered = whole_numbers("sums", sums)[2:]
        return Means(total, Frequencies(answered, total.reports, 1 - noise + at_random, at_random))

    @property
    def _places(self) -> int:
        return self.points - self.window

    @property
    def _all(self) -> int:
        return self.points + self.window * self.counted

    def _uniform(self) -> float:
        """The mean of y^2 over the points."""
        return (self.points**2 - 1) / 3

    def _second_moments(self) -> npt.NDArray[np.float64]:
        """E y^2 at each place: a window has the variance (W^2 - 1) / 3 about its centre."""
        centre: npt.NDArray[np.float64] = np.arange(-self._places, self._places + 1, 2).astype(np.float64)
        random = self.noise * self._uniform() * self.points / self._all
        return random + (1 - self.noise) * ((self.window**2 - 1) / 3 + centre**2)

    def _reports(self, values: npt.NDArray[np.float64], stream: Keystream) -> Integers:
        null = ~np.isfinite(values)
        place = coins.rounded(coins.snapped(values), self._places, stream)
        if self.counted:
            place = np.where(null, self.points, place)
        at = place + coins.below(self.window, len(values), stream)
        random = coins.flips(self.noise, len(values), stream)
        if self.null == "uniform":
            random = random | null
        at = np.where(random, coins.below(self._all, len(values), stream), at)
        number = at < self.points
        y = np.where(number, 2 * at - (self.points - 1), 0)
        return np.stack([y, y * y, number][: self.columns], axis=1).astype(np.int64)


def _checked(values: Any) -> npt.NDArray[np.float64]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iufb"):
        raise BadArgument(f"values= must be numbers of shape (n,), got an array of {array.dtype}, shape {array.shape}")
    return array.astype(np.float64)
