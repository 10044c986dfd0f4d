"""The numbers of a round: chosen by a server, checked by every client against a policy of its own.

For n clients, of whom at most C are corrupt and at most D drop out, and a graph of degree k with threshold t:

* **no client's mask is taken off both ways**: each neighbour gives one kind of share, a corrupt one may give both, so
  both secrets of a client need 2t <= k + c for its c corrupt neighbours. Hence 2t > k + c, for the least c that no
  client's neighbours exceed but with probability 2**-security (exact tail, union over the clients).
* **the round completes**: more than k - t neighbours of any client drop out with probability at most 2**-reliability.
* **the honest survivors are connected**: see `graph`; the most corrupt clients w that two disjoint windows of k/2 hold,
  by the exact tail over all pairs of windows. Clients refuse survivor lists that leave w or fewer in two windows, and
  that the dropouts alone bring this about has probability at most 2**-reliability.

The tails are over the order on the circle, which is drawn after it is fixed who is corrupt; whoever drops out may be
chosen by anybody, at any time, as far as privacy goes. Reliability alone counts on dropouts that do not look at it.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.secure_aggregation.outcomes import Reason, demand, stop
from fedanalytics.secure_aggregation.tails import most, rare

LEAST_BITS, MOST_BITS, MOST_CLIENTS = 8, 62, 2**20
_WIRE = struct.Struct("<IIIIIBB")
SIZE = _WIRE.size


@dataclass(frozen=True)
class Parameters:
    """What all clients of a round agree on. `choose` finds secure ones; making one by hand checks its form alone.

    Attributes:
        clients: n, on the roster.
        degree: k, neighbours of each: even, or n - 1 for the complete graph.
        threshold: t, with k < 2t <= 2k.
        floor: the fewest survivors whose sum may be taken.
        length: of a vector.
        bits: b; sums are modulo 2**b, 8 to 62.
        key_bits: of the masks' AES keys, 128 or 256.

    Raises:
        BadArgument: they do not fit together.
    """

    clients: int
    degree: int
    threshold: int
    floor: int
    length: int
    bits: int
    key_bits: int = 128

    def __post_init__(self) -> None:
        n, k, t = (_validate.whole(**{name: getattr(self, name)}) for name in ("clients", "degree", "threshold"))
        if not 3 <= n <= MOST_CLIENTS:
            raise BadArgument(f"clients= must be from 3 to {MOST_CLIENTS}, got {n}: with two, each learns the other's")
        if not (k == n - 1 or (k % 2 == 0 and k < n - 1)):
            raise BadArgument(f"degree= must be even and below clients - 1 = {n - 1}, or equal to it, got {k}")
        if not k < 2 * t <= 2 * k:
            raise BadArgument(f"threshold= must be more than half of the degree {k} and at most it, got {t}")
        if not 2 <= _validate.whole(floor=self.floor) <= n:
            raise BadArgument(f"floor= must be from 2 to the number of clients, {n}, got {self.floor}")
        if _validate.whole(length=self.length) >= 2**31:
            raise BadArgument(f"length= must be below 2**31, got {self.length}; send the vector in parts")
        if not LEAST_BITS <= _validate.whole(bits=self.bits) <= MOST_BITS:
            raise BadArgument(f"bits= must be from {LEAST_BITS} to {MOST_BITS}, got {self.bits}")
        if self.key_bits not in (128, 256):
            raise BadArgument(f"key_bits= must be 128 or 256, got {self.key_bits!r}")

    def encoded(self) -> bytes:
        """The parameters on the wire: n, k, t, floor, length as four bytes each, bits and the key's bytes as one.

        Example:
            >>> Parameters(100, 16, 11, 95, 1000, 20).encoded().hex()
            '64000000100000000b0000005f000000e80300001410'
        """
        numbers = (self.clients, self.degree, self.threshold, self.floor, self.length, self.bits, self.key_bits // 8)
        return _WIRE.pack(*numbers)

    @classmethod
    def decoded(cls, data: bytes) -> Parameters:
        """The parameters of `encoded`.

        Raises:
            Stop: they do not fit together.
        """
        n, k, t, floor, length, bits, key_bytes = _WIRE.unpack(data)
        try:
            return cls(n, k, t, floor, length, bits, 8 * key_bytes)
        except BadArgument as error:
            stop(Reason.WEAK_PARAMETERS, str(error))


@dataclass(frozen=True)
class Policy:
    """What a client asks of every round, whatever the server offers.

    Attributes:
        bits: of the ring that it has prepared its vector for.
        floor: the fewest survivors that it hides among.
        corrupt: the largest fraction of the roster that may work with the server.
        security: sigma; each of the two conditions on corrupt clients fails with probability at most 2**-sigma.

    Raises:
        BadArgument: an attribute is not as above.
    """

    bits: int
    floor: int
    corrupt: float = 0.0
    security: int = 40

    def __post_init__(self) -> None:
        _validate.whole(LEAST_BITS, bits=self.bits)
        _validate.whole(2, floor=self.floor)
        _validate.whole(security=self.security)
        _validate.fraction(corrupt=self.corrupt)

    def check(self, parameters: Parameters, length: int) -> None:
        """Refuses parameters that are weaker than the policy, or for another vector.

        Raises:
            Stop: it says which.
        """
        n, k, t = parameters.clients, parameters.degree, parameters.threshold
        corrupt = _count(n, self.corrupt)
        demand(parameters.bits == self.bits, Reason.WEAK_PARAMETERS, "another ring than the vector's")
        demand(parameters.length == length, Reason.WEAK_PARAMETERS, "another length than the vector's")
        demand(parameters.floor >= max(self.floor, corrupt + 2), Reason.WEAK_PARAMETERS, "the floor is too low")
        beside = _corrupt_neighbours(n, k, corrupt, self.security)
        demand(2 * t > k + beside, Reason.WEAK_PARAMETERS, "the threshold is too low for the degree")

    def apart(self, parameters: Parameters) -> int:
        """The most corrupt clients that two disjoint windows of the circle hold together."""
        n, k = parameters.clients, parameters.degree
        return _corrupt_windows(n, k, _count(n, self.corrupt), self.security)


def choose(
    clients: int,
    length: int,
    bits: int,
    *,
    dropout: float,
    corrupt: float,
    floor: int | None = None,
    security: int = 40,
    reliability: int = 20,
    key_bits: int = 128,
) -> Parameters:
    """The parameters with the fewest neighbours, by exact hypergeometric tails; the complete graph where none fits.

    Args:
        clients: n, at least 3.
        length: of a vector.
        bits: of the ring, 8 to 62.
        dropout: the largest fraction that drops out, at whatever stage.
        corrupt: the largest fraction that works with the server.
        floor: the fewest survivors whose sum may be taken; n less the dropouts if not given.
        security: sigma; see the top of the file.
        reliability: eta; likewise.
        key_bits: of the masks' AES keys.

    Raises:
        BadArgument: an argument is not as above, or no threshold serves: 2 dropout + corrupt reach one.

    Example:
        >>> choose(1000, 10, 20, dropout=0.05, corrupt=0.05)
        Parameters(clients=1000, degree=52, threshold=37, floor=950, length=10, bits=20, key_bits=128)
    """
    n, gone, bad = (
        _validate.whole(3, clients=clients),
        _validate.fraction(dropout=dropout),
        _validate.fraction(corrupt=corrupt),
    )
    dropouts, enemies = _count(n, gone), _count(n, bad)
    sigma, eta = _validate.whole(security=security), _validate.whole(reliability=reliability)
    least = n - dropouts if floor is None else _validate.whole(floor=floor)
    if least < enemies + 2:
        raise BadArgument(f"floor={least} leaves no two honest clients beside {enemies} corrupt ones; raise it")
    for degree in (*range(2, n - 1, 2), n - 1):
        threshold = (degree + _corrupt_neighbours(n, degree, enemies, sigma)) // 2 + 1
        if threshold <= degree:
            found = Parameters(n, degree, threshold, least, length, bits, key_bits)
            if _completes(found, dropouts, _corrupt_windows(n, degree, enemies, sigma), eta):
                return found
    raise BadArgument(
        f"dropout={dropout!r} and corrupt={corrupt!r} leave no threshold for {n} clients:"
        " 2 dropout + corrupt must stay below one"
    )


def _completes(parameters: Parameters, dropouts: int, apart: int, eta: int) -> bool:
    """Whether a round outlives the dropouts: at every client, and between any two windows."""
    n, k = parameters.clients, parameters.degree
    spare = k - parameters.threshold
    if k == n - 1:
        return spare >= dropouts
    enough = rare(n - 1, dropouts, k, spare, trials=n, bits=eta)
    return enough and rare(n, dropouts, k, k - apart - 1, trials=n * n // 2, bits=eta)


def _corrupt_neighbours(n: int, degree: int, corrupt: int, sigma: int) -> int:
    """The most corrupt neighbours of any client; on the complete graph all that there are."""
    return min(corrupt, degree) if degree == n - 1 else most(n - 1, corrupt, degree, trials=n, bits=sigma)


def _corrupt_windows(n: int, degree: int, corrupt: int, sigma: int) -> int:
    """The most corrupt clients in two disjoint windows of k/2, over all pairs; none matter on the complete graph."""
    return 0 if degree == n - 1 else most(n, corrupt, degree, trials=n * n // 2, bits=sigma)


def _count(n: int, fraction: float) -> int:
    """So many of n, rounded up; the fraction is meant as it is written, so that 0.07 of 100 is 7."""
    return math.ceil(n * Fraction(repr(float(fraction))))
