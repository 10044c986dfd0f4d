"""A planned sum: what a client sends, what the sum of it means, and what it costs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.distributed.ring import Ring, Spread
from fedanalytics.privacy.distributed.rotation import Floats, padded, rotate, unrotate
from fedanalytics.privacy.distributed.rounding import FINEST, Integers, clipped, rounded, rounded_sensitivity, within
from fedanalytics.privacy.distributed.shares import Shares
from fedanalytics.privacy.events import Skellam
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.sensitivity import Sensitivity

_CHUNK = 1 << 20  # coordinates that are encoded at a time


@dataclass(frozen=True)
class DistributedSum(ABC):
    """What all parties of a round know beforehand.

    Formal guarantee: whatever a client holds, `encode` gives a vector of whole numbers within `sensitivity`, compared
    in exact integers; so the sum over any admissible set of survivors, to which `shares` adds exactly Skellam noise,
    costs each client no more than `event` under zero-out, for whoever sees the sum alone. Reduction modulo 2^b,
    masking and decoding are post-processing. A contribution that is seen unmasked costs `local`.

    Attributes:
        size: coordinates of a client's vector.
        ring: of what is sent.
        shares: of the noise.
        central: the standard deviation of central Gaussian noise at the same cost, in real units.
    """

    size: int
    ring: Ring
    shares: Shares
    central: float

    def __post_init__(self) -> None:
        event, moves = self.shares.event, self.sensitivity
        alone = self.length == 1 or moves.l1 == 1
        if event.l1 < moves.l1 or event.l2 < moves.l2 or (event.scalar and not alone):
            raise BadArgument(f"{event!r} does not cover this sum, which one client moves by {moves!r}")

    @property
    @abstractmethod
    def sensitivity(self) -> Sensitivity:
        """By how much one client can move the sum of integers, exactly."""

    @property
    @abstractmethod
    def length(self) -> int:
        """Coordinates of what a client sends."""

    @property
    @abstractmethod
    def step(self) -> float:
        """A grid step, in real units."""

    @abstractmethod
    def encode(self, rows: npt.NDArray[Any], seed: bytes, keystream: Keystream | None = None) -> Integers:
        """Clients' vectors, shape (n, size) -> integers within the sensitivity, shape (n, length), without noise.

        What a client holds never raises: a row that cannot be meant becomes the null vector.

        Args:
            rows: one row per client.
            seed: of the round, public, the same for all its clients.
            keystream: of the rounding; None for a fresh one.

        Raises:
            BadArgument: another shape or kind of numbers, or no seed.
        """

    @abstractmethod
    def decode(self, total: npt.NDArray[Any], seed: bytes) -> Floats:
        """The sum of contributions modulo 2^b, shape (length,) -> the noisy sum in real units, shape (size,).

        Raises:
            BadArgument: another shape, no residues, or no seed.
        """

    @abstractmethod
    def spread(self, survivors: int) -> Spread:
        """How far the noisy sum of survivors can be from 0, whatever they hold.

        Raises:
            BadArgument: a number of survivors whose sum may not be unmasked.
        """

    @property
    def event(self) -> Skellam:
        """What the round costs each client."""
        return self.shares.event

    @property
    def local(self) -> Skellam:
        """What a contribution costs that is seen unmasked."""
        return self.shares.local

    @property
    def overflow(self) -> float:
        """A bound on the probability that the noisy sum of all clients wraps around anywhere, whatever they hold."""
        return self.spread(self.shares.quorum.clients).overflow(self.ring, self.length)

    def contributions(
        self, rows: npt.NDArray[Any], seed: bytes, keystream: Keystream | None = None
    ) -> npt.NDArray[Any]:
        """What clients send, before masks: encoded, with a share of noise each, modulo 2^b; shape (n, length).

        Raises:
            BadArgument: see `encode`.
        """
        stream = keystream or Keystream()
        encoded = self.encode(rows, seed, stream)
        return self.ring.wrap(encoded + self.shares.draw(len(encoded), self.length, stream))

    def total(self, rows: npt.NDArray[Any], seed: bytes, keystream: Keystream | None = None) -> npt.NDArray[Any]:
        """The sum of the survivors' contributions modulo 2^b, by its law, with one draw of noise: for simulations.

        Raises:
            BadArgument: see `encode`; or fewer rows than the floor, or more than there are clients.
        """
        stream = keystream or Keystream()
        summed = self.shares.draw_sum(len(rows), self.length, stream)
        clients = max(_CHUNK // self.length, 1)
        for start in range(0, len(rows), clients):
            summed += self.encode(rows[start : start + clients], seed, stream).sum(axis=0)
        return self.ring.wrap(summed)

    def standard_error(self, survivors: int) -> float:
        """Of each coordinate of the decoded sum, in real units: noise, and at most that of rounding and wrapping.

        Raises:
            BadArgument: a number of survivors whose sum may not be unmasked.
        """
        wrapped = self.spread(survivors).wrapped(self.ring)
        return self.step * math.sqrt(self.shares.variance(survivors) + survivors * self._rounding + wrapped)

    @property
    def _rounding(self) -> float:
        """The variance of one client's rounding, in squared steps."""
        return 0.0

    def _checked(self, rows: npt.NDArray[Any], kinds: str) -> npt.NDArray[Any]:
        if not (isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.shape[1] == self.size):
            found = f"shape {rows.shape}" if isinstance(rows, np.ndarray) else repr(type(rows).__name__)
            raise BadArgument(f"rows= must be an array of shape (clients, {self.size}), got {found}")
        if rows.dtype.kind not in kinds:
            what = "real numbers" if "f" in kinds else "integers"
            raise BadArgument(f"rows= must be {what}, got dtype {rows.dtype}")
        return rows

    def _unwrapped(self, total: npt.NDArray[Any]) -> Integers:
        if not (isinstance(total, np.ndarray) and total.shape == (self.length,)):
            raise BadArgument(f"total= must be the sum of contributions, of shape ({self.length},)")
        return self.ring.unwrap(total)


@dataclass(frozen=True)
class IntegerSum(DistributedSum):
    """Of whole numbers that an encoder made: counts, histograms, sums on a grid. See `integer_sum`.

    A row beyond the sensitivity or `most` becomes the null vector.

    Attributes:
        bound: the sensitivity that each row is held to.
        most: the largest magnitude of a coordinate.
    """

    bound: Sensitivity
    most: int

    @property
    def sensitivity(self) -> Sensitivity:
        return self.bound

    @property
    def length(self) -> int:
        return self.size

    @property
    def step(self) -> float:
        return 1.0

    def encode(self, rows: npt.NDArray[Any], seed: bytes, keystream: Keystream | None = None) -> Integers:  # noqa: ARG002  # nothing to rotate or to round
        given = self._checked(rows, "iu")
        large = ((given < -self.most) | (given > self.most)).any(axis=1, keepdims=True)
        integers = np.where(large, 0, given).astype(np.int64)  # before any cast or sum could wrap around
        fits = within(integers, self.bound.l2_squared) & (np.abs(integers).sum(axis=1) <= self.bound.l1)
        return np.where(fits[:, None], integers, 0)

    def decode(self, total: npt.NDArray[Any], seed: bytes) -> Floats:  # noqa: ARG002  # nothing to rotate back
        return self._unwrapped(total).astype(np.float64)

    def spread(self, survivors: int) -> Spread:
        return Spread(float(survivors * self.most), 0.0, self.shares.variance(survivors))


@dataclass(frozen=True)
class VectorSum(DistributedSum):
    """Of real vectors in an L2 ball: clipped, rotated, scaled, rounded (Agarwal, Kairouz, Liu 2021). See `vector_sum`.

    | a client's row             | becomes                                                |
    |----------------------------|--------------------------------------------------------|
    | inside the ball            | rotated, rounded at random to neighbouring grid points |
    | outside                    | scaled onto the sphere first                           |
    | NaN or infinite anywhere   | the null vector                                        |
    | rounded beyond the bound   | rounded again                                          |

    Attributes:
        clip: the radius of the ball.
        steps: grid steps in it, the scale of the encoding times the clip; any number from 1 to 2^30.
    """

    clip: float
    steps: float

    def __post_init__(self) -> None:
        _validate.positive(clip=self.clip)
        if not (_validate.real(self.steps) and 1 <= self.steps <= FINEST):
            raise BadArgument(f"steps= must be a number from 1 to 2^30, got {self.steps!r}")
        super().__post_init__()

    @property
    def sensitivity(self) -> Sensitivity:
        return rounded_sensitivity(self.steps, self.length)

    @property
    def length(self) -> int:
        return padded(self.size)

    @property
    def step(self) -> float:
        return self.clip / self.steps

    def encode(self, rows: npt.NDArray[Any], seed: bytes, keystream: Keystream | None = None) -> Integers:
        scaled = rotate(clipped(self._checked(rows, "fiu"), self.clip), seed) * self.steps
        return rounded(scaled, self.sensitivity.l2_squared, keystream or Keystream())

    def decode(self, total: npt.NDArray[Any], seed: bytes) -> Floats:
        return unrotate(self._unwrapped(total), self.size, seed) * self.step

    def spread(self, survivors: int) -> Spread:
        """The norm of the sum of the clipped vectors is at most m steps.

        So a rotated coordinate is sub-Gaussian of proxy (m steps)^2 / length (`rotate`), under a seed that was drawn
        without regard to the vectors; each rounding adds less than 1.
        """
        return Spread(float(survivors), (survivors * self.steps) ** 2 / self.length, self.shares.variance(survivors))

    @property
    def _rounding(self) -> float:
        """At most: p (1 - p), for the fraction p of a step. It is 1/6 on average where steps >> sqrt(d)."""
        return 0.25
