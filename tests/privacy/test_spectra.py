"""Composition by spectra: bounds that bracket what is known exactly, at any count, delta and grid."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from fedanalytics.privacy import gdp, spectra
from fedanalytics.privacy.composition import Composition, lowest
from fedanalytics.privacy.events import DiscreteLaplace, Gaussian, Laplace, RandomizedResponse, Skellam
from fedanalytics.privacy.losses import Losses, of
from fedanalytics.privacy.spectra import LADDER, Spectrum, Sum

SAMPLED = Gaussian(1.0).poisson_sampled(0.01)


def bracket(counts, delta, grid=1e-3):
    composition = Composition(counts, grid)
    upper = composition.epsilon(delta)
    return composition.lower(delta, upper), upper


# ---------------------------------------------------------------- exact references


@given(st.floats(0.3, 30), st.integers(1, 300), st.floats(-14, -1))
@settings(max_examples=25)
def test_gaussians_bracket_the_closed_form(sigma, count, log_delta):
    mu, delta = math.sqrt(count) / sigma, 10**log_delta
    assume(mu < 25)  # e^epsilon times the least float is more than a rounding of delta beyond
    exact = gdp.epsilon_of(mu, delta)
    low, high = bracket({Gaussian(sigma): count}, delta)
    assert low <= exact
    assert exact * (1 - 1e-7) <= high  # the closed form is rounded up itself, by 1e-8
    assert high <= exact + 0.03 * mu * min(1, sigma * 1e-2) + 2e-3


@given(st.floats(0.5, 30), st.integers(1, 400), st.floats(-14, -1))
@settings(max_examples=25)
def test_repeated_pure_events_bracket_the_binomial_sum(b, count, log_delta):
    """k of n responses with the likely answer: a loss of (2k - n) / b (Kairouz, Oh, Viswanath 2015, Theorem 3)."""
    k, delta = np.arange(count + 1), 10**log_delta
    masses, at = stats.binom.pmf(k, count, 1 / (1 + math.exp(-1 / b))), (2 * k - count) / b

    def exact(epsilon):
        return float(masses[at > epsilon] @ -np.expm1(epsilon - at[at > epsilon]))

    low, high = bracket({DiscreteLaplace(b): count}, delta)
    assert exact(high) <= delta * (1 + 1e-9) + 1e-15
    assert low == 0 or exact(low) >= delta * (1 - 1e-9) - 1e-15
    assert exact(max(high - 1e-3 - 0.02 * high, 0.0)) >= delta * (1 - 1e-6) or high < 1e-3


@pytest.mark.parametrize("delta", [0.3, 1e-3, 1e-9, 1e-18])
def test_a_small_delta_is_as_exact_as_a_large_one(delta):
    mu = 0.9
    low, high = bracket({Gaussian(2.0): 2, Gaussian(1 / math.sqrt(mu**2 - 0.5)): 1}, delta, 1e-4)
    assert low <= gdp.epsilon_of(mu, delta) <= high
    assert high - low <= (2e-5 if delta > 1e-15 else 1e-4) * high + 1e-5  # what is cut off one round weighs 1e-21


def test_deltas_of_every_epsilon_bracket_the_closed_form():
    composition = Composition({Gaussian(5.0): 20}, 1e-4)
    for epsilon in np.linspace(0, 8, 33):
        low, high = composition.bounds(float(epsilon))
        exact = gdp.delta_of(math.sqrt(20) / 5, float(epsilon))
        assert low <= exact * (1 + 1e-9)
        assert exact * (1 - 1e-9) <= high <= exact * (1 + 1e-4)


@pytest.mark.parametrize("grid", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize(
    "counts", [{SAMPLED: 500}, {Laplace(3.0): 20, SAMPLED: 7}, {Skellam(30, 2, 2, scalar=True): 9}]
)
def test_every_grid_brackets_the_same(counts, grid):
    low, high = bracket(counts, 1e-6, grid)
    finest = bracket(counts, 1e-6, 2e-5 if grid < 1e-3 else 1e-4)
    assert low <= finest[1]
    assert finest[0] <= high
    assert low <= high


# ---------------------------------------------------------------- its parts


def toy(masses, first=-3, step=0.1):
    return Losses(step, first, np.array(masses) / sum(masses), 0.0, 0.0)


@given(st.lists(st.floats(1e-6, 1), min_size=2, max_size=12), st.integers(-9, 3), st.integers(1, 5), st.floats(0, 1))
@settings(max_examples=60)
def test_a_window_holds_the_convolution(masses, first, count, part):
    """Any small distribution, composed directly: epsilon, delta, and the error that is stated."""
    one = toy(masses, first)
    direct = one.masses
    for _ in range(count - 1):
        direct = np.convolve(direct, one.masses)
    at = one.step * (count * first + np.arange(len(direct)))
    epsilon = max(0.0, part * at[-1])
    exact = float(direct[at > epsilon] @ -np.expm1(epsilon - at[at > epsilon]))
    total = Sum([(Spectrum(one), count)])
    window = total.window(epsilon, total.at_most(epsilon))
    low, high = window.bounds(epsilon)
    assert low <= exact * (1 + 1e-12) + 1e-300
    assert exact * (1 - 1e-12) <= high
    assert high - low <= 1e-4 * exact + 5 * window.error(epsilon)
    assert exact <= math.exp(total.at_most(epsilon)) * (1 + 1e-9)
    assume(window.error(epsilon) < 1e-4 * exact)
    found = window.epsilon(exact * 1.001)
    assert found <= max(epsilon, at[0], window.step * window.first) + 1e-3 * window.step
    assert total.enough(exact) >= epsilon * (1 - 1e-9) - 1e-12


def test_both_ends_of_a_window_hold_what_is_promised():
    one = of(SAMPLED, 1e-3)[0]
    total = Sum([(Spectrum(one), 50)])
    full = Sum([(Spectrum(one), 50)])._make(
        len(LADDER) // 2, total.first, spectra._size(total.last - total.first + 1), 0.0
    )
    for epsilon in (0.1, 0.5, 1.0):
        window = total.window(epsilon, math.log(1e-6))
        at = window.step * (full.first + np.arange(len(full.masses)))
        end = window.step * (window.first + len(window.masses) - 1)
        exponents = np.log(full.masses[at > end] + 1e-300) + window.tilt / window.step * at[at > end]
        real = full.masses[at > end] > 1e-9  # below, it is the rounding of a window without a tilt
        assert np.exp(exponents[real] - window.cumulant).sum() <= window.tail


@pytest.mark.parametrize("atom", [SAMPLED, Laplace(2.0), Gaussian(0.5)])
def test_cumulants_are_rounded_up(atom):
    for one in of(atom, 1e-3):
        found = Spectrum(one).cumulants
        index = one.first + np.arange(len(one.masses))
        for rung in range(0, len(LADDER), 5):
            exponents = LADDER[rung] * index + np.log(np.maximum(one.masses, 1e-320))
            exact = exponents.max() + math.log(np.exp(exponents - exponents.max()).sum())
            assert exact - 1e-12 * abs(exact) <= found[rung] <= exact + 1e-8 + 1e-12 * abs(exact)


def test_sizes_are_few_and_near():
    for least in product(range(1, 2000, 7)):
        size = spectra._size(*least)
        assert least[0] <= size <= max(1.25 * least[0], 8)


@given(st.floats(0.01, 10), st.floats(1e-9, 0.5))
def test_the_search_from_above_stops_at_a_bound(scale, delta):
    def below(epsilon):
        return math.exp(-epsilon / scale)

    exact = -scale * math.log(delta)
    found = lowest(below, delta, exact * 1.001)
    assert exact * 0.99 <= found < exact
    assert below(found) > delta
    assert lowest(lambda _: 0.0, delta, 1.0) == 0


# ---------------------------------------------------------------- planted faults


def test_a_noise_bound_of_nothing_would_be_noticed():
    """The stated rounding really is there, within the bound: a window's masses against direct convolution."""
    one = of(RandomizedResponse(0.2, 3), 1e-3)[0]
    total = Sum([(Spectrum(one), 300)])
    window = total.window(100.0, total.at_most(100.0))
    assert 0 < window.noise < 1e-6
    assert abs(window.masses.sum() - 1) <= window.noise + 2 * window.tail + 1e-6


def test_rounding_losses_down_would_fall_below_the_closed_form():
    """The grid's direction matters: one step down per loss is far outside the bracket."""
    one = of(Gaussian(10.0), 1e-3)[0]
    wrong = Losses(one.step, one.first - 1, one.masses, one.infinite, one.slack)
    total = Sum([(Spectrum(wrong), 100)])
    window = total.window(4.0, math.log(1e-6))
    assert window.epsilon(1e-6) < gdp.epsilon_of(1.0, 1e-6) - 0.05


def test_a_forgotten_direction_would_be_noticed():
    """Adding a record is the worse direction for no event here, but for what is sampled they differ by a quarter."""
    removed, added = (Sum([(Spectrum(one), 1000)]) for one in of(SAMPLED, 1e-3))
    found = [s.window(2.0, math.log(1e-6)).epsilon(1e-6) for s in (removed, added)]
    assert found[0] > 1.25 * found[1]
    assert Composition({SAMPLED: 1000}, 1e-3).epsilon(1e-6) == pytest.approx(max(found), rel=1e-5)


def test_mass_beyond_a_window_that_is_not_counted_would_be_noticed():
    """A window that cuts off a part of the mass: with its tail, epsilon is above the truth, and without it, below."""
    one = toy([1.0] * 5, first=-1)
    direct = one.masses
    for _ in range(5):
        direct = np.convolve(direct, one.masses)
    at = one.step * (-6 + np.arange(len(direct)))
    delta = 0.1
    exact = max(e for e in np.linspace(0, 1.5, 3001) if direct[at > e] @ -np.expm1(e - at[at > e]) > delta)
    total = Sum([(Spectrum(one), 6)])
    points = 18
    cut = float(direct[points:].sum())
    assert 0.02 < cut < 0.06
    honest, silent = (total._make(len(LADDER) // 2, -6, points, tail) for tail in (cut, 0.0))
    assert silent.epsilon(delta) < exact <= honest.epsilon(delta)
    assert honest.bounds(exact)[1] >= delta > silent.bounds(exact)[1]


def test_an_infinite_loss_is_added_once_for_every_event():
    one, mass = toy([1.0, 2.0, 1.0], first=-1), 1e-4
    lossy = Losses(one.step, one.first, one.masses * (1 - mass), mass, 0.0)
    total, clean = (Sum([(Spectrum(each), 5)]) for each in (lossy, one))
    infinite = 1 - (1 - mass) ** 5
    assert total.infinite == pytest.approx(infinite, rel=1e-9)
    assert math.isinf(total.enough(infinite * 0.999))
    windows = [each.window(0.2, math.log(0.05)) for each in (total, clean)]
    assert math.isinf(windows[0].epsilon(infinite * 0.999))
    for epsilon in (0.0, 0.15, 0.4):
        lossless = windows[1].bounds(epsilon)[1]
        assert windows[0].bounds(epsilon)[1] == pytest.approx(infinite + (1 - infinite) * lossless, rel=1e-5)
    delta = 0.01
    assert windows[0].epsilon(infinite + (1 - infinite) * delta) == pytest.approx(windows[1].epsilon(delta), rel=1e-5)
