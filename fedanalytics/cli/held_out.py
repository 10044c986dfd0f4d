"""What is kept from training, to evaluate on: whole clients, some of each client's examples, or data elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedanalytics.cli import ranges, reading
from fedanalytics.cli.reading import Table
from fedanalytics.errors import BadArgument

CLIENT, SAMPLE = "client", "sample"
_SPLIT = ("by", "fraction", "seed")
_ELSEWHERE = ("path", "split")


@dataclass(frozen=True)
class Held:
    """What is kept.

    Attributes:
        by: "client" or "sample"; None where it lies elsewhere.
        fraction: of the clients, or of each client's examples.
        seed: which.
        elsewhere: the keys that differ where it lies in other files, or is another split.
        population: about how many clients it has, if that is public.
    """

    by: str | None = None
    fraction: float = 0.0
    seed: int = 0
    elsewhere: Mapping[str, Any] | None = None
    population: int | None = None

    @property
    def trainers(self) -> int:
        """How many of the declared clients do not train."""
        return self.population or 0 if self.by == CLIENT else 0


def held_out(table: Table, known: Mapping[str, reading.Reader[Any]], population: int) -> Held:
    """What a table keeps from training.

    Args:
        table: the ``[data.test]``.
        known: the keys of the format, with their readers.
        population: the declared number of all clients.

    Raises:
        BadArgument: a key is unknown, missing or does not go with another, or its value cannot be meant.
    """
    files = {key: known[key] for key in _ELSEWHERE if key in known}
    table.only((*_SPLIT, *files, "population"))
    elsewhere = {key: table.get(key, read) for key, read in files.items() if key in table.values}
    if elsewhere:
        if given := [key for key in _SPLIT if key in table.values]:
            raise BadArgument(
                f"{table.at(given[0])} splits the data, and {table.at(next(iter(elsewhere)))} names other; keep one"
            )
        return Held(elsewhere=elsewhere, population=table.find("population", ranges.positive))
    if "population" in table.values:
        raise BadArgument(f"{table.at('population')} goes with data that lies elsewhere; of a split it is known")
    by, fraction = table.get("by", ranges.one_of((CLIENT, SAMPLE))), table.get("fraction", ranges.part)
    kept = min(max(round(fraction * population), 1), population - 1) if by == CLIENT else population
    return Held(by, fraction, table.find("seed", ranges.natural) or 0, population=kept)
