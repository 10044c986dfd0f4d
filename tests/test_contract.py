"""The contract by example: each line of the design's example that this version covers, run as it is written."""

import numpy as np
import pandas as pd
import pytest

import fedanalytics as fa

READINGS_TYPE = fa.FederatedType(np.float32, fa.CLIENTS)


@fa.federated_computation(READINGS_TYPE)
def get_average_temperature(sensor_readings):
    return fa.federated_mean(sensor_readings)


@fa.federated_computation(READINGS_TYPE)
def private_average_temperature(sensor_readings):
    return fa.federated_mean(sensor_readings, bounds=(0, 110), rho=0.01)


@pytest.fixture
def readings():
    rng = np.random.default_rng(3)
    tails = np.repeat([f"N{i:04d}" for i in range(4000)], 3)
    return pd.DataFrame(
        {"tailnum": tails, "temp": rng.normal(60, 15, 12_000), "origin": np.tile(["JFK", "LGA", "EWR"], 4000)}
    )


def test_types_and_simulation():
    assert str(READINGS_TYPE) == "{float32}@CLIENTS"
    assert str(get_average_temperature.type_signature) == "({float32}@CLIENTS -> float32@SERVER)"
    assert get_average_temperature([68.5, 70.3, 69.8]) == np.float32(69.53333)
    assert fa.federated_average is fa.federated_mean
    [row] = get_average_temperature.privacy
    assert (row.release, row.event) == ("exact", fa.privacy.Exact())
    [row] = private_average_temperature.privacy
    assert row.release == "noised"
    assert row.event.noise_multiplier == pytest.approx(7.0711, abs=1e-4)
    assert row.sensitivity == pytest.approx(np.sqrt(1.2), rel=1e-6)


def test_annotations_do_as_well():
    @fa.federated_computation
    def average(sensor_readings: READINGS_TYPE):
        return fa.federated_mean(sensor_readings)

    assert average.type_signature == get_average_temperature.type_signature


def test_sessions(readings, tmp_path):
    df = readings
    fleet = fa.Fleet.from_pandas(df, client="tailnum", population=4_000)
    ledger = fa.Ledger(tmp_path / "budget.db")
    budget = ledger.budget("aircraft", epsilon=3.0, delta=1e-6, unit="tailnum")
    session = fa.Session(fleet, budget)

    query = fa.mean("temp", bounds=(0, 110), per_client="avg(temp)", where="origin = 'JFK'")
    preview = session.preview(query, rho=0.01)
    assert budget.spent.rho == 0
    release = session.run(query, rho=0.01, key=None)
    truth = df[df.origin == "JFK"].groupby("tailnum").temp.mean().clip(0, 110).mean()
    assert abs(release.value - truth) < 6 * release.standard_error
    assert preview.standard_error == pytest.approx(release.standard_error, rel=0.1)
    assert release.interval(0.95)[0] < release.value < release.interval(0.95)[1]
    assert release.cost.rho == 0.01
    assert release.receipt.budget == "aircraft"

    count, histogram = session.run([fa.count(), fa.histogram("temp", edges=range(0, 111, 10))], rho=0.02)
    assert count.value == pytest.approx(4000, abs=60)
    assert histogram.value.shape == (11,)
    assert session.run(private_average_temperature).value == pytest.approx(df.temp.mean(), abs=2)
    assert budget.spent.rho == pytest.approx(0.04)
    assert budget.remaining.rho == pytest.approx(fa.privacy.cost(epsilon=3.0, delta=1e-6).units / 1e12 - 0.04, rel=1e-7)
    assert [row["rho"] for row in budget.spent.queries] == [0.01, 0.01, 0.01, 0.01]
    with pytest.raises(fa.NotPrivate, match=r"federated_mean at .*test_contract\.py:\d+ .*federated_mean\(x, bounds="):
        session.run(get_average_temperature)
    assert session.run(fa.count(), epsilon=0.1).cost.event == fa.privacy.cost(epsilon=0.1).event
    ledger.close()
    pure = fa.privacy.filters.Gdp().price(fa.privacy.cost(epsilon=0.1).event)
    assert fa.verify(tmp_path / "budget.db").budgets["aircraft"].spent == budget_units(0.04) + pure


def budget_units(rho):
    return round(rho * 10**12)
