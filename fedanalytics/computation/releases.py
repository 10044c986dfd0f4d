"""A noised aggregate as blocks of a round: which encoders bound it, and how their noisy sums become its value.

| aggregate | of | blocks | estimate |
|---|---|---|---|
| sum | a number in a range | `Interval` | the noisy sum |
| mean | a number in a range | `Moments` | ratio of noisy sums, Fieller's interval |
| sum | a vector in a ball | `Ball` | the noisy sum |
| mean | a vector in a ball | `Ball`, `Present` | per coordinate the ratio, clamped to the radius, Fieller's interval |

A number clipped by a norm lies in [-radius, radius].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from fedanalytics.computation.bounds import Bound, Range
from fedanalytics.computation.offers import Offer
from fedanalytics.computation.values import Value
from fedanalytics.computation.vectors import leaves, size_of, unflattened
from fedanalytics.computation.views import is_number
from fedanalytics.computation.work import ClientWork, Contributes, read_by
from fedanalytics.round.ball import Ball
from fedanalytics.round.blocks import Block, Encoder, Noisy
from fedanalytics.round.estimates import Estimate, Ratio
from fedanalytics.round.moments import Interval, Moments
from fedanalytics.round.one_hot import Present
from fedanalytics.round.work import Apply, Sql
from fedanalytics.types import TensorType, Type

_FLOATS = (TensorType(np.float32), TensorType(np.float64))


@dataclass(frozen=True)
class Part:
    """One block of a release.

    Attributes:
        bound: what it holds a client to, as text.
        share: of the release's cost.
        counts: whether it counts the clients that contribute.
    """

    encoder: Encoder
    bound: str
    share: Fraction = Fraction(1)
    counts: bool = False


@dataclass(frozen=True, eq=False)
class Noised:
    """One noised aggregate of a graph."""

    node: Value

    @property
    def offer(self) -> Offer:
        """Its cost, as it was written."""
        offer: Offer = self.node.attrs["cost"]
        return offer

    @property
    def source(self) -> Value:
        """What the clients compute. The encoder clips it; a second time would change nothing."""
        return self.node.args[0].args[0]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The blocks; more than one for the mean of a vector (see `federated_mean`)."""
        bound: Bound = self.node.args[0].attrs["bound"]
        member = self.source.type.member
        if isinstance(bound, Range) or is_number(member):
            ends = (bound.lower, bound.upper) if isinstance(bound, Range) else (-bound.radius, bound.radius)
            return (Part(Interval(*ends) if self.node.op == "sum" else Moments(*ends), repr(bound)),)
        size = size_of(member)
        ball = Ball(bound.norm, bound.radius, size)
        if self.node.op == "sum":
            return (Part(ball, repr(bound)),)
        count = Fraction(1, 1 + math.ceil(math.sqrt(size)))
        return Part(ball, repr(bound), 1 - count), Part(Present(), "one per client", count, counts=True)

    def blocks(
        self, share: Fraction, parameters: Sequence[Value], columns: Sequence[Sql], given: dict[Value, Any]
    ) -> tuple[Block, ...]:
        """The blocks of one round.

        Args:
            share: this release's part of the round's cost.
            parameters: all parameters at the clients.
            columns: what each of them is on a client, in the same order.
            given: what is public or was released before.
        """
        read = read_by(self.source, parameters)
        inputs = tuple(columns[list(map(id, parameters)).index(id(parameter))] for parameter in read)
        work = ClientWork(self.source, read, tuple(given.items()))
        return tuple(
            Block(
                self._as_it_is(inputs) or Apply(inputs, Contributes(work) if part.counts else work),
                part.encoder,
                share * part.share,
            )
            for part in self.parts
        )

    def _as_it_is(self, inputs: Sequence[Sql]) -> Sql | None:
        """The parameter's own SQL where nothing is computed from it: no function, and a fleet may take its fast path.

        The number is then clipped and rounded to the grid as the float64 that it is, also where float32 is declared.
        """
        bare = self.source.op == "parameter" and self.source.type.member in _FLOATS
        encoder = self.parts[0].encoder
        if not (bare and isinstance(encoder, Interval | Moments)):
            return None
        return replace(inputs[0], magnitude=max(abs(encoder.lower), abs(encoder.upper)))

    def estimate(self, answers: Sequence[Noisy]) -> Estimate:
        """The value with its uncertainty, in the shape of a tensor; the fields of a struct lie side by side."""
        encoders = [part.encoder for part in self.parts]
        if not isinstance(encoders[0], Ball):
            return answers[0].estimate or encoders[0].estimate(answers[0])
        shape = _shape(self.source.type.member)
        noisy = Noisy(np.reshape(answers[0].values, shape), answers[0].noise)
        if len(answers) == 1:
            return encoders[0].estimate(noisy)
        count, radius = answers[1], encoders[0].radius
        return Ratio(noisy.values, count.values[..., 0], noisy.noise, count.noise, -radius, radius)

    def value(self, estimate: Estimate) -> Any:
        """The estimate in the type of the node."""
        return unflattened(np.ravel(estimate.value), self.node.type.member)


def _shape(kind: Type) -> tuple[int, ...]:
    if isinstance(kind, TensorType):
        return tuple(extent or 0 for extent in kind.shape)
    return (sum(map(size_of, leaves(kind))),)
