"""What a command was asked to do: questions to one fleet, paid from one budget."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from fedanalytics.cli.copies import copied
from fedanalytics.cli.funds import Funds
from fedanalytics.cli.question import Question
from fedanalytics.cli.source import Source
from fedanalytics.cli.trusted import Trusted
from fedanalytics.ledger import Ledger
from fedanalytics.ledger.connections import database


@dataclass(frozen=True)
class Job:
    """Questions that are asked at once.

    Attributes:
        title: the name of the study, or of the one question.
        period: the part of the keys that changes from run to run; None without keys.
        keys: one per question, or None: then each run is a new one, and pays.
        ledger: the file; None for a ledger that nobody keeps.
        wait: how long to wait for another process, in seconds.
    """

    title: str
    period: str | None
    source: Source
    funds: Funds
    trusted: Trusted
    questions: tuple[Question, ...]
    keys: tuple[str, ...] | None
    ledger: str | None
    wait: float = 30.0

    @property
    def counted(self) -> bool:
        """Whether a ledger keeps what is spent."""
        return self.ledger is not None

    @property
    def makes_ledger(self) -> bool:
        """Whether there is no ledger yet."""
        return self.ledger is None or not database(self.ledger, self.wait).exists()

    @property
    def place(self) -> str | None:
        """Where the ledger lies, as it may be shown: an address without its password."""
        return None if self.ledger is None else database(self.ledger, self.wait).path

    def opened(self) -> Ledger:
        """The ledger, to spend from."""
        return Ledger(":memory:") if self.ledger is None else Ledger(self.ledger, timeout=self.wait)

    @contextlib.contextmanager
    def rehearsed(self) -> Iterator[Ledger]:
        """A ledger that says what the real one would, and is gone afterwards."""
        if self.ledger is None or self.makes_ledger:
            with Ledger(":memory:") as ledger:
                yield ledger
        else:
            with copied(self.ledger) as ledger:
                yield ledger
