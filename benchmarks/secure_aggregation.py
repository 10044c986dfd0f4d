"""Secure aggregation against Flower's own functions (flwr 1.41), at the same n, k, t and d; without it, no rows.

What Flower's client does besides the protocol (quantising floats) is measured too, and taken off its time.
"""

# ruff: noqa: SLF001  # both protocols are taken apart between their stages

from __future__ import annotations

import copy
import importlib.util
import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cases import case
from interleave import Row, ratio, seconds

from fedanalytics.secure_aggregation import Client, Identity, Parameters, Policy, Server, choose, keys, shares, wire
from fedanalytics.secure_aggregation.graph import circle, table
from fedanalytics.secure_aggregation.masks import add_masks
from fedanalytics.secure_aggregation.recovery import Recovery
from fedanalytics.secure_aggregation.transcript import seed_commitment, survivor_digest
from fedanalytics.secure_aggregation.wire import SERVER, Kind

PEER = importlib.util.find_spec("flwr") is not None
THEIRS = "flwr.client.mod.secure_aggregation.secaggplus_mod"  # a module whose name its package gives to a function
BITS, DROPOUT = 20, 0.05


def planned(clients: int, length: int) -> Parameters:
    """What both run with."""
    return choose(clients, length, BITS, dropout=DROPOUT, corrupt=0.05)


def median(call: Callable[[], object], runs: int) -> float:
    """Seconds of a call, after one to warm up."""
    call()
    return statistics.median(seconds(call) for _ in range(runs))


# ---------------------------------------------------------------- one client, all its messages


@dataclass
class Script:
    """A client before each of its five stages, and what the server says to it there."""

    stages: list[tuple[Client, bytes]]

    def run(self) -> list[Any]:
        """All five answers."""
        return [copy.copy(client).receive(message) for client, message in self.stages]


def script(parameters: Parameters) -> Script:
    """The client at position 0 in a round with all others, who do what it needs and mask nothing."""
    n = parameters.clients
    identities = [Identity.generate() for _ in range(n)]
    roster = tuple(identity.public for identity in identities)
    policy = Policy(BITS, parameters.floor, 0.05)
    vector = np.arange(parameters.length, dtype=np.uint32)
    server = Server(parameters, roster)
    clients = [Client(i, who, roster, policy, vector) for i, who in enumerate(identities)]
    stages, outgoing = [], server.outgoing
    for _ in range(2):
        stages.append((copy.copy(clients[0]), outgoing[0]))
        for i, message in outgoing.items():
            server.receive(clients[i].receive(message))
        outgoing = server.close()
    near = server._stage.peers[0]
    shared = {i: clients[i]._stage for i in near}
    stages.append((copy.copy(clients[0]), outgoing[0]))
    clients[0].receive(outgoing[0])
    everyone = np.ones(n, np.bool_)
    round_ = server._stage.opening.round
    listed = wire.frame(Kind.SURVIVORS, round_, SERVER, wire.flagged(everyone))
    stages.append((copy.copy(clients[0]), listed))
    clients[0].receive(listed)
    seen = survivor_digest(server._stage.opening.binding, shared[near[0]].order, everyone)
    tags = [next(p for p in shared[i].peers if p.index == 0).channel.tag(seen) for i in near]
    body = wire.flagged(np.ones(len(near), np.bool_)) + b"".join(tags)
    stages.append((copy.copy(clients[0]), wire.frame(Kind.CONFIRMATIONS, round_, SERVER, body)))
    found = Script(stages)
    assert all(isinstance(answer, bytes) for answer in found.run())
    return found


def peers_client(parameters: Parameters) -> Callable[[], float]:
    """Times Flower's four stages of one client."""
    from flwr.common import ndarrays_to_parameters
    from flwr.common.secure_aggregation import quantization
    from flwr.common.secure_aggregation.crypto import symmetric_encryption as sym
    from flwr.common.secure_aggregation.crypto.shamir import create_shares
    from flwr.common.secure_aggregation.secaggplus_constants import Key
    from flwr.common.secure_aggregation.secaggplus_utils import share_keys_plaintext_concat

    mod = importlib.import_module(THEIRS)
    k, t = parameters.degree, parameters.threshold
    values = [np.zeros(parameters.length)]
    floats = ndarrays_to_parameters(values)
    common = {Key.SAMPLE_NUMBER: parameters.clients, Key.SHARE_NUMBER: k + 1, Key.THRESHOLD: t}
    common |= {Key.CLIPPING_RANGE: 8.0, Key.TARGET_RANGE: 1 << 12, Key.MOD_RANGE: 1 << BITS, Key.MAX_WEIGHT: 1.0}
    pairs = {i: [mod.generate_key_pairs() for _ in range(2)] for i in range(2, k + 2)}
    publics = {i: [mod.public_key_to_bytes(p) for _, p in both] for i, both in pairs.items()}
    part = create_shares(os.urandom(32), t, k + 1)[0]
    long_part = create_shares(mod.private_key_to_bytes(pairs[2][0][0]), t, k + 1)[0]

    def run() -> float:
        """The client's own seconds, without its neighbours' encryption and the quantising."""
        state = mod.SecAggPlusState()
        state.nid = 1

        def before() -> None:
            mod._setup(state, dict(common))
            own = [state.pk1, state.pk2]
            mod._share_keys(state, {str(i): both for i, both in ({1: own} | publics).items()})

        def after() -> None:
            mod._collect_masked_vectors(state, {Key.CIPHERTEXT_LIST: boxes, Key.SOURCE_LIST: list(publics)}, 1, floats)
            mod._unmask(state, {Key.ACTIVE_NODE_ID_LIST: [1, *publics], Key.DEAD_NODE_ID_LIST: []})

        took = seconds(before)
        boxes = [sym.encrypt(state.ss2_dict[i], share_keys_plaintext_concat(i, 1, part, long_part)) for i in publics]
        return took + seconds(after) - seconds(lambda: quantization.quantize(values, 8.0, 1 << 12))

    return run


@case
def secure_client(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # a case takes the folder, needed or not
    """One client, all stages."""
    for clients, length in ((n, d) for n in (100, 1000) for d in (10_000, 100_000, 1_000_000)):
        if PEER:
            parameters = planned(clients, length)
            theirs = peers_client(parameters)
            runs = 9 if length < 1_000_000 else 3
            ours = script(parameters).run
            ratios = sorted(seconds(ours) / theirs() for _ in range(runs))
            work = f"secure aggregation, one client, all stages, n = {clients}, d = {length:.0e}"
            spread = (ratios[runs // 4], ratios[-1 - runs // 4])
            yield Row(work, "flwr, one client", statistics.median(ratios), 1 / 8, spread)


# ---------------------------------------------------------------- the server


def recovery(parameters: Parameters) -> Recovery:
    """What a server holds when every twentieth client dropped out before masking."""
    n = parameters.clients
    binding, near = bytes(32), table(circle(bytes(32), n), parameters.degree)
    dropped = set(range(0, n, round(1 / DROPOUT)))
    seeds, pairs = [os.urandom(32) for _ in range(n)], [keys.Pair.generate() for _ in range(n)]
    given = {}
    for i in range(n):
        secret = shares.limbs(pairs[i].secret if i in dropped else seeds[i])
        parts = shares.split(secret, parameters.threshold, np.array(near[i]) + 1)
        given[i] = {j: shares.encoded(part) for j, part in zip(near[i], parts, strict=True) if j not in dropped}
    return Recovery(
        parameters=parameters,
        binding=binding,
        survivors=frozenset(range(n)) - dropped,
        peers=dict(enumerate(near)),
        mask_keys={i: pair.public for i, pair in enumerate(pairs)},
        commitments={i: seed_commitment(binding, i, seed) for i, seed in enumerate(seeds)},
        shares=given,
    )


def peers_unmasking(held: Recovery) -> tuple[float, float]:
    """Seconds of Flower's loop over all secrets: with the reconstruction of secrets, and without.

    Each of its calls is timed and counted: the loop itself would take minutes.
    """
    from flwr.common.secure_aggregation.crypto.shamir import combine_shares, create_shares
    from flwr.common.secure_aggregation.ndarrays_arithmetic import parameters_subtraction
    from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen

    mod = importlib.import_module(THEIRS)
    k, t, d = held.parameters.degree, held.parameters.threshold, held.parameters.length
    (one, _), (_, other) = mod.generate_key_pairs(), mod.generate_key_pairs()
    one_bytes, other_bytes = mod.private_key_to_bytes(one), mod.public_key_to_bytes(other)
    seed, total = os.urandom(32), [np.zeros(d, np.int64)]
    short, long = (create_shares(secret, t, k + 1) for secret in (seed, one_bytes))
    alive = len(held.survivors)
    pairs = sum(j in held.survivors for i, near in held.peers.items() if i not in held.survivors for j in near)
    came = round((k + 1) * (1 - DROPOUT))  # flwr combines all the shares that it received, not the first t
    combining = alive * median(lambda: combine_shares(short[:came]), 3)
    combining += (len(held.peers) - alive) * median(lambda: combine_shares(long[:came]), 3)
    masking = median(lambda: parameters_subtraction(total, pseudo_rand_gen(seed, 1 << BITS, [(d,)])), 7)
    agreeing = median(
        lambda: mod.generate_shared_key(mod.bytes_to_private_key(one_bytes), mod.bytes_to_public_key(other_bytes)), 21
    )
    rest = (alive + pairs) * masking + pairs * agreeing
    return combining + rest, rest


@case
def secure_server(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # a case takes the folder, needed or not
    """Unmasking with 5 % dropout."""
    for clients, length in ((n, d) for n in (100, 1000) for d in (10_000, 100_000)):
        if PEER:
            held = recovery(planned(clients, length))
            total = np.zeros(length, np.uint32)
            ours = median(lambda h=held, x=total: h.unmasked(x), 3)
            whole, rest = peers_unmasking(held)
            work = f"secure aggregation, server unmasks, 5 % dropout, n = {clients}, d = {length:.0e}"
            yield Row(work, "flwr, server", ours / whole, 1 / 75)
            yield Row(work, "flwr, server, reconstruction of secrets not counted", ours / rest, 1 / 10)


@case
def secure_masks(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # a case takes the folder, needed or not
    """Adding masks against the keystream alone."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    for key_bytes in (16, 32):
        mask_keys, total = [os.urandom(key_bytes) for _ in range(32)], np.zeros(1_000_000, np.uint32)
        zeros = memoryview(bytes(1 << 18))

        def stream(mask_keys: list[bytes] = mask_keys, total: np.ndarray = total, zeros: memoryview = zeros) -> None:
            buffer = bytearray(len(zeros) + 15)
            for key in mask_keys:
                cipher = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
                for start in range(0, total.nbytes, len(zeros)):
                    cipher.update_into(zeros[: total.nbytes - start], buffer)

        found, spread = ratio(lambda k=mask_keys, x=total: add_masks(x, k), stream, 21)
        yield Row(f"mask addition, d = 1e6, AES-{8 * key_bytes}", "the keystream alone", found, 1 / 0.6, spread)


@case
def secure_bytes(folder: Path) -> Iterator[Row]:  # noqa: ARG001  # a case takes the folder, needed or not
    """What crosses the wire."""
    parameters = planned(1024, 2**20)
    found = script(parameters)
    crossed = sum(len(message) for _, message in found.stages) + sum(map(len, found.run()))
    plain = parameters.length * BITS // 8
    yield Row("bytes from and to a client, n = 1024, d = 2**20, 20 bits", "the plain vector", crossed / plain, 1.3)
