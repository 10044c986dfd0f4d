"""A seed and names -> a generator or a coin: who knows both makes the same again, whatever was drawn before."""

from __future__ import annotations

import hashlib

from numpy.random import PCG64, Generator


def seeded(seed: int, *names: object) -> Generator:
    """A generator of its own for each seed and names.

    What one client's data are then depends on the seed and the client alone: more clients, or others, change nothing.
    The streams are numpy's, which may differ between its versions. Never for noise: see `fedanalytics.privacy`.

    Example:
        >>> seeded(0, "split", "a").integers(100) == seeded(0, "split", "a").integers(100)
        np.True_
    """
    return Generator(PCG64(int.from_bytes(_digest(seed, *names), "big")))


def coin(seed: int, *names: object) -> float:
    """A number in [0, 1), as if drawn uniformly, of its own for each seed and names; it costs a hash.

    Example:
        >>> coin(0, "split", "a") == coin(0, "split", "a") != coin(0, "split", "b")
        True
    """
    return (int.from_bytes(_digest(seed, *names)[:8], "big") >> 11) * 2.0**-53


def _digest(seed: int, *names: object) -> bytes:
    return hashlib.sha256(repr((seed, *names)).encode()).digest()
