"""Local reports have the laws that their privacy is stated for, seen from outside.

Every check is a p-value of a million reports against exact probabilities, written down here from the mechanisms'
definitions; an alarm is one below 1e-9. There are 21 laws x 2 checks = 42: with fresh keys a run would raise a false
alarm with probability about 4e-8, times a few because the chi-square law is an approximation (at least 50 expected in
every cell). The seeds are fixed, so a run does not flicker.
"""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.local import (
    NULL,
    HadamardResponse,
    KaryResponse,
    PiecewiseResponse,
    SubsetResponse,
    UnaryResponse,
)

N = 1_000_000
ALARM = 1e-9


# ---------------------------------------------------------------- the laws: {report: probability}


def rows(columns):
    return [tuple(int(i == j) for j in range(columns)) for i in range(columns)]


def k_ary(mechanism, held):
    d = mechanism.bins + 1
    return {row: mechanism.noise / d + (1 - mechanism.noise) * (i == held % d) for i, row in enumerate(rows(d))}


def unary(mechanism, held):
    ones = [1 - mechanism.lost if b == held else mechanism.other for b in range(mechanism.bins)]
    return {
        bits: math.prod(p if bit else 1 - p for p, bit in zip(ones, bits, strict=True))
        for bits in itertools.product([0, 1], repeat=mechanism.bins)
    }


def subset(mechanism, held):
    d, w = mechanism.bins + 1, mechanism.size
    law = {}
    for chosen in itertools.combinations(range(d), w):
        with_own = (1 - mechanism.miss) / math.comb(d - 1, w - 1), mechanism.miss / math.comb(d - 1, w)
        law[tuple(int(i in chosen) for i in range(d))] = with_own[held % d not in chosen]
    return law


def hadamard(mechanism, held):
    k = 1 << math.ceil(math.log2(mechanism.bins + 1))
    sign = [1 - 2 * ((i & (held + 1)).bit_count() % 2) for i in range(k)]
    return {
        row: (1 if held == NULL else 1 + s * (1 - mechanism.noise)) / k for row, s in zip(rows(k), sign, strict=True)
    }


def piecewise(mechanism, value):
    m, w, noise = mechanism.points, mechanism.window, mechanism.noise
    counted, null = mechanism.null == "counted", math.isnan(value)
    total = m + w * counted
    masses = np.full(total, noise / total)
    at = ((0.0 if null else value) + 1) / 2 * (m - w)
    low = min(math.floor(at), m - w - 1)
    places = [(m, 1.0)] if counted and null else [(low, 1 - (at - low)), (low + 1, at - low)]
    for start, weight in places:
        masses[start : start + w] += weight * (1 - noise) / w
    if null and mechanism.null == "uniform":
        masses = np.full(m, 1 / m)
    law = {}
    for i, mass in enumerate(masses):
        y = 2 * i - (m - 1) if i < m else 0
        report = (y, y * y, int(i < m)) if counted else (y, y * y)
        law[report] = law.get(report, 0.0) + mass
    return law


CASES = [
    *((KaryResponse(1, 0.5), k_ary, v) for v in (0, NULL)),
    *((KaryResponse(9, 0.4), k_ary, v) for v in (0, 8, NULL)),
    *((UnaryResponse(4, 0.5, 0.2), unary, v) for v in (1, NULL)),
    *((SubsetResponse(6, 3, 0.3), subset, v) for v in (5, NULL)),
    *((SubsetResponse(6, 1, 0.6), subset, v) for v in (0,)),
    *((HadamardResponse(5, 0.5), hadamard, v) for v in (0, 4, NULL)),
    *((PiecewiseResponse(2, 1, 0.5), piecewise, v) for v in (0.37, math.nan)),
    *((PiecewiseResponse(7, 2, 0.3), piecewise, v) for v in (-1.0, 0.2)),
    *((PiecewiseResponse(7, 2, 0.3, "uniform"), piecewise, v) for v in (math.nan,)),
    *((PiecewiseResponse(7, 2, 0.3, "counted"), piecewise, v) for v in (0.95, math.nan)),
    (PiecewiseResponse(6, 2, 0.3), piecewise, math.nan),
]
LAWS = pytest.mark.parametrize(("mechanism", "law", "value"), CASES, ids=lambda x: getattr(x, "__name__", repr(x)))


# ---------------------------------------------------------------- checks: p-values


def codes(reports, law):
    """Each report's place in the law; a report outside it is an error."""
    weights = 101 ** np.arange(reports.shape[1], dtype=np.int64)
    known = np.array(list(law)) @ weights
    order = np.argsort(known)
    seen = reports.astype(np.int64) @ weights
    at = order[np.searchsorted(known[order], seen)]
    assert (known[at] == seen).all()
    return at


def fits(at, probabilities):
    hoped = np.asarray(probabilities) * len(at)
    assert hoped.min() >= 50
    seen = np.bincount(at, minlength=len(hoped))
    return stats.chi2.sf(np.sum((seen - hoped) ** 2 / hoped), len(hoped) - 1)


def bins(at, probabilities):
    return fits(at, probabilities)


def neighbours(at, probabilities):
    """Pairs of clients, against the product of the probabilities, reports thrown together into two classes."""
    p = np.asarray(probabilities)
    first = np.cumsum(p) <= max(0.5, p[0])
    both = [p[first].sum(), p[~first].sum()]
    side = (~first[at]).astype(int)
    return fits(side[:-1:2] * 2 + side[1::2], np.outer(both, both).ravel())


def alarms(mechanism, law, value, seed=1, n=N):
    exact = law(mechanism, value)
    assert sum(exact.values()) == pytest.approx(1, abs=1e-12)
    at = codes(mechanism.reports(np.full(n, value), Keystream.insecure(seed)), exact)
    return {check.__name__ for check in (bins, neighbours) if check(at, list(exact.values())) < ALARM}


@LAWS
def test_reports_have_the_law_that_their_privacy_is_stated_for(mechanism, law, value):
    assert alarms(mechanism, law, value) == set()


def test_there_are_as_many_laws_as_the_false_alarm_rate_says():
    assert len(CASES) == 21


# ---------------------------------------------------------------- planted faults are seen


class Planted:
    """A mechanism that reports like another one than it says."""

    def __init__(self, stated, done):
        self.stated, self.done = stated, done

    def __getattr__(self, name):
        return getattr(self.stated, name)

    def reports(self, values, stream):
        return self.done.reports(values, stream)


@pytest.mark.parametrize("off", [0.99, 1.01])
@pytest.mark.parametrize(
    ("make", "law", "value"),
    [
        (lambda x: KaryResponse(3, 0.5 * x), k_ary, 1),
        (lambda x: UnaryResponse(3, 0.5 * x, 0.2), unary, 1),
        (lambda x: UnaryResponse(3, 0.5, 0.2 * x), unary, NULL),
        (lambda x: SubsetResponse(4, 2, 0.3 * x), subset, 1),
        (lambda x: HadamardResponse(3, 0.5 * x), hadamard, 1),
        (lambda x: PiecewiseResponse(2, 1, 0.5 * x), piecewise, 0.9),
        (lambda x: PiecewiseResponse(5, 2, 0.5 * x), piecewise, 0.9),
    ],
)
def test_a_coin_off_by_one_per_cent(make, law, value, off):
    assert "bins" in alarms(Planted(make(1.0), make(off)), law, value, seed=2, n=3 * N)


class TruthfulNull(Planted):
    def reports(self, values, stream):
        return np.tile(np.eye(1, self.columns, self.bins, dtype=np.uint8), (len(values), 1))


def test_a_null_value_that_is_always_truthful():
    mechanism = KaryResponse(3, 0.5)
    assert "bins" in alarms(TruthfulNull(mechanism, mechanism), k_ary, NULL, seed=3)


class SharedCoins(Planted):
    def reports(self, values, stream):
        return np.repeat(self.done.reports(values[::2], stream), 2, axis=0)


def test_coins_that_two_clients_share():
    for mechanism, law in ((KaryResponse(3, 0.5), k_ary), (HadamardResponse(3, 0.5), hadamard)):
        assert "neighbours" in alarms(SharedCoins(mechanism, mechanism), law, 1, seed=4)


class NoDither(Planted):
    def reports(self, values, stream):
        return self.done.reports(np.rint(values), stream)


def test_numbers_rounded_to_the_nearest_place():
    mechanism = PiecewiseResponse(4, 2, 0.5)
    assert "bins" in alarms(NoDither(mechanism, mechanism), piecewise, 0.6, seed=5)
