"""The ``[evaluation]`` of a recipe: figures of the model while it learns, each a query that is paid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from fedanalytics import _validate
from fedanalytics.cli import ranges, reading
from fedanalytics.cli.reading import Table
from fedanalytics.errors import BadArgument

METRICS = ("accuracy", "loss")


@dataclass(frozen=True)
class Scoring:
    """What is asked of the model, when, and what it may cost.

    Attributes:
        metric: "accuracy" or "loss", the mean over clients.
        bounds: of a client's loss.
        every: how many rounds lie between two figures; None for one, at the end.
        rho: what each figure costs; or
        share: what all of them cost together, of the recipe's epsilon and delta.
        table: for messages.
    """

    metric: str
    bounds: tuple[float, float] | None
    every: int | None
    rho: float | None
    share: float | None
    table: Table

    def due(self, rounds: int) -> tuple[int, ...]:
        """After which of the rounds; the last is one of them.

        >>> Scoring("accuracy", None, 20, 0.01, None, Table({})).due(50)
        (20, 40, 50)
        """
        every = self.every or rounds
        return tuple(sorted({*range(every, rounds + 1, every), rounds}))

    def offer(self, epsilon: float, delta: float, rounds: int) -> Mapping[str, float]:
        """What one figure may cost, as a session takes it."""
        if self.share is None:
            return {"rho": self.rho or 0.0}
        part = Fraction(self.share) / len(self.due(rounds))
        return {"epsilon": float(part * Fraction(epsilon)), "delta": float(part * Fraction(delta))}

    def rest(self, amount: float) -> float:
        """What is left of an epsilon or a delta for the training itself."""
        return amount if self.share is None else float((1 - Fraction(self.share)) * Fraction(amount))


def scoring(table: Table) -> Scoring:
    """The figures that a table asks for.

    Raises:
        BadArgument: a key is unknown or missing, or its value cannot be meant.
    """
    table.only(("metric", "bounds", "every", "rho", "share"))
    metric, bounds = table.find("metric", ranges.one_of(METRICS)) or METRICS[0], table.find("bounds", reading.pair)
    if metric == "loss" and bounds is None:
        raise BadArgument(f"{table.at('bounds')} of a loss is missing, such as [0, 5]: a client counts by no more")
    if bounds is not None:
        with table.blamed():
            _validate.interval(bounds=bounds)
    if ("rho" in table.values) == ("share" in table.values):
        raise BadArgument(
            f"{table.place} has to be paid: give {table.at('rho')} (what each figure costs, beside the training) or "
            f"{table.at('share')} (of the epsilon of the whole, for all figures), one of them"
        )
    rho, share = table.find("rho", ranges.amount), table.find("share", ranges.part)
    return Scoring(metric, bounds, table.find("every", ranges.positive), rho, share, table)
