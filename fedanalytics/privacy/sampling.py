"""Poisson sampling: who takes part in a round, by a coin of its own for every client of the roster.

What it is worth, and against whom: the event `PoissonSampled` may be claimed only for a round whose cohort this sampler
drew over the whole roster, without topping up or drawing again, and only against those who do not learn who was drawn.
Against a server that sees who takes part, a round costs its clients what it costs without sampling, and the others
nothing; a client that was drawn n times has lost n such rounds (`if_seen`).
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.privacy.events import Composed, Event, PoissonSampled
from fedanalytics.privacy.keystream import Keystream

_WORD = 64


def poisson_sample(size: int, rate: float, *, keystream: Keystream | None = None) -> npt.NDArray[np.bool_]:
    """Who of `size` clients takes part: independent coins, each True with probability exactly `rate`, shape (size,).

    A coin reads 64 random bits as a binary fraction and compares it with the rate, meant at the exact value of the
    float; if they agree in all of them (probability 2^-64), it reads more. Secret: whoever knows the cohort gets no
    benefit from it.

    Args:
        size: of the roster.
        rate: in (0, 1].
        keystream: None, the default, keys one afresh for this call; a test may pass `Keystream.insecure(seed)`.

    Raises:
        BadArgument: an argument is not as above.

    Example:
        >>> int(poisson_sample(10_000, 0.1, keystream=Keystream.insecure(seed=1)).sum())
        1021
    """
    _validate.whole(0, size=size)
    threshold = Fraction(_validate.rate(sampling_rate=rate)) * 2**_WORD
    if rate == 1:
        return np.ones(size, dtype=np.bool_)
    stream = keystream or Keystream()
    whole = math.floor(threshold)
    words = stream.words(size)
    drawn: npt.NDArray[np.bool_] = words < np.uint64(whole)
    for i in np.flatnonzero(words == np.uint64(whole)).tolist():
        drawn[i] = _below(threshold - whole, stream)
    return drawn


def _below(rest: Fraction, stream: Keystream) -> bool:
    """Whether the bits that follow are below what is left of the threshold."""
    while rest:
        rest *= 2**_WORD
        word, whole = int(stream.words(1)[0]), math.floor(rest)
        if word != whole:
            return word < whole
        rest -= whole
    return False


def if_seen(event: Event, participations: int | None = None) -> Event:
    """What `event` costs one client against those who see the cohorts: every draw counts in full, and only the draws.

    Args:
        event: as claimed with sampling.
        participations: the most that a client may take part in, if this is enforced; all rounds otherwise.

    Raises:
        BadArgument: `participations` is not a whole number >= 1.

    Example:
        >>> from fedanalytics.privacy.events import Gaussian
        >>> if_seen(Gaussian(1.0).poisson_sampled(0.01).repeated(1000), participations=20)
        Composed(events=(Repeated(of=Gaussian(noise_multiplier=1.0, ...), count=20),))
    """
    most = None if participations is None else _validate.whole(participations=participations)
    parts = []
    for atom, count in event.atoms():
        if isinstance(atom, PoissonSampled):
            parts.append(atom.of.repeated(count if most is None else min(count, most)))
        else:
            parts.append(atom.repeated(count))
    return Composed(tuple(parts))


@functools.cache
def participations(rate: float, rounds: int, failure: float = 1e-9) -> int:
    """The least cap on a client's participations that a given client exceeds with probability at most `failure`.

    For planning a cap that is then enforced; without enforcement it is no guarantee. By the exact binomial tail.

    Raises:
        BadArgument: `rate` is not in (0, 1], `rounds` not whole, or `failure` not in (0, 1).

    Example:
        >>> participations(300 / 3400, 200)
        46
    """
    from scipy.stats import binom  # noqa: PLC0415  # a third of a second

    _validate.whole(rounds=rounds)
    most = int(binom.isf(_validate.probability(failure=failure), rounds, _validate.rate(sampling_rate=rate)))
    while binom.sf(most, rounds, rate) > failure:  # isf may be one off
        most += 1
    return most
