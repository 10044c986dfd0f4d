"""Traced computations as queries: rounds, shares, costs, local work, and the laws that a claim stands on."""

# ruff: noqa: E501, PLW0108  # a table holds one case per line, and its lambdas are what is traced

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedanalytics.computation import (
    clip,
    federated_aggregate,
    federated_broadcast,
    federated_computation,
    federated_map,
    federated_max,
    federated_mean,
    federated_min,
    federated_sum,
    federated_value,
    local_computation,
    offers,
)
from fedanalytics.computation.offers import Offer
from fedanalytics.errors import BadArgument, NotPrivate
from fedanalytics.privacy.costs import Cost, cost
from fedanalytics.privacy.events import Composed, DiscreteLaplace, Exact, Gaussian
from fedanalytics.privacy.relations import Relation
from fedanalytics.round.ball import Ball
from fedanalytics.round.blocks import Query, Round
from fedanalytics.round.estimates import Additive, Ratio
from fedanalytics.round.moments import Interval, Moments
from fedanalytics.round.one_hot import Present
from fedanalytics.round.together import together
from fedanalytics.round.work import Apply, Sql
from fedanalytics.trust import Central

X = "{float32}@CLIENTS"
ADD_OR_REMOVE = Relation.ADD_OR_REMOVE_ONE
quiet = settings(deadline=None)


@federated_computation(X)
def mean_temp(temp):
    return federated_mean(temp, bounds=(0, 110), rho=0.01)


@federated_computation(X)
def spread(temp):
    """The variance around the noisy mean: two rounds."""
    mean = federated_mean(temp, bounds=(0, 110), rho=0.01)
    far = temp - federated_broadcast(mean)
    return {"mean": mean, "deviation": federated_mean(far**2, bounds=(0, 900), rho=0.03) ** 0.5}


@federated_computation(X, "{int32}@CLIENTS")
def several(temp, rain):
    warm = federated_map(lambda t: t > 50, temp)
    return (
        federated_sum(warm, bounds=(0, 1), rho=0.1),
        federated_sum(rain, bounds=(-2, 10), rho=0.2),
        federated_mean(clip(temp, bounds=(0, 110)), rho=0.1),
    )


VECTOR = local_computation(lambda t: np.array([t / 100, (t / 100) ** 2, 1.0]))


@federated_computation(X)
def vector_mean(temp):
    return federated_mean(clip(federated_map(VECTOR, temp), l2=2.0), rho=0.5)


@federated_computation(X)
def vector_sum(temp):
    return federated_sum(clip(federated_map(VECTOR, temp), l1=3.0), epsilon=0.5)


@federated_computation(X)
def struct_mean(temp):
    value = federated_map(lambda t: {"w": np.array([[t / 100], [1.0]]), "b": t / 50}, temp)
    return federated_mean(clip(value, linf=1.5), rho=0.5)


def collected(fleet, round_, event):
    priced = Central().price(round_, Cost(0, event))
    return priced.noisy(Central().collect(fleet, priced))


def blocks_of(query, fleet, without_noise):
    _, rounds = without_noise(query, fleet)
    return [[(type(b.work).__name__, b.encoder, b.share) for b in round_.blocks] for round_ in rounds]


def readings(n=400, seed=0):
    return np.random.default_rng(seed).normal(60, 15, n).astype(np.float32).astype(float)


# ---------------------------------------------------------------- lowering


def test_aggregates_that_depend_on_nothing_share_a_round(tiny_fleet, without_noise):
    fleet = tiny_fleet(temp=readings(), rain=np.arange(400) % 5)
    [blocks] = blocks_of(several, fleet, without_noise)
    assert blocks == [
        ("Apply", Interval(0, 1), Fraction(1, 4)),
        ("Apply", Interval(-2, 10), Fraction(1, 2)),
        ("Sql", Moments(0, 110), Fraction(1, 4)),
    ]
    assert several.shares == (Fraction(1),)
    assert several.own_cost(ADD_OR_REMOVE).units == cost(rho=0.4).units


def test_a_later_aggregate_waits_for_what_it_depends_on(tiny_fleet, without_noise):
    assert isinstance(spread, Query)
    assert spread.shares == (Fraction(1, 4), Fraction(3, 4))
    x = readings()
    result, rounds = without_noise(spread, tiny_fleet(temp=x))
    assert [len(r.blocks) for r in rounds] == [1, 1]
    first, second = (r.blocks[0].work for r in rounds)
    assert first == Sql('avg("temp")', magnitude=110.0)
    assert isinstance(second, Apply)
    exact = spread(x)
    assert result["mean"] == pytest.approx(exact["mean"], rel=1e-6)
    assert result["deviation"] == pytest.approx(exact["deviation"], rel=1e-5)
    assert result["mean"].dtype == np.float32


def test_the_second_round_holds_the_noisy_value_of_the_first(tiny_fleet):
    fleet, seen = tiny_fleet(temp=readings()), []
    for _ in range(2):
        rounds = spread.rounds()
        answers = collected(fleet, next(rounds), Gaussian(50.0))
        round_ = rounds.send(answers)
        mean = mean_temp_estimate(answers)
        work = round_.blocks[0].work
        far = work.function.values((np.array([10.0, 20.0, math.nan]),))
        expected = (np.array([10, 20], np.float32) - np.float32(mean)) ** 2
        assert far[:2].tolist() == expected.tolist()
        assert np.isnan(far[2])
        seen.append((mean, round_.digest))
    assert (seen[0][0] == seen[1][0]) == (seen[0][1] == seen[1][1]), "what the clients are told is in the digest"
    assert seen[0][0] != seen[1][0]


def mean_temp_estimate(answers):
    return float(Moments(0, 110).estimate(answers[0]).value)


def test_scalars_and_vectors_have_their_encoders(tiny_fleet, without_noise):
    fleet = tiny_fleet(temp=readings())
    assert blocks_of(mean_temp, fleet, without_noise) == [[("Sql", Moments(0, 110), 1)]]
    count = Fraction(1, 3)
    assert blocks_of(vector_mean, fleet, without_noise) == [
        [("Apply", Ball("l2", 2.0, 3), 1 - count), ("Apply", Present(), count)]
    ]
    assert blocks_of(vector_sum, fleet, without_noise) == [[("Apply", Ball("l1", 3.0, 3), 1)]]
    scalar = federated_computation(X)(lambda temp: federated_sum(clip(temp, l2=5.0), rho=0.1))
    assert blocks_of(scalar, fleet, without_noise) == [[("Sql", Interval(-5, 5), 1)]]


def test_estimates_where_the_result_is_one_release(tiny_fleet, without_noise):
    fleet = tiny_fleet(temp=readings())
    x = fleet.columns["temp"]
    mean, _ = without_noise(mean_temp, fleet)
    assert isinstance(mean, Ratio)
    assert float(mean.value) == pytest.approx(np.clip(x, 0, 110).mean(), rel=1e-6)
    vector, _ = without_noise(vector_mean, fleet)
    assert isinstance(vector, Ratio)
    np.testing.assert_allclose(vector.value, vector_mean(x), rtol=1e-5)
    assert vector.interval(0.95)[0].shape == (3,)
    total, _ = without_noise(vector_sum, fleet)
    assert isinstance(total, Additive)
    np.testing.assert_allclose(total.value, vector_sum(x), rtol=1e-5)


def test_other_results_are_plain(tiny_fleet, without_noise):
    fleet = tiny_fleet(temp=readings())
    struct, _ = without_noise(struct_mean, fleet)
    exact = struct_mean(fleet.columns["temp"])
    np.testing.assert_allclose(struct["w"], exact["w"], rtol=1e-5)
    assert struct["w"].shape == (2, 1)
    assert struct["b"] == pytest.approx(exact["b"], rel=1e-5)
    doubled = federated_computation(X)(lambda temp: mean_temp(temp) * 2)
    value, _ = without_noise(doubled, fleet)
    assert value == pytest.approx(2 * fleet.columns["temp"].mean(), rel=1e-5)
    assert isinstance(value, np.float32)
    matrix = federated_computation(X)(
        lambda temp: federated_sum(clip(federated_map(lambda t: np.array([[t, 1.0]]) / 100, temp), l2=5.0), rho=1.0)
    )
    estimate, _ = without_noise(matrix, fleet)
    assert estimate.value.shape == estimate.standard_error.shape == (1, 2)


def test_the_vector_mean_of_a_matrix_keeps_its_shape(tiny_fleet, without_noise):
    matrix = federated_computation(X)(
        lambda temp: federated_mean(clip(federated_map(lambda t: np.array([[t, 1.0]]) / 100, temp), l2=5.0), rho=1.0)
    )
    fleet = tiny_fleet(temp=readings())
    estimate, _ = without_noise(matrix, fleet)
    np.testing.assert_allclose(estimate.value, matrix(fleet.columns["temp"]), rtol=1e-5, atol=1e-6)


@quiet
@given(
    st.lists(st.tuples(st.floats(-20, 130), st.integers(-5, 12)), min_size=1, max_size=30),
    st.sampled_from(["temp", "(temp - 32) * 5 / 9", "temp * rain", "loop"]),
)
def test_without_noise_a_session_shows_what_a_simulation_shows(tiny_fleet, without_noise, rows, text):
    functions = {
        "temp": lambda t, r: t,
        "(temp - 32) * 5 / 9": lambda t, r: (t - 32) * 5 / 9,
        "temp * rain": lambda t, r: t * r,
        "loop": lambda t, r: float(min(t, r)),
    }
    function = functions[text]

    @federated_computation("{float64}@CLIENTS", "{int32}@CLIENTS")
    def question(temp, rain):
        value = federated_map(function, [temp, rain])
        centre = federated_mean(value, bounds=(-10, 50), rho=0.1)
        far = federated_map(lambda v, c: abs(v - c), [value, federated_broadcast(centre)])
        return centre, federated_sum(value, bounds=(-5, 100), rho=0.1), federated_mean(far, bounds=(0, 60), rho=0.3)

    temp, rain = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    found, _ = without_noise(question, tiny_fleet(temp=temp, rain=rain))
    exact = question(temp, rain.astype(np.int32))
    np.testing.assert_allclose([float(f) for f in found], [float(e) for e in exact], rtol=1e-4, atol=1e-3)


# ---------------------------------------------------------------- costs


def test_the_units_of_each_release_come_out():
    parts = [0.1, 0.007, 0.25]

    @federated_computation(X)
    def three(temp):
        first = federated_mean(temp, bounds=(0, 110), rho=parts[0])
        second = federated_sum(temp - federated_broadcast(first), bounds=(-9, 9), rho=parts[1])
        third = federated_sum(temp, bounds=(0, 5), epsilon=0.3, delta=1e-6)
        return first, second, third

    each = [cost(rho=parts[0]), cost(epsilon=0.3, delta=1e-6), cost(rho=parts[1])]
    total = sum(c.units for c in each)
    whole = three.own_cost(ADD_OR_REMOVE)
    assert whole.units == total
    assert whole.event.rho <= Fraction(total, 10**12)
    assert three.shares == (Fraction(each[0].units + each[1].units, total), Fraction(each[2].units, total))
    rows = three.privacy
    assert [row.event.noise_multiplier for row in rows] == pytest.approx(
        [each[0].event.noise_multiplier, each[2].event.noise_multiplier, each[1].event.noise_multiplier], rel=1e-9
    )
    assert sum(row.event.rho for row in rows) <= Fraction(total, 10**12)


def test_the_noise_of_each_release_is_at_least_what_was_asked():
    @federated_computation(X)
    def mixed(temp):
        return (
            federated_sum(temp, bounds=(0, 1), noise_multiplier=3.0),
            federated_sum(temp, bounds=(0, 1), noise_multiplier=7.0),
            federated_sum(temp, bounds=(0, 1), rho=1e-9),
        )

    [first, second, third] = (row.event.noise_multiplier for row in mixed.privacy)
    assert 3.0 <= first < 3.0001
    assert 7.0 <= second < 7.0001
    assert third >= cost(rho=1e-9).event.noise_multiplier * (1 - 1e-15)


def test_pure_costs_add_up_as_epsilons():
    @federated_computation(X)
    def pure(temp):
        return (
            federated_sum(temp, bounds=(0, 1), epsilon=0.25),
            federated_mean(temp, bounds=(0, 1), epsilon=0.5),
            federated_sum(federated_map(lambda t: t * 1, temp), bounds=(0, 1), epsilon=0.25),
        )

    whole = pure.own_cost(ADD_OR_REMOVE)
    assert isinstance(whole.event, DiscreteLaplace)
    assert float(whole.event.epsilon) == pytest.approx(1.0, rel=1e-9)
    assert whole.units == cost(epsilon=1.0).units
    assert whole.event.rho <= Fraction(whole.units, 10**12)
    assert [float(row.event.epsilon) for row in pure.privacy] == pytest.approx([0.25, 0.5, 0.25], rel=1e-9)
    assert sum(row.event.epsilon for row in pure.privacy) <= whole.event.epsilon


def test_the_table_is_what_a_session_runs(tiny_fleet):
    """The events of the rounds, priced as a session prices them, are those of the table."""
    fleet = tiny_fleet(temp=readings(), rain=np.arange(400) % 5)
    for query in (mean_temp, several, spread, vector_mean, vector_sum):
        whole = query.own_cost(ADD_OR_REMOVE).event
        rounds, events, answers = query.rounds(), [], None
        for share in query.shares:
            priced = Central().price(rounds.send(answers), Cost(0, whole).of_round(share))
            answers = priced.noisy(Central().collect(fleet, priced))
            events += priced.event.events if isinstance(priced.event, Composed) else [priced.event]
        with pytest.raises(StopIteration):
            rounds.send(answers)
        assert [row.event for row in query.privacy] == events
        assert sum(event.rho for event in events) <= whole.rho


def test_two_kinds_of_noise_have_no_common_price():
    with pytest.raises(BadArgument, match="one kind of noise"):
        offers.together([Offer(rho=0.1), Offer(epsilon=0.1)], ADD_OR_REMOVE)


@pytest.mark.parametrize("relation", list(Relation))
def test_the_relation_is_the_budgets(relation):
    assert several.own_cost(relation).event.relation is relation
    assert mean_temp.own_cost(relation) == cost(rho=0.01, relation=relation)


def test_sensitivities_are_in_units_of_the_bound():
    def sensitivities(query):
        return [row.sensitivity for row in query.privacy]

    assert sensitivities(mean_temp) == pytest.approx([math.sqrt(1.2)], rel=1e-5)
    assert sensitivities(several) == pytest.approx([1, 1, math.sqrt(1.2)], rel=1e-5)
    assert sensitivities(vector_mean) == [1, 1]
    assert sensitivities(vector_sum) == [1]
    linf = federated_computation(X)(lambda t: federated_sum(clip(federated_map(VECTOR, t), linf=1.0), epsilon=1.0))
    assert sensitivities(linf) == [3]
    assert [row.bound for row in vector_mean.privacy] == ["l2 <= 2", "one per client"]


# ---------------------------------------------------------------- what is not private


def exact_parts():
    fold = (0.0, lambda a, v: a + v, lambda a, b: a + b, lambda a: a)
    return {
        "mean": (lambda x: federated_mean(x), "add bounds= and a cost, e.g. federated_mean(x, bounds=(0, 110), rho=0.01)"),
        "sum": (lambda x: federated_sum(x, bounds=(0, 1)), "add bounds= and a cost, e.g. federated_sum(x"),
        "min": (lambda x: federated_min(x), "it has no noised form"),
        "max": (lambda x: federated_max(x), "it has no noised form"),
        "aggregate": (lambda x: federated_aggregate(x, *fold), "it has no noised form"),
        "mean ": (lambda x: federated_mean(x, x), "no noised form with weights"),
        "map": (lambda x: x + 1, "each client's own value"),
        "parameter": (lambda x: x, "each client's own value"),
        "hidden": (lambda x: federated_mean(x - federated_broadcast(federated_mean(x)), bounds=(0, 1), rho=1.0), "federated_mean at"),
    }  # fmt: skip


@pytest.mark.parametrize("name", exact_parts())
def test_an_exact_value_is_refused(name):
    function, fix = exact_parts()[name]
    computation = federated_computation("{float64}@CLIENTS")(function)
    for refused in (
        lambda: computation.shares,
        lambda: computation.own_cost(ADD_OR_REMOVE),
        computation.rounds,
        lambda: computation.bound(("x",)),
    ):
        with pytest.raises(NotPrivate) as caught:
            refused()
        assert fix in str(caught.value)
        assert f"{__file__}:" in str(caught.value)
    rows = computation.privacy
    assert any(row.release == "exact" and row.event == Exact() and row.sensitivity is None for row in rows)
    computation([1.0, 2.0])  # the simulation runs


def test_a_partly_exact_computation_shows_both():
    both = federated_computation(X)(
        lambda x: (federated_mean(x, bounds=(0, 1), rho=0.1), federated_max(x, bounds=(0, 9)), x)
    )
    rows = [(row.op, row.release, row.bound) for row in both.privacy]
    assert rows == [
        ("federated_mean", "noised", "[0, 1]"),
        ("federated_max", "exact", "[0, 9]"),
        ("result", "exact", None),
    ]
    with pytest.raises(NotPrivate, match="own value"):
        both.rounds()


def test_nothing_from_the_clients_is_no_question():
    constant = federated_computation("float32@SERVER")(lambda s: s * 2)
    assert constant.privacy == ()
    with pytest.raises(BadArgument, match="nothing in this computation comes from the clients"):
        constant.rounds()


def test_what_is_not_used_is_not_asked(tiny_fleet, without_noise):
    @federated_computation(X)
    def unused(temp):
        federated_max(temp)
        once = federated_sum(temp, bounds=(0, 1), rho=0.1)
        return once, once + 1

    assert len(unused.privacy) == 1
    (first, second), [round_] = without_noise(unused, tiny_fleet(temp=readings()))
    assert len(round_.blocks) == 1
    assert second == pytest.approx(first + 1)


# ---------------------------------------------------------------- local work: the laws


def work_of(function, *types, bounds=(-10, 10)):
    names = ["a", "b"][: len(types)]
    source = {1: lambda a: federated_map(function, a), 2: lambda a, b: federated_map(function, [a, b])}[len(types)]
    wrapped = {
        1: lambda a: federated_sum(source(a), bounds=bounds, rho=1.0),
        2: lambda a, b: federated_sum(source(a, b), bounds=bounds, rho=1.0),
    }[len(types)]
    round_ = next(federated_computation(*types)(wrapped).rounds())
    work = round_.blocks[0].work
    assert [sql.per_client for sql in work.inputs] == [f'avg("{name}")' for name in names]
    return work.function


@local_computation(returns=np.float64)
def moody(x):
    """Fails in every way a client's function can."""
    match int(x):
        case 0:
            raise ValueError("private: " + str(x))
        case 1:
            raise SystemExit(3)
        case 2:
            return "text"
        case 3:
            return [1.0, 2.0]
        case 4:
            return None
        case 5:
            return math.inf
        case 6:
            return math.nan
        case 7:
            return 1 / 0
        case 8:
            return moody.function(x)
        case 9:
            import warnings

            warnings.warn(f"private: {x}", stacklevel=1)
            return np.log(np.float64(-1.0))
    return x


def test_a_client_that_fails_contributes_nothing_and_nobody_learns():
    function = work_of(moody, "{float64}@CLIENTS")
    column = np.array([*range(12), math.nan, math.inf, -math.inf, 10.5])
    result = function.values((column,))
    assert np.isnan(result[:10]).all()
    assert result[[10, 11, 15]].tolist() == [10, 11, 10.5]
    assert np.isnan(result[12:15]).all()
    assert column[15] == 10.5


def test_an_interrupt_is_not_swallowed():
    @local_computation(returns=np.float64)
    def stop(x):
        if x > 5:
            raise KeyboardInterrupt
        return x

    function = work_of(stop, "{float64}@CLIENTS")
    with pytest.raises(KeyboardInterrupt):
        function.values((np.array([1.0, 7.0]),))


FUNCTIONS = {
    "vectorised": (lambda a, b: np.exp(a) / (b**2 + np.sqrt(abs(a))), 2),
    "loop": (lambda a, b: max(a, b) * math.exp(min(a, 1.0)), 2),
    "moody": (moody, 1),
    "narrow": (local_computation(returns=np.float32)(lambda a: a * 1e38), 1),
    "crossing": (lambda a: a - np.mean(a) + np.sort([a, 0.0])[0], 1),
    "vector": (lambda a, b: np.sqrt([a * a, abs(b)]).sum(), 2),
    "chain": (lambda a, b: (a - b) * 3 / (a + b), 2),
}
client = st.one_of(
    st.sampled_from([0.0, 1.0, 2.0, 3.0, 5.0, 7.0, 9.0, math.nan, math.inf, 1e308, -1e-300]), st.floats(-50, 50)
)


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(quiet, max_examples=40)
@given(st.data())
def test_adding_a_client_changes_no_other_clients_value(name, data):
    function, arity = FUNCTIONS[name]
    work = _works(name, function, arity)
    columns = np.array(data.draw(st.lists(st.tuples(*[client] * arity), min_size=1, max_size=12))).T
    at = data.draw(st.integers(0, columns.shape[1] - 1))
    whole = work.values(tuple(columns))
    fewer = work.values(tuple(np.delete(columns, at, axis=1)))
    assert np.delete(whole, at).tobytes() == fewer.tobytes()
    alone = work.values(tuple(columns[:, at : at + 1]))
    assert alone.tobytes() == whole[at : at + 1].tobytes()


_cache = {}


def _works(name, function, arity):
    if name not in _cache:
        _cache[name] = work_of(function, *["{float64}@CLIENTS"] * arity)
    return _cache[name]


@settings(quiet, max_examples=40)
@given(st.lists(client, min_size=1, max_size=12), st.data())
def test_adding_a_client_changes_no_other_clients_vector(values, data):
    at = data.draw(st.integers(0, len(values) - 1))
    [ball, count] = next(vector_mean.rounds()).blocks
    for block in (ball, count):
        steps = block.encoder.finest
        column = np.array(values)
        whole = block.encoder.rows(block.work.function.values((column,)), steps)
        fewer = block.encoder.rows(block.work.function.values((np.delete(column, at),)), steps)
        assert np.array_equal(np.delete(whole, at, axis=0), fewer)


@pytest.mark.parametrize("bound", [{"l1": 2.0}, {"l2": 1.5}, {"linf": 0.5}, {"bounds": (-0.0, 0.75)}])
@settings(quiet, max_examples=25)
@given(st.lists(client, min_size=1, max_size=12), st.data())
def test_clipping_on_the_way_keeps_clients_apart(bound, values, data):
    at = data.draw(st.integers(0, len(values) - 1))

    @federated_computation("{float64}@CLIENTS")
    def question(temp):
        vector = federated_map(lambda t: {"a": np.sin([t, 2 * t, 3 * t]), "b": t}, temp)
        sizes = federated_map(lambda v: 1 / (v.a[0] + v.b), clip(vector, **bound))
        return federated_sum(sizes, bounds=(0, 1), rho=1.0)

    work = next(question.rounds()).blocks[0].work.function
    column = np.array(values)
    whole = work.values((column,))
    assert np.delete(whole, at).tobytes() == work.values((np.delete(column, at),)).tobytes()


def test_a_client_counts_in_a_mean_of_vectors_if_its_vector_does():
    [ball, count] = next(vector_mean.rounds()).blocks
    column = (np.array([50.0, math.nan, 1e308, -20.0]),)
    vectors, counted = ball.work.function.values(column), count.work.function.values(column)
    assert vectors.shape == (4, 3)
    assert np.isnan(vectors).any(axis=1).tolist() == np.isnan(counted).tolist() == [False, True, True, False]


def test_whole_numbers_are_whole_or_missing():
    function = work_of(lambda n: n + 1, "{int8}@CLIENTS", bounds=(-200, 200))
    found = function.values((np.array([3.0, 3.5, -128, 127, 128, -129, math.nan, 1e300]),))
    assert np.isnan(found).tolist() == [False, True, False, False, True, True, True, True]
    assert found[[0, 2]].tolist() == [4, -127]
    wide = work_of(lambda n: n * 1.0, "{int64}@CLIENTS")
    assert np.isnan(wide.values((np.array([2.0**63, -(2.0**63), 2.0**62]),))).tolist() == [True, False, False]
    yes = work_of(lambda b: b * 2.0, "{bool}@CLIENTS")
    assert yes.values((np.array([0.0, 1.0, 0.5, 2.0]),))[:2].tolist() == [0, 2]
    single = work_of(lambda x: x, "{float32}@CLIENTS")
    assert np.isnan(single.values((np.array([1e300, 1.0]),))).tolist() == [True, False]


def test_a_constant_counts_the_clients_that_are_there(tiny_fleet, without_noise):
    from fedanalytics.types import CLIENTS

    counts = federated_computation(X, X)(
        lambda a, b: (
            federated_sum(federated_value(1, CLIENTS), bounds=(0, 1), rho=1.0),
            federated_sum(clip(federated_value(np.array([0.5, 0.5]), CLIENTS), l2=1.0), rho=1.0),
        )
    )
    (n, halves), [round_] = without_noise(counts, tiny_fleet(a=[1.0, math.nan, 3.0], b=[1.0, 2.0, 3.0]))
    assert n == pytest.approx(2)
    assert halves.tolist() == pytest.approx([1, 1], rel=1e-5)
    assert [len(block.work.inputs) for block in round_.blocks] == [1, 1]


def test_a_block_reads_only_the_parameters_it_needs(tiny_fleet, without_noise):
    @federated_computation(X, X)
    def question(temp, rain):
        centre = federated_mean(temp, bounds=(0, 110), rho=0.1)
        return federated_sum(rain * federated_broadcast(centre) * 0.01, bounds=(0, 10), rho=0.1)

    _, rounds = without_noise(question, tiny_fleet(temp=[50.0, math.nan], rain=[1.0, 2.0]))
    assert rounds[1].blocks[0].work.inputs == (Sql('avg("rain")'),)


def test_no_client_is_no_error():
    for query in (several, vector_mean, struct_mean):
        for block in next(query.rounds()).blocks:
            if isinstance(block.work, Apply):
                columns = tuple(np.empty(0) for _ in block.work.inputs)
                values = block.work.function.values(columns)
                assert len(values) == 0
                assert not block.encoder.sums(values, block.encoder.finest).any()


# ---------------------------------------------------------------- with noise, and beside others


def test_with_noise_the_answer_is_near(tiny_fleet):
    x = readings(20_000)
    fleet = tiny_fleet(temp=x)
    rounds = vector_mean.rounds()
    answers = collected(fleet, next(rounds), vector_mean.own_cost(ADD_OR_REMOVE).event)
    with pytest.raises(StopIteration) as stop:
        rounds.send(answers)
    estimate = stop.value.value
    exact = vector_mean(x)
    assert np.all(np.abs(estimate.value - exact) < 8 * estimate.standard_error)
    low, high = estimate.interval(1 - 1e-12)
    assert np.all((low < exact) & (exact < high))


def test_together_with_others(tiny_fleet, without_noise):
    both = together(mean_temp, spread)
    (mean, result), rounds = without_noise(both, tiny_fleet(temp=readings()))
    assert [len(r.blocks) for r in rounds] == [2, 1]
    assert float(mean.value) == pytest.approx(result["mean"], rel=1e-6)


def test_rounds_are_frozen_data():
    first, second = next(spread.rounds()), next(spread.rounds())
    assert isinstance(first, Round)
    assert first.digest == second.digest
    assert len({block.work.function.describe()["is"] for block in next(vector_mean.rounds()).blocks}) == 2
    assert first.digest != next(mean_temp.on(temp="max(temp)").rounds()).digest
