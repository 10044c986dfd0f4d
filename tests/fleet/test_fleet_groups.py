"""Groups: disjoint, a function of each client's own rows, and parallel composition over them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fedanalytics as fa

FRAME = pd.DataFrame(
    {
        "sensor": [1, 1, 2, 3, 3, 4, 5],
        "region": ["EU", "EU", "US", "EU", "US", None, "EU"],
        "zone": [1.0, 1.0, 2.0, 1.0, 2.0, 3.0, np.nan],
        "temp": [60.0, 70.0, 80.0, 50.0, 50.0, 10.0, 20.0],
    }
)


def exact(fleet, query):
    [total] = fleet.sums([query.block], [1])
    return total.tolist()


@pytest.fixture
def fleet():
    return fa.Fleet.from_pandas(FRAME, client="sensor", dataset="weather")


def test_a_group_is_the_clients_all_of_whose_rows_agree(fleet):
    counts = {value: exact(fleet.only("region", value), fa.count())[0] for value in ("EU", "US", "JP")}
    assert counts == {"EU": 2, "US": 1, "JP": 0}  # 3 has rows of both, 4 of none
    assert exact(fleet.only("zone", 1), fa.count()) == [1]
    assert exact(fleet, fa.count()) == [5]
    assert exact(fleet.only("REGION", "EU"), fa.histogram("temp", edges=[0, 50, 100])) == [1, 1]


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["a", "b", None]), st.floats(0, 10)), min_size=1, max_size=20
    ),
    st.integers(0, 5),
)
def test_removing_a_client_changes_its_own_group_only(rows, gone):
    def groups(kept):
        frame = pd.DataFrame(kept, columns=["c", "g", "x"]).astype({"g": "object"})
        whole = fa.Fleet.from_pandas(frame, client="c")
        return [exact(whole.only("g", value), fa.histogram("x", edges=[0, 5, 10])) for value in ("a", "b")]

    left = [row for row in rows if row[0] != gone]
    if not left or not any(row[1] for row in left):
        return
    changed = [one != other for one, other in zip(groups(rows), groups(left), strict=True)]
    assert sum(changed) <= 1


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("regoin", "EU", "did you mean 'region'"),
        ("region", 3, "is not what column 'region' holds"),
        ("zone", "EU", "is not what column 'zone' holds"),
        ("zone", float("nan"), "is not what column 'zone' holds"),
        ("zone", True, "is not what column 'zone' holds"),
        ("sensor", 1, "client column"),
    ],
)
def test_what_is_no_group(fleet, column, value, said):
    with pytest.raises(fa.BadArgument, match=said):
        fleet.only(column, value)
    with pytest.raises(fa.BadArgument, match="already"):
        fleet.only("region", "EU").only("zone", 1)


def test_a_hostile_value_is_only_a_value(fleet):
    assert exact(fleet.only("region", "EU' OR '1'='1"), fa.count()) == [0]


@pytest.fixture
def ledger(tmp_path):
    with fa.Ledger(tmp_path / "budget.db") as opened:
        yield opened


def test_disjoint_groups_have_budgets_of_their_own(fleet, ledger):
    releases = {}
    for region in ("EU", "US"):
        group = fleet.only("region", region)
        budget = ledger.budget(f"weather {region}", epsilon=1.0, delta=1e-6, group=group.group)
        session = fa.Session(group, budget)
        releases[region] = session.run(fa.count(), rho=budget.remaining.rho, key="count")
        with pytest.raises(fa.BudgetExceeded):
            session.run(fa.count(), rho=0.001)
    assert releases["EU"].receipt.group == ("region", "EU")
    assert fa.verify(ledger).entries == 8
    assert ledger.budget("weather EU").group == ("region", "EU")


def test_groups_that_may_overlap_add_up(fleet, ledger):
    def opened(name, **terms):
        return ledger.budget(name, rho=1.0, dataset="weather", unit="sensor", **terms)

    opened("EU", group=("region", "EU"))
    opened("US", group=("region", "US"))
    for name, terms in {"all": {}, "again": {"group": ("region", "EU")}, "zone": {"group": ("zone", 1)}}.items():
        with pytest.raises(fa.BadArgument, match="shares the data"):
            opened(name, **terms)
    opened("meant", group=("zone", 1), overlap=True)
    with pytest.raises(fa.BadArgument, match="was opened with group="):
        ledger.budget("EU", group=("region", "US"))


def test_a_budget_of_a_group_pays_for_that_group_only(fleet, ledger):
    budget = ledger.budget("EU", rho=1.0, group=("region", "EU"))
    for other in (fleet, fleet.only("region", "US")):
        with pytest.raises(fa.BadArgument, match=r"narrow it with fleet\.only\('region', 'EU'\)"):
            fa.Session(other, budget)


def test_one_budget_for_all_answers_each_group_anew(fleet, ledger):
    budget = ledger.budget("weather", rho=1.0)
    one = fa.Session(fleet.only("region", "EU"), budget)
    one.run(fa.count(), rho=0.1, key="k")
    with pytest.raises(fa.KeyReused, match="group"):
        fa.Session(fleet.only("region", "US"), budget).run(fa.count(), rho=0.1, key="k")
    assert one.run(fa.count(), rho=0.1, key="k").receipt.replayed


@pytest.mark.parametrize("group", ["EU", ("region",), ("region", None), ("", "EU"), (1, "EU"), ("region", True)])
def test_a_group_is_a_column_and_a_value(ledger, group):
    with pytest.raises(fa.BadArgument, match="group="):
        ledger.budget("a", rho=1.0, group=group)
