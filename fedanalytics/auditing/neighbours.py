"""Fleets that differ in one client, who is as unlike the others as a client can be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fedanalytics.auditing.remembered import Remembered
from fedanalytics.auditing.sketch import Column
from fedanalytics.errors import BadArgument
from fedanalytics.fleet import Fleet
from fedanalytics.fleet.data_sets import DatasetFleet
from fedanalytics.privacy.relations import Relation

if TYPE_CHECKING:
    import pandas as pd  # a third of a second; only who audits needs it

CLIENT = "client"
MANY = 10_000  # rows of the client who has many
_FAR = 1e6  # bounds away
_PRODUCT = 512  # rows, of all the values that conditions tell apart
_ENDS = (slice(None), slice(0, 1), slice(-1, None))  # of the values that matter: both, the first, the last
_OPPOSITES = (
    ("far below", "far above"),
    ("at the bottom", "at the top"),
    ("far below", "many rows"),
    ("many low rows", "many rows"),
    ("another row", "one row"),
)


@dataclass(frozen=True)
class Neighbours:
    """Two fleets that are neighbours; `fleet` is what the query is asked of, the one with the client.

    Attributes:
        name: what the client is like.
    """

    name: str
    fleet: Any
    without: Remembered
    with_: Remembered


def made(columns: Sequence[Column], relation: Relation, others: int) -> Iterator[Neighbours]:
    """Neighbours for a query that reads these columns: `others` unremarkable clients, and one of each kind.

    | kind | its readings |
    |---|---|
    | far above, far below | a million bounds away, in every group |
    | at the top, at the bottom | the last and the first value that matter |
    | not finite | infinite |
    | missing | NULL, in rows that match all the same |
    | the same id twice | a row at either end |
    | many rows, many low rows, many mixed rows | ten thousand at the top, at the bottom, at both |
    | one row, another row | at the top in one group, at the bottom in another |

    Under add-or-remove-one the other fleet lacks the client. Under zero-out it has a client who contributes null in its
    place; under replace-one that, and moreover a client of the opposite kind.
    """
    kinds = dict(_kinds(columns))
    beside = [kinds["at the bottom" if i % 2 else "at the top"] for i in range(others)]
    fleets = {name: _fleet(_together([*beside, rows])) for name, rows in kinds.items()}
    nulls = 0 if relation is Relation.ADD_OR_REMOVE_ONE else 1
    without = Remembered(_fleet(_together(beside)) if beside else None, nulls)
    for name, fleet in fleets.items():
        yield Neighbours(name, fleet, without, Remembered(fleet))
    if relation is Relation.REPLACE_ONE:
        for low, high in _OPPOSITES:
            yield Neighbours(f"{high}, {low}", fleets[high], Remembered(fleets[low]), Remembered(fleets[high]))


def given(neighbours: Any, client: str) -> list[Neighbours]:
    """The caller's own: a pair (without, with) of data frames or fleets, or several of them by name.

    Raises:
        BadArgument: they are something else.
    """
    pairs = neighbours if isinstance(neighbours, Mapping) else {"as given": neighbours}
    found = []
    for name, pair in pairs.items():
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise BadArgument(
                "neighbours= must be a pair (data, data_with_one_more) of data frames or fleets, or several of them by "
                f"name, got {pair!r}"
            )
        without, with_ = (_own(data, client) for data in pair)
        found.append(Neighbours(str(name), with_, Remembered(without), Remembered(with_)))
    if not found:
        raise BadArgument("neighbours= is empty: give at least one pair, or leave it out")
    return found


def _own(data: Any, client: str) -> Any:
    if isinstance(data, Fleet | DatasetFleet):
        return data
    if not hasattr(data, "columns"):
        raise BadArgument(f"neighbours= must be data frames or fleets, got {data!r}")
    return Fleet.from_pandas(data, client=client)


def _kinds(columns: Sequence[Column]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Kinds of clients: each with a row for every combination of the values that conditions tell apart."""
    numbers = {
        "far above": lambda low, high: high + _FAR * max(abs(low), abs(high), 1.0),
        "far below": lambda low, high: low - _FAR * max(abs(low), abs(high), 1.0),
        "at the top": lambda _, high: high,
        "at the bottom": lambda low, _: low,
        "not finite": lambda *_: np.inf,
        "missing": lambda *_: None,
    }
    for name, number in numbers.items():
        first = name in {"far below", "at the bottom"}
        yield name, _rows(columns, lambda c, n=number, f=first: [_value(c, n, first=f)])
    both, bottom, top = (_rows(columns, lambda c, at=at: list(c.values[at])) for at in _ENDS)
    yield "the same id twice", both
    yield "many rows", _many(top)
    yield "many low rows", _many(bottom)
    yield "many mixed rows", _many(both)
    yield "one row", top.iloc[:1]
    yield "another row", bottom.iloc[-1:]


def _many(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.iloc[np.arange(MANY) % len(rows)]


def _value(column: Column, number: Any, *, first: bool) -> Any:
    low, high = column.values
    value = number(0.0, 1.0) if column.text else number(low, high)
    return value if not column.text or value is None else (low if first else high)


def _rows(columns: Sequence[Column], values: Any) -> pd.DataFrame:
    """All combinations; a column that is computed with takes its values from the kind, others from the conditions."""
    import pandas as pd  # noqa: PLC0415  # see the top

    choices = [_choices(column, values) for column in columns]
    product = list(itertools.islice(itertools.product(*choices), _PRODUCT))
    table = {column.name: _column([row[i] for row in product], text=column.text) for i, column in enumerate(columns)}
    return pd.DataFrame({CLIENT: np.zeros(len(product), dtype=np.int64), **table})


def _choices(column: Column, values: Any) -> list[Any]:
    return list(dict.fromkeys([*column.conditions, *(values(column) if column.values else ())]))


def _column(values: list[Any], *, text: bool) -> Any:
    import pandas as pd  # noqa: PLC0415  # see the top

    return pd.array(values, dtype="string") if text else np.array(values, dtype=np.float64)


def _together(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Clients in one table: the i-th part is client i."""
    import pandas as pd  # noqa: PLC0415  # see the top

    return pd.concat([part.assign(**{CLIENT: i}) for i, part in enumerate(parts)], ignore_index=True)


def _fleet(table: pd.DataFrame) -> Fleet:
    return Fleet.from_pandas(table, client=CLIENT)
