"""Secure aggregation as a trust model: every statistic, one law with and without the cryptography, and the claim."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import fedanalytics as fa
from fedanalytics.errors import BadArgument, BudgetExceeded, RoundAborted
from fedanalytics.ledger.budget import Budget
from fedanalytics.privacy import Accountant
from fedanalytics.privacy.costs import cost
from fedanalytics.privacy.distributed import VectorSum
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.ball import Ball
from fedanalytics.round.blocks import Block, Round
from fedanalytics.round.one_hot import OneHot, Present
from fedanalytics.round.work import Sql, Stack
from fedanalytics.trust.priced import Priced

ZERO_OUT = Relation.ZERO_OUT
SEEDED = Keystream.insecure
STATISTICS = [
    fa.count(),
    fa.count(where="value > 50"),
    fa.sum("value", bounds=(0, 110)),
    fa.mean("value", bounds=(0, 110)),
    fa.variance("value", bounds=(0, 110)),
    fa.histogram("value", edges=range(0, 111, 22)),
    fa.count(weight="record", max_records=3),
    fa.mean("value", bounds=(0, 110), weight="record", max_records=2),
    fa.sum("value", bounds=(0, 110), weight="record", max_records=2),
    fa.mean("value", bounds=(0, 110), by="value > 50", groups=["true", "false"]),
    fa.count(by="value > 50", groups=["true", "false"], max_groups=1),
    fa.histogram("value", edges=[0, 50, 110], by="value > 50", groups=["true"]),
]


def table(clients, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(60, 15, clients)
    values[:2] = np.nan, np.inf
    big = pd.array(np.where(values > 50, "true", "false"), "string")
    return pd.DataFrame({"id": np.arange(clients), "value": values, "big": big})


def fleet(clients, seed=0):
    return fa.Fleet.from_pandas(table(clients, seed), client="id")


def by_column(query):
    return replace(query, by="big") if query.by else query


@pytest.mark.parametrize("query", STATISTICS, ids=lambda q: f"{type(q).__name__}-{q.weight}-{q.by}")
@pytest.mark.parametrize("simulate", [False, True])
def test_every_statistic_runs_unchanged(secure_session, query, simulate):
    """Within six standard errors of the answer without noise; the seed is fixed."""
    query, clients = by_column(query), 9 if not simulate else 5000
    trust = fa.SecureAggregation(dropout=0.2, corrupt=0.0, simulate=simulate, keystream=SEEDED(3))
    session = secure_session(fleet(clients), trust, epsilon=100.0)
    release = session.run(query, epsilon=8.0 if not simulate else 4.0, delta=1e-6)
    encoder = query.block.encoder
    [total] = session.fleet.sums([query.block], [encoder.finest])
    exact = fa.Session(session.fleet, session.budget)  # the encoder's estimate of the exact sum
    noiseless = encoder.estimate(_noisy(total / encoder.finest)).value
    assert exact.fleet is session.fleet
    assert np.all(np.abs(release.value - noiseless) <= 6 * np.asarray(release.standard_error) + 1e-9)
    assert np.all(np.asarray(release.standard_error) > 0)


def _noisy(values):
    from fedanalytics.round.blocks import Noisy
    from fedanalytics.round.estimates import Noise

    return Noisy(values, Noise(1e-12, unit=1 / 2**20))


def one(encoder, share=Fraction(1)):
    work = Sql("max(value)") if encoder.columns == 1 else Stack((Sql("max(value)"),) * encoder.columns)
    return Round((Block(work, encoder, share),))


def collected(trust, values, round_, price, runs):
    fleet_ = fa.Fleet.from_values(np.asarray(values, dtype=float))
    priced = trust.price(round_, price, len(values))
    return [trust.collect(fleet_, priced)[0] for _ in range(runs)], priced.parts[0]


def paid(**offer):
    return cost(**offer, relation=ZERO_OUT)


# ---------------------------------------------------------------- the law of what comes out


def bins(count):
    """Each client in a bin of its own: one round draws the noise of many counts."""
    return OneHot(tuple(float(edge) for edge in range(count + 1)))


@pytest.mark.parametrize("gone", [0, 1, 2])
@pytest.mark.parametrize("simulate", [False, True])
def test_the_noise_has_the_law_of_its_survivors(gone, simulate):
    """Chi-square at 1e-9 a check, seeds fixed: Skellam of the survivors' shares, with the protocol and without."""
    drops = dict.fromkeys(range(gone), "masked")
    trust = fa.SecureAggregation(dropout=0.28, corrupt=0.0, simulate=simulate, drops=drops, keystream=SEEDED(5 + gone))
    answers, part = collected(trust, np.arange(7.0), one(bins(4000)), paid(epsilon=1.0, delta=1e-6), 5)
    assert {answer["survivors"] for answer in answers} == {7 - gone}
    exact = np.zeros(4000)
    exact[gone:7] = 1
    noise = np.concatenate([np.array(answer["values"]) - exact for answer in answers])
    variance = part.plan.shares.variance(7 - gone)
    assert part.noisy(answers[0]).noise.deviation == pytest.approx(math.sqrt(variance))
    edges = np.unique(stats.skellam.ppf(np.linspace(0, 1, 12)[1:-1], variance / 2, variance / 2))
    chances = np.diff([0.0, *stats.skellam.cdf(edges, variance / 2, variance / 2), 1.0])
    seen = np.bincount(np.searchsorted(edges, noise, side="left"), minlength=len(chances))
    assert stats.chisquare(seen, chances * len(noise)).pvalue > 1e-9


def test_vectors_come_back_as_they_are_with_the_noise_of_the_plan():
    """A ball of 100 numbers is rotated and rounded; all coordinates within the predicted error, as a whole and each."""
    trust = fa.SecureAggregation(simulate=True, keystream=SEEDED(1))
    round_ = one(Ball("l2", 2.0, 100))
    answers, part = collected(trust, np.full(1000, 0.1), round_, paid(epsilon=2.0, delta=1e-6), 30)
    assert isinstance(part.plan, VectorSum)
    values = 2.0 * np.array([answer["values"] for answer in answers]) - 100.0
    assert part.plan.ring.bits <= 24
    predicted = 2.0 * part.noisy(answers[0]).noise.deviation
    assert values.std() == pytest.approx(predicted, rel=0.05)
    assert abs(values.mean()) < 6 * predicted / math.sqrt(values.size)


# ---------------------------------------------------------------- the claim


@settings(max_examples=25, deadline=None)
@given(
    weights=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    epsilon=st.sampled_from([0.3, 1.0, 4.0]),
    picks=st.data(),
)
def test_a_call_costs_no_more_than_was_offered(secure_session, weights, epsilon, picks):
    queries = [picks.draw(st.sampled_from(STATISTICS[:8])) for _ in weights]
    session = secure_session(np.arange(2000.0) % 110, fa.SecureAggregation(simulate=True), epsilon=50.0)
    orders = [order for order, _ in session.rehearsed(queries, None, weights, epsilon=epsilon, delta=1e-6)]
    accountant = Accountant()
    for order in orders:
        accountant.compose(order.event)
    assert accountant.epsilon(1e-6) <= epsilon * (1 + 1e-9)
    paid_in_rho = [order for order, _ in session.rehearsed(queries, None, weights, rho=0.02)]
    assert sum(order.units for order in paid_in_rho) <= 0.02e12


def test_the_largest_cost_that_fits_is_admitted(secure_session):
    session = secure_session(np.ones(100), fa.SecureAggregation(simulate=True), epsilon=1.0)
    with pytest.raises(BudgetExceeded, match="largest cost that fits is rho=") as refused:
        session.run(fa.count(), rho=1.0)
    fits = float(str(refused.value).split("largest cost that fits is rho=")[1].split(" ")[0])
    session.run(fa.count(), rho=fits)
    assert session.budget.spent.rho == pytest.approx(fits, rel=1e-4)


@pytest.mark.parametrize("encoder", [Present(), OneHot((0.0, 50.0, 110.0))])
def test_counts_are_as_good_as_central_ones_at_the_same_epsilon(encoder):
    """By the exact loss distribution, without a reserve: at most 1.02 of the analytic Gaussian's error."""
    trust = fa.SecureAggregation(threshold=1000, dropout=0.0, corrupt=0.0, simulate=True)
    [part] = trust.price(one(encoder), paid(epsilon=1.0, delta=1e-6), 1000).parts
    assert part.assumed(1000.0).noise.deviation <= 1.02 * part.plan.central


def attack(ins, outs, variance):
    """Whether some threshold tells a client better than Skellam noise of `variance` allows; false alarms: 1e-6."""
    grid = np.arange(-100, 101)
    chances = stats.skellam.sf(grid, variance / 2, variance / 2)  # P(Z > g); a client's one shifts Z by one
    for threshold in (0, 1, 2, 3):
        hits, false = int((ins > threshold).sum()), int((outs > threshold).sum())
        low = stats.beta.ppf(1e-7, hits, len(ins) - hits + 1)
        high = stats.beta.ppf(1 - 1e-7, false + 1, len(outs) - false)
        if low > np.interp(high, chances[::-1], np.append(1.0, chances[:-1])[::-1]):
            return True
    return False


def test_an_attack_on_the_round_finds_no_more_than_the_claim_and_planted_faults_are_found(monkeypatch):
    """Half of the bins hold a client, half hold none: 2^14 trials each. Three in ten shares missing are found."""
    from fedanalytics.privacy.distributed.shares import Shares

    size, rounds = 2048, 16
    trust = fa.SecureAggregation(threshold=size // 2, dropout=0.0, corrupt=0.0, simulate=True, keystream=SEEDED(21))

    def attacked():
        values = np.arange(0.0, size, 2)
        answers, part = collected(trust, values, one(bins(size)), paid(epsilon=3.0, delta=1e-6), rounds)
        counts = np.array([answer["values"] for answer in answers])
        return attack(counts[:, ::2].ravel(), counts[:, 1::2].ravel(), part.plan.event.variance)

    assert not attacked()
    drawn = Shares.draw_sum

    def fewer(self, survivors, size, keystream=None):
        lame = replace(self, event=replace(self.event, variance=self.event.variance * 0.7), share=self.share * 0.7)
        return drawn(lame, survivors, size, keystream)

    with monkeypatch.context() as patched:
        patched.setattr(Shares, "draw_sum", fewer)
        assert attacked()
    assert not attacked()


def test_a_folded_seed_repeats_itself_and_the_real_one_does_not():
    """A vector of 64 counts with the noise of a seed that was folded to a bit comes up again within a few rounds."""
    round_, price = one(OneHot(tuple(map(float, range(65))))), paid(epsilon=1.0, delta=1e-6)

    def different(keystreams):
        trusts = [fa.SecureAggregation(simulate=True, keystream=k) for k in keystreams]
        answers = [collected(trust, np.arange(60.0), round_, price, 1)[0][0]["values"] for trust in trusts]
        return len({tuple(answer) for answer in answers})

    assert different([None] * 8) == 8
    assert different([SEEDED(i % 2) for i in range(8)]) == 2


# ---------------------------------------------------------------- who takes part


def test_a_condition_leaves_nobody_out_of_the_round(secure_session):
    """The number of survivors must not tell how many clients match."""
    session = secure_session(fleet(8), fa.SecureAggregation(dropout=0.2, corrupt=0.0))
    release = session.run(fa.count(where="value > 1e9"), epsilon=1.0, delta=1e-6, key="k")
    assert release.receipt.guarantee["clients"] == 8
    reservation = session.budget.reserve([_plan(session, "k")])[0]
    assert reservation.answers[0].body[0]["survivors"] == 8


def _plan(session, key):
    [(order, _)] = session.rehearsed(fa.count(where="value > 1e9"), key, epsilon=1.0, delta=1e-6)
    return order.plan


def test_work_that_broken_data_keeps_from_running_is_null_for_everybody(monkeypatch):
    clients = fleet(6)
    monkeypatch.setattr(type(clients), "_read", lambda self, values: {})
    trust = fa.SecureAggregation(dropout=0.2, corrupt=0.0, keystream=SEEDED(2))
    priced = trust.price(one(Present()), paid(epsilon=50.0, delta=1e-6), 6)
    [answer] = trust.collect(clients, priced)
    assert answer["survivors"] == 6
    assert abs(answer["values"][0]) <= 6 * priced.parts[0].noisy(answer).noise.deviation


@pytest.mark.parametrize("simulate", [False, True])
def test_dropouts_up_to_the_threshold_are_survived_and_below_nothing_is_released(secure_session, simulate):
    values = [1.0] * 10
    survived = fa.SecureAggregation(
        dropout=0.2, corrupt=0.0, simulate=simulate, drops={0: "shares", 9: "unmask"}, keystream=SEEDED(4)
    )
    session = secure_session(values, survived)
    release = session.run(fa.count(), epsilon=4.0, delta=1e-6)
    assert abs(release.value - 9) < 6 * release.standard_error  # who is silent at "unmask" is in the sum
    assert release.receipt.guarantee["floor"] == 8
    too_many = replace(survived, drops=dict.fromkeys((0, 1, 2), "masked"))
    broken = fa.Session(session.fleet, session.budget, too_many)
    spent = session.budget.spent.units
    with pytest.raises(RoundAborted, match="without a sum"):
        broken.run(fa.count(), epsilon=4.0, delta=1e-6)
    assert session.budget.spent.units > spent


def test_a_retry_of_what_may_have_been_seen_is_a_new_attempt_and_pays(secure_session, monkeypatch):
    session = secure_session([1.0] * 5, fa.SecureAggregation(dropout=0.2, corrupt=0.0))

    def crash(self, answers):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Budget, "commit", crash)
        with pytest.raises(KeyboardInterrupt):
            session.run(fa.count(), epsilon=1.0, delta=1e-6, key="today")
    once = session.budget.spent.units
    release = session.run(fa.count(), epsilon=1.0, delta=1e-6, key="today")
    assert session.budget.spent.units == 2 * once
    assert [row["key"] for row in session.budget.spent.queries] == ["today", "today (round 1), attempt 2"]
    again = session.run(fa.count(), epsilon=1.0, delta=1e-6, key="today")
    assert (again.value, again.receipt.replayed) == (release.value, True)
    assert session.budget.spent.units == 2 * once


def test_another_quorum_is_another_question(secure_session):
    """Neither the noise nor the promise of a stored answer is read by another round's terms."""
    session = secure_session(np.ones(100), fa.SecureAggregation(simulate=True))
    session.run(fa.count(), rho=0.1, key="today")
    stricter = fa.Session(session.fleet, session.budget, fa.SecureAggregation(simulate=True, corrupt=0.2))
    with pytest.raises(fa.KeyReused, match="quorum was"):
        stricter.run(fa.count(), rho=0.1, key="today")
    more = fa.Session(fa.Fleet.from_values(np.ones(200)), session.budget, session.trust)
    with pytest.raises(fa.KeyReused, match="quorum was"):
        more.run(fa.count(), rho=0.1, key="today")


@dataclass(frozen=True)
class Halving:
    """Asks in each round which half of the range holds more."""

    depth: int = 3
    shares: tuple = (Fraction(1, 2), Fraction(1, 4), Fraction(1, 4))
    later: object = None

    def rounds(self):
        low, high = 0.0, 110.0
        for i in range(self.depth):
            middle = (low + high) / 2
            encoder = self.later if self.later and i else OneHot((-math.inf, middle, math.inf))
            [counts] = yield Round((Block(Sql("max(value)"), encoder),))
            below, above = counts.values[:2]
            low, high = (middle, high) if below < above else (low, middle)
        return middle


def test_an_adaptive_query_is_paid_as_a_whole_and_replayed(secure_session):
    session = secure_session(np.linspace(50, 70, 2000), fa.SecureAggregation(simulate=True))
    release = session.run(Halving(), epsilon=4.0, delta=1e-6, key="median")
    assert abs(release.value - 60) < 28
    assert (
        Accountant().compose(session.rehearsed(Halving(), "k", epsilon=4.0, delta=1e-6)[0][0].event).epsilon(1e-6) <= 4
    )
    spent = session.budget.spent.units
    assert session.run(Halving(), epsilon=4.0, delta=1e-6, key="median").value == release.value
    assert session.budget.spent.units == spent


def test_a_query_whose_noise_would_depend_on_answers_is_stopped(secure_session):
    @dataclass(frozen=True)
    class Turning(Halving):
        def rounds(self):
            [counts] = yield Round((Block(Sql("max(value)"), Present()),))
            assumed = counts.values[0] == 500  # by the rehearsal; what is drawn with this seed is another number
            yield Round((Block(Sql("max(value)"), Present() if assumed else Ball("l1", 1.0, 1)),))

    session = secure_session(np.ones(500), fa.SecureAggregation(simulate=True, keystream=SEEDED(8)))
    query = Turning(shares=(Fraction(1, 2), Fraction(1, 2)))
    with pytest.raises(BadArgument, match="was not rehearsed"):
        session.run(query, rho=0.1)


# ---------------------------------------------------------------- at the door


@pytest.mark.parametrize(
    ("trust", "message"),
    [
        ({"dropout": 1.0}, "dropout= must be a fraction"),
        ({"corrupt": -0.1}, "corrupt= must be a fraction"),
        ({"threshold": 0}, "threshold= must be"),
        ({"threshold": math.nan}, "threshold= must be"),
        ({"drops": {1: "later"}}, "drops='later' is unknown"),
    ],
)
def test_bad_fields_are_named(trust, message):
    with pytest.raises(BadArgument, match=message):
        fa.SecureAggregation(**trust)


@pytest.mark.parametrize(
    ("trust", "clients", "message"),
    [
        ({"threshold": 11}, 10, "threshold=11 must be a whole number of the 10 clients"),
        ({"threshold": 2.5}, 10, "must be a whole number"),
        ({"corrupt": 0.9}, 10, "leave 9 of 10 clients, of whom 9 may"),
        ({"dropout": 0.5, "corrupt": 0.3}, 10, "leave no|leaves no"),
        ({"drops": {10: "masked"}}, 10, "drops= names clients"),
        ({}, 2, "at least 3 clients"),
        ({"threshold": 1}, 10, "above the 1 that may be corrupt"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_paid(secure_session, trust, clients, message):
    session = secure_session(np.ones(clients), fa.SecureAggregation(**trust))
    with pytest.raises(BadArgument, match=message):
        session.run(fa.count(), epsilon=1.0, delta=1e-6)
    assert session.budget.spent.units == 0


def test_a_budget_of_another_relation_or_filter_is_refused_with_the_fix():
    ledger = fa.Ledger(":memory:")
    clients = fa.Fleet.from_values(np.ones(10))
    usual = fa.Session(clients, ledger.budget("usual", epsilon=1.0, delta=1e-6), fa.SecureAggregation())
    with pytest.raises(BadArgument, match='relation="zero-out" and filter="renyi"'):
        usual.run(fa.count(), epsilon=0.5, delta=1e-6)
    gaussian = ledger.budget("gaussian", epsilon=1.0, delta=1e-6, relation="zero-out", overlap=True)
    with pytest.raises(BadArgument, match="filter='renyi'"):
        fa.Session(clients, gaussian, fa.SecureAggregation()).run(fa.count(), epsilon=0.5, delta=1e-6)
    assert usual.budget.spent.units == gaussian.spent.units == 0


def test_pure_costs_and_sampled_rounds_are_refused(secure_session):
    session = secure_session(np.ones(10))
    with pytest.raises(BadArgument, match="add up to no pure law"):
        session.run(fa.count(), epsilon=1.0)
    with pytest.raises(BadArgument, match="sampling hides nobody"):
        fa.SecureAggregation().price(Round(one(Present()).blocks, 0.5), paid(noise_multiplier=1.0), 10)


def test_names_and_receipts_say_what_ran(secure_session):
    session = secure_session(np.ones(10), fa.SecureAggregation(simulate=True, keystream=SEEDED(1)))
    receipt = session.run(fa.count(), epsilon=1.0, delta=1e-6).receipt
    assert receipt.trust == "secure aggregation, SIMULATED: no cryptography ran, INSECURE: seeded noise"
    guarantee = receipt.guarantee
    assert guarantee["clients"], guarantee["floor"] == (10, 9)
    assert guarantee["central"]["epsilon"] <= 1.0 < guarantee["local"]["epsilon"]
    assert guarantee["keys"] == "none: simulated"
    assert isinstance(receipt.to_json()["guarantee"], dict)
    assert fa.SecureAggregation().name == "secure aggregation"


def test_computations_and_lists_share_one_round(secure_session):
    @fa.federated_computation(fa.FederatedType(np.float32, fa.CLIENTS))
    def average(readings):
        return fa.federated_mean(readings, bounds=(0, 110), epsilon=4.0, delta=1e-6)

    trust = fa.SecureAggregation(dropout=0.2, corrupt=0.0, keystream=SEEDED(6))
    session = secure_session([60.0] * 8, trust, epsilon=1e3)
    asked = []
    original = fa.Fleet.messages

    class Watching(fa.Fleet):
        def messages(self, blocks, steps):
            asked.append(len(blocks))
            return original(self, blocks, steps)

    session.fleet.__class__ = Watching
    release = session.run(average.on(readings="value"))
    assert abs(release.value - 60) <= 6 * release.standard_error
    session.run([fa.count(), fa.mean("value", bounds=(0, 110))], rho=1.0)
    assert asked == [1, 2]


def test_priced_rounds_have_one_event():
    trust = fa.SecureAggregation(simulate=True)
    priced = trust.price(
        Round(
            (Block(Sql("max(value)"), Present(), Fraction(1, 2)), Block(Sql("max(value)"), Present(), Fraction(1, 2)))
        ),
        paid(rho=0.1),
        100,
    )
    assert isinstance(priced, Priced)
    assert len(priced.event.events) == 2
