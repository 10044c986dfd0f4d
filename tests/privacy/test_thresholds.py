"""Table mode: right next to every threshold, and the same integers as the float path from the same words."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

import numpy as np
import pytest

from fedanalytics.privacy import margin, thresholds
from fedanalytics.privacy.inversion import draw, settle
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.laws import RoundedGaussian, Skellam, TwoSidedGeometric

LAWS = [
    *(RoundedGaussian(sigma) for sigma in (2.0**-10, 0.05, 0.3, 1.0, 3.7, 64.0, 128.0)),
    *(TwoSidedGeometric(scale) for scale in (2.0**-10, 0.05, 0.3, 1.0, 3.7, 64.0, 128.0)),
    *(Skellam(variance) for variance in (2.0**-20, 0.01, 1.0, 13.7, 4096.0, 2.0**18 * 0.999)),
]
SOME = [RoundedGaussian(0.3), RoundedGaussian(20.0), TwoSidedGeometric(3.7), Skellam(0.01), Skellam(400.0)]
WITH_FLOATS = [law for law in LAWS if not isinstance(law, Skellam)]


@pytest.fixture(autouse=True)
def _no_table_yet():
    thresholds._slot.cache_clear()


def exact(law, k):
    """The m of a cell by integer comparisons alone; a cell with a threshold in it takes q in its middle."""
    return settle(law, k, margin.BITS, 0, lambda: 1 << 63)


def by_floats(law, words):
    """`draw` without a table; draws on a law of another slot, so the count of draws wanted cannot bring one."""
    k = (words >> 1).view(np.int64)
    m, unproven = margin.inverted(law, k)
    for i in unproven.tolist():
        m[i] = settle(law, int(k[i]), margin.BITS, int(m[i]), lambda: 1 << 63)
    return np.where(words & 1, -m, m)


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_a_threshold_is_within_one_of_the_truth(law):
    edges = thresholds.build(law).edges.tolist()
    assert edges == sorted(edges)
    assert edges[0] == 0
    assert edges[-1] == 2**63 - 1
    count = len(edges) - 2
    for j in {*range(1, min(count, 4) + 1), *range(1, count + 1, 97), count} - {0}:
        low, high = law.survival(j, margin.BITS + 32)
        assert low - 2**32 < edges[-1 - j] << 32 < high + 2**32
    assert law.survival(count + 1, margin.BITS + 32)[1] < 2**32  # none is missing


@pytest.mark.parametrize("law", SOME, ids=repr)
def test_cells_next_to_every_threshold(law):
    """What the table proves is what integers say, on both sides of each threshold; what it does not is at the edge."""
    table = thresholds.build(law)
    edges = table.edges[1:-1]
    for step in (-(2**47), -3, -2, -1, 0, 1, 2, 3, 2**47):
        k = np.unique((edges + step).clip(0, 2**63 - 1))
        m, unproven = table.inverted(k)
        left = set(unproven.tolist())
        for i in range(0, len(k), 1 + len(k) // 60):
            if i not in left:
                assert m[i] == exact(law, int(k[i]))
        if abs(step) <= 1:
            assert len(left) == len(k)
        elif abs(step) < 4:
            assert len(left) < len(k) / 2 + 3


@pytest.mark.parametrize("law", SOME, ids=repr)
def test_both_ends(law):
    k = np.array([0, 1, 2**63 - 2, 2**63 - 1])
    m, unproven = thresholds.build(law).inverted(k)
    assert {0, 1, 3} <= set(unproven.tolist())
    assert m.dtype == np.int64


@pytest.mark.parametrize("law", SOME, ids=repr)
def test_the_guide_knows_whole_sixteenths(law):
    """Where the first 16 bits tell m, the first and the last cell have it."""
    guide = thresholds.build(law).guide
    known = np.flatnonzero(guide >= 0)
    assert len(known) > 0.9 * len(guide)
    for c in known[:: max(1, len(known) // 40)].tolist():
        assert exact(law, c << 47) == exact(law, (c + 1 << 47) - 1) == guide[c]


@dataclass(frozen=True)
class Steps(RoundedGaussian):
    """A law whose thresholds are given, in cells."""

    cells: tuple[int, ...] = ()

    def survival(self, j, bits):
        cell = 2**63 if j <= 0 else self.cells[j - 1] if j <= len(self.cells) else 0
        return (cell << bits - margin.BITS,) * 2


@pytest.mark.parametrize("beside", [-2, -1, 0, 1, 2])
def test_thresholds_where_the_guide_changes(beside):
    """At and next to a first cell of a sixteenth: the cells on both sides of the seam."""
    law = Steps(1.0, tuple((c << 47) + beside for c in (60_000, 40_000, 300, 1)))
    table = thresholds.build(law)
    for edge in law.cells:
        k = np.arange(edge - 5, edge + 6)
        m, unproven = table.inverted(k)
        assert k[unproven].tolist() == [edge - 1, edge, edge + 1]
        assert np.delete(m, unproven).tolist() == [exact(law, x) for x in np.delete(k, unproven).tolist()]


@pytest.mark.parametrize("law", WITH_FLOATS, ids=repr)
def test_both_paths_turn_the_same_words_into_the_same_integers(law):
    words = Keystream.insecure(21).words(100_000)
    thresholds._slot(law).table = thresholds.build(law)
    with_table = draw(law, len(words), Keystream.insecure(21))
    assert np.array_equal(with_table, by_floats(law, words))


def test_the_expansion_and_the_table_agree_where_they_meet():
    """Above the limit the floats are good; a table built there says the same."""
    law = Skellam(2.0**18 * 1.001)
    words = Keystream.insecure(22).words(100_000)
    assert thresholds.worthwhile(law, 10**9) is None
    m, unproven = thresholds.build(law).inverted((words >> 1).view(np.int64))
    assert not len(unproven)
    assert np.array_equal(np.where(words & 1, -m, m), by_floats(law, words))


def test_a_table_comes_when_it_has_paid_for_itself():
    law = RoundedGaussian(3.0)
    assert thresholds.worthwhile(law, 1000) is None
    assert thresholds.worthwhile(law, int(law.table_pays_after) - 1001) is None
    table = thresholds.worthwhile(law, 1)
    assert table is thresholds.worthwhile(law, 1)
    assert thresholds.worthwhile(RoundedGaussian(3.5), 1) is None  # another law, another count
    assert thresholds.worthwhile(TwoSidedGeometric(3.0), 1) is None


def test_wide_laws_have_none_and_narrow_skellam_laws_always():
    assert thresholds.worthwhile(RoundedGaussian(128.5), 10**12) is None
    assert thresholds.worthwhile(TwoSidedGeometric(1e6), 10**12) is None
    assert thresholds.worthwhile(Skellam(2.0**18), 10**12) is None
    assert thresholds.worthwhile(Skellam(2.0**10), 1) is not None
    assert math.isinf(Skellam(2.0**18).table_pays_after)


def test_the_memory_of_tables_is_bounded():
    for i in range(1, 60):
        thresholds.worthwhile(Skellam(float(i)), 1)
    assert thresholds._slot.cache_info().currsize <= 16
    assert all(thresholds.build(law).edges.nbytes + 2**17 < 200_000 for law in LAWS[-1:])


def test_threads_that_need_the_same_table_at_once():
    law, found = Skellam(900.0), {}

    def work(seed):
        found[seed] = draw(law, 5000, Keystream.insecure(seed))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[seed], draw(law, 5000, Keystream.insecure(seed))) for seed in range(8))
