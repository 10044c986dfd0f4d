"""Where a session finds a computation's parameters."""

# ruff: noqa: E501, PLW0108  # a table holds one case per line, and its lambdas are what is traced

import numpy as np
import pytest

from fedanalytics.computation import (
    federated_broadcast,
    federated_computation,
    federated_map,
    federated_mean,
    federated_sum,
)
from fedanalytics.errors import BadArgument
from fedanalytics.round.canonical import digest
from fedanalytics.round.work import Sql

X = "{float32}@CLIENTS"


@federated_computation(X)
def average(sensor_readings):
    return federated_mean(federated_map(lambda x: x * 1.0, sensor_readings), bounds=(0, 110), rho=0.01)


@federated_computation(X, "{int32}@CLIENTS", "float32@SERVER", "<w=float64[2]>@CLIENTS")
def many(temp, rain, rate, model):
    value = federated_map(lambda t, r, k, m: t * r * k + m.w.sum(), [temp, rain, federated_broadcast(rate), model])
    return federated_sum(value, bounds=(0, 110), rho=0.01)


def sql_of(query):
    return [sql.per_client for sql in next(query.rounds()).blocks[0].work.inputs]


def test_the_name_is_the_column():
    assert sql_of(average) == ['avg("sensor_readings")']
    assert average.bound(("other", "sensor_readings")) is average


def test_on_says_what_a_parameter_is():
    assert sql_of(average.on(sensor_readings="avg(temp) + 1")) == ["avg(temp) + 1"]
    assert sql_of(average.on(sensor_readings="temp")) == ['avg("temp")']
    assert sql_of(average) == ['avg("sensor_readings")'], "a copy"
    assert average.on(sensor_readings="temp").type_signature == average.type_signature
    assert average.on(sensor_readings="temp")([1.0, 3.0]) == 2.0, "a simulation takes its arguments"
    assert average.on(sensor_readings="a").on(sensor_readings="b").bindings == {"sensor_readings": "b"}


def test_bound_fills_in_what_is_obvious():
    only = average.bound(("value",))
    assert sql_of(only) == ['avg("value")']
    assert only.bound(("value",)) is only
    assert sql_of(average.bound(("Sensor_Readings", "x"))) == ['avg("Sensor_Readings")']
    assert sql_of(average.on(sensor_readings="Temp (C)").bound(("Temp (C)", "x"))) == ['avg("Temp (C)")']
    assert sql_of(average.on(sensor_readings='a"b').bound(('a"b',))) == ['avg("a""b")']
    assert sql_of(average.on(sensor_readings="max(x)").bound(("x", "y"))) == ["max(x)"]


def test_bindings_are_in_the_digest():
    queries = [average, average.on(sensor_readings="temp"), average.on(sensor_readings="max(temp)")]
    assert len({digest(q) for q in queries}) == 3
    assert len({next(q.rounds()).digest for q in queries}) == 3
    assert digest(average.on(sensor_readings="temp")) == digest(average.on(sensor_readings='avg("temp")'))
    assert digest(average) == digest(average.bound(("sensor_readings",)))
    rates = [many.on(rate=rate, model={"w": [0, 1]}) for rate in (0.1, 0.2)]
    assert digest(rates[0]) != digest(rates[1])
    assert next(rates[0].rounds()).digest != next(rates[1].rounds()).digest


def test_values_for_what_is_public(tiny_fleet, without_noise):
    query = many.on(rate=0.5, model={"w": [1, 2]}, rain="wet").bound(("temp", "wet"))
    [round_] = without_noise(query, tiny_fleet(temp=[2.0, 4.0], wet=[3.0, 1.0]))[1]
    assert round_.blocks[0].work.inputs == (Sql('avg("temp")'), Sql('avg("wet")'))
    result, _ = without_noise(query, tiny_fleet(temp=[2.0, 4.0], wet=[3.0, 1.0]))
    assert float(result.value) == pytest.approx(3 + 3 + 2 + 3, abs=1e-3)
    assert many([2.0, 4.0], [3, 1], 0.5, {"w": [1, 2]}) == pytest.approx(11)


@federated_computation("{float32[2]}@CLIENTS")
def vectors(v):
    return federated_sum(federated_map(lambda x: x.sum(), v), bounds=(0, 1), rho=1.0)


@federated_computation("{<x=float32>*}@CLIENTS")
def batches(data):
    return federated_sum(federated_map(lambda bs: float(len(bs)), data), bounds=(0, 1), rho=1.0)


@federated_computation("{complex64}@CLIENTS")
def complex_numbers(z):
    return federated_sum(federated_map(lambda x: abs(x), z), bounds=(0, 1), rho=1.0)


@federated_computation("{str}@CLIENTS")
def names(name):
    return federated_sum(federated_map(lambda x: len(x), name), bounds=(0, 9), rho=1.0)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: average.on(sensor_reading="temp"), "there is no parameter 'sensor_reading', did you mean 'sensor_readings'?"),
        (lambda: average.on(sensor_readings=3), "sensor_readings= must be a string"),
        (lambda: average.on(sensor_readings=" "), "sensor_readings= must be a string that is not empty"),
        (lambda: average.bound(("temp", "rain")), "the parameter 'sensor_readings' is called like no column of 'temp', 'rain'; say what it is on a client: .on(sensor_readings='avg(\"temp\")')"),
        (lambda: average.bound(()), "called like no column of none"),
        (lambda: average.on(sensor_readings="tmp").bound(("temp", "rain")), "sensor_readings='tmp' is no column, did you mean 'temp'?"),
        (lambda: many.rounds(), "the parameter 'rate' is float32@SERVER: give its value, .on(rate=...)"),
        (lambda: many.on(rate=0.1).bound(("temp", "rain")), "the parameter 'model' is <w=float64[2]>@CLIENTS: give its value"),
        (lambda: many.on(rate="fast"), "on(): rate=: 'fast' (str) is not float32"),
        (lambda: many.on(model={"w": [1, 2, 3]}), "on(): model=: field 'w': 3 items"),
        (lambda: vectors.rounds(), "'v' is {float32[2]}@CLIENTS; call the computation directly to simulate it"),
        (lambda: vectors.on(v="temp"), "one real number, and 'v' is {float32[2]}@CLIENTS"),
        (lambda: batches.bound(("data",)), "one real number, and 'data' is {<x=float32>*}@CLIENTS"),
        (lambda: complex_numbers.rounds(), "'z' is {complex64}@CLIENTS"),
        (lambda: names.rounds(), "'name' is {str}@CLIENTS"),
    ],
)  # fmt: skip
def test_what_cannot_be_bound(call, what):
    with pytest.raises(BadArgument) as caught:
        call()
    assert what in str(caught.value)


def test_the_simulation_of_what_no_session_can_feed():
    assert vectors([[0.25, 0.5]]) == 0.75
    assert batches([[], [{"x": 1.0}]]) == 1.0
    assert names(["abc", ""]) == 3
    for query in (vectors, batches, names):
        assert len(digest(query)) == 64
    assert complex_numbers(np.array([0.6 + 0.8j])) == pytest.approx(1.0)
