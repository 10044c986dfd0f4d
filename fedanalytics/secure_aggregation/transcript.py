"""What both ends derive from what was said: seeds, digests, commitments, the keys of masks.

Everything depends on the binding, the SHA-256 of the offer: the round, the parameters and the roster.
"""

from __future__ import annotations

import struct

from fedanalytics.secure_aggregation import keys, shares, wire
from fedanalytics.secure_aggregation.graph import Order
from fedanalytics.secure_aggregation.parameters import Parameters
from fedanalytics.secure_aggregation.wire import Flags, Kind

ADVERT = 2 * keys.KEY  # the public keys of a client: channel, mask
BOX = 2 * shares.SHARE + keys.TAG  # a neighbour's shares, encrypted: of the seed, of the mask key


def advertisement(round_: bytes, index: int, binding: bytes, advert: bytes) -> bytes:
    """The bytes that a client signs when it advertises; their SHA-256 is its commitment."""
    return wire.unsigned(Kind.ADVERTISE, round_, index, binding, advert)


def graph_seed(binding: bytes, present: Flags, commitments: list[bytes]) -> bytes:
    """The seed of the graph: the hash of who advertised, and all that they committed to."""
    return keys.hashed(b"graph", binding, wire.flagged(present), *commitments)


def seed_commitment(binding: bytes, index: int, seed: bytes) -> bytes:
    """What a client sends of its self-mask seed beforehand."""
    return keys.hashed(b"seed", binding, struct.pack("<I", index), seed)


def survivor_digest(binding: bytes, order: Order, survivors: Flags) -> bytes:
    """What neighbours confirm to each other: the offer, the graph and the one list."""
    return keys.hashed(b"survivors", binding, order.astype("<u4").tobytes(), wire.flagged(survivors))


def self_mask(parameters: Parameters, binding: bytes, index: int, seed: bytes) -> bytes:
    """The key of the mask that only this client adds."""
    return keys.derive(seed, b"self mask", binding, index, size=parameters.key_bits // 8)


def pair_mask(parameters: Parameters, binding: bytes, one: int, other: int, secret: bytes) -> bytes:
    """The key of the mask that the lower of a pair adds and the higher subtracts."""
    return keys.derive(secret, b"pair mask", binding, *sorted((one, other)), size=parameters.key_bits // 8)
