"""The dry run: what an answer would be worth and cost. Sees no data and spends nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedanalytics.errors import BadArgument
from fedanalytics.ledger import Amount
from fedanalytics.round.blocks import Noisy, Query, Round
from fedanalytics.session.release import Price
from fedanalytics.trust.priced import Priced


@dataclass(frozen=True)
class Preview:
    """What `run` would do: a function of the query, the cost, the ledger and public declarations only.

    Attributes:
        standard_error: the expected error of the noise, in the caller's units, as numbers or tuples of them.
        of: "value", or "sum" where no population is declared: then it is the error of the sum over all clients, and
            the error of a mean is this divided by how many contribute.
        cost: what it would cost.
        remaining: what is left in the budget before it.
        fits: whether the budget can pay.
        rounds: how many rounds it takes.
    """

    standard_error: Any
    of: str
    cost: Price
    remaining: Amount
    fits: bool
    rounds: int = field(default=1)


def assumed(priced: Priced, population: int | None) -> tuple[Noisy, ...]:
    """Answers of an assumed, unremarkable fleet; of one client when no population is declared."""
    return tuple(part.assumed(float(population or 1)) for part in priced.parts)


def rehearsed(
    query: Query, price: Callable[[Round, int], Priced], population: int | None
) -> tuple[Any, tuple[Priced, ...]]:
    """The result over an assumed fleet, and the rounds that were asked, as `price(round, index)` prices each.

    Raises:
        BadArgument: the query asks for more rounds than it has shares.
    """
    rounds = query.rounds()
    asked: list[Priced] = []
    try:
        round_ = next(rounds)
        while True:
            if len(asked) == len(query.shares):
                raise BadArgument(f"{type(query).__name__} asks for more rounds than its {len(asked)} shares")
            asked.append(price(round_, len(asked)))
            round_ = rounds.send(assumed(asked[-1], population))
    except StopIteration as stop:
        return stop.value, tuple(asked)


def error_of(result: Any) -> Any:
    """The standard error of an estimate as plain numbers, None for other results."""
    if isinstance(result, Sequence) and not isinstance(result, str):
        return tuple(map(error_of, result))
    error = getattr(result, "standard_error", None)
    if error is None:
        return None
    return error.item() if np.ndim(error) == 0 else tuple(np.ravel(error).tolist())
