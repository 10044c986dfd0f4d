"""What a machine answers besides bytes: a refusal of one message, an abort of the round, or the sum.

What peers send is never an exception: it is a value with a reason, which names no input and no secret. `Stop` is how a
step says so to the machine around it, and never leaves that.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
import numpy.typing as npt


class Reason(enum.Enum):
    """Why a message was refused or a round ended."""

    MALFORMED = "the bytes are no message of this protocol"
    WRONG_VERSION = "another version of the protocol"
    WRONG_ROUND = "a message of another round"
    WRONG_STAGE = "late, early, or for somebody else"
    DUPLICATE = "the first message won"
    UNKNOWN_SENDER = "not on the roster"
    NOT_IN_STAGE = "the sender has dropped out of the round"
    BAD_SIGNATURE = "not signed by the identity on the roster"
    WRONG_ECHO = "answers another message than the one that was sent"
    WRONG_ROSTER = "another roster than the pinned one"
    WEAK_PARAMETERS = "parameters that the policy does not allow"
    BAD_KEYS = "a key that is unusable, used twice, or not the one committed to"
    BELOW_FLOOR = "fewer clients than the floor"
    BELOW_THRESHOLD = "fewer neighbours than the threshold"
    INCONSISTENT = "a survivor list that cannot be true"
    SCATTERED = "survivors that corrupt clients could keep apart"
    UNCONFIRMED = "too few neighbours confirmed the same survivor list"
    BAD_SHARES = "shares that do not give the secret committed to"
    ENDED = "the machine has ended"


@dataclass(frozen=True)
class Refusal:
    """One message was dropped; the machine is as it was before.

    Attributes:
        reason: why.
        detail: which client or field, in words; never a value of a client's.
    """

    reason: Reason
    detail: str = ""


@dataclass(frozen=True)
class Abort:
    """The machine has ended without a sum and answers nothing more.

    Attributes:
        reason: why.
        detail: which client or field, in words; never a value of a client's.
    """

    reason: Reason
    detail: str = ""


@dataclass(frozen=True)
class Aggregate:
    """The sum of the survivors' vectors, modulo 2**bits.

    Attributes:
        total: shape (length,), uint32 or, for more than 32 bits, uint64.
        survivors: whose vectors are in it, as positions in the roster, ascending.
    """

    total: npt.NDArray[np.unsignedinteger] = field(repr=False)
    survivors: tuple[int, ...]


class Stop(Exception):
    """Carries a reason from a step to its machine, which turns it into a value."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def stop(reason: Reason, detail: str = "") -> NoReturn:
    """Ends a step."""
    raise Stop(reason, detail)


def demand(condition: object, reason: Reason, detail: str = "") -> None:
    """Ends a step unless the condition holds."""
    if not condition:
        raise Stop(reason, detail)
