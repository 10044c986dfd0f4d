"""Money: what is asked is never exceeded, and k costs of cap / k always fit."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.privacy import units


@pytest.mark.parametrize(
    ("rho", "expected"),
    [(0.3, 300_000_000_000), (0.1, 100_000_000_000), (1, 10**12), (Fraction(1, 3), 333_333_333_333), (1e-12, 1)],
)
def test_a_cost_typed_in_decimals_means_these_decimals(rho, expected):
    assert units.floored(rho) == expected


@given(st.fractions(min_value=Fraction(1, 10**9), max_value=10**4))
def test_a_cost_is_floored(rho):
    assert rho * units.PER_RHO - 1 < units.floored(rho) <= rho * units.PER_RHO * (1 + Fraction(1, 2**53))


@given(st.floats(min_value=1e-6, max_value=1e3), st.integers(min_value=1, max_value=5000))
def test_k_costs_of_a_kth_of_the_cap_always_fit(cap, k):
    assert k * units.floored(cap / k) <= units.cap(cap)


@given(st.fractions(min_value=Fraction(1, 1000), max_value=100), st.integers(min_value=1, max_value=5000))
def test_exact_fractions_of_the_cap_fit_too(cap, k):
    assert k * units.floored(cap / k) <= units.cap(cap)


@pytest.mark.parametrize("call", [units.floored, units.cap])
def test_less_than_a_unit_is_refused(call):
    with pytest.raises(BadArgument, match="below the ledger's unit"):
        call(1e-13)


@given(st.fractions(min_value=Fraction(1, 10**13), max_value=100))
def test_the_ceiling_pays(rho):
    assert rho <= Fraction(units.ceiled(rho), units.PER_RHO) < rho + Fraction(1, units.PER_RHO)
    assert units.rho(units.PER_RHO // 4) == 0.25
