"""Parameters: the degrees of the literature's rule, exact tails, and a client's own judgement."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

import fedanalytics as fa
from fedanalytics.secure_aggregation import Parameters, Policy, choose
from fedanalytics.secure_aggregation.outcomes import Reason, Stop
from fedanalytics.secure_aggregation.tails import most, rare


@pytest.mark.parametrize(
    ("clients", "fraction", "degree", "threshold"),
    [
        (100, 0.05, 16, 11),
        (100, 0.10, 32, 22),
        (1000, 0.05, 52, 37),
        (1000, 0.10, 96, 67),
        (10_000, 0.05, 62, 44),
        (10_000, 0.10, 122, 85),
    ],
)
def test_known_degrees(clients, fraction, degree, threshold):
    found = choose(clients, 10, 20, dropout=fraction, corrupt=fraction)
    assert (found.degree, found.threshold, found.floor) == (degree, threshold, clients - round(clients * fraction))


def tail(population, marked, drawn, above):
    ways = [comb(marked, j) * comb(population - marked, drawn - j) for j in range(drawn + 1)]
    return Fraction(sum(ways[max(above, -1) + 1 :]), comb(population, drawn))


@pytest.mark.parametrize(("n", "dropout", "corrupt"), [(60, 0.1, 0.1), (300, 0.2, 0.05), (1000, 0.05, 0.2)])
def test_the_conditions_hold_exactly_and_no_smaller_degree_meets_them(n, dropout, corrupt):
    bad, gone = round(n * corrupt), round(n * dropout)

    def meets(k, t):
        private = n * tail(n - 1, bad, k, 2 * t - k - 1) <= Fraction(1, 2**40)
        complete = n * tail(n - 1, gone, k, k - t) <= Fraction(1, 2**20)
        return private and complete

    found = choose(n, 10, 20, dropout=dropout, corrupt=corrupt)
    assert meets(found.degree, found.threshold)
    assert not any(meets(k, t) for k in range(2, found.degree, 2) for t in range(k // 2 + 1, k + 1))


@given(st.integers(10, 300), st.data())
def test_the_tail_is_the_hypergeometric_one(population, data):
    marked = data.draw(st.integers(0, population))
    drawn = data.draw(st.integers(1, population))
    above = data.draw(st.integers(0, drawn))
    exact = tail(population, marked, drawn, above)
    assert float(exact) == pytest.approx(hypergeom.sf(above, population, marked, drawn), rel=1e-6, abs=1e-12)
    assert rare(population, marked, drawn, above, trials=3, bits=5) == (3 * exact <= Fraction(1, 32))
    least = most(population, marked, drawn, trials=3, bits=5)
    assert rare(population, marked, drawn, least, trials=3, bits=5)
    assert not least or not rare(population, marked, drawn, least - 1, trials=3, bits=5)


@pytest.mark.parametrize(
    ("clients", "dropout", "corrupt", "expected"),
    [
        (3, 0.0, 0.0, (2, 2, 3)),
        (5, 0.2, 0.0, (4, 3, 4)),
        (4, 0.25, 0.0, (3, 2, 3)),
        (10, 0.4, 0.0, (9, 5, 6)),
        (10, 0.3, 0.2, (9, 6, 7)),
    ],
)
def test_the_complete_graph_where_none_fits(clients, dropout, corrupt, expected):
    found = choose(clients, 10, 20, dropout=dropout, corrupt=corrupt)
    assert (found.degree, found.threshold, found.floor) == expected


def test_a_fraction_means_what_is_written():
    assert choose(100, 10, 20, dropout=0.07, corrupt=0.0).floor == 93
    assert choose(100, 10, 20, dropout=0.071, corrupt=0.0).floor == 92


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"clients": 2}, "clients="),
        ({"dropout": 1.0}, "dropout="),
        ({"dropout": float("nan")}, "dropout="),
        ({"corrupt": -0.1}, "corrupt="),
        ({"dropout": 0.4, "corrupt": 0.3}, "leave no threshold"),
        ({"floor": 6}, "floor=6 leaves no two honest"),
        ({"floor": 101}, "floor="),
        ({"bits": 7}, "bits="),
        ({"bits": 63}, "bits="),
        ({"length": 0}, "length="),
        ({"key_bits": 64}, "key_bits="),
        ({"security": 0}, "security="),
        ({"reliability": 2.5}, "reliability="),
    ],
)
def test_bad_choices_are_named(changed, message):
    asked = {"clients": 100, "length": 10, "bits": 20, "dropout": 0.05, "corrupt": 0.05} | changed
    with pytest.raises(fa.BadArgument, match=message):
        choose(**asked)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"clients": 2}, "clients="),
        ({"clients": 2**20 + 1}, "clients="),
        ({"degree": 15}, "degree="),
        ({"degree": 100}, "degree="),
        ({"threshold": 8}, "threshold="),
        ({"threshold": 17}, "threshold="),
        ({"floor": 1}, "floor="),
        ({"length": 2**31}, "length="),
    ],
)
def test_parameters_that_do_not_fit_are_named(changed, message):
    good = {"clients": 100, "degree": 16, "threshold": 11, "floor": 95, "length": 10, "bits": 20}
    assert Parameters.decoded(Parameters(**good).encoded()) == Parameters(**good)
    with pytest.raises(fa.BadArgument, match=message):
        Parameters(**good | changed)


GOOD = Parameters(100, 16, 11, 95, 10, 20)


@pytest.mark.parametrize(
    ("offered", "policy"),
    [
        (Parameters(100, 16, 10, 95, 10, 20), Policy(20, 95, 0.05)),  # threshold
        (Parameters(100, 16, 11, 94, 10, 20), Policy(20, 95, 0.05)),  # floor
        (Parameters(100, 16, 11, 95, 10, 21), Policy(20, 95, 0.05)),  # ring
        (Parameters(100, 16, 11, 95, 11, 20), Policy(20, 95, 0.05)),  # length
        (Parameters(100, 2, 2, 95, 10, 20), Policy(20, 95, 0.05)),  # degree: too few to outnumber the corrupt
        (GOOD, Policy(20, 95, 0.06)),  # more corrupt clients than the threshold bears
        (Parameters(100, 99, 99, 6, 10, 20), Policy(20, 2, 0.05)),  # a floor without two honest clients
        (Parameters(1000, 52, 36, 950, 10, 20), Policy(20, 950, 0.05)),
    ],
)
def test_a_policy_refuses_what_is_weaker(offered, policy):
    Policy(20, 95, 0.05).check(GOOD, 10)
    with pytest.raises(Stop) as caught:
        policy.check(offered, 10)
    assert caught.value.reason is Reason.WEAK_PARAMETERS


@pytest.mark.parametrize(
    "wrong", [{"bits": 4}, {"floor": 1}, {"corrupt": 1.0}, {"corrupt": "0.1"}, {"security": 0}], ids=str
)
def test_bad_policies_are_named(wrong):
    with pytest.raises(fa.BadArgument, match=f"{next(iter(wrong))}="):
        Policy(**{"bits": 20, "floor": 10} | wrong)
