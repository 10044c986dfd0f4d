"""Claims: what is said of a mechanism, as the greatest true-positive rate that it leaves to any attack.

Say as much as is known: an (epsilon, delta) alone is nearly blind. Noise that is a fifth too small shows after a few
thousand trials where the claim is the Gaussian mechanism, and not after a million where it is (epsilon, 1e-6).

Every claim here speaks of both orders of the neighbours, as the definitions do.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.auditing import curves
from fedanalytics.auditing.bounds import Floats
from fedanalytics.errors import BadArgument
from fedanalytics.privacy import gdp, zcdp

DELTA = 1e-6
_UNLIMITED = 1e9  # more than any measure


@dataclass(frozen=True)
class Claim(ABC):
    """The root of all claims; frozen.

    A claim has a parameter, in its `unit`. Two rates that an attack reached have a `measure` in that unit: the smallest
    parameter that admits them. They contradict the claim when the measure exceeds its `limit`.
    """

    @property
    @abstractmethod
    def delta(self) -> float:
        """At which its epsilon is quoted."""

    @property
    def unit(self) -> str:
        """Of `measure` and `limit`: mu, rho or epsilon."""
        return "mu"

    @abstractmethod
    def _power(self, fpr: Floats) -> Floats:
        """`power`, of rates that were checked."""

    @property
    @abstractmethod
    def quoted(self) -> float:
        """The epsilon that it states at its delta; infinite where it states none."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""

    def power(self, fpr: npt.ArrayLike) -> Floats:
        """The greatest admissible true-positive rate at a false-positive rate: concave and increasing; same shape.

        Raises:
            BadArgument: a rate is not in [0, 1].
        """
        rates = np.asarray(fpr, dtype=np.float64)
        if not np.all((rates >= 0) & (rates <= 1)):
            raise BadArgument(f"fpr= must be rates from 0 to 1, got {fpr!r}")
        return self._power(rates)

    def measure(self, tpr: Floats, fpr: Floats) -> Floats:
        """The smallest parameter that admits these rates; of a claim without one, the mu of the curve through them."""
        return curves.gap(tpr, fpr)

    def limit(self, fpr: Floats) -> Floats:
        """The greatest measure that it admits at a false-positive rate; infinite where it admits everything."""
        power = self._power(fpr)
        return np.where(power < 1, self.measure(power, fpr), np.inf)

    def excess(self, tpr: Floats, fpr: Floats) -> Floats:
        """The measure over the limit; where there is none, far below 0, and still greater for what tells more."""
        limit = self.limit(fpr)
        return self.measure(tpr, fpr) - np.where(np.isfinite(limit), limit, _UNLIMITED)


@dataclass(frozen=True)
class Gdp(Claim):
    """mu-Gaussian differential privacy.

    Raises:
        BadArgument: mu is not a finite number of at least 0, or delta not in [0, 1).

    Example:
        >>> Gdp(1.0).power([0.01, 0.5]).round(4)
        array([0.0924, 0.8413])
    """

    mu: float
    delta: float = DELTA

    def __post_init__(self) -> None:
        _at_least_0(mu=self.mu)
        below_1(self.delta)

    def _power(self, fpr: Floats) -> Floats:
        return curves.gaussian(self.mu, fpr)

    def limit(self, fpr: Floats) -> Floats:
        return np.full_like(fpr, self.mu)

    @property
    def quoted(self) -> float:
        if self.delta == 0:
            return math.inf if self.mu else 0.0
        return gdp.epsilon_of(self.mu, self.delta)

    def to_json(self) -> dict[str, Any]:
        return {"claim": "gdp", "mu": self.mu, "delta": self.delta}

    def __str__(self) -> str:
        return f"mu-GDP with mu = {self.mu:.6g}"


@dataclass(frozen=True)
class Zcdp(Claim):
    """rho-zero-concentrated differential privacy: it admits more than the Gaussian mechanism does, so shows less.

    Raises:
        BadArgument: rho is not a positive finite number, or delta not in [0, 1).
    """

    rho: float
    delta: float = DELTA

    def __post_init__(self) -> None:
        _validate.positive(rho=self.rho)
        below_1(self.delta)

    @property
    def unit(self) -> str:
        return "rho"

    def _power(self, fpr: Floats) -> Floats:
        return curves.zcdp(self.rho, fpr)

    def measure(self, tpr: Floats, fpr: Floats) -> Floats:
        return curves.least_rho(tpr, fpr)

    def limit(self, fpr: Floats) -> Floats:
        return np.full_like(fpr, self.rho)

    @property
    def quoted(self) -> float:
        return zcdp.epsilon_of(self.rho, self.delta) if self.delta else math.inf

    def to_json(self) -> dict[str, Any]:
        return {"claim": "zcdp", "rho": self.rho, "delta": self.delta}

    def __str__(self) -> str:
        return f"rho-zCDP with rho = {self.rho:.6g}"


@dataclass(frozen=True)
class Dp(Claim):
    """(epsilon, delta)-differential privacy; pure, unless a delta is given.

    Raises:
        BadArgument: epsilon is not a finite number of at least 0, or delta not in [0, 1).

    Example:
        >>> Dp(1.0).power([0.01, 0.5]).round(4)
        array([0.0272, 0.8161])
    """

    epsilon: float
    delta: float = 0.0

    def __post_init__(self) -> None:
        _at_least_0(epsilon=self.epsilon)
        below_1(self.delta)

    @property
    def unit(self) -> str:
        return "epsilon"

    def _power(self, fpr: Floats) -> Floats:
        return curves.lines(np.array([self.epsilon]), np.array([self.delta]), fpr)

    def measure(self, tpr: Floats, fpr: Floats) -> Floats:
        return curves.log_ratio(tpr, fpr, self.delta)

    def limit(self, fpr: Floats) -> Floats:
        return np.full_like(fpr, self.epsilon)

    @property
    def quoted(self) -> float:
        return self.epsilon

    def to_json(self) -> dict[str, Any]:
        return {"claim": "dp", "epsilon": self.epsilon, "delta": self.delta}

    def __str__(self) -> str:
        return f"({self.epsilon:.6g}, {self.delta:.6g})-DP" if self.delta else f"{self.epsilon:.6g}-DP"


def _at_least_0(**argument: Any) -> None:
    ((name, value),) = argument.items()
    if not (_validate.real(value) and 0 <= value < math.inf):
        raise BadArgument(f"{name}= must be a finite number of at least 0, got {value!r}")


def below_1(delta: Any) -> None:
    """Checks a delta at which an epsilon is quoted.

    Raises:
        BadArgument: it is not at least 0 and below 1.
    """
    if not (_validate.real(delta) and 0 <= delta < 1):
        raise BadArgument(f"delta= must be at least 0 and below 1, got {delta!r}")
