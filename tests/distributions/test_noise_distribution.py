"""The noise has the law that it claims, seen from outside: a million draws against exact probabilities.

Every check is a p-value, and an alarm is one below 1e-9. The samplers are checked (3 laws x (8 spreads + 2) + 12) x 7 =
294 times: were the keys fresh, a run would raise a false alarm with probability about 2.9e-7; that the normal and
chi-square laws are approximations (of at least 50 expected in every bin) may multiply it by a few, not beyond 1e-6. All
seeds but one test's are fixed, so a run does not flicker.

Narrow laws are drawn by a table of thresholds or by floats with a margin, whichever their use makes faster; the 12 put
them through either. A Skellam law has a table below a standard deviation of 512, and floats from there on.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy import special, stats

from fedanalytics.privacy import thresholds
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.laws import RoundedGaussian, TwoSidedGeometric
from fedanalytics.privacy.samplers import discrete_laplace, rounded_gaussian, skellam

N = 1_000_000
ALARM = 1e-9
SPREADS = (0.05, 0.3, 1.0, 3.7, 64.0, 1000.0, 2.0**20, 2.0**30)


# ---------------------------------------------------------------- exact probabilities of |Z| >= j


def gaussian_tail(spread, j):
    return np.where(j <= 0, 1.0, special.erfc((j - 0.5) / (spread * np.sqrt(2))))


def laplace_tail(spread, j):
    return np.where(j <= 0, 1.0, 2 * np.exp(-j / spread) / (1 + np.exp(-1 / spread)))


@functools.cache
def skellam_tails(spread):
    """At j = 0, 1, ... as sums of e**-v I_j(v), beyond the last of which they are 0."""
    j = np.arange(50 * spread + 25)
    return np.append(2 * np.cumsum(special.ive(j, spread**2)[::-1])[::-1], 0.0)


def skellam_tail(spread, j):
    """`spread` is the standard deviation; from 2**15 on the law is the rounded normal one to 1e-10."""
    if spread > 2**15:
        return gaussian_tail(spread, j)
    tails = skellam_tails(spread)
    return np.where(j <= 0, 1.0, tails[np.clip(j, 0, len(tails) - 1).astype(np.int64)])


def moments(tail, spread):
    """E Z^2 and E Z^4: exact sums for narrow laws, and the continuous law with relative error below 1e-5 for wide."""
    if spread > 1000:
        return (2 * spread**2, 24 * spread**4) if tail is laplace_tail else (spread**2, 3 * spread**4)
    j = np.arange(1.0, 50 * spread + 20)
    s = tail(spread, j)
    return np.sum((2 * j - 1) * s), np.sum((j**4 - (j - 1) ** 4) * s)


def edges(tail, spread, levels):
    """The |Z| at which the tail falls below each level, found by bisection on integers."""
    low, high = np.zeros(len(levels)), np.full(len(levels), np.ceil(50 * spread + 20))
    while np.any(high - low > 1):
        middle = np.floor((low + high) / 2)
        above = tail(spread, middle) > levels
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.unique(high).astype(np.int64)


def signed_bins(tail, spread, levels):
    """(cuts, probabilities) of bins on the line, symmetric about 0."""
    at = edges(tail, spread, levels)
    s = tail(spread, np.concatenate([[0], at]).astype(float))
    side = -np.diff(np.concatenate([s, [0.0]])) / 2
    return np.concatenate([-at[::-1] + 1, at]), np.concatenate([side[:0:-1], [2 * side[0]], side[1:]])


# ---------------------------------------------------------------- checks: p-values


def fits(counts, probabilities, total):
    """Pearson's chi-square over the bins in which at least 50 are expected, the others thrown together."""
    expected = np.asarray(probabilities) * total
    few = expected < 50
    seen = np.append(counts[~few], counts[few].sum())
    hoped = np.append(expected[~few], expected[few].sum())
    if hoped[-1] < 50:
        seen, hoped = seen[:-1], hoped[:-1]
    return stats.chi2.sf(np.sum((seen - hoped) ** 2 / hoped), len(hoped) - 1) if len(hoped) > 1 else 1.0


def bins(tail, spread, z):
    cuts, p = signed_bins(tail, spread, np.concatenate([np.arange(63, 0, -1) / 64, 2.0 ** -np.arange(7, 14)]))
    return fits(np.bincount(np.digitize(z, cuts), minlength=len(p)), p, len(z))


def mean(tail, spread, z):
    second, _ = moments(tail, spread)
    return normal(z.astype(float).sum(), second * len(z))


def variance(tail, spread, z):
    second, fourth = moments(tail, spread)
    return normal(np.sum(np.square(z.astype(float)) - second), (fourth - second**2) * len(z))


def normal(total, variance):
    """Of a sum of centred terms; without an alarm where it is all zeros, or nearly (`extremes` watches those)."""
    return 2 * stats.norm.sf(abs(total) / np.sqrt(variance)) if variance > 50 else 1.0


def symmetry(tail, spread, z):
    """Signs against sizes: in every size class, as many above zero as below."""
    at = edges(tail, spread, np.array([0.75, 0.5, 0.25, 0.1, 0.01, 0.001]))
    size = np.digitize(np.abs(z), at)
    up = np.bincount(size[z > 0], minlength=len(at) + 1)
    both = up + np.bincount(size[z < 0], minlength=len(at) + 1)
    up, both = up[both > 100], both[both > 100]
    return stats.chi2.sf(np.sum((2 * up - both) ** 2 / both), len(both)) if len(both) else 1.0


def neighbours(tail, spread, z):
    """Pairs of draws in a table of 7 x 7 bins, against the product of the exact probabilities."""
    cuts, p = signed_bins(tail, spread, np.array([0.75, 0.5, 0.25]))
    at = np.digitize(z, cuts)
    table = np.bincount(at[:-1:2] * len(p) + at[1::2], minlength=len(p) ** 2)
    return fits(table, np.outer(p, p).ravel(), len(z) // 2)


def extremes(tail, spread, z):
    """P(a draw at least as large as the largest): overflow and words out of place end here."""
    return min(1.0, len(z) * float(tail(spread, float(np.abs(z).max()))))


def low_bits(tail, spread, z):
    """z mod 16 is uniform to 1e-5 when the law is wide: a float grid coarser than a step would show."""
    return fits(np.bincount(z % 16, minlength=16), np.full(16, 1 / 16), len(z)) if spread >= 1000 else 1.0


CHECKS = (bins, mean, variance, symmetry, neighbours, extremes, low_bits)


def alarms(tail, spread, z):
    return {check.__name__ for check in CHECKS if check(tail, spread, z) < ALARM}


def gaussian(spread, seed=1):
    return rounded_gaussian(spread, N, keystream=Keystream.insecure(seed))


def laplace(spread, seed=1):
    return discrete_laplace(spread, N, keystream=Keystream.insecure(seed))


def differences(spread, seed=1):
    return skellam(spread**2, N, keystream=Keystream.insecure(seed))


LAWS = pytest.mark.parametrize(
    ("sample", "tail"), [(gaussian, gaussian_tail), (laplace, laplace_tail), (differences, skellam_tail)]
)


def draw(sample, spread, size, keystream=None):
    """With the key of the caller, or a fresh one."""
    if sample is differences:
        return skellam(spread**2, size, keystream=keystream)
    return (rounded_gaussian if sample is gaussian else discrete_laplace)(spread, size, keystream=keystream)


# ---------------------------------------------------------------- the samplers


@LAWS
@pytest.mark.parametrize("spread", SPREADS)
def test_the_law_is_the_one_claimed(sample, tail, spread):
    assert alarms(tail, spread, sample(spread)) == set()


@LAWS
def test_draws_across_calls_are_independent(sample, tail):
    """One stream, two draws a call, as a private mean does."""
    stream = Keystream.insecure(2)
    z = np.concatenate([draw(sample, 3.7, 2, stream) for _ in range(20_000)])
    assert alarms(tail, 3.7, z) == set()


@LAWS
def test_fresh_keys_have_the_law_too(sample, tail):
    assert alarms(tail, 1000.0, draw(sample, 1000.0, N)) == set()


@pytest.mark.parametrize(
    ("sample", "tail", "law"),
    [(gaussian, gaussian_tail, RoundedGaussian), (laplace, laplace_tail, TwoSidedGeometric)],
)
@pytest.mark.parametrize("spread", [0.3, 3.7, 64.0])
@pytest.mark.parametrize("table", [True, False])
def test_narrow_laws_either_way(sample, tail, law, spread, table):
    """Calls too few and too small for a table to pay, and the same with one that is there."""
    thresholds._slot.cache_clear()
    if table:
        thresholds.worthwhile(law(spread), 10**8)
    stream = Keystream.insecure(8)
    z = np.concatenate([draw(sample, spread, 50_000, stream) for _ in range(4)])
    assert (thresholds.worthwhile(law(spread), 0) is not None) == table
    assert alarms(tail, spread, z) == set()


# ---------------------------------------------------------------- planted faults are seen


@LAWS
@pytest.mark.parametrize("spread", [0.5, 1.0, 64.0, 2.0**20])
@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_a_spread_off_by_one_per_cent(sample, tail, spread, factor):
    assert alarms(tail, spread, sample(spread * factor, seed=3)) & {"bins", "variance"}


@LAWS
@pytest.mark.parametrize("spread", [0.3, 3.7, 2.0**20])
@pytest.mark.parametrize("side", [lambda z: np.maximum(z, 0), lambda z: np.minimum(z, 0), np.abs])
def test_one_sided_noise(sample, tail, spread, side):
    assert alarms(tail, spread, side(sample(spread, seed=10))) >= {"mean", "symmetry"}


FAULTS = {
    "sign lost": (np.abs, {"bins", "mean", "symmetry"}),
    "one-sided": (lambda z: np.maximum(z, 0), {"bins", "mean", "variance", "symmetry"}),
    "one more": (lambda z: z + 1, {"bins", "mean"}),
    "larger when positive": (lambda z: z + (z > 0), {"bins", "mean", "variance", "symmetry"}),
    "each draw twice": (lambda z: np.repeat(z[::2], 2), {"neighbours"}),
    "signs alternate": (lambda z: np.abs(z) * np.resize([1, -1], len(z)), {"neighbours"}),
    "tail cut": (lambda z: np.clip(z, -7, 7), {"bins", "variance"}),
    "one draw far out": (lambda z: np.where(np.arange(len(z)) == 5, 1000, z), {"extremes"}),
}


@LAWS
@pytest.mark.parametrize(("fault", "seen"), FAULTS.values(), ids=FAULTS)
def test_a_planted_fault(sample, tail, fault, seen):
    assert alarms(tail, 3.7, fault(sample(3.7, seed=4))) >= seen


@pytest.mark.parametrize("cut", [np.trunc, np.floor, np.ceil])
@pytest.mark.parametrize("spread", [1.0, 3.7, 64.0])
def test_truncation_instead_of_rounding(cut, spread):
    fine = gaussian(spread * 2.0**20, seed=5) / 2.0**20
    assert alarms(gaussian_tail, spread, np.rint(fine).astype(np.int64)) == set()  # the harness itself is fair
    assert alarms(gaussian_tail, spread, cut(fine).astype(np.int64)) & {"bins", "mean"}


@LAWS
@pytest.mark.parametrize("spread", [1.0, 3.7, 64.0, 1000.0])
def test_rounding_after_the_noise_on_the_wrong_grid(sample, tail, spread):
    """Noise of the right size whose steps are twice too wide: drawn so, or cut to it."""
    for z in (2 * sample(spread / 2, seed=9), sample(spread, seed=9) & ~1):
        assert alarms(tail, spread, z) & {"bins", "low_bits"}


@LAWS
@pytest.mark.parametrize("spread", [1.0, 3.7])
def test_steps_twice_too_fine_cut_off(sample, tail, spread):
    assert alarms(tail, spread, sample(2 * spread, seed=9) >> 1) >= {"bins", "mean"}


def test_noise_rounded_before_it_is_scaled():
    """round(N(0, 1)) * sigma in place of round(N(0, sigma**2)): the variance hides it, the bins do not."""
    assert "bins" in alarms(gaussian_tail, 64.0, 64 * gaussian(1.0, seed=9))


@LAWS
def test_a_float_grid_coarser_than_a_step(sample, tail):
    assert alarms(tail, 2.0**30, sample(2.0**30, seed=6) & ~1) == {"low_bits"}


def test_the_wrong_law_of_the_same_variance():
    assert "bins" in alarms(gaussian_tail, 64.0, laplace(64.0 / np.sqrt(2), seed=7))
