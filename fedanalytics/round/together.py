"""Several queries at once: their generators in lock step, one round, one pass over the data."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from typing import Any

from fedanalytics.errors import BadArgument
from fedanalytics.round.blocks import Answers, Query, Round, Rounds, merged


def lockstep(queries: Sequence[Query]) -> Generator[dict[int, Round], dict[int, Answers], tuple[Any, ...]]:
    """Yields what each unfinished query asks next, is sent their answers, returns all results in order."""
    running = {i: query.rounds() for i, query in enumerate(queries)}
    results: dict[int, Any] = {}
    answers: dict[int, Answers] = {}
    while True:
        asked = {}
        for i, rounds in list(running.items()):
            try:
                asked[i] = rounds.send(answers[i]) if answers else next(rounds)
            except StopIteration as stop:
                results[i] = stop.value
                del running[i]
        if not asked:
            return tuple(results[i] for i in range(len(queries)))
        answers = yield asked


@dataclass(frozen=True)
class Together:
    """A query made of queries; its result is the tuple of theirs.

    Attributes:
        queries: at least one.
        weights: each one's fraction of the cost; they sum to 1.
    """

    queries: tuple[Query, ...]
    weights: tuple[Fraction, ...]

    @property
    def shares(self) -> tuple[Fraction, ...]:
        """Per round, the sum of what is due in it."""
        weighted = ([w * share for share in q.shares] for q, w in zip(self.queries, self.weights, strict=True))
        return tuple(sum(parts, Fraction(0)) for parts in zip_longest(*weighted, fillvalue=Fraction(0)))

    def rounds(self) -> Rounds:
        steps = lockstep(self.queries)
        asked = next(steps)
        for number, due in enumerate(self.shares):
            parts = tuple(self.weights[i] * self.queries[i].shares[number] / due for i in asked)
            answers = iter((yield merged(tuple(asked.values()), parts)))
            sent = {i: tuple(next(answers) for _ in round_.blocks) for i, round_ in asked.items()}
            try:
                asked = steps.send(sent)
            except StopIteration as stop:
                return stop.value
        raise BadArgument("a query asked for more rounds than it has shares")


def together(*queries: Query, weights: Sequence[float | Fraction] | None = None) -> Together:
    """One query of several, which share a cost (equally, or by `weights`) and each pass over the data.

    Raises:
        BadArgument: no query, or weights that are not one positive number for each.
    """
    if not queries or not all(isinstance(query, Query) for query in queries):
        raise BadArgument(f"together() takes queries such as mean(...) or count(), got {queries!r}")
    return Together(queries, fractions_of(weights, len(queries)))


def fractions_of(weights: Sequence[float | Fraction] | None, count: int) -> tuple[Fraction, ...]:
    """Weights as exact fractions that sum to 1; equal ones when None."""
    given = [Fraction(1)] * count if weights is None else _exact(weights, count)
    return tuple(w / sum(given) for w in given)


def _exact(weights: Sequence[float | Fraction], count: int) -> list[Fraction]:
    try:
        exact = [Fraction(w) for w in weights]
    except (TypeError, ValueError, OverflowError):
        exact = []
    if len(exact) != count or any(w <= 0 for w in exact):
        raise BadArgument(f"weights= must be {count} positive numbers, one for each query, got {weights!r}")
    return exact
