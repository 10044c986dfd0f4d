"""How many clients (or records) there are, privately."""

from __future__ import annotations

from dataclasses import dataclass

from fedanalytics.round.blocks import Encoder
from fedanalytics.round.one_hot import Present
from fedanalytics.round.records import RecordCount
from fedanalytics.statistics.statistic import Statistic


@dataclass(frozen=True)
class Count(Statistic):
    """The number of clients that have a row (matching `where`); with weight="record", the number of such rows.

    Formal guarantee: the contribution of a client is 0 or 1 (at most `max_records` in [0, max_records]); under
    add-or-remove-one the sensitivity is 1 (max_records), under replace-one the same in L2 times sqrt(2).
    The estimate is unbiased, its standard error is that of the noise, its interval covers exactly.

    Example:
        >>> Count(where="temp > 30").block.work
        Sql(per_client='count(*)', where='temp > 30', magnitude=None)
    """

    @property
    def encoder(self) -> Encoder:
        return Present() if self.max_records is None else RecordCount(self.max_records)

    @property
    def parts(self) -> tuple[str, ...]:
        return ("count(*)",)


count = Count
