"""Privacy and bias of every local mechanism, by its exact law: all values, null among them, all reports."""

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.privacy.events import RandomizedResponse
from fedanalytics.privacy.local import (
    NULL,
    FrequencyMechanism,
    HadamardResponse,
    KaryResponse,
    LocalPure,
    PiecewiseResponse,
    SubsetResponse,
    UnaryResponse,
    for_bins,
    for_count,
    for_numbers,
)
from fedanalytics.privacy.relations import Relation

RELATIONS = (Relation.REPLACE_ONE, Relation.ZERO_OUT)
BY_BINS = [
    KaryResponse(1, 0.3),
    KaryResponse(4, 0.6),
    UnaryResponse(1, 0.5, 0.2),
    UnaryResponse(3, 0.5, 0.2),
    UnaryResponse(3, 0.25, 0.3),
    SubsetResponse(3, 1, 0.3),
    SubsetResponse(4, 2, 0.25),
    SubsetResponse(3, 3, 0.1),
    HadamardResponse(2, 0.4),
    HadamardResponse(5, 0.7),
]
OF_NUMBERS = [
    PiecewiseResponse(m, w, noise, null)
    for (m, w, noise), null in itertools.product(
        [(2, 1, 0.4), (3, 1, 0.2), (6, 2, 0.3), (5, 4, 0.9)], ["zero", "uniform", "counted"]
    )
]
ALL = [*BY_BINS, *OF_NUMBERS]
NUMBERS = (-1.0, -0.75, -1 / 3, 0.0, 2.0**-40, 0.5, 1.0)


def values(mechanism):
    """All that a client can hold, null last."""
    if isinstance(mechanism, FrequencyMechanism):
        return [*range(mechanism.bins), NULL]
    return [*NUMBERS, math.nan]


def pairs(laws, relation):
    """Neighbours, in both orders; null is the last."""
    if relation is Relation.REPLACE_ONE:
        return itertools.permutations(laws, 2)
    return [pair for other in laws[:-1] for pair in ((other, laws[-1]), (laws[-1], other))]


def greatest_odds(laws, relation):
    reports = set().union(*laws)
    return max(
        (one.get(r, 0) / two[r] if r in two else math.inf)
        for one, two in pairs(laws, relation)
        for r in reports
        if r in one
    )


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("mechanism", ALL, ids=repr)
def test_the_odds_are_the_greatest_ratio_of_any_two_neighbours_exactly(law, mechanism, relation):
    laws = [law(mechanism, value) for value in values(mechanism)]
    assert all(sum(one.values()) == 1 for one in laws)
    assert greatest_odds(laws, relation) == mechanism.odds(relation)


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("mechanism", ALL, ids=repr)
def test_epsilon_is_the_logarithm_of_the_odds_rounded_up(mechanism, relation):
    odds = mechanism.odds(relation)
    with mpmath.workdps(50):
        exact = mpmath.log(mpmath.mpf(odds.numerator) / odds.denominator)
        for stated in (mechanism.epsilon(relation), float(mechanism.event(relation).epsilon)):
            assert exact <= stated <= exact * (1 + 2.0**-48)
    assert mechanism.event(relation).relations == {relation}


# ---------------------------------------------------------------- estimates


@pytest.mark.parametrize("mechanism", BY_BINS, ids=repr)
def test_supports_have_the_stated_probabilities_so_counts_are_unbiased(law, mechanism):
    for value in values(mechanism):
        for bin_ in range(mechanism.bins):
            supported = sum(p for r, p in law(mechanism, value).items() if mechanism.estimate(r, 1).supports[bin_])
            assert supported == (mechanism.true if value == bin_ else mechanism.false)


@pytest.mark.parametrize("mechanism", BY_BINS, ids=repr)
def test_counts_are_unbiased_with_the_stated_variance(law, mechanism):
    """Of one report; those of several add."""
    p, q = mechanism.true, mechanism.false
    variances = []
    for value in values(mechanism):
        found = [(float(w), mechanism.estimate(r, 1).value) for r, w in law(mechanism, value).items()]
        mean = sum(w * v for w, v in found)
        assert mean == pytest.approx([float(value == b) for b in range(mechanism.bins)], abs=1e-12)
        variances.append(sum(w * (v - mean) ** 2 for w, v in found))
        formula = [p * (1 - p) if value == b else q * (1 - q) for b in range(mechanism.bins)]
        assert variances[-1] == pytest.approx([float(f / (p - q) ** 2) for f in formula], rel=1e-9)
    assert np.mean(variances[:-1]) == pytest.approx(mechanism.variance, rel=1e-9)


@pytest.mark.parametrize("mechanism", OF_NUMBERS, ids=repr)
@pytest.mark.parametrize("value", [*NUMBERS, math.nan, math.inf, -math.inf, 7.0, -7.0])
def test_numbers_are_unbiased_and_null_is_zero(law, mechanism, value):
    mean = sum(p * Fraction(r[0]) for r, p in law(mechanism, value).items()) / mechanism.gain
    meant = min(max(value, -1.0), 1.0) if math.isfinite(value) else 0.0
    assert mean == Fraction(round(meant * 2**40), 2**40)


@pytest.mark.parametrize("mechanism", OF_NUMBERS, ids=repr)
def test_reports_of_numbers_carry_their_square_and_whether_they_count(law, mechanism):
    for value in values(mechanism):
        outcomes = law(mechanism, value)
        assert all(r[1] == r[0] ** 2 for r in outcomes)
        if mechanism.counted:
            count = mechanism.mean(next(iter(outcomes)), 1).count
            assert sum(p for r, p in outcomes.items() if r[2]) == (count.true, count.false)[math.isnan(value)]
            assert all(r[2] or not r[0] for r in outcomes)


@pytest.mark.parametrize("mechanism", OF_NUMBERS, ids=repr)
def test_the_worst_variance_is_an_upper_bound_and_is_reached(law, mechanism):
    found = []
    for value in [*np.linspace(-1, 1, 97), math.nan]:
        outcomes = law(mechanism, value)
        mean = sum(p * r[0] for r, p in outcomes.items())
        found.append(float(sum(p * r[1] for r, p in outcomes.items()) - mean**2) / float(mechanism.gain) ** 2)
    assert mechanism.variance * 0.999 <= max(found[:-1]) <= mechanism.variance * (1 + 1e-12)
    assert mechanism.worst * 0.999 <= max(found) <= mechanism.worst * (1 + 1e-12)


# ---------------------------------------------------------------- the choice


@given(st.floats(2.0**-20, 64), st.integers(2, 300), st.sampled_from(RELATIONS), st.booleans())
def test_a_choice_for_bins_costs_what_was_asked_for_and_no_more(epsilon, bins, relation, short):
    mechanism = for_bins(epsilon, bins, relation=relation, short=short)
    assert epsilon * (1 - 1e-7) - 1e-12 <= mechanism.epsilon(relation) <= epsilon
    assert mechanism.event(relation).epsilon <= Fraction(epsilon)


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("epsilon", [2.0**-20, 0.01, 0.5, 1.0, 2.0, 4.0, 10.0, 30.0, 64.0])
def test_a_choice_for_numbers_and_counts_costs_what_was_asked_for_and_no_more(epsilon, relation):
    for mechanism in (for_count(epsilon), *(for_numbers(epsilon, counted=c, relation=relation) for c in (False, True))):
        assert epsilon * (1 - 1e-7) - 1e-12 <= mechanism.epsilon(relation) <= epsilon
        assert mechanism.event(relation).epsilon <= Fraction(epsilon)


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0])
@pytest.mark.parametrize("bins", [2, 3, 4, 8, 16, 64, 256])
def test_the_choice_is_no_worse_than_the_textbook(epsilon, bins):
    """Variances of rare bins: k-ary response over bins and null, and optimised unary encoding; 1e-9 for roundings."""
    e = math.exp(epsilon)
    best = for_bins(epsilon, bins)

    def mean_variance(p, q):
        return (p * (1 - p) + (bins - 1) * q * (1 - q)) / (bins * (p - q) ** 2)

    others = mean_variance(e / (e + bins), 1 / (e + bins)), mean_variance(0.5, 1 / (1 + e))
    assert best.variance <= min(others) * (1 + 1e-9)
    assert for_bins(epsilon, bins, short=True).variance >= best.variance


def test_every_size_of_a_subset_was_considered():
    for epsilon, bins in itertools.product([0.2, 1.0, 2.5], [3, 10, 40]):
        e, columns = math.exp(epsilon), bins + 1
        every = [SubsetResponse(bins, w, (columns - w) / (columns - w + w * e)) for w in range(1, bins)]
        assert for_bins(epsilon, bins).variance <= min(m.variance for m in every) * (1 + 1e-9)


def test_the_mechanisms_have_the_regimes_that_theory_gives_them():
    assert isinstance(for_bins(3.0, 4), KaryResponse)
    assert isinstance(for_bins(0.5, 64), SubsetResponse)
    assert isinstance(for_bins(0.5, 64, relation=Relation.ZERO_OUT), UnaryResponse)
    assert isinstance(for_bins(0.5, 64, short=True), HadamardResponse)
    assert isinstance(for_bins(5.0, 64, short=True), KaryResponse)
    assert (for_numbers(0.5).points, for_numbers(4.0).points > 2) == (2, True)
    assert for_count(1.0).noise == pytest.approx(2 / (1 + math.e))


@pytest.mark.parametrize("epsilon", [0.1, 0.6, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0])
def test_numbers_beat_the_published_mechanisms(epsilon):
    """Worst-case variances of Duchi et al. 2018, and of the piecewise and hybrid mechanisms of Wang et al. 2019."""
    e, h = math.exp(epsilon), math.exp(epsilon / 2)
    duchi = ((e + 1) / (e - 1)) ** 2
    piecewise = 4 * h / (3 * (h - 1) ** 2)
    hybrid = (h + 3) / (3 * h * (h - 1)) + (e + 1) ** 2 / (h * (e - 1) ** 2) if epsilon > 0.61 else duchi
    ours = for_numbers(epsilon).variance
    assert ours <= min(duchi, piecewise) * (1 + 1e-9)
    assert ours <= hybrid * (1.1 if epsilon < 2 else 1.0) * (1 + 1e-9)


def test_zero_out_sends_twice_the_signal():
    """At a small epsilon a quarter of the variance, for two values that are told apart by twice the epsilon."""
    for make in (lambda r: for_numbers(0.01, relation=r), lambda r: for_bins(0.01, 64, relation=r)):
        within, against_null = make(Relation.REPLACE_ONE), make(Relation.ZERO_OUT)
        assert against_null.variance / within.variance == pytest.approx(0.25, rel=0.1)
        assert against_null.epsilon(Relation.REPLACE_ONE) == pytest.approx(0.02, rel=0.02)


# ---------------------------------------------------------------- events


@pytest.mark.parametrize("relation", RELATIONS)
def test_randomised_response_is_named_where_it_is_one(relation):
    two = PiecewiseResponse(2, 1, 0.5).event(relation), HadamardResponse(9, 0.5).event(relation)
    assert two == (RandomizedResponse(0.5, 2, relation),) * 2
    named = isinstance(KaryResponse(4, 0.5).event(relation), RandomizedResponse)
    assert named == (relation is Relation.REPLACE_ONE)  # where null is uniform, which it is not
    assert isinstance(UnaryResponse(3, 0.5, 0.1).event(relation), LocalPure)


@given(st.floats(1e-9, 64), st.fractions(0, 1).filter(bool))
def test_parts_of_a_local_event_cost_no_more_than_their_share(loss, share):
    event = LocalPure(loss, Relation.ZERO_OUT)
    part = event.part(share)
    assert event.epsilon * share * (1 - Fraction(1, 2**50)) <= part.epsilon <= event.epsilon * share
    assert part.relation is Relation.ZERO_OUT
    assert event.rho == event.epsilon**2 / 2


# ---------------------------------------------------------------- planted faults are seen


class TruthfulNull(KaryResponse):
    """The null value always says so."""

    def answers(self, held, stream):
        return np.where(held == NULL, self.bins, super().answers(held, stream))


class OffByOnePerCent(KaryResponse):
    """Its coin is not the one that it states."""

    def _reports(self, held, stream):
        return KaryResponse(self.bins, self.noise * 0.99)._reports(held, stream)


class Biased(UnaryResponse):
    """Its estimator believes in another coin."""

    @property
    def false(self):
        return super().false * Fraction(99, 100)


def test_a_null_value_that_is_always_truthful_is_seen(law):
    mechanism = TruthfulNull(3, 0.5)
    laws = [law(mechanism, value) for value in values(mechanism)]
    assert all(greatest_odds(laws, relation) > mechanism.odds(relation) for relation in RELATIONS)


def test_a_coin_off_by_one_per_cent_is_seen(law):
    mechanism = OffByOnePerCent(3, 0.5)
    assert (
        greatest_odds([law(mechanism, value) for value in values(mechanism)], Relation.REPLACE_ONE) > mechanism.odds()
    )


def test_a_biased_estimator_is_seen(law):
    mechanism = Biased(3, 0.5, 0.2)
    mean = sum(float(p) * mechanism.estimate(r, 1).value[0] for r, p in law(mechanism, NULL).items())
    assert abs(mean) > 1e-3
