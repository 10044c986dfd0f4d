"""The only door: what it pays, what it returns, what it refuses, and that a refusal costs nothing."""

import json
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from dp_accounting import get_epsilon_gaussian

import fedanalytics as fa
from fedanalytics.privacy import units
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.round.blocks import Block, Round
from fedanalytics.round.estimates import Noise
from fedanalytics.round.one_hot import OneHot
from fedanalytics.round.work import Sql
from fedanalytics.trust import Central


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(7).normal(60, 10, 10_000)


@pytest.fixture
def ledger(tmp_path):
    with fa.Ledger(tmp_path / "budget.db") as opened:
        yield opened


@pytest.fixture
def session(ledger, values):
    budget = ledger.budget("sensors", epsilon=3.0, delta=1e-6)
    return fa.Session(fa.Fleet.from_values(values, population=10_000), budget)


MEAN = fa.mean("value", bounds=(0, 110))


def test_a_mean_is_near_the_truth_and_paid_for(session, values):
    release = session.run(MEAN, rho=0.01)
    assert abs(release.value - np.clip(values, 0, 110).mean()) < 6 * release.standard_error
    assert isinstance(release.value, float)
    low, high = release.interval(0.95)
    assert low < release.value < high
    assert session.budget.spent.rho == 0.01 == release.cost.rho
    assert session.budget.spent.units + session.budget.remaining.units == session.budget.cap
    theirs = get_epsilon_gaussian(sigma=1 / math.sqrt(0.02), delta=1e-6)
    assert release.cost.epsilon == pytest.approx(theirs, rel=1e-6)


def test_a_list_is_one_round_and_one_total(session):
    calls = []

    class Watched(Central):
        def collect(self, fleet, priced):
            calls.append(len(priced.parts))
            return super().collect(fleet, priced)

    watched = fa.Session(session.fleet, session.budget, trust=Watched())
    mean, count, histogram = watched.run(
        [MEAN, fa.count(), fa.histogram("value", edges=range(0, 111, 10))], rho=0.03, weights=[1, 1, 4]
    )
    assert calls == [3]
    assert session.budget.spent.rho == pytest.approx(0.03, abs=1e-11)
    assert session.budget.spent.rho <= 0.03
    assert [r.cost.rho for r in (mean, count, histogram)] == pytest.approx([0.005, 0.005, 0.02], abs=2e-12)
    assert histogram.standard_error[0] == pytest.approx(math.sqrt(1 / 0.04), rel=0.01)
    assert count.value == pytest.approx(10_000, abs=60)


@pytest.mark.parametrize(
    ("cost", "multiplier"),
    [
        ({"rho": 0.02}, 5.0),
        ({"noise_multiplier": 5.0}, 5.0),
        ({"epsilon": 1.0, "delta": 1e-6}, 4.22468),
        ({"epsilon": 0.2}, 5.0),
    ],
)
def test_every_form_of_cost_buys_its_noise(session, cost, multiplier):
    release = session.run(fa.count(), **cost)
    assert release.cost.event.noise_multiplier == pytest.approx(multiplier, rel=1e-5)
    law = "laplace" if set(cost) == {"epsilon"} else "gaussian"
    assert release.standard_error == pytest.approx(Noise(multiplier, law, 1.0).deviation, rel=1e-5)


def test_the_same_key_returns_the_stored_result_and_spends_nothing(session, ledger):
    first = session.run(MEAN, rho=0.01, key="today")
    head = ledger.head()
    again = session.run(fa.mean("value", bounds=(0.0, 110.0)), rho=0.01, key="today")
    assert again.value == first.value
    assert again.interval() == first.interval()
    assert (first.receipt.replayed, again.receipt.replayed) == (False, True)
    assert ledger.head() == head
    assert session.run(MEAN, rho=0.01).value != first.value  # without a key: a new answer, a new cost
    assert session.budget.spent.rho == 0.02


@pytest.mark.parametrize(
    ("query", "cost"),
    [
        (fa.mean("value", bounds=(0, 100)), {"rho": 0.01}),
        (fa.mean("value", bounds=(0, 110), where="value > 3"), {"rho": 0.01}),
        (MEAN, {"rho": 0.02}),
        (fa.count(), {"rho": 0.01}),
    ],
)
def test_the_same_key_with_another_question_is_an_error(session, ledger, query, cost):
    session.run(MEAN, rho=0.01, key="today")
    head = ledger.head()
    with pytest.raises(fa.KeyReused):
        session.run(query, key="today", **cost)
    assert ledger.head() == head


def test_keys_are_per_query_so_a_study_may_grow(session):
    two = session.run([MEAN, fa.count()], rho=0.02, key=["mean", "count"])
    three = session.run(
        [MEAN, fa.count(), fa.variance("value", bounds=(0, 110))], rho=0.03, key=["mean", "count", "var"]
    )
    assert [r.value for r in three[:2]] == [r.value for r in two]
    assert [r.receipt.replayed for r in three] == [True, True, False]
    assert session.budget.spent.rho == pytest.approx(0.03, abs=1e-11)


def test_an_exhausted_budget_says_what_fits_and_charges_nothing(session, ledger):
    head = ledger.head()
    with pytest.raises(fa.BudgetExceeded) as refused:
        session.run(MEAN, rho=1.0)
    assert ledger.head() == head
    largest = session.budget.remaining.rho
    assert f"{largest:.4g}"[:5] in str(refused.value)
    session.run(MEAN, rho=largest)
    assert session.budget.remaining.units == 0
    with pytest.raises(fa.BudgetExceeded):
        session.run(MEAN, rho=1e-9)


@pytest.mark.parametrize("k", [1, 2, 3, 7, 10, 49])
def test_k_costs_of_a_kth_of_the_cap_are_granted(ledger, values, k):
    session = fa.Session(fa.Fleet.from_values(values[:10]), ledger.budget("cap", rho=0.7))
    for _ in range(k):
        session.run(fa.count(), rho=0.7 / k)


@pytest.mark.parametrize(
    ("query", "kwargs", "message"),
    [
        (MEAN, {}, "exactly one form"),
        (MEAN, {"rho": 0.1, "epsilon": 1}, "exactly one form"),
        (MEAN, {"rho": 0}, "rho="),
        (MEAN, {"rho": -0.1}, "rho="),
        (MEAN, {"rho": math.nan}, "rho="),
        (MEAN, {"rho": 1e-14}, "below the ledger's unit"),
        ([], {"rho": 0.1}, "there is no query"),
        (3, {"rho": 0.1}, "expected a query"),
        ([MEAN, "mean"], {"rho": 0.1}, "expected a query"),
        ([MEAN, MEAN], {"rho": 0.1, "weights": [1]}, "weights="),
        ([MEAN, MEAN], {"rho": 0.1, "key": ["a"]}, "key="),
        ([MEAN, MEAN], {"rho": 0.1, "key": ["a", "a"]}, "key="),
        (MEAN, {"rho": 0.1, "key": ""}, "key="),
        (fa.mean("valu", bounds=(0, 1)), {"rho": 0.1}, "did you mean 'value'"),
        (fa.mean("value", bounds=(0, 1), where="1; drop table t"), {"rho": 0.1}, "where"),
    ],
)
def test_bad_input_is_refused_before_anything_is_reserved(session, ledger, query, kwargs, message):
    head = ledger.head()
    with pytest.raises(fa.BadArgument, match=message):
        session.run(query, **kwargs)
    assert ledger.head() == head
    assert session.budget.spent.rho == 0


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (fa.mean("origin", bounds=(0, 1), per_client="max(origin)"), "text where a number is needed"),
        (fa.histogram("origin", edges=(0, 1), per_client="max(origin)"), "text where a number is needed"),
        (fa.histogram("origin", categories=[1, 2], per_client="max(origin)"), "text where a number is needed"),
        (fa.histogram("temp", categories=["a"], per_client="max(temp)"), "the categories are texts"),
        (fa.mean("day", bounds=(0, 1), per_client="max(day)"), "timestamp"),
        (fa.count(by="origin", groups=[1]), "is a text"),
    ],
)
def test_values_that_the_encoder_cannot_read_are_refused_at_the_door(ledger, query, message):
    frame = pd.DataFrame({"c": [1, 2], "temp": [1.0, 2.0], "origin": ["a", "b"], "day": pd.Timestamp("2020-01-01")})
    session = fa.Session(fa.Fleet.from_pandas(frame, client="c"), ledger.budget("b", rho=1.0))
    head = ledger.head()
    with pytest.raises(fa.BadArgument, match=message):
        session.run(query, rho=0.1)
    assert ledger.head() == head


@pytest.mark.parametrize("rho", [1e-9, 1e-3, 50.0])
def test_preview_tells_the_error_and_spends_nothing(session, ledger, rho):
    head = ledger.head()
    preview = session.preview(fa.count(), rho=rho)
    assert ledger.head() == head
    assert preview.standard_error == pytest.approx(math.sqrt(1 / (2 * rho)), rel=0.02 if rho < 1 else 3)
    assert preview.fits == (rho < session.budget.remaining.rho)
    assert (preview.of, preview.rounds, preview.cost.rho) == ("value", 1, rho)


def test_preview_of_a_mean_with_and_without_a_population(session, ledger, values):
    with_one = session.preview(MEAN, rho=0.01)
    released = session.run(MEAN, rho=0.01)
    assert with_one.standard_error == pytest.approx(released.standard_error, rel=0.1)
    unknown = fa.Session(fa.Fleet.from_values(values, dataset="other"), ledger.budget("other", rho=1))
    of_sum = unknown.preview(MEAN, rho=0.01)
    assert of_sum.of == "sum"
    assert of_sum.standard_error == pytest.approx(with_one.standard_error * 10_000, rel=1e-6)
    several = session.preview([MEAN, fa.histogram("value", edges=(0, 50, 100))], rho=0.02)
    assert len(several) == 2
    assert len(several[1].standard_error) == 2


def test_a_receipt_is_plain_json_and_points_into_the_ledger(session, ledger):
    release = session.run(fa.mean("value", bounds=(0, 110), where="value > 10"), rho=0.01, key="k")
    receipt = json.loads(json.dumps(release.receipt.to_json()))
    assert receipt["query"]["where"] == "value > 10"
    assert receipt["sql"]["per_client"] == 'avg("value")'
    assert (receipt["budget"], receipt["relation"], receipt["trust"], receipt["key"]) == (
        "sensors",
        "add-or-remove-one",
        "central",
        "k",
    )
    entry = {e.seq: e for e in ledger.entries()}[receipt["entry"]]
    assert entry.body["type"] == "reserve"
    assert fa.verify(ledger).entries == ledger.head().seq
    raw = json.dumps(receipt) + repr(release.receipt)
    assert "10000" not in raw  # no count of clients, declared or not


def test_results_as_tables(session, ledger):
    histogram = session.run(fa.histogram("value", edges=(0, 50, 100)), rho=0.01).to_pandas()
    assert list(histogram.index) == ["[0, 50)", "[50, 100]"]
    assert list(histogram.columns) == ["value", "standard_error", "lower", "upper"]
    assert (histogram["lower"] < histogram["value"]).all()
    single = session.run(fa.count(), rho=0.01).to_pandas(confidence=0.5)
    assert single.shape == (1, 4)
    frame = pd.DataFrame({"c": np.repeat(np.arange(50), 4), "m": np.tile([1, 2, 3, 4], 50), "x": 1.0})
    fleet = fa.Fleet.from_pandas(frame, client="c", dataset="frame")
    grouped = fa.Session(fleet, ledger.budget("frame", rho=1e4)).run(
        fa.histogram("x", edges=(0, 2, 4), by="m", groups=[1, 2, 5]), rho=1e3
    )
    assert grouped.value.shape == (3, 2)
    assert list(grouped.to_pandas().index) == [(g, b) for g in (1, 2, 5) for b in ("[0, 2)", "[2, 4]")]
    assert grouped.value.round().tolist() == [[50, 0], [50, 0], [0, 0]]


@dataclass(frozen=True)
class Bisection:
    """A query of several rounds: the median by halving."""

    depth: int
    greedy: int = 0

    @property
    def shares(self):
        return (Fraction(1, self.depth),) * self.depth

    def rounds(self):
        low, high = 0.0, 110.0
        for _ in range(self.depth + self.greedy):
            middle = (low + high) / 2
            [counts] = yield Round((Block(Sql('avg("value")'), OneHot((-math.inf, middle, math.inf))),))
            low, high = (low, middle) if counts.values[0] > counts.values[1] else (middle, high)
        return (low + high) / 2


def test_a_query_of_many_rounds_is_reserved_whole_and_charged_once(session, ledger, values):
    release = session.run(Bisection(6), rho=0.06, key="median")
    assert release.value == pytest.approx(np.median(values), abs=2)
    assert release.standard_error is None
    with pytest.raises(fa.BadArgument, match="not an estimate"):
        release.interval()
    types = [e.body["type"] for e in ledger.entries()]
    assert types.count("reserve") == 1
    assert types.count("commit") == 6
    assert session.budget.spent.units == units.floored(0.06)
    head = ledger.head()
    assert session.run(Bisection(6), rho=0.06, key="median").value == release.value
    assert ledger.head() == head


def test_a_replay_does_not_look_at_the_data(session):
    session.run([MEAN, Bisection(3)], rho=0.02, key=["mean", "median"])

    class Blind(Central):
        def collect(self, fleet, priced):
            raise AssertionError("a replay asked the clients")

    blind = fa.Session(session.fleet, session.budget, trust=Blind())
    assert len(blind.run([MEAN, Bisection(3)], rho=0.02, key=["mean", "median"])) == 2


def test_a_crash_between_rounds_is_resumed_under_its_own_reservation(session, ledger):
    class Crashing(Central):
        left = 3

        def collect(self, fleet, priced):
            if type(self).left == 0:
                raise KeyboardInterrupt
            type(self).left -= 1
            return super().collect(fleet, priced)

    with pytest.raises(KeyboardInterrupt):
        fa.Session(session.fleet, session.budget, trust=Crashing()).run(Bisection(6), rho=0.06, key="m")
    assert session.budget.spent.units == units.floored(0.06)  # a crash leaves the reservation spent
    stored = [e.body for e in ledger.entries() if e.body["type"] == "commit"]
    assert len(stored) == 3
    release = session.run(Bisection(6), rho=0.06, key="m")
    assert session.budget.spent.units == units.floored(0.06)
    assert len([e for e in ledger.entries() if e.body["type"] == "commit"]) == 6
    assert session.run(Bisection(6), rho=0.06, key="m").value == release.value


def test_queries_of_different_depth_share_rounds(session):
    deep, shallow, flat = session.run([Bisection(5), Bisection(2), fa.count()], rho=0.06)
    assert abs(deep.value - shallow.value) < 60
    assert flat.value == pytest.approx(10_000, abs=60)


def test_a_query_that_asks_more_than_it_declared_is_stopped_at_the_door(session, ledger):
    head = ledger.head()
    with pytest.raises(fa.BadArgument, match="more rounds than its 3 shares"):
        session.run(Bisection(3, greedy=1), rho=0.01)
    assert ledger.head() == head


@pytest.mark.parametrize(
    "shares",
    [
        (),
        (Fraction(1), Fraction(1)),
        (Fraction(1, 2),),
        (Fraction(3, 2), Fraction(-1, 2)),
        (0.5, 0.5),
        [Fraction(1)],
        1,
    ],
)
def test_shares_that_would_overspend_are_refused(session, ledger, shares):
    class Cheating(Bisection):
        pass

    Cheating.shares = shares
    head = ledger.head()
    with pytest.raises(fa.BadArgument, match=r"Cheating\.shares"):
        session.run(Cheating(2), rho=0.01)
    assert ledger.head() == head


def test_together_is_a_query_of_its_own(session):
    release = session.run(fa.together(MEAN, fa.count()), rho=0.02)
    mean, count = release.result
    assert count.value == pytest.approx(10_000, abs=60)
    assert mean.value == pytest.approx(60, abs=2)


def test_a_budget_belongs_to_its_dataset(session, ledger, values):
    with pytest.raises(fa.BadArgument, match=r"dataset"):
        fa.Session(fa.Fleet.from_values(values, dataset="elsewhere"), session.budget)
    with pytest.raises(fa.BadArgument, match=r"overlap=True"):
        fa.Session(session.fleet, ledger.budget("second", rho=1.0))


def test_two_runs_that_race_for_a_key_agree(session, tmp_path):
    """The loser's noise is destroyed: both return what was committed first."""
    other_ledger = fa.Ledger(tmp_path / "budget.db")
    other = fa.Session(session.fleet, other_ledger.budget("sensors"))
    results = []

    class Racing(Central):
        def collect(self, fleet, priced):
            answers = super().collect(fleet, priced)
            results.append(other.run(MEAN, rho=0.01, key="race").value)
            return answers

    mine = fa.Session(session.fleet, session.budget, trust=Racing()).run(MEAN, rho=0.01, key="race").value
    assert results == [mine]
    assert session.budget.spent.rho == 0.01
    other_ledger.close()


@fa.federated_computation(fa.FederatedType(np.float32, fa.CLIENTS))
def two_numbers(readings):
    mean = fa.federated_mean(readings, bounds=(0, 110), rho=0.01)
    return mean, fa.federated_sum(readings > fa.federated_broadcast(mean), bounds=(0, 1), rho=0.005)


@fa.federated_computation(fa.FederatedType(np.float32, fa.CLIENTS))
def average(readings):
    return fa.federated_mean(readings, bounds=(0, 110), epsilon=0.1)


@fa.federated_computation(fa.FederatedType(np.float32, fa.CLIENTS))
def exact_average(readings):
    return fa.federated_mean(readings)


def test_a_traced_computation_goes_through_the_same_door(session, ledger, values):
    release = session.run(two_numbers, key="two")
    mean, above = release.value
    assert mean == pytest.approx(60, abs=2)
    assert above == pytest.approx((values > mean).sum(), abs=60)
    assert session.budget.spent.rho == 0.015 == release.cost.rho
    assert release.standard_error is None
    assert "Release((" in repr(release)
    with pytest.raises(fa.BadArgument, match="several values"):
        release.to_pandas()
    head = ledger.head()
    assert session.run(two_numbers, key="two").value == release.value
    assert ledger.head() == head
    estimate = session.run(average)
    assert estimate.interval(0.999)[0] < 60 < estimate.interval(0.999)[1]
    assert estimate.cost.event.noise_multiplier == pytest.approx(10)


def test_a_computation_beside_statistics_pays_its_own_cost(session):
    both = session.run([average, fa.count()], rho=0.01)
    pure = fa.privacy.filters.Gdp().price(fa.privacy.cost(epsilon=0.1).event)
    assert [r.cost.units for r in both] == [pure, 10**10]
    with pytest.raises(fa.BadArgument, match="stands in the computation already"):
        session.run(average, rho=0.1)


def test_an_exact_release_is_refused_by_name_and_line(session, ledger):
    head = ledger.head()
    with pytest.raises(fa.NotPrivate, match=r"federated_mean at .*test_session\.py:\d+ releases an exact value"):
        session.run(exact_average)
    assert ledger.head() == head
    assert exact_average([60.0, 61.0]) == 60.5


def test_a_parameter_is_bound_to_the_only_numeric_column(ledger, values):
    frame = pd.DataFrame({"c": np.arange(100), "temp": values[:100], "origin": "JFK"})
    session = fa.Session(fa.Fleet.from_pandas(frame, client="c"), ledger.budget("frame", rho=10.0))
    assert session.run(average).receipt.query["bindings"] == {"readings": 'avg("temp")'}
    more = fa.Fleet.from_pandas(frame.assign(hum=1.0), client="c")
    other = fa.Session(more, ledger.budget("frame"))
    with pytest.raises(fa.BadArgument, match=r"\.on\(readings="):
        other.run(average)
    chosen = other.run(average.on(readings="max(hum)"))
    assert chosen.receipt.query["bindings"] == {"readings": "max(hum)"}


def test_seeded_noise_says_so_in_receipt_and_ledger(session, ledger):
    tested = fa.Session(session.fleet, session.budget, trust=Central(Keystream.insecure(1)))
    release = tested.run(MEAN, rho=0.001, key="seeded")
    assert "INSECURE" in release.receipt.trust
    assert "INSECURE" in [e.body for e in ledger.entries() if e.body["type"] == "reserve"][-1]["trust"]
    with pytest.raises(fa.KeyReused):  # another trust model is another question
        session.run(MEAN, rho=0.001, key="seeded")
    assert session.trust.name == Central(Keystream()).name == "central"


def test_reprs_are_readable(session):
    release = session.run(MEAN, rho=0.01)
    assert repr(release).startswith("Release(")
    assert "±" in repr(release)
    assert "rho=0.01" in repr(release)
    assert "epsilon=" in repr(release.cost)
