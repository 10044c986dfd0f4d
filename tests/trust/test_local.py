"""Local trust: unbiased estimates with honest intervals for every statistic, from reports that keep their epsilon."""

import itertools
import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import fedanalytics as fa
from fedanalytics.errors import BadArgument
from fedanalytics.privacy.costs import cost
from fedanalytics.privacy.keystream import Keystream
from fedanalytics.privacy.local import LocalPure
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.blocks import Block, Round
from fedanalytics.round.moments import Interval, Moments
from fedanalytics.round.one_hot import OneHot, Present
from fedanalytics.round.work import Sql
from fedanalytics.trust.reports import BinReports, NumberReports, VectorReports

SEEDED = Keystream.insecure
RELATIONS = [Relation.REPLACE_ONE, Relation.ZERO_OUT]
CLIENTS = 3000
STATISTICS = {
    "count": (fa.count(where="value > 50"), BinReports),
    "histogram": (fa.histogram("value", edges=range(0, 111, 22)), BinReports),
    "sum": (fa.sum("value", bounds=(0, 110)), NumberReports),
    "sum of both signs": (fa.sum("value", bounds=(-110, 110)), NumberReports),
    "mean": (fa.mean("value", bounds=(0, 110)), NumberReports),
    "variance": (fa.variance("value", bounds=(0, 110)), VectorReports),
    "records": (fa.count(weight="record", max_records=3), VectorReports),
    "groups": (fa.count(by="big", groups=["true", "false"], max_groups=1), BinReports),
    "means of groups": (fa.mean("value", bounds=(0, 110), by="big", groups=["true", "false"]), VectorReports),
}


@pytest.fixture(scope="module")
def fleet():
    values = np.random.default_rng(0).normal(60, 15, CLIENTS)
    values[:200] = np.nan
    values[200:210] = np.inf
    big = pd.array(np.where(values > 50, "true", "false"), "string")
    return fa.Fleet.from_pandas(pd.DataFrame({"id": np.arange(CLIENTS), "value": values, "big": big}), client="id")


def truth(fleet, query):
    from fedanalytics.round.blocks import Noisy
    from fedanalytics.round.estimates import Noise

    encoder = query.block.encoder
    [total] = fleet.sums([query.block], [encoder.finest])
    return encoder.estimate(Noisy(total / encoder.finest, Noise(1e-9, unit=1 / encoder.finest))).value


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("relation", RELATIONS)
def test_estimates_are_unbiased_and_intervals_cover(local_session, fleet, name, relation):
    """40 runs with fixed seeds: the mean within 5 of its standard errors, 95 % intervals cover at least 85 % of all."""
    query, kind = STATISTICS[name]
    exact, values, covered, errors = truth(fleet, query), [], [], []
    for seed in range(40):
        session = local_session(fleet, fa.Local(keystream=SEEDED(seed)), relation.value)
        release = session.run(query, epsilon=4.0)
        low, high = release.interval(0.95)
        values.append(release.value)
        covered.append((np.asarray(low) <= exact) & (exact <= np.asarray(high)))
        errors.append(release.standard_error)
    assert isinstance(session.rehearsed(query, None, epsilon=4.0)[0][0].rounds[0].parts[0], kind)
    spread = np.sqrt(np.mean(np.square(errors), axis=0))
    if name not in {"variance", "means of groups"}:  # ratios and products of sums are consistent, not unbiased
        assert np.all(np.abs(np.mean(values, axis=0) - exact) < 5 * spread / math.sqrt(40))
        assert np.all(np.std(values, axis=0) < 1.6 * spread)
    assert np.mean(covered) >= 0.85


def test_previews_say_about_what_comes(local_session, fleet):
    for name in ("count", "histogram", "sum", "mean"):
        session, query = local_session(fleet), STATISTICS[name][0]
        before = np.array(session.preview(query, epsilon=2.0).standard_error)
        after = np.array(session.run(query, epsilon=2.0).standard_error)
        assert np.all(np.abs(np.log(after / before)) < 0.5)


# ---------------------------------------------------------------- the claim


def part_for(encoder, relation, epsilon, work=None):
    block = Block(work or Sql("max(value)"), encoder, Fraction(1))
    return fa.Local().price(Round((block,)), cost(epsilon=epsilon, relation=relation), 100).parts[0]


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("encoder", [Present(), OneHot((0.0, 1.0, 2.0, 3.0)), Interval(0.0, 3.0), Moments(0.0, 3.0)])
@pytest.mark.parametrize("epsilon", [0.5, 3.0])
def test_the_reports_of_any_two_values_are_as_close_as_claimed(encoder, relation, epsilon):
    """30,000 reports of each value, seeds fixed: no report certainly likelier by more (Clopper-Pearson at 1e-7)."""
    part, runs = part_for(encoder, relation, epsilon), 30_000
    assert float(part.event.epsilon) <= epsilon
    assert part.event.relations == {relation}
    values = [math.nan, 0.0, 1.5, 3.0]
    counts = []
    for i, value in enumerate(values):
        rows = np.concatenate([np.full(300, value)] * (runs // 300))
        sent = Counter(map(tuple, _each(part, rows, SEEDED(i))))
        counts.append(sent)
    pairs = itertools.permutations(range(4), 2) if relation is Relation.REPLACE_ONE else [(i, 0) for i in (1, 2, 3)]
    for a, b in [*pairs, *((b, a) for a, b in pairs)]:
        for report, seen in counts[a].items():
            other = counts[b][report]
            low = stats.beta.ppf(1e-7, seen, runs - seen + 1)
            high = stats.beta.ppf(1 - 1e-7, other + 1, runs - other)
            assert low <= high * math.exp(float(part.event.epsilon))


def _each(part, values, stream):
    """What each client sends: the mechanism itself, one row a client."""
    if isinstance(part, BinReports):
        rows = part.block.encoder.rows(values, 1)
        held = np.where(rows.any(axis=1), rows.argmax(axis=1), -1)
        return part.mechanism.reports(held, stream)
    z = np.clip((values - part.middle) / part.half, -1, 1)
    return part.mechanism.reports(np.where(np.isfinite(values), z, part.null), stream)


def test_a_planted_fault_in_the_null_of_a_sum_is_found():
    """Null sent as 0 in the middle of the scale, claimed under zero-out as the mechanism's own null would be."""
    part = part_for(Interval(0.0, 3.0), Relation.ZERO_OUT, 1.0)
    assert part.event == LocalPure(part.loss, Relation.ZERO_OUT)
    assert part.mechanism.epsilon(Relation.ZERO_OUT) < part.loss  # what would be claimed if null were the mechanism's


def test_sums_over_clients_are_the_sums_of_their_reports():
    """The law of one client's report is that of the sum over one: chi-square at 1e-9, seeds fixed."""
    part = part_for(OneHot((0.0, 1.0, 2.0, 3.0)), Relation.REPLACE_ONE, 2.0)
    encoder = part.encoder(SEEDED(1))
    rows = encoder.rows(np.full(4000, 1.5), 1)
    assert rows.shape == (4000, part.mechanism.columns + 1)
    assert (rows[:, -1] == 1).all()
    singles = rows[:, :-1].sum(axis=0)
    alone = part.mechanism.reports(np.full(4000, 1), SEEDED(2)).sum(axis=0)
    assert stats.chi2_contingency(np.array([[*singles], [*alone]]) + 1).pvalue > 1e-9


def test_the_cost_is_split_over_blocks_and_charged_whole(local_session, fleet):
    session = local_session(fleet, epsilon=4.0)
    session.run([fa.count(), fa.mean("value", bounds=(0, 110))], epsilon=4.0, weights=[1, 3])
    assert 3.99 < session.budget.spent.epsilon <= 4.0
    with pytest.raises(fa.BudgetExceeded):
        session.run(fa.count(), epsilon=0.1)


def test_a_vector_has_noise_for_its_whole_norm():
    for relation, times in ((Relation.REPLACE_ONE, 1), (Relation.ZERO_OUT, 2)):
        part = part_for(Moments(0.0, 3.0, order=2), relation, 1.0)
        norm = part.block.encoder.sensitivity(part.steps, relation).l1
        assert part.scale >= norm * part.event.noise_multiplier
        assert part.loss == pytest.approx(times * 1.0)


def test_the_receipt_states_what_a_shuffler_would_be_worth_and_charges_nothing_for_it(local_session, fleet):
    session = local_session(fleet)
    guarantee = session.run(fa.count(), epsilon=1.0).receipt.guarantee
    assert guarantee["clients"] == CLIENTS
    assert guarantee["local"]["epsilon"] == pytest.approx(1.0)
    assert guarantee["if_shuffled"]["epsilon"] < 0.3
    assert "trusted shuffler" in guarantee["if_shuffled"]["assumption"]
    assert session.budget.spent.epsilon == pytest.approx(1.0)


# ---------------------------------------------------------------- at the door


def test_other_costs_relations_and_samples_are_refused_with_the_fix(fleet):
    ledger = fa.Ledger(":memory:")
    usual = fa.Session(fleet, ledger.budget("usual", epsilon=1.0, delta=1e-6), fa.Local())
    with pytest.raises(BadArgument, match="pure epsilon: give the cost as epsilon= alone"):
        usual.run(fa.count(), rho=0.1)
    with pytest.raises(BadArgument, match='relation="replace-one"'):
        usual.run(fa.count(), epsilon=0.5)
    with pytest.raises(BadArgument, match="see who was sampled"):
        fa.Local().price(
            Round((Block(Sql("max(value)"), Present()),), 0.5), cost(epsilon=1.0, relation=Relation.REPLACE_ONE), 10
        )
    with pytest.raises(BadArgument, match="from 2\\*\\*-20 to 64"):
        fa.Local().price(
            Round((Block(Sql("max(value)"), Present()),)), cost(epsilon=100.0, relation=Relation.REPLACE_ONE), 10
        )
    assert usual.budget.spent.units == 0


def test_too_small_a_cost_is_refused():
    with pytest.raises(BadArgument, match="cost is too small"):
        part_for(Moments(0.0, 3.0, order=2), Relation.REPLACE_ONE, 1e-9)


def test_a_budget_with_a_delta_pays_for_reports_too(fleet):
    budget = fa.Ledger(":memory:").budget("b", epsilon=2.0, delta=1e-6, relation="replace-one")
    release = fa.Session(fleet, budget, fa.Local()).run(fa.count(), epsilon=0.2)
    assert release.cost.rho > 0
    assert release.receipt.trust == "local"
    assert "INSECURE" in replace(fa.Local(), keystream=SEEDED(1)).name
