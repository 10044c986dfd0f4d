"""Local trust: every client randomises its own report, and nobody has to be trusted with a value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fedanalytics.errors import BadArgument
from fedanalytics.privacy.costs import Cost
from fedanalytics.privacy.events import DiscreteLaplace, Pure, round_down, round_up
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.local import for_bins, for_count, for_numbers, if_shuffled
from fedanalytics.privacy.relations import Relation
from fedanalytics.privacy.samplers import LEAST, MOST
from fedanalytics.round.blocks import Block, Encoder, Round
from fedanalytics.round.groups import Grouped
from fedanalytics.round.moments import Interval, Moments
from fedanalytics.round.one_hot import OneHot, OneOf, Present
from fedanalytics.trust.absence import aborted, all_but, why
from fedanalytics.trust.policy import ClientPolicy, check_policies, refusals, request
from fedanalytics.trust.priced import Fleet, Guarantee, Priced
from fedanalytics.trust.reports import BinReports, NumberReports, Reports, VectorReports

_HIDES = 64.0  # more than this hides nothing, shuffled or not
_DELTA = 1e-6  # at which the figure for shuffled reports is stated where the budget has none


@dataclass(frozen=True)
class Local:
    """The collector sees randomised reports only.

    Formal guarantee, for each client by itself: no report is more than e^epsilon times likelier for one of its values
    than for another, null among them (under replace-one), or than for null (under zero-out); in all, epsilon is that of
    the release. Everyone on the roster reports, also who holds no value, so who takes part is public. Counts and
    histograms are reported by the frequency mechanism of least variance, sums and means by a piecewise mechanism;
    variances, grouped and per-record statistics by two-sided geometric noise on the client's vector, which is less
    precise. What the reports would cost behind a trusted shuffler is in the receipt as a figure with its assumption; no
    budget takes it.

    The cost is pure: ``epsilon=`` alone. The error grows with the root of the number of clients.

    Attributes:
        policy: of the simulated clients: one for all, or by client; who refuses does not report.
        keystream: None, the default: fresh randomness. A test may pass ``Keystream.insecure(seed)``.

    Example:
        >>> import fedanalytics as fa
        >>> fleet = fa.Fleet.from_values([68.5, 70.3, 69.8] * 10_000)
        >>> budget = fa.Ledger(":memory:").budget("sensors", epsilon=4.0, relation="replace-one")
        >>> release = fa.Session(fleet, budget, trust=fa.Local()).run(fa.mean("value", bounds=(0, 110)), epsilon=2.0)
        >>> bool(abs(release.value - 69.53) < 6 * release.standard_error), release.receipt.guarantee["local"]
        (True, {'epsilon': 1.99..., 'delta': 0.0})
    """

    policy: ClientPolicy | Mapping[int, ClientPolicy] | None = None
    keystream: Keystream | None = None
    clients_add_noise = True

    @property
    def name(self) -> str:
        return "local" if self.keystream is None or self.keystream.secure else "local, INSECURE: seeded noise"

    def price(self, round_: Round, cost: Cost, roster: int | None = None) -> Priced:
        """Chooses per block the mechanism of least variance.

        Raises:
            BadArgument: the cost is not pure, or out of range; the budget counts add-or-remove-one; the round samples
                its clients.
        """
        if not cost.pure:
            raise BadArgument(
                "reports that clients randomise are paid in pure epsilon: give the cost as epsilon= alone"
            )
        if cost.mechanism.relation is Relation.ADD_OR_REMOVE_ONE:
            raise BadArgument(
                "the budget counts add-or-remove-one, and local reports hide what a client answers, not that it does: "
                'open a budget with relation="replace-one" (or "zero-out": a value and none are hard to tell apart)'
            )
        if round_.correlated is not None:
            raise BadArgument("noise that belongs together over rounds is the server's: run this under fa.Central()")
        if round_.sampling_rate < 1 or cost.sampling_rate < 1:
            raise BadArgument("local reports come from every client: the collector would see who was sampled")
        clients = 1 if roster is None else roster
        check_policies(self.policy, clients)
        return Priced(tuple(_reports(block, cost, clients) for block in round_.blocks))

    def collect(self, fleet: Fleet, priced: Priced) -> tuple[Any, ...]:
        """The sums of the reports of everybody who does not refuse.

        Raises:
            RoundAborted: all refuse.
        """
        parts: list[Reports] = list(priced.parts)
        stream = self.keystream or Keystream()
        refused = refusals(self.policy, request(self.name, priced, 1), parts[0].clients)
        if len(refused) == parts[0].clients:
            raise aborted(why(refused))
        blocks = [replace(part.block, encoder=part.encoder(stream)) for part in parts]
        cohorts = [all_but(refused) if refused else None] * len(parts)
        sums = fleet.sums(blocks, [part.steps for part in parts], cohorts, everyone=True)
        return tuple({"sums": total[:-1].tolist(), "reports": int(total[-1])} for total in sums)

    def asked_of(self, roster: int | None) -> Mapping[str, Any]:
        """All clients of the roster."""
        return {"clients": roster}

    def guarantee(self, rounds: Sequence[Priced], delta: float | None) -> Guarantee:
        """The local epsilon, and, named as such, what a shuffler would make of it."""
        parts: list[Reports] = [part for priced in rounds for part in priced.parts]
        epsilon = sum((atom.epsilon for part in parts for atom, _ in part.event.atoms() if isinstance(atom, Pure)), 0)
        shuffled = if_shuffled(min(math.fsum(part.loss for part in parts), _HIDES), parts[0].clients, delta or _DELTA)
        return {
            "clients": parts[0].clients,
            "local": {"epsilon": float(epsilon), "delta": 0.0},
            "if_shuffled": {"epsilon": shuffled.epsilon, "delta": shuffled.delta, "assumption": shuffled.assumption},
        }


def _reports(block: Block, cost: Cost, clients: int) -> Reports:
    """The mechanism of least variance for what the encoder encodes."""
    event, encoder = cost.mechanism.part(block.share), block.encoder
    if not isinstance(event, DiscreteLaplace):
        raise BadArgument("reports that clients randomise are paid in pure epsilon: give the cost as epsilon= alone")
    relation, epsilon = event.relation, round_down(1 / event.noise_multiplier)
    if _one_of_k(encoder):
        bins = for_count(epsilon) if encoder.size == 1 else for_bins(epsilon, encoder.size, relation=relation)
        return BinReports(block, relation, clients, bins)
    if isinstance(encoder, Moments) and encoder.order == 1:
        numbers = for_numbers(epsilon, counted=True, relation=relation)
        return NumberReports(
            block, relation, clients, numbers, (encoder.lower + encoder.upper) / 2, encoder.half, math.nan
        )
    if isinstance(encoder, Interval):
        return _sum(block, encoder, relation, epsilon, clients)
    steps = encoder.coarsest
    scale = max(round_up(event.noise_multiplier * encoder.sensitivity(steps, relation).l1), LEAST)
    if scale > MOST:
        raise BadArgument(f"the cost is too small: noise of {scale:.2g} grid steps; the largest is {MOST:.2g}")
    return VectorReports(block, relation, clients, event, scale, steps)


def _sum(block: Block, encoder: Interval, relation: Relation, epsilon: float, clients: int) -> Reports:
    """Null adds 0: as the number 0, told from no other; or, where it is to be told from no number, as a coin."""
    low, high = min(encoder.lower, 0.0), max(encoder.upper, 0.0)
    middle, half = (low + high) / 2, (high - low) / 2
    as_zero = NumberReports(block, relation, clients, for_numbers(epsilon), middle, half, -middle / half)
    if relation is Relation.REPLACE_ONE:
        return as_zero
    numbers = for_numbers(epsilon, relation=relation)
    return min(
        as_zero, NumberReports(block, relation, clients, numbers, 0.0, encoder.magnitude, math.nan), key=_deviation
    )


def _deviation(reports: Reports) -> float:
    return reports.deviation(1.0)


def _one_of_k(encoder: Encoder) -> bool:
    """Whether a client's row holds at most a single one."""
    if isinstance(encoder, Grouped):
        return encoder.max_groups == 1 and _one_of_k(encoder.inner)
    return isinstance(encoder, OneHot | OneOf | Present)
