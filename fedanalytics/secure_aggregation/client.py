"""A client: five messages in, five out, each step a frozen value that knows the next.

```
Invited    --OFFER-->          parameters and roster as the policy asks; two fresh keys          --ADVERTISE-->
Advertised --KEYS-->           the graph from all committed keys; shares of two secrets          --SHARES-->
Shared     --INBOX-->          the neighbours' shares kept; the vector masked                    --MASKED-->
Masked     --SURVIVORS-->      one list; it is long and dense enough, and I am on it             --CONFIRM-->
Confirmed  --CONFIRMATIONS-->  t neighbours saw the same list; one kind of share per neighbour   --UNMASK-->
```

**What the server learns.** A neighbour's share of a survivor's self-mask seed, or of a dropped client's mask key, is
given out once, after at least t neighbours confirmed the same survivor list under the same offer; with 2t > k + c no
client's seed and key are both recovered, and no two lists gather t confirmations around one client. With the honest
survivors connected, the masks between them leave the sum over the one list and nothing else (Bonawitz et al. 2017,
Bell et al. 2020). Masks do not check a range: a client may add any vector of the ring.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.secure_aggregation import keys, shares, wire
from fedanalytics.secure_aggregation.graph import Order, circle, neighbours, scattered
from fedanalytics.secure_aggregation.keys import Channel, Identity, Pair
from fedanalytics.secure_aggregation.masks import add_masks
from fedanalytics.secure_aggregation.outcomes import Abort, Reason, Refusal, Stop, demand
from fedanalytics.secure_aggregation.packing import Lanes, checked_vector, pack, reduced
from fedanalytics.secure_aggregation.parameters import SIZE, Parameters, Policy
from fedanalytics.secure_aggregation.transcript import (
    ADVERT,
    BOX,
    advertisement,
    graph_seed,
    pair_mask,
    seed_commitment,
    self_mask,
    survivor_digest,
)
from fedanalytics.secure_aggregation.wire import DIGEST, SIGNATURE, Flags, Frame, Kind, Reader


class Stage(Protocol):
    """Where a client stands: which message it waits for, and what it does with it."""

    @property
    def awaits(self) -> Kind:
        """The server's message that this stage answers."""

    def step(self, frame: Frame, echo: bytes) -> tuple[Stage, bytes]:
        """The next stage and the body of the answer, or `Stop`. Changes nothing."""


@dataclass(frozen=True)
class Member:
    """Who a client is, before any round."""

    index: int
    identity: Identity
    roster: tuple[bytes, ...]
    policy: Policy
    vector: Lanes = field(repr=False)


@dataclass(frozen=True)
class Offer:
    """What a client has agreed to. The binding, SHA-256 of the offer, stands for all of it in every key and hash."""

    member: Member
    parameters: Parameters
    round: bytes
    binding: bytes


@dataclass(frozen=True)
class Peer:
    """A neighbour that has advertised."""

    index: int
    mask_key: bytes
    channel: Channel = field(repr=False)


@dataclass(frozen=True)
class Held:
    """A neighbour that has shared, and its two shares, unless it sent rubbish."""

    peer: Peer
    shares: bytes | None = field(repr=False)


class Client:
    """One client in one round: `receive` the server's messages, send what it returns.

    Args:
        index: position in the roster.
        identity: whose public key stands there.
        roster: everyone's public keys, pinned beforehand.
        policy: what to insist on.
        vector: integers of any dtype, shape (length,); they count modulo 2**bits.

    Raises:
        BadArgument: an argument is not as above, and the message says which.
    """

    def __init__(
        self,
        index: int,
        identity: Identity,
        roster: tuple[bytes, ...],
        policy: Policy,
        vector: npt.NDArray[np.integer],
    ) -> None:
        keys.checked_roster(roster)
        if _validate.whole(0, index=index) >= len(roster) or roster[index] != identity.public:
            raise BadArgument(f"index={index}: the roster does not hold this identity there")
        member = Member(index, identity, roster, policy, checked_vector(vector, policy.bits))
        self._stage: Stage | None = Invited(member)
        self._member, self._round = member, b""

    def receive(self, data: bytes) -> bytes | Refusal | Abort:
        """The answer to a message of the server.

        Whatever the bytes are, nothing is raised. A message that is not the awaited one is refused and changes nothing;
        an awaited one that is wrong ends the client, which thereby drops out and forgets its secrets.
        """
        try:
            frame = self._awaited(data)
        except Stop as why:
            return Refusal(why.reason, why.detail)
        echo, stage, self._stage = wire.digest(bytes(data)), self._stage, None
        try:
            following, body = stage.step(frame, echo)  # type: ignore[union-attr]  # `_awaited` has seen a stage
        except Stop as why:
            return Abort(why.reason, why.detail)
        self._round = frame.round
        self._stage = following if not isinstance(following, Ended) else None
        return signed(self._member, Kind(frame.kind + 1), frame.round, echo, body)

    def _awaited(self, data: bytes) -> Frame:
        demand(self._stage, Reason.ENDED)
        frame = wire.read(data)
        demand(frame.sender == wire.SERVER, Reason.UNKNOWN_SENDER, "not from the server")
        demand(self._round in {b"", frame.round}, Reason.WRONG_ROUND)
        demand(self._stage and frame.kind == self._stage.awaits, Reason.WRONG_STAGE, f"{frame.kind.name}")
        return frame


def signed(member: Member, kind: Kind, round_: bytes, echo: bytes, body: bytes) -> bytes:
    """A client's message."""
    message = wire.unsigned(kind, round_, member.index, echo, body)
    return message + member.identity.sign(message)


@dataclass(frozen=True)
class Invited:
    """Waits for an offer."""

    member: Member
    awaits: Kind = Kind.OFFER

    def step(self, frame: Frame, echo: bytes) -> tuple[Stage, bytes]:
        """Checks the offer, makes the keys of the round."""
        me, reader = self.member, Reader(frame.payload)
        parameters = Parameters.decoded(reader.take(SIZE))
        roster = reader.take(DIGEST)
        reader.done()
        pinned = keys.roster_digest(me.roster)
        demand(roster == pinned and parameters.clients == len(me.roster), Reason.WRONG_ROSTER)
        me.policy.check(parameters, len(me.vector))
        channel, mask = Pair.generate(), Pair.generate()
        offer = Offer(me, parameters, frame.round, echo)
        return Advertised(offer, channel, mask), channel.public + mask.public


@dataclass(frozen=True)
class Advertised:
    """Waits for everyone's commitments and the neighbours' keys."""

    offer: Offer
    channel: Pair
    mask: Pair
    awaits: Kind = Kind.KEYS

    def step(self, frame: Frame, echo: bytes) -> tuple[Stage, bytes]:  # noqa: ARG002  # a step takes it, needed or not
        """Builds the graph, checks the neighbours' keys, shares two secrets among them."""
        me, n = self.offer.member.index, self.offer.parameters.clients
        reader = Reader(frame.payload)
        present = reader.flags(n)
        commitments = dict(zip(np.flatnonzero(present).tolist(), reader.items(int(present.sum()), DIGEST), strict=True))
        own = self.channel.public + self.mask.public
        demand(commitments.get(me) == self._commitment(me, own), Reason.BAD_KEYS, "my own are not as I sent them")
        order = circle(graph_seed(self.offer.binding, present, list(commitments.values())), n)
        near = [j for j in neighbours(order, self.offer.parameters.degree, me) if present[j]]
        demand(len(near) >= self.offer.parameters.threshold, Reason.BELOW_THRESHOLD, "neighbours that advertised")
        adverts = reader.items(len(near), ADVERT + SIGNATURE)
        reader.done()
        keys.distinct(*(half for advert in (own, *adverts) for half in (advert[:32], advert[32:ADVERT])))
        peers = tuple(self._peer(j, advert, commitments[j]) for j, advert in zip(near, adverts, strict=True))
        seed = os.urandom(keys.KEY)
        commitment = seed_commitment(self.offer.binding, me, seed)
        return Shared(self.offer, self.mask, order, peers, seed), commitment + self._boxes(peers, seed)

    def _commitment(self, index: int, advert: bytes) -> bytes:
        return wire.digest(advertisement(self.offer.round, index, self.offer.binding, advert))

    def _peer(self, index: int, advert: bytes, commitment: bytes) -> Peer:
        publics, signature = advert[:ADVERT], advert[ADVERT:]
        message = advertisement(self.offer.round, index, self.offer.binding, publics)
        demand(wire.digest(message) == commitment, Reason.BAD_KEYS, f"client {index} committed to others")
        known = keys.verified(self.offer.member.roster[index], signature, message)
        demand(known, Reason.BAD_SIGNATURE, f"the keys of client {index}")
        secret = self.channel.agree(publics[: keys.KEY])
        channel = Channel.between(secret, self.offer.binding, self.offer.member.index, index)
        return Peer(index, publics[keys.KEY :], channel)

    def _boxes(self, peers: tuple[Peer, ...], seed: bytes) -> bytes:
        secrets = np.concatenate([shares.limbs(seed), shares.limbs(self.mask.secret)])
        points = np.array([peer.index + 1 for peer in peers], np.int64)
        parts = shares.split(secrets, self.offer.parameters.threshold, points)
        return b"".join(peer.channel.box(shares.encoded(part)) for peer, part in zip(peers, parts, strict=True))


@dataclass(frozen=True)
class Shared:
    """Waits for the neighbours' shares."""

    offer: Offer
    mask: Pair
    order: Order = field(repr=False)
    peers: tuple[Peer, ...]
    seed: bytes = field(repr=False)
    awaits: Kind = Kind.INBOX

    def step(self, frame: Frame, echo: bytes) -> tuple[Stage, bytes]:  # noqa: ARG002  # a step takes it, needed or not
        """Opens the shares; masks the vector with who has shared, and with a mask of its own."""
        reader = Reader(frame.payload)
        here = reader.flags(len(self.peers))
        sharing = [peer for peer, flag in zip(self.peers, here, strict=True) if flag]
        demand(len(sharing) >= self.offer.parameters.threshold, Reason.BELOW_THRESHOLD, "neighbours that shared")
        boxes = reader.items(len(sharing), BOX)
        reader.done()
        held = tuple(Held(peer, peer.channel.open(box)) for peer, box in zip(sharing, boxes, strict=True))
        return Masked(self.offer, self.order, held), self._masked(sharing)

    def _masked(self, sharing: list[Peer]) -> bytes:
        me, bits = self.offer.member, self.offer.parameters.bits
        plus, minus = [self_mask(self.offer.parameters, self.offer.binding, me.index, self.seed)], list[bytes]()
        for peer in sharing:
            secret = self.mask.agree(peer.mask_key)
            key = pair_mask(self.offer.parameters, self.offer.binding, me.index, peer.index, secret)
            (plus if me.index < peer.index else minus).append(key)
        return pack(reduced(add_masks(me.vector.copy(), plus, minus), bits), bits)


@dataclass(frozen=True)
class Masked:
    """Waits for the list of those whose vectors arrived."""

    offer: Offer
    order: Order = field(repr=False)
    held: tuple[Held, ...]
    awaits: Kind = Kind.SURVIVORS

    def step(self, frame: Frame, echo: bytes) -> tuple[Stage, bytes]:  # noqa: ARG002  # a step takes it, needed or not
        """Checks the list, confirms it to each neighbour on it."""
        reader = Reader(frame.payload)
        survivors = reader.flags(self.offer.parameters.clients)
        reader.done()
        self._check(survivors)
        seen = survivor_digest(self.offer.binding, self.order, survivors)
        tags = b"".join(one.peer.channel.tag(seen) for one in self.held if survivors[one.peer.index])
        return Confirmed(self.offer, self.held, survivors, seen), tags

    def _check(self, survivors: Flags) -> None:
        """One list: who is not on it has dropped out, so nobody can be on both sides."""
        me, parameters = self.offer.member, self.offer.parameters
        demand(survivors[me.index], Reason.INCONSISTENT, "I am not on it")
        demand(survivors.sum() >= parameters.floor, Reason.BELOW_FLOOR, "survivors")
        near = neighbours(self.order, parameters.degree, me.index)
        shared = {one.peer.index for one in self.held}
        alive = [j for j in near if survivors[j]]
        demand(shared.issuperset(alive), Reason.INCONSISTENT, "a survivor that never shared")
        demand(len(alive) >= parameters.threshold, Reason.BELOW_THRESHOLD, "surviving neighbours")
        apart = scattered(self.order, parameters.degree, survivors, me.policy.apart(parameters))
        demand(not apart, Reason.SCATTERED)


@dataclass(frozen=True)
class Confirmed:
    """Waits for the neighbours' confirmations."""

    offer: Offer
    held: tuple[Held, ...]
    survivors: Flags = field(repr=False)
    seen: bytes
    awaits: Kind = Kind.CONFIRMATIONS

    def step(self, frame: Frame, echo: bytes) -> tuple[Stage, bytes]:  # noqa: ARG002  # a step takes it, needed or not
        """Counts who saw the same list; then gives one share per neighbour, of a kind that the list decides."""
        reader = Reader(frame.payload)
        alive = [one.peer for one in self.held if self.survivors[one.peer.index]]
        spoke = reader.flags(len(alive))
        confirming = [peer for peer, flag in zip(alive, spoke, strict=True) if flag]
        tags = reader.items(len(confirming), keys.TAG)
        reader.done()
        agreeing = [peer.channel.confirmed(tag, self.seen) for peer, tag in zip(confirming, tags, strict=True)]
        demand(sum(agreeing) >= self.offer.parameters.threshold, Reason.UNCONFIRMED, "the survivor list")
        given = wire.flagged(np.array([one.shares is not None for one in self.held]))
        return Ended(), given + b"".join(self._share(one) for one in self.held)

    def _share(self, one: Held) -> bytes:
        if one.shares is None:
            return b""
        seed, key = one.shares[: shares.SHARE], one.shares[shares.SHARE :]
        return seed if self.survivors[one.peer.index] else key


@dataclass(frozen=True)
class Ended:
    """Waits for nothing."""

    awaits: Kind = Kind.UNMASK

    def step(self, frame: Frame, echo: bytes) -> tuple[Stage, bytes]:  # noqa: ARG002  # a step takes it, needed or not
        """Refuses."""
        raise Stop(Reason.ENDED)
