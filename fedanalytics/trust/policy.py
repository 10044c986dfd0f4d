"""A client says no: what it is asked, what it insists on, and what it has lost to date, in a ledger of its own."""

from __future__ import annotations

import enum
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from fedanalytics import _validate
from fedanalytics.errors import BadArgument, BudgetExceeded, FedAnalyticsError
from fedanalytics.ledger import Budget, Plan
from fedanalytics.privacy.events import Event, Gaussian, PoissonSampled, Pure, Skellam
from fedanalytics.round.canonical import canonical
from fedanalytics.trust.priced import Priced

MODELS = ("secure aggregation", "local")


class Why(enum.Enum):
    """Why a client does not answer."""

    TRUST = "a trust model that the client does not allow"
    COHORT = "fewer clients than it wants to hide among"
    NOISE = "less noise than it insists on"
    ASKED_BEFORE = "a round that it has answered already"
    LOSS = "more than it is ready to lose in all"
    UNPRICED = "noise that its ledger cannot count"


@dataclass(frozen=True)
class Request:
    """What a client is told of a round before it answers: public, and the same for all clients.

    Attributes:
        round: names the round; no other has this name.
        question: what is asked, in canonical JSON form.
        trust: the trust model, one of "secure aggregation" and "local".
        event: what the client loses to who sees the release.
        floor: the fewest clients whose sum may be seen; 1 where each report is.
    """

    round: str
    question: Mapping[str, object]
    trust: str
    event: Event
    floor: int


def request(trust: str, priced: Priced, floor: int) -> Request:
    """The request for a round that is about to be collected, under a fresh name."""
    blocks = [part.block for part in priced.parts]
    return Request(os.urandom(16).hex(), {"blocks": canonical(blocks)}, trust.partition(",")[0], priced.event, floor)


@dataclass(frozen=True)
class Refused:
    """A client's answer that is none. It tells of the round and of what was answered earlier, never of data."""

    why: Why
    detail: str


@dataclass(frozen=True)
class ClientPolicy:
    """What a client asks of every round, whatever the server offers.

    A client adds its noise and counts its loss by itself, so nothing here rests on the server's word but how many
    others take part, which the protocol of secure aggregation lets it check (`fedanalytics.secure_aggregation.Policy`).

    Attributes:
        trust: the trust models that it takes part under.
        smallest_cohort: the fewest clients that it hides among under secure aggregation.
        least_noise: the least noise multiplier of a round (standard deviation over L2 sensitivity; 1/epsilon of pure
            noise).
        budget: the client's own, in a ledger of its own, with the relation of the rounds; None to count nothing.

    Raises:
        BadArgument: an attribute is not as above.

    Example:
        >>> import fedanalytics as fa
        >>> own = fa.Ledger(":memory:").budget("mine", epsilon=2.0, delta=1e-6, relation="zero-out", filter="renyi")
        >>> policy = ClientPolicy(smallest_cohort=100, least_noise=1.0, budget=own)
        >>> event = Skellam(25.0, l1=1, l2=1, relation="zero-out")
        >>> policy.refusal(Request("7f3a", {"is": "Count"}, "secure aggregation", event, floor=90))
        Refused(why=<Why.COHORT: 'fewer clients than it wants to hide among'>, detail='90, it wants 100')
        >>> policy.refusal(Request("7f3a", {"is": "Count"}, "secure aggregation", event, floor=900)) is None
        True
        >>> round(own.spent.rho, 4)  # of one number, the exact divergence
        0.0192
    """

    trust: tuple[str, ...] = MODELS
    smallest_cohort: int = 3
    least_noise: float = 0.0
    budget: Budget | None = None

    def __post_init__(self) -> None:
        for model in self.trust:
            _validate.one_of(MODELS, trust=model)
        _validate.whole(smallest_cohort=self.smallest_cohort)
        if not (_validate.real(self.least_noise) and 0 <= self.least_noise < math.inf):
            raise BadArgument(f"least_noise= must be a number of at least 0, got {self.least_noise!r}")

    def refusal(self, request: Request) -> Refused | None:
        """Why the client does not answer; None if it does, and what it loses is then paid from its own budget."""
        if request.trust not in self.trust:
            return Refused(Why.TRUST, f"{request.trust}, it allows {', '.join(self.trust) or 'none'}")
        if request.trust == "secure aggregation" and request.floor < self.smallest_cohort:
            return Refused(Why.COHORT, f"{request.floor}, it wants {self.smallest_cohort}")
        noise = noise_multiplier(request.event)
        if noise < self.least_noise:
            return Refused(Why.NOISE, f"a noise multiplier of {noise:.4g}, it wants {self.least_noise:.4g}")
        return None if self.budget is None else _paid(self.budget, request)


def _paid(budget: Budget, request: Request) -> Refused | None:
    """Charge first: the loss is in the client's ledger before anything leaves the client."""
    try:
        units = budget.filter.price(request.event)
        [reservation] = budget.reserve(
            [Plan(request.round, dict(request.question), request.event, units, request.trust)]
        )
    except BudgetExceeded:
        return Refused(Why.LOSS, f"what is left of its budget {budget.name!r} does not cover the round")
    except FedAnalyticsError as error:  # another relation, a filter without a price, a key with another question
        return Refused(Why.UNPRICED, str(error))
    return Refused(Why.ASKED_BEFORE, request.round) if reservation.replayed else None


def refusals(
    policy: ClientPolicy | Mapping[int, ClientPolicy] | None, request: Request, clients: int
) -> dict[int, Refused]:
    """Who refuses a round, of clients 0 to `clients` - 1: one policy stands for all, a mapping for those it names."""
    if policy is None:
        return {}
    if isinstance(policy, ClientPolicy):
        refused = policy.refusal(request)
        return {} if refused is None else dict.fromkeys(range(clients), refused)
    answers = {i: one.refusal(request) for i, one in policy.items()}
    return {i: refused for i, refused in answers.items() if refused is not None}


def check_policies(policy: ClientPolicy | Mapping[int, ClientPolicy] | None, clients: int) -> None:
    """Refuses policies of clients that there are not.

    Raises:
        BadArgument: they are named.
    """
    strange = sorted(i for i in policy if not 0 <= i < clients) if isinstance(policy, Mapping) else []
    if strange:
        raise BadArgument(f"policy= names clients {strange}, and the fleet has clients 0 to {clients - 1}")


def noise_multiplier(event: Event) -> float:
    """The least noise of a round, in the sensitivity of what it is added to; 0 for an exact value."""
    return min((_noise(atom) for atom, _ in event.atoms()), default=math.inf)


def _noise(atom: Event) -> float:
    if isinstance(atom, PoissonSampled):
        return _noise(atom.of)
    if isinstance(atom, Gaussian):
        return atom.noise_multiplier
    if isinstance(atom, Skellam):
        return math.sqrt(atom.variance) / atom.l2
    return float(1 / atom.epsilon) if isinstance(atom, Pure) else 0.0
