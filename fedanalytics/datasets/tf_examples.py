"""tf.train.Example without TensorFlow: names with lists of bytes, floats or integers, in protobuf's wire format.

What was written by others is decoded as protobuf would (fields that are unknown are skipped, messages that come in
pieces are merged, the last of several kinds counts), but nothing is read beyond its end, and nothing malformed is
repaired. Format: https://protobuf.dev/programming-guides/encoding and tensorflow/core/example/{example,feature}.proto.

```
Example    1: Features          Feature   1: BytesList   2: FloatList   3: Int64List   (one of)
Features   1: map entry *       each list 1: values; numbers packed or one by one
map entry  1: name  2: Feature
```
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics.errors import BadArgument

Value: TypeAlias = tuple[bytes, ...] | npt.NDArray[np.float32] | npt.NDArray[np.int64]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_BYTES, _FLOATS, _INTEGERS = 1, 2, 3
_LARGEST_KEY = (1 << 32) - 1


def decode_example(blob: bytes) -> dict[str, Value]:
    """The features of a serialized Example, by name; a feature without a value is left out.

    Returns:
        name -> a tuple of bytes, float32 of shape (n,), or int64 of shape (n,).

    Raises:
        BadArgument: the blob is cut off, or is no Example.

    Example:
        >>> decode_example(encode_example({"label": np.array([7]), "pixels": np.array([0.5, 1.0])}))
        {'label': array([7]), 'pixels': array([0.5, 1. ], dtype=float32)}
    """
    found: dict[str, Value] = {}
    for entry in _within(_within([memoryview(blob)], 1), 1):
        name = _name(_within([entry], 1))
        value = _value(_within([entry], 2))
        if value is None:
            found.pop(name, None)
        else:
            found[name] = value
    return found


def encode_example(features: Mapping[str, Any]) -> bytes:
    """The serialized Example of these features, in the order of their names, numbers packed.

    Args:
        features: name -> bytes, a sequence of bytes, or an array of floats (written as float32) or integers; arrays of
            more than one dimension are written row by row.

    Raises:
        BadArgument: a value is none of these.

    Example:
        >>> encode_example({"label": np.array([7])}).hex()
        '0a100a0e0a056c6162656c12051a030a0107'
    """
    entries = (_field(1, name.encode()) + _field(2, _encoded(name, features[name])) for name in sorted(features))
    return _field(1, b"".join(_field(1, entry) for entry in entries))


def _fields(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """(number, wire type, payload) of each field; a varint's payload is its own bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if key > _LARGEST_KEY or not number:
            raise _malformed(f"no field has the number {number}")
        if wire == _VARINT:
            end = _varint(message, at)[1]
        elif wire == _LENGTH:
            length, at = _varint(message, at)
            end = at + length
        elif wire in {_FIXED32, _FIXED64}:
            end = at + (4 if wire == _FIXED32 else 8)
        else:
            raise _malformed(f"wire type {wire} is not used in it")
        if end > len(message):
            raise _malformed(f"it is cut off: a value ends at byte {end} of {len(message)}")
        yield number, wire, message[at:end]
        at = end


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """(an unsigned number of at most 64 bits, where it ends)."""
    value = 0
    for place in range(10):
        if at + place == len(message):
            raise _malformed("it is cut off")
        byte = message[at + place]
        value |= (byte & 127) << 7 * place
        if byte < 128:
            break
    if byte > 127 or value >> 64:
        raise _malformed("a number has more than 64 bits")
    return value, at + place + 1


def _within(pieces: Iterable[memoryview], number: int) -> list[memoryview]:
    """The payloads of one field in a message that may have come in pieces, each of which is whole in itself."""
    return [
        payload for piece in pieces for found, wire, payload in _fields(piece) if found == number and wire == _LENGTH
    ]


def _name(raws: Iterable[memoryview]) -> str:
    """The last of them; each must be UTF-8."""
    name = ""
    for raw in raws:
        try:
            name = bytes(raw).decode()
        except UnicodeDecodeError:
            raise _malformed(f"a name is not UTF-8: {bytes(raw[:40])!r}") from None
    return name


def _value(feature: Iterable[memoryview]) -> Value | None:
    """The kind that comes last, with the pieces of it since another kind came."""
    kind: int | None = None
    pieces: list[memoryview] = []
    for number, wire, payload in chain.from_iterable(map(_fields, feature)):
        if wire == _LENGTH and number in {_BYTES, _FLOATS, _INTEGERS}:
            if number != kind:
                kind, pieces = number, []
            pieces.append(payload)
    if kind == _BYTES:
        return tuple(bytes(item) for item in _within(pieces, 1))
    if kind == _FLOATS:
        return np.frombuffer(_numbers(pieces, _FIXED32), dtype="<f4").astype(np.float32)
    if kind == _INTEGERS:
        return _integers(np.frombuffer(_numbers(pieces, _VARINT), dtype=np.uint8))
    return None


def _numbers(pieces: Iterable[memoryview], wire_of_one: int) -> bytes:
    """The bytes of a list's numbers, packed or not."""
    chunks: list[memoryview] = []
    for number, wire, payload in chain.from_iterable(map(_fields, pieces)):
        if number != 1 or wire not in {_LENGTH, wire_of_one}:
            continue
        if wire_of_one == _FIXED32 and len(payload) % 4:
            raise _malformed(f"{len(payload)} bytes are no list of 4-byte floats")
        if wire_of_one == _VARINT and len(payload) and payload[-1] > 127:
            raise _malformed("a list of integers is cut off")
        chunks.append(payload)
    return b"".join(chunks)


def _integers(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Varints, all at once: seven bits a byte, the lowest first; a byte below 128 ends one."""
    if not (raw > 127).any():
        return raw.astype(np.int64)
    ends = np.flatnonzero(raw < 128)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > 10 or (raw[ends[lengths == 10]] > 1).any():
        raise _malformed("a number has more than 64 bits")
    place = np.arange(raw.size) - np.repeat(starts, lengths)
    bits = (raw & 127).astype(np.uint64) << (7 * place).astype(np.uint64)
    return np.add.reduceat(bits, starts).view(np.int64)


def _encoded(name: str, value: Any) -> bytes:
    """A Feature."""
    if isinstance(value, bytes):
        value = (value,)
    if isinstance(value, tuple | list) and value and all(isinstance(item, bytes) for item in value):
        return _field(_BYTES, b"".join(_field(1, item) for item in value))
    array = np.asarray(value)
    if array.dtype.kind == "f":
        return _field(_FLOATS, _field(1, array.astype("<f4").tobytes()))
    if array.dtype.kind in "iub":
        return _field(_INTEGERS, _field(1, b"".join(_written(int(number)) for number in array.ravel())))
    raise BadArgument(f"feature {name!r} holds {array.dtype.name}; an Example holds bytes, floats or integers")


def _field(number: int, payload: bytes) -> bytes:
    return _written(number << 3 | _LENGTH) + _written(len(payload)) + payload


def _written(value: int) -> bytes:
    """A varint; a negative number in two's complement."""
    rest, out = value & ((1 << 64) - 1), bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*out, rest])


def _malformed(why: str) -> BadArgument:
    return BadArgument(f"not a tf.train.Example: {why}")
