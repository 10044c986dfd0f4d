"""The rotation is an isometry and has its inverse; the ring gives sums back, and says how likely it does not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from scipy.linalg import hadamard as matrix
from scipy.special import ive

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.distributed import Ring
from fedanalytics.privacy.distributed.ring import Spread
from fedanalytics.privacy.distributed.rotation import hadamard, padded, rotate, unrotate

RNG = np.random.default_rng


# ---------------------------------------------------------------- rotation


@pytest.mark.parametrize("power", range(11))
def test_it_is_the_hadamard_matrix(power):
    size = 2**power
    rows = RNG(power).integers(-9, 9, (3, size)).astype(np.float64)
    expected = rows @ matrix(size)
    hadamard(rows)
    assert np.array_equal(rows, expected)


@given(st.integers(1, 300), st.binary(min_size=1))
def test_it_is_orthonormal_and_unrotate_is_its_inverse(size, seed):
    rows = RNG(size).normal(size=(4, size))
    turned = rotate(rows, seed)
    assert turned.shape == (4, padded(size))
    assert np.allclose(turned @ turned.T, rows @ rows.T, rtol=0, atol=1e-12 * size)
    assert np.allclose(unrotate(turned[2], size, seed), rows[2], rtol=0, atol=1e-13 * math.log2(2 * size))


def test_a_long_vector_comes_back_to_float_error():
    row = RNG(1).normal(size=(1, 2**18))
    back = unrotate(rotate(row, b"round")[0], 2**18, b"round")
    assert np.abs(back - row[0]).max() < 1e-14 * 18


def test_rotation_is_linear():
    rows = RNG(2).normal(size=(5, 77))
    assert np.allclose(rotate(rows, b"s").sum(axis=0), rotate(rows.sum(axis=0, keepdims=True), b"s")[0])


def test_a_row_cannot_reach_another():
    rows = RNG(3).normal(size=(40, 100))
    alone = np.concatenate([rotate(rows[i : i + 1], b"s") for i in range(40)])
    assert np.array_equal(rotate(rows, b"s"), alone)


def test_a_unit_vector_is_spread_evenly_and_seeds_differ():
    unit = np.zeros((1, 64))
    unit[0, 5] = 1.0
    assert np.allclose(np.abs(rotate(unit, b"s")), 1 / 8)
    ones = np.ones((1, 1024))
    assert not np.allclose(rotate(ones, b"s"), rotate(ones, b"t"))
    assert np.abs(rotate(ones, b"s")).max() < 6  # 32 without signs


def test_a_coordinate_of_a_rotated_vector_is_normal():
    """Over 4,000 seeds: Kolmogorov-Smirnov, false alarm 1e-9; the sign law is 2^-10 from normal, which is not seen."""
    ones = np.ones((1, 1024))
    seen = [rotate(ones, b"%d" % seed)[0, 3] for seed in range(4000)]
    assert stats.kstest(np.array(seen) + RNG(4).uniform(-1, 1, 4000) / 32, "norm").pvalue > 1e-9


@pytest.mark.parametrize("seed", [b"", "text", None, 7])
def test_a_bad_seed(seed):
    with pytest.raises(BadArgument, match=r"^seed= must be"):
        rotate(np.zeros((1, 4)), seed)


# ---------------------------------------------------------------- ring


@given(st.integers(8, 62), st.data())
def test_sums_in_range_come_back(bits, data):
    ring = Ring(bits)
    wanted = data.draw(hnp.arrays(np.int64, 3, elements=st.integers(-ring.half, ring.half - 1)))
    parts = data.draw(hnp.arrays(np.int64, (4, 3), elements=st.integers(-(2**60), 2**60)))
    last = wanted - parts.sum(axis=0)  # whatever the parts are, also beyond the ring
    residues = ring.wrap(np.concatenate([parts, last[None]]))
    assert residues.dtype == (np.uint32 if bits <= 32 else np.uint64)
    assert int(residues.max()) < 2**bits
    assert np.array_equal(ring.unwrap(ring.sum(residues)), wanted)


def test_a_sum_out_of_range_wraps_around():
    ring = Ring(8)
    assert ring.unwrap(ring.wrap(np.array([127, 128, -128, -129, 300]))).tolist() == [127, -128, -128, 127, 44]


@pytest.mark.parametrize("bits", [7, 63, 8.0, True, None])
def test_bad_bits(bits):
    with pytest.raises(BadArgument, match=r"^bits= must be"):
        Ring(bits)


@pytest.mark.parametrize("residues", [np.array([256], np.uint32), np.array([1]), np.array([1.0])])
def test_bad_residues(residues):
    with pytest.raises(BadArgument, match=r"^residues= must be"):
        Ring(8).unwrap(residues)


@pytest.mark.parametrize("variance", [0.01, 1.0, 40.0, 1000.0])
def test_the_bound_on_overflow_is_one_and_no_loose_one(variance):
    """Against the exact tails of Skellam noise alone: never below, and at most 60 times as much."""
    ring = Ring(8)
    exact = 2 * float(ive(np.arange(ring.half, 4000), variance).sum())
    bound = Spread(0.0, 0.0, variance).overflow(ring, 1)
    assert exact <= bound <= 60 * exact
    assert Spread(0.0, 0.0, variance).overflow(ring, 1000) == pytest.approx(min(1.0, 1000 * bound))


def test_the_bound_on_overflow_covers_all_three_parts():
    """shift + sub-Gaussian + Skellam, the second normal: its exact tail by convolution."""
    ring, z = Ring(8), np.arange(-200, 201)
    noise = stats.skellam.pmf(z, 200.0, 200.0)
    exact = 2 * float(noise @ stats.norm.sf((ring.half - 10 - z) / 15.0))
    assert exact <= Spread(10.0, 225.0, 400.0).overflow(ring, 1) <= 60 * exact
    assert Spread(128.0, 225.0, 400.0).overflow(ring, 1) == 1.0


@pytest.mark.parametrize(("proxy", "variance"), [(0.0, 900.0), (600.0, 300.0), (0.0, 5000.0)])
def test_the_bound_on_what_wrapping_costs(proxy, variance):
    ring, z = Ring(8), np.arange(-3000, 3001)
    law = np.convolve(stats.skellam.pmf(z, variance / 2, variance / 2), stats.norm.pdf(z, 0, math.sqrt(proxy or 1e-9)))
    law /= law.sum()
    at = np.arange(-6000, 6001)
    exact = float(law @ (ring.unwrap(ring.wrap(at)) - at).astype(float) ** 2)
    bound = Spread(0.0, proxy, variance).wrapped(ring)
    assert exact <= bound <= 60 * exact
    assert Spread(200.0, proxy, variance).wrapped(ring) == math.inf
