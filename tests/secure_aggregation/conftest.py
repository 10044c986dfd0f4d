"""A cohort that can be stopped, copied and lied to between any two messages."""

import copy
import itertools

import numpy as np
import pytest

from fedanalytics.secure_aggregation import Client, Identity, Parameters, Policy, Server

IDENTITIES = [Identity.from_private(bytes([i]) * 32) for i in range(1, 101)]


class Cohort:
    """A server and its clients with fixed identities, before the first message."""

    def __init__(self, vectors, parameters, corrupt=0.0, security=40, round_=None):
        n = parameters.clients
        self.vectors, self.parameters = np.asarray(vectors), parameters
        self.roster = tuple(identity.public for identity in IDENTITIES[:n])
        self.server = Server(parameters, self.roster, round_)
        policy = Policy(parameters.bits, parameters.floor, corrupt, security)
        self.clients = [Client(i, IDENTITIES[i], self.roster, policy, self.vectors[i]) for i in range(n)]
        self.outgoing = dict(self.server.outgoing)

    def copy(self):
        other = copy.copy(self)
        other.server, other.clients = copy.deepcopy(self.server), [copy.copy(client) for client in self.clients]
        return other

    def exchange(self, silent=()):
        """One stage, everyone who is not silent; what the server closes it with."""
        for i, message in self.outgoing.items():
            if i not in silent:
                answer = self.clients[i].receive(message)
                if isinstance(answer, bytes):
                    self.server.receive(answer)
        return self.advance()

    def advance(self):
        closed = self.server.close()
        self.outgoing = dict(closed) if not hasattr(closed, "reason") and not hasattr(closed, "total") else {}
        return closed

    def until(self, stages):
        for _ in range(stages):
            self.exchange()
        return self

    def finish(self):
        closed = None
        while self.outgoing:
            closed = self.exchange()
        return closed

    def expected(self, survivors):
        modulus = 2**self.parameters.bits
        return [sum(int(self.vectors[i][j]) for i in survivors) % modulus for j in range(self.parameters.length)]


@pytest.fixture(scope="session")
def cohort():
    return Cohort


@pytest.fixture
def four():
    """Four clients on a complete graph, two neighbours suffice, one may drop out."""
    vectors = np.array([[1, 200, 30], [2, 100, 31], [3, 50, 32], [250, 7, 33]])
    return Cohort(vectors, Parameters(4, 3, 2, 3, length=3, bits=8))


@pytest.fixture(scope="session")
def components():
    """The smallest sets whose sum a server can compute: joined by masks that it does not know, all seeds known."""

    def find(clients, edges, seeds, keys):
        parent = {i: i for i in clients}

        def root(i):
            while parent[i] != i:
                i = parent[i]
            return i

        for i, j in edges:
            if i not in keys and j not in keys:
                parent[root(i)] = root(j)
        groups = itertools.groupby(sorted(clients, key=root), key=root)
        sets = [frozenset(members) for _, members in groups]
        return [members for members in sets if members <= seeds]

    return find
