"""Views of outputs: the right direction is found, bits are read exactly, and nothing that is not finite breaks them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.auditing import views
from fedanalytics.errors import BadArgument


def seen(looked, outputs):
    return {view.name: view(outputs) for view in looked}


def pilot(width, count=400, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)), rng.normal(size=(count, width))


@given(st.integers(-(2**40), 2**40).filter(bool), st.integers(-60, 60))
def test_the_lowest_set_bit_is_that_of_the_integer(number, exponent):
    expected = (number & -number).bit_length() - 1 + exponent
    assert views.lowest_set_bit(np.array([number * 2.0**exponent])).tolist() == [expected]


def test_what_has_no_lowest_bit():
    odd = views.lowest_set_bit(np.array([0.0, np.nan, np.inf, -np.inf, 5e-324]))
    assert odd.tolist() == [2048, 2048, 2048, 2048, -1074]


def test_scalars_are_seen_as_they_are():
    ins, outs = pilot(1)
    looked = seen(views.fit(ins, outs), np.array([[3.0], [-1.5]]))
    assert looked["the output"].tolist() == [3.0, -1.5]
    assert looked["the lowest set bit of the output"].tolist() == [0.0, -1.0]
    assert looked["the distance from the middle"] == pytest.approx([3.0, 1.5], abs=0.2)
    assert "the attack's score" not in looked


def test_vectors_are_seen_along_the_difference_of_their_means():
    ins, outs = pilot(5)
    ins[:, 2] += 3
    ins[:, 4] -= 1
    looked = views.fit(ins, outs)
    assert looked[0].name == "coordinate 2"
    axes = seen(looked, np.eye(5))["the projection on the difference of the means"]
    assert axes[2] > 2 * abs(axes[4]) > 0
    assert axes[4] < 0
    assert np.abs(axes[[0, 1, 3]]).max() < abs(axes[4])
    ones = seen(looked, np.ones((2, 5)))
    assert ones["the sum"].tolist() == [5.0, 5.0]
    assert ones["the L2 norm"] == pytest.approx([5**0.5] * 2)


def test_noise_that_coordinates_share_is_seen_through():
    """The difference of the two coordinates carries no noise at all."""
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(200, 1))
    ins, outs = noise * 100 + [1.0, 0.0], noise[::-1] * 100 + [0.0, 0.0]
    along = next(view for view in views.fit(ins, outs) if view.name == "the projection free of shared noise")
    assert along(ins).min() > along(outs).max()


@pytest.mark.parametrize("width", [1, 3, 80])
def test_what_is_not_finite_is_seen_as_infinite(width):
    bad = np.array([np.nan, np.inf, -np.inf, 1e308, 0.0])
    outputs = np.tile(bad[:, None], (1, width))
    for sample in (outputs, np.zeros((4, width)), np.full((6, width), 1e308)):
        looked = seen(views.fit(sample, sample), outputs)
        assert all(not np.isnan(column).any() for column in looked.values())
        assert looked["how much is NaN"].tolist() == [float(width), 0.0, 0.0, 0.0, 0.0]
        assert next(iter(looked.values()))[0] == np.inf


def test_the_callers_attack_is_a_view():
    ins, outs = pilot(3)
    looked = seen(views.fit(ins, outs, lambda outputs: outputs[:, 1] * 2), np.ones((2, 3)))
    assert looked["the attack's score"].tolist() == [2.0, 2.0]
    wrong = views.fit(ins, outs, lambda outputs: outputs)[-1]
    with pytest.raises(BadArgument, match=r"attack= must give one number for each of 4 outputs, got .* \(4, 3\)"):
        wrong(np.ones((4, 3)))
