"""What the streams are said to be in their proofs: functions of noisy sums, and of nothing else."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.correlated import BLT, Banded, Schedule, Tree, Workload
from fedanalytics.privacy.correlated.feedback import point_for, slack
from fedanalytics.privacy.correlated.series import quotient
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.samplers import rounded_gaussian

SIZE = 5
STRATEGIES = {
    "banded": Banded.optimised(Schedule(13, 2, 5), 5),
    "overlapping": Banded.optimised(Schedule(13, 3, 2), 6),
    "all bands": Banded.optimised(Schedule(13), 13),
    "momentum": Banded.optimised(Schedule(13), 4, Workload(momentum=0.9)),
    "independent": Banded.independent(Schedule(13, 3, 4)),
    "tree": Tree(Schedule(13), 13),
    "trees": Tree(Schedule(13, 3, 4), 4),
    "leaves": Tree(Schedule(13), 1),
    "blt": BLT.optimised(Schedule(13, 2, 5), 3),
}
EXACT = pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "blt"])


def run(stream, fresh):
    """The noise of all rounds from given draws."""
    rows, noise, at = (), [], 0
    for t in range(stream.rounds):
        count = stream.draws(t)
        assert len(rows) == stream.kept(t) <= (stream.rounds if t else 0)
        rows, made = stream.step(rows, fresh[at : at + count].copy(), t)
        noise.append(made)
        at += count
    assert at == len(fresh)
    return np.array(noise)


def draws(stream, seed):
    count = sum(stream.draws(t) for t in range(stream.rounds))
    return rounded_gaussian(stream.deviation, count * stream.size, keystream=Keystream.insecure(seed)).reshape(
        count, -1
    )


# ---------------------------------------------------------------- the proofs


@EXACT
@given(seed=st.integers(0, 2**32), norm=st.sampled_from([0.01, 1.0, 1000.0, 2.0**20]))
def test_sums_plus_noise_are_computed_from_noisy_sums_alone(dense, name, seed, norm):
    """Claim 1 of `feedback` with eta = 0, and that of `Nodes`: equality, bit for bit, whatever the sums are."""
    strategy = STRATEGIES[name]
    stream = strategy.stream(1.7, norm, SIZE)
    x = np.random.default_rng(seed).integers(-(2**20), 2**20, (stream.rounds, SIZE))
    z = draws(stream, seed)
    if isinstance(strategy, Tree):
        noisy = dense.tree_matrix(stream.rounds, strategy.period).astype(np.int64) @ x + z
    else:
        matrix = dense.lower(np.ldexp(strategy.column, stream.bits), stream.rounds)
        noisy = matrix.astype(np.int64) @ x + z
        assert np.array_equal(matrix, matrix.astype(np.int64))
    assert np.array_equal(run(stream, noisy), x + run(stream, z))


def exact_feedback(blt, noise):
    """h_t by its definition, for one coordinate, in fractions."""
    buffers, found = [Fraction(0)] * blt.memory, []
    for u in noise:
        found.append(sum(Fraction(w) * s for w, s in zip(blt.scales, buffers, strict=True)))
        buffers = [Fraction(t) * s + int(u) for t, s in zip(blt.decays, buffers, strict=True)]
    return found


@pytest.mark.parametrize("growth", [0, 1, 1000])
@pytest.mark.parametrize("rounds", [3, 60])
@pytest.mark.parametrize("norm", [64.0, 2.0**12, 2.0**30])
def test_the_feedback_of_buffers_is_as_close_as_its_slack(rounds, norm, growth):
    """Claim 2: also for noise that all goes one way, far further than chance would."""
    blt = BLT(Schedule(rounds), (0.3, 0.2, 0.01), (0.5, 0.9999, 1 - 2.0**-24))
    stream = blt.stream(1.0, norm, 1)
    allowed = slack(blt.scales, blt.decays, rounds, stream.bits, stream.point)
    rng = np.random.default_rng(7)
    noise = (rng.normal(size=rounds) * norm + growth * norm).astype(np.int64)
    rows, worst = (), 0.0
    for u, h in zip(noise, exact_feedback(blt, noise), strict=True):
        found = Fraction(int(stream.fed_back(rows)[0]), 2**stream.bits) if rows else Fraction(0)
        worst = max(worst, abs(float(found - h)))
        rows = stream.remembered(rows, np.array([u]))
    assert worst <= allowed
    assert worst > allowed / 2000


@pytest.mark.parametrize("point", [0, 3])
def test_the_slack_is_what_few_bits_make_of_it(point):
    """With so coarse a fixed point, its own roundings are what shows."""
    rounds, blt = 150, BLT(Schedule(150), (0.3, 0.01), (0.5, 1 - 2.0**-12))
    stream = dataclasses.replace(blt.stream(1.0, 4096.0, 9), point=point, bits=16)
    allowed = slack(blt.scales, blt.decays, rounds, 16, point)
    noise = np.random.default_rng(1).integers(-5000, 5000, (rounds, 9))
    rows, worst = (), 0.0
    expected = np.array([[float(h) for h in exact_feedback(blt, column)] for column in noise.T]).T
    for u, h in zip(noise, expected, strict=True):
        worst = max(worst, np.abs(stream.fed_back(rows) / 2**16 - h).max())
        rows = stream.remembered(rows, u)
    assert allowed / 25 < worst < allowed


@pytest.mark.parametrize("name", ["banded", "overlapping", "all bands", "momentum", "independent"])
def test_a_round_is_its_definition(name):
    """floor((z - H) / 2^p + 1/2), with H = 2^p (c_1 u_1 + c_2 u_2 + ...), in fractions."""
    strategy = STRATEGIES[name]
    stream = strategy.stream(0.7, 3.0, SIZE)
    fresh = draws(stream, seed=9)
    noise = run(stream, fresh)
    for t, z in enumerate(fresh):
        for i in range(SIZE):
            past = zip(strategy.column[1:], noise[:t][::-1, i].tolist(), strict=False)
            fed = sum((Fraction(c) * u for c, u in past), Fraction(0))
            assert noise[t, i] == math.floor(Fraction(int(z[i]), 2**stream.bits) - fed + Fraction(1, 2))


@pytest.mark.parametrize("size", [1, 10**6])
@pytest.mark.parametrize("noise_multiplier", [0.1, 30.0])
def test_the_slack_of_buffers_is_paid_for(size, noise_multiplier):
    rounds, norm = 2000, 2.0**20
    blt = BLT.optimised(Schedule(rounds, 5, 400), 4)
    stream = blt.stream(noise_multiplier, norm, size)
    sigma = stream.deviation * 2.0**-stream.bits
    eta = 2 * slack(blt.scales, blt.decays, rounds, stream.bits, stream.point)
    claimed = noise_multiplier / math.sqrt(blt.sensitivity_squared)  # 1 / mu of the event
    assert sigma / (math.sqrt(blt.sensitivity_squared) * norm + eta * math.sqrt(rounds * size)) >= claimed
    assert sigma < noise_multiplier * norm * 1.001  # and costs little
    assert stream.point <= point_for(blt.decays, np.array(blt.column), rounds, sigma)


@given(st.floats(0.01, 100), st.floats(0.1, 2.0**24))
def test_fresh_noise_is_never_less_than_the_event_says(noise_multiplier, norm):
    for strategy in STRATEGIES.values():
        try:
            stream = strategy.stream(noise_multiplier, norm, SIZE)
        except BadArgument as refused:
            assert "coarser" in str(refused)  # noqa: PT017  # not whether, but why
            assert noise_multiplier * norm > 2.0**27
            continue
        sigma = Fraction(stream.deviation) / 2 ** getattr(stream, "bits", 0)
        assert sigma >= Fraction(noise_multiplier) * Fraction(norm)


def farthest(stream, series, column):
    """Draws 64 deviations from 0, together, in the direction in which the series of the last noise grows most."""
    response = quotient(series, np.array(column))[::-1]
    direction = np.rint(64 * stream.deviation * response / np.linalg.norm(response)).astype(np.int64)
    return direction[:, None]


@pytest.mark.parametrize("norm", [1.0, 2.0**20, 2.0**30])
@pytest.mark.parametrize("rounds", [3, 500])
def test_buffers_hold_what_is_64_deviations_away(norm, rounds):
    """The farthest that a buffer is promised to go, reached by the draws that drive it there."""
    blt = BLT(Schedule(rounds), (0.3, 0.01), (0.5, 1 - 2.0**-24))
    stream, most = blt.stream(1.0, norm, 1), 0
    for decay in blt.decays:
        rows = ()
        for t, fresh in enumerate(farthest(stream, decay ** np.arange(rounds), blt.column)):
            rows, _ = stream.step(rows, fresh[None, :], t)
        most = max(most, *(abs(int(row[0])) for row in rows))
    assert most <= 2**51
    assert most > 2**48 or stream.point == 30


@pytest.mark.parametrize(("norm", "dtype"), [(2.0**23.9, np.int32), (2.0**24.8, np.int64), (2.0**26, np.int64)])
def test_rows_hold_what_is_64_deviations_away(norm, dtype):
    """Four bytes are taken exactly where they suffice."""
    rounds = 20
    banded = Banded.optimised(Schedule(rounds), 6)
    stream = banded.stream(1.0, norm, 1)
    draws, rows, noise = farthest(stream, np.eye(rounds)[0], banded.column), (), None
    for t, fresh in enumerate(draws):
        rows, noise = stream.step(rows, fresh[None, :], t)
    assert rows[0].dtype == dtype
    assert rows[0][0] == noise[0]
    assert (abs(int(noise[0])) < 2**31) == (dtype is np.int32)
    assert abs(int(noise[0])) == pytest.approx(stream._reach, rel=1e-5)


def test_independent_noise_is_the_rounded_gaussian_itself():
    stream = STRATEGIES["independent"].stream(2.0, 5.0, SIZE)
    assert stream.deviation == pytest.approx(10)
    state, ours, theirs = stream.start(), Keystream.insecure(3), Keystream.insecure(3)
    for _ in range(stream.rounds):
        state, noise = stream.advance(state, ours)
        assert not state.rows
        assert np.array_equal(noise, rounded_gaussian(stream.deviation, SIZE, keystream=theirs))
