"""The clip: fixed, or following a quantile of the updates' norms by a paid answer in every round."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from fedanalytics import _validate

_MOST = 1e6  # how far from its start a clip may go, either way


class Clip(Protocol):
    """How updates are clipped."""

    @property
    def start(self) -> float:
        """The clip of the first round."""
        ...

    def weight(self, noise_multiplier: float, cohort: float) -> float | None:
        """The weight of the number that clients report beside their update; None for none."""
        ...

    def after(self, clip: float, unclipped: float) -> float:
        """The next clip, from the noisy fraction of the updates that were within this one."""
        ...


@dataclass(frozen=True)
class FixedClip:
    """The same L2 bound in every round.

    Raises:
        BadArgument: it is not positive.

    Example:
        >>> FixedClip(0.5).after(0.5, unclipped=0.9)
        0.5
    """

    start: float = 1.0

    def __post_init__(self) -> None:
        _validate.positive(clip=self.start)

    def weight(self, noise_multiplier: float, cohort: float) -> None:
        """Nothing is reported."""

    def after(self, clip: float, unclipped: float) -> float:  # noqa: ARG002  # it does not move
        return clip


@dataclass(frozen=True)
class AdaptiveClip:
    """A clip that follows the `quantile` of the norms (Andrew, Thakkar, McMahan, Ramaswamy 2021, arXiv 1905.03871).

    Each client reports +1 or -1 beside its update, whether that was within the clip; the noisy sum moves the clip by
    ``clip <- clip exp(-rate (fraction - quantile))``. The report is part of the one bounded vector, so it is paid with
    it: at the weight w = 10 z / cohort (z the noise multiplier) the fraction has a standard deviation of about 1/20, as
    in the paper, and the noise of the update grows by sqrt(1 + w^2).

    Attributes:
        start: the clip of the first round.
        quantile: of the norms, strictly between 0 and 1.
        rate: of the geometric steps.

    Raises:
        BadArgument: an attribute is not as above.

    Example:
        >>> round(AdaptiveClip(1.0, quantile=0.5).after(1.0, unclipped=1.0), 4)
        0.9048
    """

    start: float = 0.1
    quantile: float = 0.5
    rate: float = 0.2

    def __post_init__(self) -> None:
        _validate.positive(start=self.start)
        _validate.probability(quantile=self.quantile)
        _validate.positive(rate=self.rate)

    def weight(self, noise_multiplier: float, cohort: float) -> float:
        """See above; from 2^-10 to 1."""
        return min(max(10 * noise_multiplier / cohort, 2.0**-10), 1.0)

    def after(self, clip: float, unclipped: float) -> float:
        moved = clip * math.exp(-self.rate * (min(max(unclipped, 0.0), 1.0) - self.quantile))
        return min(max(moved, self.start / _MOST), self.start * _MOST)
