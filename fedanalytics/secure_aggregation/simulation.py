"""A whole round in one process, with the real cryptography between all clients.

One process then holds all keys: this shows and measures the protocol, it hides nothing from who runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.secure_aggregation.client import Client
from fedanalytics.secure_aggregation.keys import Identity
from fedanalytics.secure_aggregation.outcomes import Abort, Aggregate, Refusal
from fedanalytics.secure_aggregation.packing import Lanes, lanes, reduced
from fedanalytics.secure_aggregation.parameters import Parameters, Policy
from fedanalytics.secure_aggregation.server import Server
from fedanalytics.secure_aggregation.wire import Kind

STAGES = ("advertise", "shares", "masked", "confirm", "unmask")


@dataclass(frozen=True)
class Outcome:
    """How a simulated round went.

    Attributes:
        result: the sum, or why there is none.
        stopped: what each client said that did not answer of itself.
        refused: what the server said of answers that it did not take.
        sent: bytes from each client.
        received: bytes to each client.
    """

    result: Aggregate | Abort
    stopped: Mapping[int, Refusal | Abort] = field(default_factory=dict)
    refused: Mapping[int, Refusal] = field(default_factory=dict)
    sent: Mapping[int, int] = field(default_factory=dict)
    received: Mapping[int, int] = field(default_factory=dict)


def plain_sum(vectors: npt.NDArray[np.integer], bits: int) -> Lanes:
    """The definition: the sum over the rows modulo 2**bits.

    Example:
        >>> plain_sum(np.array([[200, 1], [100, -2]]), 8)
        array([ 44, 255], dtype=uint32)
    """
    return reduced(vectors.astype(lanes(bits)).sum(axis=0, dtype=lanes(bits)), bits)


def run_round(
    vectors: npt.NDArray[np.integer],
    parameters: Parameters,
    *,
    corrupt: float = 0.0,
    security: int = 40,
    drops: Mapping[int, str] | None = None,
) -> Outcome:
    """Runs one round between a server and `parameters.clients` clients with fresh identities.

    Args:
        vectors: integers, shape (clients, length); they count modulo 2**bits.
        parameters: of the round.
        corrupt: the fraction that the clients' policy guards against.
        security: sigma of that policy.
        drops: the message that a client does not send any more, by client: one of "advertise", "shares", "masked",
            "confirm", "unmask".

    Raises:
        BadArgument: an argument is not as above.

    Example:
        >>> from fedanalytics.secure_aggregation import choose
        >>> parameters = choose(5, length=2, bits=16, dropout=0.2, corrupt=0.0)
        >>> vectors = np.arange(10).reshape(5, 2)
        >>> run_round(vectors, parameters).result.total
        array([20, 25], dtype=uint32)
        >>> run_round(vectors, parameters, drops={4: "masked"}).result
        Aggregate(survivors=(0, 1, 2, 3))
        >>> run_round(vectors, parameters, drops={3: "masked", 4: "masked"}).result.reason
        <Reason.BELOW_FLOOR: 'fewer clients than the floor'>
    """
    vectors = np.asarray(vectors)
    if vectors.shape != (parameters.clients, parameters.length):
        expected = (parameters.clients, parameters.length)
        raise BadArgument(f"vectors= must have shape (clients, length) = {expected}, got {vectors.shape}")
    silent = _silences(drops or {}, parameters.clients)
    identities = [Identity.generate() for _ in range(parameters.clients)]
    roster = tuple(identity.public for identity in identities)
    policy = Policy(parameters.bits, parameters.floor, corrupt, security)
    clients = [Client(i, who, roster, policy, vectors[i]) for i, who in enumerate(identities)]
    return converse(Server(parameters, roster), clients, silent)


def converse(server: Server, clients: list[Client], silent: Mapping[int, Kind]) -> Outcome:
    """Carries messages to and fro until the round has ended; who is silent stops before that message."""
    sent, received = dict.fromkeys(range(len(clients)), 0), dict.fromkeys(range(len(clients)), 0)
    stopped: dict[int, Refusal | Abort] = {}
    refused: dict[int, Refusal] = {}
    result: Mapping[int, bytes] | Aggregate | Abort = server.outgoing
    while isinstance(result, Mapping):
        for i, message in result.items():
            if message[1] + 1 >= silent.get(i, Kind.UNMASK + 1):
                continue
            received[i] += len(message)
            answer = clients[i].receive(message)
            if isinstance(answer, bytes):
                sent[i] += len(answer)
                if refusal := server.receive(answer):
                    refused[i] = refusal
            else:
                stopped[i] = answer
        result = server.close()
    return Outcome(result, stopped, refused, sent, received)


def _silences(drops: Mapping[int, str], clients: int) -> dict[int, Kind]:
    for client in drops:
        if not _validate.whole(0, drops=client) < clients:
            raise BadArgument(f"drops= names client {client}, there are {clients}")
    return {client: Kind[_validate.one_of(STAGES, drops=stage).upper()] for client, stage in drops.items()}
