"""Sampling: claimed only for cohorts that our sampler drew, recorded as such, and stated against both adversaries."""

import json
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

import fedanalytics as fa
from fedanalytics.ledger.budget import Budget
from fedanalytics.privacy import Accountant, Gaussian, PoissonSampled
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.round.blocks import Block, Round, merged
from fedanalytics.round.one_hot import Present
from fedanalytics.round.work import Sql
from fedanalytics.trust import Central

CLIENTS = 20_000


@dataclass(frozen=True)
class Cohorts:
    """The sizes of `n` cohorts, noisy."""

    n: int = 1
    sampling_rate: float = 0.1
    asked: float = 0.1

    @property
    def shares(self):
        return (Fraction(1, self.n),) * self.n

    def rounds(self):
        sizes = []
        for _ in range(self.n):
            [noisy] = yield Round((Block(Sql("max(value)"), Present()),), sampling_rate=self.asked)
            sizes.append(float(noisy.values[0]))
        return tuple(sizes)


@pytest.fixture
def fleet():
    return fa.Fleet.from_values(np.ones(CLIENTS))


@pytest.fixture
def ledger(tmp_path):
    with fa.Ledger(tmp_path / "budget.db") as opened:
        yield opened


@pytest.fixture
def budget(ledger):
    return ledger.budget("sampled", epsilon=4.0, delta=1e-6, filter="renyi")


def test_a_cohort_is_drawn_paid_and_recorded(fleet, ledger, budget):
    release = fa.Session(fleet, budget).run(Cohorts(), noise_multiplier=1.0)
    assert release.value[0] == pytest.approx(2000, abs=6 * np.sqrt(CLIENTS * 0.09))
    event = Gaussian(1.0).poisson_sampled(0.1)
    assert release.cost.event == event
    assert budget.spent.units == budget.filter.price(event) < budget.filter.price(Gaussian(1.0)) / 4
    reserve, commit = [e.body for e in ledger.entries() if e.body["type"] in {"reserve", "commit"}]
    assert reserve["event"] == event.to_json()
    assert commit["sampled"] == 0.1
    assert fa.verify(ledger).entries == 4


def test_the_receipt_states_both_figures(fleet, budget):
    release = fa.Session(fleet, budget).run(Cohorts(n=4), noise_multiplier=2.0)
    sampling = release.receipt.sampling
    assert sampling["rate"] == 0.1
    assert sampling["epsilon_if_cohort_seen"] == pytest.approx(
        Accountant().compose(Gaussian(2.0)).epsilon(1e-6), rel=1e-6
    )
    assert release.cost.epsilon < sampling["epsilon_if_cohort_seen"] / 2
    assert json.loads(json.dumps(release.receipt.to_json()))["sampling"] == sampling


def test_without_a_sampler_there_is_no_claim(fleet, budget):
    release = fa.Session(fleet, budget).run(fa.count(), noise_multiplier=2.0)
    assert release.receipt.sampling is None
    assert release.cost.event == Gaussian(2.0)


def test_many_rounds_draw_their_own_cohorts_and_parts_cost_no_more_than_the_whole(fleet, budget):
    release = fa.Session(fleet, budget).run(Cohorts(n=50), noise_multiplier=1.0)
    assert 20 < np.std(release.value) < 75  # noise of 7 on cohorts that spread by 42, each of them anew; beyond 1e-9
    whole = budget.filter.price(Gaussian(1.0).poisson_sampled(0.1))
    assert budget.spent.units <= whole
    assert isinstance(release.cost.event.of, PoissonSampled)
    assert release.cost.event.count == len(release.value)


def test_each_coin_is_its_own(fleet):
    """Seeded: the sums of a sampled round are those of the clients whom the same coins draw."""
    from fedanalytics.privacy.sampling import poisson_sample

    block = Block(Sql("max(value)"), Present())
    stream = Keystream.insecure(5)
    [drawn] = fleet.sums([block], [1], [lambda n: poisson_sample(n, 0.1, keystream=stream)])
    assert drawn[0] == poisson_sample(CLIENTS, 0.1, keystream=Keystream.insecure(5)).sum()
    [everybody] = fleet.sums([block], [1], [None])
    assert everybody[0] == CLIENTS


def test_a_table_samples_clients_not_rows(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"client": np.repeat(np.arange(2000), 5), "x": 1.0})
    fleet = fa.Fleet.from_pandas(frame, client="client")
    block = Block(Sql("sum(x)"), fa.round.moments.Interval(0.0, 5.0))
    [total] = fleet.sums([block], [1024], [lambda n: np.arange(n) % 2 == 0])
    assert total[0] == 1000 * 1024  # whole clients: five rows each, or none


@pytest.mark.parametrize(("declared", "asked"), [(0.1, 0.5), (0.1, 1.0), (1.0, 0.1)])
def test_a_round_samples_as_was_paid_for(fleet, budget, declared, asked):
    """A claim without sampling, or at another rate, is refused before anything is reserved."""
    with pytest.raises(fa.BadArgument, match="samples its clients at the rate"):
        fa.Session(fleet, budget).run(Cohorts(sampling_rate=declared, asked=asked), noise_multiplier=1.0)
    assert budget.spent.units == 0


def test_verify_sees_a_claim_whose_sampler_did_not_run(fleet, ledger, budget, monkeypatch):
    """Planted: a driver that collects from everybody and commits an answer that was not sampled."""
    honest = Budget.commit

    def commit(self, answers):
        from dataclasses import replace

        return honest(self, [replace(answer, sampling_rate=1.0) for answer in answers])

    monkeypatch.setattr(Budget, "commit", commit)
    fa.Session(fleet, budget).run(Cohorts(), noise_multiplier=1.0)
    with pytest.raises(fa.LedgerCorrupt, match="no cohort was sampled as claimed"):
        fa.verify(ledger)


@pytest.mark.parametrize("offer", [{"rho": 0.1}, {"epsilon": 1.0}, {"epsilon": 1.0, "delta": 1e-7}])
def test_a_sampled_query_is_paid_by_its_noise_multiplier(fleet, budget, offer):
    with pytest.raises(fa.BadArgument, match=r"noise_multiplier=.*calibrate"):
        fa.Session(fleet, budget).run(Cohorts(), **offer)


def test_queries_of_two_rates_do_not_share_a_cost(fleet, budget):
    session = fa.Session(fleet, budget)
    with pytest.raises(fa.BadArgument, match="at one rate"):
        session.run([Cohorts(), fa.count()], noise_multiplier=1.0)
    one, two = session.run([Cohorts(), Cohorts(n=2)], noise_multiplier=1.0)
    assert len(one.value) == 1
    assert len(two.value) == 2


def test_rounds_that_cannot_be():
    block = Block(Sql("max(value)"), Present(), Fraction(1, 2))
    with pytest.raises(fa.BadArgument, match="has one block"):
        Round((block, block), sampling_rate=0.5)
    for rate in (0, 1.5, float("nan"), "a"):
        with pytest.raises(fa.BadArgument, match="sampling_rate="):
            Round((block,), sampling_rate=rate)
    with pytest.raises(fa.BadArgument, match="cannot be merged"):
        merged((Round((block,), sampling_rate=0.5),), (Fraction(1),))
    assert Round((block,)).digest != Round((block,), sampling_rate=0.5).digest


def test_seeded_coins_say_so(fleet, budget):
    release = fa.Session(fleet, budget, Central(Keystream.insecure(3))).run(Cohorts(), noise_multiplier=1.0)
    assert "INSECURE" in release.receipt.trust
