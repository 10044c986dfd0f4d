"""What a training would cost and needs: built and checked whole, before a ledger is opened or made."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fedanalytics.cli.balance import Balance, balance
from fedanalytics.cli.copies import copied
from fedanalytics.cli.own_code import own_functions, told
from fedanalytics.cli.placed import placed
from fedanalytics.cli.recipe import Recipe, check_sampling
from fedanalytics.cli.scorer import asked, figure_key
from fedanalytics.errors import BadArgument, BudgetExceeded, FedAnalyticsError
from fedanalytics.ledger import Ledger
from fedanalytics.ledger.connections import database
from fedanalytics.privacy import units
from fedanalytics.session import Preview, Price, Session
from fedanalytics.trust.priced import Guarantee

if TYPE_CHECKING:
    from fedanalytics.fleet.data_sets import DatasetFleet
    from fedanalytics.learning.model import Model
    from fedanalytics.learning.private import Training

_LEARNING = ("torch", "opacus", "safetensors")


@dataclass(frozen=True)
class Job:
    """A training, as a command was asked for it.

    Attributes:
        build: the operator's function that builds the model.
        training: the run as a query.
        key: under which it is paid.
        ledger: the file.
    """

    recipe: Recipe
    build: Callable[[], Any]
    training: Training
    key: str
    ledger: str

    @contextlib.contextmanager
    def rehearsed(self) -> Iterator[Ledger]:
        """A ledger that says what the real one would, and is gone afterwards."""
        with copied(self.ledger) if database(self.ledger, 5.0).exists() else Ledger(":memory:") as ledger:
            yield ledger


@dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Attributes:
        price: of the training.
        figure: what a figure would be worth and cost; None without an evaluation.
        paid: whether the training stands in the ledger under its key.
        missing: how many figures are still to be paid.
        guarantee: what the trust model would add to the receipt.
        balance: of the budget, before.
    """

    price: Price
    figure: Preview | None
    paid: bool
    missing: int
    guarantee: Guarantee | None
    balance: Balance

    @property
    def asked(self) -> int:
        """Units that the run would cost."""
        figures = 0 if self.figure is None else self.missing * self.figure.cost.units
        return figures + (0 if self.paid else self.price.units)

    @property
    def fits(self) -> bool:
        """Whether the budget can pay."""
        return self.asked <= self.balance.remaining.units


def job(recipe: Recipe, key: str, ledger: str) -> Job:
    """Runs the operator's file, builds the model, and finds the noise.

    Raises:
        BadArgument: a model that cannot be trained so, settings that cannot be meant, an epsilon that no noise reaches.
        FedAnalyticsError: torch is not installed.
    """
    try:
        from fedanalytics.learning import private  # noqa: PLC0415  # torch: nothing before it needs seconds
    except ModuleNotFoundError as error:
        if error.name not in _LEARNING:
            raise
        raise FedAnalyticsError(f'training needs {error.name}: pip install "fedanalytics[learning]"') from error

    names = (recipe.function,) if recipe.loss is None else (recipe.function, recipe.loss)
    build, *loss = own_functions(recipe.file, names, recipe.model.at("file"))
    model, steps, scores = _model(recipe, build), recipe.procedure, recipe.scoring
    algorithm, clip = steps.built(loss[0] if loss else None), steps.bound()
    epsilon, delta = recipe.epsilon, recipe.delta
    with placed(
        target_epsilon=recipe.privacy.at("epsilon"),
        delta=recipe.privacy.at("delta"),
        rounds=steps.table.at("rounds"),
        cohort=steps.table.at("cohort"),
        participations=steps.table.at("participations"),
        family=steps.table.at("noise"),
        population=recipe.data.table.at("population"),
    ):
        plan = steps.planned(
            epsilon if scores is None else scores.rest(epsilon),
            delta if scores is None else scores.rest(delta),
            recipe.data.population,
            recipe.funds.relation or "add-or-remove-one",
        )
    return Job(recipe, build, private.Training.of(model, algorithm, plan, clip), key, ledger)


def forecast(job: Job, fleets: tuple[DatasetFleet, DatasetFleet], ledger: Ledger) -> Forecast:
    """Finds out what a run would do, on a ledger that nobody keeps.

    Raises:
        BadArgument: anything that was written and cannot be meant, data that does not fit the model.
        KeyReused: the key stands for another training.
    """
    session, evaluating = sessions(job, fleets, ledger)
    plan, scores, budget = job.training.plan, job.recipe.scoring, session.budget
    model, place = job.recipe.model, job.recipe.data.table.place
    with placed(data=place, loss_fn=model.at("loss"), model_fn=model.at("function")):
        [(order, _)] = session.rehearsed(job.training, job.key, noise_multiplier=plan.offer)
    known = {row["key"] for row in budget.spent.queries}
    before = balance(budget)
    if job.key in known:
        budget.reserve([order.plan])  # nothing is paid again; another training is refused
    figure, missing = None, 0
    if scores is not None:
        with placed(**{name: scores.table.at(name) for name in ("metric", "bounds", "rho")}):
            query = asked(scores, job.training, job.training.model.initial)
            figure = evaluating.preview(query, **offer(job))
        missing = sum(figure_key(job.key, scores, round_) not in known for round_ in scores.due(plan.rounds))
    price = Price(order.units, order.event, budget.delta, budget.filter.counts)
    guarantee = session.trust.guarantee(order.rounds, budget.delta)
    return Forecast(price, figure, job.key in known, missing, guarantee, before)


def check_fits(found: Forecast) -> None:
    """Refuses what the budget cannot pay, figures and all.

    Raises:
        BudgetExceeded: it says what is asked and what remains.
    """
    if found.fits:
        return
    whole = found.balance
    costs = [] if found.paid else [f"the training costs {units.rho(found.price.units):.6g} {whole.counts}"]
    if found.figure is not None and found.missing:
        costs.append(f"its figures cost {found.missing} times {units.rho(found.figure.cost.units):.6g} {whole.counts}")
    raise BudgetExceeded(
        f"budget {whole.name!r} cannot pay: {', and '.join(costs)}; {units.rho(whole.remaining.units):.6g} remain. "
        "Nothing was spent"
    )


def sessions(job: Job, fleets: tuple[DatasetFleet, DatasetFleet], ledger: Ledger) -> tuple[Session, Session]:
    """Over the clients that train, and over those that evaluate; one budget pays for both.

    Raises:
        BadArgument: the budget cannot pay under this trust model, or for such cohorts.
    """
    recipe = job.recipe
    budget = recipe.opened(ledger)
    for fleet in fleets:
        recipe.trusted.check(budget, recipe.funds.table, fleet)  # type: ignore[arg-type]  # it reads the roster
    check_sampling(budget, recipe)
    training, evaluating = (Session(fleet, budget, recipe.trusted.model) for fleet in fleets)
    return training, evaluating


def offer(job: Job) -> dict[str, Any]:
    """What a figure may cost."""
    scores, recipe = job.recipe.scoring, job.recipe
    return {} if scores is None else dict(scores.offer(recipe.epsilon, recipe.delta, job.training.plan.rounds))


def _model(recipe: Recipe, build: Callable[[], Any]) -> Model:
    """The model, if it is the same each time."""
    from fedanalytics.learning import Model  # noqa: PLC0415  # torch

    place = f"{recipe.model.at('function')} = {recipe.function!r}"
    with told(recipe.file, f"{place} of {recipe.file.name} fails"), placed(model_fn=place):
        model = Model.of(build)
        again = Model.of(build)
    if (model.initial != again.initial).any():
        raise BadArgument(
            f"{place} of {recipe.file.name} builds other parameters each time it is called, so that a run that "
            "stopped could not go on: begin it with torch.manual_seed(0)"
        )
    return model
