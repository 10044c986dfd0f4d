"""Where a value lives: with each of the clients, or at the one server."""

from __future__ import annotations

from enum import Enum


class Placement(Enum):
    """One of the two places of a federated computation.

    >>> CLIENTS, SERVER
    (CLIENTS, SERVER)
    """

    CLIENTS = "clients"
    SERVER = "server"

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


CLIENTS = Placement.CLIENTS
SERVER = Placement.SERVER
