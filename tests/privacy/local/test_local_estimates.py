"""Estimates from local reports: variances, intervals that cover, and arguments that cannot be meant.

Coverage of counts is exact, over the law of what is seen; where it is simulated, the seeds are fixed, and the least
coverage that passes lies 4.5 standard deviations (3e-6 one-sided) below the nominal one.
"""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.local import (
    NULL,
    Frequencies,
    HadamardResponse,
    KaryResponse,
    LocalPure,
    PiecewiseResponse,
    SubsetResponse,
    UnaryResponse,
    exact,
    for_bins,
    for_count,
    for_numbers,
)
from fedanalytics.privacy.local.totals import covariance
from fedanalytics.privacy.relations import Relation

# ---------------------------------------------------------------- counts


def seen(mechanism, held, reports):
    """The law of the number of reports that support a bin with `held` holders."""
    p, q = float(mechanism.true), float(mechanism.false)
    holders, others = (stats.binom.pmf(np.arange(n + 1), n, r) for n, r in ((held, p), (reports - held, q)))
    return np.convolve(holders, others)


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 5.0, 12.0])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_intervals_of_counts_cover(epsilon, confidence):
    """At every number of reports, few and many; and they are no wider than the normal law's by more than a tenth."""
    for mechanism, n in itertools.product((for_count(epsilon), for_bins(epsilon, 30)), (1, 3, 30, 150, 400, 1500)):
        low, high = Frequencies(np.arange(n + 1), n, mechanism.true, mechanism.false).interval(confidence)
        assert (low >= 0).all()
        assert (high <= n).all()
        assert (low <= high).all()
        for held in {0, 1, n // 10, n // 3, n}:
            law = seen(mechanism, held, n)
            assert law[(low <= held) & (held <= high)].sum() >= confidence * (1 - 1e-12)
            p, q = float(mechanism.true), float(mechanism.false)
            deviation = math.sqrt(held * p * (1 - p) + (n - held) * q * (1 - q)) / (p - q)
            if deviation * (p - q) > 5:
                assert law @ (high - low) <= 1.1 * 2 * stats.norm.isf((1 - confidence) / 2) * deviation


@pytest.mark.parametrize("mechanism", [for_bins(1.0, 10), for_bins(3.0, 40), for_count(2.0)], ids=repr)
def test_the_exact_and_the_normal_interval_meet(mechanism):
    """Where one takes over from the other, they differ by less than a client and a tenth of a deviation."""
    p, q = float(mechanism.true), float(mechanism.false)
    n = math.ceil(25 / (p * (1 - p) / 2 + q * (1 - q) / 2))
    counts = Frequencies(np.array([round(n * (p + q) / 2)]), n, mechanism.true, mechanism.false)
    normal = counts._wilson(float(stats.norm.isf(0.025)))
    exactly = exact.ends(counts.supports, n, p, q, 0.025)
    assert np.abs(np.subtract(normal, exactly)).max() < 1 + math.sqrt(counts.variance[0]) / 10


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 4.0])
def test_the_variance_is_that_of_many_reports(epsilon):
    """Unbiased: its mean over the exact law is the variance over it, while the estimate is not clamped."""
    mechanism, n, held = for_bins(epsilon, 8), 2000, 700
    law, counts = seen(mechanism, held, n), Frequencies(np.arange(n + 1), n, mechanism.true, mechanism.false)
    assert law @ counts.value == pytest.approx(held, rel=1e-9)
    exact = law @ (counts.value - held) ** 2
    assert law @ counts.variance == pytest.approx(exact, rel=0.01)
    assert law @ counts.variance == pytest.approx(exact, rel=1e-9 if epsilon >= 2 else 0.01)


@pytest.mark.parametrize("relation", [Relation.REPLACE_ONE, Relation.ZERO_OUT])
@pytest.mark.parametrize("short", [False, True])
def test_a_histogram_with_nulls_end_to_end(relation, short):
    """All estimates within 5 standard deviations (1e-5 over the 32), nulls a third of the clients."""
    mechanism = for_bins(1.0, 8, relation=relation, short=short)
    held = np.repeat(np.arange(-1, 8), [20_000, 100, 0, 20_000, 1_000, 5_000, 9_000, 4_000, 900])
    estimate = mechanism.estimate(mechanism.sums(held, Keystream.insecure(3)), len(held))
    truth = np.bincount(held[held >= 0], minlength=8)
    assert (np.abs(estimate.value - truth) < 5 * np.sqrt(estimate.variance)).all()
    low, high = estimate.interval(1 - 1e-5 / 32)
    assert ((low <= truth) & (truth <= high)).all()


@pytest.mark.parametrize(
    "mechanism",
    [
        KaryResponse(5, 0.5),
        UnaryResponse(5, 0.5, 0.2),
        SubsetResponse(5, 2, 0.3),
        HadamardResponse(5, 0.4),
        PiecewiseResponse(4, 2, 0.3),
    ],
    ids=repr,
)
def test_sums_are_the_sums_of_reports(mechanism):
    values = np.arange(-1, 5).repeat(50)
    reports = mechanism.reports(values, Keystream.insecure(1))
    assert reports.shape == (300, mechanism.columns)
    assert mechanism.sums(values, Keystream.insecure(1)).tolist() == reports.sum(axis=0, dtype=np.int64).tolist()
    assert mechanism.sums([], Keystream.insecure(1)).tolist() == [0] * mechanism.columns
    assert (mechanism.reports(values) != mechanism.reports(values)).any()  # fresh keys


# ---------------------------------------------------------------- sums and means of numbers


def test_the_sample_covariance_is_unbiased_by_enumeration():
    """Of sums of two independent terms of different laws, when their means agree; otherwise too great by theory."""
    for one, two in itertools.product([((0, 2), (1, 3)), ((-1, 1), (1, 1))], [((-3, 1), (5, 3)), ((2, 1), (4, 1))]):
        cases = [(x, y, Fraction(v * w, sum_)) for (x, v), (y, w) in itertools.product(one, two)
                 for sum_ in [sum(v for _, v in one) * sum(w for _, w in two)]]  # fmt: skip
        found = sum(p * Fraction(covariance(x * x + y * y, x + y, x + y, 2)) for x, y, p in cases)
        mean = [sum(p * z[i] for *z, p in cases) for i in (0, 1)]
        variance = sum(p * (x + y - sum(mean)) ** 2 for x, y, p in cases)
        assert found == variance + (mean[0] - mean[1]) ** 2


NUMBERS = {
    "constant": lambda n: np.full(n, 0.4),
    "spread": lambda n: np.linspace(-1, 1, n),
    "extremes and nulls": lambda n: np.resize([1.0, -1.0, np.nan, 1.0], n),
}


@pytest.mark.parametrize("values", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize(("epsilon", "n"), [(0.5, 10), (1.0, 300), (2.0, 1000), (4.0, 40), (4.0, 1000), (7.0, 300)])
@pytest.mark.parametrize("relation", [Relation.REPLACE_ONE, Relation.ZERO_OUT])
def test_intervals_of_totals_and_means_cover(values, epsilon, n, relation):
    """400 rounds each, at 90 %: at least 83.2 %; unbiased within 4.5 standard errors."""
    rounds, z, stream = 400, values(n), Keystream.insecure(4)
    plain, counted = (for_numbers(epsilon, counted=c, relation=relation) for c in (False, True))
    total, mean = np.nansum(z), np.nanmean(z)
    reports = plain.reports(np.tile(z, rounds), stream).reshape(rounds, n, -1).sum(axis=1)
    totals = [plain.estimate(sums, n) for sums in reports]
    ends = np.array([t.interval(0.9) for t in totals])
    assert np.mean((ends[:, 0] <= total + 1e-6) & (total - 1e-6 <= ends[:, 1])) >= 0.832
    estimates = np.array([t.value for t in totals])
    assert abs(estimates.mean() - total) <= 4.5 * estimates.std() / math.sqrt(rounds) + 1e-6
    assert estimates.var() <= 1.5 * np.mean([t.variance for t in totals])
    reports = counted.reports(np.tile(z, rounds), stream).reshape(rounds, n, -1).sum(axis=1)
    ends = np.array([counted.mean(sums, n).interval(0.9) for sums in reports])
    assert np.mean((ends[:, 0] <= mean + 1e-6) & (mean - 1e-6 <= ends[:, 1])) >= 0.832
    assert (np.abs(ends) <= 1).all()


@pytest.mark.parametrize(("epsilon", "n"), [(0.5, 64), (0.5, 400), (1.0, 100), (2.0, 250), (2.0, 800)])
@pytest.mark.parametrize("z", [-0.9, 0.0, 0.3])
@pytest.mark.parametrize("confidence", [0.5, 0.9])
def test_intervals_of_totals_cover_exactly(epsilon, n, z, confidence):
    """From two points, over the exact law of the sum: a binomial one. 1 % is left to the normal law."""
    mechanism = PiecewiseResponse(2, 1, 2 / (1 + math.exp(epsilon)))
    ups = np.arange(n + 1)
    law = stats.binom.pmf(ups, n, (1 + float(mechanism.gain) * z) / 2)
    totals = [mechanism.estimate([2 * up - n, n], n) for up in ups.tolist()]
    assert all(t.normal for t in totals)
    low, high = np.array([t.interval(confidence) for t in totals]).T
    covered = law[(low <= n * z) & (n * z <= high)].sum()
    assert covered >= confidence - 0.01
    assert law @ np.array([t.variance for t in totals]) == pytest.approx(law @ (totals_of(totals) - n * z) ** 2)


def totals_of(totals):
    return np.array([t.value for t in totals])


@pytest.mark.parametrize("epsilon", [1.0, 3.0])
@pytest.mark.parametrize(("low", "high"), [(-0.5, 0.9), (0.9, 0.9), (-1.0, -0.8)])
def test_means_are_as_certain_as_they_say(epsilon, low, high):
    """400 rounds with a third of nulls: the deviation is the one stated, within 16 % (4.5 standard errors).

    The sample's variance has the spread of the clients' numbers in it: where there is some, up to 30 % less is seen.
    """
    mechanism, n, stream = for_numbers(epsilon, counted=True), 6000, Keystream.insecure(6)
    z = np.where(np.arange(n) % 3 == 0, np.nan, np.linspace(low, high, n))
    means = [mechanism.mean(mechanism.sums(z, stream), n) for _ in range(400)]
    stated = np.mean([m.standard_error for m in means])
    values = np.array([m.value for m in means if abs(m.value) < 1])
    if len(values) == 400:  # otherwise clamped
        assert (0.84 if high - low < 1 else 0.7) < values.std() / stated < 1.16
    widths = [np.ptp(m.interval(0.95)) for m in means if np.abs(m.interval(0.95)).max() < 1]
    assert widths == pytest.approx([3.92 * stated] * len(widths), rel=0.25)
    assert abs(np.median([m.value for m in means]) - np.nanmean(z)) < 6 * stated / math.sqrt(400)


def test_nobody_says_nothing():
    mechanism = for_numbers(1.0, counted=True)
    assert mechanism.estimate([0, 0, 0], 0).interval(0.95) == (0, 0)
    assert mechanism.mean([0, 0, 0], 0).interval(0.95) == (-1.0, 1.0)
    assert mechanism.mean([0, 0, 0], 0).value == 0.0
    low, high = for_bins(1.0, 3).estimate([0, 0, 0, 0], 0).interval(0.95)
    assert low.tolist() == high.tolist() == [0, 0, 0]


# ---------------------------------------------------------------- what cannot be meant


@pytest.mark.parametrize("epsilon", [0, -1, math.nan, math.inf, "1", None, True, 1e-9, 100])
def test_an_epsilon_that_cannot_be_meant(epsilon):
    for choose in (lambda e: for_bins(e, 4), for_count, for_numbers):
        with pytest.raises(BadArgument, match="epsilon="):
            choose(epsilon)


@pytest.mark.parametrize("bins", [1, 0, -3, 2.5, None, "4"])
def test_fewer_than_two_bins(bins):
    with pytest.raises(BadArgument, match="bins="):
        for_bins(1.0, bins)


@pytest.mark.parametrize("relation", ["add-or-remove-one", "neighbours", None])
def test_local_reports_do_not_hide_that_a_client_answered(relation):
    mechanisms = KaryResponse(2, 0.5), UnaryResponse(2, 0.5, 0.2), SubsetResponse(2, 1, 0.3), HadamardResponse(2, 0.4)
    for make in (
        lambda: for_bins(1.0, 4, relation=relation),
        lambda: for_numbers(1.0, relation=relation),
        lambda: LocalPure(1.0, relation),
        *(lambda m=m: m.odds(relation) for m in (*mechanisms, PiecewiseResponse(2, 1, 0.5))),
        *(lambda m=m: m.event(relation) for m in (*mechanisms, PiecewiseResponse(2, 1, 0.5))),
    ):
        with pytest.raises(BadArgument, match="relation="):
            make()


@pytest.mark.parametrize(
    "bins", [[0, 4], [-2], [0.0, 1.0], [math.nan], [[0, 1]], ["a"], [True], 3], ids=["above", "below", *"abcdef"]
)
def test_bins_out_of_range(bins):
    for mechanism in (KaryResponse(4, 0.5), HadamardResponse(4, 0.5)):
        with pytest.raises(BadArgument, match="bins="):
            mechanism.reports(bins)
        with pytest.raises(BadArgument, match="bins="):
            mechanism.sums(bins)


@pytest.mark.parametrize("values", [[[1.0]], ["0.5"], 0.5, [None]])
def test_values_that_are_no_numbers(values):
    with pytest.raises(BadArgument, match="values="):
        for_numbers(1.0).reports(values)


@pytest.mark.parametrize("sums", [[1, 2], [1.0, 2.0, 3.0], [[1, 2, 3]], 4])
def test_sums_of_another_shape(sums):
    for mechanism in (KaryResponse(2, 0.5), for_numbers(1.0, counted=True)):
        with pytest.raises(BadArgument, match="sums="):
            mechanism.estimate(sums, 3)


def test_numbers_of_reports_and_confidences():
    for mechanism, sums in ((KaryResponse(2, 0.5), [1, 1, 1]), (PiecewiseResponse(2, 1, 0.5), [1, 1])):
        for reports in (-1, 1.5, None):
            with pytest.raises(BadArgument, match="reports="):
                mechanism.estimate(sums, reports)
        for confidence in (0, 1, math.nan, "0.9"):
            with pytest.raises(BadArgument, match="confidence="):
                mechanism.estimate(sums, 3).interval(confidence)
    with pytest.raises(BadArgument, match="confidence="):
        for_numbers(1.0, counted=True).mean([0, 0, 0], 3).interval(2)
    with pytest.raises(BadArgument, match="counted"):
        for_numbers(1.0).mean([0, 0], 3)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: KaryResponse(0, 0.5), "bins="),
        (lambda: KaryResponse(2, 0.0), "noise="),
        (lambda: KaryResponse(2, math.nan), "noise="),
        (lambda: UnaryResponse(2, 0.5, 0.5), "other="),
        (lambda: UnaryResponse(2, 0.5, 0), "other="),
        (lambda: UnaryResponse(2, 1.0, 0.2), "lost="),
        (lambda: SubsetResponse(3, 4, 0.1), "size="),
        (lambda: SubsetResponse(3, 2, 0.6), "miss="),
        (lambda: HadamardResponse(1, 0.5), "bins="),
        (lambda: HadamardResponse(2, 1.0), "noise="),
        (lambda: PiecewiseResponse(1, 1, 0.5), "points="),
        (lambda: PiecewiseResponse(3, 3, 0.5), "window="),
        (lambda: PiecewiseResponse(3, 1, 2), "noise="),
        (lambda: PiecewiseResponse(3, 1, 0.5, "none"), "null="),
        (lambda: PiecewiseResponse(2**21, 1, 0.5), "points="),
        (lambda: LocalPure(0.0), "loss="),
        (lambda: LocalPure(math.inf), "loss="),
    ],
)
def test_fields_that_cannot_be_meant(make, name):
    with pytest.raises(BadArgument, match=name):
        make()


def test_null_is_no_bin():
    assert NULL == -1
