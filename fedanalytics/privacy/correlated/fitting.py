"""Columns of C that lose least: a descent on the error times the sensitivity, with exact gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedanalytics.privacy.correlated.schedule import Schedule
from fedanalytics.privacy.correlated.series import Floats, correlation, quotient
from fedanalytics.privacy.correlated.strategy import Metric
from fedanalytics.privacy.correlated.workload import Workload

_NOWHERE = 1e10  # where C^-1 grows beyond floats


@dataclass(frozen=True)
class Objective:
    """ln of (error of the workload)^2 (sensitivity)^2, as a function of the column of C.

    With g = a / c the column of A C^-1: sum w_i g_i^2, where w_i is 1 for the largest error (of the last round), and
    the share of the rounds that g_i is felt in for the mean square.
    """

    schedule: Schedule
    workload: Workload
    metric: Metric

    def __call__(self, column: Floats) -> tuple[float, Floats]:
        """The value, and its gradient in the coefficients given."""
        size, rounds = len(column), self.schedule.rounds
        weights = np.ones(rounds) if self.metric == "max" else 1 - np.arange(rounds) / rounds
        with np.errstate(all="ignore"):
            response = quotient(self.workload.coefficients(rounds), column)
            error = float(np.sum(weights * response**2))
            adjoint = quotient(2 * (weights * response)[::-1], column)[::-1]
            slope = -correlation(adjoint, response, size)
        if not (math.isfinite(error) and np.isfinite(slope).all()):
            return _NOWHERE, np.zeros(size)
        squared, gradient = self._sensitivity(column)
        return float(np.log(error) + np.log(squared)), slope / error + gradient / squared

    def _sensitivity(self, column: Floats) -> tuple[float, Floats]:
        """The squared sensitivity as of `MatrixFactorization`, and its gradient."""
        count, apart, rounds = self.schedule.participations, self.schedule.separation, self.schedule.rounds
        if len(column) <= apart:
            return float(count * column @ column), 2 * count * column
        total, gradient = np.zeros(rounds), np.zeros(len(column))
        for start in range(0, count * apart, apart):
            reached = column[: rounds - start]
            total[start : start + len(reached)] += reached
        for start in range(0, count * apart, apart):
            felt = 2 * total[start : start + len(column)]
            gradient[: len(felt)] += felt
        return float(total @ total), gradient


def descend(
    value: Callable[[Floats], tuple[float, Floats]], start: Floats, bounds: list[tuple[float, float]] | None = None
) -> Floats:
    """A local minimum by L-BFGS from `start`, shape of `start`."""
    from scipy.optimize import minimize  # noqa: PLC0415  # scipy is slow to import

    if not len(start):
        return start
    options = {"maxiter": 2000, "maxfun": 4000, "maxcor": 30, "ftol": 1e-13, "gtol": 1e-8}
    search: Any = minimize  # its stubs know no function that returns the gradient as well
    found: Floats = search(value, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return found
