"""Distributed trust: clients add the noise in shares and mask their vectors; the server sees a noisy sum at most."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.accountant import Accountant
from fedanalytics.privacy.costs import Cost
from fedanalytics.privacy.distributed import Quorum, Ring
from fedanalytics.privacy.distributed.ring import NARROWEST
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.blocks import Round
from fedanalytics.secure_aggregation import Aggregate, Parameters, choose, run_round
from fedanalytics.secure_aggregation.simulation import STAGES
from fedanalytics.trust.absence import aborted, all_but, why
from fedanalytics.trust.policy import ClientPolicy, check_policies, refusals, request
from fedanalytics.trust.priced import Fleet, Guarantee, Priced, composed
from fedanalytics.trust.shared_noise import SharedNoise, Unmasked, shared_noise

Drops: TypeAlias = Mapping[int, str]
Sums: TypeAlias = tuple[list[npt.NDArray[Any]], int]  # unmasked, one for each block; and how many survived

_BEFORE_THE_VECTOR = ("advertise", "shares", "masked")


@dataclass(frozen=True)
class SecureAggregation:
    """Nobody sees a contribution: the server learns the sum of the survivors' noisy vectors, and nothing else.

    Formal guarantee, under zero-out (who takes part is public): each client adds Skellam noise of its own, so that the
    sum over any set of at least `threshold` survivors, of whom a fraction `corrupt` of the roster may tell the server
    their noise, costs each client no more than the block's event (`fedanalytics.privacy.distributed.Shares`). Sums are
    exact in a ring of integers; reduction and masks are post-processing. That the server learns no more than this sum
    is the promise of the protocol, for a server that deviates only where clients see it, against the same fraction of
    corrupt clients, but for a probability of 2**-security (`fedanalytics.secure_aggregation`). Below the threshold
    nothing is unmasked. A contribution without its masks still has the noise of one share; the receipt says what it
    would cost (`guarantee["local"]`). There is no refund for more survivors than the threshold.

    In this process all the clients are simulated with the real cryptography, so one process holds all keys: what the
    server sees is as said, what the process sees is everything.

    Attributes:
        threshold: the fewest survivors whose sum may be unmasked: a number of clients, or a fraction of them below 1.
            By default, all but those that `dropout` allows to fail.
        dropout: the fraction of the clients that may drop out at any stage without ending the round.
        corrupt: the fraction of the clients that may work with the server.
        simulate: run the arithmetic alone, without keys and messages: for millions of clients, with results of the
            same distribution. It ends where more clients drop out, at whatever stage, than the threshold allows; a real
            round may outlive some that fall silent after their vector arrived.
        drops: the message that a simulated client does not send any more, by client: "advertise", "shares", "masked",
            "confirm" or "unmask". For rehearsals.
        policy: of the simulated clients: one for all, or by client; who refuses has dropped out.
        security: sigma, of the protocol's parameters.
        keystream: None, the default: fresh randomness. A test may pass ``Keystream.insecure(seed)``.

    Raises:
        BadArgument: a field is not as above.

    Example:
        >>> import fedanalytics as fa
        >>> fleet = fa.Fleet.from_values([68.5, 70.3, 69.8] * 20)
        >>> budget = fa.Ledger(":memory:").budget(
        ...     "sensors", epsilon=3.0, delta=1e-6, relation="zero-out", filter="renyi"
        ... )
        >>> session = fa.Session(fleet, budget, trust=fa.SecureAggregation(dropout=0.1, corrupt=0.05))
        >>> release = session.run(fa.count(), epsilon=1.0, delta=1e-6)
        >>> bool(abs(release.value - 60) < 60), release.receipt.guarantee["floor"]
        (True, 54)
    """

    threshold: float | None = None
    dropout: float = 0.1
    corrupt: float = 0.05
    simulate: bool = False
    drops: Mapping[int, str] = field(default_factory=dict)
    policy: ClientPolicy | Mapping[int, ClientPolicy] | None = None
    security: int = 40
    keystream: Keystream | None = None
    clients_add_noise = True

    def __post_init__(self) -> None:
        for name in ("dropout", "corrupt"):
            _validate.fraction(**{name: getattr(self, name)})
        if self.threshold is not None and not (_validate.real(self.threshold) and self.threshold > 0):
            raise BadArgument(
                f"threshold= must be a number of clients, or a fraction of them below 1, got {self.threshold!r}"
            )
        for stage in self.drops.values():
            _validate.one_of(STAGES, drops=stage)

    @property
    def name(self) -> str:
        simulated = ", SIMULATED: no cryptography ran" if self.simulate else ""
        seeded = "" if self.keystream is None or self.keystream.secure else ", INSECURE: seeded noise"
        return f"secure aggregation{simulated}{seeded}"

    def quorum(self, clients: int) -> Quorum:
        """Who is asked, and how many shares of noise can be relied on.

        Raises:
            BadArgument: so few clients, or such fractions, that nobody hides anybody.
        """
        if clients < 3:
            raise BadArgument(f"secure aggregation needs at least 3 clients, and the fleet has {clients}")
        missing, corrupt = (math.ceil(share * clients - 1e-9) for share in (self.dropout, self.corrupt))
        floor: float = clients - missing
        if self.threshold is not None:
            floor = math.ceil(self.threshold * clients - 1e-9) if self.threshold < 1 else self.threshold
        if self.threshold is not None and (floor != int(floor) or not corrupt < floor <= clients):
            raise BadArgument(
                f"threshold={self.threshold!r} must be a whole number of the {clients} clients, or a fraction of them, "
                f"above the {corrupt} that may be corrupt"
            )
        if floor <= corrupt:
            raise BadArgument(
                f"dropout={self.dropout!r} and corrupt={self.corrupt!r} leave {floor} of {clients} clients, of whom "
                f"{corrupt} may be corrupt: nobody is sure to hide anybody"
            )
        return Quorum(clients, int(floor), corrupt)

    def price(self, round_: Round, cost: Cost, roster: int | None = None) -> Priced:
        """Chooses per block the grid and the shares of noise.

        Raises:
            BadArgument: the budget's relation is not zero-out; the round samples its clients; the cost is pure or too
                small; there are too few clients.
        """
        if cost.mechanism.relation is not Relation.ZERO_OUT:
            raise BadArgument(
                f"the budget counts {cost.mechanism.relation.value}, and secure aggregation holds under zero-out (who "
                "takes part is public, and whoever is removed takes noise away): open a budget with "
                'relation="zero-out" and filter="renyi"'
            )
        if round_.correlated is not None:
            raise BadArgument("noise that belongs together over rounds is the server's: run this under fa.Central()")
        if round_.sampling_rate < 1 or cost.sampling_rate < 1:
            raise BadArgument(
                "the server of secure aggregation sees who takes part, so that sampling hides nobody: ask every client "
                "(sampling_rate=1), or sample under central trust"
            )
        quorum = self.quorum(roster or 0)
        if any(not 0 <= client < quorum.clients for client in self.drops):
            raise BadArgument(
                f"drops= names clients {sorted(self.drops)}, and the fleet has clients 0 to {quorum.clients - 1}"
            )
        check_policies(self.policy, quorum.clients)
        if not self.simulate:
            self._parameters(quorum, 1, NARROWEST)  # whether there are any is known before anything is paid
        return Priced(tuple(shared_noise(block, cost, quorum) for block in round_.blocks))

    def collect(self, fleet: Fleet, priced: Priced) -> tuple[Any, ...]:
        """One round of secure aggregation for all blocks, side by side in one vector.

        Raises:
            RoundAborted: fewer clients than the threshold came through; nothing was unmasked.
        """
        seed, parts = os.urandom(32), _widened(priced.parts)  # a public seed, drawn without regard to the vectors
        quorum = parts[0].plan.shares.quorum
        refused = refusals(self.policy, request(self.name, priced, quorum.floor), quorum.clients)
        if len(refused) > quorum.clients - quorum.floor:
            raise aborted(f"{why(refused)}; the threshold is {quorum.floor} of {quorum.clients}")
        collected = self._simulated if self.simulate else self._aggregated
        totals, survivors = collected(fleet, parts, seed, {**self.drops, **dict.fromkeys(refused, "advertise")})
        return tuple(part.decode(total, seed, survivors) for part, total in zip(parts, totals, strict=True))

    def asked_of(self, roster: int | None) -> Mapping[str, Any]:
        """The quorum: the noise of a stored answer is that of its survivors, and its promise that of its floor."""
        quorum = self.quorum(roster or 0)
        return {"quorum": [quorum.clients, quorum.floor, quorum.corrupt]}

    def guarantee(self, rounds: Sequence[Priced], delta: float | None) -> Guarantee:
        """Threshold, survivors' floor, and what a release costs against the server and if a mask failed."""
        parts: list[SharedNoise] = [part for priced in rounds for part in priced.parts]
        quorum = parts[0].plan.shares.quorum
        whole, alone = (composed(tuple(e)) for e in ([p.event for p in parts], [p.plan.local for p in parts]))
        losses = {} if delta is None else {"central": _loss(whole, delta), "local": _loss(alone, delta)}
        return {
            "clients": quorum.clients,
            "floor": quorum.floor,
            "corrupt": quorum.corrupt,
            "bits": max(part.plan.ring.bits for part in parts),
            **losses,
            "keys": "none: simulated" if self.simulate else "one process holds the keys of all clients",
        }

    def _aggregated(self, fleet: Fleet, parts: Sequence[SharedNoise], seed: bytes, drops: Drops) -> Sums:
        """Through the protocol, all the clients in this process."""
        stream, asked = self.keystream or Keystream(), fleet.messages(*_asked(parts))
        vector = np.concatenate(
            [part.masked(rows, seed, stream) for part, rows in zip(parts, asked, strict=True)], axis=1
        )
        quorum = parts[0].plan.shares.quorum
        parameters = self._parameters(quorum, vector.shape[1], parts[0].plan.ring.bits)
        outcome = run_round(vector, parameters, corrupt=self.corrupt, security=self.security, drops=drops)
        if not isinstance(outcome.result, Aggregate):
            raise aborted(f"{outcome.result.reason.value} ({outcome.result.detail}); the threshold is {quorum.floor}")
        ends = np.cumsum([part.plan.length for part in parts])[:-1]
        return list(np.split(outcome.result.total, ends)), len(outcome.result.survivors)

    def _simulated(self, fleet: Fleet, parts: Sequence[SharedNoise], seed: bytes, drops: Drops) -> Sums:
        """The arithmetic alone: exact sums of what survivors encode, and one draw of the noise of all their shares."""
        stream, quorum = self.keystream or Keystream(), parts[0].plan.shares.quorum
        gone = [i for i, stage in drops.items() if stage in _BEFORE_THE_VECTOR]
        survivors = quorum.clients - len(gone)
        if quorum.clients - len(drops) < quorum.floor:
            raise aborted(f"{len(drops)} clients drop out, the threshold is {quorum.floor} of {quorum.clients}")
        blocks, steps = _asked(parts)
        unmasked = [
            replace(block, encoder=Unmasked(block.encoder, part, seed, stream))
            for block, part in zip(blocks, parts, strict=True)
        ]
        cohorts = [all_but(gone) if gone else None] * len(parts)
        sums = fleet.sums(unmasked, steps, cohorts, everyone=True)
        return [
            part.plan.ring.wrap(total + part.plan.shares.draw_sum(survivors, part.plan.length, stream))
            for part, total in zip(parts, sums, strict=True)
        ], survivors

    def _parameters(self, quorum: Quorum, length: int, bits: int) -> Parameters:
        return _chosen(quorum, self.dropout, self.corrupt, self.security)(length, bits)


@lru_cache(maxsize=64)
def _chosen(quorum: Quorum, dropout: float, corrupt: float, security: int) -> Callable[[int, int], Parameters]:
    """The protocol's parameters; the search for them does not depend on the vector."""
    found = choose(
        quorum.clients, 1, NARROWEST, dropout=dropout, corrupt=corrupt, floor=quorum.floor, security=security
    )
    return lambda length, bits: replace(found, length=length, bits=bits)


def _asked(parts: Sequence[SharedNoise]) -> tuple[list[Any], list[int]]:
    return [part.block for part in parts], [part.steps for part in parts]


def _widened(parts: Sequence[SharedNoise]) -> list[SharedNoise]:
    """All in the widest ring of theirs, so that one vector holds them."""
    ring = Ring(max(part.plan.ring.bits for part in parts))
    return [replace(part, plan=replace(part.plan, ring=ring)) for part in parts]


@lru_cache(maxsize=256)
def _loss(event: Any, delta: float) -> dict[str, float]:
    return {"epsilon": Accountant().compose(event).epsilon(delta), "delta": delta}
