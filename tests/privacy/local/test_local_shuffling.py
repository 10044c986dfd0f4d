"""What a shuffler would be worth: against the published figure, and against shuffled reports enumerated."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.events import Event
from fedanalytics.privacy.local import if_shuffled
from fedanalytics.privacy.local.shuffling import ASSUMPTION, closed_form


def test_the_figures_published_with_the_paper():
    """The authors' program, for 100,000 reports at 4 and delta 1e-6: between .167539 and .172791; theory .537804.

    Its last figure has the factor (1 - 1/e) / (1 + 1/(e s)), s >= 1 the bound's own e^epsilon, for the theorem's
    (e - 1) / (e + 1).
    """
    found = if_shuffled(4.0, 100_000, 1e-6)
    assert 0.1675385583317841 <= found.epsilon <= 0.172790550755978
    assert found.closed_form == pytest.approx(0.5378040242374512, rel=0.006)
    assert found.epsilon < found.closed_form <= 0.5378040242374512


def shuffled_gap(odds, others, epsilon):
    """delta of shuffled binary randomised response: one client says 0 or 1, `others` of the rest say 1; exactly."""
    truth = Fraction(odds, odds + 1)
    laws = []
    for first in (0, 1):
        ones = [Fraction(1)]
        for value in (first, *others):
            p = truth if value else 1 - truth
            ones = [a * (1 - p) + b * p for a, b in zip([*ones, 0], [0, *ones], strict=True)]
        laws.append(ones)
    factor = Fraction(math.exp(epsilon))
    return max(float(sum(max(p - factor * q, 0) for p, q in zip(*pair, strict=True))) for pair in (laws, laws[::-1]))


@pytest.mark.parametrize("odds", [2, 5, 20])
@pytest.mark.parametrize("n", [1, 2, 5, 12, 60])
@pytest.mark.parametrize("delta", [0.05, 1e-4])
def test_it_is_an_upper_bound_on_what_shuffled_reports_lose(odds, n, delta):
    """Whatever the others say."""
    found = if_shuffled(math.log(odds), n, delta)
    for ones in {0, (n - 1) // 2, n - 1}:
        others = [1] * ones + [0] * (n - 1 - ones)
        assert shuffled_gap(odds, others, found.epsilon) <= delta * (1 + 1e-9)


def test_one_report_is_not_amplified():
    assert if_shuffled(2.0, 1, 1e-9).epsilon == pytest.approx(2.0, abs=1e-6)


@given(st.floats(0.01, 8), st.integers(1, 200_000), st.sampled_from([1e-3, 1e-8]))
def test_it_is_never_above_the_local_loss_nor_the_closed_form(epsilon, n, delta):
    found = if_shuffled(epsilon, n, delta)
    assert 0 < found.epsilon <= found.closed_form * (1 + 1e-6) <= epsilon * (1 + 1e-6)
    assert found.epsilon <= epsilon
    assert (found.local, found.reports, found.delta) == (epsilon, n, delta)


def test_more_reports_hide_better_and_less_delta_worse():
    by_n = [if_shuffled(1.0, n, 1e-6).epsilon for n in (10, 100, 1000, 10_000, 1_000_000)]
    by_delta = [if_shuffled(1.0, 1000, delta).epsilon for delta in (1e-3, 1e-6, 1e-9)]
    by_local = [if_shuffled(epsilon, 1000, 1e-6).epsilon for epsilon in (0.1, 0.5, 1.0, 3.0)]
    assert by_n == sorted(by_n, reverse=True)
    assert by_delta == sorted(by_delta)
    assert by_local == sorted(by_local)


def test_outside_its_range_the_closed_form_is_the_local_loss():
    assert closed_form(5.0, 100, 1e-6) == 5.0


def test_it_is_a_figure_under_an_assumption_and_no_event():
    found = if_shuffled(1.0, 1000, 1e-6)
    assert not isinstance(found, Event)
    assert not hasattr(found, "event")
    assert found.assumption == ASSUMPTION
    assert "assumes a trusted shuffler" in ASSUMPTION


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        *(((e, 10, 1e-6), "epsilon=") for e in (0, math.nan, -1, 1e3)),
        *(((1.0, n, 1e-6), "reports=") for n in (0, 1.5, None)),
        *(((1.0, 10, d), "delta=") for d in (0, 1, math.nan)),
    ],
)
def test_arguments_that_cannot_be_meant(arguments, name):
    with pytest.raises(BadArgument, match=name):
        if_shuffled(*arguments)
