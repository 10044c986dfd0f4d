"""What a dry run says depends on public values only: byte for byte the same with one client more or less."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

reading = st.one_of(st.floats(width=64), st.just(float("nan")), st.just(float("inf")), st.floats(-50, 150))
client = st.lists(reading, min_size=1, max_size=4)


def write(path, clients):
    ids = [i for i, rows in clients for _ in rows]
    readings = np.array([value for _, rows in clients for value in rows])
    frame = {"sensor": np.array(ids), "temp": readings, "day": np.arange(len(ids)) % 3}
    regions = np.where(np.array(ids) % 2 == 0, "north", "south")
    with duckdb.connect() as connection:
        connection.register("rows", {**frame, "region": regions})
        connection.execute(f"COPY (FROM rows) TO '{path}' (FORMAT parquet)")


@pytest.mark.parametrize(("form", "examples"), [((), 8), (("--json",), 4)], ids=["text", "json"])
def test_a_dry_run_is_the_same_on_neighbouring_fleets(invoke, place, study, more, form, examples):
    text = (study + more).replace("readings.csv", "fleet.parquet").replace('missing = ["", "NA"]', "")
    (place / "study.toml").write_text(text)

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(client, min_size=2, max_size=8), st.data())
    def law(clients, data):
        fleet = list(enumerate(clients))
        removed = data.draw(st.sampled_from(range(len(fleet))))
        write("fleet.parquet", fleet)
        one = invoke("run", "study.toml", "--dry-run", "--key", "k", *form)
        write("fleet.parquet", fleet[:removed] + fleet[removed + 1 :])
        other = invoke("run", "study.toml", "--dry-run", "--key", "k", *form)
        assert (one.stdout, one.stderr) == (other.stdout, other.stderr)

    law()
