"""The codec against one written another way here, against protobuf where it is installed, and against damage."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedanalytics.datasets import decode_example, encode_example
from fedanalytics.errors import BadArgument

INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False)
VALUES = (
    st.lists(st.binary(max_size=20), min_size=1, max_size=5).map(tuple)
    | st.lists(INT64, max_size=20).map(lambda v: np.array(v, np.int64))
    | st.lists(FLOAT32, max_size=20).map(lambda v: np.array(v, np.float32))
)
FEATURES = st.dictionaries(st.text(max_size=8), VALUES, max_size=5)


def exactly(value):
    """Bit by bit, but that a NaN is a NaN."""
    if isinstance(value, tuple):
        return value
    bits = np.where(np.isnan(value), np.nan, value) if value.dtype.kind == "f" else value
    return value.dtype, bits.tobytes()


def same(ours, theirs):
    return {name: exactly(v) for name, v in ours.items()} == {name: exactly(v) for name, v in theirs.items()}


@given(FEATURES)
def test_a_round_trip_changes_nothing(features):
    assert same(decode_example(encode_example(features)), features)


# ---------------------------------------------------------------- an independent decoder: a bit stream, by recursion


def plain(blob):
    """The features, decoded slowly with nothing shared with the package: valid input only."""

    def number(data):
        bits, count = "", 0
        for byte in data:
            bits, count = f"{byte & 127:07b}" + bits, count + 1
            if not byte & 128:
                return int(bits, 2), data[count:]
        raise AssertionError

    def fields(data):
        if not data:
            return []
        key, data = number(data)
        kind = key % 8
        if kind == 0:
            value, data = number(data)
        else:
            size, data = (8, data) if kind == 1 else (4, data) if kind == 5 else number(data)
            value, data = data[:size], data[size:]
        return [(key // 8, kind, value), *fields(data)]

    def signed(value):
        return struct.unpack("<q", struct.pack("<Q", value))[0]

    def integers(data):
        found = []
        while data:
            value, data = number(data)
            found.append(signed(value))
        return found

    out = {}
    for _, _, features in fields(blob):
        for _, _, entry in fields(features):
            name = next(v for n, _, v in fields(entry) if n == 1).decode()
            ((kind, _, values),) = fields(next(v for n, _, v in fields(entry) if n == 2))
            if kind == 1:
                out[name] = tuple(v for _, _, v in fields(values))
            elif kind == 2:
                raw = b"".join(v for _, _, v in fields(values))
                out[name] = np.array(struct.unpack(f"<{len(raw) // 4}f", raw), np.float32)
            else:
                lists = [[signed(v)] if wire == 0 else integers(v) for _, wire, v in fields(values)]
                out[name] = np.array([v for each in lists for v in each], np.int64)
    return out


@given(FEATURES)
def test_what_is_written_reads_the_same_elsewhere(features):
    assert same(plain(encode_example(features)), features)


def field(number, payload, wire=2):
    return varint(number << 3 | wire) + (varint(len(payload)) if wire == 2 else b"") + payload


def varint(value):
    return bytes([value]) if value < 128 else bytes([value % 128 + 128]) + varint(value // 128)


def example(value, name=b"x"):
    return field(1, field(1, field(1, name) + field(2, value)))


def test_numbers_that_are_not_packed_and_fields_that_are_unknown():
    integers = b"".join(field(1, varint(v), wire=0) for v in (1, 300, 2**64 - 1)) + field(1, varint(7) + varint(2**40))
    floats = field(1, struct.pack("<f", 0.5), wire=5) + field(1, struct.pack("<2f", 1.0, 2.0))
    unknown = field(9, b"skip") + field(8, varint(5), wire=0) + field(7, bytes(8), wire=1) + field(6, bytes(4), wire=5)
    blob = unknown + example(field(3, unknown + integers)) + example(field(2, floats) + unknown, b"f")
    assert same(
        decode_example(blob),
        {"x": np.array([1, 300, -1, 7, 2**40]), "f": np.array([0.5, 1.0, 2.0], np.float32)},
    )
    known = example(field(3, integers)) + example(field(2, floats), b"f")
    assert same(plain(known), decode_example(blob))


def test_messages_in_pieces_are_merged_and_the_last_kind_and_name_count():
    one, two = field(3, field(1, varint(1))), field(3, field(1, varint(2)))
    floats = field(2, field(1, struct.pack("<f", 0.5)))
    assert decode_example(example(one + two))["x"].tolist() == [1, 2]
    assert decode_example(example(one + floats + two))["x"].tolist() == [2]
    assert decode_example(example(one) + example(two))["x"].tolist() == [2]
    assert decode_example(example(one) + example(b"")) == {}
    assert decode_example(field(1, field(1, field(1, b"x") + field(2, one) + field(2, two))))["x"].tolist() == [1, 2]
    assert decode_example(b"") == {}


def test_many_small_pieces_are_no_trouble():
    blob = example(field(3, field(1, varint(1))) * 50_000)  # to join each with all before it would take minutes
    assert decode_example(blob)["x"].size == 50_000


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize(
    ("blob", "why"),
    [
        (b"\x0a", "cut off"),
        (b"\x0a\x05\x0a", "ends at byte 7 of 3"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "cut off: a value ends at byte 18446744073709551626 of 11"),
        (b"\xff" * 20, "more than 64 bits"),
        (b"\x0a" + b"\x80" * 9 + b"\x02", "more than 64 bits"),
        (b"\x0d\x00\x00\x00", "cut off"),
        (b"\x09" + bytes(7), "cut off"),
        (b"\x08", "cut off"),
        (b"\x0b\x0c", "wire type 3"),
        (b"\x0e", "wire type 6"),
        (b"\x02\x00", "number 0"),
        (varint((1 << 32) << 3 | 2) + b"\x00", "number 4294967296"),
        (example(field(2, field(1, bytes(5)))), "5 bytes are no list of 4-byte floats"),
        (example(field(3, field(1, b"\x80"))), "a list of integers is cut off"),
        (example(field(3, field(1, b"\x80" * 10 + b"\x01"))), "more than 64 bits"),
        (example(field(3, field(1, b"\x80" * 9 + b"\x02"))), "more than 64 bits"),
        (example(field(3, field(1, b"\x05") + b"\x0a\x03\x01")), "cut off"),
        (example(field(3, field(1, b"\x05")), b"\xff\xfe"), "name is not UTF-8"),
    ],
)
def test_malformed_blobs_are_refused_by_name(blob, why):
    with pytest.raises(BadArgument, match=f"not a tf.train.Example: .*{why}"):
        decode_example(blob)


def test_every_truncation_is_refused_or_a_shorter_example():
    blob = encode_example({"label": np.array([3]), "pixels": np.linspace(0, 1, 20)})
    whole = decode_example(blob)
    for end in range(1, len(blob)):
        with pytest.raises(BadArgument):
            decode_example(blob[:end])
    assert set(whole) == {"label", "pixels"}


def accepted(blob):
    try:
        return decode_example(blob)
    except BadArgument:
        return None


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(blob):
    accepted(blob)


@given(FEATURES, st.data())
def test_any_damage_is_decoded_or_refused(features, data):
    blob = bytearray(encode_example(features))
    if blob:
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    accepted(bytes(blob))


@pytest.mark.parametrize("value", [["text"], np.array(["text"]), np.array([1j]), None, [b"a", 1]])
def test_what_an_example_cannot_hold_is_refused(value):
    with pytest.raises(BadArgument, match=r"feature 'x' holds .*bytes, floats or integers"):
        encode_example({"x": value})


def test_single_values_and_matrices_are_written_flat():
    decoded = decode_example(encode_example({"b": b"raw", "label": 3, "m": np.arange(4.0).reshape(2, 2), "yes": True}))
    assert decoded["b"] == (b"raw",)
    assert decoded["label"].tolist() == [3]
    assert decoded["m"].tolist() == [0, 1, 2, 3]
    assert decoded["yes"].tolist() == [1]


# ---------------------------------------------------------------- protobuf itself


@pytest.fixture(scope="module")
def message():
    """The class of tf.train.Example, built from its description."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")

    def add(name, *fields, into=file.message_type):
        made = into.add(name=name)
        for number, (label, kind, typename, field_name) in enumerate(fields, 1):
            made.field.add(name=field_name, number=number, label=label, type=kind, type_name=typename)
        return made

    one, many = kinds.LABEL_OPTIONAL, kinds.LABEL_REPEATED
    add("BytesList", (many, kinds.TYPE_BYTES, None, "value"))
    add("FloatList", (many, kinds.TYPE_FLOAT, None, "value"))
    add("Int64List", (many, kinds.TYPE_INT64, None, "value"))
    lists = ((one, kinds.TYPE_MESSAGE, f".t.{n}List", n.lower()) for n in ("Bytes", "Float", "Int64"))
    feature = add("Feature", *lists)
    feature.oneof_decl.add(name="kind")
    for each in feature.field:
        each.oneof_index = 0
    features = add("Features", (many, kinds.TYPE_MESSAGE, ".t.Features.FeatureEntry", "feature"))
    # A list of entries is a map on the wire; not marked as one, so that an entry with an unknown field stays an entry:
    # protobuf's implementations differ there.
    entry = ((one, kinds.TYPE_STRING, None, "key"), (one, kinds.TYPE_MESSAGE, ".t.Feature", "value"))
    add("FeatureEntry", *entry, into=features.nested_type)
    add("Example", (one, kinds.TYPE_MESSAGE, ".t.Features", "features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example"))


def theirs(parsed):
    out = {}
    for name, value in {entry.key: entry.value for entry in parsed.features.feature}.items():
        kind = value.WhichOneof("kind")
        if kind == "bytes":
            out[name] = tuple(value.bytes.value)
        elif kind:
            dtype = np.float32 if kind == "float" else np.int64
            out[name] = np.array(getattr(value, kind).value, dtype)
    return out


@given(features=FEATURES)
def test_protobuf_reads_what_is_written_and_the_other_way(message, features):
    parsed = message.FromString(encode_example(features))
    assert same(theirs(parsed), features)
    assert same(decode_example(parsed.SerializeToString()), features)


@given(features=FEATURES, data=st.data())
def test_what_is_accepted_protobuf_reads_the_same(message, features, data):
    blob = bytearray(encode_example(features))
    if blob:
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    ours = accepted(bytes(blob))
    if ours is not None:
        assert same(ours, theirs(message.FromString(bytes(blob))))
