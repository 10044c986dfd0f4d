"""A round is a tuple of blocks; an answer is one noisy sum per block. No noise, no cost, no place here."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.sensitivity import Sensitivity
from fedanalytics.round.canonical import digest
from fedanalytics.round.estimates import Estimate, Floats, Noise
from fedanalytics.round.work import Apply, Registered, Stack, Work

Integers: TypeAlias = npt.NDArray[np.int64]


class Encoder(Protocol):
    """A client's value -> a bounded vector of integers, and back from the noisy sum.

    `steps` is the grid: the number of grid steps in the encoder's bound, a power of two, chosen by the trust model
    between `coarsest` and `finest`. An encoder that counts has ``finest == 1``: its vectors are integers already.
    """

    @property
    def columns(self) -> int:
        """Values per client that it reads: shape (n,) for 1, else (n, columns)."""
        ...

    @property
    def reads_text(self) -> bool:
        """Whether the values are texts (shape (n,), None for none) rather than numbers."""
        ...

    @property
    def size(self) -> int:
        """Coordinates of the vector."""
        ...

    @property
    def coarsest(self) -> int:
        """The smallest `steps` on which rounding still costs nothing that matters."""
        ...

    @property
    def finest(self) -> int:
        """The largest `steps` that makes sense."""
        ...

    def sensitivity(self, steps: int, relation: Relation) -> Sensitivity:
        """By how much one client can move the sum, in grid steps, exactly."""
        ...

    def rows(self, values: npt.NDArray[Any], steps: int) -> Integers:
        """The vectors of n clients, shape (n, size): the definition."""
        ...

    def sums(self, values: npt.NDArray[Any], steps: int) -> Integers:
        """Their exact sum, shape (size,): equal to ``rows(values, steps).sum(axis=0)``, and fast."""
        ...

    def estimate(self, noisy: Noisy) -> Estimate:
        """The estimator: what the noisy sum says, in the caller's units."""
        ...

    def assumed(self, clients: float) -> Floats:
        """The sum over an assumed, unremarkable fleet, in units of the bound: what a preview is made from."""
        ...


def chunked_sums(encoder: Encoder, values: npt.NDArray[Any], steps: int, clients: int) -> Integers:
    """The definition of `Encoder.sums`, a block of clients at a time."""
    total = np.zeros(encoder.size, dtype=np.int64)
    for start in range(0, len(values), clients):
        total += encoder.rows(values[start : start + clients], steps).sum(axis=0)
    return total


@dataclass(frozen=True, eq=False)
class Noisy:
    """What comes back for one block: the noisy sum in units of the encoder's bound.

    Attributes:
        values: shape (size,); under central trust integers times a power of two, hence exact in float64.
        noise: the law of the noise in each coordinate, same unit; public.
        estimate: what the block estimates, where the trust model knows it better than the encoder can from the sum:
            reports that clients have randomised say more than their sum does.
    """

    values: Floats
    noise: Noise
    estimate: Estimate | None = None


@dataclass(frozen=True)
class Block:
    """Local work, an encoder with its bound, and the share of the round's cost that it gets.

    Raises:
        BadArgument: the work gives another number of values per client than the encoder reads.
    """

    work: Work
    encoder: Encoder
    share: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if isinstance(self.work, Apply | Registered):
            return  # how many values a function returns is known when it has run
        given, reads = len(self.work.parts) if isinstance(self.work, Stack) else 1, self.encoder.columns
        if given != reads:
            raise BadArgument(
                f"the work gives {given} values per client, and {type(self.encoder).__name__} reads {reads}"
            )

    def estimate(self, noisy: Noisy) -> Estimate:
        """What the noisy sum of this block says, in the caller's units."""
        return self.encoder.estimate(noisy) if noisy.estimate is None else noisy.estimate


@dataclass(frozen=True)
class Correlated:
    """A round of a run whose noise belongs together, over public cohorts in turn (DP-FTRL).

    Attributes:
        plan: of the noise, a `fedanalytics.privacy.correlated.Plan`.
        index: of the round, from 0.
    """

    plan: Any
    index: int

    def describe(self) -> dict[str, Any]:
        """The canonical form."""
        return {"plan": self.plan.to_json(), "index": self.index}


@dataclass(frozen=True)
class Round:
    """Blocks that are answered together, in one pass over the data.

    Attributes:
        blocks: at least one.
        sampling_rate: with which probability each client takes part, by a secret coin of its own; below 1, the sums are
            those of the cohort that was drawn, and there is one block.
        correlated: None, or how its noise belongs to that of other rounds.

    Raises:
        BadArgument: there is no block, the shares exceed 1, or the rate is not in (0, 1].
    """

    blocks: tuple[Block, ...]
    sampling_rate: float = 1.0
    correlated: Correlated | None = None

    def __post_init__(self) -> None:
        if not self.blocks or any(b.share <= 0 for b in self.blocks) or sum(b.share for b in self.blocks) > 1:
            shares = ", ".join(str(b.share) for b in self.blocks)
            raise BadArgument(f"a round needs blocks with positive shares that sum to at most 1, got ({shares})")
        if _validate.rate(sampling_rate=self.sampling_rate) < 1 and len(self.blocks) > 1:
            raise BadArgument("a sampled round has one block: each cohort is drawn for one sum")

    def describe(self) -> dict[str, Any]:
        """The canonical form."""
        sampled = {} if self.sampling_rate == 1 else {"sampling_rate": self.sampling_rate}
        together = {} if self.correlated is None else {"correlated": self.correlated}
        return {"is": "Round", "blocks": self.blocks, **sampled, **together}

    @property
    def digest(self) -> str:
        """What names this round in the ledger: equal rounds have equal digests, in any process."""
        return digest(self)


Answers: TypeAlias = tuple[Noisy, ...]
Rounds: TypeAlias = Generator[Round, Answers, Any]


@runtime_checkable
class Query(Protocol):
    """A frozen question. `shares` of its cost per round are known before the first answer.

    A query whose rounds are sampled has a `sampling_rate` too, the same for all of them (see `rate_of`).
    """

    @property
    def shares(self) -> tuple[Fraction, ...]:
        """Fractions of the cost, one per round, summing to 1."""
        ...

    def rounds(self) -> Rounds:
        """Yields rounds, is sent their noisy sums, returns the result."""
        ...


@runtime_checkable
class Resumed(Protocol):
    """A query that goes on where an earlier run of it stopped, from a checkpoint: the same question, fewer rounds."""

    @property
    def first(self) -> int:
        """The index of the first round that it yields; the answers before it are in its state."""
        ...

    def beginning(self) -> Query:
        """The same query from its first round: what is priced and rehearsed."""
        ...


def first_of(query: Query) -> int:
    """The index of the first round that a query yields."""
    return query.first if isinstance(query, Resumed) else 0


def rate_of(query: Query) -> float:
    """The rate at which a query samples its clients; 1 for one that does not say."""
    return _validate.rate(sampling_rate=getattr(query, "sampling_rate", 1.0))


def merged(rounds: tuple[Round, ...], shares: tuple[Fraction, ...]) -> Round:
    """One round of several: the blocks in order, each round's share of the whole applied to its blocks.

    Raises:
        BadArgument: one of them is sampled.
    """
    if any(r.sampling_rate < 1 for r in rounds):
        raise BadArgument("a sampled query cannot be merged with others; give session.run a list of queries")
    return Round(tuple(replace(b, share=b.share * s) for r, s in zip(rounds, shares, strict=True) for b in r.blocks))
