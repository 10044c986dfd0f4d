"""Where a ledger lies: in a file, or in a database of a PostgreSQL server."""

from __future__ import annotations

from fedanalytics import _validate
from fedanalytics.ledger.database import Database
from fedanalytics.ledger.postgresql import SCHEMES, Server
from fedanalytics.ledger.sqlite import File


def database(path: str, timeout: float) -> Database:
    """The database that a path or an address names; nothing is opened or made.

    Raises:
        BadArgument: no ledger can lie there.
    """
    if _validate.text(path=path).startswith(SCHEMES):
        return Server(path, timeout)
    return File(path, timeout)
