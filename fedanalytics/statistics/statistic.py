"""What the statistics share: one block, one round, and which rows, groups and records of a client count."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.round.blocks import Block, Encoder, Round, Rounds
from fedanalytics.round.groups import Grouped
from fedanalytics.round.work import Sql, Stack, identifier, literal

WEIGHTS = ("client", "record")


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """A query of one block.

    Attributes:
        where: an SQL condition on rows, such as ``"origin = 'JFK'"``. A client without such a row does not contribute.
        weight: "client": every client counts once, by its `per_client` value. "record": every record counts.
        max_records: with weight="record", how many records of one client count at most; the price is proportional.
        by: an SQL expression on rows whose value names a group, such as ``"month"``; one estimate for each of...
        groups: the public group names. Rows of other groups do not count.
        max_groups: in how many groups one client counts at most (default: in all); the noise grows with its root.
    """

    shares: ClassVar[tuple[Fraction, ...]] = (Fraction(1),)
    where: str | None = None
    weight: str = "client"
    max_records: int | None = None
    by: str | None = None
    groups: tuple[str | float, ...] | None = None
    max_groups: int | None = None

    def __post_init__(self) -> None:
        _validate.one_of(WEIGHTS, weight=self.weight)
        if self.weight == "record" and self.max_records is None:
            raise BadArgument("weight='record' needs max_records=: how many records of one client count at most")
        if self.weight == "client" and self.max_records is not None:
            raise BadArgument("max_records= goes with weight='record'; a client counts once by its per_client value")
        if (self.by is None) != (self.groups is None) or (self.max_groups is not None and self.by is None):
            raise BadArgument(
                "by= and groups= go together: the expression, and its public values; max_groups= with them"
            )
        if self.groups is not None:
            keep(self, groups=_different(self.groups))
        for name in ("where", "by"):
            if getattr(self, name) is not None:
                _validate.text(**{name: getattr(self, name)})
        _ = self.block  # everything else that the caller wrote is checked where it is used

    @property
    def encoder(self) -> Encoder:
        """How one group's contribution is bounded."""
        raise NotImplementedError

    @property
    def parts(self) -> tuple[str, ...]:
        """What each client computes for one group: as many expressions as the encoder has columns."""
        raise NotImplementedError

    @property
    def labels(self) -> tuple[str | float, ...] | None:
        """Names of the numbers in one group, None if there is one."""
        return None

    @property
    def magnitude(self) -> float | None:
        """The largest value that matters in a `per_client` value, from the bounds."""
        return None

    @cached_property
    def block(self) -> Block:
        """The one block."""
        encoder, parts, magnitude = self.encoder, self.parts, self.magnitude
        works = tuple(Sql(part, where, magnitude) for where in self._wheres() for part in parts)
        if self.groups is not None:
            most = len(self.groups) if self.max_groups is None else self.max_groups
            encoder = Grouped(encoder, len(self.groups), most)
        return Block(works[0] if len(works) == 1 else Stack(works), encoder)

    def rounds(self) -> Rounds:
        """One round; the result is the block's estimate."""
        [noisy] = yield Round((self.block,))
        return self.block.estimate(noisy)

    def _wheres(self) -> tuple[str | None, ...]:
        if self.groups is None:
            return (self.where,)
        conditions = (f"({self.by}) = {literal(group)}" for group in self.groups)
        return tuple(c if self.where is None else f"({self.where}) AND {c}" for c in conditions)


def column_of(column: Any, per_client: str | None, default: str) -> str:
    """The per-client expression: the given one, which must mention the column, or the default aggregate of it.

    Raises:
        BadArgument: `column` is no text, or `per_client` does not mention it.
    """
    _validate.text(column=column)
    if per_client is None:
        return f"{default}({identifier(column)})"
    if column.casefold() not in _validate.text(per_client=per_client).casefold():
        raise BadArgument(f"per_client={per_client!r} does not mention the column {column!r}")
    return per_client


def one_meaning(statistic: Statistic, per_client: str | None) -> None:
    """Refuses a per-client value beside weight="record", which has none."""
    if statistic.weight == "record" and per_client is not None:
        raise BadArgument("per_client= and weight='record' exclude each other: a record counts by its own value")


def clamped(column: str, lower: float, upper: float, middle: float, half: float) -> str:
    """SQL for (min(max(x, lower), upper) - middle) / half of one record; NULL stays NULL."""
    name = identifier(column)
    low, high = ((end - middle) / half for end in (lower, upper))
    return (
        f"CASE WHEN {name} <= {lower!r} THEN {low!r} WHEN {name} >= {upper!r} THEN {high!r}"
        f" ELSE ({name} - {middle!r}) / {half!r} END"
    )


def _different(groups: Any) -> tuple[str | float, ...]:
    names = tuple(groups) if not isinstance(groups, str) else ()
    if not names or len(set(names)) < len(names) or not all(isinstance(g, str) or _validate.real(g) for g in names):
        raise BadArgument(f"groups= must be different public names or numbers, at least one, got {groups!r}")
    return tuple(g if isinstance(g, str) else literal_number(g) for g in names)


def literal_number(value: Any) -> float:
    """A number of numpy's, pandas' or Python's own as Python's own."""
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def keep(statistic: Statistic, **fields: Any) -> None:
    """Stores normalised arguments, so that equal questions are equal values with equal digests."""
    for name, value in fields.items():
        object.__setattr__(statistic, name, value)
