"""The wire: one fixed little-endian frame for all ten messages, and a reader that leaves no byte unread.

```
offset  size  field
0       1     version, 1
1       1     kind, see `Kind`
2       16    round
18      4     sender: a position in the roster; 2**32 - 1 is the server
22      4     length of what follows
26            from the server: body;  from a client: echo (32), body, signature (64)
```

The echo is the SHA-256 of the whole message that is answered, so a client whose copy of a server's message differs in
one bit from what the server sent drops out, instead of masking a vector with other peers than the server believes. The
signature is Ed25519 over a label and the SHA-256 of all bytes before it.

Bodies hold no positions of clients. Whom an item belongs to follows from flags over an order that both ends derive by
themselves (the roster, one's neighbours), so there are no lists that could overlap, repeat or point outside.
"""

from __future__ import annotations

import enum
import hashlib
import struct
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fedanalytics.secure_aggregation.outcomes import Reason, demand, stop

VERSION = 1
SERVER = 2**32 - 1
ROUND, DIGEST, SIGNATURE = 16, 32, 64
HEADER = struct.Struct(f"<BB{ROUND}sII")

Flags = npt.NDArray[np.bool_]


class Kind(enum.IntEnum):
    """The messages, in order: each of the server's is followed by its answer."""

    OFFER = 1
    ADVERTISE = 2
    KEYS = 3
    SHARES = 4
    INBOX = 5
    MASKED = 6
    SURVIVORS = 7
    CONFIRM = 8
    CONFIRMATIONS = 9
    UNMASK = 10


@dataclass(frozen=True)
class Frame:
    """A message taken apart, its payload unread."""

    kind: Kind
    round: bytes
    sender: int
    payload: bytes = field(repr=False)


def frame(kind: Kind, round_: bytes, sender: int, payload: bytes) -> bytes:
    """The bytes of a message.

    Example:
        >>> frame(Kind.OFFER, bytes(16), SERVER, b"abc").hex()
        '010100000000000000000000000000000000ffffffff03000000616263'
    """
    return HEADER.pack(VERSION, kind, round_, sender, len(payload)) + payload


def read(data: object) -> Frame:
    """A message taken apart.

    Raises:
        Stop: it is no frame, is of another version, or does not have the length that it says.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        stop(Reason.MALFORMED, "not bytes")
    data = bytes(data)
    demand(len(data) >= HEADER.size, Reason.MALFORMED, "shorter than a header")
    version, kind, round_, sender, length = HEADER.unpack_from(data)
    demand(version == VERSION, Reason.WRONG_VERSION, f"version {version}")
    demand(kind in set(Kind), Reason.MALFORMED, f"kind {kind}")
    demand(len(data) == HEADER.size + length, Reason.MALFORMED, "the length is not as stated")
    return Frame(Kind(kind), round_, sender, data[HEADER.size :])


def unsigned(kind: Kind, round_: bytes, sender: int, echo: bytes, body: bytes) -> bytes:
    """The bytes of a client's message before its signature."""
    return HEADER.pack(VERSION, kind, round_, sender, DIGEST + len(body) + SIGNATURE) + echo + body


def digest(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def flagged(flags: Flags) -> bytes:
    """Flags as bits, the first in the lowest bit of the first byte.

    Example:
        >>> flagged(np.array([True, False, False, True])).hex()
        '09'
    """
    return np.packbits(flags, bitorder="little").tobytes()


class Reader:
    """Reads a body from its start; `done` refuses what is left over."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        taken = self._data[self._at : self._at + size]
        demand(len(taken) == size, Reason.MALFORMED, "the body is too short")
        self._at += size
        return taken

    def flags(self, count: int) -> Flags:
        """The next `count` flags; the bits that fill up their last byte must be 0."""
        bits = np.unpackbits(np.frombuffer(self.take(-(-count // 8)), np.uint8), bitorder="little")
        demand(not bits[count:].any(), Reason.MALFORMED, "a flag beyond the last")
        return bits[:count].astype(np.bool_)

    def items(self, count: int, size: int) -> list[bytes]:
        """The next `count` items of `size` bytes each."""
        data = self.take(count * size)
        return [data[i * size : (i + 1) * size] for i in range(count)]

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data) - self._at)

    def done(self) -> None:
        """Ends the body."""
        demand(self._at == len(self._data), Reason.MALFORMED, "bytes after the end of the body")
