"""Masks: uniform, cancelling, far from any short linear recurrence, one key one mask."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from scipy import stats

from fedanalytics.secure_aggregation import Parameters
from fedanalytics.secure_aggregation.keys import derive
from fedanalytics.secure_aggregation.masks import add_masks
from fedanalytics.secure_aggregation.transcript import pair_mask, self_mask


def linear_complexity(bits):
    """Berlekamp and Massey over GF(2), polynomials and the past as Python integers."""
    connection, before, length, gap, past = 1, 1, 0, 1, 0
    for i, bit in enumerate(bits):
        past = past << 1 | bit
        if (connection & past).bit_count() & 1:
            kept = connection
            connection ^= before << gap
            if 2 * length <= i:
                length, before, gap = i + 1 - length, kept, 0
        gap += 1
    return length


def twister_bits(count):
    return (np.random.RandomState(1).randint(0, 2**32, count, dtype=np.uint32) & 1).tolist()


def test_the_complexity_test_knows_a_short_register():
    register, bits = 0b1000, []
    for _ in range(200):
        bits.append(register & 1)
        register = register >> 1 | ((register ^ register >> 1) & 1) << 3
    assert linear_complexity(bits) == 4


@pytest.mark.parametrize("key_bytes", [16, 32])
def test_a_bit_of_the_mask_obeys_no_short_recurrence(key_bytes):
    """An ideal sequence of n bits has complexity n/2 within 60 but with probability below 2**-100; see Rueppel 1986."""
    bits = (add_masks(np.zeros(50_000, np.uint32), [bytes(range(key_bytes))]) & 1).tolist()
    assert abs(linear_complexity(bits) - 25_000) < 60


def test_the_same_test_catches_the_mersenne_twister():
    assert linear_complexity(twister_bits(50_000)) <= 19_937


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
@pytest.mark.parametrize("length", [1, 3, 65_536, 65_537, 200_001])
def test_masks_are_the_ciphers_keystream_and_cancel(dtype, length):
    keys = [bytes([i]) * 16 for i in range(3)] + [bytes([9]) * 32]
    total = add_masks(np.full(length, 5, dtype), keys)
    expected = np.full(length, 5, dtype)
    for key in keys:
        stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(expected.nbytes))
        expected += np.frombuffer(stream, dtype)
    assert (total == expected).all()
    assert (add_masks(total, [], keys) == 5).all()


def test_more_keys_than_are_open_at_a_time():
    keys = [i.to_bytes(16, "big") for i in range(600)]
    total = add_masks(np.zeros(100, np.uint32), keys)
    assert not (add_masks(total, keys[:5], keys[:5]) == 0).all()
    assert (add_masks(total, [], keys) == 0).all()


@pytest.mark.parametrize("bits", [8, 20, 32])
def test_masked_values_are_uniform_in_the_ring(bits):
    """Chi-square over the top 8 bits of the ring; fixed key; false alarm 1e-9."""
    values = add_masks(np.full(100_000, 3, np.uint32), [b"k" * 16]) & np.uint32(2**bits - 1)
    counts = np.bincount(values >> (bits - 8), minlength=256)
    assert stats.chisquare(counts).pvalue > 1e-9


def test_keys_differ_by_purpose_round_and_pair():
    parameters = Parameters(4, 3, 2, 3, 3, 8)
    secret, here, there = bytes(32), b"a" * 32, b"b" * 32
    keys = [
        self_mask(parameters, here, 1, secret),
        self_mask(parameters, here, 2, secret),
        self_mask(parameters, there, 1, secret),
        pair_mask(parameters, here, 1, 2, secret),
        pair_mask(parameters, here, 1, 3, secret),
        pair_mask(parameters, there, 1, 2, secret),
        derive(secret, b"channel", here, 1, 2, size=16),
    ]
    assert len(set(keys)) == len(keys)
    assert pair_mask(parameters, here, 2, 1, secret) == keys[3]
    assert {len(key) for key in keys} == {16}
    assert len(pair_mask(Parameters(4, 3, 2, 3, 3, 8, 256), here, 1, 2, secret)) == 32
