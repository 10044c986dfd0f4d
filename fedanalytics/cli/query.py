"""``fedanalytics query``: one question."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fedanalytics.cli import reading
from fedanalytics.cli.carrying import Manner, carry_out
from fedanalytics.cli.funds import Funds, funds
from fedanalytics.cli.hints import MaybeNumber, MaybePair, MaybeText, MaybeWhole
from fedanalytics.cli.job import Job
from fedanalytics.cli.question import STATISTICS, Question, question
from fedanalytics.cli.reading import Table
from fedanalytics.cli.source import DATASETS, source
from fedanalytics.cli.trusted import MODELS, Trusted, trusted
from fedanalytics.errors import BadArgument
from fedanalytics.privacy import units
from fedanalytics.privacy.filters import NAMES, Zcdp
from fedanalytics.privacy.relations import Relation

EXAMPLE = """
    fedanalytics query mean temp --data 'readings/*.parquet' --client sensor --bounds 0 110 --rho 0.01

    fedanalytics query histogram temp --data readings.csv --client sensor --edges 0:110:10 --rho 0.01
    --ledger budget.db --budget sensors --budget-epsilon 3 --budget-delta 1e-6

    fedanalytics query count --data readings.csv --client sensor --epsilon 1 --delta 1e-6 --trust 'secure aggregation'
"""


_NAMES = {
    "statistic": "STATISTIC",
    "column": "COLUMN",
    "path": "--data",
    "dataset": "--data",
    "--budget-name": "--budget",
    "--budget-ledger": "--ledger",
    "model": "--trust",
}


class Options(Table):
    """Options as a table, named in messages as they are written on a command line."""

    def at(self, key: str) -> str:
        """The option."""
        return _NAMES.get(key) or _NAMES.get(name := super().at(key)) or name.replace("_", "-")


def options(values: dict[str, Any], form: str = "--{}") -> Options:
    """The options that were given."""
    return Options({key: value for key, value in values.items() if value is not None}, "", form)


def _text(text: str, metavar: str = "TEXT", name: str | None = None) -> Any:
    return typer.Option(*([name] if name else []), metavar=metavar, help=text, show_default=False)


def query(
    statistic: Annotated[str, typer.Argument(metavar="STATISTIC", help=", ".join(STATISTICS), show_default=False)],
    column: Annotated[MaybeText, typer.Argument(metavar="[COLUMN]", help="Not for count.", show_default=False)] = None,
    *,
    data: Annotated[str, _text(f"A file or a glob, or {', '.join(DATASETS)}.", "GLOB")],
    client: Annotated[str, _text("The column that names a client: the unit of privacy.", "COLUMN")],
    bounds: Annotated[MaybePair, _text("Of the per-client value.", "LOWER UPPER")] = None,
    edges: Annotated[MaybeText, _text("Of a histogram: 0:110:10 or 0,10,20.", "EDGES")] = None,
    categories: Annotated[MaybeText, _text("Of a histogram: a,b. Quote '7' to make it a text.", "A,B")] = None,
    per_client: Annotated[MaybeText, _text("An SQL aggregate, such as max(temp).", "SQL")] = None,
    where: Annotated[MaybeText, _text("An SQL condition on rows.", "SQL")] = None,
    weight: Annotated[MaybeText, _text("client (the default) or record.", "WEIGHT")] = None,
    max_records: Annotated[MaybeWhole, _text("With weight record: how many of a client count.", "N")] = None,
    by: Annotated[MaybeText, _text("An SQL expression: one answer for each of the groups.", "SQL")] = None,
    groups: Annotated[MaybeText, _text("The public values of --by: a,b.", "A,B")] = None,
    max_groups: Annotated[MaybeWhole, _text("In how many groups a client counts at most.", "N")] = None,
    rho: Annotated[MaybeNumber, _text("The cost in zCDP.", "RHO")] = None,
    epsilon: Annotated[MaybeNumber, _text("The cost, pure, or with --delta.", "EPS")] = None,
    delta: Annotated[MaybeNumber, _text("Goes with --epsilon.", "DELTA")] = None,
    noise_multiplier: Annotated[MaybeNumber, _text("The cost, as noise over sensitivity.", "M")] = None,
    population: Annotated[MaybeWhole, _text("The public number of clients.", "N")] = None,
    name: Annotated[MaybeText, _text("The identity of the data; by default --data.", "NAME")] = None,
    ledger: Annotated[MaybeText, _text("Who counts what was spent. Without it, nobody does.", "FILE")] = None,
    budget: Annotated[str, typer.Option(metavar="NAME", help="A budget of the ledger.")] = "default",
    budget_epsilon: Annotated[MaybeNumber, _text("Its cap, when it is opened.", "EPS")] = None,
    budget_delta: Annotated[MaybeNumber, _text("Goes with --budget-epsilon.", "DELTA")] = None,
    budget_rho: Annotated[MaybeNumber, _text("Its cap, instead.", "RHO")] = None,
    budget_relation: Annotated[MaybeText, _text(f"{', '.join(Relation)}.", "RELATION")] = None,
    budget_filter: Annotated[MaybeText, _text(f"{', '.join(NAMES)}.", "FILTER")] = None,
    trust: Annotated[MaybeText, _text(f"Who sees what: {', '.join(MODELS)}.", "MODEL")] = None,
    threshold: Annotated[MaybeNumber, _text("The fewest clients in a sum, or a fraction of them.", "N")] = None,
    dropout: Annotated[MaybeNumber, _text("The fraction that may drop out.", "FRACTION")] = None,
    corrupt: Annotated[MaybeNumber, _text("The fraction that may work with the server.", "FRACTION")] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="The arithmetic alone, without keys.")] = False,
    key: Annotated[MaybeText, _text("The same key again: the stored answer, nothing spent.", "KEY")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would cost and be worth; spend nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON alone on standard output.")] = False,
    wait: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait for a ledger in use.")
    ] = 30.0,
) -> None:
    """Ask one question."""
    what = {"statistic": statistic, "column": column, "bounds": bounds, "per_client": per_client, "where": where}
    lists = {"edges": _edges(edges), "categories": _listed(categories), "groups": _listed(groups)}
    who = {"weight": weight, "max_records": max_records, "by": by, "max_groups": max_groups}
    cost = {"rho": rho, "epsilon": epsilon, "delta": delta, "noise_multiplier": noise_multiplier}
    if all(value is None for value in cost.values()):
        raise BadArgument("there is no cost: give --rho, --epsilon (alone, or with --delta) or --noise-multiplier")
    title = " ".join(filter(None, (statistic, column)))
    one = question(options({"name": title, **what, **lists, **who, **cost}), None)
    place = "path" if Path(data).suffix else "dataset"
    origin = source(options({place: data, "client": client, "population": population, "name": name}))
    shares = {"threshold": threshold, "dropout": dropout, "corrupt": corrupt, "simulate": simulate or None}
    seen = trusted(options({"model": trust, **shares}))
    caps = {"epsilon": budget_epsilon, "delta": budget_delta, "rho": budget_rho}
    terms = {"name": budget, **caps, "relation": budget_relation, "filter": budget_filter}
    paid = _purse(one, seen, terms, key) if ledger is None else funds(options(terms, "--budget-{}"), budget)
    keys = None if key is None else (key,)
    carry_out(Job(one.name, key, origin, paid, seen, (one,), keys, ledger, wait), Manner(dry_run, json))


def _edges(written: str | None) -> Any:
    return written if written is None or ":" in written else reading.split(written)


def _listed(written: str | None) -> Any:
    return None if written is None else reading.split(written)


def _purse(one: Question, seen: Trusted, terms: dict[str, Any], key: str | None) -> Funds:
    """Without a ledger: just this cost, or, where what it will be depends on the clients, more than enough."""
    given = [f"--budget-{name}" for name, value in terms.items() if name != "name" and value is not None]
    if given or key is not None:
        raise BadArgument(f"{(given or ['--key'])[0]} needs a ledger: --ledger FILE")
    cost, needed = one.costed.own_cost(Relation.ADD_OR_REMOVE_ONE), {"relation": seen.terms.relations[0].value}
    if seen.terms.filters:
        delta = 1e-6 if cost.target is None else cost.target[1]
        return funds(Table({"epsilon": 1e6, "delta": delta, "filter": seen.terms.filters[0], **needed}), "(none)")
    if cost.pure and seen.model.clients_add_noise:
        return funds(Table({"epsilon": units.rho(cost.units), **needed}), "(none)")
    return funds(Table({"rho": units.rho(Zcdp().charge(cost)), **needed}), "(none)")
