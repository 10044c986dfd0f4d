"""An audit of one private training run, through the real path: canary clients, some of whom were there.

A fair coin decides for each canary whether its data set is its own or empty. The run is paid like any other and holds
what any other holds. Who sees its rounds scores a canary by what it would have sent: how much of that is in the noisy
sums (Nasr, Shokri, Houmansadr 2019, arXiv 1812.00910, in the white-box setting; Steinke, Nasr, Jagielski 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fedanalytics import _validate
from fedanalytics.auditing.bounds import Floats
from fedanalytics.auditing.canaries import audit_canaries
from fedanalytics.auditing.performed import OfEvent
from fedanalytics.auditing.reports import AuditReport
from fedanalytics.auditing.witness import Joined, Witness
from fedanalytics.errors import BadArgument
from fedanalytics.fleet import Fleet
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.sampling import poisson_sample
from fedanalytics.round.blocks import Block
from fedanalytics.session import Session

FEWEST = 32


def audit_training(
    model_fn: Any,
    session: Session,
    plan: Any,
    canaries: Sequence[tuple[Any, Any]],
    *,
    algorithm: Any = None,
    clip: Any = 1.0,
    key: str = "audit of training",
    confidence: float = 0.95,
    independent: bool = False,
    keystream: Keystream | None = None,
) -> AuditReport:
    """Train once among canaries and try to refute the run's claim by who of them can be told to have been there.

    The run is `learning.private.train` on the session's clients and the canaries. It costs what the plan costs, from
    the session's budget, under `key`, and its claim is the event that the ledger holds for it, at the plan's delta.

    Formal guarantee: as `audit_canaries`: if the claim holds, the verdict is "violated" with probability at most
    1 - confidence. The coins are the operating system's and used by nothing but the data sets of the canaries.

    Args:
        model_fn: builds the module, as `learning.private.train` takes it.
        session: whose fleet holds data sets, and whose budget pays.
        plan: the run, of `learning.private.plan` or `unsampled_plan`.
        canaries: at least 32 pairs (features, labels), see `random_canaries`; they tell most where each moves the model
            in a direction of its own, by more than the clip.
        algorithm: as `learning.private.train` takes it.
        clip: likewise.
        key: names the run in the budget.
        confidence: 1 - the risk of a false alarm.
        independent: whether to take the canaries' scores for independent runs: tighter, and as true as that.
        keystream: None, the default: fresh coins. A test may pass ``Keystream.insecure(seed)``.

    Raises:
        BadArgument: too few canaries, or what `learning.private.train` refuses; nothing is spent.
        BudgetExceeded: the budget cannot pay for the plan; nothing is spent.

    Example:
        >>> import fedanalytics as fa
        >>> from torch import nn
        >>> from fedanalytics.learning import private
        >>> fleet = fa.Fleet.from_datasets([(np.zeros((1, 100)), [0])] * 20, population=20)
        >>> plan = private.plan(target_epsilon=2, delta=1e-5, rounds=2, population=20)
        >>> budget = fa.Ledger(":memory:").budget("audit", epsilon=2, delta=1e-5, filter="pld")
        >>> session = fa.Session(fleet, budget)
        >>> report = audit_training(lambda: nn.Linear(100, 2), session, plan, random_canaries(64, (100,)))
        >>> report.verdict, round(budget.spent.epsilon, 2)
        ('consistent', 2.0)
    """
    from fedanalytics.learning import private  # noqa: PLC0415  # torch: only who trains needs it

    if not isinstance(canaries, Sequence) or len(canaries) < FEWEST:
        raise BadArgument(f"canaries= must be at least {FEWEST} pairs (features, labels): see random_canaries")
    coins = poisson_sample(len(canaries), 0.5, keystream=keystream)
    held = [pair if coin else _emptied(pair) for pair, coin in zip(canaries, coins.tolist(), strict=True)]
    witness = Witness(replace(session, fleet=Joined(session.fleet, Fleet.from_datasets(held))), [])
    result = private.train(model_fn, witness, plan, algorithm=algorithm, clip=clip, key=key)
    if result.release.receipt.replayed:
        raise BadArgument(f"key={key!r} stands for an earlier run, whose coins are not known any more: choose another")
    scores = np.sum([_scores(block, values, canaries) for block, values in witness.seen], axis=0)
    claim = OfEvent(result.release.cost.event, plan.delta)
    report = audit_canaries(scores[coins], scores[~coins], claim=claim, confidence=confidence, independent=independent)
    whose = {"trust": session.trust.name, "relation": session.budget.relation.value}
    session.budget.record_audit({**report.to_json(), **whose})
    return report


def random_canaries(
    count: int, shape: tuple[int, ...], *, classes: int = 2, examples: int = 1, scale: float = 10.0, seed: int = 0
) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
    """Clients like no other: features drawn at random, +scale or -scale each, under random labels.

    Args:
        count: of canaries.
        shape: of one example's features.
        classes: labels are from 0 to classes - 1.
        examples: of each canary.
        scale: of a feature; great, so that the clip and not the data says how far a canary moves the model.
        seed: of the draws. They need not be secret: the coins are.

    Raises:
        BadArgument: a number is not whole and positive.

    Example:
        >>> [(features, labels), _] = random_canaries(2, (3,), scale=1.0)
        >>> features.shape, sorted(set(features.ravel().tolist()) | {-1.0, 1.0})
        ((1, 3), [-1.0, 1.0])
    """
    from numpy.random import PCG64, Generator  # noqa: PLC0415  # only who audits needs it

    _validate.whole(count=count)
    rows, kinds = _validate.whole(examples=examples), _validate.whole(classes=classes)
    draws = Generator(PCG64(_validate.whole(0, seed=seed)))
    signs = draws.integers(0, 2, (count, rows, *shape)) * 2 - 1
    labels = draws.integers(0, kinds, (count, rows))
    return [((scale * one).astype(np.float32), label) for one, label in zip(signs, labels, strict=True)]


def _emptied(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    """The data set of a client who has none."""
    features, labels = pair
    return features[:0], labels[:0]


def _scores(block: Block, noisy: Floats, canaries: Sequence[tuple[Any, Any]]) -> Floats:
    """How much of each canary's clipped update is in the noisy sum of a round, shape (m,)."""
    code: Any = block.work.code  # type: ignore[union-attr]  # a round of training asks registered code
    steps, loaded = block.encoder.finest, code.load(list(canaries))
    scores = np.zeros(len(canaries))
    for positions, values in code.values(loaded, np.arange(len(canaries))):
        sent = block.encoder.rows(values, steps) / steps
        scores[positions] = sent @ noisy / np.maximum(np.sqrt(np.square(sent).sum(axis=1)), 1e-12)
    return scores
