"""A recipe: what to train on whose data, at which epsilon, and which budget pays; a TOML file.

```toml
name = "writers"                  # names the training: its key in the ledger, its budget, the folder of its results
key = "{month}"                   # optional: trained anew in every {date}, {week} or {month}; default: once

[data]
format = "table"                  # files by client: "table", "leaf", "tff-sqlite", "tff-hdf5";
                                  # or "digits" and "synthetic writers", which come along
path = "visits.parquet"           # of files: one, or a folder, relative to the current directory
client = "patient"                # of a table, the column that names a client; of others, optional, what one is called
features = ["age", "dose"]        # of a table, columns; of TFF's formats, optional, the name of a feature ("pixels")
label = "ill"                     # of a table, a column; of TFF's formats, optional ("label")
split = "train"                   # of tff-sqlite, optional; and shape = [28, 28], of a feature that is held flat
population = 3400                 # about how many clients there are: public, and declared
name = "visits"                   # optional: the identity of the data, to which the budget is bound; default: the path
                                  # "synthetic writers" take clients, examples, test_clients, side and seed instead

[data.test]                       # optional: what is kept from training, to evaluate on
by = "client"                     # whole clients, by a coin for each that depends on its name; or "sample": some of
fraction = 0.1                    # each client's examples
seed = 0                          # optional; or path = "..." (and split = "...") of data that lies elsewhere, and then
                                  # population, optional: of that

[model]
file = "net.py"                   # YOUR OWN PYTHON, beside this file or below: it is run, with all that you may do
function = "make_model"           # optional: builds a torch.nn.Module, the same each time: torch.manual_seed(0) first
loss = "my_loss"                  # optional: a function (outputs, labels) of the same file; default: cross entropy

[training]
algorithm = "fedavg"              # fedavg, fedprox, fedadam, fedyogi, fedadagrad or fedsgd
rounds = 50                       # fixed in advance: the noise is calibrated to them
cohort = 300                      # optional: how many clients are expected in a round, drawn by secret coins;
                                  # default: every client, in every round
participations = 5                # instead of cohort, for clients that cannot be sampled in secret: each takes part in
                                  # so many of the rounds, in turn with others, a group by its name; it divides the
                                  # rounds, and noise then cancels between rounds (DP-FTRL; central trust)
noise = "blt"                     # optional, with participations: "blt", "banded", "tree" or "independent"
clip = 1.0                        # the L2 bound of a client's update; or one that follows their norms:
                                  # { start = 1.0, quantile = 0.5, rate = 0.2 }, each optional
learning_rate = 0.1               # optional, of the clients, as are momentum, epochs or steps, and batch_size
server_learning_rate = 1.0        # optional; and server_momentum of fedavg and fedsgd, mu of fedprox, beta1 and tau of
                                  # the others, and beta2 of fedadam and fedyogi
seed = 0                          # optional: of the order in which clients read their examples
checkpoint_every = 10             # optional: rounds between two checkpoints

[privacy]                         # what the model, and all figures that have a share, may cost together
epsilon = 4.0
delta = 1e-6                      # well below one in the population

[evaluation]                      # optional: figures of the model, each a query that is paid like any other
metric = "accuracy"               # optional; or "loss", with bounds = [0, 5] of a client's
every = 10                        # optional: after how many rounds; default: once, at the end
share = 0.1                       # of the epsilon and delta of [privacy], for all figures together; or rho = 0.001,
                                  # what each costs beside them

[budget]                          # as in a study; optional, all of it but the ledger, which --ledger names too
ledger = "budget.db"
name = "visits"                   # default: the name of the recipe
epsilon = 8.0                     # of a new budget; default: what [privacy] says, so that it pays for this training
delta = 1e-6                      # and no other
filter = "pld"                    # of a new budget; default: "pld", the tight figure of plans that are fixed in advance

[trust]                           # optional, as in a study: "central" or "secure aggregation"
model = "central"
```

The training is kept in the ledger under ``<name>``, or ``<name>/<key>``: begun again, it goes on from the answers that
stand there, and pays for none twice.
"""

from __future__ import annotations

import datetime as dt
import os
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedanalytics.cli import ranges, reading
from fedanalytics.cli.algorithms import Procedure, procedure
from fedanalytics.cli.client_data import ClientData, client_data
from fedanalytics.cli.funds import Funds, funds
from fedanalytics.cli.own_code import identifier, own_file
from fedanalytics.cli.reading import Table
from fedanalytics.cli.scoring import Scoring, scoring
from fedanalytics.cli.study import period, template
from fedanalytics.cli.trusted import SECURE, Trusted, trusted
from fedanalytics.errors import BadArgument
from fedanalytics.ledger import Budget, Ledger

PARTS = ("data", "model", "training", "privacy")


@dataclass(frozen=True)
class Recipe:
    """A checked recipe.

    Attributes:
        key: as written, with placeholders; None for one training for good.
        file: the operator's own Python, with its folder.
        function: of that file, builds the model.
        loss: of that file, or None for cross entropy.
        epsilon, delta: of the training and the figures that have a share.
        privacy: for messages, where they were written.
    """

    name: str
    key: str | None
    data: ClientData
    file: Path
    function: str
    loss: str | None
    procedure: Procedure
    epsilon: float
    delta: float
    scoring: Scoring | None
    funds: Funds
    trusted: Trusted
    model: Table
    privacy: Table

    def at(self, now: dt.datetime) -> str:
        """What the training is called at a moment: its key, and the folder of its results."""
        return self.name if self.key is None else f"{self.name}/{period(self.key, now)}"

    def keyed(self, key: str) -> Recipe:
        """The same under another key.

        Raises:
            BadArgument: no folder can be called so.
        """
        return replace(self, key=_folder(key))

    def opened(self, ledger: Ledger) -> Budget:
        """The budget; a new one is for this training alone, unless it says otherwise.

        Raises:
            BadArgument: it has other terms, or shares its people with another.
        """
        terms = self.funds
        if terms.name not in ledger.budgets():
            if terms.epsilon is terms.delta is terms.rho is None:
                terms = replace(terms, epsilon=self.epsilon, delta=self.delta)
            if terms.filter is None and terms.rho is None:
                terms = replace(terms, filter="pld")
        return terms.open(ledger)


def load(path: str | os.PathLike[str]) -> Recipe:
    """The recipe in a file.

    Raises:
        BadArgument: there is no such file, it is no TOML, or something in it cannot be meant.
    """
    try:
        written = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadArgument(f"the recipe {path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or nested without end
        raise BadArgument(f"{path} is no TOML file: {error}") from error
    try:
        return recipe(Table(written), Path(path).parent)
    except BadArgument as error:
        raise BadArgument(f"{path}: {error}") from error


def recipe(table: Table, folder: Path) -> Recipe:
    """The recipe that a table describes; `folder` is where its own Python lies.

    Raises:
        BadArgument: something in it cannot be meant; the message names its place.
    """
    table.only(("name", "key", *PARTS, "evaluation", "budget", "trust"))
    name, key = table.get("name", _folder), table.find("key", _dated)
    for needed in PARTS:
        table.get(needed, reading.mapping)
    model, privacy = table.table("model"), table.table("privacy")
    model.only(("file", "function", "loss"))
    privacy.only(("epsilon", "delta"))
    found = Recipe(
        name=name,
        key=key,
        data=client_data(table.table("data")),
        file=folder / model.get("file", own_file),
        function=model.find("function", identifier) or "make_model",
        loss=model.find("loss", identifier),
        procedure=procedure(table.table("training")),
        epsilon=privacy.get("epsilon", ranges.amount),
        delta=privacy.get("delta", ranges.part),
        scoring=scoring(table.table("evaluation")) if "evaluation" in table.values else None,
        funds=funds(table.table("budget"), name),
        trusted=trusted(table.table("trust")),
        model=model,
        privacy=privacy,
    )
    _together(found)
    return found


def _together(found: Recipe) -> None:
    """What only two parts show together."""
    trust, steps = found.trusted, found.procedure
    if trust.name == "local":
        raise BadArgument(
            f"{trust.table.at('model')} = 'local' is not for training: noise in every client's update leaves nothing "
            f"of it; take 'central' or {SECURE!r}"
        )
    if trust.name == SECURE and steps.cohort is not None:
        raise BadArgument(
            f"{steps.table.at('cohort')} does not go with {SECURE}, whose server sees who takes part: leave it out, so "
            "that every client is in every round"
        )
    if trust.name == SECURE and steps.participations is not None:
        raise BadArgument(
            f"{steps.table.at('participations')} does not go with {SECURE}: noise that cancels between rounds is drawn "
            "by one who remembers it; take 'central', or leave it out"
        )
    with Ledger(":memory:") as ledger:  # the ledger's own rules, before its file is touched
        check_sampling(found.opened(ledger), found)


def check_sampling(budget: Budget, found: Recipe) -> None:
    """Refuses a budget that gives nothing for sampled cohorts.

    Raises:
        BadArgument: it names the keys and the fix.
    """
    table, cohort = found.funds.table, found.procedure.cohort
    if cohort is not None and budget.filter.name not in {"pld", "renyi"}:
        raise BadArgument(
            f"{table.at('filter')}: budget {budget.name!r} has {budget.filter.name!r}, which gives nothing for sampled "
            f"cohorts; open a new one (by {table.at('name')}) with filter = 'pld', or leave "
            f"{found.procedure.table.at('cohort')} out"
        )


def _folder(value: Any) -> str:
    """A name that a folder can have."""
    if reading.name(value) in {".", ".."} or "\\" in value:
        raise BadArgument(f"must be a name that a folder can have, got {value!r}")
    return str(value)


def _dated(value: Any) -> str:
    return _folder(template(value))
