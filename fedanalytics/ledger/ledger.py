"""The ledger: budgets by name over one store, and its entries."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Mapping
from fractions import Fraction
from types import TracebackType
from typing import Self

from fedanalytics import _validate
from fedanalytics.ledger import entries, tables
from fedanalytics.ledger.actors import ActorCap
from fedanalytics.ledger.budget import Budget
from fedanalytics.ledger.connections import database
from fedanalytics.ledger.entries import Entry
from fedanalytics.ledger.heads import Head
from fedanalytics.ledger.opening import settle
from fedanalytics.ledger.store import Store, last_head
from fedanalytics.ledger.terms import Asked, Group
from fedanalytics.privacy.relations import Relation

_PAGE = 500  # entries read at once: no lock is held while the caller looks at them


class Ledger:
    """An append-only, hash-chained record of what was spent on whom, in a SQLite file or a PostgreSQL database.

    Every change is one transaction that is durable when the call returns; a process or a server killed at any point
    loses no entry and frees no budget. Programs and hosts share a ledger and take turns; their clocks need not agree,
    because entries are ordered by number. (Where a budget has windows, a host whose clock is five minutes behind its
    newest reservation is refused.)

    In a file: beside ``budget.db`` lie SQLite's own ``-wal`` and ``-shm``, the last head ``budget.db.head`` and large
    answers in ``budget.db.results/``: keep them together. A database older than the head beside it is refused, because
    going on with a restored backup would spend twice.

    On a server: ``postgresql://user@host/name``, in the schema that comes first in its ``search_path``
    (``?options=-csearch_path%3Dledger``), which belongs to the ledger alone. The server must sync (``fsync``), and
    commits are waited for whatever its default. No head is kept beside it: a process notices a server that fell behind
    what it saw committed itself, and for all else, a backup restored over the newest included, publish `head` and
    hold `verify` to it. Who spends needs SELECT on all four tables, INSERT on all, UPDATE on ``budget`` and DELETE on
    ``reservation``, and then cannot change the past; only its owner can, and `verify` sees that. No password is ever
    shown; better than in the address it stands in PGPASSWORD or ~/.pgpass. A connection that breaks while the server
    commits is an error that says so: whether it did is then unknown until the same key is asked again.

    Against one who rewrites all of it, publish `head` and hold `verify` to it.

    Threads may share a ledger; processes open the same path, and may fork (a ledger in memory cannot follow).

    Args:
        path: the file, made if there is none, or the address of a database; ":memory:" for tests.
        timeout: how long to wait for another process that is writing, in seconds.
        actor: who acts, for the record; the name of the operating system's user unless given.

    Raises:
        BadArgument: the path cannot be a ledger's; or it is an address, and psycopg is not installed.
        LedgerError: it cannot be opened as one (see its subclasses).

    Example:
        >>> with Ledger(":memory:", actor="ada") as ledger:
        ...     budget = ledger.budget("aircraft", epsilon=3.0, delta=1e-6, unit="tailnum")
        ...     ledger.budget("aircraft").remaining, ledger.head().seq
        (Amount(rho=0.209775, epsilon=3, delta=1e-06), 1)
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout: float = 30.0, actor: str | None = None) -> None:
        self.timeout = float(_validate.positive(timeout=timeout))
        self.actor = _user() if actor is None else _validate.text(actor=actor)
        self.store = Store(database(os.fspath(path), self.timeout))

    @property
    def path(self) -> str:
        """The file or address, as given, but for a password."""
        return self.store.path

    def budget(
        self,
        name: str,
        *,
        epsilon: float | None = None,
        delta: float | None = None,
        rho: float | Fraction | None = None,
        unit: str | None = None,
        dataset: str | None = None,
        relation: Relation | None = None,
        overlap: bool = False,
        filter: str | None = None,  # noqa: A002  # the field's word for it
        order: int | None = None,
        group: Group | None = None,
        window: str | None = None,
        actor_caps: Mapping[str, ActorCap] | None = None,
    ) -> Budget:
        """Open a budget, or find it; what it was opened with never changes, but for a cap that is amended.

        Args:
            name: of the budget.
            epsilon: the cap, with `delta`; alone, the cap of a pure budget, which pays for pure noise only.
            delta: of the cap; beside `rho`, only to show epsilons.
            rho: the cap in zCDP.
            unit: whose privacy is counted, such as the client column; by default taken from the first session.
            dataset: the identity of the data; by default taken from the first session.
            relation: which fleets are neighbours; add-or-remove-one unless given.
            overlap: allow another budget on the same unit of the same dataset; reports add both.
            filter: the rule by which queries are admitted, for a cap in epsilon and delta: "gdp" (unless given) admits
                most Gaussian noise, "zcdp" most when much of the noise is pure, "renyi" is for sampled cohorts and
                Skellam noise, "pld" for whole plans that are declared before their first output (see
                `fedanalytics.privacy.filters`).
            order: of a "renyi" filter; unless given, the one that admits most Gaussian noise.
            group: (column, value) of the clients that it is for, as `fleet.only` makes them; budgets of disjoint groups
                do not add up.
            window: the length of windows, each of which has the whole cap: "12h", "30d", "1w". Windows follow each
                other on the calendar (UTC). What is asked within one window loses at most the cap; **over several
                windows the losses add up**, unless what is asked in each is about that window's data alone: then the
                unit of privacy is (client, window). See `fedanalytics.ledger.windows`.
            actor_caps: how much of the cap an actor may spend, in each window: by name, or "*" for each of the others,
                a share from 0 to 1, or an amount as {"epsilon": 0.5} or {"rho": 0.01}.

        Raises:
            BadArgument: it exists and an argument differs from what it was opened with (both are named); it does not
                exist and no cap is given; or it shares the data of another budget.
            LedgerError: the store cannot be written.
        """
        whose = (unit, dataset, relation, overlap)
        settle(
            self.store, Asked(name, epsilon, delta, rho, *whose, filter, order, group, window, actor_caps), self.actor
        )
        return Budget(self.store, name, self.actor)

    def budgets(self) -> dict[str, Budget]:
        """All budgets by name."""
        with self.store.read() as connection:
            names = [name for name, _, _ in tables.budgets(connection)]
        return {name: Budget(self.store, name, self.actor) for name in names}

    def entries(self) -> Iterator[Entry]:
        """All entries, oldest first; unchecked (see `verify`)."""
        seq = 0
        while True:
            with self.store.read() as connection:
                page = tables.entries_after(connection, seq, _PAGE)
            yield from (entries.read(*row) for row in page)
            if len(page) < _PAGE:
                return
            seq = page[-1][0]

    def head(self) -> Head:
        """The head of the chain: publish it, and no past can be rewritten or cut off unseen."""
        with self.store.read() as connection:
            return last_head(connection)

    def close(self) -> None:
        """Let go of it; closing twice is harmless."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Ledger({self.path!r})"


def _user() -> str:
    """The user's name; its number where no name is known, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"
