"""The noise of a release: exact integers in grid steps, from the operating system's randomness.

An integer sum plus `rounded_gaussian` is a rounding of the Gaussian mechanism; plus `discrete_laplace` it is the
geometric mechanism; `skellam` is noise in shares, whose sum has a Skellam law again. Each is exactly the law it is
named after, for ideal random bits (docs/exact-noise.md); the only assumption left is that AES-256 in counter mode
cannot be told from those. Timing is not constant.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.inversion import draw
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.laws import Law, RoundedGaussian, Skellam, TwoSidedGeometric

LEAST, MOST = 2.0**-10, 2.0**36  # grid steps; their squares bound the variance


def rounded_gaussian(sigma: float, size: int, *, keystream: Keystream | None = None) -> npt.NDArray[np.int64]:
    """Independent draws of round(N(0, sigma**2)), int64, shape (size,).

    Formal guarantee: for integers s, ``s + rounded_gaussian(sigma, 1)`` has the law of ``round(s + N(0, sigma**2))``,
    a post-processing of the Gaussian mechanism; whatever accounting holds for that one holds for this one.

    Args:
        sigma: the standard deviation in grid steps, from 2**-10 to 2**36, meant at the exact value of the float.
        size: how many draws.
        keystream: None, the default, keys one afresh for this call; a test may pass `Keystream.insecure(seed)`.

    Raises:
        BadArgument: an argument is not as above.
        FedAnalyticsError: this build of scipy fails the self-check at the first use.

    Example:
        >>> rounded_gaussian(100.0, 4, keystream=Keystream.insecure(seed=1))
        array([ -60, -111,  267,   77])
    """
    return _drawn(RoundedGaussian(_steps(1, sigma=sigma)), size, keystream)


def discrete_laplace(scale: float, size: int, *, keystream: Keystream | None = None) -> npt.NDArray[np.int64]:
    """Independent draws with P(z) proportional to e**(-|z|/scale), int64, shape (size,): the two-sided geometric law.

    Formal guarantee: for an integer query of L1 sensitivity D (in steps), adding this to each coordinate is
    (D/scale)-differentially private (Ghosh, Roughgarden, Sundararajan 2009, arXiv 0811.2841).

    Args:
        scale: in grid steps, from 2**-10 to 2**36, meant at the exact value of the float.
        size: how many draws.
        keystream: None, the default, keys one afresh for this call; a test may pass `Keystream.insecure(seed)`.

    Raises:
        BadArgument: an argument is not as above.
        FedAnalyticsError: this build of numpy fails the self-check at the first use.

    Example:
        >>> discrete_laplace(100.0, 4, keystream=Keystream.insecure(seed=1))
        array([ -60, -132,  487,   82])
    """
    return _drawn(TwoSidedGeometric(_steps(1, scale=scale)), size, keystream)


def skellam(variance: float, size: int, *, keystream: Keystream | None = None) -> npt.NDArray[np.int64]:
    """Independent draws of Poisson(variance/2) - Poisson(variance/2), int64, shape (size,).

    Formal guarantee: exactly this law, so that the sum of independent draws of variances v1, v2, ... is exactly a draw
    of variance v1 + v2 + ...; what it costs is in Agarwal, Kairouz, Liu 2021, arXiv 2110.04995.

    Args:
        variance: in squared grid steps, from 2**-20 to 2**72, meant at the exact value of the float.
        size: how many draws.
        keystream: None, the default, keys one afresh for this call; a test may pass `Keystream.insecure(seed)`.

    Raises:
        BadArgument: an argument is not as above.
        FedAnalyticsError: this build of scipy fails the self-check at the first use.

    Example:
        >>> skellam(100.0**2, 4, keystream=Keystream.insecure(seed=1))
        array([ -60, -111,  267,   77])
    """
    return _drawn(Skellam(_steps(2, variance=variance)), size, keystream)


def _drawn(law: Law, size: int, keystream: Keystream | None) -> npt.NDArray[np.int64]:
    _validate.whole(0, size=size)
    if not (keystream is None or isinstance(keystream, Keystream)):
        raise BadArgument(f"keystream= must be None or, in a test, Keystream.insecure(seed), got {keystream!r}")
    return draw(law, size, keystream or Keystream())


def _steps(power: int, **argument: Any) -> float:
    """The argument as a float, if it is a number of grid steps (to the power) in range."""
    ((name, value),) = argument.items()
    if not (_validate.real(value) and LEAST**power <= value <= MOST**power):
        steps = "grid steps" if power == 1 else "squared grid steps"
        raise BadArgument(
            f"{name}= must be a number of {steps} from 2**{-10 * power} to 2**{36 * power}, got {value!r};"
            " choose another grid"
        )
    return float(value)
