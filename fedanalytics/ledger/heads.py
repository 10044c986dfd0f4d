"""Heads: the last link of the chain, which stands for all of it, and the copy of it kept beside the database.

A chain cannot show from inside that its tail was cut. Whoever keeps its head elsewhere can: on paper, in a report, or
in the file ``<ledger>.head``, which every transaction rewrites and every later one compares.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass
from typing import Protocol

from fedanalytics.errors import BadArgument, LedgerCorrupt

GENESIS = bytes(32)
_FORM = re.compile(r"(0|[1-9][0-9]{0,17}):([0-9a-f]{64})")
PAUSE = 0.01  # seconds until a head that another process is writing is whole
_WIDTH = 96  # bytes: never shorter than before, so that one write replaces the text as a whole


@dataclass(frozen=True)
class Head:
    """The number and the hash of the last entry; ``Head.parse(str(head)) == head``.

    Example:
        >>> str(Head(12, "ab" * 32))[:8]
        '12:ababa'
    """

    seq: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Head:
        """A head from its text.

        Raises:
            BadArgument: the text is no head.
        """
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise BadArgument(f"a head looks like '12:ab34...', a number and 64 hexadecimal digits; got {text!r}")
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


EMPTY = Head(0, GENESIS.hex())


class HeadKeeper(Protocol):
    """A place outside of the database, for the head that it must not fall behind."""

    def read(self) -> Head | None:
        """What was kept; None where nothing was."""

    def write(self, head: Head) -> None:
        """Keep `head`."""


@dataclass
class RememberedHead:
    """The last head that this process wrote: a server that fell behind it has lost what it had promised to keep.

    It is noticed where a database was restored, or a lagging copy took over, while the process ran; across processes
    only a head that was published notices it (`verify`).
    """

    head: Head | None = None

    def read(self) -> Head | None:
        """What was kept; None where nothing was."""
        return self.head

    def write(self, head: Head) -> None:
        """Keep `head`."""
        self.head = head


@dataclass(frozen=True)
class KeptHead:
    """The head beside a database.

    It is written in place, in one write of constant width: creating and renaming a file costs forty times as much, and
    a write this small is never left in part by a kill. It is not fsynced and is written after the database, so it
    may lag behind it, never lead.
    """

    path: str

    def read(self) -> Head | None:
        """What was kept; None where nothing was.

        Raises:
            LedgerCorrupt: the file holds something else.
        """
        try:
            text = self._text()
            if text and not _FORM.fullmatch(text):
                time.sleep(PAUSE)
                text = self._text()
            return Head.parse(text) if text else None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LedgerCorrupt(f"{self.path} cannot be read ({error.strerror}): make it a readable file") from error
        except BadArgument as error:
            raise LedgerCorrupt(
                f"{self.path} is damaged ({error}): compare the ledger with a head that you published, then delete it"
            ) from error

    def _text(self) -> str:
        file = os.open(self.path, os.O_RDONLY)  # on every spend: a third of the time of a file object
        try:
            return os.read(file, 2 * _WIDTH).decode(errors="replace").strip(" \n\0")
        finally:
            os.close(file)

    def write(self, head: Head) -> None:
        """Keep `head`. A failure is no error: the transaction is done, and an older head is only a weaker guard."""
        with contextlib.suppress(OSError):
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                os.write(file, f"{head}".ljust(_WIDTH - 1).encode() + b"\n")
            finally:
                os.close(file)
