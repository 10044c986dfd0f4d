"""Bounds from counts: against scipy's exact interval, and the frontier's level by enumeration, not by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedanalytics.auditing import bounds


@given(trials=st.integers(1, 10**6), share=st.floats(0, 1), alpha=st.floats(1e-8, 0.4))
def test_clopper_pearson_is_scipys(trials, share, alpha):
    hits = round(share * trials)
    exact = stats.binomtest(hits, trials).proportion_ci(1 - 2 * alpha, method="exact")
    assert float(bounds.lower(hits, trials, alpha)) == pytest.approx(exact.low, rel=1e-6, abs=1e-12)
    assert float(bounds.upper(hits, trials, alpha)) == pytest.approx(exact.high, rel=1e-6, abs=1e-12)


def test_the_ends():
    assert bounds.lower(0, 10, 0.05) == 0
    assert bounds.upper(10, 10, 0.05) == 1
    assert float(bounds.lower(10, 10, 0.05)) == pytest.approx(0.05 ** (1 / 10))


def outside(frontier, p, q):
    lows, highs = frontier
    return not np.any((p >= lows) & (q <= highs))


@pytest.mark.parametrize("weight", [0.1, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("alpha", [0.2, 0.05, 1e-3])
def test_the_true_rates_lie_beyond_the_frontier_with_at_most_alpha(weight, alpha):
    """All outcomes of 9 and 6 trials, summed exactly, at rates on a grid."""
    n, m = 9, 6
    frontiers = {(k, f): bounds.frontier((k, n), (f, m), alpha, weight) for k in range(n + 1) for f in range(m + 1)}
    worst = 0.0
    for p in np.linspace(0, 1, 9):
        for q in np.linspace(0, 1, 9):
            missed = sum(
                stats.binom.pmf(k, n, p) * stats.binom.pmf(f, m, q)
                for (k, f), frontier in frontiers.items()
                if outside(frontier, p, q)
            )
            worst = max(worst, missed)
    assert worst <= alpha
    assert worst > alpha / 10, "it is not idle"


def test_it_is_tighter_than_the_corner_of_two_intervals():
    p, q = bounds.frontier((1000, 1434), (400, 1434), 0.05, 0.7)
    mus = stats.norm.ppf(p) - stats.norm.ppf(q)
    corner = stats.norm.ppf(bounds.lower(1000, 1434, 0.025)) - stats.norm.ppf(bounds.upper(400, 1434, 0.025))
    seen = stats.norm.ppf(1000 / 1434) - stats.norm.ppf(400 / 1434)
    assert corner < mus.min() < seen
    assert (seen - mus.min()) / (seen - corner) < 0.75, "two thirds of its distance: 1.7 times fewer trials"


@given(
    trials=st.integers(1, 5000),
    one=st.floats(0, 1),
    other=st.floats(0, 1),
    alpha=st.floats(1e-15, 0.4),
    weight=st.floats(0.05, 0.99),
)
def test_the_frontier_stays_within_its_rectangle(trials, one, other, alpha, weight):
    true, false = (round(one * trials), trials), (round(other * trials), trials)
    p, q = bounds.frontier(true, false, alpha, weight)
    assert not np.isnan([p, q]).any()
    assert np.all(np.diff(p) <= 0)
    assert np.all(np.diff(q) <= 1e-12), "the smaller p is, the smaller q must be"
    assert np.all(p >= bounds.lower(*true, alpha / 40) - 1e-12)
    assert np.all(q <= bounds.upper(*false, alpha / 40) + 1e-12)


@given(trials=st.integers(1, 10**6), share=st.floats(0, 1), deviations=st.floats(0.1, 5))
def test_wilson_holds_the_share(trials, share, deviations):
    hits = round(share * trials)
    low, high = bounds.near(hits, trials, deviations)
    assert 0 <= low <= hits / trials + 1e-12
    assert hits / trials - 1e-12 <= high <= 1
