"""A study: what to ask of which data, what it may cost, and which budget pays; a TOML file that cron can run.

```toml
name = "sensors"                  # names the study in the keys of its answers
key = "{date}"                    # optional; how often it is asked anew. This is the default: once a UTC day.
                                  # {date} 2026-03-01, {week} 2026-W09, {month} 2026-03; `--key` overrides it

[data]
path = "readings/*.parquet"       # a file or a glob, .parquet or .csv, relative to the current directory;
                                  # or dataset = "aircraft", which comes along
client = "sensor"                 # the column that names a client: the unit of privacy
population = 4000                 # optional, public: about how many clients there are; previews then say more
name = "readings"                 # optional: the identity of the data, to which the budget is bound; default: the path
only = ["region", "north"]        # optional: the group of clients all of whose rows have this value in a public column
missing = ["", "NA"]              # optional, of CSV files: the cells that mean "no value"

[budget]
name = "sensors"                  # optional; default: the name of the study
ledger = "budget.db"              # its file, relative to the current directory; `--ledger` overrides it
epsilon = 3.0                     # the cap: epsilon and delta, epsilon alone (pure noise only), or rho;
delta = 1e-6                      # what a budget was opened with never changes
filter = "gdp"                    # optional: the rule that admits; "gdp" is best for Gaussian noise, "zcdp" for pure
group = ["region", "north"]       # optional: it pays for this group only; budgets of disjoint groups do not add up
relation = "add-or-remove-one"    # optional: which fleets are neighbours
overlap = false                   # optional: true allows another budget for the same clients of the same data

[trust]                           # optional: who sees what
model = "central"                 # the server sees every value and adds the noise. Or "local": each client randomises
                                  # its own; for a budget with relation "replace-one", costs are epsilon alone.
                                  # Or "secure aggregation": clients add noise and masks, nobody sees a value; for a
                                  # budget with relation "zero-out" and filter "renyi"; and then, each optional:
# threshold = 0.9                 # the fewest clients in a sum, a number or a fraction; default: all but the dropouts
# dropout = 0.1                   # the fraction of the clients that may drop out
# corrupt = 0.05                  # the fraction that may work with the server
# simulate = false                # true: the arithmetic alone, without keys, for millions of clients

[cost]                            # what one run may cost, for queries that have a share of it:
rho = 0.006                       # rho, epsilon, epsilon and delta, or noise_multiplier

[[query]]                         # as many as you like; a study may grow by a query at any time
name = "mean temperature"
statistic = "mean"                # count, sum, mean, variance or histogram
column = "temp"                   # of all but a count
bounds = [0, 110]                 # of the per-client value; of a sum, mean or variance
share = 0.5                       # of [cost]; or a cost of its own: rho, epsilon, epsilon and delta, noise_multiplier
per_client = "avg(temp)"          # optional, an SQL aggregate; the default depends on the statistic
where = "hour >= 8"               # optional, an SQL condition on rows
by = "region"                     # optional: one answer for each of these public groups
groups = ["north", "south"]
max_groups = 1                    # optional: in how many of them a client counts at most
count_weight = 0.2                # optional, of a mean or variance: see their documentation

[[query]]
name = "readings by temperature"
statistic = "histogram"
column = "temp"
edges = "0:110:10"                # from:to:step, or a list of numbers; or categories = ["a", "b"]
weight = "record"                 # optional: every record counts, not every client once
max_records = 10                  # goes with it: how many records of a client count at most
rho = 0.001
```

Each query costs the same whether it is asked alone or with others, and its answer is kept in the ledger under
``<name>/<key>/<name of the query>``: asked again, it costs nothing.
"""

from __future__ import annotations

import datetime as dt
import os
import string
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedanalytics.cli import reading
from fedanalytics.cli.costed import FORMS, Offer, offered
from fedanalytics.cli.funds import Funds, funds
from fedanalytics.cli.question import Question, question
from fedanalytics.cli.reading import Table
from fedanalytics.cli.source import Source, source
from fedanalytics.cli.trusted import Trusted, trusted
from fedanalytics.errors import BadArgument

PERIODS = {"date": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}


@dataclass(frozen=True)
class Study:
    """A checked study.

    Attributes:
        key: as written, with placeholders.
    """

    name: str
    key: str
    source: Source
    funds: Funds
    trusted: Trusted
    questions: tuple[Question, ...]

    def keys(self, period: str) -> list[str]:
        """The key of each question."""
        return [f"{self.name}/{period}/{question.name}" for question in self.questions]


def load(path: str | os.PathLike[str]) -> Study:
    """The study in a file.

    Raises:
        BadArgument: there is no such file, it is no TOML, or something in it cannot be meant.
    """
    try:
        written = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadArgument(f"the study {path} cannot be read ({error.strerror})") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise BadArgument(f"{path} is no TOML file: {error}") from error
    try:
        return study(Table(written))
    except BadArgument as error:
        raise BadArgument(f"{path}: {error}") from error


def study(table: Table) -> Study:
    """The study that a table describes.

    Raises:
        BadArgument: something in it cannot be meant; the message names its place.
    """
    table.only(("name", "key", "data", "budget", "trust", "cost", "query"))
    name = table.get("name", reading.name)
    key = table.find("key", template) or "{date}"
    total = _total(table.table("cost")) if "cost" in table.values else None
    questions = tuple(question(row, total) for row in table.tables("query"))
    _together(questions, total)
    for needed in ("data", "budget"):
        table.get(needed, reading.mapping)
    paid, seen = funds(table.table("budget"), name), trusted(table.table("trust"))
    return Study(name, key, source(table.table("data")), paid, seen, questions)


def template(value: Any) -> str:
    """A key, in which placeholders stand for the time.

    Raises:
        BadArgument: a placeholder is unknown.
    """
    written = reading.name(value)
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(written) if field is not None]
        known = set(fields) <= PERIODS.keys() and written.format(**PERIODS)
    except ValueError:
        known = False
    if not known:
        names = ", ".join(f"{{{period}}}" for period in PERIODS)
        raise BadArgument(f"may hold the placeholders {names}, got {value!r}")
    return written


def period(key: str, now: dt.datetime) -> str:
    """The key at a moment.

    >>> period("{date}", dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
    '2026-03-01'
    """
    moment = now.astimezone(dt.UTC)
    return key.format(**{name: moment.strftime(form) for name, form in PERIODS.items()})


def _total(table: Table) -> Offer:
    table.only(FORMS)
    with table.blamed():
        return offered({key: table.get(key, reading.number) for key in FORMS if key in table.values})


def _together(questions: tuple[Question, ...], total: Offer | None) -> None:
    """What only all questions show: names that differ, and shares that fit into their total."""
    seen: dict[str, str] = {}
    for one in questions:
        if one.name in seen:
            raise BadArgument(f"{one.place} has the name of {seen[one.name]}; names must differ")
        seen[one.name] = one.place
    if total is None:
        return
    shares = [one.costed.offer.share for one in questions if one.costed.offer.share is not None]
    if sum(shares) > 1:
        listed = " + ".join(f"{float(share):g}" for share in shares)
        raise BadArgument(f"the shares of [cost] add up to more than 1: {listed} = {float(sum(shares)):g}")
    if not shares:
        raise BadArgument("[cost] is for queries with a share = ... of it, and there are none")
