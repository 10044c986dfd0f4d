"""The choice of an event: what tells is found, in words; what does not is not invented."""

import numpy as np
import pytest

from fedanalytics.auditing import Dp, Gdp, telling
from fedanalytics.auditing.views import View

VIEW = View("the output", lambda outputs: outputs[:, 0])


def chosen(ins, outs, claim=Gdp(1.0)):  # noqa: B008  # frozen
    return telling.choose((VIEW,), [np.asarray(ins, dtype=float)], [np.asarray(outs, dtype=float)], claim)


def rates(event, ins, outs):
    return tuple(event.holds(np.asarray(part, dtype=float)[:, None]).mean() for part in (ins, outs))


@pytest.mark.parametrize("shift", [2.0, -2.0])
def test_a_shift_gives_a_threshold_between(shift):
    rng = np.random.default_rng(1)
    ins, outs = rng.normal(shift, 1, 2000), rng.normal(0, 1, 2000)
    event = chosen(ins, outs)
    assert 0 < event.values[0] / shift < 1
    assert event.kind == ("at least" if (shift > 0) is event.more_likely_in else "below")
    inside, outside = rates(event, ins, outs)
    assert bool(inside > outside) is event.more_likely_in


def test_a_point_mass_is_found():
    rng = np.random.default_rng(2)
    ins = np.where(rng.random(1000) < 0.4, 0.25, rng.normal(0, 1, 1000))
    event = chosen(ins, rng.normal(0, 1, 1000))
    assert str(event) == "the output is one of 0.25"
    assert event.more_likely_in


def test_a_set_of_values_without_order_is_found():
    """Even numbers with the record, odd ones without: no threshold tells anything."""
    rng = np.random.default_rng(3)
    ins, outs = 2 * rng.integers(0, 20, 600), 2 * rng.integers(0, 20, 600) + 1
    event = chosen(ins, outs)
    assert event.kind == "one of"
    tells = rates(event, ins, outs)
    assert max(tells) > 0.8
    assert min(tells) == 0


def test_luck_among_many_values_is_not_taken_for_a_find():
    """Every value once or twice: ranked by one half of the outputs, they say nothing about the other half."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        event = chosen(rng.integers(0, 10**4, 3000), rng.integers(0, 10**4, 3000))
        assert event.kind != "one of"


def test_a_pure_claim_is_tried_in_the_tails():
    rng = np.random.default_rng(5)
    event = chosen(rng.laplace(2, 1, 5000), rng.laplace(0, 1, 5000), Dp(1.0))
    fpr = min(rates(event, rng.laplace(2, 1, 5000), rng.laplace(0, 1, 5000)))
    assert fpr < 0.1


def test_constants_choose_something():
    event = chosen([1.0] * 5, [1.0] * 5)
    assert rates(event, [1.0], [1.0])[0] == rates(event, [1.0], [1.0])[1]


def test_words_say_infinite():
    assert "infinite or NaN" in str(chosen([np.inf] * 9, [0.0] * 9))
