"""What the float path may decide, measured against mpmath; and that worse floats are refused."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from fedanalytics.errors import FedAnalyticsError
from fedanalytics.privacy import laws, margin
from fedanalytics.privacy.laws import RoundedGaussian, Skellam, TwoSidedGeometric

MP = mpmath.mp.clone()
MP.prec = 200

KINDS = (RoundedGaussian, TwoSidedGeometric)  # with a quantile in closed form
ALL = (*KINDS, Skellam)
SPREADS = (2.0**-10, 0.3, 1.0, 63.9, 1234.567, 1.1 * 2.0**30, 2.0**36)
SKELLAM = (2.0**18, 1.3 * 2.0**18, 1e6, 2.0**30, 1.7 * 2.0**60, 2.0**72)  # variances at which floats may decide


def true_quantile(law, q):
    """y(q) by mpmath's inverse functions; the package only ever evaluates the tail."""
    s = MP.mpf(law.spread)
    if isinstance(law, RoundedGaussian):
        return MP.mpf(0.5) + s * MP.sqrt(2) * MP.erfinv(1 - q)
    return s * (MP.log(2 / (1 + MP.exp(-1 / s))) - MP.log(q))


def cells(count: int, seed: int):
    """Half uniform, half uniform in the logarithm: the bulk and the tail."""
    random = np.random.default_rng(seed)
    tail = np.exp(random.uniform(0, 62.99 * math.log(2), count // 2)).astype(np.int64)
    return np.concatenate([random.integers(0, 1 << 63, count - len(tail)), tail])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", SPREADS)
def test_float_errors_are_two_to_the_eighth_below_the_margin(kind, spread):
    law, k = kind(spread), cells(300, seed=11)
    centre, y = margin._quantile(law, k)
    for i in range(len(k)):
        error = abs(MP.mpf(float(y[i])) - true_quantile(law, MP.mpf(2 * int(k[i]) + 1) / 2**64))
        assert error * 2**8 <= margin.RELATIVE * (y[i] + spread + 1)
    assert np.allclose(centre, k + 0.5, rtol=2.0**-52)


@settings(deadline=None)
@given(
    st.sampled_from(KINDS),
    st.floats(2.0**-10, 2.0**36),
    st.integers(1, 62).flatmap(lambda e: st.integers(1 << (e - 1), (1 << e) - 1)),
    st.floats(0, 1),
)
def test_a_cell_is_narrower_than_its_margin(kind, spread, k, place):
    law, centre = kind(spread), MP.mpf(k) + 0.5
    moved = abs(true_quantile(law, (k + MP.mpf(place)) / 2**63) - true_quantile(law, centre / 2**63))
    assert moved <= (spread + 1) / centre  # half of what `inverted` grants


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", SPREADS)
def test_what_is_proven_is_true(kind, spread):
    law, k = kind(spread), cells(300, seed=12)
    m, unproven = margin.inverted(law, k)
    proven = np.setdiff1d(np.arange(len(k)), unproven)
    assert m.dtype == np.int64
    assert len(proven) > (250 if spread < 2.0**30 else 150)  # the smallest k are never decided at a wide spread
    for i in proven:
        for q in (MP.mpf(int(k[i])) / 2**63, MP.mpf(int(k[i]) + 1) / 2**63):  # both ends of the cell
            assert MP.floor(true_quantile(law, q)) == m[i]


@pytest.mark.parametrize("variance", SKELLAM)
def test_the_expansion_is_two_to_the_eighth_below_the_margin_at_every_threshold(variance):
    """f(S(j)) = j, with S(j) from the proven bounds, in the bulk and in the tail."""
    law, k = Skellam(variance), cells(300, seed=13)
    for j in np.unique(np.maximum(np.rint(margin._quantile(law, k)[1]), 1)).astype(np.int64).tolist():
        low, high = law.survival(j, 160)
        [y] = law.quantile(np.array([math.ldexp(low + high, -161)]))
        assert abs(y - j) * 2**8 <= margin.RELATIVE * (j + law.spread + 1)


@pytest.mark.parametrize("variance", SKELLAM)
def test_the_expansion_falls_and_no_faster_than_it_may(variance):
    law, q = Skellam(variance), np.exp(np.linspace(0, -43.6, 20_000))
    y, gap = law.quantile(q), 43.6 / 19_999
    steps = np.diff(y)
    assert y[0] == 0.5
    assert np.all(steps > 0)
    assert np.all(steps <= 1.26 * law.spread * gap)


@pytest.mark.parametrize("variance", SKELLAM)
def test_what_is_proven_of_skellam_is_true(variance):
    """No threshold is in the cell: both ends lie between S(m + 1) and S(m), by the proven bounds."""
    law, k = Skellam(variance), cells(300, seed=14)
    m, unproven = margin.inverted(law, k)
    proven = np.setdiff1d(np.arange(len(k)), unproven)
    assert len(proven) > (250 if variance < 2.0**60 else 150)
    for i in proven.tolist():
        assert (int(k[i]) + 1) << 40 <= law.survival(int(m[i]), 103)[0]
        assert int(k[i]) << 40 >= law.survival(int(m[i]) + 1, 103)[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", SPREADS)
def test_the_cell_at_zero_is_never_decided(kind, spread):
    assert margin.inverted(kind(spread), np.zeros(3, np.int64))[1].tolist() == [0, 1, 2]


def test_the_check_passes_here_and_runs_once():
    for kind in ALL:
        margin.inverted(kind(2.0**20), np.array([1 << 62]))
    hits = margin.check.cache_info().hits
    margin.inverted(KINDS[0](5.0), np.array([1 << 62]))
    assert margin.check.cache_info().hits == hits + 1


@pytest.mark.parametrize("kind", ALL)
def test_a_nan_that_the_check_missed_decides_nothing(kind):
    class Holed(kind):
        def quantile(self, q):
            return np.where((q > 0.3) & (q < 0.31), np.nan, super().quantile(q))

    k = np.array([int(0.305 * 2**63), int(0.4 * 2**63)])
    with np.errstate(invalid="ignore"):
        assert margin.inverted(Holed(2.0**20), k)[1].tolist() == [0]


FAULTS = {
    "everywhere by 2^-40": lambda q, y, spread: y * (1 + 2.0**-40),
    "a constant": lambda q, y, spread: y + 2.0**-43 * spread,
    "in the far tail": lambda q, y, spread: np.where(q < 1e-16, y * (1 + 2.0**-44), y),
    "below ndtri's last seam": lambda q, y, spread: np.where(q < 2.5e-14, y * (1 + 2.0**-44), y),
    "near the centre": lambda q, y, spread: np.where(q > 0.99, y + 2.0**-44 * spread, y),
    "not a number": lambda q, y, spread: np.where(q < 1e-10, np.nan, y),
    "infinite": lambda q, y, spread: np.where(q < 1e-18, np.inf, y),
    "single precision": lambda q, y, spread: y.astype(np.float32).astype(np.float64),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("kind", ALL)
def test_a_build_with_worse_floats_is_refused(kind, fault):
    class Broken(kind):
        def quantile(self, q):
            return fault(q, super().quantile(q), self.spread)

    for _ in range(2):  # the refusal is not forgotten
        with pytest.raises(FedAnalyticsError, match=r"float quantile of Broken.*install another build"):
            margin.inverted(Broken(2.0**20), np.array([1 << 62]))


@pytest.mark.parametrize(
    ("power", "column", "factor"), [(0, 0, 1.001), (1, 0, 1.001), (0, 1, 1.1), (1, 1, 1.1), (2, 1, 1.01), (3, 2, 0)]
)
def test_a_wrong_coefficient_of_the_expansion_is_refused(power, column, factor, monkeypatch):
    rows = [list(row) for row in laws._EXPANSION]
    rows[power][column] *= factor
    monkeypatch.setattr(laws, "_EXPANSION", rows)

    class Broken(Skellam):
        pass

    with pytest.raises(FedAnalyticsError, match="float quantile of Broken"):
        margin.inverted(Broken(2.0**20), np.array([1 << 62]))


@pytest.mark.parametrize("variance", [2.0**9, 1000.0])
def test_the_first_term_left_out_is_the_fourth(variance):
    """Where it can still be seen the expansion is off by P4(w)/v**4, within a tenth and what P5/v**5 may be."""
    law = Skellam(variance)
    for j in range(1, int(3 * law.spread)):
        low, high = law.survival(j, 160)
        q = np.array([math.ldexp(low + high, -161)])
        [y], w = law.quantile(q), -float(ndtri(q / 2)[0])
        fourth = -(
            w * (1258881 * w**8 - 27815280 * w**6 + 177393088 * w**4 - 366059008 * w**2 + 179079168) / 1393459200
        )
        assert abs((y - j) / law.spread + fourth / variance**4) < 0.1 * 0.3 / variance**4 + 2.0**-50
