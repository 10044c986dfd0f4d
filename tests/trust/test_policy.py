"""A client says no: with a reason, before anything leaves it, and what it loses stands in its own ledger first."""

import numpy as np
import pytest

import fedanalytics as fa
from fedanalytics.errors import BadArgument, RoundAborted
from fedanalytics.privacy.events import Composed, Exact, Gaussian, Skellam
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.local import LocalPure
from fedanalytics.trust import ClientPolicy
from fedanalytics.trust.policy import Request, Why, noise_multiplier

COUNT = Skellam(25.0, l1=1, l2=1, relation="zero-out")


def request(event=COUNT, trust="secure aggregation", floor=100, name="r1"):
    return Request(name, {"is": "Count"}, trust, event, floor)


def own(path, **terms):
    defaults = {"epsilon": 1.0, "delta": 1e-6, "relation": "zero-out", "filter": "renyi"}
    return fa.Ledger(path).budget("mine", **{**defaults, **terms})


@pytest.mark.parametrize(
    ("policy", "asked", "why"),
    [
        ({"trust": ("local",)}, {}, Why.TRUST),
        ({"trust": ()}, {}, Why.TRUST),
        ({"smallest_cohort": 101}, {}, Why.COHORT),
        ({"least_noise": 5.1}, {}, Why.NOISE),
        ({"least_noise": 1.1}, {"event": LocalPure(1.0, "zero-out"), "trust": "local", "floor": 1}, Why.NOISE),
        ({"least_noise": 0.1}, {"event": Exact()}, Why.NOISE),
    ],
)
def test_each_rule_refuses_with_its_reason(policy, asked, why):
    refused = ClientPolicy(**policy).refusal(request(**asked))
    assert refused.why is why
    assert refused.detail


@pytest.mark.parametrize(
    ("policy", "asked"),
    [
        ({"smallest_cohort": 100, "least_noise": 5.0}, {}),
        ({"smallest_cohort": 1000}, {"trust": "local", "event": LocalPure(1.0, "zero-out"), "floor": 1}),
        ({}, {"event": Exact()}),
    ],
)
def test_what_is_within_the_policy_is_answered(policy, asked):
    assert ClientPolicy(**policy).refusal(request(**asked)) is None


def test_the_least_of_a_rounds_noises_counts():
    assert noise_multiplier(Composed((Gaussian(3.0, "zero-out"), COUNT))) == 3.0
    assert noise_multiplier(Gaussian(2.0).poisson_sampled(0.1)) == 2.0


def test_the_loss_to_date_is_kept_on_disk_and_the_last_round_that_fits_is_the_last(tmp_path):
    path, answered = tmp_path / "mine.db", 0
    while True:  # a client restarts between any two rounds
        budget = own(path)
        refused = ClientPolicy(budget=budget).refusal(request(name=f"r{answered}"))
        if refused is not None:
            break
        answered += 1
    assert refused.why is Why.LOSS
    assert answered > 0
    one = budget.filter.price(COUNT)
    assert budget.spent.units == answered * one
    assert budget.remaining.units < one
    assert fa.verify(path).entries == answered + 1


def test_a_round_is_answered_once_and_foreign_noise_is_not_counted(tmp_path):
    policy = ClientPolicy(budget=own(tmp_path / "mine.db"))
    assert policy.refusal(request()) is None
    assert policy.refusal(request()).why is Why.ASKED_BEFORE
    assert policy.refusal(request(event=Gaussian(5.0))).why is Why.UNPRICED  # another relation
    assert policy.refusal(request(event=Exact(), name="r2")).why is Why.UNPRICED


@pytest.mark.parametrize(
    "fields", [{"trust": ("central",)}, {"smallest_cohort": 0}, {"least_noise": -1.0}, {"least_noise": float("nan")}]
)
def test_bad_policies_are_named(fields):
    with pytest.raises(BadArgument, match=next(iter(fields))):
        ClientPolicy(**fields)


@pytest.mark.parametrize("simulate", [False, True])
def test_who_refuses_has_dropped_out(secure_session, simulate):
    shy = ClientPolicy(smallest_cohort=1000)
    trust = fa.SecureAggregation(
        dropout=0.2, corrupt=0.0, simulate=simulate, policy={2: shy, 5: shy}, keystream=Keystream.insecure(1)
    )
    session = secure_session([1.0] * 12, trust)
    release = session.run(fa.count(), epsilon=8.0, delta=1e-6)
    assert abs(release.value - 10) < 6 * release.standard_error
    all_shy = fa.SecureAggregation(dropout=0.2, corrupt=0.0, simulate=simulate, policy=shy)
    with pytest.raises(RoundAborted, match=r"12 refused .fewer clients than it wants to hide among: 9"):
        fa.Session(session.fleet, session.budget, all_shy).run(fa.count(), epsilon=8.0, delta=1e-6)


def test_policies_of_clients_that_there_are_not_are_refused(secure_session, local_session):
    for session in (
        secure_session(np.ones(10), fa.SecureAggregation(policy={10: ClientPolicy()})),
        local_session(np.ones(10), fa.Local(policy={-1: ClientPolicy()})),
    ):
        with pytest.raises(BadArgument, match="policy= names clients"):
            session.run(fa.count(), **({"epsilon": 1.0} if session.trust.name == "local" else {"rho": 0.1}))
        assert session.budget.spent.units == 0


def test_local_reports_of_those_who_refuse_are_missing(local_session):
    shy = ClientPolicy(least_noise=2.0)
    trust = fa.Local(policy=dict.fromkeys(range(50), shy), keystream=Keystream.insecure(2))
    session = local_session(np.ones(200), trust)
    release = session.run(fa.count(), epsilon=4.0)
    assert abs(release.value - 150) < 6 * release.standard_error
    with pytest.raises(RoundAborted, match=r"200 refused .less noise"):
        fa.Session(session.fleet, session.budget, fa.Local(policy=shy)).run(fa.count(), epsilon=4.0)


def test_a_clients_budget_ends_its_part_in_a_series(secure_session, tmp_path):
    """The policy of all clients pays round by round, and the series stops when the clients say so."""
    policy = ClientPolicy(budget=own(tmp_path / "mine.db", epsilon=1.0))
    session = secure_session(np.ones(50), fa.SecureAggregation(simulate=True, policy=policy), epsilon=50.0)

    def series():
        for _ in range(100):
            session.run(fa.count(), epsilon=0.3, delta=1e-6)

    with pytest.raises(RoundAborted, match="more than it is ready to lose"):
        series()
    assert policy.budget.spent.units <= policy.budget.cap
