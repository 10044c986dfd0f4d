"""What a step releases: the integer sum of a secret batch's clipped gradients, with rounded Gaussian noise.

Formal guarantee. Let k_i be the integers that example i adds: a function of that example and the public parameters
(by proof or by test: `Gradients.proven`), of L2 norm at most `LONGEST` (`pieces.clipped`). Sums over a batch are exact.
They are brought from the fine grid to one of ``steps`` in the clip, each coordinate rounded: f = round(sum / m), with
m = LONGEST / steps. For neighbours, f changes by at most LONGEST / m = steps, and by the roundings, which differ by at
most 1 in each of d coordinates: in all, in the L2 norm, by ``sensitivity = steps + ceil(sqrt(d))``. Released is f +
round(N(0, sigma^2)) with sigma >= noise_multiplier * sensitivity: a rounding after the Gaussian mechanism, hence
post-processing. The batch is drawn by our own Poisson sampler over all rows and told to nobody: with it, a step is the
event ``Gaussian(noise_multiplier).poisson_sampled(rate)``. Noise and coins come from the operating system's CSPRNG
through AES-256; the guarantee is computational in that one respect.

Dropout. Were each example's masks its own, all of the above would hold for any fixed ones, and for a mixture of them.
In a batch masks go by place, and one example more moves those behind it; but independent masks have the same law in
whatever places. So it is enough that they are secret and as good as independent. Each step keys torch's generator
anew, from the same source as the noise (32 bits of it); that its numbers will do is taken on trust, as no noise is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.learning.silo.gradients import TILE, Gradients
from fedanalytics.learning.silo.pieces import LONGEST, PARAMETERS, clipped
from fedanalytics.learning.silo.rows import Rows
from fedanalytics.privacy.events import round_up
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.samplers import LEAST, MOST, rounded_gaussian
from fedanalytics.privacy.sampling import poisson_sample

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_FINE = 2.0**24  # grid steps: finer noise than this shows nobody anything
_COARSE = 500  # grid steps in the clip per root of a dimension: rounding stays below 0.2 % of the sensitivity
_HALF = 20  # bits of the lower half of a fine sum


@dataclass(frozen=True)
class Release:
    """How a step's sum is noised.

    Attributes:
        clip: the L2 bound of an example's gradient.
        size: of the vector.
        noise_multiplier: noise over sensitivity.
        sampling_rate: of the batch.
        batch: what the noisy sum is divided by.
        steps: grid steps in the clip, a power of two.

    Example:
        >>> release = Release.of(clip=1.0, size=2410, noise_multiplier=1.0, sampling_rate=0.01, batch=64)
        >>> release.steps == 2**24, release.sensitivity - release.steps, round(release.deviation * 64, 4)
        (True, 50, 1.0)
    """

    clip: float
    size: int
    noise_multiplier: float
    sampling_rate: float
    batch: int
    steps: int

    @classmethod
    def of(cls, *, clip: float, size: int, noise_multiplier: float, sampling_rate: float, batch: int) -> Self:
        """On the finest grid on which the noise stays below 2^24 steps.

        Raises:
            BadArgument: a clip that is not positive, more parameters than norms are exact for, or so much noise that no
                grid holds it.
        """
        clip = float(_validate.positive(clip=clip))
        if size >= PARAMETERS:
            raise BadArgument(
                f"model_fn= builds a module with {size} trained parameters, and norms are proven for fewer than "
                f"{PARAMETERS}: freeze layers (requires_grad=False), and train the last ones or small ones in between"
            )
        least = 2 ** math.ceil(math.log2(_COARSE * math.sqrt(size)))
        most = 2 ** math.floor(math.log2(_FINE / max(noise_multiplier, 1.0)))
        found = cls(clip, size, noise_multiplier, sampling_rate, batch, max(least, most))
        if found.sigma > MOST:
            raise BadArgument(
                f"noise_multiplier={noise_multiplier:.3g} is too much: noise of {found.sigma:.2g} grid steps; the "
                f"largest is {MOST:.2g}"
            )
        return found

    @property
    def sensitivity(self) -> int:
        """Of the rounded sum in the L2 norm, in grid steps: see the top of the file."""
        return self.steps + math.isqrt(self.size) + 1

    @property
    def sigma(self) -> float:
        """The standard deviation of the noise, in grid steps."""
        return max(round_up(self.noise_multiplier * self.sensitivity), LEAST)

    @property
    def deviation(self) -> float:
        """The standard deviation of each coordinate of `gradient`, in units of the gradient."""
        return self.sigma * self.clip / self.steps / self.batch

    def gradient(self, engine: Gradients, rows: Rows, keystream: Keystream | None) -> Floats:
        """The noisy mean gradient of a batch that is drawn here, at the parameters that the engine holds."""
        [drawn] = np.nonzero(poisson_sample(len(rows), self.sampling_rate, keystream=keystream))
        noise = rounded_gaussian(self.sigma, self.size, keystream=keystream)
        noisy: Floats = (self.total(engine, rows, drawn) + noise).astype(np.float64)
        return noisy * (self.clip / self.steps / self.batch)

    def total(self, engine: Gradients, rows: Rows, drawn: Integers) -> Integers:
        """The sum over these rows, shape (size,), rounded to the grid. Not private: it is for `gradient` to add noise.

        Fine sums are kept in two halves, so that no number of rows overflows them.
        """
        high, low = np.zeros((2, self.size), dtype=np.int64)
        for examples, count in rows.blocks(drawn, engine.block, TILE):
            fine = clipped(engine.pieces(examples), self.clip, count).numpy().astype(np.int64)
            high += fine >> _HALF
            low += fine & ((1 << _HALF) - 1)
        shift = (LONGEST // self.steps).bit_length() - 1
        low += (high & ((1 << (shift - _HALF)) - 1)) << _HALF
        rest: Integers = (high >> (shift - _HALF)) + ((low + (1 << (shift - 1))) >> shift)
        return rest
