"""A seed and names -> a generator: whoever knows both makes the same data again, whatever was drawn before."""

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
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return Generator(PCG64(int.from_bytes(digest, "big")))
