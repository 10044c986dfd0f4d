"""Noise in shares, seen from outside: whoever survives, the sum has the law that was paid for.

Every check is a p-value, an alarm is one below 1e-9, and all seeds are fixed, so that a run does not flicker. There are
fewer than 100 checks: with other seeds, a run would raise a false alarm with probability below 1e-7.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import ive

from fedanalytics.privacy import Relation, Skellam
from fedanalytics.privacy.distributed import Quorum, Shares, integer_sum, vector_sum
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.sensitivity import counting

ALARM = 1e-9
CLIENTS, FLOOR, CORRUPT, DRAWS = 12, 8, 2, 20_000
ONE = counting(1, 1, Relation.ZERO_OUT)


def shares_of(variance, seed, quorum=None):
    """Every client's own draws, shape (clients, draws)."""
    quorum = quorum or Quorum(CLIENTS, FLOOR, CORRUPT)
    shares = Shares.of(Skellam(variance, 1, 1, "zero-out"), quorum)
    own = [shares.draw(1, DRAWS, Keystream.insecure(1000 * seed + i))[0] for i in range(quorum.clients)]
    return shares, np.array(own)


def fits(z, variance):
    """Pearson's chi-square against the exact Skellam law, over bins in which at least 50 are expected."""
    at = np.arange(-int(60 + 40 * math.sqrt(variance)), int(61 + 40 * math.sqrt(variance)))
    law = ive(np.abs(at), variance)
    width = max(1, int(math.sqrt(variance) / 8))
    groups = (at - at[0]) // width
    expected = np.bincount(groups, law) * len(z)
    seen = np.bincount((z - at[0]) // width, minlength=len(expected))
    few = expected < 50
    seen, expected = np.append(seen[~few], seen[few].sum()), np.append(expected[~few], expected[few].sum())
    if expected[-1] < 50:
        seen, expected = np.append(seen[:-2], seen[-2:].sum()), np.append(expected[:-2], expected[-2:].sum())
    return stats.chi2.sf(np.sum((seen - expected) ** 2 / expected), len(seen) - 1)


def spread(z, variance):
    """Of the sum of squares: E Z^4 = V + 3 V^2."""
    total = np.sum(np.square(z.astype(float)) - variance)
    return 2 * stats.norm.sf(abs(total) / math.sqrt((variance + 2 * variance**2) * len(z)))


# ---------------------------------------------------------------- the law of the sum


@pytest.mark.parametrize("survivors", range(FLOOR, CLIENTS + 1))
@pytest.mark.parametrize("variance", [3.0, 400.0])
def test_the_sum_over_any_number_of_survivors_has_its_law(survivors, variance):
    shares, own = shares_of(variance, seed=1)
    chosen = np.random.default_rng(survivors).permutation(CLIENTS)[:survivors]
    total = own[chosen].sum(axis=0)
    assert fits(total, shares.variance(survivors)) > ALARM
    assert spread(total, shares.variance(survivors)) > ALARM


@pytest.mark.parametrize("survivors", range(FLOOR, CLIENTS + 1))
def test_one_draw_for_all_of_them_has_it_too(survivors):
    shares, _ = shares_of(40.0, seed=2)
    assert fits(shares.draw_sum(survivors, DRAWS, Keystream.insecure(survivors)), shares.variance(survivors)) > ALARM


@pytest.mark.parametrize("variance", [3.0, 400.0])
def test_what_the_honest_ones_add_at_the_floor_is_what_was_paid_for(variance):
    shares, own = shares_of(variance, seed=3)
    left = own[: FLOOR - CORRUPT].sum(axis=0)  # the corrupt survivors' shares are subtracted
    assert fits(left, shares.event.variance) > ALARM


@pytest.mark.parametrize("variance", [3.0, 400.0])
def test_thirty_per_cent_of_the_shares_missing_are_seen(variance):
    """The planted fault, of 10 survivors 3 that add nothing: both checks raise an alarm."""
    shares, own = shares_of(variance, seed=4, quorum=Quorum(10, 10))
    assert spread(own.sum(axis=0), variance) > ALARM
    assert spread(own[:7].sum(axis=0), shares.variance(10)) < ALARM
    assert fits(own[:7].sum(axis=0), shares.variance(10)) < ALARM


def test_shares_sized_for_all_clients_instead_of_the_floor_are_seen():
    shares, own = shares_of(400.0, seed=5)
    assert spread(own[: FLOOR - CORRUPT].sum(axis=0), 400.0) > ALARM
    shrunk = np.array([Shares.of(shares.event, Quorum(CLIENTS, CLIENTS)).draw(1, DRAWS)[0] for _ in range(FLOOR)])
    assert spread(shrunk.sum(axis=0), 400.0) < ALARM


def test_one_share_sent_twice_is_seen():
    shares, own = shares_of(40.0, seed=6)
    assert fits(own[:7].sum(axis=0) + own[0], shares.variance(8)) < ALARM


# ---------------------------------------------------------------- whole rounds


def errors(plan, rows, rounds, seed):
    """Decoded minus exact, shape (rounds, size), with everybody sending a contribution of their own."""
    stream = Keystream.insecure(seed)
    found = []
    for i in range(rounds):
        name = b"round %d" % i
        total = plan.ring.sum(plan.contributions(rows, name, stream))
        found.append(plan.decode(total, name) - rows.sum(axis=0))
    return np.array(found)


def within(found, low, high):
    """Whether the mean square is between two variances, to 6 standard deviations (normal errors: 2e-9)."""
    square, slack = float(np.mean(found**2)), 6 * math.sqrt(2 / found.size)
    return low * (1 - slack) <= square <= high * (1 + slack)


def balls(clients, size, seed, norm=1.0):
    rows = np.random.default_rng(seed).normal(size=(clients, size))
    return norm * rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("bits", [14, 20, None])
@pytest.mark.parametrize("size", [128, 200])
def test_the_predicted_error_of_vectors_is_the_real_one(bits, size):
    """Noise alone is the least, noise and rounding at 1/4 (and what wrapping may add) the most."""
    plan = vector_sum(size, clip=1.0, quorum=Quorum(40, 30), epsilon=1.0, delta=1e-6, bits=bits)
    found = errors(plan, balls(40, size, seed=1, norm=0.999), 60, seed=1)
    assert within(found, plan.step**2 * plan.shares.variance(40), plan.standard_error(40) ** 2)
    assert abs(found.mean()) < 6 * plan.standard_error(40) / math.sqrt(found.size)


def test_rounding_is_a_sixth_of_a_step_where_the_grid_is_fine():
    """Without noise: 1/12 below what `standard_error` counts, which holds for the worst vectors."""
    plan = vector_sum(8192, clip=1.0, quorum=Quorum(300, 300), rho=0.5, bits=24)
    rows = balls(300, 8192, seed=2, norm=0.999)
    encoded = plan.encode(rows, b"s", Keystream.insecure(2)).sum(axis=0)
    found = plan.decode(plan.ring.wrap(encoded), b"s") - rows.sum(axis=0)
    assert within(found, 300 / 6 * plan.step**2, 300 / 6 * plan.step**2)


def test_rounding_is_a_quarter_of_a_step_at_worst():
    """Coordinates that all lie half-way between two steps: as `standard_error` counts it, and not above."""
    plan = vector_sum(4096, clip=1.0, quorum=Quorum(100, 100), rho=50.0, bits=24)
    rows = np.zeros((100, 4096))
    rows[:, 7] = (math.floor(plan.steps / 64 * 0.9) + 0.5) * 64 / plan.steps
    encoded = plan.encode(rows, b"s", Keystream.insecure(7)).sum(axis=0)
    found = plan.decode(plan.ring.wrap(encoded), b"s") - rows.sum(axis=0)
    others = plan.shares.variance(100) + plan.spread(100).wrapped(plan.ring)
    assert within(found, 25 * plan.step**2, 25 * plan.step**2)
    assert plan.standard_error(100) ** 2 - others * plan.step**2 == pytest.approx(25 * plan.step**2, rel=1e-3)


def test_the_same_vector_from_all_clients_does_not_wrap_around():
    """The worst for the ring, at the fewest bits: the error stays what was predicted."""
    plan = vector_sum(256, clip=1.0, quorum=Quorum(200, 200), rho=0.05)
    rows = np.repeat(balls(1, 256, seed=3, norm=0.999), 200, axis=0)
    found = errors(plan, rows, 40, seed=3)
    assert within(found, plan.step**2 * plan.shares.variance(200), plan.standard_error(200) ** 2)


def test_a_ring_too_narrow_for_it_would_be_seen():
    """The planted fault: two bits fewer for the same grid."""
    plan = vector_sum(256, clip=1.0, quorum=Quorum(200, 200), rho=0.05)
    narrow = type(plan)(plan.size, type(plan.ring)(plan.ring.bits - 2), plan.shares, 1.0, plan.clip, plan.steps)
    rows = np.repeat(balls(1, 256, seed=3, norm=0.999), 200, axis=0)
    found = errors(narrow, rows, 10, seed=3)
    assert np.mean(found**2) > 2 * plan.standard_error(200) ** 2
    assert narrow.standard_error(200) > 1.4 * plan.standard_error(200)  # and is predicted


@pytest.mark.parametrize("survivors", [30, 37, 40])
def test_simulated_totals_have_the_law_of_real_ones(survivors):
    plan = vector_sum(64, clip=1.0, quorum=Quorum(40, 30), rho=0.5, bits=16)
    rows = balls(survivors, 64, seed=4, norm=0.5)
    stream = Keystream.insecure(survivors)
    found = np.array([plan.decode(plan.total(rows, b"%d" % i, stream), b"%d" % i) for i in range(200)])
    low = plan.step**2 * plan.shares.variance(survivors)
    assert within(found - rows.sum(axis=0), low, plan.standard_error(survivors) ** 2)


def test_a_histogram_round_has_exactly_the_noise_that_it_claims():
    """The noise of decoded counts, by chi-square, from contributions of all clients."""
    plan = integer_sum(ONE, size=200, quorum=Quorum(25, 20), epsilon=1.0, delta=1e-6)
    rows = np.eye(200, dtype=np.int64)[np.random.default_rng(5).integers(0, 200, 25)]
    found = errors(plan, rows, 100, seed=5).astype(np.int64).ravel()
    assert fits(found, plan.shares.variance(25)) > ALARM
    assert spread(found, plan.shares.variance(25)) > ALARM
    assert plan.standard_error(25) == pytest.approx(math.sqrt(plan.shares.variance(25)))
