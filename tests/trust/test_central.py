"""Central trust: the grid, the noise and the event belong together; an attack on the whole round finds no more."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.costs import Cost
from fedanalytics.privacy.events import Composed, DiscreteLaplace, Exact, Gaussian
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.ball import Ball
from fedanalytics.round.blocks import Block, Round
from fedanalytics.round.moments import Interval, Moments
from fedanalytics.round.one_hot import OneHot, Present
from fedanalytics.round.work import Sql, Stack
from fedanalytics.trust import Central

WORK = Sql("avg(x)")
ENCODERS = [Present(), OneHot((0.0, 1.0, 2.0)), Interval(0.0, 5.0), Moments(0.0, 110.0), Ball("l2", 1.0, 3)]


class Values:
    """A fleet whose clients hold these values."""

    def __init__(self, values):
        self.values = np.asarray(values, dtype=float)

    def sums(self, blocks, steps):
        return [block.encoder.sums(self.values, s) for block, s in zip(blocks, steps, strict=True)]


def paid(event):
    return Cost(0, event)


def one(encoder, share=1):
    work = WORK if encoder.columns == 1 else Stack((WORK,) * encoder.columns)
    return Round((Block(work, encoder, Fraction(share)),))


@pytest.mark.parametrize("encoder", ENCODERS, ids=str)
@given(
    multiplier=st.floats(min_value=1e-2, max_value=1e4),
    relation=st.sampled_from(Relation),
    share=st.fractions(min_value=Fraction(1, 100), max_value=1),
    event=st.sampled_from([Gaussian, DiscreteLaplace]),
)
def test_noise_over_sensitivity_is_at_least_the_multiplier(encoder, multiplier, relation, share, event):
    whole = event(multiplier, relation)
    [part] = Central().price(one(encoder, share), paid(whole)).parts
    sensitivity = encoder.sensitivity(part.steps, relation)
    norm = math.sqrt(sensitivity.l2_squared) if event is Gaussian else sensitivity.l1
    assert part.scale >= part.event.noise_multiplier * norm * (1 - 1e-15)
    assert part.event.rho <= whole.rho * (share if event is Gaussian else share**2)
    assert encoder.coarsest <= part.steps <= encoder.finest
    assert part.scale <= 2**24 or part.steps == encoder.coarsest
    assert part.noise.unit == 1 / part.steps


def test_the_event_of_a_round_is_what_its_blocks_did():
    blocks = tuple(Block(WORK, encoder, Fraction(1, 2)) for encoder in (Present(), Moments(0.0, 1.0)))
    priced = Central().price(Round(blocks), paid(Gaussian(3.0)))
    assert isinstance(priced.event, Composed)
    assert priced.event.rho <= Gaussian(3.0).rho
    assert float(priced.event.rho) == pytest.approx(float(Gaussian(3.0).rho))
    assert Central().price(one(Present()), paid(Gaussian(3.0))).event == Gaussian(3.0)


def test_too_small_a_cost_is_refused_before_anything_else():
    with pytest.raises(BadArgument, match="the cost is too small"):
        Central().price(one(Present()), paid(Gaussian(2.0**40)))


@pytest.mark.parametrize("event", [Exact(), Composed((Gaussian(1.0),))])
def test_an_event_that_is_not_a_noise_is_refused(event):
    with pytest.raises(BadArgument, match="cannot spend"):
        Central().price(one(Present()), paid(event))


def draws(values, encoder, event, runs):
    priced = Central().price(one(encoder), paid(event))
    fleet = Values(values)
    return np.array([Central().collect(fleet, priced)[0] for _ in range(runs)]), priced.parts[0]


@pytest.mark.parametrize(
    ("encoder", "event", "law"),
    [
        (Present(), Gaussian(4.0), stats.norm),
        (Moments(0.0, 110.0), Gaussian(7.07), stats.norm),
        (Moments(0.0, 110.0), DiscreteLaplace(2.0), stats.laplace),
    ],
)
def test_the_noise_has_the_stated_law(encoder, event, law):
    """Kolmogorov-Smirnov at 1e-6 a run; the noise is the operating system's, so the draws differ each time."""
    noisy, part = draws([55.0] * 10, encoder, event, 4000)
    exact = encoder.sums(np.full(10, 55.0), part.steps) / part.steps
    spread = part.noise.unit * np.random.default_rng(3).uniform(-0.5, 0.5, noisy.shape)  # undoes the grid
    for column in (noisy - exact + spread).T:
        assert stats.kstest(column / part.noise.scale, law.cdf).pvalue > 1e-6


def mu_lower_bound(ins, outs, confidence=1 - 1e-6):
    """A certified lower bound on mu: half the draws choose a threshold, the other half certify it (Clopper-Pearson)."""
    half = len(ins) // 2
    threshold = (ins[:half].mean() + outs[:half].mean()) / 2
    hit, false = (int((part[half:] > threshold).sum()) for part in (ins, outs))
    n, alpha = len(ins) - half, (1 - confidence) / 2
    low = stats.beta.ppf(alpha, hit, n - hit + 1)
    high = stats.beta.ppf(1 - alpha, false + 1, n - false)
    return stats.norm.ppf(low) - stats.norm.ppf(high)


@pytest.mark.parametrize("encoder", [Present(), Interval(0.0, 5.0), Moments(0.0, 5.0)], ids=str)
def test_an_attack_finds_no_more_than_the_claim_and_a_planted_fault_is_found(encoder):
    """Neighbours: one outlier client more. False alarms: 1e-6 a run; the fault is noise of half the scale."""
    event, runs = Gaussian(0.5), 4096

    def attacked(trust):
        priced = trust.price(one(encoder), paid(event))
        direction = encoder.sums(np.array([1e9]), priced.parts[0].steps).astype(float)
        ins, outs = (
            np.array([trust.collect(Values(values), priced)[0] @ direction for _ in range(runs)])
            for values in ([2.0, 3.0, 1e9], [2.0, 3.0])
        )
        return mu_lower_bound(ins, outs)

    class Half(Central):
        def price(self, round_, cost, roster=None):
            priced = super().price(round_, cost)
            return replace(priced, parts=tuple(replace(part, scale=part.scale / 2) for part in priced.parts))

    assert 0.5 / event.noise_multiplier < attacked(Central()) <= 1 / event.noise_multiplier
    assert attacked(Half()) > 1 / event.noise_multiplier


def test_one_pass_serves_several_rounds():
    calls = []

    class Counting(Values):
        def sums(self, blocks, steps):
            calls.append(len(blocks))
            return super().sums(blocks, steps)

    priced = Central().price(Round(tuple(Block(WORK, e, Fraction(1, 5)) for e in ENCODERS[:4])), paid(Gaussian(1.0)))
    noisy = Central().collect(Counting([1.0, 2.0]), priced)
    assert calls == [4]
    assert [len(answer) for answer in noisy] == [1, 2, 1, 2]
