"""Noise in shares: what each client adds, and what is then known of the noise of the sum."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.events import Skellam, round_up
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.samplers import LEAST, MOST, skellam


@dataclass(frozen=True)
class Quorum:
    """How many clients there are, and how many shares of noise can be relied on.

    Attributes:
        clients: who are asked; all of them may answer.
        floor: the fewest survivors whose sum may be unmasked; below it the round is given up.
        corrupt: the most survivors that may tell the server their shares of noise, or add none.

    Raises:
        BadArgument: not ``1 <= floor - corrupt`` and ``floor <= clients``.
    """

    clients: int
    floor: int
    corrupt: int = 0

    def __post_init__(self) -> None:
        for name, least in (("clients", 1), ("floor", 1), ("corrupt", 0)):
            object.__setattr__(self, name, _validate.whole(least, **{name: getattr(self, name)}))
        if not self.corrupt < self.floor <= self.clients:
            raise BadArgument(
                f"floor={self.floor} must be at most the {self.clients} clients and above the {self.corrupt} corrupt "
                "ones: the noise is what the others are sure to add"
            )

    @classmethod
    def reserving(cls, clients: int, dropout: float = 0.0, corrupt: float = 0.0) -> Quorum:
        """With shares of the clients, each rounded up, that may drop out and that may be corrupt.

        Raises:
            BadArgument: a share is not in [0, 1), or nobody is left.

        Example:
            >>> Quorum.reserving(1000, dropout=0.1, corrupt=0.05)
            Quorum(clients=1000, floor=900, corrupt=50)
        """
        _validate.whole(clients=clients)
        for name, share in (("dropout", dropout), ("corrupt", corrupt)):
            if not (_validate.real(share) and 0 <= share < 1):
                raise BadArgument(f"{name}= must be a share of the clients in [0, 1), got {share!r}")
        # 0.1 as a float is a little more than a tenth: without the 1e-9, a tenth of 1000 would be 101
        missing, bad = (math.ceil(float(share) * clients - 1e-9) for share in (dropout, corrupt))
        return cls(clients, clients - missing, bad)

    @property
    def honest(self) -> int:
        """The fewest survivors whose shares of noise are there and unknown."""
        return self.floor - self.corrupt

    def checked(self, survivors: int) -> int:
        """The number of survivors, if their sum may be unmasked.

        Raises:
            BadArgument: it is below the floor, or above the number of clients.
        """
        if not self.floor <= _validate.whole(survivors=survivors) <= self.clients:
            raise BadArgument(
                f"survivors={survivors} must be from {self.floor}, the floor of this round, to {self.clients}; below "
                "it the noise falls short of what was paid for, and nothing may be unmasked"
            )
        return survivors


@dataclass(frozen=True)
class Shares:
    """Each client adds Skellam noise of variance `share` to every coordinate.

    Formal guarantee: the noise of m survivors is exactly Skellam of variance m * share: Poisson(a) - Poisson(b) and
    Poisson(c) - Poisson(d), independent, sum to Poisson(a + c) - Poisson(b + d). Of it the server knows at most the
    shares of `corrupt` survivors, which it can subtract; what is left is Skellam of variance
    ``(m - corrupt) * share >= event.variance`` for every m at or above the floor, and more noise is post-processing of
    less. So `event` holds for whoever sees the sum of any admissible set of survivors and all that corrupt clients
    know. There is no refund when more survive: the event is fixed before the round.

    Attributes:
        event: what the sum of a round costs each client, under zero-out; its variance is that of the honest shares.
        quorum: who adds.
        share: the variance of one share, in squared grid steps, at least ``event.variance / quorum.honest`` exactly.

    Example:
        >>> event = Skellam(100.0, l1=1, l2=1, relation="zero-out")
        >>> shares = Shares.of(event, Quorum(10, floor=8))
        >>> shares.share, shares.variance(10)
        (12.5, 125.0)
    """

    event: Skellam
    quorum: Quorum
    share: float

    def __post_init__(self) -> None:
        if self.event.relation is not Relation.ZERO_OUT:
            raise BadArgument(
                f"event= must hold under zero-out, not {self.event.relation.value}: who is removed from a round takes "
                "a share of the noise away"
            )
        if Fraction(self.share) * self.quorum.honest < Fraction(self.event.variance):
            raise BadArgument(
                f"share={self.share!r} times {self.quorum.honest} honest survivors falls short of the variance "
                f"{self.event.variance!r} of the event; use Shares.of(event, quorum)"
            )
        if not LEAST**2 <= self.share <= MOST**2:
            raise BadArgument(
                f"a share of the noise would have variance {self.share!r}, and only 2^-20 to 2^72 can be drawn: choose "
                "another grid, or fewer clients"
            )

    @classmethod
    def of(cls, event: Skellam, quorum: Quorum) -> Shares:
        """The least shares for an event that can be drawn, in floats."""
        share = max(event.variance / quorum.honest, LEAST**2)
        while Fraction(share) * quorum.honest < Fraction(event.variance):
            share = math.nextafter(share, math.inf)
        return cls(event, quorum, share)

    @property
    def local(self) -> Skellam:
        """What a lone contribution costs, if masks failed it: the same bound at the variance of one share.

        (The losses of n such do not add up to n times a central figure: for small shares that would claim too much.)
        """
        return replace(self.event, variance=self.share)

    def variance(self, survivors: int) -> float:
        """Of the noise of the sum, corrupt clients included.

        Raises:
            BadArgument: a number of survivors whose sum may not be unmasked.
        """
        return self.quorum.checked(survivors) * self.share

    def draw(self, clients: int, size: int, keystream: Keystream | None = None) -> npt.NDArray[np.int64]:
        """The shares of some clients, shape (clients, size)."""
        return skellam(self.share, clients * size, keystream=keystream).reshape(clients, size)

    def draw_sum(self, survivors: int, size: int, keystream: Keystream | None = None) -> npt.NDArray[np.int64]:
        """The sum of the survivors' shares by its own law, in one draw, shape (size,): for simulations.

        Raises:
            BadArgument: a number of survivors whose sum may not be unmasked.
        """
        return skellam(round_up(self.variance(survivors)), size, keystream=keystream)
