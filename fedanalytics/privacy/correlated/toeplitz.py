"""Strategies that treat every round alike: lower-triangular Toeplitz matrices."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from fedanalytics.privacy.correlated.series import Floats, quotient
from fedanalytics.privacy.correlated.strategy import Strategy
from fedanalytics.privacy.correlated.workload import PREFIX_SUMS, Workload
from fedanalytics.privacy.events import MatrixFactorization
from fedanalytics.privacy.relations import Relation


@dataclass(frozen=True)
class Toeplitz(Strategy):
    """C has the column (1, c_1, c_2, ...), moved down by one from each column to the next."""

    @property
    @abstractmethod
    def column(self) -> tuple[float, ...]:
        """1, c_1, c_2, ... up to the last that is not 0; at most `rounds` of them."""

    def event(self, noise_multiplier: float, relation: Relation = Relation.ADD_OR_REMOVE_ONE) -> MatrixFactorization:
        """The whole run.

        Raises:
            BadArgument: the sensitivity of this C is not known for this schedule.
        """
        schedule = self.schedule
        return MatrixFactorization(
            noise_multiplier, relation, schedule.rounds, self.column, schedule.participations, schedule.separation
        )

    @cached_property
    def sensitivity_squared(self) -> Fraction:
        return self.event(1.0).sensitivity_squared

    def errors(self, workload: Workload = PREFIX_SUMS) -> Floats:
        """The norms of the rows of A C^-1, where A is the workload."""
        with np.errstate(over="ignore", invalid="ignore"):  # where C^-1 grows without bound
            response = quotient(workload.coefficients(self.schedule.rounds), np.array(self.column))
            errors: Floats = np.sqrt(np.cumsum(response**2))
        errors[np.isnan(errors)] = np.inf
        return errors
