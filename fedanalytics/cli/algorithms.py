"""The ``[training]`` of a recipe: which algorithm, its rates, how long, how updates are clipped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fedanalytics.cli import ranges, reading
from fedanalytics.cli.placed import placed
from fedanalytics.cli.reading import Table
from fedanalytics.errors import BadArgument

if TYPE_CHECKING:
    from fedanalytics.learning import Algorithm
    from fedanalytics.learning.private import Clip, Plan, UnsampledPlan

_CLIENT = {
    "learning_rate": reading.number,
    "momentum": reading.number,
    "epochs": reading.whole,
    "steps": reading.whole,
    "batch_size": reading.whole,
}
_SGD = {"server_learning_rate": reading.number, "server_momentum": reading.number}
_ADAPTIVE = {"server_learning_rate": reading.number, "beta1": reading.number, "tau": reading.number}
ALGORITHMS: Mapping[str, tuple[str, Mapping[str, reading.Reader[Any]]]] = {  # its function, and the keys of its own
    "fedavg": ("fed_avg", {**_CLIENT, **_SGD}),
    "fedprox": ("fed_prox", {**_CLIENT, "mu": reading.number}),
    "fedadam": ("fed_adam", {**_CLIENT, **_ADAPTIVE, "beta2": reading.number}),
    "fedyogi": ("fed_yogi", {**_CLIENT, **_ADAPTIVE, "beta2": reading.number}),
    "fedadagrad": ("fed_adagrad", {**_CLIENT, **_ADAPTIVE}),
    "fedsgd": ("fed_sgd", _SGD),
}
_COMMON = ("algorithm", "rounds", "cohort", "participations", "noise", "clip", "seed", "checkpoint_every")
_CLIP = ("start", "quantile", "rate")


@dataclass(frozen=True)
class Procedure:
    """How to train; every number is checked when the library takes it.

    Attributes:
        algorithm: one of `ALGORITHMS`.
        settings: its keys, as written.
        clip: the bound of an update, or the settings of an adaptive one.
        cohort: the expected number of clients in a round; None for all.
        participations: in how many rounds each client takes part, in turn, under correlated noise; None for the cohort.
        noise: the family of correlated noise, None for the library's choice.
        seed: of the order in which clients read their examples.
        checkpoint_every: how many rounds lie between two checkpoints.
        table: for messages.
    """

    algorithm: str
    settings: Mapping[str, float]
    rounds: int
    cohort: int | None
    participations: int | None
    noise: str | None
    clip: float | Mapping[str, float]
    seed: int
    checkpoint_every: int
    table: Table

    def built(self, loss_fn: Callable[..., Any] | None) -> Algorithm:
        """The algorithm, weighting clients alike.

        Raises:
            BadArgument: a setting that cannot be meant.
        """
        from fedanalytics import learning  # noqa: PLC0415  # torch

        name, _ = ALGORITHMS[self.algorithm]
        loss = {} if loss_fn is None else {"loss_fn": loss_fn}
        local = {key: value for key, value in self.settings.items() if key in _CLIENT}
        own: dict[str, Any] = {k.removeprefix("server_"): v for k, v in self.settings.items() if k not in _CLIENT}
        function: Callable[..., Algorithm] = getattr(learning, name)
        if self.algorithm != "fedsgd":
            with placed(**{key: self.table.at(key) for key in (*_CLIENT, "seed")}):
                own["local"] = learning.LocalTraining(**local, seed=self.seed, **loss)  # type: ignore[arg-type]  # by key
            loss = {}
        server = {key.removeprefix("server_"): self.table.at(key) for key in self.settings if key not in _CLIENT}
        with placed(**(server or {"learning_rate": self.table.at("server_learning_rate")})):
            return function(**own, **loss, weighting="uniform")

    def planned(self, epsilon: float, delta: float, population: int, relation: str) -> Plan | UnsampledPlan:
        """The run with the least noise at an epsilon: by secret coins, or by turns where `participations` is given.

        Raises:
            BadArgument: numbers that cannot be meant; the message has the library's names for them.
        """
        from fedanalytics.learning import private  # noqa: PLC0415  # torch

        asked: dict[str, Any] = {"target_epsilon": epsilon, "delta": delta, "rounds": self.rounds}
        if self.participations is None:
            return private.plan(**asked, population=population, cohort=self.cohort)
        asked |= {"participations": self.participations, "relation": relation}
        if self.noise is not None:
            asked["family"] = self.noise
        return private.unsampled_plan(
            **asked, population=population, momentum=self.settings.get("server_momentum", 0.0)
        )

    def bound(self) -> Clip:
        """The clip.

        Raises:
            BadArgument: a setting that cannot be meant.
        """
        from fedanalytics.learning.private import AdaptiveClip, FixedClip  # noqa: PLC0415  # torch

        place = self.table.at("clip")
        if isinstance(self.clip, Mapping):
            with placed(**{key: f"{place}.{key}" for key in _CLIP}):
                return AdaptiveClip(**self.clip)
        with placed(clip=place):
            return FixedClip(self.clip)


def procedure(table: Table) -> Procedure:
    """The procedure that a table describes.

    Raises:
        BadArgument: a key is unknown, missing or of another algorithm, or its value cannot be meant.
    """
    name = table.get("algorithm", ranges.one_of(ALGORITHMS))
    _, own = ALGORITHMS[name]
    for key in table.values:
        if key not in (*_COMMON, *own) and any(key in keys for _, keys in ALGORITHMS.values()):
            raise BadArgument(f"{table.at(key)} does not go with {name}, which knows {', '.join(own)}")
    table.only((*_COMMON, *own))
    _check_turns(table)
    return Procedure(
        algorithm=name,
        settings={key: table.get(key, read) for key, read in own.items() if key in table.values},
        rounds=table.get("rounds", ranges.positive),
        cohort=table.find("cohort", ranges.positive),
        participations=table.find("participations", ranges.positive),
        noise=table.find("noise", reading.text),
        clip=_clip(table),
        seed=table.find("seed", ranges.natural) or 0,
        checkpoint_every=table.find("checkpoint_every", ranges.positive) or 10,
        table=table,
    )


def _check_turns(table: Table) -> None:
    """What does not go with clients that take part in turn."""
    if "participations" not in table.values:
        if "noise" in table.values:
            raise BadArgument(f"{table.at('noise')} is of clients in turn: it goes with {table.at('participations')}")
        return
    if "cohort" in table.values:
        raise BadArgument(
            f"{table.at('participations')} and {table.at('cohort')} both say who takes part in a round: in turn, or by "
            "secret coins; keep one"
        )
    if isinstance(table.values.get("clip"), Mapping):
        raise BadArgument(
            f"{table.at('clip')} must be a number where {table.at('participations')} is given: noise that cancels "
            "between rounds has one scale"
        )


def _clip(table: Table) -> float | dict[str, float]:
    if not isinstance(table.values.get("clip"), Mapping):
        return table.get("clip", reading.number)
    adaptive = table.table("clip")
    adaptive.only(_CLIP)
    return {key: adaptive.get(key, reading.number) for key in _CLIP if key in adaptive.values}
