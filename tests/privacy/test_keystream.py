from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fedanalytics.errors import BadArgument, FedAnalyticsError
from fedanalytics.privacy.keystream import Keystream

forks = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # Python >= 3.12 warns of any fork


def in_child(work) -> bytes:
    """What `work()` returns in a forked child."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, work())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        result = pipe.read()
    os.waitpid(child, 0)
    return result


def test_words_are_aes_256_in_counter_mode():
    key = bytes(range(32))
    blocks = b"".join(i.to_bytes(16, "big") for i in range(3))
    expected = Cipher(algorithms.AES256(key), modes.ECB()).encryptor().update(blocks)  # noqa: S305  # the definition of CTR
    assert Keystream(key).words(6).astype("<u8").tobytes() == expected


def test_the_aes_256_key_of_a_published_vector():
    """NIST SP 800-38A, F.1.5: the first AES-256 block; our zero counter is reached through its ECB decryption."""
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    ecb = Cipher(algorithms.AES256(key), modes.ECB())  # noqa: S305  # a test vector
    assert ecb.encryptor().update(bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")).hex() == (
        "f3eed1bdb5d2a03c064b5a7e3db181f8"
    )
    assert Keystream(key).words(2).tobytes() == ecb.encryptor().update(bytes(16))


def test_no_word_is_handed_out_twice():
    whole, parts = Keystream.insecure(3), Keystream.insecure(3)
    assert np.array_equal(whole.words(12), np.concatenate([parts.words(n) for n in (1, 0, 2, 5, 1, 3)]))
    many = Keystream().words(100_000)
    assert many.dtype == np.uint64
    assert len(np.unique(many)) == 100_000  # false alarm below 3e-10


def test_only_the_operating_systems_key_is_secure():
    assert Keystream().secure
    assert not Keystream.insecure(0).secure
    assert not Keystream(os.urandom(32)).secure


def test_seeds_repeat_and_differ():
    draws = {seed: Keystream.insecure(seed).words(4).tobytes() for seed in (0, 1, 2, 10**30)}
    assert len(set(draws.values())) == 4
    assert Keystream.insecure(1).words(4).tobytes() == draws[1]


@pytest.mark.parametrize("seed", [-1, 1.5, None, "1", True])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(BadArgument, match="seed="):
        Keystream.insecure(seed)


def test_fresh_streams_differ():
    assert len({Keystream().words(2).tobytes() for _ in range(1000)}) == 1000


def test_threads_get_streams_of_their_own():
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.extend(Keystream().words(2).tobytes() for _ in range(200)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(set(found)) == 1600


@forks
def test_a_secure_stream_is_not_carried_through_a_fork():
    stream = Keystream()

    def child() -> bytes:
        try:
            return stream.words(2).tobytes()
        except FedAnalyticsError as error:
            return str(error).encode()

    assert b"before a fork" in in_child(child)
    assert len(stream.words(2)) == 2  # the parent goes on


@forks
def test_fresh_streams_after_a_fork_differ():
    assert in_child(lambda: Keystream().words(2).tobytes()) != Keystream().words(2).tobytes()
