"""Gaussian noise that is correlated between rounds: trees and matrix factorisations (DP-FTRL).

Released is C x + z, one row a step, with x the stream of sums and z independent Gaussian noise: one Gaussian
mechanism, whose sensitivity is that of C over all steps in which one client may take part. What is computed from it
(the running sums) is post-processing. It stays so when the sums of later steps depend on earlier rows (Denisov,
McMahan, Rush, Smith, Thakurta 2022, arXiv 2202.08312, Theorem 2.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar, Self

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.events.additive import Gaussian, Scaled
from fedanalytics.privacy.events.event import Atoms, round_down, round_up


@dataclass(frozen=True)
class _Correlated(Scaled):
    """`noise_multiplier` is the deviation of z over the norm of one contribution."""

    steps: int = 1

    @property
    def sensitivity_squared(self) -> Fraction:
        """Of C x, for contributions of norm 1; exact, or rounded up."""
        raise NotImplementedError

    @property
    def gaussian(self) -> Gaussian:
        """The Gaussian event that this is, its multiplier rounded down."""
        deviation = self.noise_multiplier / math.sqrt(self.sensitivity_squared)
        return Gaussian(round_down(deviation), self.relation)

    @property
    def rho(self) -> Fraction:
        return self.gaussian.rho

    def part(self, share: Fraction) -> Self:
        return replace(self, noise_multiplier=round_up(self.noise_multiplier / math.sqrt(share)))

    def atoms(self) -> Atoms:
        yield self.gaussian, 1


@dataclass(frozen=True)
class TreeAggregation(_Correlated):
    """A binary tree of noisy sums over `steps` steps, in each of which fresh clients take part: one step a client.

    A step lies under at most floor(log2(steps)) + 1 nodes (Dwork, Naor, Pitassi, Rothblum 2010; Chan, Shi, Song 2011;
    Kairouz et al. 2021, arXiv 2103.00039, Appendix B). A second pass over the clients is a second event.

    Raises:
        BadArgument: a number is not positive, or `steps` not whole.
    """

    kind: ClassVar[str] = "tree-aggregation"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "steps", int(_validate.whole(steps=self.steps)))

    @property
    def sensitivity_squared(self) -> Fraction:
        return Fraction(self.steps.bit_length())


@dataclass(frozen=True)
class MatrixFactorization(_Correlated):
    """A lower-triangular Toeplitz strategy C, banded or not, with column (c0, c1, ...), over `steps` steps.

    A client takes part in at most `participations` steps, any two of them at least `separation` steps apart.

    * With no more bands than the separation, the columns of one client do not overlap: the squared sensitivity is
      participations * |c|^2, for contributions in any directions (Choquette-Choo et al. 2023, arXiv 2306.08153).
    * Otherwise the coefficients must be non-negative and not increase: then it is the squared norm of the sum of the
      columns 0, separation, 2 separation, ... (Kalinin and Lampert 2024, arXiv 2405.13763, Theorem 2). As the entries
      of C^T C are non-negative, contributions in other directions do no worse.

    Raises:
        BadArgument: a number is not positive, the participations do not fit into the steps, or neither case applies.
    """

    kind: ClassVar[str] = "matrix-factorization"
    coefficients: tuple[float, ...] = (1.0,)
    participations: int = 1
    separation: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("steps", "participations", "separation"):
            object.__setattr__(self, name, int(_validate.whole(**{name: getattr(self, name)})))
        coefficients = tuple(self.coefficients)
        known = all(_validate.real(c) and math.isfinite(c) for c in coefficients)
        if not (known and 0 < len(coefficients) <= self.steps and coefficients[0]):
            raise BadArgument(
                f"coefficients= are 1 to steps={self.steps} numbers, the first not 0; got {self.coefficients!r}"
            )
        object.__setattr__(self, "coefficients", tuple(map(float, coefficients)))
        if (self.participations - 1) * self.separation >= self.steps:
            raise BadArgument(
                f"participations={self.participations} that are separation={self.separation} steps apart do not fit "
                f"into steps={self.steps}"
            )
        falling = all(a >= b >= 0 for a, b in zip(self.coefficients, (*self.coefficients[1:], 0.0), strict=True))
        if not (len(self.coefficients) <= self.separation or self.participations == 1 or falling):
            raise BadArgument(
                "the sensitivity is known when there are no more coefficients than separation=, or when they are "
                f"non-negative and do not increase; got {len(self.coefficients)} with separation={self.separation}"
            )

    @property
    def sensitivity_squared(self) -> Fraction:
        column = [Fraction(c) for c in self.coefficients]
        total = [Fraction(0)] * self.steps
        if len(column) <= self.separation or self.participations == 1:
            return self.participations * sum((c * c for c in column), Fraction(0))
        for start in range(0, self.participations * self.separation, self.separation):
            for i, c in enumerate(column[: self.steps - start]):
                total[start + i] += c
        return sum((t * t for t in total), Fraction(0))
