"""From a graph to rounds: what depends only on what the server has already is asked together.

Every aggregate's round is the number of aggregates that must be answered before it. Released values are broadcast into
the clients' work of later rounds as the noisy values that they are; what the server computes from them is free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from fedanalytics.computation import offers
from fedanalytics.computation.evaluate import Run, evaluate, order, place
from fedanalytics.computation.outcomes import Strict
from fedanalytics.computation.releases import Noised
from fedanalytics.computation.structures import parts, rebuilt
from fedanalytics.computation.values import Value
from fedanalytics.computation.work import on_a_client
from fedanalytics.errors import BadArgument, NotPrivate
from fedanalytics.privacy.costs import Cost
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.blocks import Round, Rounds
from fedanalytics.round.work import Sql
from fedanalytics.types import CLIENTS, TensorType

AGGREGATES = frozenset({"sum", "mean", "min", "max", "aggregate"})


def aggregates(results: Sequence[Value]) -> list[Value]:
    """The values that reach the server, in order."""
    return [value for value in order(results) if value.op in AGGREGATES]


def leaving(results: Sequence[Value]) -> list[Value]:
    """Results that are each client's own value: who calls the computation sees them."""
    return [value for value in results if value.type.placement is CLIENTS and not value.type.all_equal]


@dataclass(frozen=True)
class Plan:
    """The noised aggregates of a graph, round by round.

    Attributes:
        rounds: at least one; each at least one release.
    """

    rounds: tuple[tuple[Noised, ...], ...]

    @cached_property
    def _of_whole(self) -> dict[Value, Fraction]:
        nodes = [release.node for asked in self.rounds for release in asked]
        return dict(zip(nodes, offers.shares([node.attrs["cost"] for node in nodes]), strict=True))

    @cached_property
    def shares(self) -> tuple[Fraction, ...]:
        """Each round's part of the cost."""
        return tuple(sum((self._of_whole[release.node] for release in asked), Fraction(0)) for asked in self.rounds)

    @cached_property
    def of_round(self) -> dict[Value, Fraction]:
        """Each release's part of its own round."""
        due = zip(self.rounds, self.shares, strict=True)
        return {release.node: self._of_whole[release.node] / share for asked, share in due for release in asked}

    def cost(self, relation: Relation) -> Cost:
        """Of all releases together."""
        return offers.together([release.offer for asked in self.rounds for release in asked], relation)


def noised(results: Sequence[Value]) -> Plan:
    """The plan of a graph's noised aggregates; exact ones do not count."""
    depth: dict[Value, int] = {}
    rounds: dict[int, list[Noised]] = {}
    for value in order(results):
        depth[value] = max((depth[argument] for argument in value.args), default=0)
        if value.op in AGGREGATES and "cost" in value.attrs:
            depth[value] += 1
            rounds.setdefault(depth[value], []).append(Noised(value))
    return Plan(tuple(tuple(rounds[number]) for number in sorted(rounds)))


def private(results: Sequence[Value]) -> Plan:
    """The plan of a graph that may run in a session.

    Raises:
        NotPrivate: an exact value reaches the server, or a client's own value the caller; names line, operator and fix.
        BadArgument: nothing comes from the clients at all.
    """
    for value in leaving(results):
        raise NotPrivate(
            f"the result {value!r} of {place(value)} is each client's own value, and a session releases only noised"
            " sums over the clients; aggregate it: federated_mean(x, bounds=(0, 110), rho=0.01)"
        )
    reaching = aggregates(results)
    for value in reaching:
        if "cost" not in value.attrs:
            fix = (
                "it has no noised form; release a federated_mean or federated_sum with bounds= and a cost instead"
                if value.op in {"min", "max", "aggregate"}
                else "it has no noised form with weights; divide two noised sums, of x * w and of w"
                if len(value.args) == 2
                else f"add bounds= and a cost, e.g. federated_{value.op}(x, bounds=(0, 110), rho=0.01)"
            )
            raise NotPrivate(f"{place(value)} releases an exact value: {fix}")
    if not reaching:
        raise BadArgument("nothing in this computation comes from the clients; call it directly, it costs nothing")
    return noised(results)


def conversation(structure: Any, columns: Mapping[Value, Sql], public: Mapping[Value, Any]) -> Rounds:
    """Asks round by round, and returns the estimate if the result is one released tensor, else plain values.

    Args:
        structure: what the computation returns.
        columns: what each of the clients' parameters is on a client.
        public: the values of all other parameters.
    """
    results = list(parts(structure))
    plan = private(results)
    known, estimates = dict(public), {}
    for asked in plan.rounds:
        blocks = [
            release.blocks(plan.of_round[release.node], tuple(columns), tuple(columns.values()), _given(release, known))
            for release in asked
        ]
        answers = iter((yield Round(tuple(block for several in blocks for block in several))))
        for release, several in zip(asked, blocks, strict=True):
            estimates[release.node] = release.estimate([next(answers) for _ in several])
            known[release.node] = release.value(estimates[release.node])
    if isinstance(structure, Value) and structure in estimates and isinstance(structure.type.member, TensorType):
        return estimates[structure]
    values = evaluate(results, known, _AT_THE_SERVER)
    return rebuilt(structure, values.__getitem__)


def _given(release: Noised, known: Mapping[Value, Any]) -> dict[Value, Any]:
    """What the clients' work needs to be told: broadcast values, and public ones that all clients share."""
    told = [value for value in on_a_client(release.source) if value.op == "broadcast" or value in known]
    values = evaluate(told, known, _AT_THE_SERVER)
    return {value: values[value] for value in told}


_AT_THE_SERVER = Run(0, Strict())
