"""What a run came to: as the ledger keeps it, and as the caller gets it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from fedanalytics.learning.model import Model, Vector
from fedanalytics.learning.private.cards import Card
from fedanalytics.learning.private.checkpoints import Row
from fedanalytics.ledger import Reservation
from fedanalytics.round.canonical import canonical


@dataclass(frozen=True, eq=False)
class SiloResult:
    """What a run came to.

    Attributes:
        model: a module with the trained parameters, in evaluation mode.
        parameters: the same as a vector, shape (size,).
        history: a row per epoch: steps made, epsilon up to there, clip, the L2 norm of the last noisy mean gradient.
        card: what was done to whom, for Markdown and JSON.
        reservation: what paid, with the number and the hash of its entry; `replayed` if an earlier call had paid.
    """

    model: nn.Module
    parameters: Vector = field(repr=False)
    history: tuple[Row, ...]
    card: Card = field(repr=False)
    reservation: Reservation


def written(parameters: Vector, history: Sequence[Row]) -> dict[str, Any]:
    """As JSON: the parameters bit for bit, their SHA-256, and the history.

    Example:
        >>> body = written(np.array([1.5, -2.0], np.float32), ())
        >>> body["parameters"], vector(body).tolist()
        ('AADAPwAAAMA=', [1.5, -2.0])
    """
    content = np.ascontiguousarray(parameters).astype(parameters.dtype.newbyteorder("<")).tobytes()
    return {
        "dtype": parameters.dtype.name,
        "parameters": base64.b64encode(content).decode(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "history": [canonical(asdict(row)) for row in history],
    }


def vector(body: Mapping[str, Any]) -> Vector:
    """The parameters, shape (size,)."""
    dtype = np.dtype(body["dtype"])
    found: Vector = np.frombuffer(base64.b64decode(body["parameters"]), dtype.newbyteorder("<")).astype(dtype)
    return found


def rows(body: Mapping[str, Any]) -> tuple[Row, ...]:
    """The history."""
    return tuple(Row(**{**row, "step": float(row["step"])}) for row in body["history"])


def module(model: Model, parameters: Vector) -> nn.Module:
    """A module with these parameters, finite or not, in evaluation mode."""
    found = model.module()
    model.load(found, torch.from_numpy(parameters))
    return found
