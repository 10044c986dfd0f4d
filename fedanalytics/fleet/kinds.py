"""What a table can compute: works made of SQL, with texts where texts are read."""

from __future__ import annotations

from fedanalytics.errors import BadArgument
from fedanalytics.fleet.select import Value
from fedanalytics.round.work import Apply, Registered, Sql, Stack, Work


def check_kinds(work: Sql | Stack, values: tuple[Value, ...], text: bool) -> None:  # noqa: FBT001 - one of two kinds
    """Refuses texts where the encoder reads numbers, and numbers where it reads texts.

    Raises:
        BadArgument: the expression is named.
    """
    for sql, found in zip(sqls_of(work), values, strict=True):
        if found.is_text and not text:
            raise BadArgument(
                f"per_client={sql.per_client!r} is a text where a number is needed; count texts by categories="
            )
        if text and not found.is_text:
            raise BadArgument(f"per_client={sql.per_client!r} is a number, and the categories are texts; give numbers")


def sqls_of(work: Work) -> tuple[Sql, ...]:
    """The expressions of a work over a table.

    Raises:
        BadArgument: it is code that reads data sets, or no work.
    """
    if isinstance(work, Sql):
        return (work,)
    if isinstance(work, Registered):
        raise BadArgument(
            f"{work.code.name} is code that reads data sets, and this fleet is a table: Fleet.from_datasets"
        )
    sqls = work.parts if isinstance(work, Stack) else work.inputs if isinstance(work, Apply) else None
    if not sqls or not all(isinstance(sql, Sql) for sql in sqls):
        raise BadArgument(f"a work is an Sql, a Stack of some or an Apply over some, got {work!r}")
    return tuple(sqls)
