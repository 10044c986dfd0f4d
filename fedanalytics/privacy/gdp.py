"""The Gaussian mechanism in closed form: mu-GDP and its (epsilon, delta).

Noise of multiplier s is exactly (1/s)-GDP, and k of them compose to mu = sqrt(sum mu_i^2), in any order and also when
chosen adaptively (Dong, Roth, Su 2019, arXiv 1905.02383, Theorem 1 and Corollary 1). mu-GDP is (epsilon, delta)-DP if
and only if delta >= Phi(mu/2 - epsilon/mu) - e^epsilon Phi(-mu/2 - epsilon/mu) (Balle and Wang 2018, arXiv 1805.06530,
Theorem 8).
"""

from __future__ import annotations

import math

from fedanalytics import _validate

_SAFE = 2.0**-40  # relative: what a bisection and its last roundings may be off

_TINY = 2.0**-1000  # more than what underflow can lose


def delta_of(mu: float, epsilon: float) -> float:
    """The smallest delta at `epsilon`, for mu > 0, rounded up.

    Each Phi(x) is off by a few units in its last place and by x^2 times the relative error of x; both are added.

    Example:
        >>> round(delta_of(1.0, 1.0), 6)
        0.126937
    """
    near, far = mu / 2 - epsilon / mu, -mu / 2 - epsilon / mu
    first, second = _phi(near), _scaled(near, far, epsilon)
    error = 2.0**-49 * ((1 + near**2) * first + (1 + far**2 + epsilon) * second)
    return min(max(first - second, 0.0) + error + _TINY, 1.0)


def epsilon_of(mu: float, delta: float) -> float:
    """The smallest epsilon at `delta`, rounded up; 0 when mu is 0.

    Example:
        >>> round(epsilon_of(0.2, 1e-6), 4)
        0.8341
    """
    _validate.probability(delta=delta)
    if mu == 0 or delta_of(mu, 0.0) <= delta:
        return 0.0
    low, high = 0.0, 1.0
    while delta_of(mu, high) > delta:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(mu, middle) > delta else (low, middle)
    return high * (1 + _SAFE)


def mu_of(epsilon: float, delta: float) -> float:
    """The largest mu that is (epsilon, delta)-DP, rounded down: the analytic Gaussian mechanism.

    Raises:
        BadArgument: epsilon is not positive and finite, or delta not in (0, 1).

    Example:
        >>> round(mu_of(1.0, 1e-6), 6)
        0.236704
    """
    _validate.positive(epsilon=epsilon)
    _validate.probability(delta=delta)
    low, high = 0.0, 1.0
    while delta_of(high, epsilon) <= delta:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if middle == 0 or delta_of(middle, epsilon) <= delta else (low, middle)
    return low * (1 - _SAFE)


def _scaled(near: float, far: float, epsilon: float) -> float:
    """e^epsilon Phi(far), also where Phi(far) has lost its digits to underflow.

    As far^2 - near^2 = 2 epsilon, it is phi(near) times Mills' ratio at -far, which has Laplace's continued fraction
    (Abramowitz and Stegun, 26.2.14); beyond 20 its convergents agree to all digits after a dozen.
    """
    if far > -20:
        return math.exp(epsilon + math.log(_phi(far)))
    fraction = -far
    for k in range(20, 0, -1):
        fraction = k / fraction - far
    return math.exp(-near * near / 2) / math.sqrt(2 * math.pi) / fraction


def _phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))
