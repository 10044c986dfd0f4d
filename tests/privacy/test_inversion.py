"""Exactness: the same bits, inverted by mpmath at 200 digits, give the same integer, next to a threshold too.

Narrow Skellam laws pass through their table here, all other draws through floats; test_thresholds.py has the tables.
"""

from __future__ import annotations

import functools
import random

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedanalytics.privacy import inversion, margin
from fedanalytics.privacy.inversion import draw, settle
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.laws import RoundedGaussian, Skellam, TwoSidedGeometric

MP = mpmath.mp.clone()
MP.prec = 700

KINDS = (RoundedGaussian, TwoSidedGeometric, Skellam)
FIRST, WORD = margin.BITS, 64


class Scripted(Keystream):
    """Hands out the given words, and fails when they run out."""

    def __init__(self, words):
        super().__init__(bytes(32))
        self.left = list(words)

    def words(self, count):
        out, self.left = self.left[:count], self.left[count:]
        assert len(out) == count, "read past the script"
        return np.array(out, np.uint64)


def of(kind, spread):
    """The law of that spread."""
    return kind(spread**2 if issubclass(kind, Skellam) else spread)


@functools.cache
def skellam_waves(variance):
    """Half the period n of the trapezoidal rule, and phi / sin at pi t/n, until phi is below 2**-600."""
    v, half, weights, phi = MP.mpf(variance), int(60 * MP.sqrt(variance)) + 800, [], 1  # P(|Z| > half) < 2**-600
    while len(weights) < half and half * phi > MP.mpf(2) ** -650:
        sine = MP.sin(MP.pi * (len(weights) + 1) / (2 * half + 1))
        phi = MP.exp(-2 * v * sine**2)
        weights.append(phi / sine)
    return half, weights


@functools.cache
def skellam_survival(variance, j):
    """By the trapezoidal rule for the integral of the characteristic function."""
    half, weights = skellam_waves(variance)
    turn = MP.expjpi(MP.mpf(2 * j - 1) / (2 * half + 1))
    inside, power = MP.mpf(2 * j - 1), MP.mpf(1)
    for weight in weights:
        power *= turn
        inside += 2 * weight * power.imag
    return 1 - inside / (2 * half + 1)


def survival(law, j):
    """P(|Z| >= j) by mpmath."""
    if isinstance(law, Skellam):
        return skellam_survival(law.variance, j) if j > 0 else MP.mpf(1)
    s = MP.mpf(law.spread)
    if isinstance(law, RoundedGaussian):
        return MP.erfc((2 * j - 1) / (s * MP.sqrt(8)))
    return 2 * MP.exp(-j / s) / (1 + MP.exp(-1 / s))


def inverse(law, q):
    """The m of q by mpmath: by its inverse functions, or where there is none, by walking from the normal law."""
    s = MP.mpf(law.spread)
    if isinstance(law, RoundedGaussian):
        y = MP.mpf(0.5) + s * MP.sqrt(2) * MP.erfinv(1 - q)
    elif isinstance(law, Skellam):
        m = int(MP.floor(MP.mpf(0.5) + s * MP.sqrt(2) * MP.erfinv(1 - q)))
        while survival(law, m + 1) > q:
            m += 1
        while survival(law, m) <= q:
            m -= 1
        return m
    else:
        y = s * (MP.log(2 / (1 + MP.exp(-1 / s))) - MP.log(q))
    return int(MP.floor(y))


def script(prefix: int, bits: int, sign: int = 0) -> list[int]:
    """The words whose first `bits` bits of q (63, 127, 191, ...) are `prefix`."""
    words = []
    while bits > FIRST:
        words.append(prefix % 2**WORD)
        prefix, bits = prefix >> WORD, bits - WORD
    return [prefix << 1 | sign, *reversed(words)]


# ---------------------------------------------------------------- tiny words


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", [0.3, 2.0, 50.0])
@pytest.mark.parametrize("guess", [0, 3, 1000])
def test_every_tiny_word(kind, spread, guess):
    """All 32 prefixes of five bits: nearly every one needs refinement, and most strides and bisections are walked."""
    law, source = of(kind, spread), random.Random(guess)  # noqa: S311  # test words
    for k in range(32):
        read: list[int] = []

        def more(read=read) -> int:
            read.append(source.getrandbits(WORD))
            return read[-1]

        m, q = settle(law, k, 5, guess, more), k
        for word in read:
            q = q << WORD | word
        bits = 5 + WORD * len(read)
        assert inverse(law, MP.mpf(2 * q + 1) / 2 ** (bits + 1)) == m


@settings(deadline=None)
@given(
    st.sampled_from(KINDS),
    st.floats(2.0**-10, 2.0**36),
    st.integers(1, 80).flatmap(lambda bits: st.tuples(st.just(bits), st.integers(0, 2**bits - 1))),
    st.integers(0, 2**40),
    st.integers(0, 2**32),
)
def test_settle_agrees_with_mpmath(kind, spread, start, guess, seed):
    (bits, k), read, law, source = start, [], of(kind, spread), random.Random(seed)  # noqa: S311  # test words

    def more() -> int:
        read.append(source.getrandbits(WORD))
        return read[-1]

    m, q = settle(law, k, bits, guess, more), k
    for word in read:
        q = q << WORD | word
    assert inverse(law, MP.mpf(2 * q + 1) / 2 ** (bits + WORD * len(read) + 1)) == m


# ---------------------------------------------------------------- boundary torture

PLACES = [(0.05, 1), (0.3, 1), (0.3, 3), (1.0, 1), (1.0, 8), (3.7, 20), (64.0, 1), (64.0, 500), (1000.0, 1)]
PLACES += [(1000.0, 6000), (2.0**20, 10**6), (2.0**30 * 1.1, 3 * 10**9), (2.0**36, 1), (2.0**36, 2**38)]
TORTURES = [
    (of(kind, spread), j, bits)
    for kind in KINDS
    for spread, j in PLACES
    for bits in (FIRST, FIRST + WORD, FIRST + 2 * WORD, FIRST + 3 * WORD)
    if survival(of(kind, spread), j) > MP.mpf(2) ** (20 - bits)  # else the threshold lies beyond these bits
]


@pytest.mark.parametrize(("law", "j", "bits"), TORTURES)
def test_words_next_to_a_threshold(law, j, bits):
    """q one or two steps of 2**-63, 2**-127, ... beside S(j), where m changes from j to j - 1; both signs."""
    threshold, spare = MP.ldexp(survival(law, j), bits), 2**63
    clear = abs(threshold - MP.nint(threshold)) > 2**-12  # S is not so near to a multiple of 2**-bits itself
    for step in (-2, -1, 1, 2):
        prefix = int(MP.floor(threshold)) + step
        expected = j if step < 0 else j - 1
        assert inverse(law, MP.mpf(2 * prefix + 1) / 2 ** (bits + 1)) == expected
        for sign in (0, 1):
            stream = Scripted([*script(prefix, bits, sign), spare])
            assert draw(law, 1, stream).tolist() == [expected * (-1) ** sign]
            assert stream.left == [spare] or not clear  # just as many words as are needed: none could be spared


@pytest.mark.parametrize(
    ("kind", "spread"),
    [
        *((kind, spread) for kind in KINDS for spread in (1000.0, 2.0**20, 2.0**30 * 1.1, 2.0**36)),
        *((kind, spread) for kind in KINDS[:2] for spread in (0.3, 1.0, 64.0)),
    ],
)
def test_the_float_path_hands_over_before_it_errs(kind, spread):
    """Cells 2**e beside thresholds: far ones are decided by floats, near ones by integers, all of them rightly."""

    class Counted(kind):
        compared = 0

        def survival(self, at, bits):
            Counted.compared += 1
            return super().survival(at, bits)

    law, paths = of(Counted, spread), {"float": 0, "integer": 0}
    draw(law, 1, Keystream.insecure(0))  # the self-check compares too
    for j in {1, round(spread) + 1, round(2.5 * spread) + 1}:
        threshold = int(MP.floor(MP.ldexp(survival(law, j), FIRST)))
        for e in range(62):
            for k in (threshold - 2**e, threshold + 2**e):
                if 0 < k < 2**FIRST:
                    before = Counted.compared
                    [z] = draw(law, 1, Scripted([2 * k, 2**63]))
                    paths["float" if Counted.compared == before else "integer"] += 1
                    assert z == inverse(law, MP.mpf(2 * k + 1) / 2 ** (FIRST + 1))
    assert paths["float"] > 20
    assert paths["integer"] > 40


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", [2.0**-10, 0.05, 1.0, 1000.0, 2.0**36])
def test_the_deepest_tail(kind, spread):
    """63, 127 and 191 zero bits: |m| grows by at most spread ln 2 a bit, and stays far below 2**63."""
    law = of(kind, spread)
    for zeros in (0, 1, 2):
        [z] = draw(law, 1, Scripted([1, *[0] * zeros, 2**63 + 1, 2**63]))
        bits = FIRST + WORD * zeros + WORD
        assert z == -inverse(law, (MP.mpf(2**63 + 1) + 0.5) / MP.mpf(2) ** bits)
        assert abs(int(z)) <= (spread + (kind is Skellam)) * bits * 0.7 + 1 < 2**45


@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_q_is_zero(kind):
    for sign in (0, 1):
        [z] = draw(of(kind, 5.0), 1, Scripted([2**64 - 2 + sign]))
        assert z == 0


# ---------------------------------------------------------------- words and draws


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 1, 2, inversion._CHUNK - 1, inversion._CHUNK, 2 * inversion._CHUNK + 1])
def test_one_word_a_draw_in_order(kind, size):
    """Across passes too; the reference reads the words by other means (big integers, mpmath for a sample)."""
    law, words = of(kind, 3.7), Keystream.insecure(size + 1).words(size)
    z = draw(law, size, Scripted(words))
    assert z.shape == (size,)
    assert z.dtype == np.int64
    for i in {*range(0, size, 97), *range(max(size - 3, 0), size)}:
        k, sign = divmod(int(words[i]), 2)
        assert z[i] == inverse(law, MP.mpf(2 * k + 1) / 2**64) * (-1) ** sign


@pytest.mark.parametrize("kind", KINDS)
def test_refinement_is_as_rare_as_it_was_predicted(kind):
    """About 2 * 2**-42 * spread * E(1 + |quantile|) of the draws, which is what makes the speed."""

    class Counted(kind):
        compared = 0

        def survival(self, at, bits):
            Counted.compared += 1
            return super().survival(at, bits)

    law, size = of(Counted, 2.0**32), 1 << 16
    draw(law, 1, Keystream.insecure(0))
    Counted.compared = 0
    draw(law, size, Keystream.insecure(1))
    refined = Counted.compared / 2  # two comparisons bracket a right guess
    expected = 2 * 2.0**-42 * 2.0**32 * 1.8 * size
    assert 0.7 * expected < refined < 1.6 * expected
