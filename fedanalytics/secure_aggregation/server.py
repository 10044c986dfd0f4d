"""The server: sends a message to each client of a stage, collects the answers that come, closes the stage.

```
Advertising  collects keys                                    >= floor
Sharing      collects encrypted shares, seed commitments      >= floor
Masking      adds up masked vectors                           >= floor, every secret still within reach
Confirming   collects confirmations of the survivor list      every secret still within reach
Unmasking    collects shares, takes the masks off             secrets as committed to
```

Stages go one way, a client's first good message in a stage counts, and who has not answered when it is closed has
dropped out for good. The server learns the sum if it follows this; what it could learn if it does not is up to the
clients' checks, not to these.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from fedanalytics.errors import BadArgument
from fedanalytics.secure_aggregation import keys, shares, wire
from fedanalytics.secure_aggregation.graph import circle, table
from fedanalytics.secure_aggregation.outcomes import Abort, Aggregate, Reason, Refusal, Stop, demand
from fedanalytics.secure_aggregation.packing import Lanes, lanes, unpack
from fedanalytics.secure_aggregation.parameters import Parameters
from fedanalytics.secure_aggregation.recovery import Recovery
from fedanalytics.secure_aggregation.transcript import ADVERT, BOX, advertisement, graph_seed
from fedanalytics.secure_aggregation.wire import DIGEST, SIGNATURE, Flags, Frame, Kind, Reader


@dataclass(frozen=True)
class Opening:
    """What is fixed when a round opens.

    Attributes:
        parameters: of the round.
        roster: of all clients.
        round: 16 bytes that no other round has.
        body: of the offer.
    """

    parameters: Parameters
    roster: tuple[bytes, ...]
    round: bytes
    body: bytes

    @cached_property
    def binding(self) -> bytes:
        """SHA-256 of the offer, as the clients compute it."""
        return wire.digest(wire.frame(Kind.OFFER, self.round, wire.SERVER, self.body))


@dataclass(frozen=True)
class Outgoing(Mapping[int, bytes]):
    """The messages of a stage by client, each built when it is asked for: together they may not fit into memory."""

    stage: Stage

    def __getitem__(self, client: int) -> bytes:
        if client not in self.stage.recipients:
            raise KeyError(client)
        sends = Kind(self.stage.awaits - 1)
        return wire.frame(sends, self.stage.opening.round, wire.SERVER, self.stage.body(client))

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self.stage.recipients))

    def __len__(self) -> int:
        return len(self.stage.recipients)


class Server:
    """The server of one round.

    Args:
        parameters: of the round.
        roster: the clients' public keys, in an order that all know.
        round_: 16 bytes; the operating system's randomness if not given.

    Attributes:
        outgoing: the messages of the stage that is open, by client; at first the offer to all.

    Raises:
        BadArgument: an argument is not as above.
    """

    def __init__(self, parameters: Parameters, roster: tuple[bytes, ...], round_: bytes | None = None) -> None:
        keys.checked_roster(roster)
        if len(roster) != parameters.clients:
            raise BadArgument(f"roster= has {len(roster)} clients, the parameters are for {parameters.clients}")
        identifier = os.urandom(wire.ROUND) if round_ is None else round_
        if not (isinstance(identifier, bytes) and len(identifier) == wire.ROUND):
            raise BadArgument(f"round_= must be {wire.ROUND} bytes, different in every round")
        body = parameters.encoded() + keys.roster_digest(roster)
        self._stage: Stage | None = Advertising(
            Opening(parameters, roster, identifier, body), frozenset(range(parameters.clients))
        )
        self._answered: set[int] = set()

    @property
    def outgoing(self) -> Mapping[int, bytes]:
        """The messages of the open stage; none when the round has ended."""
        return {} if self._stage is None else Outgoing(self._stage)

    @property
    def missing(self) -> frozenset[int]:
        """Who has not answered in the open stage."""
        return frozenset() if self._stage is None else frozenset(self._stage.recipients) - self._answered

    def receive(self, data: bytes) -> Refusal | None:
        """Takes a client's message; a refusal says why it does not count. Whatever the bytes are, nothing is raised."""
        try:
            demand(self._stage, Reason.ENDED)
            self._take(self._stage, wire.read(data))  # type: ignore[arg-type]  # there is a stage
        except Stop as why:
            return Refusal(why.reason, why.detail)
        return None

    def close(self) -> Mapping[int, bytes] | Aggregate | Abort:
        """Ends the open stage: the messages of the next, or the sum, or why there is none."""
        stage, self._stage, self._answered = self._stage, None, set()
        if stage is None:
            return Abort(Reason.ENDED)
        try:
            following = stage.close()
        except Stop as why:
            return Abort(why.reason, why.detail)
        if isinstance(following, Aggregate):
            return following
        self._stage = following
        return self.outgoing

    def _take(self, stage: Stage, frame: Frame) -> None:
        """First everything that needs no look into the body, the costly last."""
        opening, sender = stage.opening, frame.sender
        demand(frame.round == opening.round, Reason.WRONG_ROUND)
        demand(sender < opening.parameters.clients, Reason.UNKNOWN_SENDER)
        demand(frame.kind == stage.awaits, Reason.WRONG_STAGE, f"{frame.kind.name} from client {sender}")
        demand(sender in stage.recipients, Reason.NOT_IN_STAGE, f"client {sender}")
        demand(sender not in self._answered, Reason.DUPLICATE, f"client {sender}")
        reader = Reader(frame.payload)
        echo = reader.take(DIGEST)
        body, signature = (rest := reader.rest())[:-SIGNATURE], rest[-SIGNATURE:]
        demand(echo == wire.digest(self.outgoing[sender]), Reason.WRONG_ECHO, f"client {sender}")
        message = wire.unsigned(frame.kind, frame.round, sender, echo, body)
        known = keys.verified(opening.roster[sender], signature, message)
        demand(known, Reason.BAD_SIGNATURE, f"client {sender}")
        stage.accept(sender, body, signature)
        self._answered.add(sender)


class Stage(ABC):
    """One exchange: what is sent, to whom, what comes back."""

    awaits: Kind
    opening: Opening
    recipients: frozenset[int]  # who is still in the round

    @abstractmethod
    def body(self, client: int) -> bytes:
        """The body of the message to a client."""

    @abstractmethod
    def accept(self, client: int, body: bytes, signature: bytes) -> None:
        """Takes a client's answer, or `Stop` before anything has changed."""

    @abstractmethod
    def close(self) -> Stage | Aggregate:
        """What follows, or `Stop`."""


@dataclass
class Advertising(Stage):
    """Offers the round to everybody; collects two public keys of each client."""

    opening: Opening
    recipients: frozenset[int]
    adverts: dict[int, bytes] = field(default_factory=dict)  # with their signatures
    _seen: set[bytes] = field(default_factory=set)
    awaits = Kind.ADVERTISE

    def body(self, client: int) -> bytes:  # noqa: ARG002  # the same offer for all
        return self.opening.body

    def accept(self, client: int, body: bytes, signature: bytes) -> None:
        reader = Reader(body)
        channel, mask = reader.items(2, keys.KEY)
        reader.done()
        keys.distinct(channel, mask)
        demand(self._seen.isdisjoint({channel, mask}), Reason.BAD_KEYS, f"client {client} sent another's key")
        demand(keys.usable(channel) and keys.usable(mask), Reason.BAD_KEYS, f"client {client}")
        self._seen |= {channel, mask}
        self.adverts[client] = body + signature

    def close(self) -> Stage:
        demand(len(self.adverts) >= self.opening.parameters.floor, Reason.BELOW_FLOOR, "clients that advertised")
        return Sharing(self.opening, frozenset(self.adverts), dict(sorted(self.adverts.items())))


@dataclass
class Sharing(Stage):
    """Sends all commitments, and the neighbours' keys; collects shares for the neighbours."""

    opening: Opening
    recipients: frozenset[int]
    adverts: dict[int, bytes]
    commitments: dict[int, bytes] = field(default_factory=dict)
    boxes: dict[int, dict[int, bytes]] = field(default_factory=dict)
    awaits = Kind.SHARES

    @cached_property
    def _committed(self) -> list[bytes]:
        round_, binding = self.opening.round, self.opening.binding
        return [wire.digest(advertisement(round_, i, binding, both[:ADVERT])) for i, both in self.adverts.items()]

    @cached_property
    def near(self) -> list[list[int]]:
        """Everyone's neighbours that have advertised, ascending."""
        n, k = self.opening.parameters.clients, self.opening.parameters.degree
        present = flags(self.recipients, range(n))
        seed = graph_seed(self.opening.binding, present, self._committed)
        return [[j for j in peers if j in self.recipients] for peers in table(circle(seed, n), k)]

    @cached_property
    def _common(self) -> bytes:
        present = flags(self.recipients, range(self.opening.parameters.clients))
        return wire.flagged(present) + b"".join(self._committed)

    def body(self, client: int) -> bytes:
        return self._common + b"".join(self.adverts[j] for j in self.near[client])

    def accept(self, client: int, body: bytes, signature: bytes) -> None:  # noqa: ARG002  # checked already
        reader, near = Reader(body), self.near[client]
        commitment, boxes = reader.take(DIGEST), reader.items(len(near), BOX)
        reader.done()
        self.commitments[client] = commitment
        self.boxes[client] = dict(zip(near, boxes, strict=True))

    def close(self) -> Stage:
        demand(len(self.boxes) >= self.opening.parameters.floor, Reason.BELOW_FLOOR, "clients that shared")
        return Masking(self.opening, frozenset(self.boxes), self)


@dataclass
class Masking(Stage):
    """Forwards the shares; adds up masked vectors."""

    opening: Opening
    recipients: frozenset[int]
    shared: Sharing = field(repr=False)
    survivors: set[int] = field(default_factory=set)
    awaits = Kind.MASKED

    @cached_property
    def total(self) -> Lanes:
        """The sum of what has come, masks and all."""
        return np.zeros(self.opening.parameters.length, lanes(self.opening.parameters.bits))

    @cached_property
    def peers(self) -> dict[int, list[int]]:
        """Everyone's neighbours that have shared: those that it masks with, and holds shares of."""
        return {i: [j for j in self.shared.near[i] if j in self.recipients] for i in sorted(self.recipients)}

    def body(self, client: int) -> bytes:
        here = wire.flagged(flags(self.recipients, self.shared.near[client]))
        return here + b"".join(self.shared.boxes[j][client] for j in self.peers[client])

    def accept(self, client: int, body: bytes, signature: bytes) -> None:  # noqa: ARG002  # checked already
        vector = unpack(body, self.opening.parameters.length, self.opening.parameters.bits)
        np.add(self.total, vector, out=self.total)
        self.survivors.add(client)

    def close(self) -> Stage:
        demand(len(self.survivors) >= self.opening.parameters.floor, Reason.BELOW_FLOOR, "survivors")
        self.within_reach(self.survivors)
        return Confirming(self.opening, frozenset(self.survivors), self)

    @cached_property
    def owners(self) -> list[int]:
        """Whose secret is needed: survivors' seeds, and the mask keys of the dropped that survivors masked with."""
        return [i for i, peers in self.peers.items() if i in self.survivors or not self.survivors.isdisjoint(peers)]

    def within_reach(self, holders: set[int] | frozenset[int]) -> None:
        """Ends the round if for a secret there are too few holders: better before a share is given than after."""
        for i in self.owners:
            enough = len(holders.intersection(self.peers[i])) >= self.opening.parameters.threshold
            demand(enough, Reason.BELOW_THRESHOLD, f"holders of the shares of client {i}")


@dataclass
class Confirming(Stage):
    """Sends the one survivor list; collects the neighbours' confirmations of it."""

    opening: Opening
    recipients: frozenset[int]
    masked: Masking = field(repr=False)
    tags: dict[int, dict[int, bytes]] = field(default_factory=dict)
    awaits = Kind.CONFIRM

    @cached_property
    def alive(self) -> dict[int, list[int]]:
        """Every survivor's surviving neighbours."""
        return {i: [j for j in self.masked.peers[i] if j in self.recipients] for i in self.recipients}

    def body(self, client: int) -> bytes:  # noqa: ARG002  # one list for all
        return wire.flagged(flags(self.recipients, range(self.opening.parameters.clients)))

    def accept(self, client: int, body: bytes, signature: bytes) -> None:  # noqa: ARG002  # checked already
        reader, alive = Reader(body), self.alive[client]
        tags = reader.items(len(alive), keys.TAG)
        reader.done()
        self.tags[client] = dict(zip(alive, tags, strict=True))

    def close(self) -> Stage:
        self.masked.within_reach(frozenset(self.tags))
        return Unmasking(self.opening, frozenset(self.tags), self)


@dataclass
class Unmasking(Stage):
    """Forwards the confirmations; collects one share per neighbour, and takes the masks off."""

    opening: Opening
    recipients: frozenset[int]
    confirmed: Confirming = field(repr=False)
    shares: dict[int, dict[int, bytes]] = field(default_factory=dict)  # by owner, then holder
    awaits = Kind.UNMASK

    def body(self, client: int) -> bytes:
        alive, tags = self.confirmed.alive[client], self.confirmed.tags
        return wire.flagged(flags(self.recipients, alive)) + b"".join(tags[j][client] for j in alive if j in tags)

    def accept(self, client: int, body: bytes, signature: bytes) -> None:  # noqa: ARG002  # checked already
        reader, peers = Reader(body), self.confirmed.masked.peers[client]
        given = np.compress(reader.flags(len(peers)), peers).tolist()
        parts = reader.items(len(given), shares.SHARE)
        reader.done()
        demand(shares.decoded(b"".join(parts)) is not None, Reason.BAD_SHARES, f"client {client}")
        for owner, part in zip(given, parts, strict=True):
            self.shares.setdefault(owner, {})[client] = part

    def close(self) -> Aggregate:
        masked = self.confirmed.masked
        recovery = Recovery(
            parameters=self.opening.parameters,
            binding=self.opening.binding,
            survivors=self.confirmed.recipients,
            peers=masked.peers,
            mask_keys={i: both[keys.KEY : ADVERT] for i, both in masked.shared.adverts.items()},
            commitments=masked.shared.commitments,
            shares={i: self.shares.get(i, {}) for i in masked.owners},
        )
        return Aggregate(recovery.unmasked(masked.total), tuple(sorted(recovery.survivors)))


def flags(members: frozenset[int], order: list[int] | range) -> Flags:
    """Which of those in order are members."""
    return np.fromiter((i in members for i in order), np.bool_, len(order))
