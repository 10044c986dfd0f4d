"""What is charged covers what is done, whatever the form of the offer."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.privacy import gdp, units
from fedanalytics.privacy.costs import cost
from fedanalytics.privacy.events import DiscreteLaplace, Gaussian

forms = st.one_of(
    st.floats(min_value=1e-9, max_value=1e3).map(lambda r: {"rho": r}),
    st.floats(min_value=1e-4, max_value=20).map(lambda e: {"epsilon": e}),
    st.tuples(st.floats(1e-2, 20), st.floats(1e-10, 1e-2)).map(lambda p: {"epsilon": p[0], "delta": p[1]}),
    st.floats(min_value=1e-2, max_value=1e4).map(lambda m: {"noise_multiplier": m}),
)


def amount(one):
    """What the units count."""
    return one.event.epsilon if one.pure else one.event.rho


@given(forms, st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_charged_covers_done_whole_and_in_parts(form, weights):
    whole = cost(**form)
    assert amount(whole) <= Fraction(whole.units, units.PER_RHO)
    if whole.units < 1000:
        return  # parts of next to nothing fall below one unit
    parts = [whole.part(Fraction(w, sum(weights))) for w in weights]
    assert sum(p.units for p in parts) <= whole.units
    assert all(amount(p) <= Fraction(p.units, units.PER_RHO) for p in parts)
    assert all(p.event.noise_multiplier >= whole.event.noise_multiplier for p in parts)
    if isinstance(whole.event, DiscreteLaplace):
        assert sum(p.event.epsilon for p in parts) <= whole.event.epsilon * (1 + Fraction(1, 10**9))
        assert all(p.event.epsilon <= Fraction(form["epsilon"]) for p in parts)


@given(st.floats(min_value=1e-6, max_value=100))
def test_noise_is_what_the_units_buy_and_no_more(rho):
    assert cost(rho=rho).event.noise_multiplier == pytest.approx(1 / math.sqrt(2 * rho), rel=1e-6)


def test_each_form_means_what_it_says():
    assert cost(epsilon=1.0).event == DiscreteLaplace(cost(epsilon=1.0).event.noise_multiplier)
    assert float(cost(epsilon=1.0).event.epsilon) == pytest.approx(1.0, abs=1e-11)
    assert cost(epsilon=1.0).event.epsilon <= 1
    assert cost(noise_multiplier=1.7).event == Gaussian(1.7)
    both = cost(epsilon=1.0, delta=1e-6)
    assert gdp.delta_of(1 / both.event.noise_multiplier, 1.0) <= 1e-6
    assert 1 < both.event.noise_multiplier * gdp.mu_of(1.0, 1e-6) < 1 + 2e-9
    assert cost(rho=0.5).part(Fraction(1)) == cost(rho=0.5)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({}, "found none"),
        ({"rho": 1, "epsilon": 1}, "found rho=1, epsilon=1"),
        ({"rho": 1, "delta": 0.1}, "exactly one form"),
        ({"delta": 0.1}, "exactly one form"),
        ({"noise_multiplier": 1, "rho": 1}, "exactly one form"),
        ({"rho": 0}, "rho= must be a positive"),
        ({"rho": -1}, "rho= must be a positive"),
        ({"rho": math.nan}, "rho= must be a positive"),
        ({"rho": math.inf}, "rho= must be a positive"),
        ({"rho": "1"}, "rho= must be a positive"),
        ({"rho": [1]}, "rho= must be a positive"),
        ({"rho": True}, "rho= must be a positive"),
        ({"epsilon": 0}, "epsilon= must be a positive"),
        ({"epsilon": 1, "delta": 2}, "delta= must lie"),
        ({"noise_multiplier": 0}, "noise_multiplier= must be"),
        ({"rho": 1e-13}, "below the ledger's unit"),
        ({"epsilon": 1e-13}, "below the ledger's unit"),
    ],
)
def test_bad_offers(form, message):
    with pytest.raises(BadArgument, match=message):
        cost(**form)
