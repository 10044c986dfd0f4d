"""Clients whose rows are on this machine: a table in DuckDB, or an array with one number per client.

An array is handed to the encoder as it is where the expression is the number itself: no engine, no copy, microseconds.
Everything else is one SELECT per round.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fedanalytics._validate import real, text, whole
from fedanalytics.errors import BadArgument
from fedanalytics.fleet.arrays import numbers
from fedanalytics.fleet.data_sets import DatasetFleet
from fedanalytics.fleet.encoding import Cohort, Columns, drawn, encoded
from fedanalytics.fleet.engine import ALWAYS, Engine
from fedanalytics.fleet.functions import try_without_clients
from fedanalytics.fleet.kinds import check_kinds, sqls_of
from fedanalytics.fleet.paths import Paths, each
from fedanalytics.fleet.schema import Column, Kind, Schema, double, exposed, quote
from fedanalytics.fleet.schema import text as quoted
from fedanalytics.fleet.select import Value, select, value
from fedanalytics.fleet.sources import open_csv, open_pandas, open_parquet, open_values
from fedanalytics.round.blocks import Block, Integers
from fedanalytics.round.work import Apply, Sql, Stack, Work

if TYPE_CHECKING:
    import pandas as pd


class Fleet:
    """The clients, and the one thing a session may ask of them: exact integer sums.

    Make one by `from_values`, `from_pandas`, `from_csv` or `from_parquet`; each looks at the data once, for its
    operator, and raises BadArgument for what it cannot use. After that nothing that a client holds raises: what has no
    value contributes the null vector.

    **Guarantee.** A client's value, and hence its encoded vector, depends on the multiset of that client's rows only:
    it is the same bit for bit whichever other clients there are, in whatever order the rows are stored, with any number
    of threads. (Sums are exact; see `fedanalytics.fleet.exact`.) A client with more than 2^23 rows has no value.

    A fleet may be used from several threads; rounds then follow one another. Files and arrays must not change while it
    lives.

    Attributes:
        client: the name of the client column.
        dataset: what the data is called; declared, else the path as given, else the client column.
        population: the declared, public number of clients, or None. Never counted.
        group: (column, value) that all its clients have in all their rows, if it was made by `only`; else None.

    Example:
        >>> import pandas as pd
        >>> from fedanalytics.round.work import Sql
        >>> fleet = Fleet.from_pandas(pd.DataFrame({"sensor": [1, 1, 2], "temp": [60.0, 70.0, 80.0]}), client="sensor")
        >>> fleet.columns
        {'temp': 'DOUBLE'}
        >>> fleet.check(Sql("avg(tmp)"))
        Traceback (most recent call last):
        ...
        fedanalytics.errors.BadArgument: per_client='avg(tmp)': unknown column 'tmp', did you mean 'temp'?; ...
    """

    def __init__(
        self,
        schema: Schema,
        engine: Callable[[], Engine],
        values: npt.NDArray[np.float64] | None,
        *,
        dataset: str,
        population: int | None,
    ) -> None:
        self.client, self.dataset = schema.client, text(dataset=dataset)
        self.population = None if population is None else whole(population=population)
        self._schema, self._open, self._values = schema, engine, values
        self._lock = threading.RLock()
        self.group: tuple[str, str | float] | None = None
        self._bound: set[Value] = set()  # what was found to bind already
        self._value = functools.lru_cache(maxsize=4096)(functools.partial(value, schema))

    @classmethod
    def from_values(cls, values: Any, *, dataset: str | None = None, population: int | None = None) -> Fleet:
        """One number per client. The column is called ``value``, the client column ``client``.

        Args:
            values: numbers, shape (n,), n >= 1. A float64 array is kept as it is, not copied. NaN and infinities are
                clients without a value; they are counted by ``count(*)``, as rows with NULL are in a table.
            dataset: what the data is called.
            population: the public number of clients, if there is one.

        Raises:
            BadArgument: not one dimension, not numbers, or none.

        Example:
            >>> Fleet.from_values([68.5, 70.3, 69.8]).columns
            {'value': 'DOUBLE'}
        """
        array = numbers(values)
        column = Column("value", "DOUBLE", Kind.NUMBER, exposed("value", "DOUBLE").clean)
        schema = Schema("client", (column,), one_row=True)
        engine = functools.partial(open_values, array, schema)
        return cls(schema, engine, array, dataset="client" if dataset is None else dataset, population=population)

    @classmethod
    def from_pandas(
        cls, df: pd.DataFrame, *, client: str, dataset: str | None = None, population: int | None = None
    ) -> Fleet:
        """A data frame with one row per reading, read where it lies. NaN is NULL.

        Args:
            df: the readings.
            client: the column that says whose reading it is: integers or texts, never missing, never floats.
            dataset: what the data is called; by default the client column.
            population: the public number of clients, if there is one.

        Raises:
            BadArgument: no such column, missing or float keys, no row, a dtype that SQL has no type for.
        """
        engine, schema = open_pandas(df, client)
        return cls(schema, lambda: engine, None, dataset=client if dataset is None else dataset, population=population)

    @classmethod
    def from_csv(
        cls,
        paths: Paths,
        *,
        client: str,
        dataset: str | None = None,
        population: int | None = None,
        missing: Sequence[str] = ("",),
    ) -> Fleet:
        """CSV files with a header, read in a stream at every round.

        A column is of a type if every cell is; otherwise it is text, and an expression may still write ``CAST(column
        AS DOUBLE)``, which skips what is no number. What has leading zeros is text; ids keep them. Dates are ISO 8601.

        Args:
            paths: a path or a pattern (``data/*.csv``, ``data/**/*.csv``), or several.
            client: the column that says whose reading it is.
            dataset: what the data is called; by default the paths as given.
            population: the public number of clients, if there is one.
            missing: cells that mean "no value"; R writes "NA".

        Raises:
            BadArgument: no file matches, no such column, missing or fractional keys, no row, a line that does not fit.
        """
        names = each(paths)
        engine, schema = open_csv(names, client, missing)
        return cls(
            schema,
            lambda: engine,
            None,
            dataset=", ".join(names) if dataset is None else dataset,
            population=population,
        )

    @classmethod
    def from_parquet(
        cls, paths: Paths, *, client: str, dataset: str | None = None, population: int | None = None
    ) -> Fleet:
        """Parquet files, read in a stream at every round; folders such as ``sensor=007/`` make a text column.

        Args and raises as `from_csv`; columns have the type they are stored with.
        """
        names = each(paths)
        engine, schema = open_parquet(names, client)
        return cls(
            schema,
            lambda: engine,
            None,
            dataset=", ".join(names) if dataset is None else dataset,
            population=population,
        )

    @staticmethod
    def from_datasets(
        data: Any, *, client: str = "client", dataset: str | None = None, population: int | None = None
    ) -> DatasetFleet:
        """One data set per client, for code that is registered there: training and evaluation.

        Args:
            data: a list with one pair (features, labels) per client, or a `fa.datasets.ClientDatasets`.
            client: what a client is, the unit of privacy.
            dataset: what the data is called; by default `client`.
            population: the public number of clients, if there is one.

        Raises:
            BadArgument: there are no clients.

        Example:
            >>> Fleet.from_datasets([([[0.0], [1.0]], [0, 1]), ([[1.0]], [1])]).roster
            2
        """
        return DatasetFleet(data, client=client, dataset=client if dataset is None else dataset, population=population)

    @property
    def columns(self) -> dict[str, str]:
        """Column -> type as expressions see it (DOUBLE, VARCHAR, BOOLEAN, DATE, TIMESTAMP), without the client column.

        A type that expressions cannot use is given as it is stored.
        """
        return {c.name: c.type for c in self._schema.columns}

    def only(self, column: str, value: str | float, *, population: int | None = None) -> Fleet:
        """The clients of one group: those all of whose rows have `value` in `column`.

        Who belongs to which group must be public and fixed for good, such as the region of a sensor; a client with rows
        of two values is in no group. What is released about disjoint groups does not add up (parallel composition):
        open a budget for each with ``ledger.budget(..., group=fleet.group)``.

        Args:
            column: a number or a text.
            value: of the column.
            population: the public number of clients in the group, if there is one.

        Raises:
            BadArgument: no such column, or a value of another type than the column's.

        Example:
            >>> import pandas as pd
            >>> df = pd.DataFrame({"sensor": [1, 1, 2], "region": ["EU", "EU", "US"], "temp": [60.0, 70.0, 80.0]})
            >>> Fleet.from_pandas(df, client="sensor").only("region", "EU").group
            ('region', 'EU')
        """
        if self.group is not None:
            raise BadArgument(f"the fleet is the group {self.group!r} already; narrow the whole fleet")
        found = self._schema.find(column)
        if found.kind is Kind.TEXT and isinstance(value, str):
            literal = quoted(value)
        elif found.kind is Kind.NUMBER and real(value) and math.isfinite(float(value)):
            literal = double(float(value))
        else:
            raise BadArgument(f"value={value!r} is not what column {found.name!r} holds, which is {found.type}")
        group = Fleet(
            self._schema,
            lambda: self._engine.only(found, literal),
            None,
            dataset=self.dataset,
            population=population,
        )
        group.group, group._lock = (found.name, value if isinstance(value, str) else float(value)), self._lock
        return group

    def check(self, work: Work, *, text: bool | None = None) -> None:
        """Find at the door whatever is wrong with a work. Looks at the schema, and at no data.

        Args:
            work: what each client is to compute.
            text: whether the encoder reads texts or numbers; None if it is not known.

        Raises:
            BadArgument: an unknown column, a text where a number is needed (or the reverse), SQL that is not allowed,
                a function that does not take columns without clients.
            DataChanged: a file is gone or was changed since the fleet was made.
        """
        values = self._printed(work)
        if text is not None and isinstance(work, Sql | Stack):
            check_kinds(work, values, text)
        with self._lock:
            asked = values if self._direct(values) is None else ()
            if asked:
                self._engine.check_files()
            for found in asked:
                if found not in self._bound:
                    self._engine.bind(found)
                    self._bound.add(found)
        if isinstance(work, Apply):
            try_without_clients(work, [v.is_text for v in values])

    def describe(self, work: Work) -> dict[str, Any]:
        """The SQL that will run, for the receipt: what was asked, and what is executed for it. Public."""
        if isinstance(work, Sql):
            asked = {"per_client": work.per_client} | ({} if work.where is None else {"where": work.where})
            return asked | {"sql": select(self._schema, (self._value(work),), "t")}
        if isinstance(work, Stack):
            return {"parts": [self.describe(sql) for sql in work.parts]}
        inputs = [self.describe(sql) for sql in sqls_of(work)]
        return {"inputs": inputs, "function": type(work.function).__name__ if isinstance(work, Apply) else None}

    @functools.cached_property
    def roster(self) -> int:
        """How many clients there are. Public only where who takes part is: under zero-out and replace-one."""
        with self._lock:
            return len(self._values) if self._values is not None else len(self._engine.evaluate((ALWAYS,))[0])

    def sums(
        self,
        blocks: Sequence[Block],
        steps: Sequence[int],
        cohorts: Sequence[Cohort | None] | None = None,
        *,
        everyone: bool = False,
    ) -> list[Integers]:
        """The exact sum over all clients of each block's encoded vectors, shape (encoder.size,), in one pass.

        Args:
            blocks: works and encoders, as checked by `check`.
            steps: the grid of each block's encoder.
            cohorts: who takes part in each block: ``cohort(n)`` tosses a coin for each of n clients. None: everybody.
            everyone: whether clients without a value are encoded too, as null: for encoders that do not map it to 0.

        Raises:
            BadArgument: what `check` would have raised; nothing that depends on data.
            DataChanged: a file is gone or was changed since the fleet was made. The same key may be run again.
        """
        with self._lock:
            answers = self._evaluate([block.work for block in blocks], everyone=everyone)
            drawings = [None] * len(blocks) if cohorts is None else cohorts
            return [
                encoded(block, step, drawn(columns, cohort), block.encoder.sums, self._nulls(cohort, everyone))
                for block, step, columns, cohort in zip(blocks, steps, answers, drawings, strict=True)
            ]

    def messages(self, blocks: Sequence[Block], steps: Sequence[int]) -> list[Integers]:
        """Each client's encoded vectors, shape (roster, encoder.size) for each block, in one order of clients.

        For trust models that play the clients' part in this process: a client without a value has its row too. (Where
        broken data keeps a work from being computed together with the others, its rows may come in another order.)

        Raises:
            BadArgument: what `check` would have raised; nothing that depends on data.
            DataChanged: see `sums`.
        """
        with self._lock:
            answers = self._evaluate([block.work for block in blocks], everyone=True)
            return [
                encoded(block, step, columns, block.encoder.rows, self.roster)
                for block, step, columns in zip(blocks, steps, answers, strict=True)
            ]

    def assigned(self, groups: int) -> npt.NDArray[np.int64]:
        """As `DatasetFleet.assigned`; a table has no such groups.

        Raises:
            BadArgument: always.
        """
        raise BadArgument(f"the clients of a table are in no groups (of {groups}) to be asked in turn: from_datasets")

    @functools.cached_property
    def _engine(self) -> Engine:
        return self._open()

    def _printed(self, work: Work) -> tuple[Value, ...]:
        values = tuple(self._value(sql) for sql in sqls_of(work))
        if isinstance(work, Stack) and any(v.is_text for v in values):
            raise BadArgument("a text cannot stand beside other values in a Stack; only numbers can")
        return values

    def _direct(self, values: tuple[Value, ...]) -> Columns | None:
        """The array itself, if all the values are the number of each client, or the one row of it."""
        if self._values is None or any(v.where or v.bare not in _DIRECT for v in values):
            return None
        ones = np.broadcast_to(np.float64(1), self._values.shape)
        return tuple(self._values if v.bare == _VALUE else ones for v in values)

    def _nulls(self, cohort: Cohort | None, everyone: bool) -> int:  # noqa: FBT001 - as `sums` was asked
        """How many clients contribute null to a work that cannot be computed."""
        if not everyone:
            return 0
        return self.roster if cohort is None else int(cohort(self.roster).sum())

    def _evaluate(self, works: Sequence[Work], *, everyone: bool = False) -> list[Columns | None]:
        """The columns of each work; None if they cannot be computed, which only broken data can bring about."""
        printed = [self._printed(work) for work in works]
        answers = [self._direct(values) for values in printed]
        asked = [i for i, answer in enumerate(answers) if answer is None]
        if not asked:
            return answers
        self._engine.check_files()
        # beside a value without a condition, each condition filters its own aggregates, and no client is left out
        beside = (ALWAYS,) if everyone else ()
        together = tuple(dict.fromkeys(v for i in asked for v in printed[i])) + beside
        found = self._read(together)
        for i in asked:
            own = found or self._read(printed[i] + beside)  # one pass for all; if that fails, each on its own
            answers[i] = tuple(own[v] for v in printed[i]) if own else None
        return answers

    def _read(self, values: tuple[Value, ...]) -> dict[Value, npt.NDArray[Any]]:
        try:
            return dict(zip(values, self._engine.evaluate(values), strict=True))
        except Exception:  # noqa: BLE001 - whatever it is, it comes from data, may quote it, and must not be seen
            return {}


_VALUE = f"max({quote('value')})"
_DIRECT = frozenset({_VALUE, "CAST(count(*) AS DOUBLE)"})
