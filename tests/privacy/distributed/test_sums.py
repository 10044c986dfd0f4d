"""Planned sums: the cost is met, the sum comes back, and what cannot be meant is refused or null."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import ive

from fedanalytics.errors import BadArgument
from fedanalytics.privacy import Accountant, Relation, Skellam, gdp, renyi
from fedanalytics.privacy.distributed import Offer, Offers, Quorum, Ring, Shares, integer_sum, vector_sum
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.sensitivity import Sensitivity, counting

ONE = counting(1, 1, Relation.ZERO_OUT)
ALL = Quorum(1000, floor=1000)


def loss(variance, shift, epsilon):
    """The delta of Skellam noise under a shift, by its definition."""
    z = np.arange(-int(60 + 40 * math.sqrt(variance)), int(61 + 40 * math.sqrt(variance)))
    p, q = ive(np.abs(z - shift), variance), ive(np.abs(z), variance)
    return float(np.maximum(p - math.exp(epsilon) * q, 0).sum())


def bound(variance, l1, l2, order):
    """Agarwal, Kairouz, Liu 2021, Theorem 3.1 with Corollary 3.1, written once more."""
    more = min(((2 * order - 1) * l2**2 + 6 * l1) / (4 * variance**2), 3 * l1 / (2 * variance))
    return order * l2**2 / (2 * variance) + more


# ---------------------------------------------------------------- quorum and shares


def test_a_quorum_reserves_for_dropouts_and_the_corrupt():
    assert Quorum.reserving(1000, dropout=0.1, corrupt=0.05) == Quorum(1000, 900, 50)
    assert Quorum.reserving(7, dropout=0.1, corrupt=0.1).honest == 5
    assert Quorum.reserving(1, 0.0).honest == 1
    assert all(Quorum.reserving(n, dropout=0.3).floor <= 0.7 * n + 1e-6 for n in range(1, 200) if n > 2)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((10, 11), "floor=11 must be at most"),
        ((10, 5, 5), "floor=5 must be at most"),
        ((0, 1), r"^clients="),
        ((10, 0), r"^floor="),
        ((10, 5.0), r"^floor="),
        ((10, 5, -1), r"^corrupt="),
        ((True, 1), r"^clients="),
    ],
)
def test_a_bad_quorum(arguments, match):
    with pytest.raises(BadArgument, match=match):
        Quorum(*arguments)


@pytest.mark.parametrize("share", [1.0, -0.1, float("nan"), None, True])
def test_a_bad_reserve(share):
    with pytest.raises(BadArgument, match=r"^dropout="):
        Quorum.reserving(100, dropout=share)


@given(st.floats(2.0**-19, 2.0**60), st.integers(1, 5000), st.integers(0, 2000))
def test_the_honest_shares_cover_the_event_exactly(variance, floor, corrupt):
    if corrupt >= floor:
        return
    shares = Shares.of(Skellam(variance, 1, 1, "zero-out"), Quorum(5000, floor, corrupt))
    honest = Fraction(shares.share) * (floor - corrupt)
    assert honest >= Fraction(variance)
    assert shares.share == 2.0**-20 or honest <= Fraction(variance) * (1 + Fraction(2) ** -50)
    assert shares.local == Skellam(shares.share, 1, 1, "zero-out")


def test_more_survivors_are_no_refund():
    shares = Shares.of(Skellam(100.0, 1, 1, "zero-out"), Quorum(100, 80, 5))
    assert shares.variance(100) > shares.variance(80) > 100
    assert shares.event.variance == 100.0
    for survivors in (79, 101, 0, 80.0):
        with pytest.raises(BadArgument, match=r"^survivors="):
            shares.variance(survivors)


def test_shares_that_fall_short_are_refused():
    event, quorum = Skellam(100.0, 1, 1, "zero-out"), Quorum(10, 8, 2)
    with pytest.raises(BadArgument, match="falls short"):
        Shares(event, quorum, 10.0)
    with pytest.raises(BadArgument, match="zero-out"):
        Shares.of(replace(event, relation=Relation.ADD_OR_REMOVE_ONE), quorum)
    with pytest.raises(BadArgument, match="2\\^72"):
        Shares.of(Skellam(2.0**75, 1, 1, "zero-out"), quorum)


def test_a_lone_contribution_is_no_nth_of_the_whole():
    """At V = 400, n = 100, order 4: 2.625 at the variance of a share; n times the central figure would be 2.006."""
    shares = Shares.of(Skellam(400.0, 2, 2, "zero-out"), Quorum(100, 100))
    assert shares.share == 4.0
    assert renyi.divergence(shares.local, 4) == pytest.approx(2.625)
    assert 100 * renyi.divergence(shares.event, 4) == pytest.approx(2.00625)


# ---------------------------------------------------------------- the least noise for a cost


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("l1", [1, 5])
def test_scalars_pay_exactly(epsilon, l1):
    """By the definition of delta: what is charged is met, and 0.2 % less variance would exceed it."""
    event = Offer(epsilon=epsilon, delta=1e-6).event(counting(l1, l1**2, Relation.ZERO_OUT), scalar=True)
    assert loss(event.variance, l1, epsilon) <= 1e-6
    assert loss(event.variance * 0.998, l1, epsilon) > 1e-6
    assert Accountant().compose(event).epsilon(1e-6) <= epsilon


@pytest.mark.parametrize(("epsilon", "delta"), [(0.5, 1e-6), (1.0, 1e-9), (8.0, 1e-6)])
@pytest.mark.parametrize(("l1", "squared"), [(10, 4), (4000, 10**6), (40, 16)])
def test_vectors_pay_by_their_divergence(epsilon, delta, l1, squared):
    event = Offer(epsilon=epsilon, delta=delta).event(Sensitivity(l1, squared, Relation.ZERO_OUT))
    assert (event.l1, event.l2) == (l1, math.sqrt(squared))
    order = renyi.best_order(epsilon, delta)
    assert renyi.epsilon_of(renyi.divergence(event, order), order, delta) <= epsilon * (1 + 1e-9)
    assert Accountant().compose(event).epsilon(delta) <= epsilon * 1.005  # if it looks at fewer orders
    cap = epsilon - math.log1p(-1 / order) + math.log(delta * order) / (order - 1)
    assert bound(event.variance, event.l1, event.l2, order) <= cap
    assert bound(event.variance * (1 - 2e-6), event.l1, event.l2, order) > cap


@pytest.mark.parametrize("rho", [1e-4, 0.02, 3.0])
@pytest.mark.parametrize(("l1", "squared"), [(1, 1), (100, 10**4), (3, 3), (4000, 10**6), (30, 900)])
def test_rho_holds_at_every_order(rho, l1, squared):
    event = Offer(rho=rho).event(Sensitivity(l1, squared, Relation.ZERO_OUT))
    orders = [*range(2, 2000), 10**4, 10**6, 10**9]
    dearest = max(bound(event.variance, event.l1, event.l2, order) / order for order in orders)
    assert dearest <= rho
    assert all(renyi.divergence(event, order) <= rho * order * (1 + 1e-9) for order in (2, 3, 10, 1000))
    assert event.variance >= squared / (2 * rho)  # never less than Gaussian noise


@pytest.mark.parametrize(
    "cost",
    [
        *({}, {"rho": 1.0, "epsilon": 1.0}, {"epsilon": 1.0}, {"delta": 1e-6}, {"rho": 1.0, "delta": 1e-6}),
        *({"rho": 0}, {"rho": float("nan")}, {"epsilon": -1.0, "delta": 1e-6}, {"epsilon": 1.0, "delta": 1.0}),
        *({"rho": True}, {"epsilon": 1.0, "delta": 0}),
    ],
)
def test_a_bad_cost(cost):
    with pytest.raises(BadArgument, match=r"cost|rho=|epsilon=|delta="):
        vector_sum(10, clip=1.0, quorum=ALL, **cost)


# ---------------------------------------------------------------- goals


def test_vectors_within_eight_per_cent_of_central_noise():
    """n = 1000, d = 1024, 20 bits, no reserve, (1, 1e-6): against the analytic Gaussian mechanism."""
    plan = vector_sum(1024, clip=1.0, quorum=ALL, epsilon=1.0, delta=1e-6, bits=20)
    assert plan.central == pytest.approx(1 / gdp.mu_of(1.0, 1e-6))
    assert plan.standard_error(1000) <= 1.08 * plan.central
    assert plan.overflow < 1e-4
    assert plan.ring.bits == 20


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0, 2.0])
def test_counts_and_histograms_within_two_per_cent_of_central_noise(epsilon):
    for size in (1, 50):
        plan = integer_sum(ONE, size=size, quorum=ALL, epsilon=epsilon, delta=1e-6)
        assert plan.standard_error(1000) <= 1.02 / gdp.mu_of(epsilon, 1e-6)


def test_one_coordinate_of_many_steps_is_accounted_for_exactly_too():
    """A sum of numbers on a grid of 1,024 steps; two coordinates pay by the Renyi bound."""
    one = integer_sum(counting(1024, 1024**2, Relation.ZERO_OUT), size=1, quorum=ALL, epsilon=1.0, delta=1e-6)
    two = integer_sum(counting(1024, 1024**2, Relation.ZERO_OUT), size=2, quorum=ALL, epsilon=1.0, delta=1e-6)
    assert one.event.scalar
    assert one.standard_error(1000) <= 1.001 * one.central
    assert not two.event.scalar
    assert 1.06 < two.standard_error(1000) / two.central < 1.08
    assert not integer_sum(Sensitivity(5, 13, Relation.ZERO_OUT), size=1, quorum=ALL, rho=0.1).event.scalar


def test_the_ring_is_the_narrowest_that_does():
    limit = vector_sum(1000, clip=1.0, quorum=ALL, rho=0.02, bits=40).standard_error(1000)
    plan = vector_sum(1000, clip=1.0, quorum=ALL, rho=0.02, excess=0.05)
    narrower = vector_sum(1000, clip=1.0, quorum=ALL, rho=0.02, bits=plan.ring.bits - 1)
    assert plan.standard_error(1000) <= 1.05 * limit < narrower.standard_error(1000)


def test_a_reserve_costs_what_it_must():
    """Of 10 %: sqrt(1 / 0.9), 5.4 % more error if all survive, and none of it is given back."""
    with_reserve = vector_sum(1024, clip=1.0, quorum=Quorum(1000, 900), rho=0.02, bits=24)
    without = vector_sum(1024, clip=1.0, quorum=ALL, rho=0.02, bits=24)
    ratio = with_reserve.standard_error(1000) / without.standard_error(1000)
    assert ratio == pytest.approx(math.sqrt(1 / 0.9), rel=1e-3)
    assert with_reserve.standard_error(900) == pytest.approx(without.standard_error(1000), rel=1e-3)


@pytest.mark.parametrize("bits", [8, 12])
def test_too_few_bits_say_how_many_are_needed(bits):
    with pytest.raises(BadArgument, match=r"bits=\d+ (hold no useful grid|do not hold).* at least 1\d"):
        vector_sum(1024, clip=1.0, quorum=Quorum(5000, 5000), rho=0.02, bits=bits)
    with pytest.raises(BadArgument, match=r"bits=\d+ do not hold .* at least 14 are needed"):
        integer_sum(ONE, size=3, quorum=Quorum(5000, 5000), rho=0.02, bits=bits)


@pytest.mark.parametrize("cost", [{"rho": 1e4}, {"rho": 1e-9}, {"epsilon": 50.0, "delta": 1e-3}])
@pytest.mark.parametrize("size", [1, 5, 3000])
def test_extreme_costs_have_plans(cost, size):
    plan = vector_sum(size, clip=1e-3, quorum=Quorum(50, 40), **cost)
    assert 0 < plan.standard_error(50) < math.inf


# ---------------------------------------------------------------- sums


@given(hnp.arrays(np.int64, (20, 7), elements=st.integers(0, 1)))
def test_integer_sums_come_back_exactly_but_for_the_noise(rows):
    rows = rows * (rows.cumsum(axis=1) == 1)  # one-hot
    plan = integer_sum(ONE, size=7, quorum=Quorum(20, 20), rho=0.5)
    sent = plan.ring.sum(plan.ring.wrap(plan.encode(rows, b"s")))
    assert np.array_equal(plan.decode(sent, b"s"), rows.sum(axis=0))
    stream, again = Keystream.insecure(1), Keystream.insecure(1)
    noise = plan.shares.draw(20, 7, again).sum(axis=0)
    total = plan.ring.sum(plan.contributions(rows, b"s", stream))
    assert np.array_equal(plan.decode(total, b"s"), rows.sum(axis=0) + noise)


def test_a_row_beyond_the_sensitivity_is_null():
    plan = integer_sum(Sensitivity(5, 13, Relation.ZERO_OUT), size=3, quorum=Quorum(9, 9), rho=0.5, most=3)
    lowest = np.iinfo(np.int64).min
    rows = np.array([[3, 2, 0], [3, 2, 1], [2, 2, 2], [4, 0, 0], [-3, 0, 2], [lowest, 0, 0], [2**32, 0, 0]])
    kept = plan.encode(rows, b"s")
    assert kept.tolist() == [[3, 2, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [-3, 0, 2], [0, 0, 0], [0, 0, 0]]
    assert (np.square(kept).sum(axis=1) <= 13).all()
    wide = np.array([[2**64 - 1, 0, 0], [2, 3, 0]], dtype=np.uint64)  # as int64 the first would be -1
    assert plan.encode(wide, b"s").tolist() == [[0, 0, 0], [2, 3, 0]]


def test_vector_sums_come_back():
    """24 bits: rounding of 1,000 clients on a fine grid is all that is left without noise."""
    plan = vector_sum(100, clip=2.0, quorum=ALL, rho=0.02, bits=24)
    rows = np.random.default_rng(1).normal(size=(1000, 100)) / 6
    sent = plan.ring.sum(plan.ring.wrap(plan.encode(rows, b"s", Keystream.insecure(1))))
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    expected = (rows * np.minimum(1, 2.0 / lengths)).sum(axis=0)
    assert plan.length == 128
    assert np.abs(plan.decode(sent, b"s") - expected).max() < 6 * plan.step * math.sqrt(1000 / 4)
    assert not np.allclose(plan.decode(sent, b"t"), expected, atol=0.1)


def test_nan_and_infinity_contribute_nothing_and_raise_nothing():
    plan = vector_sum(4, clip=1.0, quorum=Quorum(5, 3), rho=0.5)
    rows = np.array([[np.nan, 0, 0, 0], [np.inf, 1, 1, 1], [1e308, 1e308, 0, 0], [0, 0, 0, 0], [-np.inf, np.nan, 0, 0]])
    assert plan.encode(rows, b"s").any(axis=1).tolist() == [False, False, True, False, False]
    assert plan.contributions(rows, b"s").shape == (5, 4)


@pytest.mark.parametrize(
    "rows",
    [np.zeros((2, 5)), np.zeros(4), [[0.0] * 4], np.zeros((2, 4), dtype=complex), np.array([["a"] * 4]), None],
)
def test_bad_rows(rows):
    plan = vector_sum(4, clip=1.0, quorum=Quorum(5, 3), rho=0.5)
    counts = integer_sum(ONE, size=4, quorum=Quorum(5, 3), rho=0.5)
    for each in (plan, counts):
        with pytest.raises(BadArgument, match=r"^rows= must be"):
            each.encode(rows, b"s")
    with pytest.raises(BadArgument, match=r"^rows= must be integers"):
        counts.encode(np.zeros((2, 4)), b"s")


@pytest.mark.parametrize("total", [np.zeros(5, np.uint32), np.zeros((1, 4), np.uint32), np.zeros(4), None])
def test_bad_totals(total):
    plan = vector_sum(4, clip=1.0, quorum=Quorum(5, 3), rho=0.5)
    with pytest.raises(BadArgument, match=r"^(total|residues)= must be"):
        plan.decode(total, b"s")


def test_below_the_floor_nothing_is_summed():
    plan = vector_sum(4, clip=1.0, quorum=Quorum(5, 3), rho=0.5)
    assert plan.total(np.zeros((3, 4)), b"s").shape == (4,)
    for clients in (2, 6):
        with pytest.raises(BadArgument, match=r"^survivors="):
            plan.total(np.zeros((clients, 4)), b"s")


def test_a_plan_that_its_event_does_not_cover_is_refused():
    plan = vector_sum(4, clip=1.0, quorum=Quorum(5, 3), rho=0.5)
    with pytest.raises(BadArgument, match="does not cover"):
        replace(plan, steps=plan.steps * 2)
    for steps in (0.5, 2.0**31, float("nan"), True):
        with pytest.raises(BadArgument, match=r"^steps= must be"):
            replace(plan, steps=steps)
    counts = integer_sum(ONE, size=4, quorum=Quorum(5, 3), rho=0.5)
    with pytest.raises(BadArgument, match="does not cover"):
        replace(counts, bound=Sensitivity(2, 4, Relation.ZERO_OUT))
    alone = integer_sum(Sensitivity(2, 4, Relation.ZERO_OUT), size=1, quorum=Quorum(5, 3), rho=0.5)
    assert alone.event.scalar
    with pytest.raises(BadArgument, match="does not cover"):
        replace(alone, size=2)


def test_plans_are_values():
    assert vector_sum(4, clip=1.0, quorum=ALL, rho=0.5) == vector_sum(4, clip=1.0, quorum=ALL, rho=0.5)
    assert len({vector_sum(4, clip=1.0, quorum=ALL, rho=0.5, bits=b) for b in (24, 24, 25)}) == 2
    plan = integer_sum(ONE, size=2, quorum=ALL, epsilon=1.0, delta=1e-6)
    assert plan.event == Skellam(plan.event.variance, 1, 1, "zero-out", scalar=True)
    assert plan.ring == Ring(12)


@pytest.mark.parametrize(
    "sensitivity", [replace(ONE, relation=Relation.REPLACE_ONE), counting(2**31, 2**62, Relation.ZERO_OUT)]
)
def test_a_bad_sensitivity(sensitivity):
    with pytest.raises(BadArgument, match=r"^sensitivity= must be"):
        integer_sum(sensitivity, size=1, quorum=ALL, rho=0.5)


@pytest.mark.parametrize("order", [2, 7, 22])
@pytest.mark.parametrize(("l1", "squared"), [(1, 1), (100, 10**4), (4000, 10**6)])
def test_rho_at_one_order_is_what_its_filter_charges(l1, squared, order):
    sensitivity = Sensitivity(l1, squared, Relation.ZERO_OUT)
    event = Offer(rho=0.02, order=order).event(sensitivity)
    assert 0.02 * (1 - 2e-6) < renyi.divergence(event, order) / order <= 0.02
    assert event.variance <= Offer(rho=0.02).event(sensitivity).variance


def test_several_offers_are_all_held():
    sensitivity = counting(1, 1, Relation.ZERO_OUT)
    offers = (Offer(rho=0.02, order=3), Offer(epsilon=1.0, delta=1e-6))
    both = Offers(offers)
    assert both.event(sensitivity).variance == max(offer.event(sensitivity).variance for offer in offers)
    assert both.central_variance == max(offer.central_variance for offer in offers)
    with pytest.raises(BadArgument, match="order= must be a whole number"):
        Offer(rho=0.1, order=1)
