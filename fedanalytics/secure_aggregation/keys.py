"""Keys and what they do: X25519, HKDF-SHA256, AES-256-GCM, Ed25519, all by `cryptography`.

Each derived key has one purpose, one direction and one message, so its nonce is zero. The label, the digest of the
offer (hence the round, the parameters and the roster) and the pair are part of its derivation: no key is ever used in
another round, by another pair or for another purpose.

cryptography is imported where it is used: `import fedanalytics` does not pay for it.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fedanalytics.errors import BadArgument
from fedanalytics.secure_aggregation.outcomes import Reason, demand, stop
from fedanalytics.secure_aggregation.wire import digest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

KEY, TAG = 32, 16
_LABEL = b"fedanalytics secure aggregation 1 "
_ONCE = bytes(12)  # each key encrypts one message


@dataclass(frozen=True)
class Identity:
    """A client's long-lived signing key, whose public half the roster pins.

    Attributes:
        private: the Ed25519 seed, 32 bytes; secret.
        public: 32 bytes.

    Example:
        >>> identity = Identity.generate()
        >>> verified(identity.public, identity.sign(b"hello"), b"hello")
        True
    """

    private: bytes = field(repr=False)
    public: bytes

    @classmethod
    def generate(cls) -> Identity:
        """A new identity from the operating system's randomness."""
        return cls.from_private(os.urandom(KEY))

    @classmethod
    def from_private(cls, private: bytes) -> Identity:
        """The identity of a private key.

        Raises:
            BadArgument: it is not 32 bytes.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  # see the top

        if not (isinstance(private, bytes) and len(private) == KEY):
            raise BadArgument("private= must be 32 bytes, an Ed25519 private key")
        return cls(private, Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes, over the label and the SHA-256 of the message."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  # see the top

        return Ed25519PrivateKey.from_private_bytes(self.private).sign(_LABEL + digest(message))


def verified(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the owner of `public` signed the message."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # see the top
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415  # see the top

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _LABEL + digest(message))
    except (InvalidSignature, ValueError):
        return False
    return True


@dataclass(frozen=True)
class Pair:
    """An X25519 key pair of one round.

    Attributes:
        private: secret.
        public: 32 bytes.
    """

    private: X25519PrivateKey = field(repr=False)
    public: bytes

    @classmethod
    def generate(cls) -> Pair:
        """A new pair."""
        return cls.from_private(os.urandom(KEY))

    @classmethod
    def from_private(cls, private: bytes) -> Pair:
        """The pair of 32 private bytes."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415  # see the top

        key = X25519PrivateKey.from_private_bytes(private)
        return cls(key, key.public_key().public_bytes_raw())

    @property
    def secret(self) -> bytes:
        """The private key, 32 bytes."""
        return self.private.private_bytes_raw()

    def agree(self, public: bytes) -> bytes:
        """The secret shared with the owner of `public`.

        Raises:
            Stop: the key is a point of small order, with which there is no secret.
        """
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey  # noqa: PLC0415  # see the top

        try:
            return self.private.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            stop(Reason.BAD_KEYS, "a point of small order")


def usable(public: bytes) -> bool:
    """Whether a secret can be agreed on with the owner of `public`: any private key, a multiple of 8, tells."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import (  # noqa: PLC0415  # see the top
        X25519PrivateKey,
        X25519PublicKey,
    )

    try:
        X25519PrivateKey.from_private_bytes(bytes(KEY)).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return False
    return True


def derive(secret: bytes, purpose: bytes, binding: bytes, *clients: int, size: int = KEY) -> bytes:
    """HKDF-SHA256 of a secret, for one purpose in one round among these clients (RFC 5869)."""
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415  # see the top
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415  # see the top

    info = _LABEL + purpose + b"|" + binding + struct.pack(f"<{len(clients)}I", *clients)
    return HKDF(SHA256(), size, None, info).derive(secret)


def hashed(purpose: bytes, binding: bytes, *parts: bytes) -> bytes:
    """SHA-256 of parts of fixed length for one purpose in one round."""
    return digest(_LABEL + purpose + b"|" + binding + b"".join(parts))


@dataclass(frozen=True)
class Channel:
    """What two clients need to talk past the server: a key for each kind of message and direction."""

    boxes_out: bytes = field(repr=False)
    boxes_in: bytes = field(repr=False)
    tags_out: bytes = field(repr=False)
    tags_in: bytes = field(repr=False)
    there: bytes
    back: bytes

    @classmethod
    def between(cls, secret: bytes, binding: bytes, me: int, peer: int) -> Channel:
        """The channel from `me` to `peer`, from the secret that they agreed on."""
        low, high = sorted((me, peer))
        keys = derive(secret, b"channel", binding, low, high, size=4 * KEY)
        up_box, down_box, up_tag, down_tag = (keys[i : i + KEY] for i in range(0, 4 * KEY, KEY))
        there, back = (binding + struct.pack("<II", *ends) for ends in ((me, peer), (peer, me)))
        if me == low:
            return cls(up_box, down_box, up_tag, down_tag, there, back)
        return cls(down_box, up_box, down_tag, up_tag, there, back)

    def box(self, plain: bytes) -> bytes:
        """Encrypts the one message of shares; (round, from, to) is authenticated with it."""
        return _sealed(self.boxes_out, plain, self.there)

    def open(self, box: bytes) -> bytes | None:
        """The peer's shares, or None if they are not from the peer, for me, in this round."""
        return _opened(self.boxes_in, box, self.back)

    def tag(self, survivors: bytes) -> bytes:
        """Confirms the digest of a survivor list to the peer."""
        return _sealed(self.tags_out, b"", self.there + survivors)

    def confirmed(self, tag: bytes, survivors: bytes) -> bool:
        """Whether the peer confirms the same digest."""
        return _opened(self.tags_in, tag, self.back + survivors) is not None


def _sealed(key: bytes, plain: bytes, with_it: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  # see the top

    return AESGCM(key).encrypt(_ONCE, plain, with_it)


def _opened(key: bytes, box: bytes, with_it: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # see the top
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  # see the top

    try:
        return AESGCM(key).decrypt(_ONCE, box, with_it)
    except InvalidTag:
        return None


def checked_roster(roster: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The roster, if it is a tuple of distinct public keys.

    Raises:
        BadArgument: it is not.
    """
    if not (isinstance(roster, tuple) and all(isinstance(key, bytes) and len(key) == KEY for key in roster)):
        raise BadArgument("roster= must be a tuple of Ed25519 public keys, 32 bytes each")
    if len(set(roster)) != len(roster):
        raise BadArgument("roster= holds the same key twice; each client has an identity of its own")
    return roster


def roster_digest(roster: tuple[bytes, ...]) -> bytes:
    """What pins a roster: the SHA-256 of its keys in order."""
    return digest(_LABEL + b"roster|" + b"".join(roster))


def distinct(*publics: bytes) -> None:
    """Ends a step if a key occurs twice."""
    demand(len(set(publics)) == len(publics), Reason.BAD_KEYS, "the same key twice")
