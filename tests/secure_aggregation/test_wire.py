"""The wire format: fixed vectors, and nothing else is read."""

import hashlib
import itertools
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.secure_aggregation import Parameters, packing, wire
from fedanalytics.secure_aggregation.outcomes import Reason, Stop
from fedanalytics.secure_aggregation.packing import pack, packed_size, unpack
from fedanalytics.secure_aggregation.wire import SERVER, Kind, Reader


def refused(call, *arguments):
    with pytest.raises(Stop) as caught:
        call(*arguments)
    return caught.value.reason


def test_a_frame_has_its_fixed_layout():
    data = wire.frame(Kind.MASKED, bytes(range(16)), 7, b"payload")
    assert data.hex() == "0106000102030405060708090a0b0c0d0e0f07000000070000007061796c6f6164"
    assert wire.read(data) == wire.Frame(Kind.MASKED, bytes(range(16)), 7, b"payload")


def test_an_offer_has_its_fixed_layout(cohort):
    run = cohort(np.zeros((4, 3), int), Parameters(4, 3, 2, 3, 3, 8, 256), round_=bytes(range(16)))
    assert run.outgoing[0].hex() == (
        "0101000102030405060708090a0b0c0d0e0fffffffff36000000"  # version, kind, round, server, length
        "0400000003000000020000000300000003000000"  # n, k, t, floor, length
        "0820"  # bits, key bytes
        "65837b3e24c10bbb82ec28a82f3dbf4719e53aded4e1757c0c5999e46abdc857"  # roster
    )


def test_a_whole_round_has_its_fixed_bytes(cohort, monkeypatch):
    """Every byte of every message of a round whose randomness is fixed: who changes this changes the version."""
    counter = itertools.count()
    monkeypatch.setattr(os, "urandom", lambda size: hashlib.shake_256(b"%d" % next(counter)).digest(size))
    run = cohort(np.arange(12).reshape(4, 3), Parameters(4, 3, 2, 3, 3, 13), round_=bytes(16))
    found = hashlib.sha256()
    silent = {6: {2}}
    while run.outgoing:
        for i, message in run.outgoing.items():
            found.update(message)
            answer = run.clients[i].receive(message)
            if i not in silent.get(answer[1], ()):
                found.update(answer)
                assert run.server.receive(answer) is None
        closed = run.advance()
    assert closed.total.tolist() == [12, 15, 18]
    assert found.hexdigest() == "ed983bf8855215c88912ece8b63cd2a8457cfb466aa965c5c1d32740bca39310"


@given(st.data())
def test_every_cut_and_every_tail_is_refused(data):
    whole = wire.frame(data.draw(st.sampled_from(Kind)), bytes(16), SERVER, data.draw(st.binary(max_size=20)))
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert refused(wire.read, whole[:cut]) is Reason.MALFORMED
    assert refused(wire.read, whole + data.draw(st.binary(min_size=1))) is Reason.MALFORMED


@pytest.mark.parametrize("data", [None, "text", 7, b"", bytes(26), bytearray(3)])
def test_what_is_no_frame_is_refused(data):
    assert refused(wire.read, data) in {Reason.MALFORMED, Reason.WRONG_VERSION}


def test_other_versions_and_kinds_are_refused():
    assert refused(wire.read, b"\x02" + bytes(25)) is Reason.WRONG_VERSION
    assert refused(wire.read, b"\x01\x0b" + bytes(24)) is Reason.MALFORMED


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_flags_come_back_and_bits_beyond_them_are_refused(flags):
    data = wire.flagged(np.array(flags))
    assert Reader(data).flags(len(flags)).tolist() == flags
    if len(flags) % 8:
        assert refused(Reader(data[:-1] + bytes([data[-1] | 0x80])).flags, len(flags)) is Reason.MALFORMED


def test_a_reader_leaves_nothing_unread():
    reader = Reader(b"abcd")
    assert reader.items(1, 3) == [b"abc"]
    assert refused(reader.done) is Reason.MALFORMED
    assert refused(reader.take, 2) is Reason.MALFORMED
    assert Reader(b"").rest() == b""


def stream(values, bits):
    """The definition: one long little-endian number."""
    number = sum(int(value) << bits * i for i, value in enumerate(values))
    return number.to_bytes(packed_size(len(values), bits), "little")


@given(st.integers(8, 62), st.integers(1, 200), st.integers(0, 2**32))
def test_packing_is_its_definition(bits, count, seed):
    values = np.random.default_rng(seed).integers(0, 2**bits, count).astype(packing.lanes(bits))
    data = pack(values, bits)
    assert data == stream(values, bits)
    assert unpack(data, count, bits).tolist() == values.tolist()


@pytest.mark.parametrize("bits", [8, 13, 32, 62])
def test_long_vectors_come_back(bits):
    count = 500_077
    values = np.random.default_rng(1).integers(0, 2**bits, count).astype(packing.lanes(bits))
    data = pack(values, bits)
    assert len(data) == -(-count * bits // 8)
    assert (unpack(data, count, bits) == values).all()


def test_a_packed_vector_of_another_length_or_with_bits_beyond_it_is_refused():
    data = pack(np.array([1, 2, 3], np.uint32), 12)
    assert refused(unpack, data + b"\0", 3, 12) is Reason.MALFORMED
    assert refused(unpack, data[:-1], 3, 12) is Reason.MALFORMED
    assert refused(unpack, data[:-1] + b"\x10", 3, 12) is Reason.MALFORMED
